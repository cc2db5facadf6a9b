"""The C++ kernels: contiguous chunks and strided tensors on the CPU.

Nothing here decides or raises for values: results come back as `RawStats`, and
`tensorcast.core.block` turns them into a `Loss` or an error. The GIL is released while a kernel
runs.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from .. import _core
from ..buffer import Buffer
from ..formats import FORMATS, Format
from ..policy import INFS, NANS, OVERFLOWS, ROUNDINGS, ResolvedPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer as BytesLike

_FORMAT_INDEX: Final = {name: i for i, name in enumerate(FORMATS)}
_OVERFLOW_INDEX: Final = {name: i for i, name in enumerate(OVERFLOWS)}
_ROUNDING_INDEX: Final = {name: i for i, name in enumerate(ROUNDINGS)}
_NAN_INDEX: Final = {name: i for i, name in enumerate(NANS)}
_INF_INDEX: Final = {name: i for i, name in enumerate(INFS)}

if tuple(_core.formats) != tuple(FORMATS):  # the rows the extension was built from
    raise ImportError("tensorcast._core was built from other format rows: build and install again")


_KEEPING: Final = ResolvedPolicy("saturate", "nearest-even", "zero", False, 0)


class RawStats(NamedTuple):
    """What a kernel counted; complex elements count as two values.

    The first three fields are always there, `largest_overflow` (the largest magnitude that
    overflows, and its index; not an infinity that `inf` ends) under overflow="raise", `n_inf` also
    under "wrap" and where `inf` ends infinities; `n_zero` (zeros in the source), `n_to_zero` (other
    numbers whose result is 0), `one_source` and `one_result` (the code of the one value that all
    have; None of targets above 8 bits) also where `collapses` was asked for; the rest only when all
    statistics were asked for. min and max are infinite when no value is finite; for int64 and
    uint64 sources `min_integer` and `max_integer` hold them exactly (uint64: less 2^63).
    """

    n_overflow: int
    n_nan_lost: int
    first_overflow: int | None
    largest_overflow_index: int | None
    largest_overflow: float
    n_zero: int
    n_to_zero: int
    one_source: int | None
    one_result: int | None
    n_inexact: int
    n_underflow: int
    n_nan: int
    n_inf: int
    n_finite: int
    min: float
    max: float
    min_integer: int
    max_integer: int
    max_abs_error: float
    sum_squared_error: float
    sum_squared: float


class Streamed(NamedTuple):
    """How far a stream came: XXH3 of what the target got, bytes read and written, and what
    stopped it: 0 nothing, 1 reading, 2 writing. `error` is an errno, 0 where the file ended."""

    digest: int
    n_bytes_read: int
    n_bytes_written: int
    stopped: int
    error: int


class RawRanges(NamedTuple):
    """What one reading of a block counted, in codes.

    Formats of more than 8 bits: min and max are integers' values (uint64: less 2^63), and floats'
    codes turned so that they compare as the values do, a negative one's complement being its
    magnitude's code (min > max: nothing is finite); `smallest` is the least magnitude above zero, a
    float's as a code (2^64 - 1: there is none); bin b, from `first_bin`, counts the magnitudes in
    2^e <= |x| < 2^(e + 1), e = b of an integer and b + 1 - bias - mantissa bits of a float. Formats
    of 8 bits and fewer: bin b counts the code b, and nothing else is set.
    """

    n_zero: int
    n_inf: int
    n_nan: int
    min: int
    max: int
    smallest: int
    first_bin: int
    bins: tuple[int, ...]


# kinds of numbers beside the formats: plain Python's, and types whose every instance is asked
PY_BOOL, PY_INT, PY_FLOAT, PY_COMPLEX, CONVERT_EACH = 60, 61, 62, 63, 128


class FilledNumbers(NamedTuple):
    """What became of a list of numbers.

    Attributes:
        status: 0 written; 1 only its kinds gathered; 2 `object` at `path` has another length than
            the shape says, or is no list; 3 it is no number; 4 it is complex and the target real.
        kinds: bits of the kinds of numbers that were met.
        first_refused: index of the first element of the block (of at most 2048) where a value is
            first refused by the policy; None when none is.
    """

    status: int
    kinds: int
    first_refused: int | None
    n_overflow: int
    n_nan_lost: int
    n_inexact: int
    path: tuple[int, ...]
    object: object


class FilledArrays(NamedTuple):
    """What became of a list of arrays; `status` 0 or 2 as in `FilledNumbers`, `first_refused` the
    index of the first element of the first array with a refused value."""

    status: int
    first_refused: int | None
    n_overflow: int
    n_nan_lost: int
    n_inexact: int
    path: tuple[int, ...]
    object: object


def available() -> tuple[str, ...]:
    """Names of the kernel sets this CPU can run, best first; the first is the default.

    Example:
        >>> "baseline" in available()
        True
    """
    return tuple(name for name, supported in _core.kernels() if supported)


def built() -> tuple[str, ...]:
    """Names of the kernel sets in this build, whether or not this CPU can run them."""
    return tuple(name for name, _ in _core.kernels())


@cache
def default_threads() -> int:
    """Threads of a large cast: TENSORCAST_NUM_THREADS, else the CPUs this process may use."""
    asked = os.environ.get("TENSORCAST_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cast_chunk(
    source: BytesLike,
    target: BytesLike | None,
    source_format: Format,
    target_format: Format,
    policy: ResolvedPolicy,
    n_elements: int,
    first_index: int = 0,
    full: bool = False,
    kernel: str | None = None,
    collapses: bool = False,
) -> RawStats:
    """Cast contiguous elements in the machine's byte order, sub-byte formats packed.

    Args:
        source: bytes-like, at least `source_format.n_bytes(n_elements)` long.
        target: writable bytes-like, at least `target_format.n_bytes(n_elements)` long, not
            overlapping the source; None measures only.
        n_elements: of the chunk.
        first_index: index of the chunk's first element in its tensor: stochastic rounding and
            `first_overflow` count from there.
        full: all statistics, not only the counts a policy needs.
        kernel: a name of `available()`; None takes the best.
        collapses: the counts of what becomes 0 or one value; `full` has them too.

    Raises:
        ValueError: a buffer is too short, or the kernel cannot run here.
    """
    return RawStats(
        *_core.cast_chunk(
            *_common(source_format, target_format, policy, first_index, full, kernel, collapses),
            source,
            target,
            n_elements,
        )
    )


def stream_cast(
    source: int,
    source_offset: int,
    target: int | None,
    target_offset: int,
    source_block: BytesLike,
    target_block: BytesLike,
    source_format: Format,
    target_format: Format,
    policy: ResolvedPolicy,
    n_elements: int,
    first_index: int = 0,
    full: bool = False,
    collapses: bool = False,
) -> tuple[RawStats, Streamed]:
    """Elements of one file cast into another, as `cast_chunk`, a block at a time: what was just
    read is in the core's own cache when it is cast, what was cast when it is digested and written.

    Once the policy refuses a value nothing more is written, only counted.

    Args:
        source, target: descriptors; None writes nothing.
        source_offset, target_offset: bytes from the start of the files.
        source_block, target_block: writable bytes-likes to work in, for 2048 elements or more.

    Raises:
        ValueError: a block is too small.
    """
    stats, end = _core.stream_cast(
        *_common(source_format, target_format, policy, first_index, full, None, collapses),
        source,
        source_offset,
        -1 if target is None else target,
        target_offset,
        source_block,
        target_block,
        n_elements,
    )
    return RawStats(*stats), Streamed(*end)


def stream_copy(
    source: int,
    source_offset: int,
    target: int | None,
    target_offset: int,
    block: BytesLike,
    n_bytes: int,
) -> Streamed:
    """Bytes of one file copied into another, and digested, a block at a time.

    Args:
        source, target: descriptors; None digests only.
        source_offset, target_offset: bytes from the start of the files.
        block: writable bytes-like to work in.
    """
    end = _core.stream_copy(
        source, source_offset, -1 if target is None else target, target_offset, block, n_bytes
    )
    return Streamed(*end)


def cast_buffer(
    source: Buffer,
    target: Buffer | None,
    target_format: Format,
    policy: ResolvedPolicy,
    full: bool = False,
    kernel: str | None = None,
    n_threads: int | None = None,
    collapses: bool = False,
) -> RawStats:
    """Cast a tensor of any strides and byte order into another of the same shape.

    Args:
        source, target: CPU buffers of the same shape that do not overlap; target None measures
            only.
        target_format: of the target; given apart because the target may be None.
        n_threads: at most; None takes `default_threads()`.

    Raises:
        ValueError: the shapes differ in their number of elements.
    """
    return RawStats(
        *_core.cast_tensor(
            *_common(source.format, target_format, policy, 0, full, kernel, collapses),
            _layout(source),
            None if target is None else _layout(target),
            n_threads or default_threads(),
        )
    )


def copy_codes(source: Buffer, target: Buffer) -> None:
    """Copy a tensor of any strides and byte order into fresh memory of its format and shape."""
    cast_buffer(source, target, target.format, _KEEPING)


def fill_numbers(
    data: object,
    shape: tuple[int, ...],
    target: Format,
    policy: ResolvedPolicy,
    address: int,
    allowed: int,
    classify: Callable[[object], int],
    convert: Callable[[object], tuple[int, object]],
    encode: Callable[[object, int], bytes],
    *,
    kernel: str | None = None,
    by_calls: bool = False,
) -> FilledNumbers:
    """Write a nested list of numbers, one code per element, to `address`.

    Args:
        address: of contiguous memory with room for the shape in the target format, sub-byte
            formats one code to a byte.
        allowed: bits of the kinds of numbers that may be written; at the first other one writing
            ends and the kinds of the rest are gathered.
        classify: the kind of a number that is no plain Python number: the index of its format,
            one of PY_BOOL to PY_COMPLEX for a subclass, CONVERT_EACH, or -1 for no number.
        convert: (kind, plain Python number) of one number whose type is CONVERT_EACH.
        encode: the bytes of a number that no machine type holds, at an index.
        by_calls: read objects by the calls of the stable ABI only, for tests.
    """
    return FilledNumbers(
        *_core.sequence_fill(
            data,
            shape,
            _policy(target, policy, kernel),
            address,
            allowed,
            classify,
            convert,
            encode,
            by_calls,
        )
    )


def fill_arrays(
    data: object,
    shape: tuple[int, ...],
    array_shape: tuple[int, ...],
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    address: int,
    facts: tuple[object, ...],
    other: Callable[[object, tuple[int, ...]], tuple[object, int, int]],
    *,
    kernel: str | None = None,
) -> FilledArrays:
    """Cast the arrays of a nested list of this shape, one after another, to `address`.

    Args:
        array_shape: of each of them.
        source: the format of those that are read directly.
        facts: how to read them: (sample, its address) of contiguous NumPy arrays; (sample, its
            address, the DLPack exchange API's capsule, torch.Tensor.is_neg) of torch tensors; ().
        other: for the rest, (owner, address, index of the format) of their contiguous elements.
    """
    return FilledArrays(
        *_core.sequence_arrays(
            data,
            shape,
            array_shape,
            _FORMAT_INDEX[source.name],
            _policy(target, policy, kernel),
            address,
            default_threads(),
            facts,
            other,
        )
    )


def image_planes(
    target: Format,
    channels: tuple[tuple[int, float, float, float, float, bytes], ...],
    source_address: int,
    pixel_bytes: int,
    target_address: int,
    axes: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]],
    channel_axis: tuple[int, int, int],
    *,
    kernel: str | None = None,
    n_threads: int | None = None,
) -> None:
    """Write the results of an image's pixels.

    Args:
        channels: (form, divisor, reciprocal, a, b, table of codes) each, as image_table makes them.
        pixel_bytes: 1 or 2.
        axes, channel_axis: (length, bytes from one to the next in the image, in the result).
    """
    _core.image_planes(
        _FORMAT_INDEX[target.name],
        channels,
        source_address,
        pixel_bytes,
        target_address,
        axes,
        channel_axis,
        n_threads or default_threads(),
        kernel,
    )


def image_computes(kernel: str | None = None) -> bool:
    """Whether the kernels compute pixels faster than they look them up."""
    return _core.image_computes(kernel)


def memory_read(address: int, n_bytes: int) -> bytes | None:
    """A copy of this process's memory; None where some of it is not there, or where the system
    does not say."""
    return _core.memory_read(address, n_bytes)


def memory_rows(table: int, n_rows: int) -> list[tuple[int, int, int]] | None:
    """The rows whose addresses a table in memory has, as runs of equal distance: (address, rows,
    bytes from one to the next). None as of `memory_read`."""
    return _core.memory_rows(table, n_rows)


def memory_pack(
    address: int,
    pitch: int,
    n_rows: int,
    width: int,
    n_bands: int,
    target_address: int,
    *,
    kernel: str | None = None,
    n_threads: int | None = None,
) -> None:
    """Write rows of pixels without gaps.

    Args:
        pitch: bytes from one row to the next.
        n_bands: 3 and 2 for pixels of 4 bytes, of which the first three, or the first and last, are
            written; 1 for pixels of 1 byte.
    """
    _core.memory_pack(
        address,
        pitch,
        n_rows,
        width,
        n_bands,
        target_address,
        n_threads or default_threads(),
        kernel,
    )


def read_ranges(
    row: Format,
    address: int,
    n_elements: int,
    *,
    kernel: str | None = None,
    n_threads: int | None = None,
) -> RawRanges:
    """Read contiguous elements of a real format once, a byte each below 8 bits.

    Args:
        address: of the first, of any alignment.
        kernel: a name of `available()`; None takes the best.
        n_threads: at most; None takes `default_threads()`.
    """
    counted = _core.ranges(
        _FORMAT_INDEX[row.name], address, n_elements, n_threads or default_threads(), kernel
    )
    return RawRanges(*counted[:7], tuple(memoryview(counted[7]).cast("Q")))


def count_pools(more: int) -> int:
    """How many pools of memory are open, after so many more: while there is one, C leaves large
    fresh results to Python."""
    return _core.count_pools(more)


def huge_pages(enabled: bool | None = None) -> bool:
    """Whether large fresh memory asks for huge pages, before the call, which may switch it."""
    return _core.huge_pages(enabled)


def advise_huge(address: int, n_bytes: int) -> None:
    """Ask for huge pages for large fresh memory, to be written whole, before its first touch, and
    make them on all threads; `huge_pages` switches it."""
    _core.advise_huge(address, n_bytes, default_threads())


def format_index(row: Format) -> int:
    """The index of a format in the kernels' table."""
    return _FORMAT_INDEX[row.name]


def _common(
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    first_index: int,
    full: bool,
    kernel: str | None,
    collapses: bool,
) -> tuple[int, int, int, int, int, int, int, int, int, str | None]:
    """What every cast of the extension begins with."""
    return (
        _FORMAT_INDEX[source.name],
        _FORMAT_INDEX[target.name],
        _OVERFLOW_INDEX[policy.overflow],
        _ROUNDING_INDEX[policy.rounding],
        _NAN_INDEX[policy.nan],
        _INF_INDEX[policy.inf],
        policy.seed,
        first_index,
        1 if full else 2 if collapses else 0,
        kernel,
    )


def _policy(
    target: Format, policy: ResolvedPolicy, kernel: str | None
) -> tuple[int, int, int, int, int, bool, int, str | None]:
    return (
        _FORMAT_INDEX[target.name],
        _OVERFLOW_INDEX[policy.overflow],
        _ROUNDING_INDEX[policy.rounding],
        _NAN_INDEX[policy.nan],
        _INF_INDEX[policy.inf],
        policy.exact,
        policy.seed,
        kernel,
    )


def _layout(buffer: Buffer) -> tuple[int, tuple[int, ...], tuple[int, ...] | None, bool, bool]:
    strides = None if buffer.is_contiguous else buffer.strides
    return buffer.address, buffer.shape, strides, buffer.packed, buffer.byte_swapped


def xxh3(data: BytesLike, kernel: str | None = None) -> int:
    """The XXH3 digest of bytes, 64 bits, as published at github.com/Cyan4973/xxHash.

    Args:
        kernel: one of `available()`, by default the best.

    Example:
        >>> hex(xxh3(b""))  # the published value for no bytes
        '0x2d06800538d394c2'
    """
    return int(_core.xxh3(data, kernel))
