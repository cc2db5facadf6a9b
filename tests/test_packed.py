"""Packed tensors: the bytes, the number of elements, and casts to and from them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from bits import IN_NUMPY, as_array, as_codes, code_dtype, numpy_dtype
from codes import interesting_codes
from oracle import cast_array

from tensorcast import reference
from tensorcast.api.packed import (
    PackedTensor,
    cast_into_packed,
    cast_packed,
    measure_packed,
    pack,
    unpack,
)
from tensorcast.buffer import numpy_buffer
from tensorcast.errors import CastError, CastOverflowError, FormatError
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy

SUB_BYTE = [row for row in FORMATS.values() if row.bits < 8]
WIDE = [row for row in FORMATS.values() if row.bits >= 8 and not row.is_complex]
SHAPES = [(), (0,), (1,), (3,), (2, 3), (5, 0, 2), (4, 8), (7, 11), (1, 1, 257), (70001,)]
SATURATE = Policy(overflow="saturate", nan="zero")
by_name = pytest.mark.parametrize("row", SUB_BYTE, ids=str)


def random_codes(row: Format, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 1 << row.bits, shape, np.uint8)


@by_name
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_the_reference_s_and_come_back(row: Format, shape: tuple[int, ...]) -> None:
    codes = random_codes(row, shape)
    packed = pack(codes, row)
    assert packed.shape == shape
    assert packed.n_elements == prod(shape)
    assert packed.data.tobytes() == reference.pack(codes.reshape(-1).tolist(), row)
    assert len(packed.data) == packed.n_bytes == row.n_bytes(prod(shape))
    again = unpack(packed)
    assert again.dtype == np.uint8
    assert again.shape == shape
    assert (again == codes).all()


@by_name
def test_strides_and_the_format_s_own_arrays(row: Format) -> None:
    codes = random_codes(row, (9, 10))
    for view in (codes.T, codes[::-1, ::3], np.broadcast_to(codes[0], (4, 10)), codes[1:, 1:]):
        assert (unpack(pack(view, row)) == view).all()
    if row not in IN_NUMPY:
        with pytest.raises(
            CastError, match=f"NumPy has no dtype for {row.name}, nor has ml_dtypes"
        ):
            unpack(pack(codes, row), into="elements")
        return
    elements = as_array(codes, row).reshape(9, 10)
    packed = pack(elements[:, ::-1], row.name.upper())
    assert packed.data.tobytes() == pack(codes[:, ::-1], row).data.tobytes()
    back = unpack(packed, into="elements")
    assert back.dtype == numpy_dtype(row)
    assert (as_codes(back, row) == codes[:, ::-1].reshape(-1)).all()


@by_name
@pytest.mark.parametrize("other", WIDE, ids=str)
def test_casts_to_and_from_every_format(row: Format, other: Format) -> None:
    codes = interesting_codes(other, row, 300)
    if other.kind == "bool":
        codes = codes & 1
    array = as_array(codes, other)
    packed, loss = cast_into_packed(numpy_buffer(array), row, SATURATE, like=array, report=True)
    expected = cast_array(codes, other, row, SATURATE.resolve(other, row))
    assert (unpack(packed) == expected.codes).all()
    assert loss.n_overflow == int(expected.overflow.sum())
    assert loss.n_inexact == int(expected.inexact.sum())
    back, loss = cast_packed(packed, other, SATURATE, report=True)
    expected = cast_array(expected.codes, row, other, SATURATE.resolve(row, other))
    assert back.dtype == numpy_dtype(other)
    assert (as_codes(back, other) == expected.codes).all()
    assert loss.n_inexact == int(expected.inexact.sum())
    assert measure_packed(packed, other, SATURATE) == loss


@by_name
@pytest.mark.parametrize("other", SUB_BYTE, ids=str)
def test_packed_to_packed(row: Format, other: Format) -> None:
    codes = random_codes(row, (5, 13))
    result, _ = cast_packed(pack(codes, row), other, SATURATE)
    assert isinstance(result, PackedTensor)
    assert result.shape == (5, 13)
    expected = cast_array(codes, row, other, SATURATE.resolve(row, other)).codes
    assert (unpack(result).reshape(-1) == expected).all()
    assert result.data.tobytes() == reference.pack(expected.tolist(), other)  # zeros at the end


def test_the_order_of_bits() -> None:
    """Element i begins at bit i * bits, from the lowest bit of the first byte up."""
    assert pack(np.arange(1, 9, dtype=np.uint8) & 7, "uint3").data.tolist() == [0xD1, 0x58, 0x1F]
    assert pack(np.array([1, 0, 0, 1, 1, 0, 1, 1, 1], np.uint8), "uint1").data.tolist() == [0xD9, 1]
    assert pack(np.array([0x7F, 0, 1], np.uint8), "int7").data.tolist() == [0x7F, 0x40, 0]


def test_a_strided_source_is_packed_in_its_own_order() -> None:
    values = np.arange(-8, 8, dtype=np.float32).reshape(4, 4)
    packed, _ = cast_into_packed(numpy_buffer(values.T[::-1]), "int4", Policy(), like=values)
    assert (unpack(packed, into="elements").astype(int) == values.T[::-1]).all()


def test_a_refusal_leaves_out_untouched() -> None:
    out = pack(np.array([1, 2, 3], np.uint8), "int4")
    values = np.array([1, 100, -100], np.float32)
    with pytest.raises(CastOverflowError, match=r"2 of 3 values lie outside int4 .* at \[1\]"):
        cast_into_packed(numpy_buffer(values), "int4", Policy(), like=values, out=out)
    assert unpack(out).tolist() == [1, 2, 3]
    with pytest.raises(CastOverflowError):
        cast_into_packed(numpy_buffer(values), "int4", Policy(), like=values)
    made, _ = cast_into_packed(numpy_buffer(values), "int4", SATURATE, like=values, out=out)
    assert made is out
    assert unpack(out).tolist() == [1, 7, 8]
    wide = np.zeros(3, np.float16)
    assert cast_packed(out, "float16", Policy(), out=wide)[0] is wide
    assert wide.tolist() == [1, 7, -8]
    with pytest.raises(CastError, match=r"out holds int4, not float16"):
        cast_packed(out, "float16", Policy(), out=out)
    with pytest.raises(CastError, match="overlap"):
        cast_packed(out, "uint4", SATURATE, out=PackedTensor("uint4", (3,), out.data))  # type: ignore[arg-type]


def test_what_is_no_packed_tensor() -> None:
    data = np.zeros(2, np.uint8)
    for shape in ((3,), (4,), (2, 2)):
        assert PackedTensor(FORMATS["int4"], shape, data).n_bytes == 2
    with pytest.raises(CastError, match=r"5 elements of int4 .* take 3 bytes, found 2"):
        PackedTensor(FORMATS["int4"], (5,), data)
    with pytest.raises(FormatError, match="int8 fill whole bytes"):
        PackedTensor(FORMATS["int8"], (2,), data)
    for wrong in (
        data.view(np.int8),
        data.reshape(2, 1),
        np.zeros(4, np.uint8)[::2],
        [1, 2],
        b"ab",
    ):
        with pytest.raises(CastError, match="uint8 bytes, one dimension, contiguous"):
            PackedTensor(FORMATS["int4"], (4,), wrong)
    with pytest.raises(CastError, match="negative"):
        PackedTensor(FORMATS["int4"], (-4, -1), data)


def test_what_is_no_code() -> None:
    with pytest.raises(CastError, match="0x10 is not a code of uint4, which has 4 bits"):
        pack(np.array([1, 16, 3], np.uint8), "uint4")
    with pytest.raises(CastError, match="0xff is not a code"):
        pack(np.uint8(255), "uint4")
    with pytest.raises(CastError, match=r'found float32; tensorcast.cast\(x, "uint4", packed=True'):
        pack(np.zeros(3, np.float32), "uint4")
    with pytest.raises(CastError, match="list is not a tensor"):
        pack([1, 2], "uint4")
    with pytest.raises(CastError, match='"codes" or "elements"'):
        unpack(pack(np.zeros(1, np.uint8), "uint2"), into="values")  # type: ignore[arg-type]


def test_repr() -> None:
    assert repr(pack(np.zeros((2, 3), np.uint8), "e2m3")) == (
        "PackedTensor(float6_e2m3fn, shape=(2, 3), 5 bytes)"
    )


@by_name
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_torch_packs_as_numpy_does(row: Format, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    codes = random_codes(row, shape)
    packed = pack(torch.from_numpy(codes.copy()), row)
    assert packed.is_torch
    assert packed.data.numpy().tobytes() == pack(codes, row).data.tobytes()
    again = unpack(packed)
    assert again.dtype == torch.uint8
    assert tuple(again.shape) == shape
    assert (again.numpy() == codes).all()


@pytest.mark.parametrize("row", [row for row in SUB_BYTE if row.is_integer], ids=str)
def test_torch_s_own_sub_byte_integers(row: Format) -> None:
    torch = pytest.importorskip("torch")
    name = row.name
    codes = torch.from_numpy(random_codes(row, (3, 5)))
    elements = codes.view(getattr(torch, name))
    packed = pack(elements.t(), name)
    assert torch.equal(unpack(packed), codes.t())
    back = unpack(packed, into="elements")
    assert back.dtype == elements.dtype
    assert packed.to_torch().dtype == elements.dtype
    wide, _ = cast_packed(packed, "float32", Policy())
    assert wide.dtype == torch.float32
    expected = [[int(reference.decode(code, row)) for code in line] for line in codes.t().tolist()]
    assert wide.tolist() == expected


def test_pairs_of_float4_become_float32_and_come_back() -> None:
    torch = pytest.importorskip("torch")
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no float4_e2m1fn_x2")
    codes = np.arange(16, dtype=np.uint8).reshape(2, 8)
    data = torch.from_numpy(codes[:, ::2] | codes[:, 1::2] << 4)
    pairs = data.view(torch.float4_e2m1fn_x2)
    assert pairs.shape == (2, 4)
    packed = pack(pairs, "float4_e2m1fn")
    assert packed.shape == (2, 8)
    assert packed.data.data_ptr() == pairs.data_ptr()
    wide, loss = cast_packed(packed, "float32", Policy(), report=True)
    assert loss.is_lossless
    assert wide.tolist() == [[0, 0.5, 1, 1.5, 2, 3, 4, 6], [0, -0.5, -1, -1.5, -2, -3, -4, -6]]
    from tensorcast.bridges.torch.tensor import buffer_of

    again, _ = cast_into_packed(buffer_of(wide), "float4_e2m1fn", Policy(), like=wide)
    back = again.to_torch()
    assert back.dtype == torch.float4_e2m1fn_x2
    assert back.shape == pairs.shape
    assert torch.equal(back.view(torch.uint8), data)
    # rows of a transposed tensor do not lie together: a copy, not a mistake
    assert torch.equal(pack(pairs.t(), "fp4").to_torch().view(torch.uint8), data.t())


def test_what_torch_cannot_hold() -> None:
    torch = pytest.importorskip("torch")
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no float4_e2m1fn_x2")
    odd = pack(torch.zeros(2, 3, dtype=torch.uint8), "fp4")
    with pytest.raises(
        CastError, match=r"shape \[2, 3\] has no even one. Keep it as a PackedTensor"
    ):
        odd.to_torch()
    with pytest.raises(CastError, match="no dtype with one float4_e2m1fn to a byte"):
        unpack(odd, into="elements")
    with pytest.raises(CastError, match="no dtype with one float6_e2m3fn to a byte"):
        pack(torch.zeros(3, dtype=torch.uint8), "e2m3").to_torch()
    with pytest.raises(CastError, match="NumPy array"):
        pack(np.zeros(2, np.uint8), "fp4").to_torch()
    with pytest.raises(CastError, match="no dtype for float8_e3m4"):
        cast_packed(odd, "float8_e3m4", Policy())
    scalar = torch.zeros((), dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    with pytest.raises(CastError, match="one element or two"):
        pack(scalar, "fp4")
    with pytest.raises(CastError, match="holds float4_e2m1fn, not int4"):
        pack(torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2), "int4")
    with pytest.raises(CastError, match="on meta"):
        pack(torch.zeros(2, dtype=torch.int4, device="meta"), "int4")


@by_name
def test_all_codes_through_torch(row: Format) -> None:
    torch = pytest.importorskip("torch")
    codes = np.arange(1 << row.bits, dtype=np.uint8)
    packed = pack(torch.from_numpy(codes), row)
    for name in ("float32", "bfloat16", "int8", "float8_e4m3fn", "bool", "float64", "int64"):
        other = FORMATS[name]
        result, _ = cast_packed(packed, name, SATURATE)
        found = result.view(torch.uint8).numpy().view(code_dtype(other))
        expected = cast_array(codes, row, other, SATURATE.resolve(row, other)).codes
        assert (found == expected).all(), name
