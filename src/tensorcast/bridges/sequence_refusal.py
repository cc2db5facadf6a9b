"""What is wrong with a nested list, said with the path to it: `data[3][17]`."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import isfinite, prod
from typing import Any

from ..buffer import Buffer, contiguous_strides
from ..core.block import cast_buffer
from ..core.refusal import format_that_holds, way_out
from ..errors import CastError, CastNanError, CastOverflowError, InexactCastError
from ..formats import FORMATS, Format
from ..kernels import cpu
from ..policy import ResolvedPolicy
from ..reference import Outcome, cast_code, decode, encode
from . import about_files, about_models

_BLOCK = 2048  # numbers that the kernels look at together


def name_of(path: tuple[int, ...]) -> str:
    """The expression that gives what lies at a path.

    Example:
        >>> name_of((3, 17))
        'data[3][17]'
    """
    return "data" + "".join(f"[{i}]" for i in path)


def leaves(data: Any, depth: int) -> Iterator[Any]:
    """What lies below `depth` levels of lists, in order."""
    if depth == 0:
        yield data
        return
    for item in data:
        yield from leaves(item, depth - 1)


def misshapen(
    filled: cpu.FilledNumbers | cpu.FilledArrays,
    shape: tuple[int, ...],
    target: Format,
) -> CastError:
    """The error for a status that is no refusal of a value."""
    path, found = filled.path, filled.object
    if filled.status == 4:
        return CastError(
            f"{name_of(path)}: {found} is complex, and {target.name} would drop its imaginary "
            'part; pass dtype="complex64" or take .real'
        )
    if filled.status == 3:
        first = "" if not path or not any(path) else f", where {name_of((0,) * len(path))} is one"
        return no_number(found, path, first)
    sibling = name_of((0,) * len(path))
    if isinstance(found, (list, tuple)):
        wanted = shape[len(path)]
        return CastError(f"{name_of(path)} has {_items(len(found))}, where {sibling} has {wanted}")
    return CastError(
        f"{name_of(path)} is {_described(found)}, where {sibling} is a list of "
        f"{_items(shape[len(path)])}"
    )


def no_number(found: object, path: tuple[int, ...], more: str) -> CastError:
    """The error for something that stands where a number should."""
    if isinstance(found, (list, tuple)):
        return CastError(
            f"{name_of(path)} is a {type(found).__name__} of {_items(len(found))}, "
            f"where {name_of((0,) * len(path))} is a number"
        )
    files = about_models(found) or about_files(found)
    way = f"; {files}" if files else ""
    if found is None or is_masked(found):
        way = " (null=VALUE says what stands for it)"
    return CastError(f"{name_of(path)} is {_described(found)}, not a number{more}{way}")


def other_shape(
    x: object, path: tuple[int, ...], found: tuple[int, ...] | None, each: tuple[int, ...]
) -> CastError:
    """The error for an array of another shape than the first's."""
    what = f"has shape {list(found)}" if found is not None else f"is {_described(x)}"
    first = name_of((0,) * len(path))
    return CastError(f"{name_of(path)} {what}, where {first} has shape {list(each)}")


def _items(n: int) -> str:
    return f"{n} item" if n == 1 else f"{n} items"


def is_masked(x: object) -> bool:
    """Whether an object is `numpy.ma.masked`, or a masked array without dimensions whose value is
    masked."""
    ma = sys.modules.get("numpy.ma")
    if ma is None or not isinstance(x, ma.MaskedArray):
        return False
    return x.ndim == 0 and x.dtype.fields is None and bool(ma.getmaskarray(x))


