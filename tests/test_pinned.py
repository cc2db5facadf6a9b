"""Results in pinned memory, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorcast as tc

torch = pytest.importorskip("torch")


def pins() -> bool:
    try:
        torch.empty(1, pin_memory=True)
    except RuntimeError:
        return False
    return True


needs_pinned = pytest.mark.skipif(not pins(), reason="no CUDA: torch has no pinned memory here")


@pytest.mark.skipif(pins(), reason="torch has pinned memory here")
@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(3, requires_grad=True)], ids=str)
def test_without_a_gpu_it_is_refused(x: Any) -> None:
    for to in ("float16", "float32"):
        with pytest.raises(tc.errors.CastError, match="torch has no pinned memory here"):
            tc.cast(x, to, pin_memory=True)


def test_where_it_does_not_fit_it_is_refused() -> None:
    with pytest.raises(tc.errors.CastError, match="NumPy has no pinned memory"):
        tc.cast(np.ones(3), "float16", pin_memory=True)
    with pytest.raises(tc.errors.CastError, match="pin_memory does not go with a packed tensor"):
        tc.cast(np.ones(3), "int4", packed=True, pin_memory=True)
    with pytest.raises(tc.errors.CastError, match="out is given and so is pin_memory"):
        tc.cast(torch.ones(3), "float16", out=torch.empty(3).half(), pin_memory=True)
    with pytest.raises(
        tc.errors.CastError, match="is for the CPU's memory, and the result is on me"
    ):
        tc.cast(torch.ones(3, device="meta"), "float16", pin_memory=True)


@needs_pinned
def test_the_result_is_pinned_and_has_the_values() -> None:
    x = torch.randn(5, 7, 9)
    for view in (x, x.transpose(0, 2), x[:, ::2], x[:0]):
        for to in (torch.float16, torch.float32, torch.float64):
            made = tc.cast(view, to, pin_memory=True)
            assert made.is_pinned() or not made.numel()
            assert made.equal(view.to(to))
    made, loss = tc.cast(x, "bfloat16", pin_memory=True, report=True)
    assert made.is_pinned()
    assert loss == tc.measure(x, "bfloat16")
    with pytest.raises(tc.errors.CastOverflowError):
        tc.cast(x * 1e9, "int8", pin_memory=True)


@needs_pinned
def test_a_gradient_comes_back() -> None:
    x = torch.ones(3, requires_grad=True)
    made = tc.cast(x, "float16", pin_memory=True)
    assert made.is_pinned()
    made.sum().backward()
    assert x.grad is not None
    assert x.grad.equal(torch.ones(3))
    assert tc.cast(x.detach().cuda(), "float16", device="cpu", pin_memory=True).is_pinned()
