"""A typed block of memory, described: what the kernels read and write.

A `Buffer` owns nothing and copies nothing; it keeps its owner alive.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Final

from .errors import CastError
from .formats import Format, lookup

if TYPE_CHECKING:
    import numpy as np


MAX_DIMS: Final = 64
"""Of a buffer, as of NumPy's arrays."""


@dataclass(frozen=True)
class Buffer:
    """Where the elements of one tensor lie.

    Attributes:
        address: of the element with index 0 in every dimension, in bytes.
        shape: elements per dimension; () for a scalar.
        strides: bytes from one element to the next per dimension, any sign, 0 for a broadcast
            dimension. For a packed buffer strides are not used and the elements are contiguous.
        format: the number format of the elements.
        device: "cpu", or a device in torch's spelling ("cuda:0").
        owner: the object that keeps the memory alive.
        writable: whether a write is allowed.
        packed: a sub-byte format with several elements to a byte, first element in the lowest
            bits; False: one code per byte in the low bits (as NumPy's ml_dtypes arrays are).
        byte_swapped: whether each component is in the other byte order than the machine's.
        itemsize: bytes from one element to the next when contiguous and not packed.
        n_elements: elements in all.
        n_bytes: bytes the elements take when contiguous.
        is_contiguous: whether the elements lie in C order without gaps.
        extent: first byte and one past the last byte that the elements touch.
    """

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    format: Format
    device: str = "cpu"
    owner: object = field(default=None, repr=False, compare=False)
    writable: bool = True
    packed: bool = False
    byte_swapped: bool = False
    itemsize: int = field(init=False, repr=False, compare=False)
    n_elements: int = field(init=False, repr=False, compare=False)
    n_bytes: int = field(init=False, repr=False, compare=False)
    is_contiguous: bool = field(init=False, repr=False, compare=False)
    extent: tuple[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        itemsize = self.format.container_bits // 8
        n_elements = prod(self.shape)
        n_bytes = self.format.n_bytes(n_elements) if self.packed else n_elements * itemsize
        self.__dict__.update(  # frozen, and computed once
            itemsize=itemsize, n_elements=n_elements, n_bytes=n_bytes, **self._laid_out(n_bytes)
        )

    def _laid_out(self, n_bytes: int) -> dict[str, object]:
        """`is_contiguous` and `extent`."""
        low = self.address
        if self.packed:
            return {"is_contiguous": True, "extent": (low, low + n_bytes)}
        itemsize = expected = self.format.container_bits // 8
        dense, below, above = True, 0, itemsize
        for n, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            dense = dense and (n == 1 or stride == expected)
            expected *= n
            if stride > 0:
                above += (n - 1) * stride
            else:
                below += (n - 1) * stride
        if 0 in self.shape:
            return {"is_contiguous": True, "extent": (low, low)}
        return {"is_contiguous": dense, "extent": (low + below, low + above)}

    def part(self, dimension: int, begin: int, end: int) -> Buffer:
        """The elements with index `begin` to `end` - 1 in one dimension, sharing the memory; not
        for packed buffers.

        Example:
            >>> import numpy as np
            >>> whole = numpy_buffer(np.zeros((3, 4), np.int16))
            >>> part = whole.part(1, 1, 3)
            >>> part.shape, part.address - whole.address
            ((3, 2), 2)
        """
        shape = (*self.shape[:dimension], end - begin, *self.shape[dimension + 1 :])
        address = self.address + begin * self.strides[dimension]
        return replace(self, address=address, shape=shape)

    def overlaps(self, other: Buffer) -> bool:
        """Whether a byte belongs to elements of both.

        Exact for strided buffers too (interleaved columns do not overlap), but where the
        question is too hard to answer in bounded time: then True.
        """
        low, high = self.extent
        begin, end = other.extent
        if low >= end or begin >= high:
            return False
        if self.is_contiguous and other.is_contiguous:
            return True
        import numpy as np

        steps: Any = 100_000  # NumPy's bound on the search
        try:
            return np.shares_memory(_bytes_of(self), _bytes_of(other), max_work=steps)
        except np.exceptions.TooHardError:
            return True

    @property
    def overlaps_itself(self) -> bool:
        """Whether several elements share a byte, as a broadcast dimension makes them; True where
        that is too hard to tell."""
        if self.is_contiguous or self.n_elements < 2:
            return False
        steps = sorted(
            (abs(stride), n) for n, stride in zip(self.shape, self.strides, strict=True) if n > 1
        )
        reach, nested = self.itemsize, True
        for stride, n in steps:
            nested &= stride >= reach
            reach += stride * (n - 1)
        if nested or steps[0][0] == 0:
            return not nested
        if self.n_elements > 1_000_000:
            return True
        import numpy as np

        offsets = np.zeros(1, np.int64)
        for stride, n in steps:
            offsets = np.add.outer(offsets, np.arange(n) * stride).reshape(-1)
        offsets.sort()
        return bool((np.diff(offsets) < self.itemsize).any())


class _Span:
    """Memory as NumPy's array interface shows it; only its addresses are looked at."""

    def __init__(self, buffer: Buffer) -> None:
        packed = buffer.packed
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{1 if packed else buffer.itemsize}",
            "data": (buffer.address, True),
            "shape": (buffer.n_bytes,) if packed else buffer.shape,
            "strides": (1,) if packed else buffer.strides,
        }


