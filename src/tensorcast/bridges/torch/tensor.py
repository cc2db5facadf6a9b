"""torch tensors: the view in and the wrap out.

`cast` is what the public function does with a tensor; `cast_plain` is the part without gradient,
tracing and subclasses, which the custom operator calls too.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from ...buffer import Buffer, check_dims
from ...core.block import cast_buffer
from ...core.loss import Loss, loss_of
from ...core.refusal import refuse
from ...errors import CastError
from ...formats import Format, lookup
from ...kernels.cpu import advise_huge
from ...kernels.torch_lazy import check_negative, check_storage, is_pending, settled
from ...policy import can_refuse, changes_nothing
from ..pool import LEAST, pooled, tensor_on
from ..room import refuse_no_memory
from .batched import is_batched
from .derivatives import refuse_tangents, tangent_of
from .pairs import is_pairs, logical_shape, pairs_shape

if TYPE_CHECKING:
    import torch

    from ...policy import Policy, ResolvedPolicy


_OUTSIDE = (
    ": report=True, measure, can_cast and packed=True need them; call these outside of "
    "torch.export, torch.func and tracing"
)


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
        from .gradient import cast_with_gradient

        return cast_with_gradient(x, target, policy, memory_format, report)
    return cast_plain(seen, target, resolved, memory_format=memory_format, report=report)


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
        return result, _write(x, result, target, policy, report, True, name)
    loss = _write(x, out.detach(), target, policy, report, False, name)
    _has_changed(out)
    return out, loss


def _write(
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
    from ...kernels import torch_ops

    _has_values(x)
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
    _shows_values(x)
    x = x.detach()
    resolved = policy.resolve(format_of(x), target)
    x = settled(x)
    if x.device.type == "cpu":
        return cast_buffer(buffer_of(x), None, target, resolved, report=True)
    from ...kernels import torch_ops

    row = format_of(x)
    raw = torch_ops.cast_tensor(x, None, row, target, resolved, True)
    return loss_of(raw, row, target, resolved, x.numel(), True)


def n_elements(x: torch.Tensor) -> int:
    """Elements in all."""
    return x.numel() * (2 if is_pairs(x.dtype) else 1)


def held(x: torch.Tensor) -> torch.Tensor:
    """The tensor in an object of ours, detached, which a cast in place on another thread sees and
    does not reach; x itself where it has no values."""
    return x.detach() if is_plain(x) else x


def real_part(x: torch.Tensor) -> tuple[torch.Tensor, int]:
    """The real parts of complex elements, sharing memory, and how many imaginary parts are not
    zero.

    Raises:
        CastError: the values cannot be looked at.
    """
    try:
        _shows_values(x)
    except CastError as error:
        why = str(error).removesuffix(_OUTSIDE)
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


def visible(x: torch.Tensor) -> Buffer | None:
    """The buffer of the tensor's values, if they are in the CPU's memory."""
    _shows_values(x)
    if x.device.type != "cpu":
        return None
    return buffer_of(settled(x))


def buffer_of(x: torch.Tensor, *, writable: bool = False) -> Buffer:
    """The buffer of a tensor in the CPU's memory, sharing it; of the logical shape for
    float4_e2m1fn_x2, which has to be contiguous to be written.

    Raises:
        CastError: the memory cannot be seen: another device, a sparse or quantized tensor, a
            storage that has been freed.
    """
    row = format_of(x)
    check_dims(x.dim())
    if is_pending(x):
        x = settled(x)
    if x.device.type != "cpu":
        raise CastError(f"the tensor is on {x.device}; only the CPU's memory can be seen")
    check_storage(x)
    if row.is_packed and is_pairs(x.dtype):
        if not x.is_contiguous():
            if writable:
                raise CastError(f"a tensor of {x.dtype} is written contiguous or not at all")
            x = x.contiguous()
        size, packed = 1, True
        shape = logical_shape(x)
        strides: tuple[int, ...] = (1,) * len(shape)
    else:
        size, packed = x.element_size(), False
        shape, strides = tuple(x.shape), tuple(stride * size for stride in x.stride())
    return Buffer(x.data_ptr(), shape, strides, row, owner=x, packed=packed)


def empty_like(
    x: torch.Tensor,
    target: Format,
    memory_format: torch.memory_format | None = None,
    *,
    pin_memory: bool = False,
) -> torch.Tensor:
    """A fresh tensor for the cast's result: strides as `Tensor.to` gives them, memory torch's.

    Raises:
        CastError: torch has no dtype for the format, the shape cannot be packed in pairs, or the
            memory format does not fit the shape.
    """
    import torch

    dtype = dtype_of(target)
    options: Any = {"dtype": dtype, "device": x.device, "pin_memory": pin_memory}
    check_layout(x.dtype, dtype, memory_format)
    if is_pairs(dtype):
        way_out = "Pass packed=True for a PackedTensor of any shape"
        return torch.empty(pairs_shape(logical_shape(x), way_out), **options)
    if is_pairs(x.dtype):
        return torch.empty(logical_shape(x), **options)
    order = memory_format or torch.preserve_format
    try:
        n_bytes = x.numel() * dtype.itemsize
        if x.device.type == "cpu" and not pin_memory and n_bytes >= LEAST and is_plain(x):
            memory = pooled(n_bytes)
            if memory is not None:
                like = torch.empty_like(x, memory_format=order, dtype=dtype, device="meta")
                return tensor_on(memory, dtype, like.shape, like.stride())
        return torch.empty_like(x, memory_format=order, **options)
    except (RuntimeError, TypeError) as error:
        refuse_no_memory(error)
        if memory_format is None:
            raise CastError(f"torch makes no {dtype} tensor of this shape: {error}") from error
        raise CastError(f"memory_format={memory_format} does not fit: {error}") from error


def check_layout(
    source: torch.dtype, target: torch.dtype, memory_format: torch.memory_format | None
) -> None:
    """Raise for an order of dimensions that tensors of pairs do not have."""
    import torch

    if memory_format in (None, torch.preserve_format, torch.contiguous_format):
        return
    if is_pairs(source) or is_pairs(target):
        raise CastError(f"memory_format={memory_format} does not go with two elements to a byte")


def is_plain(x: torch.Tensor) -> bool:
    """Whether a tensor has values of its own, on whatever device, and nobody records or intercepts
    operations (fake tensors, torch.func, tracing)."""
    import torch

    return (
        x.device.type != "meta"
        and type(x).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch._C._get_tracing_state() is None
        and not _is_transformed(x)
    )


def _is_transformed(x: torch.Tensor) -> bool:
    """Whether the tensor stands for others inside torch.func (vmap, grad) or the older vmap."""
    import torch

    return torch._C._functorch.is_functorch_wrapped_tensor(x) or is_batched(x)


def torch_device(device: Any) -> torch.device:
    """The device that a spelling names, with its index."""
    import torch

    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise CastError(f"device={device!r} cannot be used: {error}") from error


def format_of(x: torch.Tensor) -> Format:
    """The format of a tensor's elements.

    Raises:
        FormatError: the dtype is none of ours.
        CastError: the tensor is sparse, quantized, nested or a lazy negative of a format without a
            sign.
    """
    if x.is_quantized:
        raise CastError("the tensor is quantized; call .dequantize() or .int_repr() first")
    if x.layout is not _strided():
        raise CastError(f"the tensor's layout is {x.layout}; cast its .values() or .to_dense()")
    if x.is_nested:
        raise CastError("the tensor is nested; cast its parts (.unbind()) or .to_padded_tensor()")
    row = _row(x.dtype)
    check_negative(x, row)
    return row


@cache
def _memory_format() -> type:
    import torch

    return torch.memory_format


@cache
def _strided() -> torch.layout:
    import torch

    return torch.strided


@cache
def _row(dtype: torch.dtype) -> Format:
    return lookup(dtype)


@cache
def dtype_of(row: Format) -> torch.dtype:
    """torch's dtype of a format.

    Raises:
        CastError: torch has none.
    """
    import torch

    dtype = getattr(torch, row.spellings.get("torch", ""), None)
    if isinstance(dtype, torch.dtype):
        return dtype
    if row.is_packed:
        way = f"tensorcast.cast(x, {row.name!r}, packed=True) makes a PackedTensor"
    else:
        way = f"tensorcast.to_numpy(x, {row.name!r}) makes an array of ml_dtypes' dtype"
    raise CastError(f"torch {torch.__version__} has no dtype for {row.name}; {way}")


def _is_laid_out(x: torch.Tensor, memory_format: torch.memory_format) -> bool:
    import torch

    if memory_format is torch.preserve_format:
        return True
    return x.is_contiguous(memory_format=memory_format)


def _needs_gradient(x: torch.Tensor, target: Format) -> bool:
    import torch

    if not (target.is_float or target.is_complex):
        return False
    return _in_forward_mode() or (x.requires_grad and torch.is_grad_enabled())


def _in_forward_mode() -> bool:
    import torch

    level: int = getattr(torch.autograd.forward_ad, "_current_level", -1)
    return level >= 0


def recorded(x: torch.Tensor) -> str:
    """What a result that torch records nothing of would lose of the tensor; "" if nothing."""
    import torch

    if x.requires_grad and torch.is_grad_enabled():
        return "requires grad"
    if _in_forward_mode() and tangent_of(x) is not None:
        return "carries a forward-mode tangent"
    return ""


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
    from .operators import cast_op

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
        loss = _write(x, pinned, target, resolved, report, True)
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


def _has_changed(out: torch.Tensor) -> None:
    """Tell autograd, which checks that what it saved has not changed."""
    import torch

    if not out.is_inference():
        torch.autograd.graph.increment_version(out)


def _has_values(x: torch.Tensor) -> None:
    import torch

    if x.device.type == "meta":
        raise CastError("the tensor is on meta: it has a shape and no values to look at")
    if type(x).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise CastError(f"a {type(x).__name__} has no values of its own to look at{_OUTSIDE}")
    if _is_transformed(x):
        raise CastError(f"a tensor inside torch.func has no values of its own to look at{_OUTSIDE}")


def _shows_values(x: torch.Tensor) -> None:
    """Raise where an answer of the values would become a constant of a recorded program."""
    import torch

    _has_values(x)
    proxies = sys.modules.get("torch.fx.experimental.proxy_tensor")
    recorded = proxies is not None and proxies.get_proxy_mode() is not None
    if recorded or torch._C._get_tracing_state() is not None:
        raise CastError(
            "the program is being recorded, and its graph would keep the answer for these values, "
            f"whatever comes later{_OUTSIDE}"
        )
