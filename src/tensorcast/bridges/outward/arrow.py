"""Arrow arrays over memory.

One dimension makes an array of Arrow's own type; more make a FixedShapeTensorArray, one tensor to
a row, which a table can hold. A format that Arrow lacks is its canonical type for that,
`arrow.opaque`: unsigned integers (or pairs of floats) with the format's name.
"""

from __future__ import annotations

from math import prod
from typing import Any, Final

from ...buffer import Buffer
from ...formats import FORMATS, Format
from ..memory import as_numpy
from . import numpy
from .fit import Fit

_OWN: Final = {"float16": "float16", "float32": "float32", "float64": "float64", "bool": "bool_"}


def load() -> Any:
    """Import pyarrow."""
    from . import load

    return load("pyarrow")


def is_own(x: object) -> bool:
    """Whether an object is what this module makes: numbers without nulls, by the same types."""
    pa = load()
    if not isinstance(x, pa.Array) or x.null_count:
        return False
    kind = x.type
    kind = kind.value_type if isinstance(kind, pa.FixedShapeTensorType) else kind
    if isinstance(kind, getattr(pa, "OpaqueType", ())):
        return opaque_format(kind) is not None
    return not isinstance(kind, pa.BaseExtensionType | pa.FixedSizeListType)


def described(x: Any) -> tuple[Format, tuple[int, ...], str]:
    """Format, shape and device."""
    from ..seeing import see

    seen = see(x)
    assert seen is not None
    return seen.buffer.format, seen.buffer.shape, "cpu"


def fit(row: Format, shape: tuple[int, ...]) -> Fit:
    """What NumPy and ml_dtypes have; eight bools to a byte."""
    if not shape:
        return Fit(lacks="an Arrow array has a length, and no dimensions make none: reshape to [1]")
    if not _is_arrows(row) and not hasattr(load(), "opaque"):
        return Fit(lacks=f"pyarrow {load().__version__} has no opaque types for {row.name}; 18 has")
    if not _is_arrows(row) and (lacks := numpy.fit(row, shape).lacks):
        return Fit(lacks=lacks)
    if row.kind == "bool":
        return Fit(remade="Arrow packs eight bools to a byte", n_bytes=(prod(shape) + 7) // 8)
    return Fit()


def inferred(row: Format) -> tuple[Format, ...]:
    """What NumPy infers."""
    return (row,)


def wrap(buffer: Buffer) -> Any:
    """An array on the memory."""
    pa = load()
    row, shape = buffer.format, buffer.shape
    n, per_row = prod(shape), prod(shape[1:])
    array = as_numpy(buffer)  # which keeps the owner's memory in place, not only alive
    if row.kind == "bool":
        values = pa.array(array.reshape(-1))
    else:
        memory = pa.py_buffer(b"")
        if n:
            memory = pa.foreign_buffer(buffer.address, buffer.n_bytes, base=array)
        if row.is_complex:
            part = pa.float32() if row.bits == 64 else pa.float64()
            parts = pa.Array.from_buffers(part, 2 * n, [None, memory])
            stored = pa.Array.from_buffers(pa.list_(part, 2), n, [None], children=[parts])
        else:
            stored = pa.Array.from_buffers(_storage(row), n, [None, memory])
        values = stored
        if not _is_arrows(row):
            vendor = "numpy" if row.is_complex else "ml_dtypes"
            kind = pa.opaque(stored.type, row.name, vendor)
            values = pa.ExtensionArray.from_storage(kind, stored)
    if len(shape) == 1:
        return values
    kind = pa.fixed_shape_tensor(values.type, shape[1:])
    rows = pa.Array.from_buffers(
        pa.list_(values.type, per_row), shape[0], [None], children=[values]
    )
    return pa.ExtensionArray.from_storage(kind, rows)


def opaque_format(kind: Any) -> Format | None:
    """The format that an `arrow.opaque` type of ours names; None for another's."""
    if kind.vendor_name not in ("numpy", "ml_dtypes") or kind.type_name not in FORMATS:
        return None
    return FORMATS[kind.type_name]


def _is_arrows(row: Format) -> bool:
    return row.name in _OWN or (row.is_integer and row.bits >= 8)


def _storage(row: Format) -> Any:
    pa = load()
    if _is_arrows(row):
        return getattr(pa, _OWN.get(row.name, row.name))()
    return getattr(pa, f"uint{row.container_bits}")()
