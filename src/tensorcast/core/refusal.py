"""What a policy makes of a loss: the error, which says what does not fit, where, and the way out.

Every advice on the format to take instead is given here, so that a cast, a sequence, a checkpoint,
a profile and a trace give the same.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal

from ..buffer import Buffer
from ..errors import CastError, CastNanError, CastOverflowError, InexactCastError
from ..formats import FORMATS, Format
from ..policy import ResolvedPolicy, ends_infinities
from ..reference import Special, decode
from .loss import Loss

Look = Callable[[Buffer, bool], Loss]
"""What measures a part of a buffer; True: every statistic."""


def refuse(
    loss: Loss,
    policy: ResolvedPolicy,
    shape: tuple[int, ...] | None = None,
    name: str = "",
    *,
    source: Buffer | None = None,
    look: Look | None = None,
) -> None:
    """Raise what the policy makes of a loss; return if it allows it.

    Args:
        shape: of the tensor, so that messages give an index per dimension.
        name: of the tensor, for messages.
        source: CPU buffer that was cast, so that messages show the first value refused.
        look: measures a part of it, to find that value; None: it is not looked for.

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
        where = _where(loss, shape, source, look, n_ended)
        raise CastOverflowError(
            f"{label}{n_refused} of {loss.n_elements} values lie outside {loss.target} "
            f"({_number(target.min)} to {_number(target.max)}{where}). "
            f"{_way_out(loss, target, policy)}"
        )
    if policy.inf == "raise" and n_ended:
        first = _first_text(source, look, "n_inf")
        raise CastOverflowError(
            f'{label}{n_ended} of {loss.n_elements} values are infinite{first}, and inf="raise" '
            f'refuses them. Pass inf="keep", or inf="saturate" for {_number(target.max)}, the '
            f"largest value of {loss.target}."
        )
    if policy.nan == "raise" and loss.n_nan_lost:
        first = _first_text(source, look, "n_nan_lost")
        raise CastNanError(
            f"{label}{loss.n_nan_lost} of {loss.n_elements} values are NaN{first}, which "
            f'{loss.target} does not have. Pass nan="zero", or cast to a format with NaN.'
        )
    if policy.exact and loss.is_lossless is False:
        n_changed = (loss.n_inexact or 0) + loss.n_nan_lost
        counted = "n_inexact" if loss.n_inexact else "n_nan_lost"
        first = _first_text(source, look, counted)
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


_WHOLE = ("int8", "int16", "int32", "int64", "uint64")
_REAL = ("float16", "bfloat16", "float32", "float64")


def format_that_holds(
    target: Format, low: float, high: float, *, whole: bool = False
) -> Format | None:
    """The format to take instead of one that does not hold some values: of the formats in everyday
    use, no narrower than it, the narrowest whose range reaches from `low` to `high`; None where
    none does.

    Args:
        target: what does not hold them.
        low, high: of all values, exact where they are integers. Infinite ones are no part of it.
        whole: they are integers. They go to an integer format where the target is one; into floats
            to float32, or wider.

    Example:
        >>> int32, float16 = FORMATS["int32"], FORMATS["float16"]
        >>> format_that_holds(int32, 0, 3_000_000_000, whole=True).name
        'int64'
        >>> format_that_holds(float16, -3.35e38, 1.0).name
        'bfloat16'
        >>> format_that_holds(float16, 0, 70_000, whole=True).name
        'float32'
    """
    names: tuple[str, ...] = _REAL
    if whole:
        names = (*_WHOLE, "float64") if target.is_integer else _REAL[2:]
    for name in names:
        row = FORMATS[name]
        if row.bits >= target.bits and row != target and row.min <= low and high <= row.max:
            return row
    return None


def format_that_keeps(source: Format, target: Format, amax: float | None) -> Format:
    """The format to take instead of one in which next to nothing of a tensor is left: 16 bits where
    its magnitudes allow it, else the source's own."""
    if not source.is_float or source.bits <= 16 or target.name == "bfloat16":
        return source
    row = FORMATS["bfloat16"]
    return row if amax is None or amax <= row.max else source


def way_out(
    target: Format, policy: ResolvedPolicy, holds: str = "", *, infinite: bool = False
) -> str:
    """What to do about values that lie outside a format, as sentences.

    Args:
        holds: what else to do, and that it holds them: "cast to int64, which holds them".
        infinite: the refused value that is shown is an infinity, which does not wrap.
    """
    if policy.overflow == "wrap":
        return 'An infinity does not wrap: pass overflow="saturate".'
    others = ['"saturate"']
    if target.is_integer and not infinite:
        others.append('"wrap"')
    elif target.component.infinity or target.component.has_nan:
        others.append('"ieee"')
    return f"Pass overflow={' or '.join(others)}{f', or {holds}' if holds else ''}."


def _way_out(loss: Loss, target: Format, policy: ResolvedPolicy) -> str:
    magnitude, source = loss.largest_overflow, FORMATS[loss.source]
    infinite = magnitude == inf
    if magnitude is None or infinite or not target.has_zero:
        # beside an infinity may stand what nobody has looked at
        return way_out(target, policy, infinite=infinite)
    least = -magnitude if source.signed else 0
    holds = format_that_holds(target, least, magnitude, whole=source.is_integer) or source
    return way_out(target, policy, f"cast to {holds.name}, which holds them")


def _where(
    loss: Loss,
    shape: tuple[int, ...] | None,
    source: Buffer | None,
    look: Look | None,
    n_ended: int,
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
    infinite = _infinite_text(loss, source, look)
    if loss.first_overflow == loss.largest_overflow_index:
        return f"{infinite}; first and largest {first}"
    return f"{infinite}; first {first}, {largest}"


def _infinite_text(loss: Loss, source: Buffer, look: Look | None) -> str:
    """How many of the values out of range are infinite; "" if none is."""
    if loss.largest_overflow != inf or look is None:
        return ""
    counted = look(source, True)
    if counted.n_inf == loss.n_overflow:
        return ", all infinite"
    return f", {counted.n_inf} of them infinite"


def _first_text(source: Buffer | None, look: Look | None, counted: str) -> str:
    """Where the first value lies that adds to a count of `Loss`, found by halving."""
    if source is None or look is None or source.packed:
        return ""
    index: list[int] = []
    rest = source
    for dimension, n in enumerate(source.shape):
        low, high = 0, n
        while high - low > 1:
            middle = (low + high) // 2
            half = rest.part(dimension, low, middle)
            loss = look(half, counted == "n_inexact")
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
