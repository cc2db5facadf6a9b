"""The tensors of torch's older vmap, which `torch.autograd.grad(is_grads_batched=True)` and
`torch.autograd.functional.jacobian(vectorize=True)` still run in: a batch that shows one sample's
shape. Its dispatcher knows no rule for operators of a library, and has no detach; so the batch is
taken out, cast whole, and put back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def over_batch(x: torch.Tensor, act: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """What `act` makes of the whole batch, whose dimensions come first, as a batch again."""
    import torch

    private: Any = torch
    depth = private._C._vmapmode_increment_nesting() - 1
    private._C._vmapmode_decrement_nesting()
    entered: list[int] = []
    for level in range(depth, 0, -1):
        # where there is no dimension of this level, torch adds one of the length that is given
        taken, other = (private._remove_batch_dim(x, level, n, 0) for n in (0, 1))
        if taken.shape == other.shape:
            x = taken
            entered.append(level)
    result = act(x)
    for level in reversed(entered):
        result = private._add_batch_dim(result, 0, level)
    return result
