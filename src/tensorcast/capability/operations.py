"""What a case of an operation is, how large, and how its operands are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ..errors import FormatError

FLOATS: Final = ("float64", "float32", "bfloat16", "float16", "float8_e4m3fn")
OPERATIONS: Final = ("matmul", "linear", "conv2d", "attention", "layer_norm", "embedding")

_E4M3_MAX: Final = 448.0


@dataclass
class Work:
    """One way, ready to be timed.

    Attributes:
        call: does it once, and gives the result.
        operands: whose memory counts.
        values: what the result stands for, as a float tensor.
        setting: around the calls.
    """

    call: Callable[[], Any]
    operands: Sequence[Any]
    values: Callable[[Any], Any] = lambda result: result
    setting: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class OperationWay:
    """One way of doing an operation in a format; `prepare` raises what torch raises."""

    format: str
    name: str
    prepare: Callable[[], Work]


@dataclass(frozen=True)
class Case:
    """An operation at one size.

    Attributes:
        exact: the result in float64.
        ways: in the order of the formats.
    """

    operation: str
    label: str
    sizes: Mapping[str, int]
    n_operations: int
    exact: Callable[[], Any]
    ways: Sequence[OperationWay]


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    Attributes:
        matmul: rows of the left operand, and the side of the square right one.
        linear: batch sizes, features in, features out.
        conv2d: batch sizes, channels, height and width.
        attention: batch sizes, heads, length, width of a head.
        layer_norm: rows, width.
        embedding: rows of the table, width, indices.
        cast: elements.
    """

    matmul: tuple[tuple[int, ...], int] = ((1, 64, 1024), 768)
    linear: tuple[tuple[int, ...], int, int] = ((1, 128), 768, 3072)
    conv2d: tuple[tuple[int, ...], int, int] = ((1, 8), 64, 56)
    attention: tuple[tuple[int, ...], int, int, int] = ((1, 8), 12, 256, 64)
    layer_norm: tuple[int, int] = (4096, 768)
    embedding: tuple[int, int, int] = (30522, 768, 4096)
    cast: int = 1 << 24


QUICK: Final = Sizes(
    matmul=((1, 64, 256), 512),
    linear=((1, 32), 512, 2048),
    conv2d=((1,), 32, 56),
    attention=((1,), 12, 128, 64),
    layer_norm=(1024, 768),
    embedding=(8192, 768, 1024),
    cast=1 << 22,
)
ON_GPU: Final = Sizes(
    matmul=((1, 64, 4096), 4096),
    linear=((1, 1024), 4096, 16384),
    conv2d=((1, 64), 128, 56),
    attention=((1, 16), 16, 1024, 64),
    layer_norm=(16384, 4096),
    embedding=(32768, 4096, 16384),
    cast=1 << 27,
)


@dataclass
class Bench:
    """Where operands are made."""

    torch: Any
    device: str
    sizes: Sizes
    _generator: Any = field(init=False)

    def __post_init__(self) -> None:
        self._generator = self.torch.Generator().manual_seed(0)

    def normal(self, *shape: int, scale: float = 1.0) -> Any:
        """Normally distributed values that float32 holds, on the device."""
        x = self.torch.randn(*shape, generator=self._generator)
        return x.mul_(scale).to(self.device)

    def indices(self, below: int, n: int) -> Any:
        """Random int64 from 0 to `below` - 1, on the device."""
        return self.torch.randint(below, (n,), generator=self._generator).to(self.device)

    def plain(
        self, operation: Callable[..., Any], *operands: Any, products: bool = True
    ) -> list[OperationWay]:
        """The operation as one writes it, on operands of each format; `products`: it has some, so
        that tf32 is another format than float32."""
        prepare = partial(self._plain, operation, operands)
        ways = [OperationWay(name, "", partial(prepare, name)) for name in FLOATS]
        ways.insert(2, OperationWay("tf32", "", partial(self._tf32, operation, operands, products)))
        return [*ways, OperationWay("int8", "", partial(self._plain_int8, operation, operands))]

    def _plain(self, operation: Callable[..., Any], operands: Sequence[Any], name: str) -> Work:
        dtype = getattr(self.torch, name)
        cast = [x.to(dtype) if x.is_floating_point() else x for x in operands]
        work = Work(lambda: operation(*cast), cast)
        if self.device == "cuda" and name == "float32":
            work.setting = partial(float32_products, self.torch, False)
        return work

    def _tf32(self, operation: Callable[..., Any], operands: Sequence[Any], products: bool) -> Work:
        if self.device != "cuda":
            raise FormatError("tf32 exists on NVIDIA GPUs only")
        if not products:
            raise FormatError("there is no matrix product in it")
        return Work(
            lambda: operation(*operands),
            operands,
            setting=partial(float32_products, self.torch, True),
        )

    def _plain_int8(self, operation: Callable[..., Any], operands: Sequence[Any]) -> Work:
        scale = 1.0
        cast = []
        for x in operands:
            if x.is_floating_point():
                x, of = self.int8(x)
                scale *= float(of)
            cast.append(x)
        return Work(lambda: operation(*cast), cast, lambda result: result.double() * scale)

    def int8(self, x: Any, dim: int | None = None) -> tuple[Any, Any]:
        """(codes, scale): the largest magnitude becomes 127; one scale, or one for each row that
        is left when `dim` goes."""
        amax = x.abs().amax() if dim is None else x.abs().amax(dim, keepdim=True)
        scale = amax / 127
        return (x / scale).round().to(self.torch.int8), scale

    def float8(self, x: Any) -> tuple[Any, Any]:
        """(codes, scale): the largest magnitude becomes float8_e4m3fn's largest."""
        scale = x.abs().amax() / _E4M3_MAX
        return (x / scale).to(self.torch.float8_e4m3fn), scale


@contextmanager
def float32_products(torch: Any, tf32: bool) -> Iterator[None]:
    """float32 is multiplied in tf32, or in float32: torch's default differs by operation."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
