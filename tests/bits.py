"""The one comparison of codes: it raises, and says which code went wrong, from what, to what."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tensorcast import reference
from tensorcast.formats import FORMATS, Format

IN_NUMPY = [row for row in FORMATS.values() if row.spellings.keys() & {"numpy", "ml_dtypes"}]
"""The formats that NumPy or ml_dtypes has a dtype for."""


def code_dtype(row: Format) -> np.dtype:
    """The unsigned dtype of one code; of one component's for a complex format."""
    return np.dtype(f"u{row.component.container_bits // 8}")


def as_codes(array: object, row: Format) -> np.ndarray:
    """The codes of an array: [n], or [n, 2] (real, imaginary) for a complex format.

    Takes an array of the format's own dtype, of its codes, or a list of codes. Memory is
    shared where the array's dtype allows it.
    """
    if isinstance(array, (list, tuple, range)):
        if row.is_complex:
            half = row.bits // 2
            array = [[code & ((1 << half) - 1), code >> half] for code in array]
        array = np.array(array, np.uint64)
    array = np.asarray(array)
    if row.is_complex and array.ndim != 2:  # complex dtypes, or codes of both components
        array = np.ascontiguousarray(array).view(code_dtype(row))
    if array.dtype.kind not in "iub" or array.dtype.names:
        array = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    if array.dtype.itemsize != code_dtype(row).itemsize:
        array = array.astype(code_dtype(row))
    array = array.view(code_dtype(row))
    if row.bits < 8:  # ml_dtypes keeps sign-extended codes
        array = array & np.uint8((1 << row.bits) - 1)
    return array.reshape(-1, 2) if row.is_complex else array.reshape(-1)


def numpy_dtype(row: Format) -> np.dtype:
    """NumPy's or ml_dtypes' dtype of a format."""
    name = row.spellings.get("numpy") or row.spellings["ml_dtypes"]
    return np.dtype(name) if "numpy" in row.spellings else np.dtype(getattr(ml_dtypes, name))


def as_array(codes: np.ndarray, row: Format) -> np.ndarray:
    """Codes as an array of the format's NumPy or ml_dtypes dtype: the inverse of `as_codes`.

    Bytes of bool must be 0 or 1. Memory is shared where nothing has to change.
    """
    if row.bits < 8 and row.kind == "int":  # ml_dtypes keeps them sign-extended
        codes = (codes.view(np.int8) << (8 - row.bits)) >> (8 - row.bits)
    return np.ascontiguousarray(codes).view(numpy_dtype(row)).reshape(-1)


def expect_same_codes(
    found: object,
    expected: object,
    target: Format,
    *,
    source: Format | None = None,
    source_codes: object = None,
    what: str = "",
    first_index: int = 0,
) -> None:
    """Raise AssertionError unless both hold the same codes, NaN payloads and signs of zero too.

    Args:
        found, expected: what `as_codes` takes.
        source, source_codes: what was cast, for the message.
        what: names the kernel, pair and policy, for the message.
        first_index: of the first element, for the message.
    """
    left, right = as_codes(found, target), as_codes(expected, target)
    if left.shape != right.shape:
        raise AssertionError(f"{what}: {left.shape} codes found, {right.shape} expected")
    differ = left != right
    if not differ.any():
        return
    rows = differ.any(axis=1) if differ.ndim == 2 else differ
    lines = [f"{what}: {int(rows.sum())} of {len(left)} codes of {target.name} differ:"]
    inputs = as_codes(source_codes, source) if source is not None else None
    for i in np.flatnonzero(rows)[:6]:
        came_from = f" from {_show(inputs[i], source)}" if inputs is not None else ""
        lines.append(
            f"  [{first_index + i}]{came_from}: found {_show(left[i], target)}, "
            f"expected {_show(right[i], target)}"
        )
    raise AssertionError("\n".join(lines))


def _show(code: np.ndarray, row: Format) -> str:
    """A code in hexadecimal and what it means."""
    if row.is_complex:
        return f"({_show(code[0], row.component)}, {_show(code[1], row.component)})"
    value = reference.decode(int(code), row)
    if isinstance(value, reference.Special):
        text = f"{'-' if value.negative else ''}{value.kind}"
    else:
        text = repr(float(value)) if row.is_float else str(value)
    return f"{int(code):#0{2 + (row.bits + 3) // 4}x} ({text})"
