"""What must hold of every cast, whatever the values: through the public call, by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from bits import IN_NUMPY
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import tensorcast as tc
from tensorcast import reference
from tensorcast.core.loss import Loss
from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import cpu
from tensorcast.testing import as_array, assert_cast_close, codes_of, edge_values
from tensorcast.testing.comparison import _order

REAL = [row for row in IN_NUMPY if not row.is_complex]
FLOATS = [row for row in REAL if row.is_float]
INTEGERS = [row for row in REAL if row.is_integer]
UNCHECKED: dict[str, Any] = {"overflow": "saturate", "nan": "zero"}
DIRECTED = ("toward-zero", "down", "up")
ROUNDINGS = (None, "nearest-even", *DIRECTED)

PROPERTY = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def embeds(narrow: Format, wide: Format) -> bool:
    """Whether every value of one real format is one of the other, signs of zero, infinities and
    NaN included."""
    if wide.kind == "bool" or narrow.kind == "bool":
        return narrow.kind == "bool" and wide.name != "float8_e8m0fnu" and wide.max_exact >= 1
    if narrow.max_exact > wide.max_exact or narrow.min_exact < wide.min_exact:
        return False
    if not wide.is_float:
        return not narrow.is_float
    if not narrow.is_float:
        magnitude_bits = narrow.bits - narrow.signed
        return wide.subnormals and magnitude_bits <= wide.mantissa_bits + 1
    return (
        narrow.mantissa_bits <= wide.mantissa_bits
        and narrow.smallest_exact >= wide.smallest_exact
        and narrow.smallest_normal_exact >= wide.smallest_normal_exact * _room(narrow, wide)
        and (wide.subnormals or not narrow.subnormals)
        and (wide.signed_zero or not narrow.signed_zero)
        and (wide.infinity or not narrow.infinity)
        and (wide.has_nan or not narrow.has_nan)
    )


def _room(narrow: Format, wide: Format) -> Fraction:
    """How far below the wide format's normal numbers all of the narrow one's bits still fit."""
    return Fraction(1, 1 << (wide.mantissa_bits - narrow.mantissa_bits))


EMBEDDINGS = [(a, b) for a in REAL for b in REAL if a != b and embeds(a, b)]


@st.composite
def arrays(draw: Callable[..., Any], row: Format, max_size: int = 60) -> np.ndarray:
    """Arrays of a format: its edges, and any codes."""
    edges = codes_of(edge_values(row))[1].tolist()
    top = 1 if row.kind == "bool" else (1 << row.bits) - 1
    one = st.one_of(st.sampled_from(edges), st.integers(0, top))
    codes = draw(st.lists(one, max_size=max_size))
    return as_array(np.array(codes, np.uint64), row)


def values_of(array: Any) -> list[Any]:
    """Fractions, infinities as floats, None for NaN."""
    row, codes = codes_of(array)
    found: list[Any] = []
    for code in codes.reshape(-1).tolist():
        value = reference.decode(code, row)
        if isinstance(value, reference.Special):
            size = {"infinity": float("inf"), "zero": Fraction(0), "nan": None}[value.kind]
            found.append(-size if value.negative and size is not None else size)
        else:
            found.append(value)
    return found


def test_embeddings_are_what_exact_casts_say() -> None:
    names = {(a.name, b.name) for a, b in EMBEDDINGS}
    for pair in ("float16 float32", "bfloat16 float32", "float8_e4m3fn bfloat16", "int8 float16",
                 "float8_e8m0fnu float32", "uint8 int16", "int4 float8_e4m3fn"):  # fmt: skip
        assert tuple(pair.split()) in names
    for pair in ("float16 bfloat16", "int16 float16", "uint8 int8", "float8_e8m0fnu float16",
                 "float8_e5m2 float8_e4m3fn", "float8_e4m3fn float8_e4m3fnuz"):  # fmt: skip
        assert tuple(pair.split()) not in names


@PROPERTY
@given(st.data(), st.sampled_from(EMBEDDINGS), st.sampled_from(ROUNDINGS))
def test_a_narrow_format_survives_a_wide_one(
    data: st.DataObject, pair: tuple[Format, Format], rounding: Any
) -> None:
    narrow, wide = pair
    x = data.draw(arrays(narrow))
    there = tc.cast(x, wide, exact=True, rounding=rounding)
    assert tc.measure(x, wide, rounding=rounding).is_lossless
    assert_cast_close(tc.cast(there, narrow, exact=True, rounding=rounding), x)


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL), st.sampled_from(ROUNDINGS))
def test_a_second_cast_changes_nothing(
    data: st.DataObject, source: Format, target: Format, rounding: Any
) -> None:
    options = {**UNCHECKED, "rounding": rounding}
    y = tc.cast(data.draw(arrays(source)), target, **options)
    assert tc.cast(y, target, **options) is y
    for wide in (row for narrow, row in EMBEDDINGS if narrow == target):
        assert_cast_close(tc.cast(tc.cast(y, wide, **options), target, **options), y)


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL), st.sampled_from(ROUNDINGS))
def test_larger_stays_larger(
    data: st.DataObject, source: Format, target: Format, rounding: Any
) -> None:
    x = data.draw(arrays(source))
    y = tc.cast(x, target, **UNCHECKED, rounding=rounding)
    numbers = [(a, b) for a, b in zip(values_of(x), values_of(y), strict=True) if a is not None]
    if target.kind == "bool":  # every negative is True
        numbers = [(abs(a), b) for a, b in numbers]
    for (_, low), (_, high) in pairwise(sorted(numbers)):
        assert low <= high


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL))
def test_directed_results_enclose_the_value(
    data: st.DataObject, source: Format, target: Format
) -> None:
    assume(target.kind != "bool")
    x = data.draw(arrays(source))
    down, nearest, up, zero = (
        tc.cast(x, target, **UNCHECKED, rounding=rounding)
        for rounding in ("down", "nearest-even", "up", "toward-zero")
    )
    found = [values_of(array) for array in (x, down, nearest, up, zero)]
    steps = [_order(codes_of(array)[1], target) for array in (down, up)]
    for i, (value, low, near, high, short) in enumerate(zip(*found, strict=True)):
        if value is None:
            continue
        assert low <= near <= high
        assert short == (high if value < 0 else low)
        if abs(value) == float("inf"):
            continue
        if low != high:
            assert low < value < high
            assert abs(int(steps[0][i]) - int(steps[1][i])) == 1
            assert min(value - low, high - value) == abs(near - value)
        elif target.min_exact <= value <= target.max_exact and target.subnormals:
            assert value == low


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL), st.integers(0, (1 << 64) - 1))
def test_stochastic_rounding_takes_a_neighbour_and_repeats(
    data: st.DataObject, source: Format, target: Format, seed: int
) -> None:
    assume(target.kind != "bool")
    x = data.draw(arrays(source))
    options: dict[str, Any] = {**UNCHECKED, "rounding": "stochastic", "seed": seed}
    y = tc.cast(x, target, **options)
    assert_cast_close(tc.cast(x.copy(), target, **options), y, nan="bits")
    down = values_of(tc.cast(x, target, **UNCHECKED, rounding="down"))
    up = values_of(tc.cast(x, target, **UNCHECKED, rounding="up"))
    for low, value, high in zip(down, values_of(y), up, strict=True):
        assert value in (low, high)
    # an element's number depends on its index alone
    assert_cast_close(tc.cast(x[: len(x) // 2], target, **options), y[: len(x) // 2], nan="bits")


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL), st.sampled_from(ROUNDINGS))
def test_saturation_stays_in_range(
    data: st.DataObject, source: Format, target: Format, rounding: Any
) -> None:
    x = data.draw(arrays(source))
    y = tc.cast(x, target, **UNCHECKED, rounding=rounding)
    for before, after in zip(values_of(x), values_of(y), strict=True):
        if before is None:
            wanted = {None} if target.has_nan else {Fraction(target.kind == "bool")}
            assert after in wanted
        elif abs(before) == float("inf") and target.infinity:
            assert after == before
        else:
            assert target.min_exact <= after <= target.max_exact
        if before is not None and target.kind != "bool":
            if before > target.max_exact and not (after and abs(after) == float("inf")):
                assert after == target.max_exact
            if before < target.min_exact and not (after and abs(after) == float("inf")):
                assert after == target.min_exact


@PROPERTY
@given(st.data(), st.sampled_from(INTEGERS), st.sampled_from(INTEGERS))
def test_wrapping_is_modular(data: st.DataObject, source: Format, target: Format) -> None:
    x = data.draw(arrays(source))
    y = tc.cast(x, target, overflow="wrap")
    for before, after in zip(values_of(x), values_of(y), strict=True):
        assert (before - after) % (1 << target.bits) == 0


@PROPERTY
@given(st.data(), st.sampled_from(FLOATS), st.sampled_from(INTEGERS))
def test_floats_wrap_exactly(data: st.DataObject, source: Format, target: Format) -> None:
    x = data.draw(arrays(source))
    values = values_of(x)
    assume(all(value is None or abs(value) != float("inf") for value in values))
    y = tc.cast(x, target, overflow="wrap", nan="zero")
    for before, after in zip(values, values_of(y), strict=True):
        if before is not None:  # int() of a Fraction truncates
            assert (int(before) - after) % (1 << target.bits) == 0


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL), st.sampled_from(ROUNDINGS))
def test_it_raises_when_the_measure_says_so_and_writes_nothing(
    data: st.DataObject, source: Format, target: Format, rounding: Any
) -> None:
    x = data.draw(arrays(source))
    loss = tc.measure(x, target, rounding=rounding)
    saturated = tc.cast(x, target, **UNCHECKED, rounding=rounding)
    out = tc.cast(np.ones_like(x), target, **UNCHECKED)
    before = codes_of(out)[1].copy()
    assume(source != target)
    try:
        made = tc.cast(x, target, out=out, rounding=rounding)
    except tc.errors.CastOverflowError:
        assert loss.n_overflow
        assert (codes_of(out)[1] == before).all()
    except tc.errors.CastNanError:
        assert loss.n_nan_lost
        assert not loss.n_overflow
        assert (codes_of(out)[1] == before).all()
    else:
        assert loss.n_overflow == loss.n_nan_lost == 0
        assert made is out
        assert_cast_close(out, saturated, nan="bits")
    assert tc.can_cast(x, target, rounding=rounding) == bool(loss.is_lossless)


def expect_loss(loss: Loss, x: np.ndarray, target: Format, policy: tc.policy.Policy) -> None:
    """Hold a Loss to the exact computation."""
    row, codes = codes_of(x)
    exact = reference.measure_codes(codes.tolist(), row, target, policy.resolve(row, target))[1]
    for name in ("n_elements", "n_overflow", "n_nan_lost", "n_inexact", "n_underflow", "n_nan",
                 "n_inf", "first_overflow"):  # fmt: skip
        assert getattr(loss, name) == exact[name], name  # type: ignore[literal-required]
    for name in ("min", "max", "amax"):
        if getattr(loss, name) is None and row.is_integer | (row.kind == "bool"):
            continue  # a pair that loses nothing is not looked at
        found, wanted = getattr(loss, name), exact[name]  # type: ignore[literal-required]
        assert (None if found is None else Fraction(found)) == wanted, name
    for name in ("max_abs_error", "sum_squared_error", "sum_squared"):
        found, wanted = getattr(loss, name), exact[name]  # type: ignore[literal-required]
        if found is None:
            continue
        if wanted > Fraction(1.7e308):  # beyond float64: infinity, or nearly so
            assert found > 1.6e308
        else:
            assert found == pytest.approx(float(wanted), rel=2**-19, abs=1e-300), name


@PROPERTY
@given(
    st.data(),
    st.sampled_from(REAL),
    st.sampled_from(REAL),
    st.sampled_from(ROUNDINGS),
    st.sampled_from(["raise", "saturate", "wrap", "ieee"]),
)
def test_measure_is_what_an_exact_computation_finds(
    data: st.DataObject, source: Format, target: Format, rounding: Any, overflow: Any
) -> None:
    assume(source != target)
    policy = tc.policy.Policy(overflow=overflow, rounding=rounding, nan="zero")
    try:
        policy.resolve(source, target)
    except tc.errors.PolicyError:
        assume(False)
    x = data.draw(arrays(source))
    options: dict[str, Any] = {"overflow": overflow, "rounding": rounding, "nan": "zero"}
    loss = tc.measure(x, target, **options)
    expect_loss(loss, x, target, policy)
    try:
        result, same = tc.cast(x, target, report=True, **options)
    except tc.errors.CastOverflowError:
        return
    expect_loss(same, x, target, policy)
    assert_cast_close(result, tc.cast(x, target, **options), nan="bits")


@PROPERTY
@given(st.data(), st.sampled_from(FLOATS), st.sampled_from(FLOATS))
def test_measure_is_what_float64_finds(data: st.DataObject, source: Format, target: Format) -> None:
    assume(source != target)
    x = data.draw(arrays(source))
    y, loss = tc.cast(x, target, report=True, **UNCHECKED)
    a, b = tc.cast(x, "float64"), tc.cast(y, "float64")  # exact
    with np.errstate(all="ignore"):
        number, both = np.isfinite(a), np.isfinite(a) & np.isfinite(b)
        error = np.abs(a[both] - b[both])
        assert loss.n_nan == np.isnan(a).sum()
        assert loss.n_inf == np.isinf(a).sum()
        assert loss.n_inexact == ((a != b) & ~np.isnan(a)).sum()
        assert loss.amax == (np.abs(a[number]).max() if number.any() else None)
        assert loss.max_abs_error == (error.max() if both.any() else 0)
        squares = float((error * error).sum())
        if np.isfinite(squares):
            assert loss.sum_squared_error == pytest.approx(squares, rel=2**-19, abs=1e-300)


@PROPERTY
@given(
    st.data(),
    st.sampled_from(REAL),
    st.sampled_from(REAL),
    st.integers(0, 40),
    st.sampled_from([1, 2, 3, 7, -1, -2]),
    st.integers(0, 9),
)
def test_neither_length_nor_stride_nor_offset_matters(
    data: st.DataObject, source: Format, target: Format, begin: int, step: int, offset: int
) -> None:
    x = data.draw(arrays(source, max_size=300))
    whole = tc.cast(x, target, **UNCHECKED)
    view = x[begin::step]
    assert_cast_close(tc.cast(view, target, **UNCHECKED), whole[begin::step], nan="bits")
    out = np.empty((len(view), 3), whole.dtype)[:, 1]
    assert tc.cast(view, target, out=out, **UNCHECKED) is out
    assert_cast_close(out, whole[begin::step], nan="bits")
    moved = np.zeros(x.nbytes + 16, np.uint8)[offset : offset + x.nbytes]
    moved[:] = x.view(np.uint8)
    assert_cast_close(tc.cast(moved.view(x.dtype), target, **UNCHECKED), whole, nan="bits")
    if len(x) % 2 == 0:
        grid = x.reshape(2, -1)
        assert_cast_close(tc.cast(grid.T, target, **UNCHECKED), whole.reshape(2, -1).T, nan="bits")


@pytest.mark.parametrize("kernel_threads", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("float32", "float16"),
        ("float64", "bfloat16"),
        ("float8_e4m3fn", "float32"),
        ("float32", "float8_e5m2"),
        ("int64", "int32"),
        ("float16", "int4"),
        ("bool", "float64"),
    ],
)
def test_threads_do_not_matter(
    source: str, target: str, kernel_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = FORMATS[source]
    rng = np.random.default_rng(kernel_threads)
    top = 2 if row.kind == "bool" else 1 << row.bits
    n = 700_001
    codes = rng.integers(0, top - 1, n, np.uint64, endpoint=True)
    x = as_array(codes, row)
    expected, loss = tc.cast(x[: n // 2], target, report=True, **UNCHECKED)
    monkeypatch.setattr(cpu, "default_threads", lambda: kernel_threads)
    found, same = tc.cast(x, target, report=True, **UNCHECKED)
    assert_cast_close(found[: n // 2], expected, nan="bits")
    monkeypatch.setattr(cpu, "default_threads", lambda: 1)
    again, one = tc.cast(x, target, report=True, **UNCHECKED)
    assert same == one
    assert_cast_close(again, found, nan="bits")
    assert loss.n_elements == n // 2


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from(REAL), st.sampled_from(ROUNDINGS))
def test_torch_gets_what_numpy_gets(
    data: st.DataObject, source: Format, target: Format, rounding: Any
) -> None:
    torch = pytest.importorskip("torch")
    for row in (source, target):
        assume(hasattr(torch, row.spellings.get("torch", "")) and row.name != "float4_e2m1fn")
    x = data.draw(arrays(source))
    options = {**UNCHECKED, "rounding": rounding}
    expected = tc.cast(x, target, **options)
    tensor = as_array(codes_of(x)[1], source, kind="torch")
    found, loss = tc.cast(tensor, target, report=True, **options)
    assert type(found) is torch.Tensor
    assert_cast_close(found, expected, nan="bits")
    assert_cast_close(tc.cast(tensor[1::3], target, **options), expected[1::3], nan="bits")
    assert loss == tc.cast(x, target, report=True, **options)[1]


@PROPERTY
@given(st.data(), st.sampled_from(REAL), st.sampled_from([row for row in REAL if row.bits < 8]))
def test_packed_is_the_same_with_fewer_bytes(
    data: st.DataObject, source: Format, target: Format
) -> None:
    x = data.draw(arrays(source))
    expected = tc.cast(x, target, **UNCHECKED)
    packed = tc.cast(x, target, packed=True, **UNCHECKED)
    assert packed.n_elements == x.size
    assert len(packed.data) == target.n_bytes(x.size)
    assert_cast_close(packed, expected)
    assert_cast_close(tc.cast(packed, source, **UNCHECKED), tc.cast(expected, source, **UNCHECKED))
