"""The derivatives of the operators: the gradient of a cast is the gradient cast back, the tangent
of a cast is the tangent cast.

torch.library.register_autograd has a rule for the backward pass, and none for the forward one: a
tangent is zero then, in torch.compile, make_fx and torch.func.linearize without a word; and
torch.func's transforms of the compiled operator are refused. So the operators have an autograd
kernel of their own. torch calls it once for each level of torch.func.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import CastError

if TYPE_CHECKING:
    import torch

Kernel = Callable[..., Any]


def tangent_of(x: torch.Tensor) -> torch.Tensor | None:
    """The tangent of a tensor at the level of forward-mode derivatives that is entered, or None."""
    return _parts(x)[1]


def _parts(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A tensor and its tangent. torch has one level of its own; torch.func's are tensors in it."""
    import torch

    private: Any = torch
    parts: tuple[torch.Tensor, torch.Tensor | None] = private._VF._unpack_dual(x, level=0)
    return parts


def refuse_tangents(*tensors: torch.Tensor) -> None:
    """Raise where a tensor that takes part in a cast into out= is dual.

    Raises:
        CastError: a cast into out= carries no tangent.
    """
    for tensor, which in zip(tensors, ("the tensor", "out"), strict=True):
        if tangent_of(tensor) is not None:
            raise CastError(
                f"{which} carries a forward-mode tangent, and a cast into out= records none; cast "
                "without out="
            )


def differentiable(
    op: Any, cast_back: Callable[[torch.Tensor, torch.dtype], torch.Tensor]
) -> Kernel:
    """The autograd kernel of an operator whose first result is a cast of its first argument.

    Args:
        op: the operator.
        cast_back: gives a gradient or a tangent in a dtype.
    """
    record = _recorder(cast_back)

    def kernel(keyset: Any, x: torch.Tensor, *rest: Any) -> Any:
        import torch

        private: Any = torch
        primal, tangent = _parts(x)
        if tangent is None:
            if torch.is_grad_enabled() and x.requires_grad:
                return record(op, keyset, x, *rest)
            return _below(op, keyset, x, *rest)
        results = op(primal, *rest)
        first = results[0] if isinstance(results, tuple) else results
        if not (first.dtype.is_floating_point or first.dtype.is_complex):
            return results  # integers have no tangent
        dual = private._VF._make_dual(first, cast_back(tangent, first.dtype), level=0)
        return (dual, *results[1:]) if isinstance(results, tuple) else dual

    return kernel


def refusing_tangents(op: Any) -> Kernel:
    """The autograd kernel of an operator that writes into its second argument and records
    nothing."""

    def kernel(keyset: Any, x: torch.Tensor, out: torch.Tensor, *rest: Any) -> Any:
        refuse_tangents(x, out)
        return _below(op, keyset, x, out, *rest)

    return kernel


def _below(op: Any, keyset: Any, *args: Any) -> Any:
    """The operator itself, below autograd."""
    import torch

    private: Any = torch._C
    with private._AutoDispatchBelowAutograd():
        return op.redispatch(keyset & private._after_autograd_keyset, *args)


def _recorder(cast_back: Callable[[torch.Tensor, torch.dtype], torch.Tensor]) -> Kernel:
    """What runs an operator and records its gradient, at the level of torch.func that torch is at:
    torch calls the kernel once for each, while an autograd.Function is one of all levels."""
    import torch
    from torch._functorch.utils import enable_single_level_autograd_function
    from torch.autograd import forward_ad
    from torch.autograd.function import _SingleLevelFunction

    class Recorded(_SingleLevelFunction):
        @staticmethod
        def forward(ctx: Any, op: Any, keyset: Any, *args: Any) -> Any:
            ctx.source, ctx.n_args = args[0].dtype, len(args)
            # a Function switches derivatives off, which are those of lower levels too
            with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
                results = _below(op, keyset, *args)
            flat = results if isinstance(results, tuple) else (results,)
            ctx.mark_non_differentiable(
                *(r for r in flat if not (r.dtype.is_floating_point or r.dtype.is_complex))
            )
            return results

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor, *_numbers: Any) -> Any:
            return None, None, cast_back(gradient, ctx.source), *(None,) * (ctx.n_args - 1)

    function: Any = Recorded

    def record(op: Any, keyset: Any, *args: Any) -> Any:
        with enable_single_level_autograd_function():
            return function.apply(op, keyset, *args)

    return record
