"""The known wrong answers of others: ours is the contract's, through the public call.

What torch, NumPy and ml_dtypes answer is asserted where it has been the same for years; elsewhere
(it depends on the length, the processor, the compiler, the version) it is only told.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tensorcast as tc
from tensorcast.testing import all_codes, assert_cast_close, reference_cast

LENGTHS = (1, 3, 7, 8, 9, 16, 31, 32, 33, 64, 1000, 70_000)
SATURATE: dict[str, Any] = {"overflow": "saturate", "nan": "zero"}


@pytest.fixture(params=["numpy", "torch"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "torch":
        pytest.importorskip("torch")
    return str(request.param)


def array(values: object, name: str, kind: str) -> Any:
    """An array or a tensor of a format."""
    found = np.asarray(values, name)
    if kind == "numpy":
        return found
    import torch

    return torch.from_numpy(np.atleast_1d(found).copy())


def numbers(x: Any) -> list[Any]:
    """Plain numbers, of any format."""
    if isinstance(x, np.ndarray):
        return list(x.astype(np.float64 if x.dtype.kind in "fV" else x.dtype).tolist())
    return list((x.double() if x.dtype.is_floating_point else x).tolist())


@pytest.mark.parametrize("n", LENGTHS)
def test_300_to_int8(n: int, kind: str) -> None:
    """torch: 44 eager, 127 compiled on some machines."""
    x = array(np.full(n, 300.0), "float32", kind)
    assert set(numbers(tc.cast(x, "int8", overflow="saturate"))) == {127}
    assert set(numbers(tc.cast(x, "int8", overflow="wrap"))) == {44}
    with pytest.raises(tc.errors.CastOverflowError, match=r"int8 \(-128 to 127"):
        tc.cast(x, "int8")


@pytest.mark.parametrize("n", LENGTHS)
def test_large_floats_to_uint32(n: int, kind: str) -> None:
    """torch: 1410065408 in what is left over after whole vectors, 0 in the vectors."""
    x = array(np.full(n, 1e10), "float32", kind)
    assert set(numbers(tc.cast(x, "uint32", overflow="saturate"))) == {4294967295}
    assert set(numbers(tc.cast(x, "uint32", overflow="wrap"))) == {1410065408}
    with pytest.raises(tc.errors.CastOverflowError):
        tc.cast(x, "uint32")


@pytest.mark.parametrize("n", LENGTHS)
def test_negative_floats_to_uint8(n: int, kind: str) -> None:
    """Undefined in C: torch and NumPy give what the processor does."""
    x = array(np.full(n, -1.0), "float32", kind)
    assert set(numbers(tc.cast(x, "uint8", overflow="saturate"))) == {0}
    assert set(numbers(tc.cast(x, "uint8", overflow="wrap"))) == {255}


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_infinity_to_int64(source: str, kind: str) -> None:
    """torch and NumPy: -2^63 for +infinity; `tf.saturate_cast` as well."""
    x = array([np.inf, -np.inf] * 5, source, kind)
    found = tc.cast(x, "int64", overflow="saturate")
    assert numbers(found) == [(1 << 63) - 1, -(1 << 63)] * 5
    for overflow in ("raise", "wrap"):
        with pytest.raises(tc.errors.CastOverflowError):
            tc.cast(x, "int64", overflow=overflow)


def test_the_largest_int64_through_float(kind: str) -> None:
    """2^63 is what float64 makes of the largest int64, and does not fit back."""
    x = array([(1 << 63) - 1], "int64", kind)
    wide = tc.cast(x, "float64")
    assert numbers(wide) == [2.0**63]
    with pytest.raises(tc.errors.CastOverflowError):
        tc.cast(wide, "int64")
    assert numbers(tc.cast(wide, "int64", overflow="saturate")) == [(1 << 63) - 1]
    with pytest.raises(tc.errors.InexactCastError):
        tc.cast(x, "float64", exact=True)


@pytest.mark.parametrize("target", ["int8", "uint8", "int16", "int32", "int64", "uint32"])
def test_nan_to_an_integer(target: str, kind: str) -> None:
    """torch and NumPy: 0, -2^31, -2^63 or 2^63, by the processor and the length."""
    for n in (1, 3, 8, 33):
        x = array(np.full(n, np.nan), "float32", kind)
        with pytest.raises(tc.errors.CastNanError):
            tc.cast(x, target)
        assert set(numbers(tc.cast(x, target, nan="zero"))) == {0}


def test_float8_e4m3fn_overflow(kind: str) -> None:
    """torch 2.13 on the CPU saturates; torch before 2.9 and ml_dtypes give NaN."""
    values = [448.0, 464.0, 465.0, 500.0, 1e9, np.inf, -np.inf]
    x = array(values, "float32", kind)
    saturated = numbers(tc.cast(x, "float8_e4m3fn", overflow="saturate"))
    assert saturated == [448, 448, 448, 448, 448, 448, -448]
    ieee = np.array(numbers(tc.cast(x, "float8_e4m3fn", overflow="ieee")))
    assert ieee[:2].tolist() == [448, 448]
    assert np.isnan(ieee[2:]).all()
    with pytest.raises(tc.errors.CastOverflowError, match="5 of 7 values"):
        tc.cast(x, "float8_e4m3fn")
    theirs = np.float32(values).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    assert np.isnan(theirs[2:]).all()


# just above a tie: rounded to float32 first, it is the tie
TIES = {
    "bfloat16": (1 + 2**-8 + 2**-40, 1 + 2**-7),
    "float16": (1 + 2**-11 + 2**-40, 1 + 2**-10),
    "float8_e4m3fn": (1 + 2**-4 + 2**-40, 1 + 2**-3),
    "float8_e5m2": (1 + 2**-3 + 2**-40, 1 + 2**-2),
    "float32": (1 + 2**-24 + 2**-50, 1 + 2**-23),
}
TORCH_ROUNDS_TWICE = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2")
ML_DTYPES_ROUNDS_TWICE = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


@pytest.mark.parametrize("target", TIES)
def test_float64_is_rounded_once(target: str, kind: str) -> None:
    value, right = TIES[target]
    for n in (1, 5, 100):
        x = array([value, -value] * n, "float64", kind)
        assert numbers(tc.cast(x, target)) == [right, -right] * n
    theirs = np.array([value]).astype(tc.testing.as_array(np.zeros(0), target).dtype)
    assert float(theirs[0]) == (1 if target in ML_DTYPES_ROUNDS_TWICE else right)
    if kind == "torch":
        import torch

        tensor = torch.tensor([value], dtype=torch.float64).to(getattr(torch, target))
        assert tensor.item() == (1 if target in TORCH_ROUNDS_TWICE else right)


def test_int64_is_rounded_once(kind: str) -> None:
    """torch and ml_dtypes go through float32: 2^40 for what is nearer to 2^40 + 2^33."""
    tie = (1 << 40) + (1 << 32)
    values = [tie - 1, tie, tie + 1, -tie - 1]
    wanted = [2.0**40, 2.0**40, 2.0**40 + 2.0**33, -(2.0**40) - 2.0**33]
    assert numbers(tc.cast(array(values, "int64", kind), "bfloat16")) == wanted
    theirs = np.array([tie + 1]).astype(ml_dtypes.bfloat16)
    assert float(theirs[0]) == 2.0**40
    if kind == "torch":
        import torch

        assert torch.tensor([tie + 1]).to(torch.bfloat16).item() == 2.0**40


def test_int64_does_not_travel_through_float64(kind: str) -> None:
    tie = (1 << 62) + (1 << 38)  # a tie of float32, which float64 makes of its neighbours
    values = [tie - 1, tie + 1]
    found = numbers(tc.cast(array(values, "int64", kind), "float32"))
    assert found == [2.0**62, 2.0**62 + 2.0**39]


def test_subnormals_are_rounded_once(kind: str) -> None:
    """float16's subnormals: once rounded to 11 bits, a tie is made that was none."""
    value = 2.0**-24 * (1.5 - 2**-20)  # below the tie between 1 and 2 of the smallest
    x = array([value, value * 2**-20], "float64", kind)
    assert numbers(tc.cast(x, "float16")) == [2.0**-24, 0]


