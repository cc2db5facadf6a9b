"""The casts that are compared: their values, the contenders, and where results differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ..api.casts import cast
from ..formats import Format, lookup
from .libraries import Library, numpy_dtype

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
    ("int32", "int64"),
    ("uint8", "float32"),
)

_TILE: Final = 1 << 20
_N_EDGES: Final = 4096


@dataclass
class LibraryCast:
    """A cast in one library, ready to be timed.

    Attributes:
        into: "new" memory, or memory that is "given".
        call: does it once, and gives the result.
        array: the result as a NumPy array of its values or codes.
    """

    library: str
    into: str
    call: Callable[[], Any]
    array: Callable[[Any], Any]


def values(source: str, target: str, n_elements: int) -> Any:
    """A NumPy array within the range of both formats: first, of floats that become floats, what
    the target only just tells apart; then normally distributed floats, or integers over the range
    of the narrower format."""
    from_row, to_row = lookup(source), lookup(target)
    limit = float(min(from_row.max_exact, to_row.max_exact))
    rng = np.random.default_rng(0)
    n = min(n_elements, _TILE)
    if from_row.is_integer:
        top = int(min(limit, 2.0**53))
        low = 0 if from_row.min_exact >= 0 else -top
        tile = rng.integers(low, top, n, endpoint=True).astype(source)
    else:
        scale = min(limit / 6, 1000.0 if to_row.is_integer else 1.0)
        tile = cast(np.clip(rng.standard_normal(n) * scale, -limit, limit), source)
        if to_row.is_float and to_row.bits < from_row.bits:
            edges = _edges(from_row, to_row)[:n]
            tile[: len(edges)] = edges
    return np.tile(tile, -(-n_elements // n))[:n_elements]


def _edges(source: Format, target: Format) -> Any:
    """Values of the target, and those of the source halfway between two neighbours: subnormals,
    the largest, -0."""
    step = max(1, (1 << target.bits) // _N_EDGES)
    codes = np.arange(0, 1 << target.bits, step, dtype=np.uint64)
    codes = np.concatenate([codes, codes + np.uint64(step - 1)]) if step > 1 else codes
    codes = np.unique(codes).astype(f"u{target.bits // 8}")
    with np.errstate(invalid="ignore"):  # signalling NaN
        wide = codes.view(numpy_dtype(target.name)).astype(np.float64)
    wide = wide[np.isfinite(wide)]
    ordered = np.unique(wide)
    halfway = (ordered[1:] + ordered[:-1]) / 2
    everything = np.concatenate([wide, halfway])
    narrow = everything.astype(numpy_dtype(source.name))
    return narrow[narrow.astype(np.float64) == everything]


def misfits(source: str, target: str) -> Any:
    """A NumPy array of what the target does not hold: a value beyond its range, infinity, NaN."""
    from_row, to_row = lookup(source), lookup(target)
    beyond = min(2 * to_row.max_exact, from_row.max_exact)
    found = [float(beyond)] if beyond > to_row.max_exact else []
    if from_row.is_float:
        found += [value for value in (np.inf, np.nan) if not _holds(to_row, value)]
    return np.array(found).astype(numpy_dtype(source))


def _holds(row: Format, value: float) -> bool:
    return row.is_float and (row.infinity if np.isinf(value) else row.nan != "none")


def of_misfits(library: Library, array: Any, target: str) -> list[tuple[str, str]]:
    """(value, what the library makes of it), as text."""
    with np.errstate(all="ignore"):
        result = library.array(library.cast(library.take(array), library.dtype(target)))
    decoded = _codes(result).view(numpy_dtype(target))
    return [
        (_text(value), _text(made)) for value, made in zip(array, decoded.reshape(-1), strict=True)
    ]


def _text(value: Any) -> str:
    """Short: 3.4e+38, 44, nan."""
    number = float(value)
    return f"{int(number)}" if number.is_integer() and abs(number) < 1e6 else f"{number:.2g}"


def contenders(library: Library, array: Any, target: str) -> Iterator[LibraryCast]:
    """The library's cast into new memory, and into memory that is given if it has that.

    Raises:
        Exception: whatever the library says that it cannot do.
    """
    x, dtype = library.take(array), library.dtype(target)
    yield LibraryCast(library.name, "new", partial(library.cast, x, dtype), library.array)
    if library.into is not None:
        out = library.cast(x, dtype)
        yield LibraryCast(library.name, "given", partial(library.into, out, x), library.array)


def copying(torch: Any, array: Any, target: str, device: str) -> LibraryCast:
    """A copy of as many bytes as the cast reads and writes, half of them each."""
    n_bytes = (array.nbytes + array.size * numpy_dtype(target).itemsize) // 2
    block: Any = np.ones(n_bytes, np.uint8)
    if torch is None:
        out: Any = np.zeros_like(block)
        return LibraryCast("copy", "given", partial(np.copyto, out, block), lambda result: result)
    block = torch.from_numpy(block).to(device)
    out = torch.zeros_like(block)
    return LibraryCast("copy", "given", partial(out.copy_, block), lambda result: result)


def difference(theirs: Any, ours: Any, array: Any) -> tuple[int, str]:
    """(how many results differ from ours in their bits, the first in words)."""
    a, b = _codes(theirs), _codes(ours)
    if a.shape != b.shape or a.dtype != b.dtype:
        return int(b.size), f"gives {theirs.size} elements of {theirs.dtype.itemsize} bytes"
    if np.array_equal(a, b):
        return 0, ""
    where = np.flatnonzero(a != b)
    i = int(where[0])
    value, code, our_code = array.reshape(-1)[i], int(a[i]), int(b[i])
    return int(where.size), f"{value!s} -> code 0x{code:x}, ours 0x{our_code:x}"


def _codes(array: Any) -> Any:
    """A NumPy array's bits."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")
