"""What `tensorcast.testing` finds: differences where there are some, none where there are none."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from bits import IN_NUMPY, as_codes, expect_same_codes, numpy_dtype
from codes import interesting_codes
from oracle import cast_array

from tensorcast import reference
from tensorcast.api.casts import cast
from tensorcast.api.packed import pack
from tensorcast.errors import CastError, CastOverflowError
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy
from tensorcast.testing import (
    all_codes,
    as_array,
    assert_cast_close,
    assert_matches_reference,
    codes_of,
    edge_values,
    midpoints,
    reference_cast,
)

ROWS = list(FORMATS.values())
REAL = [row for row in IN_NUMPY if not row.is_complex]
by_name = pytest.mark.parametrize("row", ROWS, ids=str)
F16 = np.float16


def value_of(code: int, row: Format) -> Fraction | float:
    value = reference.decode(code, row)
    if isinstance(value, reference.Special):
        size = {"infinity": math.inf, "nan": math.nan, "zero": 0.0}[value.kind]
        return -size if value.negative else size
    assert isinstance(value, Fraction)
    return value


@pytest.mark.parametrize("row", IN_NUMPY, ids=str)
def test_codes_of_arrays(row: Format) -> None:
    codes = interesting_codes(row, FORMATS["complex64"] if row.is_complex else row, 100)
    codes = codes & 1 if row.kind == "bool" else codes
    array = as_array(codes, row)
    assert array.dtype == numpy_dtype(row)
    found, again = codes_of(array)
    assert found == row
    assert (again == codes).all()
    assert (codes_of(array[::-2])[1] == codes[::-2]).all()
    if row.bits > 8:
        assert (codes_of(array.astype(array.dtype.newbyteorder()))[1] == codes).all() or (
            row.name == "bfloat16"
        )


@by_name
def test_codes_of_tensors(row: Format) -> None:
    torch = pytest.importorskip("torch")
    if "torch" not in row.spellings or not hasattr(torch, row.spellings["torch"]):
        pytest.skip(f"torch has no {row.name}")
    codes = interesting_codes(row, FORMATS["complex64"] if row.is_complex else row, 100)[:999]
    codes = codes & 1 if row.kind == "bool" else codes
    if row.name == "float4_e2m1fn":
        with pytest.raises(CastError, match="no dtype with one float4_e2m1fn to a byte"):
            as_array(codes, row, kind="torch")
        return
    tensor = as_array(codes, row, kind="torch")
    assert str(tensor.dtype) == f"torch.{row.spellings['torch']}"
    found, again = codes_of(tensor)
    assert found == row
    assert (again == codes).all()
    assert (codes_of(tensor[::3])[1] == codes[::3]).all()
    if row in IN_NUMPY:
        assert_cast_close(tensor, as_array(codes, row), nan="bits")


def test_lazy_conjugates_and_negations_of_tensors() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([1 + 2j, 3 - 4j])
    assert_cast_close(x.conj(), np.complex64([1 - 2j, 3 + 4j]))
    assert_cast_close(x.conj().imag, np.float32([-2, 4]))
    with pytest.raises(CastError, match="packed"):
        codes_of(torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2))


def message(actual: object, expected: object, **options: object) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_cast_close(actual, expected, **options)
    return str(caught.value)


def test_a_difference_is_told() -> None:
    assert message(np.float32([[1, 2], [3, 4]]), np.float32([[1, 2], [3.5, 5]])) == (
        "2 of 4 values of float32 differ. First at [1, 0]: actual 3.0 (0x40400000), expected 3.5 "
        "(0x40600000), 2097152 ulps apart"
    )
    far = message(F16([1, 2, 3]), F16([1.001, 2, -3]))
    assert "First at [0]: actual 1.0 (0x3c00), expected 1.0009765625 (0x3c01), 1 ulp apart" in far
    assert far.endswith(
        "farthest at [2]: actual 3.0 (0x4200), expected -3.0 (0xc200), 33792 ulps apart"
    )
    assert "from 300.0 (0x43960000), actual 44 (0x2c)" in message(
        np.int8([44]), np.int8([127]), source=np.float32([300])
    )
    assert "at []: actual nan (0x7e00), expected inf (0x7c00)" in message(F16("nan"), F16("inf"))


def test_shapes_and_formats_are_compared() -> None:
    assert message(F16([1]), np.float32([1])) == "actual is float16, expected is float32"
    assert message(F16([1]), F16(1)) == "actual has shape [1], expected has []"
    assert "[2, 3]" in message(np.zeros((2, 3), np.complex64), np.zeros(3, np.complex64))
    assert_cast_close(F16([]), F16([]))
    with pytest.raises(CastError, match="not a tensor"):
        assert_cast_close([1.0], F16([1]))


def test_nans_and_zeros() -> None:
    quiet, other = np.array([0x7E00, 0xFE01], np.uint16).view(F16), F16(["nan", "nan"])
    assert_cast_close(quiet, other)
    assert "1 of 2" in message(quiet, other, nan="bits")
    assert "actual -0.0 (0x8000), expected 0.0 (0x0000), 0 ulps" in message(F16([-0.0]), F16([0]))
    assert_cast_close(F16([-0.0]), F16([0]), max_ulps=1)
    tiny = F16([5.960464477539063e-08])
    assert_cast_close(tiny, -tiny, max_ulps=2)
    assert "more than 1 ulps apart" in message(tiny, -tiny, max_ulps=1)


def test_infinity_is_close_to_itself_only() -> None:
    assert_cast_close(F16(["inf"]), F16(["inf"]), max_ulps=5)
    assert "expected 65504.0" in message(F16(["inf"]), F16([65504]), max_ulps=5)
    assert "expected nan" in message(F16([65504]), F16(["nan"]), max_ulps=1 << 62)


@pytest.mark.parametrize("row", [row for row in IN_NUMPY if row.bits <= 16], ids=str)
def test_ulps_count_values(row: Format) -> None:
    codes = np.arange(2 if row.kind == "bool" else 1 << row.bits)
    found = [(value_of(int(code), row), int(code)) for code in codes]
    ordered = sorted((value, code) for value, code in found if math.isfinite(value))
    array = as_array(np.array([code for _, code in ordered], np.uint64), row)
    assert_cast_close(array[:-1], array[1:], max_ulps=1)
    middle = len(array) // 2
    apart = len({value for value, _ in ordered[: middle + 1]}) - 1  # -0 and 0 are one
    assert_cast_close(array[:1], array[middle : middle + 1], max_ulps=apart)
    with pytest.raises(AssertionError):
        assert_cast_close(array[:1], array[middle : middle + 1], max_ulps=apart - 1)


def test_64_bit_distances_are_exact() -> None:
    low, high = np.int64([-(1 << 63)]), np.int64([(1 << 63) - 1])
    assert f"{(1 << 64) - 1} ulps apart" in message(low, high)
    assert_cast_close(np.uint64([1 << 63]), np.uint64([(1 << 63) + 1]), max_ulps=1)


def test_complex_and_packed() -> None:
    x = np.complex64([1 + 2j, 3 + 4j])
    y = x.copy()
    y[1] = 3 + 4.5j
    assert "1 of 2 values of complex64 differ. First at [1]: actual (3.0 (0x40400000), 4.0" in (
        message(x, y)
    )
    codes = np.array([1, 2, 3], np.uint8)
    assert_cast_close(pack(codes, "uint4"), codes.view(ml_dtypes.uint4))
    assert "at [0]: actual 1 (0x1), expected 0 (0x0), 1 ulp apart" in (
        message(pack(codes, "uint4"), pack(codes & 2, "uint4"))
    )


@pytest.mark.parametrize("row", IN_NUMPY, ids=str)
def test_all_codes(row: Format) -> None:
    if row.bits > 16:
        with pytest.raises(CastError, match="take edge_values and midpoints"):
            all_codes(row)
        return
    codes = as_codes(all_codes(row), row)
    assert (codes == np.arange(2 if row.kind == "bool" else 1 << row.bits)).all()


@pytest.mark.parametrize("row", IN_NUMPY, ids=str)
def test_edges(row: Format) -> None:
    if row.is_complex:
        with pytest.raises(CastError, match=row.component.name):
            edge_values(row)
        return
    codes = set(as_codes(edge_values(row), row).tolist())
    wanted = {0, row.max_code, row.nan_code, row.infinity_code} - {None}
    if row.bits > 2:
        wanted |= {1, row.max_code - 1}
    assert wanted <= codes
    values = [value_of(code, row) for code in codes]
    assert row.min_exact in values
    assert row.smallest_exact in values
    assert row.smallest_normal_exact in values
    assert len(values) < 20000


@pytest.mark.parametrize("source", [row for row in REAL if row.kind != "bool"], ids=str)
@pytest.mark.parametrize(
    "target", [FORMATS[name] for name in ("int2", "uint8", "float8_e4m3fn", "float8_e8m0fnu",
                                          "float8_e5m2fnuz", "float16", "int64")], ids=str
)  # fmt: skip
def test_midpoints_are_where_rounding_changes(source: Format, target: Format) -> None:
    if source.bits == 64 and target.bits == 64:
        pytest.skip("no midpoints between 64-bit formats are looked for here")
    codes = as_codes(midpoints(source, target, n=200), source)
    assert len(codes) == len(set(codes.tolist())) or source.kind == "int"
    values = {value_of(int(code), source) for code in codes}
    exact = {value for value in values if isinstance(value, Fraction)}
    if target.bits <= 8:
        small = [value_of(code, target) for code in range(target.max_code + 1)]
    else:
        small = [value_of(code, target) for code in range(3)]
    to_source = Policy(overflow="saturate").resolve(target, source)
    for low, high in pairwise(small):
        for value in (low, (low + high) / 2):
            if not reference.encode(value, source, to_source).inexact:
                assert value in exact or value == 0


def test_midpoints_have_neighbours() -> None:
    codes = set(as_codes(midpoints("float32", "bfloat16"), FORMATS["float32"]).tolist())
    middle = 0x3F808000  # between 1 and the next bfloat16
    assert {middle - 1, middle, middle + 1, middle | 1 << 31} <= codes
    beyond = 0x7F7F8000  # half way from the largest to what would follow it
    assert {beyond - 1, beyond, beyond + 1} <= codes
    assert len(midpoints("float32", "float16")) < 30_000
    every = midpoints("int16", "float16", n=None)
    assert {2049, 2050, 2051, 4098, -32760} <= set(every.tolist())


def test_reference_cast_of_arrays_and_tensors() -> None:
    x = np.float32([[1.5, 300], [-0.0, 2]])
    assert reference_cast(x, "int8").tolist() == [[1, 127], [0, 2]]
    with pytest.raises(CastOverflowError):
        reference_cast(x, "int8", Policy())
    assert reference_cast(np.complex64([1 + 1e-9j]), "complex128").dtype == np.complex128
    torch = pytest.importorskip("torch")
    result = reference_cast(torch.tensor([[1.5], [500.0]]), "float8_e4m3fn")
    assert result.dtype == torch.float8_e4m3fn
    assert result.float().tolist() == [[1.5], [448.0]]


PAIRS = [
    ("float32", "float16"),
    ("float64", "bfloat16"),
    ("bfloat16", "float8_e4m3fn"),
    ("int64", "float16"),
    ("float32", "uint8"),
    ("float8_e5m2", "float32"),
    ("float16", "float6_e3m2fn"),
    ("complex64", "complex128"),
    ("bool", "float16"),
    ("float16", "bool"),
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_our_casts_match(source: str, target: str) -> None:
    policy = Policy(overflow="saturate", nan="zero")
    assert_matches_reference(
        lambda x: cast(x, target, overflow="saturate", nan="zero"),
        source, target, policy, nan="bits", n_random=200,
    )  # fmt: skip


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(overflow="wrap", nan="zero", rounding="up"),
        Policy(rounding="stochastic", seed=7, overflow="saturate", nan="zero"),
        Policy(exact=True, overflow="saturate"),
    ],
    ids=str,
)
def test_our_casts_match_under_every_policy(policy: Policy) -> None:
    options = {"overflow": policy.overflow, "rounding": policy.rounding, "nan": policy.nan}
    options |= {"seed": policy.seed, "exact": policy.exact}
    assert_matches_reference(lambda x: cast(x, "int8", **options), "float16", "int8", policy)


def test_our_casts_of_tensors_match() -> None:
    pytest.importorskip("torch")
    for source, target in (("float32", "float8_e5m2"), ("int16", "bfloat16"), ("int4", "float16")):
        assert_matches_reference(
            lambda x, to=target: cast(x, to, overflow="saturate"), source, target, kind="torch"
        )


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_wrong_functions_are_found() -> None:
    with pytest.raises(AssertionError, match=r"float32 to float16, .* elements: .* inf"):
        assert_matches_reference(lambda x: x.astype(F16), "float32", "float16")  # overflows
    assert_matches_reference(lambda x: x.astype(F16), "float32", "float16", Policy(overflow="ieee"))

    def last_is_lost(x: np.ndarray) -> np.ndarray:
        result = x.astype(np.float32)
        result[len(x) // 8 * 8 :] = 0
        return result

    with pytest.raises(AssertionError, match=r"the last .* elements"):
        assert_matches_reference(last_is_lost, "float16", "float32")

    def wrong_when_strided(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float32) * (1 if x.strides == (2,) else 2)

    with pytest.raises(AssertionError, match="every other element"):
        assert_matches_reference(wrong_when_strided, "float16", "float32")
    with pytest.raises(AssertionError, match="actual is float16, expected is float32"):
        assert_matches_reference(lambda x: x, "float16", "float32")


@pytest.mark.filterwarnings("ignore:.*encountered in cast:RuntimeWarning")
def test_double_rounding_is_found() -> None:
    with pytest.raises(AssertionError, match="float64 to bfloat16"):
        assert_matches_reference(
            lambda x: x.astype(np.float32).astype(ml_dtypes.bfloat16),
            "float64", "bfloat16", Policy(overflow="ieee"),
        )  # fmt: skip


def test_the_two_oracles_agree_on_what_is_given() -> None:
    source, target = FORMATS["float32"], FORMATS["float8_e4m3fn"]
    values = np.concatenate([midpoints(source, target), edge_values(source)])
    policy = Policy(overflow="saturate", nan="zero")
    expected = cast_array(values, source, target, policy.resolve(source, target)).codes
    expect_same_codes(reference_cast(values, target, policy), expected, target)
