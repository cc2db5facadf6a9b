"""Buffers: what they say about memory is what NumPy says about the same memory."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from bits import IN_NUMPY, numpy_dtype

from tensorcast.buffer import Buffer, contiguous_strides, numpy_buffer
from tensorcast.errors import CastError
from tensorcast.formats import FORMATS, Format

ROWS = list(FORMATS.values())
BASE = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)

VIEWS = {
    "whole": BASE,
    "scalar": BASE[1, 2, 3, 4],
    "0-d": np.array(7, np.float32),
    "one": BASE[:1, :1, :1, :1],
    "empty": BASE[:, :0],
    "empty, strided": BASE[::-1, 2:2, ::2],
    "first rows": BASE[:1],
    "reversed": BASE[::-1],
    "reversed everywhere": BASE[::-1, ::-1, ::-1, ::-1],
    "every other": BASE[..., ::2],
    "backwards by two": BASE[1, ::-2, 1:3, ::-3],
    "transposed": BASE.T,
    "broadcast": np.broadcast_to(BASE[0, 0], (6, 4, 5)),
    "one wide, any stride": BASE[:, 1:2].swapaxes(0, 1),
    "column": np.arange(6, dtype=np.uint8).reshape(6, 1)[::2],
    "unaligned": np.frombuffer(bytes(17), np.uint8)[1:].view(np.float64),
}


def byte_bounds(array: np.ndarray) -> tuple[int, int]:
    """First byte and one past the last, from the address of every element."""
    at = [
        array.ctypes.data + sum(i * stride for i, stride in zip(index, array.strides, strict=True))
        for index in np.ndindex(array.shape)
    ]
    return min(at), max(at) + array.itemsize


@pytest.mark.parametrize("name", VIEWS)
def test_a_buffer_says_what_numpy_says(name: str) -> None:
    array = np.asarray(VIEWS[name])
    buffer = numpy_buffer(array)
    assert buffer.shape == array.shape
    assert buffer.strides == array.strides
    assert buffer.n_elements == array.size
    assert buffer.itemsize == array.itemsize
    assert buffer.n_bytes == array.nbytes
    assert buffer.is_contiguous == array.flags.c_contiguous
    assert buffer.owner is array
    assert buffer.device == "cpu"
    assert not buffer.packed
    if array.size:
        assert buffer.address == array.ctypes.data
        assert buffer.extent == byte_bounds(array)
    else:
        assert buffer.extent[0] == buffer.extent[1]


@pytest.mark.parametrize("row", IN_NUMPY, ids=str)
def test_the_format_is_the_dtype_s(row: Format) -> None:
    array = np.zeros((3, 2), numpy_dtype(row))
    buffer = numpy_buffer(array)
    assert buffer.format is row
    assert buffer.itemsize == array.itemsize
    assert buffer.strides == contiguous_strides(array.shape, array.itemsize)
    assert not buffer.byte_swapped


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_codes_take_the_format_they_are_given(row: Format) -> None:
    if row.is_complex:
        array = np.zeros(4, numpy_dtype(row))
    else:
        array = np.zeros(4, f"u{row.container_bits // 8}")
    assert numpy_buffer(array, row).format is row
    wrong = np.zeros(4, np.uint32 if row.container_bits != 32 else np.uint8)
    n_bytes = row.container_bits // 8
    message = f"codes of {row.name} take {n_bytes} bytes each, but .*{wrong.dtype} has"
    with pytest.raises(CastError, match=message):
        numpy_buffer(wrong, row)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "c8", "c16", "u8"])
def test_byte_order(dtype: str) -> None:
    native = np.zeros(3, dtype)
    assert not numpy_buffer(native).byte_swapped
    swapped = native.astype(native.dtype.newbyteorder())
    assert numpy_buffer(swapped).byte_swapped
    assert numpy_buffer(swapped).format is numpy_buffer(native).format


def test_memory_is_shared_and_kept_alive() -> None:
    array = np.arange(4, dtype=np.float32)
    alive = weakref.ref(array)
    buffer = numpy_buffer(array)
    array[0] = 7
    assert buffer.owner is array
    del array
    gc.collect()
    assert alive() is not None
    assert alive()[0] == 7
    del buffer
    gc.collect()
    assert alive() is None


def test_read_only() -> None:
    array = np.zeros(3)
    assert numpy_buffer(array).writable
    assert numpy_buffer(array, writable=True).writable
    array.flags.writeable = False
    assert not numpy_buffer(array).writable
    with pytest.raises(CastError, match="read-only; write into a copy"):
        numpy_buffer(array, writable=True)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([1, 2], "expected a numpy.ndarray, found list"),
        (np.float32(1), "expected a numpy.ndarray, found float32"),
        (np.array([None]), "an array of dtype object holds no numbers"),
        (np.zeros(2, [("a", "f4")]), "holds no numbers of one format"),
        (np.array(["a"]), "dtype <U1 holds no numbers"),
        (np.zeros(1, "M8[s]"), r"dtype datetime64\[s\] holds no numbers"),
    ],
)
def test_what_is_no_buffer(array: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        numpy_buffer(array)


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_packed], ids=str)
def test_packed(row: Format) -> None:
    for shape in ((), (0,), (1,), (3, 5), (2, 4)):
        buffer = Buffer(1000, shape, contiguous_strides(shape, 1), row, packed=True)
        n = int(np.prod(shape))
        assert buffer.n_bytes == -(-n * row.bits // 8)
        assert buffer.is_contiguous
        assert buffer.extent == (1000, 1000 + buffer.n_bytes)


def test_equality_is_of_the_memory_not_of_the_owner() -> None:
    array = np.zeros((2, 3), np.float32)
    assert numpy_buffer(array) == numpy_buffer(array[:])
    assert numpy_buffer(array) != numpy_buffer(array.T)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (2, 0, 3), (4, 1, 2)])
def test_contiguous_strides_make_a_contiguous_buffer(shape: tuple[int, ...]) -> None:
    strides = contiguous_strides(shape, 4)
    assert Buffer(0, shape, strides, FORMATS["float32"]).is_contiguous
    # as torch has them: a dimension of no elements counts as one
    assert strides == np.zeros([max(n, 1) for n in shape], np.float32).strides


def test_overlap_is_exact_for_strided_memory() -> None:
    base = np.zeros((6, 8), np.int16)
    whole, even, odd = (numpy_buffer(x) for x in (base, base[:, ::2], base[:, 1::2]))
    assert whole.overlaps(even)
    assert not even.overlaps(odd)  # interleaved columns
    assert not numpy_buffer(base[:3]).overlaps(numpy_buffer(base[3:]))
    assert numpy_buffer(base[::-1]).overlaps(numpy_buffer(base.T))
    assert not whole.overlaps(numpy_buffer(base[:0]))
    bytes_of_base = base.reshape(-1).view(np.uint8)
    assert numpy_buffer(bytes_of_base[1::4]).overlaps(even)  # the second byte of each
    assert not numpy_buffer(bytes_of_base[3::4]).overlaps(even)


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        ((3, 4), (8, 2), False),
        ((3, 4), (-8, 2), False),
        ((3, 4), (0, 2), True),
        ((1, 4), (0, 2), False),
        ((0, 4), (0, 0), False),
        ((3, 4), (2, 2), True),
        ((2, 3), (6, 4), False),  # offsets 0 4 8 6 10 14: interleaved, apart
        ((2, 3), (4, 4), True),
        ((2, 2), (3, 8), False),
        ((2, 2), (1, 8), True),
    ],
)
def test_overlap_with_itself(
    shape: tuple[int, int], strides: tuple[int, int], expected: bool
) -> None:
    assert Buffer(0, shape, strides, FORMATS["int16"]).overlaps_itself is expected
