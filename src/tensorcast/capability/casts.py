"""The same cast in every library that is here: prepared, verified, to be timed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..arrays import as_tensor
from ..formats import lookup
from ..tensors import cast

PAIRS: Final = (
    ("float32", "float16"),
    ("float32", "bfloat16"),
    ("float32", "float8_e4m3fn"),
    ("float32", "int8"),
    ("float16", "float32"),
    ("bfloat16", "float32"),
    ("bfloat16", "float16"),
    ("float8_e4m3fn", "bfloat16"),
    ("float8_e4m3fn", "float32"),
    ("float64", "float32"),
    ("int64", "int32"),
    ("uint8", "float32"),
)


@dataclass
class LibraryCast:
    """A cast in one library.

    Attributes:
        call: does it once, and gives the result.
        array: the result as a NumPy array on the CPU.
    """

    library: str
    into: str
    call: Callable[[], Any]
    array: Callable[[Any], Any] = lambda result: result


def values(source: str, target: str, n_elements: int) -> Any:
    """A NumPy array that every library casts to the same: normally distributed, within the range
    of both formats; integers over the range of the narrower."""
    from_row, to_row = lookup(source), lookup(target)
    limit = float(min(from_row.max_exact, to_row.max_exact))
    rng = np.random.default_rng(0)
    n = min(n_elements, 1 << 20)
    if from_row.is_integer:
        low = 0 if from_row.min_exact >= 0 else -min(limit, 2.0**53)
        wide = rng.integers(int(low), int(min(limit, 2.0**53)), n, endpoint=True)
        tile = wide.astype(source)
    else:
        scale = min(limit / 6, 1000.0 if to_row.is_integer else 1.0)
        tile = cast(np.clip(rng.standard_normal(n) * scale, -limit, limit), source)
    return np.tile(tile, -(-n_elements // n))[:n_elements]


def contenders(
    target: str, array: Any, torch: Any, device: str
) -> Iterator[tuple[str, Callable[[], list[LibraryCast]]]]:
    """(library, what makes its casts) for each library; making them raises its reason."""
    x = array if torch is None else as_tensor(array).to(device)
    yield "tensorcast", lambda: _ours(x, target)
    if torch is not None:
        yield "torch", lambda: _torch(torch, x, target)
    if device == "cpu":
        yield "numpy", lambda: _numpy(array, target)
    yield "copy", lambda: _copy(torch, array, target, device)


def _ours(x: Any, target: str) -> list[LibraryCast]:
    out = cast(x, target)
    return [
        LibraryCast("tensorcast", "new", lambda: cast(x, target), as_array),
        LibraryCast("tensorcast", "given", lambda: cast(x, target, out=out), as_array),
    ]


def _torch(torch: Any, x: Any, target: str) -> list[LibraryCast]:
    dtype = getattr(torch, target)
    out = x.to(dtype)
    return [
        LibraryCast("torch", "new", lambda: x.to(dtype), as_array),
        LibraryCast("torch", "given", lambda: out.copy_(x), as_array),
    ]


def _numpy(array: Any, target: str) -> list[LibraryCast]:
    dtype = numpy_dtype(target)
    out = array.astype(dtype)

    def into_given() -> Any:
        np.copyto(out, array, casting="unsafe")
        return out

    return [
        LibraryCast("numpy", "new", lambda: array.astype(dtype)),
        LibraryCast("numpy", "given", into_given),
    ]


def _copy(torch: Any, array: Any, target: str, device: str) -> list[LibraryCast]:
    """As many bytes as the cast reads and writes, half of them each."""
    n_bytes = (array.nbytes + array.size * numpy_dtype(target).itemsize) // 2
    block = np.ones(n_bytes, np.uint8)
    if torch is None:
        out = np.zeros_like(block)
        return [LibraryCast("copy", "given", lambda: np.copyto(out, block))]
    theirs = torch.from_numpy(block).to(device)
    into = torch.zeros_like(theirs)
    return [LibraryCast("copy", "given", lambda: into.copy_(theirs))]


def as_array(result: Any) -> Any:
    """A tensor's or array's bytes as unsigned integers of its width."""
    if isinstance(result, np.ndarray):
        return result
    torch = importlib.import_module("torch")
    widths = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}
    return result.cpu().view(widths[result.element_size()]).numpy()


def codes(array: Any) -> Any:
    """A NumPy array's bits."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")


def numpy_dtype(name: str) -> Any:
    """NumPy's or ml_dtypes' dtype."""
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, None) or name)


def difference(theirs: Any, ours: Any, array: Any) -> tuple[int, str]:
    """(how many results differ from ours in their bits, the first in words)."""
    a, b = codes(theirs), codes(ours)
    if a.shape != b.shape or a.dtype != b.dtype:
        return int(b.size), f"gives {theirs.size} elements of {theirs.dtype.itemsize} bytes"
    if np.array_equal(a, b):
        return 0, ""
    where = np.flatnonzero(a != b)
    i = int(where[0])
    return int(
        where.size
    ), f"{array.reshape(-1)[i]!s} -> code 0x{int(a[i]):x}, ours 0x{int(b[i]):x}"