def _bytes_of(buffer: Buffer) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(_Span(buffer))


def check_dims(n_dims: int) -> None:
    """Refuse more dimensions than a buffer has.

    Raises:
        CastError: there are more than 64.
    """
    if n_dims > MAX_DIMS:
        raise CastError(
            f"{n_dims} dimensions; at most {MAX_DIMS} are supported: cast it flat, x.reshape(-1)"
        )


def contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Byte strides of a C-ordered block.

    Example:
        >>> contiguous_strides((2, 3), 4)
        (12, 4)
    """
    strides: list[int] = []
    step = itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def refuse_masked(x: object) -> None:
    """Refuse an array of NumPy's with masked values: what lies under a mask is no value.

    Raises:
        CastError: some are masked.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or type(x) is numpy.ndarray or not isinstance(x, numpy.ndarray):
        return
    import numpy as np

    given = getattr(x, "mask", None)  # astropy's arrays have one too
    if given is None or getattr(given, "dtype", np.dtype(bool)).kind not in "bV":
        return
    mask = np.broadcast_to(given, x.shape)
    if mask.dtype.fields is not None or not mask.any():  # structured ones are refused for that
        return
    first = [int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape)]
    where = f" (the first at {first})" if first else ""
    raise CastError(
        f"a masked array has values that do not count: {int(mask.sum())} of {mask.size} are "
        f"masked{where}. Pass x.filled(value), or x.data for all; tensorcast.as_tensor and "
        "to_numpy take null=value"
    )


def numpy_buffer(array: object, format: Format | None = None, *, writable: bool = False) -> Buffer:
    """The buffer of a NumPy array (ml_dtypes too), sharing its memory.

    Args:
        array: a `numpy.ndarray` of any strides and byte order.
        format: the format of the codes, where the array's own dtype does not say (uint8 codes
            of a float8); None takes the dtype's.
        writable: whether the caller means to write.

    Raises:
        CastError: values are masked; the array is read-only and `writable` is asked for.
    """
    import numpy as np

    if not isinstance(array, np.ndarray):
        raise CastError(f"expected a numpy.ndarray, found {type(array).__name__}")
    refuse_masked(array)
    dtype = array.dtype
    if dtype.kind in "OSUMmT" or dtype.fields is not None or dtype.type is np.void:
        raise CastError(f"an array of dtype {dtype} holds no numbers of one format")
    if writable and not array.flags.writeable:
        raise CastError("the array is read-only; write into a copy of it")
    row = format if format is not None else _row_of(dtype)
    if row.container_bits != array.itemsize * 8:
        raise CastError(
            f"codes of {row.name} take {row.container_bits // 8} bytes each, but the array's "
            f"dtype {array.dtype} has {array.itemsize}"
        )
    return Buffer(
        address=array.__array_interface__["data"][0] if array.size else 0,
        shape=array.shape,
        strides=array.strides,
        format=row,
        owner=array,
        writable=array.flags.writeable,
        byte_swapped=not array.dtype.isnative,
    )


@lru_cache(maxsize=256)
def _row_of(dtype: np.dtype[Any]) -> Format:
    return lookup(dtype)
