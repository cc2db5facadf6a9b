"""Memory handed over by DLPack, described without consuming the capsule.

The structures are those of the DLPack specification, version 1.0 (dmlc.github.io/dlpack): a managed
tensor, in its first form and in the versioned one with flags. The capsule stays with the buffer as
its owner, and frees the memory when it goes.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from ..buffer import Buffer, check_dims, contiguous_strides
from ..errors import CastError
from ..formats import FORMATS, Format
from .capsules import address_in

CPU: Final = 1
"""kDLCPU; 3 and 11 (pinned host memory of CUDA and ROCm) can be read as well."""
_HOST: Final = (CPU, 3, 11)
_READ_ONLY: Final = 1

# DLDataTypeCode -> the formats by bits
_CODES: Final[dict[int, dict[int, str]]] = {
    0: {8: "int8", 16: "int16", 32: "int32", 64: "int64"},
    1: {8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"},
    2: {16: "float16", 32: "float32", 64: "float64"},
    4: {16: "bfloat16"},
    5: {64: "complex64", 128: "complex128"},
    6: {8: "bool"},
    7: {8: "float8_e3m4"},
    8: {8: "float8_e4m3"},
    9: {8: "float8_e4m3b11fnuz"},
    10: {8: "float8_e4m3fn"},
    11: {8: "float8_e4m3fnuz"},
    12: {8: "float8_e5m2"},
    13: {8: "float8_e5m2fnuz"},
    14: {8: "float8_e8m0fnu"},
}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def buffer_of(x: Any) -> Buffer:
    """The buffer of an object with `__dlpack__`, sharing its memory; read-only where it says so,
    and where it is from before version 1.0, which cannot say.

    Raises:
        CastError: the memory is on another device, or the elements are of no format we know.
    """
    device, _ = x.__dlpack_device__()
    if int(device) not in _HOST:
        raise CastError(f"{type(x).__name__} is on a device of DLPack type {int(device)}")
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:  # from before version 1.0
        capsule = x.__dlpack__()
    tensor, writable = _described(capsule)
    row = _format(tensor)
    size = row.container_bits // 8
    check_dims(tensor.ndim)
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    if any(n < 0 for n in shape):
        raise CastError(f"the capsule has the shape {list(shape)}, with a negative length")
    if tensor.strides:
        strides = tuple(tensor.strides[i] * size for i in range(tensor.ndim))
    else:
        strides = contiguous_strides(shape, size)
    address = (tensor.data or 0) + tensor.byte_offset
    return Buffer(address, shape, strides, row, owner=capsule, writable=writable)


def _described(capsule: object) -> tuple[_Tensor, bool]:
    """The tensor in a capsule, and whether it may be written."""
    address = address_in(capsule, b"dltensor_versioned")
    if address is not None:
        managed = _Versioned.from_address(address)
        if managed.major != 1:
            raise CastError(f"the capsule is of DLPack {managed.major}; 1 is known")
        return managed.tensor, not managed.flags & _READ_ONLY
    address = address_in(capsule, b"dltensor")
    if address is not None:
        return _Tensor.from_address(address), False  # it cannot say
    raise CastError("__dlpack__ gave no DLPack capsule, or one that was used already")


def _format(tensor: _Tensor) -> Format:
    name = _CODES.get(tensor.code, {}).get(tensor.bits)
    if name is None or tensor.lanes != 1:
        raise CastError(
            f"DLPack type code {tensor.code} of {tensor.bits} bits and {tensor.lanes} lanes is "
            "none of tensorcast's formats"
        )
    return FORMATS[name]
