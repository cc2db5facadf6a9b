"""The gradient of a cast: the gradient cast back to the source's format, as that of `Tensor.to`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import PolicyError
from ..formats import Format
from ..policy import Policy, ResolvedPolicy
from .torch import cast, cast_plain, format_of

if TYPE_CHECKING:
    import torch

    from ..loss import Loss


def cast_with_gradient(
    x: torch.Tensor,
    target: Format,
    policy: ResolvedPolicy,
    memory_format: torch.memory_format | None,
    report: bool,
) -> tuple[torch.Tensor, Loss]:
    """`cast_plain`, recorded by autograd."""
    losses: list[Loss] = []
    result: torch.Tensor = _function().apply(x, target, policy, memory_format, report, losses)
    return result, losses[0]


def cast_gradient(gradient: torch.Tensor, source: Format) -> torch.Tensor:
    """A gradient in the format of what was cast: overflow gives infinity, as in any other
    backward pass (or the largest value, in a format without infinity and NaN)."""
    if gradient.is_complex() and not source.is_complex:
        gradient = gradient.real
    try:
        policy = Policy(overflow="ieee", nan="zero")
        policy.resolve(format_of(gradient), source)
    except PolicyError:
        policy = Policy(overflow="saturate", nan="zero")
    return cast(gradient, source, policy)[0]


@cache
def _function() -> Any:
    import torch

    class Cast(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *args: Any) -> torch.Tensor:
            x, target, policy, memory_format, report, losses = args
            ctx.source = format_of(x)
            result, loss = cast_plain(x, target, policy, memory_format=memory_format, report=report)
            losses.append(loss)
            return result

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return cast_gradient(gradients[0], ctx.source), None, None, None, None, None

    return Cast
