"""Two checkpoints side by side: which tensors have equal bits, and how far the others are."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...core.block import cast_chunk
from ...formats import FORMATS, Format
from ...policy import Policy
from ...words.summary import brief
from ...words.units import decibels, plural
from ..opening import as_checkpoint
from ..protocol import Checkpoint, Stored, TensorInfo
from ..wording import of_difference
from .chunking import Buffers, Chunk, Files, chunk_elements, chunks, n_chunks, n_threads, work_off
from .stream import read_chunk
from .worker import Progress, Report

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# magnitudes whose squares, and sums of them, have a float64
_SMALL: Final = 2.0**-400
_LARGE: Final = 2.0**400


@dataclass(frozen=True)
class TensorDifference:
    """One tensor that both checkpoints have.

    Attributes:
        name: its name.
        format_a, format_b, shape_a, shape_b: what it is in each.
        n_elements: of the one in a.
        equal: whether format, shape and every bit are the same.
        n_different: elements whose values differ; with the same format, whose bits differ.
            None where the shapes differ or only one is complex, as are the next three.
        n_special: of those, elements where one is NaN or infinite and the other is not the same.
        max_abs_error: largest |a - b| where both are finite; complex: of a component.
        sqnr_db: 10 log10(sum a^2 / sum (a - b)^2) where both are finite, whatever their magnitude;
            infinite when no such pair differs in value.
    """

    name: str
    format_a: Stored
    format_b: Stored
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]
    n_elements: int
    equal: bool
    n_different: int | None
    n_special: int | None
    max_abs_error: float | int | None
    sqnr_db: float | None

    def __repr__(self) -> str:
        formats = dict.fromkeys((self.format_a.name, self.format_b.name))
        said = "equal bits" if self.equal else f"SQNR {decibels(self.sqnr_db)}"
        return brief(self, self.name, " and ".join(formats), said)


@dataclass(frozen=True)
class Difference:
    """Two checkpoints, tensor by tensor.

    Attributes:
        tensors: those in both, in a's order.
        missing: names only in a.
        extra: names only in b.
    """

    tensors: tuple[TensorDifference, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    def __repr__(self) -> str:
        n = sum(not row.equal for row in self.tensors)
        missing = f"{len(self.missing):,} only in a" if self.missing else ""
        extra = f"{len(self.extra):,} only in b" if self.extra else ""
        return brief(self, f"{n:,} of {plural(len(self.tensors), 'tensor')} differ", missing, extra)

    def __str__(self) -> str:
        return str(of_difference(self))

    def _repr_html_(self) -> str:
        return of_difference(self)._repr_html_()

    @property
    def equal(self) -> bool:
        """Whether both have the same tensors with the same bits."""
        return not (self.missing or self.extra) and all(t.equal for t in self.tensors)


@dataclass(frozen=True)
class _Squares:
    """A sum of squares that neither overflows nor underflows: `total` times 4^`exponent`."""

    total: float = 0.0
    exponent: int = 0

    def plus(self, later: _Squares) -> _Squares:
        if not self.total or not later.total:
            return later if later.total else self
        top = max(self.exponent, later.exponent)
        return _Squares(
            math.ldexp(self.total, 2 * (self.exponent - top))
            + math.ldexp(later.total, 2 * (later.exponent - top)),
            top,
        )

    @property
    def decibels(self) -> float:
        return 10 * (math.log10(self.total) + 2 * self.exponent * math.log10(2))


@dataclass(frozen=True)
class _Part:
    """What one chunk of a pair amounts to."""

    n_different: int = 0
    n_special: int = 0
    max_abs_error: float | int = 0
    sum_squared_error: _Squares = _Squares()
    sum_squared: _Squares = _Squares()

    def merge(self, later: _Part) -> _Part:
        return _Part(
            self.n_different + later.n_different,
            self.n_special + later.n_special,
            max(self.max_abs_error, later.max_abs_error),
            self.sum_squared_error.plus(later.sum_squared_error),
            self.sum_squared.plus(later.sum_squared),
        )


def diff(
    a: Checkpoint | str | os.PathLike[str],
    b: Checkpoint | str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Report | None = None,
) -> Difference:
    """Every tensor of `a` beside the one of the same name in `b`.

    Tensors of different formats are compared by value, exactly: each is decoded to float64, and
    64-bit integers are compared as integers.

    Args:
        a, b: from `open_checkpoint`, or paths; `a` is the one errors are measured against.
        threads: see `chunking.n_threads`.
        progress: called in this thread with a `Progress` of phase "compare", bytes of `a`.
    """
    a, b = as_checkpoint(a), as_checkpoint(b)
    pairs = [(tensor, b.by_name[tensor.name]) for tensor in a.tensors if tensor.name in b.by_name]
    wanted = [index for index, pair in enumerate(pairs) if _comparable(*pair)]
    parts: list[dict[int, _Part]] = [{} for _ in pairs]
    total = sum(pairs[index][0].n_bytes for index in wanted)
    lock = threading.Lock()
    done = 0

    def per_chunk(index: int) -> int:
        return chunk_elements(*pairs[index])

    paths = [(a.root / one.file, b.root / other.file) for one, other in pairs]

    uses = (
        (path, n_chunks(pairs[index][0].n_elements, per_chunk(index)))
        for index in wanted
        for path in paths[index]
    )
    with Files(uses) as files:

        def work(chunk: Chunk, buffers: Buffers) -> None:
            nonlocal done
            one, other = pairs[chunk.step]
            path, other_path = paths[chunk.step]
            view = read_chunk(files, path, one, chunk, buffers.source)
            other_view = read_chunk(files, other_path, other, chunk, buffers.target)
            if one.is_plain:
                part = _part(view, other_view, one.numbers, other.numbers, chunk.n_elements)
            else:  # the same blocks with scales: equal or not
                part = _Part(n_different=int(view != other_view))
            with lock:
                parts[chunk.step][chunk.number] = part
                done += len(view)

        def tick() -> None:
            if progress is not None:
                progress(Progress("compare", done, total))

        work_off(
            work,
            (
                chunk
                for index in wanted
                for chunk in chunks(index, pairs[index][0].n_elements, per_chunk(index))
            ),
            buffers=Buffers.chunk,
            threads=n_threads(threads),
            tick=tick,
            wake=threading.Event(),
        )
    return Difference(
        tensors=tuple(_difference(*pair, part) for pair, part in zip(pairs, parts, strict=True)),
        missing=tuple(tensor.name for tensor in a.tensors if tensor.name not in b.by_name),
        extra=tuple(tensor.name for tensor in b.tensors if tensor.name not in a.by_name),
    )


def _comparable(one: TensorInfo, other: TensorInfo) -> bool:
    if one.shape != other.shape:
        return False
    if not (one.is_plain and other.is_plain):
        return one.format == other.format
    return one.numbers.is_complex == other.numbers.is_complex


def _difference(one: TensorInfo, other: TensorInfo, parts: dict[int, _Part]) -> TensorDifference:
    total: _Part | None = None
    if _comparable(one, other):
        total = _Part()
        for number in sorted(parts):  # one order of the sums, whatever the threads did
            total = total.merge(parts[number])
    same = one.format == other.format and total is not None and total.n_different == 0
    if not (one.is_plain or same):
        total = None  # how far blocks are apart is not known without their scales
    return TensorDifference(
        name=one.name,
        format_a=one.format,
        format_b=other.format,
        shape_a=one.shape,
        shape_b=other.shape,
        n_elements=one.n_elements,
        equal=same,
        n_different=None if total is None else total.n_different,
        n_special=None if total is None else total.n_special,
        max_abs_error=None if total is None else total.max_abs_error,
        sqnr_db=None if total is None else _sqnr_db(total),
    )


def _sqnr_db(part: _Part) -> float:
    if not part.sum_squared_error.total:
        return math.inf
    if not part.sum_squared.total:
        return -math.inf
    return part.sum_squared.decibels - part.sum_squared_error.decibels


def _part(
    view: memoryview, other_view: memoryview, one: Format, other: Format, n_elements: int
) -> _Part:
    import numpy as np

    raw, other_raw = np.frombuffer(view, np.uint8), np.frombuffer(other_view, np.uint8)
    x: NDArray[Any] = _decoded(view, one, n_elements)
    if one == other and np.array_equal(raw, other_raw):
        values = x[np.isfinite(x)]
        return _Part(sum_squared=_squares(values))
    y = _decoded(other_view, other, n_elements)
    wide = [each.is_integer and each.bits == 64 for each in (one, other)]
    with np.errstate(all="ignore"):
        finite = np.isfinite(x) & np.isfinite(y)
        if any(wide):
            whole = [_whole(view, one), _whole(other_view, other)]
            alike = _same_numbers(whole[0], x, whole[1], y)
            gaps = _gaps(whole[0], x, whole[1], y)[finite]
        else:
            alike = (x == y) | (np.isnan(x) & np.isnan(y))
            gaps = x[finite] - y[finite]
        error = np.abs(gaps)
        largest: float | int = float(error.max(initial=0.0))
        squared_error = _squares(error)
        if math.isinf(largest):  # a gap of two large numbers: a quarter of it has a float64
            squared_error = _squares(np.abs(x[finite] / 4 - y[finite] / 4), 2)
        if one == other:
            n_different = _bits_differ(raw, other_raw, one, n_elements)
        else:
            n_different = int(_by_element(~alike, one).sum())
        if one == other and all(wide):
            largest = _largest_gap(raw, other_raw, one)
        return _Part(
            n_different=n_different,
            n_special=int(_by_element(~finite & ~alike, one).sum()),
            max_abs_error=largest,
            sum_squared_error=squared_error,
            sum_squared=_squares(x[finite]),
        )


def _whole(view: memoryview, format: Format) -> NDArray[Any] | None:
    """64-bit integers as they are; None of any other format."""
    import numpy as np

    if not format.is_integer or format.bits != 64:
        return None
    return np.frombuffer(view, np.int64 if format.signed else np.uint64)


def _same_numbers(
    a: NDArray[Any] | None, x: NDArray[Any], b: NDArray[Any] | None, y: NDArray[Any]
) -> NDArray[np.bool_]:
    """Where two tensors hold the same number, of which one or both are of 64-bit integers.

    Args:
        a, b: the integers, or None.
        x, y: both as float64, rounded where they are integers.
    """
    import numpy as np

    if a is None:
        assert b is not None
        return _same_numbers(b, y, None, x)
    if b is not None:
        both = (a >= 0) & (b >= 0) if a.dtype != b.dtype else np.True_
        alike: NDArray[np.bool_] = both & (a.view(np.uint64) == b.view(np.uint64))
        return alike
    low, high = (0.0, 2.0**64) if a.dtype == np.uint64 else (-(2.0**63), 2.0**63)
    fits = (y >= low) & (y < high) & (np.trunc(y) == y)
    same: NDArray[np.bool_] = fits & (np.where(fits, y, 0.0).astype(a.dtype) == a)
    return same


def _gaps(
    a: NDArray[Any] | None, x: NDArray[Any], b: NDArray[Any] | None, y: NDArray[Any]
) -> NDArray[Any]:
    """x - y of `_same_numbers`, rounded once where they are near: 0 of the same numbers only."""
    import numpy as np

    (top, rest), (other_top, other_rest) = _halves(a, x), _halves(b, y)
    gaps = (top - other_top) + (rest - other_rest)
    small = np.maximum(np.abs(x), np.abs(y)) < 2.0**53  # then both are what they stand for
    result: NDArray[Any] = np.where(small, x - y, gaps)
    return result


def _halves(whole: NDArray[Any] | None, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two float64 whose exact sum is the number."""
    import numpy as np

    if whole is None:
        return x, np.zeros_like(x)
    low = whole & whole.dtype.type(0xFFFFFFFF)
    return (whole - low).astype(np.float64), low.astype(np.float64)


