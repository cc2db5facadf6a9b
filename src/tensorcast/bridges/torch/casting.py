"""What the public verbs do with a tensor: cast it where it is or on the way to another device,
recorded or not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ...core.loss import Loss
from ...errors import CastError
from ...formats import Format
from ...kernels.torch_lazy import check_storage, is_pending, settled
from ...policy import changes_nothing
from .derivatives import refuse_tangents
from .gradient import cast_with_gradient
from .operators import cast_op
from .pairs import logical_shape
from .plain import cast_plain, copied, held, measure, real_part, visible, write
from .tensor import (
    check_layout,
    dtype_of,
    empty_like,
    format_of,
    in_forward_mode,
    is_plain,
    n_elements,
    torch_device,
)

if TYPE_CHECKING:
    import torch

    from ...policy import Policy


__all__ = [
    "cast",
    "copied",
    "format_of",
    "handed_over",
    "held",
    "is_plain",
    "measure",
    "n_elements",
    "overridden",
    "real_part",
    "visible",
]


def overridden(x: torch.Tensor, out: object) -> bool:
    """Whether a subclass or a mode has its own idea of functions on tensors."""
    import torch

    return torch.overrides.has_torch_function((x, out))


def handed_over(function: Any, x: torch.Tensor, out: object, to: object, options: Any) -> Any:
    """What `__torch_function__` makes of a call; for most subclasses, the result as one."""
    import torch

    return torch.overrides.handle_torch_function(function, (x, out), x, to, **options)


def cast(
    x: torch.Tensor,
    target: Format,
    policy: Policy,
    *,
    out: torch.Tensor | None = None,
    memory_format: torch.memory_format | None = None,
    device: Any = None,
    pin_memory: bool | None = None,
    report: bool = False,
) -> tuple[torch.Tensor, Loss | None]:
    """The tensor in another format, and its loss if `report`.

    Args:
        x: tensor of any strides on any device.
        target: of the result. A tensor of float4_e2m1fn is torch's float4_e2m1fn_x2, two elements
            to a byte along the last dimension; the other sub-byte formats take a byte each.
        out: tensor of the result's shape, dtype and device, of any strides.
        memory_format: of the result; None keeps strides as `Tensor.to` does.
        device: of the result; None is x's.
        pin_memory: of the result, which is the CPU's then.

    Raises:
        CastError: `out` or the tensor cannot be used; the message says why.
    """
    plain = is_plain(x)
    seen = x.detach() if plain else x  # another thread may cast x itself in place
    resolved = policy.resolve(format_of(seen), target)
    dtype_of(target)
    if memory_format is not None and not isinstance(memory_format, _memory_format()):
        shown = str(memory_format)[:60]
        raise CastError(f"memory_format={shown} does not fit: it is none of torch's memory formats")
    if pin_memory:
        return _pinned(x, target, policy, out, memory_format, device, report)
    if device is not None:
        goal = torch_device(device)
        if goal != x.device:
            if out is not None:
                raise CastError(f"out is given and so is device={device!r}: out has its own device")
            return _travel(x, target, policy, goal, memory_format, report)
    if out is not None:
        _check_output(x, out, target, memory_format)
        return cast_plain(seen, target, resolved, out=out, report=report)
    same = changes_nothing(format_of(seen), target, policy)
    if same and (memory_format is None or _is_laid_out(seen, memory_format)):
        return x, measure(seen, target, policy) if report else None
    if not plain:
        return _dispatched(x, target, policy, memory_format, report)
    if _needs_gradient(x, target):
        return cast_with_gradient(x, target, policy, memory_format, report, cast)
    return cast_plain(seen, target, resolved, memory_format=memory_format, report=report)


def _is_laid_out(x: torch.Tensor, memory_format: torch.memory_format) -> bool:
    import torch

    if memory_format is torch.preserve_format:
        return True
    return x.is_contiguous(memory_format=memory_format)


def _needs_gradient(x: torch.Tensor, target: Format) -> bool:
    import torch

    if not (target.is_float or target.is_complex):
        return False
    return in_forward_mode() or (x.requires_grad and torch.is_grad_enabled())


def _check_output(
    x: torch.Tensor, out: Any, target: Format, memory_format: torch.memory_format | None
) -> None:
    import torch

    if not isinstance(out, torch.Tensor):
        raise CastError(
            f"out is of type {type(out).__name__}; a torch tensor casts into a torch.Tensor"
        )
    if memory_format is not None:
        raise CastError("out is given and so is memory_format: out has its own strides")
    if out.device != x.device:
        raise CastError(
            f"out is on {out.device}, the tensor on {x.device}; cast with device= instead of out="
        )
    if out.dtype != dtype_of(target):
        raise CastError(f"out holds {out.dtype}, not {dtype_of(target)}")
    if logical_shape(out) != logical_shape(x):
        raise CastError(f"out has shape {list(out.shape)}, the tensor {list(x.shape)}")
    if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
        which = "the tensor" if x.requires_grad else "out"
        raise CastError(
            f"{which} requires grad, and a cast into out= records none; cast under torch.no_grad()"
        )
    if not (is_plain(x) and is_plain(out)):
        raise CastError(
            "out= writes memory, which meta tensors and those being traced or transformed have not"
        )
    refuse_tangents(x, out)
    if is_pending(out):
        what = "tensor of zeros" if out._is_zerotensor() else "conjugate or negative"
        raise CastError(f"out is a lazy {what}; write into out.clone()")


def _dispatched(
    x: torch.Tensor,
    target: Format,
    policy: Policy,
    memory_format: torch.memory_format | None,
    report: bool,
) -> tuple[torch.Tensor, Loss | None]:
    """Through the custom operator, which torch can trace, transform and differentiate."""
    check_layout(x.dtype, dtype_of(target), memory_format)
    loss = measure(x, target, policy) if report else None
    try:
        result = cast_op(x, target, policy)
    except TypeError as error:
        if "dispatch failed" not in str(error):
            raise
        raise CastError(
            f"a {type(x).__name__} takes part in no cast but its own; cast the plain tensors it is "
            "made of"
        ) from error
    if memory_format is not None:
        result = result.contiguous(memory_format=memory_format)
    return result, loss


def _travel(
    x: torch.Tensor,
    target: Format,
    policy: Policy,
    goal: torch.device,
    memory_format: torch.memory_format | None,
    report: bool,
) -> tuple[torch.Tensor, Loss | None]:
    """The cast on another device: narrow before the trip, widen after it."""
    layout: dict[str, Any] = {} if memory_format is None else {"memory_format": memory_format}
    if is_plain(x):
        check_storage(x)
    if target.bits > format_of(x).bits:
        moved = x.to(goal, non_blocking=is_plain(x) and x.is_pinned())
        return cast(moved, target, policy, memory_format=memory_format, report=report)
    if (
        goal.type == "cuda"
        and x.device.type == "cpu"
        and is_plain(x)
        and not _needs_gradient(x, target)
    ):
        # written where the device can fetch it by itself
        x = x.detach()
        resolved = policy.resolve(format_of(x), target)
        x = settled(x)
        pinned = empty_like(x, target, memory_format, pin_memory=True)
        loss = write(x, pinned, target, resolved, report, True)
        return pinned.to(goal, non_blocking=True), loss
    narrow, seen = cast(x, target, policy, memory_format=memory_format, report=report)
    return narrow.to(goal, **layout), seen


def _pinned(
    x: torch.Tensor,
    target: Format,
    policy: Policy,
    out: torch.Tensor | None,
    memory_format: torch.memory_format | None,
    device: Any,
    report: bool,
) -> tuple[torch.Tensor, Loss | None]:
    """The cast into pinned memory of the CPU; where it can be, written there at once."""
    import torch

    goal = x.device if device is None else torch_device(device)
    if out is not None:
        raise CastError("out is given and so is pin_memory: out has its own memory")
    if goal.type != "cpu":
        raise CastError(
            f"pin_memory=True is for the CPU's memory, and the result is on {goal}; pass "
            'device="cpu"'
        )
    try:
        torch.empty(1, pin_memory=True)
    except RuntimeError as error:
        raise CastError(
            "pin_memory=True: torch has no pinned memory here. It pins memory for a GPU, and finds "
            "none; leave pin_memory out"
        ) from error
    same = changes_nothing(format_of(x), target, policy)
    if goal != x.device or same or not is_plain(x) or _needs_gradient(x, target):
        made, loss = cast(
            x, target, policy, memory_format=memory_format, device=device, report=report
        )
        return made.pin_memory(), loss
    resolved = policy.resolve(format_of(x), target)
    return cast_plain(
        x.detach(), target, resolved, memory_format=memory_format, report=report, pin_memory=True
    )


@cache
def _memory_format() -> type:
    import torch

    return torch.memory_format
