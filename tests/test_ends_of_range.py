"""What lies beyond a format's range, through the public calls: IEEE 754's overflow in each
direction, and infinities that are kept, ended or refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.errors import (
    CastError,
    CastOverflowError,
    InexactCastError,
    PolicyError,
)
from tensorcast.formats import FORMATS, Format

torch = pytest.importorskip("torch", reason="torch is not installed")

INF = math.inf
FLOATS = [row for row in FORMATS.values() if row.is_float and (row.infinity or row.has_nan)]
BOTH_INFINITE = [row for row in FLOATS if row.infinity]


def largest(row: Format) -> float:
    return float(row.max)


def beyond(row: Format) -> float:
    return INF if row.infinity else math.nan


def same(found: Any, expected: list[float]) -> bool:
    found = tc.to_numpy(found, "float64")
    return np.array_equal(found, np.array(expected), equal_nan=True)


@pytest.mark.parametrize("row", [row for row in FLOATS if row.bits < 64 and row.signed], ids=str)
@pytest.mark.parametrize("n", [1, 40, 5000])  # the plain loops, their vectors, blocks of them
def test_overflow_as_ieee_754_says(row: Format, n: int) -> None:
    """IEEE 754-2019, 7.4, a) to d); an infinity is exact in each."""
    far = 1.5 * largest(row) if row.bits == 32 else 4.0 * largest(row)
    top, out = largest(row), beyond(row)
    expected = {
        "nearest-even": (out, -out),
        "stochastic": (out, -out),
        "toward-zero": (top, -top),
        "down": (top, -out),
        "up": (out, -top),
    }
    for source in ("float64", "float32", "bfloat16"):
        if not far < FORMATS[source].max:
            continue
        x = tc.to_numpy([far, -far, INF, -INF, 1.0] * n, source, overflow="ieee")
        for rounding, (high, low) in expected.items():
            made, loss = tc.cast(x, row, overflow="ieee", rounding=rounding, report=True)
            want = [high, low, out, -out, 1.0] * n
            assert same(made, want), (source, rounding)
            assert loss.n_overflow == n * (2 if row.infinity else 4)
            assert same(tc.cast(x, row, overflow="ieee", rounding=rounding), want)


def test_what_rounds_back_into_the_range_has_not_overflowed() -> None:
    x = torch.tensor([65504.0, 65519.99, 65520.0, 65535.9, 65536.0])  # 65536 = 65504 + one place
    down, loss = tc.cast(x, "float16", overflow="ieee", rounding="toward-zero", report=True)
    assert down.tolist() == [65504.0] * 5
    assert loss.n_overflow == 1
    assert tc.cast(x[:4], "float16", rounding="down").tolist() == [65504.0] * 4
    up, loss = tc.cast(x, "float16", overflow="ieee", rounding="up", report=True)
    assert up.tolist() == [65504.0, INF, INF, INF, INF]
    assert loss.n_overflow == 4


def test_errors_of_finite_results_are_summed() -> None:
    x = np.array([70000.0, -70000.0, 1.0])
    _, loss = tc.cast(x, "float16", overflow="ieee", rounding="down", report=True)
    assert loss.max_abs_error == 70000 - 65504  # -70000 became -inf
    assert (loss.n_overflow, loss.n_inexact) == (2, 2)


@pytest.mark.parametrize("rounding", ["nearest-even", "toward-zero", "down", "up", "stochastic"])
def test_float8_e8m0fnu_overflows_upwards_only(rounding: str) -> None:
    x = np.array([2.6e38, INF, 0.0, -1.0, -INF, 1e-45])
    made = tc.cast(x, "float8_e8m0fnu", overflow="ieee", rounding=rounding).view(np.uint8)
    first = 254 if rounding in ("toward-zero", "down", "stochastic") else 255
    if rounding != "stochastic":  # where chance decides
        assert made[0] == first
    x[0] = 3.3e38 * 4
    made = tc.cast(x, "float8_e8m0fnu", overflow="ieee", rounding=rounding).view(np.uint8)
    assert made[0] == (254 if rounding in ("toward-zero", "down") else 255)
    assert made[1:].tolist() == [255] * 5


def test_integers_and_complex_numbers() -> None:
    x = torch.tensor([100_000, -100_000])
    for rounding, want in (("down", [65504.0, -INF]), ("up", [INF, -65504.0])):
        assert tc.cast(x, "float16", overflow="ieee", rounding=rounding).tolist() == want
    z = np.array([1e300 - 1e300j])
    made = tc.cast(z, "complex64", overflow="ieee", rounding="up")
    assert (made.real[0], made.imag[0]) == (INF, -np.finfo(np.float32).max)


X = [1.0, INF, -INF, 2.0]


@pytest.mark.parametrize("target", [row.name for row in BOTH_INFINITE])
@pytest.mark.parametrize("source", ["float16", "float32", "float64", "bfloat16", "float8_e5m2"])
@pytest.mark.parametrize("n", [1, 600, 9000])
def test_saturate_gives_the_largest_value(source: str, target: str, n: int) -> None:
    row = FORMATS[target]
    x = tc.to_numpy(X * n, source)
    kept, loss = tc.cast(x, target, report=True)
    assert same(kept, X * n)
    assert (loss.n_overflow, loss.n_inf, loss.is_lossless) == (0, 2 * n, True)
    top = largest(row)
    for overflow in ("raise", "saturate", "ieee"):
        ended, loss = tc.cast(x, target, inf="saturate", overflow=overflow, report=True)
        assert same(ended, [1.0, top, -top, 2.0] * n), overflow
        assert (loss.n_overflow, loss.n_inexact, loss.n_inf) == (2 * n, 2 * n, 2 * n)
        assert (loss.first_overflow, loss.is_lossless) == (1, False)
        assert (loss.largest_overflow, loss.max_abs_error) == (None, 0.0)
    out = np.empty(len(x), kept.dtype)
    assert tc.cast(x, target, inf="saturate", out=out) is out
    assert same(out, [1.0, top, -top, 2.0] * n)
    out[:] = 7
    for overflow in ("raise", "saturate", "ieee"):
        with pytest.raises(CastOverflowError, match=f"{2 * n} of {4 * n} values are infinite"):
            tc.cast(x, target, inf="raise", overflow=overflow, out=out)
    assert same(out, [7.0] * 4 * n)


def test_other_targets_go_by_overflow() -> None:
    x = torch.tensor(X)
    for inf in ("keep", "saturate", "raise"):
        assert tc.cast(x, "float8_e4m3fn", overflow="saturate", inf=inf).float().tolist() == [
            1.0, 448.0, -448.0, 2.0,
        ]  # fmt: skip
        assert tc.cast(x, "int8", overflow="saturate", inf=inf).tolist() == [1, 127, -128, 2]
        assert tc.cast(x, "bool", inf=inf).all()
        with pytest.raises(CastOverflowError, match="2 of 4 values lie outside int8"):
            tc.cast(x, "int8", inf=inf)
        with pytest.raises(CastOverflowError, match="An infinity does not wrap"):
            tc.cast(x, "int8", overflow="wrap", inf=inf)
    assert tc.cast(torch.tensor([1, 2]), "float16", inf="raise").tolist() == [1.0, 2.0]


@pytest.mark.parametrize("inf", ["none", "zero", None, 1])
def test_a_policy_misspelt(inf: object) -> None:
    for call in (tc.cast, tc.measure, tc.can_cast):
        with pytest.raises(PolicyError, match=r"inf=.* is not one of keep, saturate, raise"):
            call(np.ones(1), "float16", inf=inf)


def test_the_finite_ones_are_refused_on_their_own() -> None:
    x = np.array([INF, 1e6, -INF, -1e5])
    with pytest.raises(CastOverflowError) as caught:
        tc.cast(x, "float16", inf="saturate")
    assert str(caught.value).startswith("2 of 4 values lie outside float16 (-65504 to 65504, ")
    assert "largest magnitude 1000000 at [1]" in str(caught.value)
    ended = tc.cast(x, "float16", inf="saturate", overflow="ieee")
    assert ended.tolist() == [65504.0, INF, -65504.0, -INF]
    ended = tc.cast(x, "float16", inf="saturate", overflow="ieee", rounding="up")
    assert ended.tolist() == [65504.0, INF, -65504.0, -65504.0]


def test_the_refusal_shows_the_first_and_the_way_out() -> None:
    x = torch.zeros(3, 5)
    x[1, 2] = -INF
    with pytest.raises(CastOverflowError) as caught:
        tc.cast(x, "bfloat16", inf="raise")
    assert str(caught.value) == (
        '1 of 15 values are infinite (the first at [1, 2]), and inf="raise" refuses them. Pass '
        'inf="keep", or inf="saturate" for 3.38953139e+38, the largest value of bfloat16.'
    )


def test_exact_measure_and_can_cast() -> None:
    x = torch.tensor(X)
    with pytest.raises(InexactCastError, match=r"2 of 4 values would change .* inf at \[1\]"):
        tc.cast(x, "float16", inf="saturate", exact=True)
    assert tc.cast(x, "float16", exact=True).tolist() == X
    assert tc.measure(x, "float16", inf="raise").n_overflow == 2
    for target in ("float16", "float32", "float64"):
        assert tc.can_cast(x, target)
        assert not tc.can_cast(x, target, inf="raise")
        assert not tc.can_cast(x, target, inf="raise", exact=False)
        assert not tc.can_cast(x, target, inf="saturate")
        assert tc.can_cast(x, target, inf="saturate", exact=False)
        assert tc.can_cast(x[:1], target, inf="raise")


@pytest.mark.parametrize("row", BOTH_INFINITE, ids=str)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_to_the_same_format(row: Format, library: str) -> None:
    if library == "torch" and not hasattr(torch, row.spellings.get("torch", "-")):
        pytest.skip(f"torch has no {row}")
    make: Any = tc.to_numpy if library == "numpy" else tc.as_tensor
    x = make(X, row)
    assert tc.cast(x, row) is x
    top = largest(row)
    ended, loss = tc.cast(x, row, inf="saturate", report=True)
    assert same(tc.cast(ended, "float64"), [1.0, top, -top, 2.0])
    assert same(tc.cast(x, "float64"), X)
    assert (loss.n_overflow, loss.n_inexact) == (2, 2)
    with pytest.raises(CastOverflowError, match="2 of 4 values are infinite"):
        tc.cast(x, row, inf="raise")
    assert same(tc.cast(make(X[:1], row), row, inf="raise"), [1.0])


def test_a_cast_to_the_same_format_leaves_all_else() -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    x = codes.view(np.float16)
    ended = tc.cast(x, "float16", inf="saturate").view(np.uint16)
    assert np.flatnonzero(ended != codes).tolist() == [0x7C00, 0xFC00]
    assert ended[[0x7C00, 0xFC00]].tolist() == [0x7BFF, 0xFBFF]
    by_operations = tc.cast(torch.from_numpy(codes.view(np.int16)).view(torch.float16), "float16",
                            inf="saturate")  # fmt: skip
    assert (by_operations.view(torch.int16).numpy().view(np.uint16) == ended).all()


def test_complex_numbers() -> None:
    z = torch.tensor([complex(INF, 1), complex(2, -INF), complex(1, 1)], dtype=torch.complex64)
    for target in ("complex64", "complex128"):
        top = float(FORMATS[target].component.max)
        ended = torch.view_as_real(tc.cast(z, target, inf="saturate"))
        assert ended.tolist() == [[top, 1.0], [2.0, -top], [1.0, 1.0]]
        with pytest.raises(CastOverflowError, match="2 of 3 values are infinite"):
            tc.cast(z, target, inf="raise")
    real = torch.tensor([INF], dtype=torch.float64)
    assert torch.view_as_real(tc.cast(real, "complex64", inf="saturate")).tolist() == [
        [float(np.finfo(np.float32).max), 0.0]
    ]


def test_strides_swapped_bytes_and_large_results() -> None:
    x = np.arange(24.0).reshape(4, 6)
    x[1, 3] = INF
    for each in (x.T, x[:, ::-2], x.astype(">f8"), x[::2]):
        ended = tc.cast(each, "float32", inf="saturate")
        want = np.where(np.isinf(each), np.finfo(np.float32).max, each).astype(np.float32)
        assert (ended == want).all()
    big = torch.ones(5_000_000)  # stored around the caches, by several threads
    big[[7, 4_999_999]] = INF
    ended, loss = tc.cast(big, "float64", inf="saturate", report=True)
    assert (loss.n_overflow, loss.first_overflow) == (2, 7)
    assert torch.isfinite(ended).all()
    assert float(ended.max()) == float(FORMATS["float64"].max)
    assert torch.equal(tc.cast(big, "float64", inf="saturate"), ended)


@pytest.mark.parametrize("target", ["float32", "float16", "float64"])
def test_numbers_and_sequences(target: str) -> None:
    top = largest(FORMATS[target])
    for make in (tc.as_tensor, tc.to_numpy):
        kept, ended = make(X, target), make(X, target, inf="saturate")
        assert same(kept, X)
        assert same(ended, [1.0, top, -top, 2.0])
        with pytest.raises(CastOverflowError, match=r'\[1\]: inf is refused by inf="raise"'):
            make(X, target, inf="raise")
        nested = make([np.array(X), np.array(X)], target, inf="saturate")
        assert same(nested, [[1.0, top, -top, 2.0]] * 2)
        with pytest.raises(CastOverflowError, match="infinite"):
            make([np.array(X[:1]), np.array(X[1:2])], target, inf="raise")
    pair = tc.to_numpy([complex(INF, 1)], "complex128", inf="saturate")
    assert (pair.real[0], pair.imag[0]) == (np.finfo(np.float64).max, 1.0)
    with pytest.raises(CastOverflowError):
        tc.to_numpy([complex(INF, 1e300)], "complex64", inf="saturate")


def test_what_is_shared_is_looked_at() -> None:
    fine, x = np.ones(3, np.float32), np.array(X, np.float32)
    for inf in ("raise", "saturate"):
        assert np.shares_memory(tc.as_tensor(fine, inf=inf).numpy(), fine)
        assert np.shares_memory(tc.to_numpy(fine, inf=inf, copy=False), fine)
    top = largest(FORMATS["float32"])
    for make in (tc.as_tensor, tc.to_numpy, tc.to_numpy):
        for data in (x, torch.from_numpy(x)):
            assert same(make(data, inf="saturate"), [1.0, top, -top, 2.0])
            assert same(make(data, "float32", inf="saturate", copy=True), [1.0, top, -top, 2.0])
            with pytest.raises(CastOverflowError, match="2 of 4 values are infinite"):
                make(data, inf="raise")
            with pytest.raises(CastError, match="copy=False, but inf="):
                make(data, inf="saturate", copy=False)
    assert same(x, X)


def test_in_place() -> None:
    for inf, want in (("keep", X), ("saturate", [1.0, 65504.0, -65504.0, 2.0])):
        x = torch.tensor(X * 3000)
        tc.cast_(x, "float16", inf=inf)
        assert x.dtype == torch.float16
        assert x.tolist() == want * 3000
    x = torch.tensor(X)
    with pytest.raises(CastOverflowError, match="2 of 4 values are infinite"):
        tc.cast_(x, "float16", inf="raise")
    assert (x.dtype, x.tolist()) == (torch.float32, X)
    tc.cast_(x, "float32", inf="saturate")
    top = largest(FORMATS["float32"])
    assert x.tolist() == [1.0, top, -top, 2.0]
    y = torch.tensor(X)
    with pytest.raises(CastOverflowError, match=r"2 of 4 values are infinite \(the first at \[1\]"):
        tc.cast_(y, "float32", inf="raise")
    assert y.tolist() == X
    tc.cast_(x, "float32", inf="raise")  # none is left


def test_what_a_module_keeps_is_left_alone() -> None:
    def model() -> dict[str, Any]:
        return {name: torch.tensor(X, dtype=torch.float16) for name in ("a", "kept")}

    saturated = tc.cast_(model(), "float16", inf="saturate", rules={"kept": None})
    assert saturated["a"].tolist() == [1.0, 65504.0, -65504.0, 2.0]
    assert saturated["kept"].tolist() == X
    with pytest.raises(CastOverflowError, match="'a': 2 of 4 values are infinite"):
        tc.cast_(model(), "float16", inf="raise", rules={"kept": None})
    rules = {"a": None, "kept": None}
    _, losses = tc.cast_(model(), "bfloat16", inf="raise", rules=rules, report=True)
    assert [loss.n_overflow for loss in losses.values()] == [0, 0]
    mixed = {**model(), "z": torch.tensor([complex(INF, 0)])}
    rules = {"z": None}  # stays complex
    tc.cast_({"z": mixed["z"]}, "float32", inf="raise", rules=rules)
    assert torch.isinf(mixed["z"].real).all()


def test_the_reference_to_test_against() -> None:
    x = np.array([1.0, INF, 7e4], np.float32)
    policy = tc.policy.Policy(overflow="ieee", inf="saturate", rounding="up")
    found = tc.testing.reference_cast(x, "float16", policy)
    assert found.tolist() == [1.0, 65504.0, INF]
    tc.testing.assert_matches_reference(
        lambda x: tc.cast(x, "float16", overflow="ieee", inf="saturate", rounding="up"),
        "float32", "float16", policy,
    )  # fmt: skip
    for inf in ("saturate", "raise"):
        policy = tc.policy.Policy(overflow="saturate", inf=inf)
        tc.testing.assert_matches_reference(
            lambda x, inf=inf: tc.cast(x, "float16", overflow="saturate", inf=inf),
            "bfloat16", "float16", policy,
        )  # fmt: skip
    with pytest.raises(AssertionError):  # infinities are among what is tried
        tc.testing.assert_matches_reference(
            lambda x: tc.cast(x, "float16", overflow="saturate"),
            "bfloat16", "float16", tc.policy.Policy(overflow="saturate", inf="saturate"),
        )  # fmt: skip


def test_operators_and_compiled_casts() -> None:
    x = torch.tensor(X, requires_grad=True)
    made = tc.cast(x, "float16", inf="saturate")
    assert made.tolist() == [1.0, 65504.0, -65504.0, 2.0]
    made.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0] * 4
    batched = torch.vmap(lambda row: tc.cast(row, "float16", inf="saturate"))(torch.tensor([X, X]))
    assert batched.tolist() == [[1.0, 65504.0, -65504.0, 2.0]] * 2
    compiled = torch.compile(
        lambda x: tc.cast(x, x.dtype, inf="saturate"), backend="eager", fullgraph=True
    )
    top = largest(FORMATS["float32"])
    assert compiled(torch.tensor(X)).tolist() == [1.0, top, -top, 2.0]
    refuses = torch.compile(lambda x: tc.cast(x, "float16", inf="raise"), backend="eager")
    with pytest.raises(CastOverflowError, match="infinite"):
        refuses(torch.tensor(X))
    meta = tc.cast(torch.empty(3, device="meta"), "float16", inf="raise")
    assert (meta.dtype, meta.device.type) == (torch.float16, "meta")
