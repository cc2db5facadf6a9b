"""pyarrow's arrays: their memory seen, and arrays over memory.

One dimension makes an array of Arrow's own type; more make a FixedShapeTensorArray, one tensor to
a row, which a table can hold. A format that Arrow lacks is its canonical type for that,
`arrow.opaque`: unsigned integers (or pairs of floats) with the format's name.
"""

from __future__ import annotations

import sys
from math import prod
from typing import Any, Final

from ..buffer import Buffer, numpy_buffer
from ..errors import CastError, FormatError
from ..formats import FORMATS, Format
from . import numpy as numpy_bridge
from .buffers import memory_seen
from .memory import as_numpy, numpy_dtype
from .protocol import Demands, Fit, Seen, kept
from .protocol import load as library

_OWN: Final = {"float16": "float16", "float32": "float32", "float64": "float64", "bool": "bool_"}

DEMANDS: Final = Demands(
    "Arrow", "pyarrow.Array", "pyarrow", dense=True, immutable="Arrow arrays are immutable"
)


def see(x: Any) -> Seen | None:
    """The elements of one of pyarrow's arrays, chunked arrays, tensors or buffers; None for what
    is none.

    Raises:
        CastError: it holds no numbers, or nulls.
    """
    import numpy as np

    pa = sys.modules["pyarrow"]
    read_only = "Arrow arrays are immutable"
    if isinstance(x, pa.Tensor):
        return Seen("pyarrow", numpy_buffer(x.to_numpy()), read_only)
    if isinstance(x, pa.ChunkedArray):
        if x.num_chunks == 1:
            return see(x.chunk(0))
        whole = see(x.combine_chunks())
        assert whole is not None
        return Seen("pyarrow", whole.buffer, copied=f"it lies in {x.num_chunks} chunks")
    if isinstance(x, pa.Buffer):
        if isinstance(x, pa.ResizableBuffer):
            array = np.array(memoryview(x))
            return Seen("pyarrow", numpy_buffer(array), copied="the Arrow buffer can be resized")
        return memory_seen(memoryview(x), "pyarrow")
    if not isinstance(x, pa.Array):
        return None
    if x.null_count:
        raise CastError(
            f"{x.null_count} of the Arrow array's {len(x)} values are null, which no number format "
            "has; call .fill_null(value) or .drop_null() first"
        )
    shape: list[int] = [len(x)]
    values, row = x, None
    while True:
        kind = values.type
        if isinstance(kind, getattr(pa, "OpaqueType", ())):
            row = opaque_format(kind)
            if row is None:
                raise CastError(f"an Arrow array of {kind} is not one of numbers")
            values = values.storage.flatten() if row.is_complex else values.storage
        elif isinstance(values, pa.ExtensionArray):
            values = values.storage
        elif pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size)
            values = values.flatten()
        else:
            break
    shape = [len(x), *getattr(x.type, "shape", shape[1:])]
    copied = "Arrow packs eight bools to a byte" if pa.types.is_boolean(kind) else ""
    try:
        array = values.to_numpy(zero_copy_only=not copied)
        if row is not None:
            array = array.view(numpy_dtype(row.name))
        array = array.reshape(shape)
        order = getattr(x.type, "permutation", None)
        if order is not None:
            array = array.transpose(0, *(dimension + 1 for dimension in order))
        buffer = numpy_buffer(array)
    except (pa.ArrowException, TypeError, ValueError, FormatError, CastError):
        lists = "; its lists may differ in length" if pa.types.is_list(values.type) else ""
        raise CastError(
            f"an Arrow array of {x.type} holds no numbers of one format{lists}"
        ) from None
    if copied:
        return Seen("pyarrow", buffer, copied=copied)
    return Seen("pyarrow", kept(buffer, (array, x)), read_only)


def arrow_seen(x: Any) -> Seen:
    """What `see` sees of one of pyarrow's arrays.

    Raises:
        CastError: it holds no numbers, or nulls.
    """
    seen = see(x)
    if seen is None:
        raise CastError(f"a {type(x).__name__} of pyarrow holds no numbers")
    return seen


def load() -> Any:
    """Import pyarrow."""
    return library("pyarrow")


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
    seen = arrow_seen(x)
    return seen.buffer.format, seen.buffer.shape, "cpu"


def fit(row: Format, shape: tuple[int, ...]) -> Fit:
    """What NumPy and ml_dtypes have; eight bools to a byte."""
    if not shape:
        return Fit(lacks="an Arrow array has a length, and no dimensions make none: reshape to [1]")
    if not _is_arrows(row) and not hasattr(load(), "opaque"):
        return Fit(lacks=f"pyarrow {load().__version__} has no opaque types for {row.name}; 18 has")
    if not _is_arrows(row) and (lacks := numpy_bridge.fit(row, shape).lacks):
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
