"""Arrays handed over by Arrow's C data interface, described without consuming the capsules.

The structures are those of the specification (arrow.apache.org/docs/format/CDataInterface.html).
The capsules stay with the buffer as its owner, and free the memory when they go; pyarrow is not
needed.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from ..buffer import Buffer, contiguous_strides
from ..errors import CastError
from ..formats import FORMATS
from .capsules import address_in

_FORMATS: Final = {
    "c": "int8",
    "C": "uint8",
    "s": "int16",
    "S": "uint16",
    "i": "int32",
    "I": "uint32",
    "l": "int64",
    "L": "uint64",
    "e": "float16",
    "f": "float32",
    "g": "float64",
}


class _Schema(ctypes.Structure):
    pass


_Schema._fields_ = (
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_Schema))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
)


class _Array(ctypes.Structure):
    pass


_Array._fields_ = (
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
)


def buffer_of(x: Any) -> Buffer:
    """The buffer of an object with `__arrow_c_array__`, sharing its memory: numbers, or lists of
    one length of them, which are dimensions more. Read-only, as Arrow has it.

    Raises:
        CastError: it holds no numbers, or nulls.
    """
    capsules = x.__arrow_c_array__()
    schema = _Schema.from_address(_pointer(capsules[0], b"arrow_schema"))
    array = _Array.from_address(_pointer(capsules[1], b"arrow_array"))
    if not schema.release or not array.release:
        raise CastError("__arrow_c_array__ gave capsules that were used already")
    shape = [array.length]
    begin = array.offset
    _refuse_nulls(array)
    text = (schema.format or b"").decode()
    while text.startswith("+w:"):
        size = int(text[3:])
        schema, array = schema.children[0].contents, array.children[0].contents
        _refuse_nulls(array)
        begin = begin * size + array.offset
        shape.append(size)
        text = (schema.format or b"").decode()
    name = _FORMATS.get(text)
    if name is None or schema.dictionary:
        raise CastError(f"an Arrow array of type {text!r} is not one of numbers")
    row = FORMATS[name]
    size = row.container_bits // 8
    address = (array.buffers[1] or 0) + begin * size
    shape_ = tuple(shape)
    return Buffer(
        address, shape_, contiguous_strides(shape_, size), row, owner=capsules, writable=False
    )


def _refuse_nulls(array: Any) -> None:
    """null_count is -1 where nobody counted; without a bitmap there are none."""
    if array.null_count and array.n_buffers and array.buffers[0]:
        raise CastError(
            "the Arrow array has nulls, or may have some, which no number format has; fill or drop "
            "them first"
        )


def _pointer(capsule: object, name: bytes) -> int:
    address = address_in(capsule, name)
    if address is None:
        raise CastError(f"__arrow_c_array__ gave no {name.decode()}")
    return address
