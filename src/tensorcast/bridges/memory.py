"""A buffer's memory as a NumPy array or a torch tensor that shares it and keeps its owner alive;
and new contiguous memory of torch or of NumPy, which stays theirs, on huge pages where they pay."""

from __future__ import annotations

import sys
import weakref
from dataclasses import replace
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from ..buffer import Buffer, contiguous_strides
from ..errors import CastError
from ..formats import FORMATS, Format
from ..kernels.cpu import advise_huge
from . import is_numpy, is_torch_type
from .pool import LEAST, pooled, tensor_on

if TYPE_CHECKING:
    import numpy as np
    import torch


class _Memory:
    """What an array stands on: its owner, and what keeps the owner's memory where it is."""

    def __init__(self, buffer: Buffer, writable: bool) -> None:
        self._owner = buffer.owner
        self._pin = _pinned(buffer.owner)
        order = ">" if buffer.byte_swapped == (sys.byteorder == "little") else "<"
        row = buffer.format.component
        n_bytes = row.container_bits // 8
        shape, strides = buffer.shape, buffer.strides
        if buffer.format.is_complex:
            shape, strides = (*shape, 2), (*strides, n_bytes)
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"{order if n_bytes > 1 else '|'}u{n_bytes}",
            "shape": shape,
            "strides": strides,
            "data": (buffer.address, not writable),
        }


def _pinned(owner: Any) -> object:
    """What keeps the owner's memory where it is, while it is held.

    A NumPy array with a weak reference to it refuses to be resized, even with refcheck=False; one
    without is moved from under everyone who shares it. A tensor's storage can be resized until its
    memory has been shown to NumPy once; then never, as after `Tensor.numpy`.
    """
    if is_torch_type(type(owner)):
        import torch

        torch.empty(0, dtype=torch.uint8).set_(owner.untyped_storage()).numpy()
        return None
    if not is_numpy(owner):
        return None
    while is_numpy(owner.base):
        owner = owner.base
    return weakref.ref(owner)


def as_numpy(buffer: Buffer, *, writable: bool | None = None) -> np.ndarray[Any, Any]:
    """The buffer's elements as an array of their format, sharing memory.

    Args:
        buffer: in the CPU's memory, not packed; any strides, alignment and byte order.
        writable: of the array; None: what the buffer allows.
    """
    import numpy as np

    dtype = numpy_dtype(buffer.format.name)
    if buffer.n_elements == 0:
        array = np.empty(buffer.shape, dtype)
        array.flags.writeable = buffer.writable if writable is None else writable
        return array
    codes: np.ndarray[Any, Any] = np.asarray(
        _Memory(buffer, buffer.writable if writable is None else writable)
    )
    if buffer.byte_swapped:
        dtype = dtype.newbyteorder()
    if buffer.format.is_complex:
        return codes.view(dtype)[..., 0]
    return codes.view(dtype)


def as_torch(buffer: Buffer) -> torch.Tensor:
    """The buffer's elements as a tensor of their format, sharing memory: writable, whatever the
    buffer says.

    Args:
        buffer: in the CPU's memory, in the machine's byte order, of strides that are whole
            elements and not negative, but in dimensions of one; one byte to an element where the
            format is narrower.
    """
    import numpy as np
    import torch

    from .torch.tensor import dtype_of

    dtype = dtype_of(buffer.format)
    if buffer.n_elements == 0:
        return torch.empty(buffer.shape, dtype=dtype)
    steps = zip(buffer.shape, buffer.strides, strict=True)  # torch reads those of one as well
    strides = tuple(buffer.itemsize if n == 1 else step for n, step in steps)
    buffer = replace(buffer, strides=strides)
    if buffer.format.is_complex:
        pairs = np.asarray(_Memory(buffer, True)).view(f"f{buffer.format.component.bits // 8}")
        return torch.view_as_complex(torch.from_numpy(pairs))
    codes = np.asarray(_Memory(buffer, True)).view(_signed(buffer.format))
    return torch.from_numpy(codes).view(dtype)


