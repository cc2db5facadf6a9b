"""The cast of whole buffers held to its policy, and of chunks that never raise."""

from __future__ import annotations

import numpy as np
import pytest
from bits import IN_NUMPY, as_array, code_dtype
from codes import interesting_codes
from oracle import cast_array

from tensorcast.buffer import Buffer, numpy_buffer
from tensorcast.core.block import cast_buffer, cast_chunk
from tensorcast.core.loss import Loss
from tensorcast.core.pairs import is_lossless_pair
from tensorcast.core.refusal import refuse, value_at
from tensorcast.errors import CastError, CastNanError, CastOverflowError, InexactCastError
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy


def cast(values: np.ndarray, target: np.ndarray, policy: Policy, **options: object) -> Loss:
    source, out = numpy_buffer(values), numpy_buffer(target, writable=True)
    resolved = policy.resolve(source.format, out.format)
    return cast_buffer(source, out, out.format, resolved, **options)


def test_overflow_names_the_numbers_and_the_way_out_and_writes_nothing() -> None:
    values = np.array([[1.0, 70000.0], [-1e30, 2.0]], np.float32)
    out = np.full((2, 2), 7, np.float16)
    with pytest.raises(CastOverflowError) as caught:
        cast(values, out, Policy(), name="layers.3.weight")
    assert str(caught.value) == (
        "'layers.3.weight': 2 of 4 values lie outside float16 (-65504 to 65504; first 70000 at "
        "[0, 1], largest magnitude 1.00000002e+30 at [1, 0]). "
        'Pass overflow="saturate" or "ieee", or cast to bfloat16, which holds them.'
    )
    assert (out == 7).all()


def test_saturate_and_ieee_write() -> None:
    values, out = np.array([1e9, -1e9, 1.5], np.float32), np.zeros(3, np.float16)
    assert cast(values, out, Policy(overflow="saturate")).n_overflow == 2
    assert out.tolist() == [65504.0, -65504.0, 1.5]
    cast(values, out, Policy(overflow="ieee"))
    assert out.tolist() == [np.inf, -np.inf, 1.5]


def test_narrowing_an_integer_raises_and_widening_is_lossless() -> None:
    wide = np.array([1, 1 << 40, -5], np.int64)
    narrow = np.zeros(3, np.int32)
    with pytest.raises(CastOverflowError, match=r"to 2147483647; it is 1099511627776 at \[1\]\)\."):
        cast(wide, narrow, Policy())
    assert not narrow.any()
    loss = cast(np.array([1, -2, 3], np.int32), wide, Policy(), report=True)
    assert loss.is_lossless
    assert wide.tolist() == [1, -2, 3]


def test_wrap_is_exact_and_an_infinity_does_not_wrap() -> None:
    out = np.zeros(3, np.int8)
    cast(np.array([300.0, -129.0, 1e30], np.float32), out, Policy(overflow="wrap"))
    assert out.tolist() == [44, 127, 0]
    with pytest.raises(CastOverflowError, match="An infinity does not wrap"):
        cast(np.array([1, np.inf, 2], np.float32), out, Policy(overflow="wrap"))
    assert out.tolist() == [44, 127, 0]


def test_a_nan_without_a_place_raises_or_becomes_zero() -> None:
    values, out = np.array([np.nan, 2], np.float32), np.full(2, 9, np.int16)
    with pytest.raises(
        CastNanError, match=r'1 of 2 values are NaN \(the first at \[0\]\).*nan="zero"'
    ):
        cast(values, out, Policy())
    assert out.tolist() == [9, 9]
    cast(values, out, Policy(nan="zero"))
    assert out.tolist() == [0, 2]


def test_exact_refuses_any_change() -> None:
    out = np.zeros(2, np.float16)
    with pytest.raises(
        InexactCastError,
        match=r"1 of 2 values would change in float16 \(.*the first is 1\.00010002 at \[1\]\)",
    ):
        cast(np.array([1.0, 1.0001], np.float32), out, Policy(exact=True))
    assert not out.any()
    cast(np.array([1.0, 1.5], np.float32), out, Policy(exact=True))
    truth = np.zeros(2, np.bool_)
    with pytest.raises(InexactCastError):  # NumPy's same_value lets 2 -> True pass
        cast(np.array([2, 1], np.int32), truth, Policy(exact=True))


