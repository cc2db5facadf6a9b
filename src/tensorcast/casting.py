"""The cast itself: check, choose, run.

`cast_chunk` serves streams and never raises for values; `cast_buffer` serves whole tensors and
holds them to the policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from .buffer import Buffer
from .errors import CastError, CastNanError, CastOverflowError, InexactCastError
from .formats import FORMATS, Format
from .kernels import cpu
from .loss import Loss, loss_of
from .policy import ResolvedPolicy, can_refuse, ends_infinities

if TYPE_CHECKING:
    from typing_extensions import Buffer as BytesLike


def cast_chunk(
    source: BytesLike,
    target: BytesLike | None,
    source_format: Format,
    target_format: Format,
    policy: ResolvedPolicy,
    *,
    n_elements: int,
    first_index: int = 0,
    report: bool = False,
) -> Loss:
    """Cast contiguous elements of a stream and say what was lost; values never raise.

    Under overflow="raise" the target gets what "saturate" would give, and the caller looks at
    `n_overflow` and `n_nan_lost`. The result depends on the values and on `first_index` alone, not
    on how a tensor is cut into chunks.

    Args:
        source: bytes-like, `source_format.n_bytes(n_elements)` bytes or more: elements in the
            machine's byte order, sub-byte formats packed, first element in the lowest bits.
        target: writable bytes-like for the result, not overlapping the source; None measures only.
        policy: resolved for this pair of formats.
        n_elements: in the chunk.
        first_index: index of the chunk's first element in its tensor.
        report: count everything a `Loss` can tell, not only overflow and lost NaNs.

    Raises:
        ValueError: a buffer is too short.

    Example:
        >>> import struct
        >>> from tensorcast.formats import FORMATS
        >>> from tensorcast.policy import Policy
        >>> float32, float16 = FORMATS["float32"], FORMATS["float16"]
        >>> out = bytearray(4)
        >>> loss = cast_chunk(struct.pack("<2f", 1.5, 70000.0), out, float32, float16,
        ...                   Policy().resolve(float32, float16), n_elements=2)
        >>> loss.n_overflow, loss.first_overflow, struct.unpack("<2e", out)
        (1, 1, (1.5, 65504.0))
    """
    raw = cpu.cast_chunk(
        source, target, source_format, target_format, policy, n_elements, first_index, report
    )
    return loss_of(raw, source_format, target_format, policy, n_elements, report)


def cast_buffer(
    source: Buffer,
    target: Buffer | None,
    target_format: Format,
    policy: ResolvedPolicy,
    *,
    report: bool = False,
    fresh: bool = False,
    name: str = "",
    n_threads: int | None = None,
    collapses: bool = False,
) -> Loss:
    """Cast a whole tensor of any strides, held to its policy.

    Where the policy can refuse and the target's old content matters to the caller, the values are
    measured first: a refusal writes nothing.

    Args:
        source: CPU buffer.
        target: CPU buffer of the same shape, writable, not overlapping; None measures only, and
            then nothing raises.
        target_format: the wanted format, the target's own.
        report: all statistics.
        fresh: the target's content does not matter: a single pass, after whose refusal it is to
            be thrown away.
        name: of the tensor, for messages.
        n_threads: at most; None takes TENSORCAST_NUM_THREADS or the CPUs at hand.
        collapses: count what `Loss.collapses` needs; `report` does too.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses; nothing was
            written.
        CastError: the buffers do not fit each other.
    """
    if target is not None:
        _check_pair(source, target, target_format)
    refusable = target is not None and may_refuse(source.format, target_format, policy)
    full = report or (refusable and policy.exact)
    written = None if refusable and not fresh else target
    raw = cpu.cast_buffer(
        source, written, target_format, policy, full, n_threads=n_threads, collapses=collapses
    )
    loss = loss_of(raw, source.format, target_format, policy, source.n_elements, full, collapses)
    if refusable:
        refuse(loss, policy, source.shape, name, source=source)
        if not fresh:
            cpu.cast_buffer(source, target, target_format, policy, n_threads=n_threads)
    return loss


def refuse(
    loss: Loss,
    policy: ResolvedPolicy,
    shape: tuple[int, ...] | None = None,
    name: str = "",
    *,
    source: Buffer | None = None,
) -> None:
    """Raise what the policy makes of a loss; return if it allows it.

    Args:
        shape: of the tensor, so that messages give an index per dimension.
        name: of the tensor, for messages.
        source: CPU buffer that was cast, so that messages show the first value refused.

    Raises:
        CastOverflowError: overflow under "raise", infinities under "wrap" or inf="raise".
        CastNanError: lost NaNs under nan="raise".
        InexactCastError: a changed value under exact=True.

    Example:
        >>> from tensorcast.policy import Policy
        >>> refuse(Loss("float32", "int8", 4, n_overflow=1, n_nan_lost=0, largest_overflow=300.0,
        ...             largest_overflow_index=2), Policy().resolve("float32", "int8"))
        Traceback (most recent call last):
        ...
        tensorcast.errors.CastOverflowError: 1 of 4 values lie outside int8 (-128 to 127, largest \
magnitude 300 at 2). Pass overflow="saturate" or "wrap", or cast to float16, which holds them.
    """
    target = FORMATS[loss.target]
    label = f"{name!r}: " if name else ""
    n_ended = n_ended_infinities(loss, policy)
    n_refused = n_out_of_range(loss, policy)
    if n_refused:
        where = _where(loss, shape, source, n_ended, policy)
        raise CastOverflowError(
            f"{label}{n_refused} of {loss.n_elements} values lie outside {loss.target} "
            f"({_number(target.min)} to {_number(target.max)}{where}). "
            f"{_way_out(loss, target, policy)}"
        )
    if policy.inf == "raise" and n_ended:
        first = _first_text(source, target, policy, "n_inf")
        raise CastOverflowError(
            f'{label}{n_ended} of {loss.n_elements} values are infinite{first}, and inf="raise" '
            f'refuses them. Pass inf="keep", or inf="saturate" for {_number(target.max)}, the '
            f"largest value of {loss.target}."
        )
    if policy.nan == "raise" and loss.n_nan_lost:
        first = _first_text(source, target, policy, "n_nan_lost")
        raise CastNanError(
            f"{label}{loss.n_nan_lost} of {loss.n_elements} values are NaN{first}, which "
            f'{loss.target} does not have. Pass nan="zero", or cast to a format with NaN.'
        )
    if policy.exact and loss.is_lossless is False:
        n_changed = (loss.n_inexact or 0) + loss.n_nan_lost
        counted = "n_inexact" if loss.n_inexact else "n_nan_lost"
        first = _first_text(source, target, policy, counted)
        kinds = _changed_text(loss, policy)
        if counted == "n_nan_lost":
            first = first.replace(" (the", "; the").removesuffix(")")
        raise InexactCastError(
            f"{label}{n_changed} of {loss.n_elements} values would change in {loss.target} "
            f"({kinds}{first}). Pass exact=False to allow it."
        )


def _changed_text(loss: Loss, policy: ResolvedPolicy) -> str:
    """By how much values change, and how many have no error that is a number."""
    target = FORMATS[loss.target].component
    ends = not target.infinity or n_ended_infinities(loss, policy)
    parts = []
    if loss.max_abs_error:
        parts.append(f"largest error {loss.max_abs_error:.9g}")
    if ends and loss.n_inf:
        parts.append("1 infinity" if loss.n_inf == 1 else f"{loss.n_inf} infinities")
    if loss.n_nan_lost:
        parts.append(f"{loss.n_nan_lost} NaN")
    return ", ".join(parts) or f"largest error {loss.max_abs_error:.9g}"


def n_ended_infinities(loss: Loss, policy: ResolvedPolicy) -> int:
    """How many infinities the target has a code for, and the policy does not keep."""
    ends = ends_infinities(FORMATS[loss.source], FORMATS[loss.target], policy)
    return loss.n_inf or 0 if ends else 0


def n_out_of_range(loss: Loss, policy: ResolvedPolicy) -> int:
    """How many values the overflow policy refuses."""
    if policy.overflow == "wrap":
        return loss.n_inf or 0
    return loss.n_overflow - n_ended_infinities(loss, policy) if policy.overflow == "raise" else 0


def would_refuse(loss: Loss, policy: ResolvedPolicy) -> bool:
    """Whether `refuse` raises."""
    try:
        refuse(loss, policy)
    except CastError:
        return True
    return False


_FIRST_LOOK = 1 << 16  # elements; each further look is at twice as many


def survives(source: Buffer, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether the policy allows every value of a CPU buffer. Stops soon after one it refuses.

    Example:
        >>> import numpy as np
        >>> from tensorcast.buffer import numpy_buffer
        >>> from tensorcast.policy import Policy
        >>> buffer, int8 = numpy_buffer(np.array([1, 300])), FORMATS["int8"]
        >>> survives(buffer, int8, Policy().resolve(buffer.format, int8))
        False
    """
    if not may_refuse(source.format, target, policy):
        return True
    if source.packed or source.n_elements <= _FIRST_LOOK:
        parts = iter([source])
    else:
        parts = _growing_parts(source)
    for part in parts:
        loss = cast_buffer(part, None, target, policy, report=policy.exact)
        if would_refuse(loss, policy):
            return False
    return True


