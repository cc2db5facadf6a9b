"""NumPy arrays, ml_dtypes' formats among them: the view in and the wrap out."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..buffer import Buffer, numpy_buffer, refuse_masked
from ..core.block import cast_buffer
from ..errors import CastError
from ..formats import Format
from ..policy import changes_nothing
from . import is_numpy_scalar
from .dtypes import dtype_of
from .memory import as_numpy
from .pool import pooled
from .protocol import Demands, Fit, Seen

if TYPE_CHECKING:
    import numpy as np

    from ..core.loss import Loss
    from ..policy import Policy

DEMANDS: Final = Demands("NumPy", "numpy.ndarray", "numpy", native=False, alignment=1)


def cast(
    x: Any,
    target: Format,
    policy: Policy,
    *,
    out: Any = None,
    memory_format: object = None,
    device: object = None,
    pin_memory: object = None,
    report: bool = False,
) -> tuple[Any, Loss | None]:
    """The array in another format, and its loss if `report`.

    Args:
        x: ndarray of any strides, byte order and alignment, or a NumPy scalar.
        target: of the result; the sub-byte formats come in ml_dtypes' containers of one byte.
        out: ndarray of x's shape and the target's dtype, in any byte order; None makes one that
            keeps x's order of dimensions, as `astype(order="K")` does.

    Raises:
        CastError: `out` does not fit, or an argument is torch's.
    """
    import numpy as np

    if memory_format is not None:
        raise CastError("memory_format is torch's; a NumPy result keeps the order of dimensions")
    if pin_memory:
        raise CastError(
            "pin_memory is torch's: NumPy has no pinned memory; cast tensorcast.as_tensor(x)"
        )
    if device is not None and str(device) != "cpu":
        raise CastError(f"a NumPy array lives on the cpu, not on device={str(device)!r}")
    source = buffer_of(x)
    resolved = policy.resolve(source.format, target)
    if out is None:
        if changes_nothing(source.format, target, policy) and not source.byte_swapped:
            return x, measure(x, target, policy) if report else None
        result = _empty_like(x, dtype_of(target))
        written = numpy_buffer(result, writable=True)
    else:
        written = _output(out, x, target)
        result = out
    loss = cast_buffer(source, written, target, resolved, report=report, fresh=out is None)
    return (result[()] if isinstance(x, np.generic) and out is None else result), loss


def _empty_like(x: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    if x.flags.c_contiguous or x.flags.f_contiguous:
        memory = pooled(x.size * dtype.itemsize)
        if memory is not None:
            return np.ndarray(x.shape, dtype, memory, order="C" if x.flags.c_contiguous else "F")
    return np.empty_like(x, dtype=dtype, order="K", subok=False)


def real_part(x: Any) -> tuple[Any, int]:
    """The real parts of complex elements, sharing memory, and how many imaginary parts are not
    zero."""
    import numpy as np

    return x.real, int(np.count_nonzero(x.imag))


def copied(x: Any) -> Any:
    """The array in memory of its own."""
    return x.copy(order="K")


def held(x: Any) -> Any:
    """The array itself: nothing changes its format under it."""
    return x


def format_of(x: Any) -> Format:
    """The format of an array's elements."""
    return buffer_of(x).format


def n_elements(x: Any) -> int:
    """Elements in all."""
    return int(x.size)


def buffer_of(x: Any) -> Buffer:
    """The buffer of an array or a NumPy scalar, sharing the array's memory.

    Raises:
        CastError: the elements are no numbers, or some are masked.
    """
    import numpy as np

    refuse_masked(x)
    return numpy_buffer(np.asarray(x))


def visible(x: Any) -> Buffer | None:
    """The buffer, if its memory can be seen."""
    return buffer_of(x)


def measure(x: Any, target: Format, policy: Policy) -> Loss:
    """What the cast would lose."""
    source = buffer_of(x)
    resolved = policy.resolve(source.format, target)
    return cast_buffer(source, None, target, resolved, report=True)


def _output(out: Any, x: Any, target: Format) -> Buffer:
    import numpy as np

    if not isinstance(out, np.ndarray):
        kind = type(out).__name__
        raise CastError(f"out is of type {kind}; a NumPy array casts into a numpy.ndarray")
    buffer = buffer_of(out)
    if not buffer.writable:
        raise CastError("out is read-only; write into a copy of it")
    if buffer.format != target:
        raise CastError(f"out holds {buffer.format.name}, not {target.name}")
    if out.shape != x.shape:
        raise CastError(f"out has shape {list(out.shape)}, the array {list(x.shape)}")
    return buffer


def see(x: Any) -> Seen | None:
    """The array's elements; None for a scalar."""
    if is_numpy_scalar(x):
        return None
    buffer = buffer_of(x)
    return Seen("numpy", buffer, "" if buffer.writable else "the array is read-only")


def load() -> None:
    """NumPy is always there."""


@lru_cache(maxsize=1024)
def fit(row: Format, shape: tuple[int, ...]) -> Fit:  # noqa: ARG001
    """Its own formats and ml_dtypes'."""
    try:
        dtype_of(row)
    except CastError as error:
        return Fit(lacks=str(error))
    return Fit()


def inferred(row: Format) -> tuple[Format, ...]:
    """What NumPy infers."""
    return (row,)


wrap = as_numpy


def device_name(device: Any) -> str:
    """NumPy knows "cpu" only; another name is refused by the verdict."""
    return str(device)