def _described(x: object) -> str:
    if x is None:
        return "None"
    if is_masked(x):
        return "a masked value"
    shape = getattr(x, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"a {type(x).__name__} of shape {list(shape)}"
    if isinstance(x, (bool, int, float, complex)):
        return f"the number {x!r}" if len(repr(x)) < 40 else "a number"
    if isinstance(x, (str, bytes)):
        text = repr(x)
        return f"the {type(x).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
    name = type(x).__qualname__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def outcome_of(number: object, target: Format, policy: ResolvedPolicy, index: int) -> Outcome:
    """What the reference makes of a plain Python number."""
    if isinstance(number, int):
        return encode(int(number), target, policy, index)
    if isinstance(number, float):
        (code,) = struct.unpack("<Q", struct.pack("<d", number))
        return cast_code(code, FORMATS["float64"], target, policy, index)
    assert isinstance(number, complex)
    low, high = struct.unpack("<QQ", struct.pack("<dd", number.real, number.imag))
    return cast_code(high << 64 | low, FORMATS["complex128"], target, policy, index)


def is_refused(outcome: Outcome, policy: ResolvedPolicy) -> bool:
    """Whether the policy refuses this outcome of a finite number."""
    return (
        (outcome.overflow and policy.overflow == "raise")
        or (outcome.nan_lost and policy.nan == "raise")
        or (policy.exact and (outcome.inexact or outcome.nan_lost))
    )


def _overflows(
    number: Any, target: Format, policy: ResolvedPolicy, index: int, outcome: Outcome
) -> tuple[bool, bool]:
    """Whether an infinity is not kept that the target has, and whether anything else overflows."""
    if policy.inf == "keep" or not target.component.infinity:
        return False, outcome.overflow
    parts = (number.real, number.imag) if isinstance(number, complex) else (number,)
    finite = [x for x in parts if x not in (float("inf"), -float("inf"))]
    beyond = any(outcome_of(x, target.component, policy, index).overflow for x in finite)
    return len(finite) < len(parts), beyond


def refused(
    data: object,
    shape: tuple[int, ...],
    begin: int,
    target: Format,
    policy: ResolvedPolicy,
    plain: Callable[[object], Any],
) -> CastError:
    """The error for the first refused number from index `begin` on."""
    for index in range(begin, min(begin + _BLOCK, prod(shape))):
        path = _unravel(index, shape)
        number = data
        for i in path:
            number = number[i]  # type: ignore[index]
        number = plain(number)
        outcome = outcome_of(number, target, policy, index)
        infinite = isinstance(number, float) and number in (float("inf"), -float("inf"))
        where = f"{name_of(path)}: {_shown(number)}"
        unbounded = infinite and policy.overflow == "wrap"
        ended, beyond = _overflows(number, target, policy, index, outcome)
        if ended and policy.inf == "raise":
            return CastOverflowError(
                f'{where} is refused by inf="raise". Pass inf="keep", or inf="saturate" for '
                f"{target.max:.9g}, the largest value of {target.name}."
            )
        if (beyond and policy.overflow == "raise") or (outcome.overflow and unbounded):
            numbers = [plain(each) for each in leaves(data, len(shape))]
            low, high = (
                (x if isinstance(x, int) else f"{x:.9g}") for x in (target.min, target.max)
            )
            return CastOverflowError(
                f"{where} lies outside {target.name} ({low} to {high}). "
                f"{_way_out(number, numbers, target, policy, infinite)}"
            )
        if outcome.nan_lost and policy.nan == "raise":
            return CastNanError(
                f'{where} has no place in {target.name}. Pass nan="zero", or a format with NaN.'
            )
        if policy.exact and (outcome.inexact or outcome.nan_lost):
            result = decode(outcome.code, target)
            became = f" (to {float(result)!r})" if isinstance(result, Fraction) else ""
            return InexactCastError(
                f"{where} would change in {target.name}{became}. Pass exact=False to allow it."
            )
    raise AssertionError("the kernels refused what the reference does not")


def _shown(number: Any) -> str:
    if isinstance(number, float) and number != number:
        return "NaN"
    text = repr(number)
    return text if len(text) <= 40 else f"{text[:16]}...{text[-8:]} ({len(text)} digits)"


def _way_out(
    number: Any, numbers: list[Any], target: Format, policy: ResolvedPolicy, infinite: bool
) -> str:
    holds = "" if infinite or policy.overflow == "wrap" else _holding(number, numbers, target)
    return way_out(target, policy, f'dtype="{holds}", which holds it' if holds else "")


def _holding(number: Any, numbers: list[Any], target: Format) -> str:
    """The format with room for the number and all beside it; "" where there is none."""
    if isinstance(number, complex):
        return "complex128" if target.name == "complex64" else ""
    if target.is_complex or any(isinstance(each, complex) for each in numbers):
        return ""
    whole = isinstance(number, int)
    finite = [each for each in numbers if isinstance(each, int) or isfinite(each)]
    whole = whole and all(isinstance(each, int) for each in numbers)
    holds = format_that_holds(target, min(finite), max(finite), whole=whole)
    return holds.name if holds else ""


def _unravel(index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    path: list[int] = []
    for n in reversed(shape):
        path.append(index % n)
        index //= n
    return tuple(reversed(path))


def refused_array(
    data: object,
    shape: tuple[int, ...],
    each: tuple[int, ...],
    begin: int,
    target: Format,
    policy: ResolvedPolicy,
    contiguous: Callable[[Any, tuple[int, ...]], tuple[Format, tuple[object, int], bool]],
) -> CastError:
    """The error for the first array with a refused value, whose first element is `begin`."""
    path = _unravel(begin // prod(each), shape)
    found: Any = data
    for i in path:
        found = found[i]
    row, (owner, address), _ = contiguous(found, path)
    size = row.container_bits // 8
    source = Buffer(address, each, contiguous_strides(each, size), row, owner=owner)
    scratch = bytearray(prod(each) * target.container_bits // 8 or 1)
    import ctypes

    room = ctypes.addressof((ctypes.c_char * len(scratch)).from_buffer(scratch))
    strides = contiguous_strides(each, target.container_bits // 8)
    out = Buffer(room, each, strides, target, owner=scratch)
    try:
        cast_buffer(source, out, target, policy, name=name_of(path))
    except CastError as error:
        return error
    raise AssertionError("the kernels refused what they do not when asked again")