@cache
def _signed(row: Format) -> str:
    """An integer of the container's width that every torch knows (uint16 and up are late)."""
    n_bytes = row.container_bits // 8
    return "u1" if n_bytes == 1 else f"i{n_bytes}"


def empty(like: Buffer, row: Format, target: Literal["torch", "numpy"]) -> tuple[Any, Buffer]:
    """New memory for a buffer's elements, in C order.

    Raises:
        CastError: the target library has no dtype for the format, or torch's packs pairs and the
            last dimension is odd.
    """
    if target == "torch" and row.is_packed and not row.is_integer:
        return _empty_pairs(like.shape, row)
    made, address = (empty_torch if target == "torch" else empty_numpy)(like.shape, row)
    strides = contiguous_strides(like.shape, row.container_bits // 8)
    return made, Buffer(address, like.shape, strides, row, owner=made, writable=True)


def _empty_pairs(shape: tuple[int, ...], row: Format) -> tuple[Any, Buffer]:
    import torch

    from .torch.pairs import pairs_shape
    from .torch.tensor import buffer_of, dtype_of

    dtype = dtype_of(row)
    in_bytes = pairs_shape(shape, "tensorcast.to_numpy keeps a byte for each")
    tensor = torch.empty(in_bytes, dtype=dtype)
    return tensor, buffer_of(tensor, writable=True)


def empty_torch(shape: tuple[int, ...], row: Format) -> tuple[Any, int]:
    """An uninitialized CPU tensor and its address.

    Raises:
        CastError: torch has no dtype with one code to an element for the format.
    """
    import torch

    if row.bits < 8 and not row.is_integer:
        raise CastError(
            f"torch packs {row.name}; a NumPy array has ml_dtypes' one code per byte, and "
            "tensorcast.pack packs it"
        )
    dtype = torch_dtype(row.name)
    watched = torch.utils._python_dispatch._is_in_torch_dispatch_mode
    n_bytes = prod(shape) * row.container_bits // 8
    memory = pooled(n_bytes) if n_bytes >= LEAST and not watched else None
    if memory is not None:
        steps = contiguous_strides(shape, 1)
        return tensor_on(memory, dtype, shape, steps), memory.__array_interface__["data"][0]
    made = torch.empty(shape, dtype=dtype, device="cpu")
    if type(made) is not torch.Tensor:
        raise CastError(
            f"a {type(made).__name__} has no memory to write to: make the tensor outside of "
            "tracing, and pass it in"
        )
    address = made.data_ptr()
    advise_huge(address, made.nbytes)
    return made, address


def empty_numpy(shape: tuple[int, ...], row: Format) -> tuple[Any, int]:
    """An uninitialized array and its address."""
    import numpy as np

    n_bytes = prod(shape) * row.container_bits // 8
    memory = pooled(n_bytes) if n_bytes >= LEAST else None
    made: np.ndarray[Any, Any] = np.ndarray(shape, numpy_dtype(row.name), memory)
    address: int = made.__array_interface__["data"][0]
    advise_huge(address, made.nbytes)
    return made, address


def empty_aligned(shape: tuple[int, ...], row: Format) -> tuple[Any, int]:
    """`empty_numpy` with the first element at a multiple of 64 bytes."""
    import numpy as np

    n_bytes = prod(shape) * row.container_bits // 8
    room = np.empty(n_bytes + 64, np.uint8)
    begin = -room.__array_interface__["data"][0] % 64
    made = room[begin : begin + n_bytes].view(numpy_dtype(row.name)).reshape(shape)
    address: int = room.__array_interface__["data"][0] + begin
    advise_huge(address, n_bytes)
    return made, address


@cache
def torch_dtype(name: str) -> torch.dtype:
    """torch's dtype of a format, by the format's name."""
    from .torch.tensor import dtype_of

    return dtype_of(FORMATS[name])


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's or ml_dtypes' dtype of a format, by the format's name."""
    from .dtypes import dtype_of

    return dtype_of(FORMATS[name])
