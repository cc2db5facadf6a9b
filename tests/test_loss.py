"""What a cast loses: merging parts, derived figures, plain values."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from xml.etree import ElementTree

import ml_dtypes
import numpy as np
import pytest

import tensorcast as tc
from tensorcast.core.block import cast_chunk
from tensorcast.core.loss import Loss
from tensorcast.formats import FORMATS
from tensorcast.kernels import cpu
from tensorcast.policy import Policy

SUM_ERROR = 2.0**-19  # the relative error that Loss states for its sums of squares


def measure(
    values: np.ndarray, source: str, target: str, *, report: bool = True, first: int = 0
) -> Loss:
    row, to = FORMATS[source], FORMATS[target]
    policy = Policy().resolve(row, to)
    return cast_chunk(values, None, row, to, policy, n_elements=values.size, first_index=first,
                      report=report)  # fmt: skip


def test_figures_are_those_of_float64_arithmetic() -> None:
    values = (np.random.default_rng(0).standard_normal(10_001) * 3).astype(np.float32)
    loss = measure(values, "float32", "float16")
    x, y = values.astype(np.float64), values.astype(np.float16).astype(np.float64)
    error = x - y
    assert loss.n_inexact == (error != 0).sum()
    assert loss.max_abs_error == np.abs(error).max()
    assert loss.sum_squared_error == pytest.approx((error**2).sum(), rel=SUM_ERROR)
    assert loss.rmse == pytest.approx(math.sqrt((error**2).mean()), rel=SUM_ERROR)
    assert loss.sqnr_db == pytest.approx(10 * math.log10((x**2).sum() / (error**2).sum()), abs=2e-5)
    assert (loss.min, loss.max, loss.amax) == (x.min(), x.max(), np.abs(x).max())


@pytest.mark.parametrize("target", ["float16", "bfloat16", "float8_e4m3fn", "int8", "float64"])
@pytest.mark.parametrize("size", [5, 1_000, 2_048, 50_001])
def test_sums_are_within_the_stated_bound(target: str, size: int) -> None:
    rng = np.random.default_rng(size)
    normal = rng.standard_normal(size).astype(np.float32)
    spread = (normal * 10.0 ** rng.integers(-44, 38, size)).astype(np.float32)
    constant = np.full(size, 1.1, np.float32)
    to = FORMATS[target]
    policy = Policy(overflow="saturate").resolve(FORMATS["float32"], to)
    for values in (normal, normal * 1e-30, normal * 1e30, normal * 1e-22, spread, constant,
                   np.abs(normal), -np.abs(normal), np.zeros(size, np.float32)):  # fmt: skip
        values = values.astype(np.float32)
        out = np.zeros(size, np.dtype(getattr(ml_dtypes, target, target)))
        counted = [
            cpu.cast_chunk(values, out.view(np.uint8), FORMATS["float32"], to, policy, size,
                           full=True, kernel=kernel)
            for kernel in cpu.available()
        ]  # fmt: skip
        x, y = values.astype(np.float64), out.astype(np.float64)
        assert all(raw == counted[0] for raw in counted)
        assert (counted[0].min, counted[0].max) == (x.min(), x.max())
        assert counted[0].max_abs_error == pytest.approx(np.abs(x - y).max(), rel=1e-15)
        squared, error = math.fsum(x * x), math.fsum((x - y) ** 2)
        assert counted[0].sum_squared == pytest.approx(squared, rel=SUM_ERROR)
        assert counted[0].sum_squared_error == pytest.approx(error, rel=SUM_ERROR)


@pytest.mark.parametrize(
    ("source", "target"),
    [("int64", "int32"), ("int64", "uint32"), ("int32", "int64"), ("uint32", "int64"),
     ("int32", "int32"), ("uint32", "float64"), ("int64", "float64"), ("uint64", "uint32")],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 8, 9, 1_000, 2_048])
def test_squares_of_integers_within_32_bits_are_exact(source: str, target: str, size: int) -> None:
    row, to = FORMATS[source], FORMATS[target]
    low = max(int(min(row.min_exact, 0)), int(min(to.min_exact, 0)), -(2**31))
    high = min(int(row.max_exact), int(to.max_exact), 2**32 - 1)
    rng = np.random.default_rng(size)
    least = np.full(size, low)
    for values in (rng.integers(low, high, size, endpoint=True), least, np.full(size, high)):
        values = values.astype(source)
        out = np.zeros(size, target)
        policy = Policy().resolve(row, to)
        counted = [
            cpu.cast_chunk(values.view(np.uint8), out.view(np.uint8), row, to, policy, size,
                           full=True, kernel=kernel)
            for kernel in cpu.available()
        ]  # fmt: skip
        assert out.tolist() == values.tolist()
        assert all(raw == counted[0] for raw in counted)
        assert counted[0].sum_squared == float(sum(x * x for x in values.tolist()))


@pytest.mark.parametrize(
    ("value", "target", "error"),
    [
        (2.0**63, "int64", 1),
        (2.0**63 + 4096, "int64", 4097),
        (2.0**64, "uint64", 1),
        (-(2.0**63), "int64", 0),
    ],
)
def test_a_saturated_64_bit_extreme_is_one_less(value: float, target: str, error: float) -> None:
    loss = measure(np.array([value], np.float64), "float64", target)
    assert loss.max_abs_error == error
    assert loss.sum_squared_error == error * error
    assert loss.n_inexact == (error != 0)


def test_merging_parts_counts_the_whole() -> None:
    values = np.array([1, 1e6, np.nan, np.inf, 1e-9, 0.1, -1e9, 0], np.float32)
    whole = measure(values, "float32", "float16")
    parts = measure(values[:3], "float32", "float16").merge(
        measure(values[3:], "float32", "float16", first=3)
    )
    assert replace(parts, sum_squared_error=0, sum_squared=0) == replace(
        whole, sum_squared_error=0, sum_squared=0
    )
    assert parts.sum_squared_error == pytest.approx(whole.sum_squared_error)
    assert (parts.first_overflow, parts.largest_overflow_index) == (1, 6)


def test_merging_with_counts_alone_leaves_the_counts() -> None:
    values = np.array([1, 1e6], np.float32)
    both = measure(values, "float32", "float16").merge(
        measure(values, "float32", "float16", report=False, first=2)
    )
    assert both.n_overflow == 2
    assert both.n_inexact is None
    assert both.sqnr_db is None


def test_parts_of_different_casts_do_not_merge() -> None:
    one = np.ones(1, np.float32)
    with pytest.raises(ValueError, match="different casts"):
        measure(one, "float32", "float16").merge(measure(one, "float32", "bfloat16"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, 2.0], math.inf), ([], math.inf), ([0.0], math.inf), ([1e-30], 0.0)],
)
def test_signal_to_noise_at_the_ends(values: list[float], expected: float) -> None:
    loss = measure(np.array(values, np.float32), "float32", "float16")
    assert loss.sqnr_db == pytest.approx(expected)


def test_extremes_of_integers_are_exact() -> None:
    loss = measure(np.array([-(1 << 63), (1 << 63) - 1, 5], np.int64), "int64", "float64")
    assert (loss.min, loss.max, loss.amax) == (-(1 << 63), (1 << 63) - 1, 1 << 63)
    loss = measure(np.array([(1 << 64) - 1, 3], np.uint64), "uint64", "float32")
    assert (loss.min, loss.max) == (3, (1 << 64) - 1)


def test_no_finite_value_has_no_range() -> None:
    loss = measure(np.array([np.nan, np.inf], np.float32), "float32", "bfloat16")
    assert loss.min is None
    assert loss.max is None
    assert loss.amax is None
    assert loss.rmse == 0
    assert loss.is_lossless


def test_a_dictionary_of_plain_values() -> None:
    found = measure(np.array([0.1], np.float32), "float32", "bfloat16").to_dict()
    assert found["target"] == "bfloat16"
    assert found["n_inexact"] == 1
    assert {type(value) for value in found.values()} <= {str, int, float, bool, type(None)}


FULL = Loss(
    "float32", "float8_e4m3fn", 1 << 20, n_overflow=17, n_nan_lost=0, n_inexact=(1 << 20) - 1,
    n_underflow=3201, n_nan=2, n_inf=0, min=-612.5, max=599.0, amax=612.5, max_abs_error=164.5,
    sum_squared_error=1234.5, sum_squared=1e6, first_overflow=70001, largest_overflow=612.5,
    largest_overflow_index=70002,
)  # fmt: skip


def test_the_table_of_a_loss() -> None:
    assert str(FULL).splitlines() == [
        "float32 -> float8_e4m3fn, 1,048,576 elements",
        "  overflow          17   <0.01%  first at 70,001, largest magnitude 612.5 at 70,002",
        "  underflow      3,201    0.31%",
        "  inexact    1,048,575  >99.99%",
        "  NaN                2   <0.01%",
        "  infinite           0",
        "  range      -612.5 to 599",
        "  max error  164.5",
        "  RMSE       0.03431",
        "  SQNR       29.1 dB",
    ]
    some = Loss("float32", "int8", 1, n_overflow=0, n_nan_lost=1)
    assert str(some).splitlines() == [
        "float32 -> int8, 1 element",
        "  overflow  0",
        "  NaN lost  1  100%",
        "            the rest was not counted",
    ]
    none = measure(np.zeros(0, np.int32), "int32", "int64")
    assert str(none).splitlines()[0] == "int32 -> int64, 0 elements, lossless"
    both = measure(np.array([1 + 1e-9j, np.nan], np.complex128), "complex128", "complex64")
    assert "  NaN        1  25.00%" in str(both).splitlines()


def test_the_table_in_a_notebook() -> None:
    text = FULL._repr_html_()
    table = ElementTree.fromstring(text)  # well-formed
    assert table.tag == "table"
    rows = [" ".join(cell.text or "" for cell in row).strip() for row in table.iter("tr")]
    assert rows[0] == "overflow 17 <0.01% first at 70,001, largest magnitude 612.5 at 70,002"
    assert rows[-1] == "SQNR 29.1 dB"
    assert "<script" not in text
    assert "<style" not in text
    assert not re.search(r"[^-]color:(?!inherit)", text)  # the page's own, light or dark
    assert "url(" not in text
    same = measure(np.ones(3, np.float32), "float32", "float64")._repr_html_()
    faint = [row for row in same.split("<tr")[1:] if "opacity" in row]
    assert [">max error<" in row or ">RMSE<" in row for row in faint].count(True) == 2
    assert text.count("opacity") == sum(" 0 " in f"{row} " for row in rows)


def test_a_dictionary_goes_through_json() -> None:
    for loss in (FULL, measure(np.ones(3, np.float32), "float32", "float64")):
        found = loss.to_dict()
        assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["sqnr_db"] == "inf"
    worst = measure(np.array([np.inf], np.float32), "float32", "int8").to_dict()
    assert worst["largest_overflow"] == "inf"


@pytest.mark.parametrize(
    ("values", "to", "policy", "expected"),
    [
        ([1e6, 2e6], "float16", {"overflow": "ieee"}, -math.inf),
        ([1e6, 0.1], "float16", {"overflow": "ieee"}, -math.inf),
        ([-1e6, 0.1], "bfloat16", {"overflow": "ieee"}, None),
        ([1e39, 0.1], "bfloat16", {"overflow": "ieee"}, -math.inf),
        ([1e6, 1.0], "float8_e4m3fn", {"overflow": "ieee"}, -math.inf),  # which become NaN
        ([-1e6, 1.0], "float16", {"overflow": "ieee", "rounding": "down"}, -math.inf),
        ([1e6, 1.0], "float16", {"overflow": "ieee", "rounding": "toward-zero"}, 0.586),
        ([1e6, 1.0], "float16", {"overflow": "saturate"}, 0.586),
        ([math.inf, 1.0], "float16", {"overflow": "ieee"}, math.inf),
        ([math.inf, 65505.0], "float16", {"overflow": "ieee"}, 96.33),
        ([1e-200, 1e-210], "float32", {}, 0.0),
        ([1e-200, 0.0], "float32", {}, 0.0),
        ([1e-30, 0.0], "float16", {}, 0.0),
        ([1e200], "float32", {"overflow": "saturate"}, None),
        ([math.inf, math.nan], "float16", {}, math.inf),
        ([300.0], "int8", {"overflow": "wrap"}, 1.373),
    ],
)
def test_the_signal_to_noise_of_what_is_lost_whole(
    values: list[float], to: str, policy: dict[str, str], expected: float | None
) -> None:
    loss = tc.measure(np.array(values), to, **policy)
    if expected is None and to == "bfloat16":
        assert loss.sqnr_db is not None
        assert 40 < loss.sqnr_db < 200
    else:
        assert loss.sqnr_db == (expected if expected is None else pytest.approx(expected, abs=0.01))
    assert loss.makes_infinities == (loss.sqnr_db == -math.inf)