def _growing_parts(buffer: Buffer) -> Iterator[Buffer]:
    if buffer.is_contiguous:
        buffer = replace(buffer, shape=(buffer.n_elements,), strides=(buffer.itemsize,))
    n, longest = max((n, d) for d, n in enumerate(buffer.shape))
    per_index = buffer.n_elements // n
    begin, look = 0, _FIRST_LOOK
    while begin < n:
        end = min(n, begin + max(1, look // per_index))
        yield buffer.part(longest, begin, end)
        begin, look = end, look * 2


def is_lossless_pair(source: Format, target: Format) -> bool:
    """Whether every value of one format is a value of the other, by the formats alone: infinity
    and NaN too, but a zero may lose its sign and a NaN its payload.

    Example:
        >>> int32, int64, float32 = (FORMATS[name] for name in ("int32", "int64", "float32"))
        >>> is_lossless_pair(int32, int64), is_lossless_pair(int32, float32)
        (True, False)
    """
    return source.name == target.name or _is_lossless(source.name, target.name)


@lru_cache(maxsize=2048)
def _is_lossless(source_name: str, target_name: str) -> bool:
    source, target = FORMATS[source_name], FORMATS[target_name]
    if source.is_complex and not target.is_complex:
        return False
    source, target = source.component, target.component
    if (source.infinity and not target.infinity) or (source.has_nan and not target.has_nan):
        return False
    if source.max_exact > target.max_exact or source.min_exact < target.min_exact:
        return False
    if not target.subnormals:  # no zero
        return not source.subnormals
    if source.is_float and not target.is_float:
        return False
    if not target.is_float:
        return True
    if not source.is_float:  # the end -2^n is a power of two
        return source.max_exact.numerator.bit_length() <= target.mantissa_bits + 1
    finer = source.mantissa_bits <= target.mantissa_bits
    return finer and target.smallest_exact <= source.smallest_exact


def loses_nothing(source: Format, target: Format) -> bool:
    """Whether a cast has nothing to count: of integers that the target holds whatever they are."""
    return not (source.is_float or source.is_complex) and is_lossless_pair(source, target)


_EVERYDAY_FLOATS = ("float16", "bfloat16", "float32", "float64")
_EVERYDAY_INTEGERS = ("int16", "int32", "int64")


def holding_format(magnitude: float, source: str) -> str | None:
    """The narrowest everyday format whose range holds a magnitude that `source` held: a signed
    integer for an integer source, else a float. Where an infinity is held, the finite values
    beside it, which nobody has looked at, may be as large as the source's largest.

    Example:
        >>> holding_format(70000.0, "float32"), holding_format(70000.0, "int64")
        ('bfloat16', 'int32')
        >>> holding_format(float("inf"), "float16"), holding_format(float("inf"), "float32")
        ('float16', 'float32')
    """
    row = FORMATS.get(source)
    if row is not None and magnitude == float("inf"):
        magnitude = float(row.max)
    integers = row is not None and row.is_integer
    for name in _EVERYDAY_INTEGERS if integers else _EVERYDAY_FLOATS:
        if magnitude <= FORMATS[name].max:
            return name
    return None if source not in FORMATS else source


def _way_out(loss: Loss, target: Format, policy: ResolvedPolicy) -> str:
    if policy.overflow == "wrap":
        return 'An infinity does not wrap: pass overflow="saturate".'
    others = ['"saturate"']
    infinite = loss.largest_overflow == float("inf")
    if target.is_integer and not infinite:
        others.append('"wrap"')
    elif target.infinity or target.has_nan:
        others.append('"ieee"')
    way = f"Pass overflow={' or '.join(others)}"
    holds = None
    if loss.largest_overflow is not None and target.name != "float8_e8m0fnu":
        holds = holding_format(loss.largest_overflow, loss.source)
    if holds is None or (infinite and holds == loss.source):
        return f"{way}."
    return f"{way}, or cast to {holds}, which holds them."


def _where(
    loss: Loss,
    shape: tuple[int, ...] | None,
    source: Buffer | None,
    n_ended: int,
    policy: ResolvedPolicy,
) -> str:
    """What overflows first and most, and where; n_ended: infinities among them that do not count,
    of which the first may be one."""
    if loss.largest_overflow is None or loss.largest_overflow_index is None:
        return ""
    largest = f"largest magnitude {_number(loss.largest_overflow)} at "
    largest += _index_text(loss.largest_overflow_index, shape)
    if source is None or loss.first_overflow is None or n_ended:
        return f", {largest}"
    first = f"{_number(value_at(source, loss.first_overflow))} at "
    first += _index_text(loss.first_overflow, shape)
    if loss.n_overflow == 1:
        return f"; it is {first}"
    infinite = _infinite_text(loss, source, policy)
    if loss.first_overflow == loss.largest_overflow_index:
        return f"{infinite}; first and largest {first}"
    return f"{infinite}; first {first}, {largest}"


def _infinite_text(loss: Loss, source: Buffer, policy: ResolvedPolicy) -> str:
    """How many of the values out of range are infinite; "" if none is."""
    if loss.largest_overflow != math.inf:
        return ""
    counted = cast_buffer(source, None, FORMATS[loss.target], policy, report=True)
    if counted.n_inf == loss.n_overflow:
        return ", all infinite"
    return f", {counted.n_inf} of them infinite"


def _first_text(source: Buffer | None, target: Format, policy: ResolvedPolicy, counted: str) -> str:
    """Where the first value lies that adds to a count of `Loss`, found by halving."""
    if source is None or source.packed:
        return ""
    index: list[int] = []
    rest = source
    for dimension, n in enumerate(source.shape):
        low, high = 0, n
        while high - low > 1:
            middle = (low + high) // 2
            half = rest.part(dimension, low, middle)
            loss = cast_buffer(half, None, target, policy, report=counted == "n_inexact")
            low, high = (low, middle) if getattr(loss, counted) else (middle, high)
        rest = rest.part(dimension, low, low + 1)
        index.append(low)
    if counted != "n_inexact":
        return f" (the first at {index})"
    return f"; the first is {_number(value_at(rest, 0))} at {index}"


def value_at(buffer: Buffer, index: int) -> int | float | complex:
    """The element with a flat index (C order) of a CPU buffer, as a Python number.

    Example:
        >>> import numpy as np
        >>> from tensorcast.buffer import numpy_buffer
        >>> value_at(numpy_buffer(np.array([[1, 2], [3, 4]], ">i2").T), 1)
        3
    """
    import ctypes

    row = buffer.format
    if buffer.packed:
        first, last = index * row.bits // 8, ((index + 1) * row.bits + 7) // 8
        raw = int.from_bytes(ctypes.string_at(buffer.address + first, last - first), "little")
        return _plain(raw >> (index * row.bits - first * 8), row)
    at = buffer.address
    for n, stride in zip(reversed(buffer.shape), reversed(buffer.strides), strict=True):
        at += index % n * stride
        index //= n
    order: Literal["little", "big"] = "big" if buffer.byte_swapped else "little"
    half = row.component.container_bits // 8
    raw_bytes = ctypes.string_at(at, buffer.itemsize)
    numbers = [
        _plain(int.from_bytes(raw_bytes[i : i + half], order), row.component)
        for i in range(0, buffer.itemsize, half)
    ]
    return complex(numbers[0], numbers[1]) if row.is_complex else numbers[0]


def _plain(code: int, row: Format) -> int | float:
    from .reference import Special, decode

    value = decode(code & ((1 << row.bits) - 1), row)
    assert not isinstance(value, tuple)
    if isinstance(value, Special):
        sign = "-" if value.negative else ""
        return float(f"{sign}{'0' if value.kind == 'zero' else value.kind}")
    return float(value) if row.is_float else int(value)


def _number(value: int | float | complex) -> str:
    """Integers in full, floats with nine digits, of which no zero is shown."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        value = int(value)
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def _index_text(index: int, shape: tuple[int, ...] | None) -> str:
    """A flat index as one per dimension: [3, 17]."""
    if shape is None:
        return str(index)
    indices: list[int] = []
    for n in reversed(shape):
        indices.append(index % n)
        index //= n
    return str(indices[::-1])


def may_refuse(source: Format, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether some value of the source could make the policy refuse."""
    return _may_refuse(source.name, target.name, policy)


@lru_cache(maxsize=1024)
def _may_refuse(source_name: str, target_name: str, policy: ResolvedPolicy) -> bool:
    source, target = FORMATS[source_name], FORMATS[target_name]
    if policy.exact:
        ends = ends_infinities(source, target, policy)
        return ends or not is_lossless_pair(source, target)
    return can_refuse(source, target, policy)


def _check_pair(source: Buffer, target: Buffer, target_format: Format) -> None:
    if source.shape != target.shape:
        raise CastError(
            f"the source has shape {list(source.shape)}, the target {list(target.shape)}"
        )
    if target.format.name != target_format.name:
        raise CastError(f"the target holds {target.format.name}, not {target_format.name}")
    if not target.writable:
        raise CastError("the target is read-only; write into a copy of it")
    for buffer, role in ((source, "source"), (target, "target")):
        if buffer.device != "cpu":
            raise CastError(
                f"the {role} is on {buffer.device}; these kernels read the CPU's memory"
            )
    if target.overlaps_itself:
        raise CastError(
            "several elements of the target share memory (a broadcast dimension); write into "
            "memory of its own"
        )
    if source.overlaps(target):
        raise CastError(
            "source and target overlap in memory; cast into memory of its own (a cast in place "
            "is another operation)"
        )