def test_two_is_not_true(kind: str) -> None:
    """NumPy's casting="same_value" lets 2 become True."""
    x = array([2, 1, 0], "int32", kind)
    assert numbers(tc.cast(x, "bool")) == [True, True, False]
    with pytest.raises(tc.errors.InexactCastError, match="1 of 3 values"):
        tc.cast(x, "bool", exact=True)
    assert not tc.can_cast(x, "bool")


def test_what_becomes_true(kind: str) -> None:
    x = array([0.0, -0.0, 5e-324, np.nan, -np.inf, 0.3], "float64", kind)
    assert numbers(tc.cast(x, "bool")) == [False, False, True, True, True, True]


@contextmanager
def flushed_denormals() -> Iterator[None]:
    import torch

    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush subnormals")
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("source", ["float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"])
@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16", "float64"])
def test_flushing_subnormals_changes_nothing(source: str, target: str) -> None:
    """Decoding by multiplication, and tables built under the mode, lose what is subnormal."""
    torch = pytest.importorskip("torch")
    x = all_codes(source, kind="torch")
    expected = reference_cast(x, target)
    with flushed_denormals():
        found = [tc.cast(part, target, **SATURATE) for part in (x, x[::3], x[-5:])]
    assert_cast_close(found[0], expected, nan="bits")
    assert_cast_close(found[1], expected[::3], nan="bits")
    assert_cast_close(found[2], expected[-5:], nan="bits")
    assert torch.isfinite(found[0]).any()


@pytest.mark.parametrize("target", ["bfloat16", "float16", "float8_e5m2", "float64", "bool"])
def test_flushing_subnormals_keeps_float32_s(target: str) -> None:
    """torch 2.13: to bfloat16, which has them, they are kept in whole vectors and flushed in what
    is left over."""
    torch = pytest.importorskip("torch")
    bits = torch.arange(1, 0x7FFFFF, 9973, dtype=torch.int32)
    x = torch.cat([bits.view(torch.float32), -bits.view(torch.float32)])
    expected = reference_cast(x, target)
    with flushed_denormals():
        found = tc.cast(x, target)
        one = tc.cast(x[-1:], target)
    assert_cast_close(found, expected, nan="bits")
    assert_cast_close(one, expected[-1:], nan="bits")
    if target == "bfloat16":
        assert expected.view(torch.int16).count_nonzero() > len(x) * 0.9


def test_statistics_under_flushed_subnormals() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([1e-40, 2e-45, 1.0])
    plain = tc.measure(x, "bfloat16")
    with flushed_denormals():
        assert tc.measure(x, "bfloat16") == plain
    assert plain.min == float(x.double()[1])
    assert plain.n_underflow == 1
