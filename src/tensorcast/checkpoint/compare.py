"""Two checkpoints side by side: which tensors have equal bits, and how far the others are."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..casting import cast_chunk
from ..formats import FORMATS, Format
from ..policy import Policy
from . import as_checkpoint
from .chunks import Buffers, Chunk, Files, chunk_elements, chunks, n_chunks, n_threads, work_off
from .convert import Progress, Report
from .protocol import Checkpoint, TensorInfo
from .stream import read_chunk

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Difference:
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
        sqnr_db: 10 log10(sum a^2 / sum (a - b)^2) where both are finite; infinite when no such
            pair differs.
    """

    name: str
    format_a: Format
    format_b: Format
    shape_a: tuple[int, ...]
    shape_b: tuple[int, ...]
    n_elements: int
    equal: bool
    n_different: int | None
    n_special: int | None
    max_abs_error: float | int | None
    sqnr_db: float | None


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints, tensor by tensor.

    Attributes:
        tensors: those in both, in a's order.
        missing: names only in a.
        extra: names only in b.
    """

    tensors: tuple[Difference, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether both have the same tensors with the same bits."""
        return not (self.missing or self.extra) and all(t.equal for t in self.tensors)


@dataclass(frozen=True)
class _Part:
    """What one chunk of a pair amounts to."""

    n_different: int = 0
    n_special: int = 0
    max_abs_error: float | int = 0
    sum_squared_error: float = 0.0
    sum_squared: float = 0.0

    def merge(self, later: _Part) -> _Part:
        return _Part(
            self.n_different + later.n_different,
            self.n_special + later.n_special,
            max(self.max_abs_error, later.max_abs_error),
            self.sum_squared_error + later.sum_squared_error,
            self.sum_squared + later.sum_squared,
        )


def compare(
    a: Checkpoint | str | os.PathLike[str],
    b: Checkpoint | str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Report | None = None,
) -> Comparison:
    """Every tensor of `a` beside the one of the same name in `b`.

    Tensors of different formats are compared by value, each decoded to float64; that is exact
    but for 64-bit integers against another format.

    Args:
        a, b: from `open_checkpoint`, or paths; `a` is the one errors are measured against.
        threads: see `chunks.n_threads`.
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
        return chunk_elements(*(tensor.format for tensor in pairs[index]))

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
            part = _part(view, other_view, one.format, other.format, chunk.n_elements)
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
    return Comparison(
        tensors=tuple(_difference(*pair, part) for pair, part in zip(pairs, parts, strict=True)),
        missing=tuple(tensor.name for tensor in a.tensors if tensor.name not in b.by_name),
        extra=tuple(tensor.name for tensor in b.tensors if tensor.name not in a.by_name),
    )


def _comparable(one: TensorInfo, other: TensorInfo) -> bool:
    return one.shape == other.shape and one.format.is_complex == other.format.is_complex


def _difference(one: TensorInfo, other: TensorInfo, parts: dict[int, _Part]) -> Difference:
    total: _Part | None = None
    if _comparable(one, other):
        total = _Part()
        for number in sorted(parts):  # one order of the sums, whatever the threads did
            total = total.merge(parts[number])
    same = one.format == other.format and total is not None and total.n_different == 0
    return Difference(
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
    if part.sum_squared_error == 0:
        return math.inf
    if part.sum_squared == 0:
        return -math.inf
    return 10 * (math.log10(part.sum_squared) - math.log10(part.sum_squared_error))


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
    with np.errstate(all="ignore"):
        finite = np.isfinite(x) & np.isfinite(y)
        alike = (x == y) | (np.isnan(x) & np.isnan(y))
        error = np.abs(x[finite] - y[finite])
        if one == other:
            n_different = _bits_differ(raw, other_raw, one, n_elements)
        else:
            n_different = int(_by_element(~alike, one).sum())
        largest: float | int = float(error.max(initial=0.0))
        if one == other and one.is_integer and one.bits == 64:
            largest = _largest_gap(raw, other_raw, one)
        return _Part(
            n_different=n_different,
            n_special=int(_by_element(~finite & ~alike, one).sum()),
            max_abs_error=largest,
            sum_squared_error=_squares(error),
            sum_squared=_squares(x[finite]),
        )


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


def _squares(values: NDArray[Any]) -> float:
    import numpy as np

    # not np.dot: BLAS starts threads of its own, ten times slower here, and sums by their number
    with np.errstate(all="ignore"):
        return float(np.einsum("i,i->", values, values))
