"""torch tensors: the view in and the wrap out."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..buffer import Buffer
from ..casting import cast_buffer
from ..errors import CastError
from ..formats import Format, lookup

if TYPE_CHECKING:
    import torch

    from ..loss import Loss
    from ..policy import Policy, ResolvedPolicy


def cast(
    x: torch.Tensor,
    target: Format,
    policy: Policy,
    *,
    out: torch.Tensor | None = None,
    memory_format: torch.memory_format | None = None,
    device: object = None,
    report: bool = False,
) -> tuple[torch.Tensor, Loss | None]:
    """The tensor in another format, and its loss if `report`."""
    source = format_of(x)
    resolved = policy.resolve(source, target)
    if device is not None and torch_device(device) != x.device:
        raise CastError(f"casting from {x.device} to device={device} is not built yet")
    if source == target and out is None and not report:
        return x, None
    return cast_plain(x, target, resolved, out=out, memory_format=memory_format, report=report)


def cast_plain(
    x: torch.Tensor,
    target: Format,
    policy: ResolvedPolicy,
    *,
    out: torch.Tensor | None = None,
    memory_format: torch.memory_format | None = None,
    report: bool = False,
    name: str = "",
) -> tuple[torch.Tensor, Loss]:
    """Cast a tensor in the CPU's memory by the kernels, recording no gradient."""
    import torch

    x = x.detach().resolve_conj().resolve_neg()
    if out is None:
        result = torch.empty_like(
            x, dtype=dtype_of(target), memory_format=memory_format or torch.preserve_format
        )
    else:
        result = out
    written = buffer_of(result.detach())
    loss = cast_buffer(
        buffer_of(x), written, target, policy, report=report, fresh=out is None, name=name
    )
    return result, loss


def measure(x: torch.Tensor, target: Format, policy: Policy) -> Loss:
    """What the cast would lose."""
    resolved = policy.resolve(format_of(x), target)
    x = x.detach().resolve_conj().resolve_neg()
    return cast_buffer(buffer_of(x), None, target, resolved, report=True)


def buffer_of(x: torch.Tensor) -> Buffer:
    """The buffer of a tensor in the CPU's memory, sharing it."""
    row = format_of(x)
    size = x.element_size()
    strides = tuple(stride * size for stride in x.stride())
    return Buffer(x.data_ptr(), tuple(x.shape), strides, row, owner=x)


def torch_device(device: object) -> torch.device:
    """The device that a spelling names, with its index."""
    import torch

    return torch.empty(0, device=device).device  # type: ignore[call-overload,no-any-return]


def format_of(x: torch.Tensor) -> Format:
    """The format of a tensor's elements."""
    return _row(x.dtype)


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
    if not isinstance(dtype, torch.dtype):
        raise CastError(
            f"torch has no dtype for {row.name}; tensorcast.pack gives a PackedTensor, and a "
            "NumPy array casts to ml_dtypes' one"
        )
    return dtype