def test_the_wrong_answers_of_others() -> None:
    out8, out64 = np.zeros(1, np.int8), np.zeros(1, np.int64)
    for n in (1, 3, 8, 31, 33, 1000):  # torch's uint32 of 1e10 depends on the length
        out = np.zeros(n, np.uint32)
        cast(np.full(n, 1e10, np.float32), out, Policy(overflow="saturate"))
        assert (out == 4294967295).all()
    cast(np.array([300], np.float32), out8, Policy(overflow="saturate"))
    assert out8[0] == 127  # torch: 44 eager, 127 compiled
    cast(np.array([np.inf], np.float32), out64, Policy(overflow="saturate"))
    assert out64[0] == (1 << 63) - 1  # tf.saturate_cast: -2^63
    import ml_dtypes

    once = np.zeros(1, ml_dtypes.bfloat16)
    value = np.array([1 + 2**-8 + 2**-40])  # just above a tie of bfloat16
    cast(value, once, Policy())
    assert float(once[0]) == 1 + 2**-7
    assert float(value.astype(ml_dtypes.bfloat16)[0]) == 1.0  # rounded twice


def test_buffers_that_do_not_fit_are_refused() -> None:
    values = np.zeros((2, 3), np.float32)
    with pytest.raises(CastError, match=r"shape \[2, 3\], the target \[3, 2\]"):
        cast(values, np.zeros((3, 2), np.float16), Policy())
    frozen = np.zeros((2, 3), np.float16)
    frozen.flags.writeable = False
    with pytest.raises(CastError, match="read-only"):
        cast(values, frozen, Policy())
    with pytest.raises(CastError, match="overlap"):
        cast(values, values.view(np.int32), Policy())
    source = numpy_buffer(values)
    away = Buffer(0, (2, 3), (6, 2), FORMATS["float16"], device="cuda:0")
    policy = Policy().resolve("float32", "float16")
    with pytest.raises(CastError, match="cuda:0"):
        cast_buffer(source, away, FORMATS["float16"], policy)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1)])
def test_scalars_and_empty_arrays(shape: tuple[int, ...]) -> None:
    values, out = np.ones(shape, np.float32), np.zeros(shape, np.float16)
    loss = cast(values, out, Policy(), report=True)
    assert loss.n_elements == values.size
    assert (out == 1).all()
    assert loss.is_lossless


def test_more_dimensions_than_the_kernels_walk() -> None:
    values = np.ones((1,) * 64, np.float32)
    deep = Buffer(values.ctypes.data, (1,) * 64, (8,) * 64, FORMATS["float32"], owner=values)
    assert cast_buffer(
        deep, None, FORMATS["float16"], Policy().resolve("float32", "float16")
    ).n_elements == 1  # fmt: skip


def test_measuring_writes_and_raises_nothing() -> None:
    values = np.array([1e9, np.nan], np.float32)
    policy = Policy().resolve("float32", "int8")
    loss = cast_buffer(numpy_buffer(values), None, FORMATS["int8"], policy, report=True)
    assert (loss.n_overflow, loss.n_nan_lost, loss.first_overflow) == (1, 1, 0)


def test_a_chunk_never_raises_and_counts_from_its_index() -> None:
    out = bytearray(8)
    policy = Policy().resolve("float32", "float16")
    values = np.array([1, 2, 1e6, 1e7], np.float32)
    loss = cast_chunk(values, out, FORMATS["float32"], FORMATS["float16"], policy,
                      n_elements=4, first_index=100)  # fmt: skip
    assert (loss.n_overflow, loss.first_overflow, loss.largest_overflow_index) == (2, 102, 103)
    assert loss.largest_overflow == 1e7
    assert not loss.is_full
    assert np.frombuffer(out, np.float16).tolist() == [1, 2, 65504, 65504]
    with pytest.raises(CastOverflowError, match="largest magnitude 10000000 at 103"):
        refuse(loss, policy)


