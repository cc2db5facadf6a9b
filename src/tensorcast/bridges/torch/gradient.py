"""The gradient of a cast: the gradient cast back to the source's format, as that of `Tensor.to`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from ...errors import PolicyError
from ...formats import Format
from ...policy import Policy
from .plain import cast_plain
from .tensor import format_of

if TYPE_CHECKING:
    import torch

    from ...core.loss import Loss

Cast = Callable[..., Any]
"""`cast` of the module that has it."""


def cast_with_gradient(
    x: torch.Tensor,
    target: Format,
    policy: Policy,
    memory_format: torch.memory_format | None,
    report: bool,
    again: Cast,
) -> tuple[torch.Tensor, Loss | None]:
    """The cast of a tensor with values, recorded by autograd; torch.func sees an operator.

    Args:
        again: casts gradients and tangents, recorded too.
    """
    losses: list[Loss | None] = []
    result: torch.Tensor = _function().apply(
        x, target, policy, memory_format, report, losses, again
    )
    return result, losses[0] if losses else None


def _cast_gradient(gradient: torch.Tensor, source: Format, again: Cast) -> torch.Tensor:
    """A gradient in the format of what was cast, or a tangent in the result's: overflow gives
    infinity, as elsewhere in a backward pass (the largest value, where there is neither infinity
    nor NaN)."""
    if gradient.is_complex() and not source.is_complex:
        gradient = gradient.real
    try:
        policy = Policy(overflow="ieee", nan="zero")
        policy.resolve(format_of(gradient), source)
    except PolicyError:
        policy = Policy(overflow="saturate", nan="zero")
    result: torch.Tensor = again(gradient, source, policy)[0]
    return result


@cache
def _function() -> Any:
    import torch

    class RecordedCast(torch.autograd.Function):
        @staticmethod
        def forward(*args: Any) -> torch.Tensor:
            x, target, policy, memory_format, report, losses, _ = args
            x = x.detach()  # another thread may cast the tensor itself in place
            resolved = policy.resolve(format_of(x), target)
            result, loss = cast_plain(
                x, target, resolved, memory_format=memory_format, report=report
            )
            losses.append(loss)
            return result

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.source, ctx.target, ctx.again = format_of(inputs[0]), inputs[1], inputs[6]
            if not output.dtype.is_floating_point and not output.dtype.is_complex:
                ctx.mark_non_differentiable(output)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return _cast_gradient(gradients[0], ctx.source, ctx.again), *(None,) * 6

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            if not (ctx.target.is_float or ctx.target.is_complex):
                return None
            return _cast_gradient(tangents[0], ctx.target, ctx.again)

    function: Any = RecordedCast
    # torch asks inspect.signature for it at each call, which looks here first
    function.forward.__signature__ = signature(function.forward)
    return function