def _decoded(view: memoryview, format: Format, n_elements: int) -> NDArray[np.float64]:
    """The values as float64; both components of a complex one after the other."""
    import numpy as np

    row = format.component
    n = n_elements * 2 if format.is_complex else n_elements
    values = np.empty(n, np.float64)
    target = FORMATS["float64"]
    policy = Policy(overflow="saturate", nan="zero").resolve(row, target)
    cast_chunk(view, values.view(np.uint8).data, row, target, policy, n_elements=n)
    return values


def _by_element(flags: NDArray[np.bool_], format: Format) -> NDArray[np.bool_]:
    import numpy as np

    return np.any(flags.reshape(-1, 2), axis=1) if format.is_complex else flags


def _bits_differ(
    raw: NDArray[np.uint8], other_raw: NDArray[np.uint8], format: Format, n_elements: int
) -> int:
    import numpy as np

    if format.is_packed:
        bits = np.unpackbits(raw ^ other_raw, bitorder="little")[: n_elements * format.bits]
        return int(bits.reshape(n_elements, format.bits).any(axis=1).sum())
    unequal = (raw != other_raw).reshape(n_elements, format.bits // 8)
    return int(unequal.any(axis=1).sum())


def _largest_gap(raw: NDArray[np.uint8], other_raw: NDArray[np.uint8], format: Format) -> int:
    """The largest |a - b| of 64-bit integers, exactly: it always fits 64 unsigned bits."""
    import numpy as np

    kind = np.int64 if format.signed else np.uint64
    x, y = raw.view(kind), other_raw.view(kind)
    gaps = np.maximum(x, y).view(np.uint64) - np.minimum(x, y).view(np.uint64)
    return int(gaps.max(initial=0))


def _squares(values: NDArray[Any], exponent: int = 0) -> _Squares:
    """The sum of the squares, times 4^`exponent`."""
    import numpy as np

    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    shift = 0
    if largest and not _SMALL < largest < _LARGE:
        shift = math.frexp(largest)[1]
        values = np.ldexp(values, -shift)
    # not np.dot: BLAS starts threads of its own, ten times slower here, and sums by their number
    with np.errstate(all="ignore"):
        return _Squares(float(np.einsum("i,i->", values, values)), exponent + shift)
