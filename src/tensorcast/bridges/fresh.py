"""New contiguous memory of torch or of NumPy, which stays theirs, on huge pages where they pay."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

from ..buffer import contiguous_strides
from ..errors import CastError
from ..formats import FORMATS, Format
from ..kernels.cpu import advise_huge
from .pool import pooled, tensor_on

if TYPE_CHECKING:
    import numpy as np
    import torch


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
    memory = None if watched else pooled(prod(shape) * row.container_bits // 8)
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

    memory = pooled(prod(shape) * row.container_bits // 8)
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
