"""Memory handed over by DLPack, described without consuming the capsule.

The structures are those of the DLPack specification, version 1 (dmlc.github.io/dlpack): a managed
tensor, in its first form and in the versioned one with flags. A capsule that an object made for us
stays with the buffer as its owner, and frees the memory when it goes. A bare capsule is somebody
else's too: who makes something of it takes it over (`Taken`).
"""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any, Final

from ..buffer import MAX_DIMS, Buffer, contiguous_strides
from ..errors import CastError
from ..formats import FORMATS, Format
from .capsules import address_in, rename

CPU: Final = 1
"""kDLCPU; 3 and 11 (pinned host memory of CUDA and ROCm) can be read as well."""
_HOST: Final = (CPU, 3, 11)
_READ_ONLY: Final = 1
_PADDED: Final = 4  # DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED
_ADDRESSES: Final = 1 << 63  # no process has more

# (DLDataTypeCode, bits) -> format
_CODES: Final = {row.dlpack: row for row in FORMATS.values() if row.dlpack is not None}

_WAYS_OUT: Final = {(5, 32): "; make it complex64 first, which holds every complex32"}


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


class _Managed(ctypes.Structure):
    _fields_ = (
        ("tensor", _Tensor),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
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


_NAMES: Final[dict[bytes, Any]] = {b"dltensor_versioned": _Versioned, b"dltensor": _Managed}
_USED: Final = {
    b"dltensor_versioned": b"used_dltensor_versioned",  # DLPack's names; a capsule keeps a pointer
    b"dltensor": b"used_dltensor",
}
_USED_UP: Final = "this is no DLPack capsule, or one that was used already"


def buffer_of(x: Any) -> Buffer:
    """The buffer of an object with `__dlpack__`, sharing its memory; read-only where it says so,
    and where it is from before version 1.0, which cannot say.

    Raises:
        CastError: the memory is on another device, the elements are of no format we know, or what
            the capsule says cannot be.
    """
    device, _ = x.__dlpack_device__()
    if int(device) not in _HOST:
        raise CastError(f"{type(x).__name__} is on a device of DLPack type {int(device)}")
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:  # from before version 1.0
        capsule = x.__dlpack__()
    return buffer_of_capsule(capsule, capsule)


class Taken:
    """A bare capsule that was handed over, and what frees its memory.

    Looking takes nothing. `take` makes the memory ours, as DLPack asks of a consumer: the capsule
    is renamed, so that nobody takes it again, and its deleter is called when this object goes.
    """

    def __init__(self, capsule: object) -> None:
        self._capsule = capsule
        self._deleter: Any = None

    def take(self) -> None:
        """Take the memory over.

        Raises:
            CastError: it has been taken since it was looked at.
        """
        for name, managed_type in _NAMES.items():
            address = address_in(self._capsule, name)
            if address is not None:
                managed = managed_type.from_address(address)
                rename(self._capsule, _USED[name])
                deleter = managed.deleter
                self._deleter = (ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter or 0), address)
                return
        raise CastError(_USED_UP)

    def __del__(self) -> None:
        deleter, self._deleter = getattr(self, "_deleter", None), None
        if deleter is not None and deleter[0]:
            deleter[0](deleter[1])


def buffer_of_capsule(capsule: object, owner: object) -> Buffer:
    """The buffer of a DLPack capsule, sharing its memory and keeping `owner` alive.

    Nothing is believed: a capsule may come from anybody, and its numbers become addresses.

    Raises:
        CastError: the memory is on another device, the elements are of no format we know, or the
            numbers cannot be.
    """
    tensor, writable, padded = _described(capsule)
    if tensor.device_type not in _HOST:
        raise CastError(
            f"the DLPack capsule's memory is on a device of DLPack type {tensor.device_type}, not "
            "on the CPU"
        )
    if not 0 <= tensor.ndim <= MAX_DIMS:
        raise CastError(f"a DLPack capsule of {tensor.ndim} dimensions; 0 to {MAX_DIMS} are known")
    if tensor.ndim and not tensor.shape:
        raise CastError("the DLPack capsule has dimensions and no shape")
    row, per_byte = _format(tensor, padded)
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    if any(n < 0 for n in shape):
        raise CastError(f"the DLPack capsule's shape {list(shape)} has a negative size")
    steps = tuple(tensor.strides[i] for i in range(tensor.ndim)) if tensor.strides else None
    packed = per_byte > 1 or (row.is_packed and not padded)
    if packed and steps is not None and not _in_c_order(shape, steps):
        raise CastError(f"a DLPack capsule of packed {row.name} elements is not in C order")
    if per_byte > 1:
        if not shape:
            raise CastError(f"a DLPack capsule of pairs of {row.name} has no dimension")
        shape = (*shape[:-1], per_byte * shape[-1])
    size = row.container_bits // 8
    if packed:
        strides: tuple[int, ...] = (1,) * len(shape)
    elif steps is None:
        strides = contiguous_strides(shape, size)
    else:
        strides = tuple(step * size for step in steps)
    address = (tensor.data or 0) + tensor.byte_offset
    buffer = Buffer(address, shape, strides, row, owner=owner, writable=writable, packed=packed)
    if buffer.n_elements:
        if not tensor.data:
            raise CastError(
                f"the DLPack capsule has {buffer.n_elements} elements and a null pointer"
            )
        begin, end = buffer.extent
        if begin < 0 or end > _ADDRESSES or max(map(abs, strides), default=0) >= 1 << 63:
            raise CastError(
                f"the DLPack capsule's elements of shape {list(shape)} lie beyond all memory"
            )
    elif prod(max(n, 1) for n in shape) * size >= 1 << 63:
        raise CastError(f"the DLPack capsule's shape {list(shape)} is beyond all memory")
    return buffer


def _in_c_order(shape: tuple[int, ...], steps: tuple[int, ...]) -> bool:
    expected = contiguous_strides(shape, 1)
    pairs = zip(shape, steps, expected, strict=True)
    return 0 in shape or all(n == 1 or step == wanted for n, step, wanted in pairs)


def _described(capsule: object) -> tuple[_Tensor, bool, bool]:
    """The tensor in a capsule, whether it may be written, and whether elements of fewer than 8 bits
    have a byte each."""
    address = address_in(capsule, b"dltensor_versioned")
    if address is not None:
        managed = _Versioned.from_address(address)
        if managed.major != 1:
            raise CastError(f"the capsule is of DLPack {managed.major}; 1 is known")
        flags = int(managed.flags)
        return managed.tensor, not flags & _READ_ONLY, bool(flags & _PADDED)
    address = address_in(capsule, b"dltensor")
    if address is not None:
        return _Managed.from_address(address).tensor, False, False  # it cannot say
    raise CastError(_USED_UP)


def _format(tensor: _Tensor, padded: bool) -> tuple[Format, int]:
    """The format of the elements, and how many of them the shape counts as one."""
    row = _CODES.get((tensor.code, tensor.bits))
    lanes = tensor.lanes
    if row is not None:
        if lanes == 1:
            return row, 1
        if row.is_packed and not padded and lanes * row.bits == 8:
            return row, lanes
    way = _WAYS_OUT.get((tensor.code, tensor.bits), "")
    raise CastError(
        f"DLPack type code {tensor.code} of {tensor.bits} bits and {lanes} lanes is none of "
        f"tensorcast's formats{way}"
    )
