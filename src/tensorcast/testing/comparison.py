"""The comparison of two results of a cast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .. import reference
from ..formats import Format
from .codes import codes_of, logical

if TYPE_CHECKING:
    import numpy as np

Nan = Literal["any", "bits"]


def assert_cast_close(
    actual: Any,
    expected: Any,
    *,
    max_ulps: int = 0,
    nan: Nan = "any",
    source: Any = None,
) -> None:
    """Raise unless two results of a cast are of one format and shape and of the same values.

    Args:
        actual, expected: NumPy arrays (ml_dtypes too), torch tensors or packed tensors, of any
            strides; one may be of another library than the other.
        max_ulps: 0: the same bits, the sign of a zero included. More: so many steps between
            neighbouring values of the format apart; zeros are equal then. An infinity is close
            to itself only.
        nan: "any": a NaN equals a NaN. "bits": its sign and payload count too.
        source: what was cast, of the same shape: messages show its values.

    Raises:
        AssertionError: they differ: how many, where first, both values and codes, and the largest
            distance.
        CastError: an argument is neither an array nor a tensor.

    Example:
        >>> import numpy as np
        >>> assert_cast_close(np.float16([1, 2, 3]), np.float16([1, 2, 3.002]))
        Traceback (most recent call last):
        ...
        AssertionError: 1 of 3 values of float16 differ. First at [2]: actual 3.0 (0x4200), \
expected 3.001953125 (0x4201), 1 ulp apart
        >>> assert_cast_close(np.float16([1, 2, 3]), np.float16([1, 2, 3.002]), max_ulps=1)
    """
    import numpy as np

    row, found = codes_of(actual)
    wanted_row, wanted = codes_of(expected)
    if row != wanted_row:
        raise AssertionError(f"actual is {row.name}, expected is {wanted_row.name}")
    if found.shape != wanted.shape:
        shapes = [list(logical(codes.shape, row)) for codes in (found, wanted)]
        raise AssertionError(f"actual has shape {shapes[0]}, expected has {shapes[1]}")
    differ = found != wanted
    if not differ.any():
        return
    part = row.component
    steps = _distance(found, wanted, part)
    finite = _is_finite(found, part) & _is_finite(wanted, part)
    if nan == "any":
        differ &= ~(_is_nan(found, part) & _is_nan(wanted, part))
    if max_ulps:
        differ &= ~finite | (steps > np.uint64(max_ulps))
    if not differ.any():
        return
    steps = np.where(finite & differ, steps, np.uint64(0))
    if row.is_complex:
        differ, steps = differ.any(axis=-1), steps.max(axis=-1)
    first = tuple(int(i) for i in np.argwhere(differ)[0])
    farthest = tuple(int(i) for i in np.unravel_index(int(np.argmax(steps)), steps.shape))
    text = f"{int(differ.sum())} of {differ.size} values of {row.name} "
    text += f"are more than {max_ulps} ulps apart" if max_ulps else "differ"
    text += f". First {_difference(first, found, wanted, row, source)}"
    if steps[farthest] > steps[first]:
        text += f"; farthest {_difference(farthest, found, wanted, row, source)}"
    raise AssertionError(text)


def _difference(
    at: tuple[int, ...], found: np.ndarray, wanted: np.ndarray, row: Format, source: Any
) -> str:
    text = f"at {list(at)}: "
    if source is not None:
        source_row, codes = codes_of(source)
        text += f"from {_show(codes[at], source_row)}, "
    text += f"actual {_show(found[at], row)}, expected {_show(wanted[at], row)}"
    if not row.is_complex and _is_finite(found[at], row) and _is_finite(wanted[at], row):
        steps = int(_distance(found[at], wanted[at], row))
        text += f", {steps} ulp{'' if steps == 1 else 's'} apart"
    return text


def _show(code: Any, row: Format) -> str:
    """A code's value and the code in hexadecimal."""
    if row.is_complex:
        return f"({_show(code[0], row.component)}, {_show(code[1], row.component)})"
    value = reference.decode(int(code), row)
    if isinstance(value, reference.Special):
        text = {"infinity": "inf", "nan": "nan", "zero": "0.0"}[value.kind]
        text = f"-{text}" if value.negative else text
    else:
        assert not isinstance(value, tuple)
        text = repr(float(value)) if row.is_float else str(value)
    return f"{text} ({int(code):#0{2 + (row.bits + 3) // 4}x})"


def _distance(a: np.ndarray, b: np.ndarray, row: Format) -> np.ndarray:
    """Steps from value to value between codes, as uint64; -0 and +0 are one value."""
    import numpy as np

    left, right = _order(a, row), _order(b, row)
    distance: np.ndarray = np.maximum(left, right) - np.minimum(left, right)
    return distance


def _order(codes: np.ndarray, row: Format) -> np.ndarray:
    """uint64 numbers in the order of the codes' values, one apart for neighbours."""
    import numpy as np

    codes = codes.astype(np.uint64)
    if row.kind in ("bool", "uint") or not row.signed:
        return codes
    sign = np.uint64(1 << (row.bits - 1))
    if row.kind == "int":
        ordered: np.ndarray = codes ^ sign
        return ordered
    magnitude = codes & (sign - np.uint64(1))
    return np.where(codes & sign != 0, sign - magnitude, sign + magnitude)


def _is_nan(codes: np.ndarray, row: Format) -> np.ndarray:
    import numpy as np

    magnitude = _magnitude(codes, row)
    if row.nan == "none":
        return np.zeros(np.shape(codes), bool)
    assert row.nan_code is not None
    if row.nan == "negative-zero":
        return np.asarray(codes == row.nan_code)
    if row.nan == "all-ones":
        return np.asarray(magnitude == row.nan_code)
    return np.asarray(magnitude > np.uint64(row.infinity_code or 0))


def _is_finite(codes: np.ndarray, row: Format) -> np.ndarray:
    import numpy as np

    if not row.is_float:
        return np.ones(np.shape(codes), bool)
    return np.asarray((_magnitude(codes, row) <= row.max_code) & ~_is_nan(codes, row))


def _magnitude(codes: np.ndarray, row: Format) -> np.ndarray:
    import numpy as np

    mask = (1 << (row.exponent_bits + row.mantissa_bits)) - 1
    return np.asarray(codes).astype(np.uint64) & np.uint64(mask)