@pytest.mark.parametrize(
    ("dtype", "way"),
    [
        # float16 would hold the infinity, and not the 3e5 beside it
        (np.float32, 'Pass overflow="saturate".'),
        (np.float16, 'Pass overflow="saturate".'),
    ],
)
def test_an_infinity_is_sent_only_where_it_can_go(dtype: type, way: str) -> None:
    values = np.array([1.0, 3e4, float("-inf")], dtype)
    with pytest.raises(CastOverflowError) as caught:
        cast(values, np.zeros(3, np.int32), Policy())
    assert str(caught.value).endswith(way)
    with pytest.raises(CastOverflowError):  # as the message says, it would not wrap either
        cast(values, np.zeros(3, np.int32), Policy(overflow="wrap"))


@pytest.mark.parametrize("source", FORMATS.values(), ids=str)
def test_lossless_pairs_are_those_whose_every_value_survives(source: Format) -> None:
    for target in FORMATS.values():
        if source.is_complex and target.is_complex:
            assert is_lossless_pair(source, target) == (source.bits <= target.bits)
            continue
        if source.is_complex and target.kind != "bool":
            assert not is_lossless_pair(source, target)
            continue
        policy = Policy(overflow="saturate", nan="zero").resolve(source, target)
        cast = cast_array(interesting_codes(source, target), source, target, policy)
        lossy = bool(cast.inexact.any() or cast.nan_lost.any() or cast.overflow.any())
        if source == target or source.kind == target.kind == "bool":
            lossy = False
        assert is_lossless_pair(source, target) != lossy, target.name


def test_a_refusal_shows_the_first_value_wherever_it_lies() -> None:
    values = np.zeros((4, 5, 6), np.float64)
    values[2, 3, 4], values[3, 0, 0] = -200, 1e300
    for view in (values, values[::-1], values.T, values[:, ::2][:, ::-1], values.astype(">f8")):
        first = tuple(np.argwhere(np.abs(view) > 127)[0]) if (np.abs(view) > 127).any() else None
        if first is None:
            continue
        for nan in (False, True):
            source = view.copy() if nan else view
            if nan:
                source[np.abs(source) > 127] = np.nan
            with pytest.raises(CastError) as caught:
                cast(source, np.zeros(view.shape, np.int8), Policy())
            assert str([int(i) for i in first]) in str(caught.value)


@pytest.mark.parametrize("row", IN_NUMPY, ids=str)
def test_the_value_at_an_index(row: Format) -> None:
    codes = np.arange(12, dtype=np.uint8).repeat(row.container_bits // 8) & min(row.max_code, 255)
    array = as_array(codes.view(code_dtype(row)), row)[:12].reshape(3, -1)
    for view in (array, array.T, array[::-1, ::2]):
        expected = view.astype(np.complex128 if row.is_complex else object).reshape(-1)
        for i, value in enumerate(expected):
            assert value_at(numpy_buffer(view, row), i) == value


def test_exact_says_which_infinities_and_nans_change() -> None:
    import numpy as np

    import tensorcast as tc

    infinite, missing = np.float32([np.inf, 1, -np.inf]), np.float32([1, np.nan])
    with pytest.raises(
        tc.errors.InexactCastError, match=r"2 of 3 .* \(2 infinities; the first is inf at"
    ):
        tc.cast(infinite, "float16", exact=True, inf="saturate")
    with pytest.raises(tc.errors.InexactCastError, match=r"\(1 NaN; the first at \[1\]\)"):
        tc.cast(missing, "int8", exact=True, nan="zero")
    with pytest.raises(
        tc.errors.InexactCastError, match=r"\(largest error 0.5, 1 NaN; the first is 1.5"
    ):
        tc.cast(np.float32([np.nan, 1.5]), "int8", exact=True, nan="zero")


def test_infinities_among_values_out_of_range_are_counted() -> None:
    import tensorcast as tc

    values = np.array([1, np.inf, 500.0, -np.inf])
    with pytest.raises(
        tc.errors.CastOverflowError, match=r"^3 of 4 .* 448, 2 of them infinite; first"
    ):
        tc.cast(values, "float8_e4m3fn")
    with pytest.raises(tc.errors.CastOverflowError, match=r"^2 of 2 .* 127, all infinite; first"):
        tc.cast(values[1::2], "int8")
    with pytest.raises(tc.errors.CastOverflowError) as caught:
        tc.cast(np.array([500.0, 600.0]), "float8_e4m3fn")
    assert "infinite" not in str(caught.value)
