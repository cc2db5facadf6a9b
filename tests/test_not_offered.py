"""What frameworks have and tensorcast has not: refused with the way out; and complex numbers that
are real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorcast as tc

SWAPPED = np.dtype("int32").newbyteorder()
OTHER_ORDER = "asks for the other byte order, and results have the machine's; cast to 'int32'"


def test_a_target_in_the_other_byte_order_is_refused() -> None:
    x = np.ones(3)
    calls: dict[str, Any] = {
        "cast": lambda: tc.cast(x, SWAPPED),
        "measure": lambda: tc.measure(x, SWAPPED),
        "can_cast": lambda: tc.can_cast(x, SWAPPED),
        "to_numpy of a list": lambda: tc.to_numpy([1, 2], SWAPPED),
        "to_numpy": lambda: tc.to_numpy(x, SWAPPED),
        "explain": lambda: tc.explain(x, SWAPPED, to="numpy"),
        "out": lambda: tc.cast(x, SWAPPED, out=np.empty(3, np.int32)),
    }
    for name, call in calls.items():
        with pytest.raises(tc.errors.FormatError, match=OTHER_ORDER):
            pytest.fail(f"{name}: {call()}")
    assert tc.cast(x, SWAPPED.newbyteorder()).dtype == np.int32
    assert tc.cast(x.astype(x.dtype.newbyteorder()), "int32").tolist() == [1, 1, 1]


def test_a_torch_target_in_the_other_byte_order_is_refused() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = torch.ones(3)
    for call in (tc.cast, tc.as_tensor, tc.cast_):
        with pytest.raises(tc.errors.FormatError, match=OTHER_ORDER):
            call(x, SWAPPED)
    with pytest.raises(tc.errors.FormatError, match=OTHER_ORDER):
        tc.as_tensor([1], SWAPPED)


@pytest.mark.parametrize("dtype", [np.longdouble, np.clongdouble])
def test_long_doubles(dtype: Any) -> None:
    if np.dtype(dtype).itemsize == np.dtype(dtype(0).real.dtype).itemsize == 8:
        pytest.skip("long double is double here")
    x = np.ones(2, dtype)
    wide = "complex128" if np.iscomplexobj(x) else "float64"
    for call in (
        lambda: tc.cast(x, "float32"),
        lambda: tc.measure(x, "float32"),
        lambda: tc.to_numpy(x),
        lambda: tc.to_numpy([x]),
        lambda: tc.to_numpy([dtype(1)]),
        lambda: tc.cast(np.ones(2), dtype),
    ):
        with pytest.raises(
            tc.errors.FormatError, match=rf'x.astype\("{wide}"\) rounds it to {wide}, once'
        ):
            call()


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_complex32() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = torch.ones(2, dtype=torch.float32).to(torch.complex32)
    for call in (
        lambda: tc.cast(x, "complex64"),
        lambda: tc.as_tensor(x, "complex64"),
        lambda: tc.cast(torch.ones(2), torch.complex32),
    ):
        with pytest.raises(tc.errors.FormatError, match="complex64, which holds every complex32"):
            call()


def arrays() -> list[Any]:
    z = np.array([[1.5 + 0j, -2 - 0j], [0.25 + 0j, complex(float("nan"), 0)]])
    return [z, z.T, z.astype(z.dtype.newbyteorder()), z[:, ::-1]]


@pytest.mark.parametrize("to", ["float64", "float32", "float16"])
def test_complex_numbers_that_are_real_pass_exactly(to: str) -> None:
    for z in arrays():
        found = tc.cast(z, to, exact=True)
        assert found.dtype == to
        assert np.array_equal(found, z.real, equal_nan=True)
        assert not np.shares_memory(found, z)
        assert tc.can_cast(z, to)
        assert not tc.can_cast(z, to, exact=False)
        out = np.empty(z.shape, to)
        result, loss = tc.cast(z, to, exact=True, out=out, report=True)
        assert result is out
        assert (loss.source, loss.target, loss.n_elements) == ("complex128", to, 4)
        assert loss.is_lossless
        with pytest.raises(tc.errors.CastError, match=r"take \.real"):
            tc.cast(z, to)


def test_the_others_do_not() -> None:
    z = np.array([1 + 0j, 2 + 1e-300j, complex(3, float("nan"))])
    with pytest.raises(tc.errors.InexactCastError, match="2 of 3 values have an imaginary part"):
        tc.cast(z, "float32", exact=True)
    assert not tc.can_cast(z, "float64")
    with pytest.raises(tc.errors.InexactCastError, match="would change"):
        tc.cast(np.array([0.1 + 0j]), "float32", exact=True)
    with pytest.raises(tc.errors.CastOverflowError):
        tc.cast(np.array([300 + 0j]), "int8", exact=True)
    assert tc.cast(np.array([3 + 0j]), "int8", exact=True).tolist() == [3]


def test_complex_tensors_that_are_real() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    z = torch.tensor([1.5 + 0j, -2 + 0j])
    for lazy in (z, z.conj(), torch._neg_view(z)):
        for to in ("float32", "bfloat16"):
            found = tc.cast(lazy, to, exact=True)
            assert torch.equal(found, lazy.resolve_neg().real.to(getattr(torch, to)))
            assert found.data_ptr() != z.data_ptr()
    with pytest.raises(tc.errors.InexactCastError, match="1 of 1 values have an imaginary part"):
        tc.cast(torch.tensor([1j]), "float32", exact=True)
    leaf = z.clone().requires_grad_()
    tc.cast(leaf, "float64", exact=True).sum().backward()
    assert leaf.grad.tolist() == [1, 1]
    with pytest.raises(tc.errors.CastError, match="meta"):
        tc.cast(z.to("meta"), "float32", exact=True)
