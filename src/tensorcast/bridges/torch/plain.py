"""Casts of tensors that hold values, without gradient, tracing and subclasses; the custom operators
call them too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...buffer import Buffer
from ...core.block import cast_buffer
from ...core.loss import Loss, loss_of
from ...core.refusal import refuse
from ...errors import CastError
from ...formats import Format
from ...kernels import torch_ops
from ...kernels.cpu import advise_huge
from ...kernels.torch_lazy import check_storage, is_pending, settled
from ...policy import can_refuse
from .tensor import OUTSIDE, buffer_of, check_shown, check_values, empty_like, format_of, is_plain

if TYPE_CHECKING:
    import torch

    from ...policy import Policy, ResolvedPolicy


def cast_plain(
    x: torch.Tensor,
    target: Format,
    policy: ResolvedPolicy,
    *,
    out: torch.Tensor | None = None,
    memory_format: torch.memory_format | None = None,
    report: bool = False,
    name: str = "",
    pin_memory: bool = False,
) -> tuple[torch.Tensor, Loss]:
    """Cast a tensor that holds values, recording no gradient.

    Args:
        out: as `cast` checked it; None makes one.
        report: count every statistic.
        name: of the tensor, for messages.
        pin_memory: of a new result.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses; `out` is
            untouched.
    """
    x = settled(x)
    if out is None:
        result = empty_like(x, target, memory_format, pin_memory=pin_memory)
        return result, write(x, result, target, policy, report, True, name)
    loss = write(x, out.detach(), target, policy, report, False, name)
    _has_changed(out)
    return out, loss


def write(
    x: torch.Tensor,
    out: torch.Tensor,
    target: Format,
    policy: ResolvedPolicy,
    report: bool,
    fresh: bool,
    name: str = "",
) -> Loss:
    """What `core.block.cast_buffer` does, on any device."""
    if x.device.type == "cpu":
        source, written = buffer_of(x), buffer_of(out, writable=True)
        if fresh:
            advise_huge(written.address, written.n_bytes)
        return cast_buffer(source, written, target, policy, report=report, fresh=fresh, name=name)
    return write_elsewhere(x, out, target, policy, report, fresh, name)


def write_elsewhere(
    x: torch.Tensor,
    out: torch.Tensor,
    target: Format,
    policy: ResolvedPolicy,
    report: bool,
    fresh: bool,
    name: str = "",
) -> Loss:
    """What `core.block.cast_buffer` does, where the tensor is: by Triton or torch's operations."""
    check_values(x)
    row, full = format_of(x), report or policy.exact
    refuses = policy.exact or can_refuse(row, target, policy)
    measures = refuses and not fresh  # a refusal leaves what was there
    first = None if measures else out
    # a policy that allows everything has nothing to count, and nobody waits for the device
    raw = torch_ops.cast_tensor(x, first, row, target, policy, full, count=refuses)
    loss = loss_of(raw, row, target, policy, x.numel(), full)
    refuse(loss, policy, tuple(x.shape), name)
    if measures:
        torch_ops.cast_tensor(x, out, row, target, policy, count=False)
    return loss


def measure(x: torch.Tensor, target: Format, policy: Policy) -> Loss:
    """What the cast would lose; nothing is written and values never raise."""
    check_shown(x)
    x = x.detach()
    resolved = policy.resolve(format_of(x), target)
    x = settled(x)
    if x.device.type == "cpu":
        return cast_buffer(buffer_of(x), None, target, resolved, report=True)
    row = format_of(x)
    raw = torch_ops.cast_tensor(x, None, row, target, resolved, True)
    return loss_of(raw, row, target, resolved, x.numel(), True)


def _has_changed(out: torch.Tensor) -> None:
    """Tell autograd, which checks that what it saved has not changed."""
    import torch

    if not out.is_inference():
        torch.autograd.graph.increment_version(out)


def real_part(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The real parts of complex elements, sharing memory, and how many imaginary parts are not
    zero.

    Raises:
        CastError: the values cannot be looked at.
    """
    try:
        check_shown(x)
    except CastError as error:
        why = str(error).removesuffix(OUTSIDE)
        raise CastError(
            f"{why}: exact=True takes complex numbers as real ones only after a look at their "
            "imaginary parts; cast x.real instead"
        ) from None
    check_storage(x)
    return x.real, int(settled(x).imag.count_nonzero())


def copied(x: torch.Tensor) -> torch.Tensor:
    """The tensor in memory of its own."""
    if not is_plain(x):
        return x.clone()
    check_storage(x)
    return settled(x) if is_pending(x) and not x.requires_grad else x.clone()


def held(x: torch.Tensor) -> torch.Tensor:
    """The tensor in an object of ours, detached, which a cast in place on another thread sees and
    does not reach; x itself where it has no values."""
    return x.detach() if is_plain(x) else x


def visible(x: torch.Tensor) -> Buffer | None:
    """The buffer of the tensor's values, if they are in the CPU's memory."""
    check_shown(x)
    if x.device.type != "cpu":
        return None
    return buffer_of(settled(x))
