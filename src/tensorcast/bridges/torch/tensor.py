"""torch tensors looked at: their formats, shapes and memory, and room for new ones."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from ...buffer import Buffer, check_dims
from ...errors import CastError
from ...formats import Format, lookup
from ...kernels.torch_lazy import check_negative, check_storage, is_pending, settled
from ..pool import LEAST, pooled, tensor_on
from ..protocol import Seen
from ..room import refuse_no_memory
from .derivatives import tangent_of
from .pairs import is_pairs, logical_shape, pairs_shape

if TYPE_CHECKING:
    import torch


OUTSIDE = (
    ": report=True, measure, can_cast and packed=True need them; call these outside of "
    "torch.export, torch.func and tracing"
)


def n_elements(x: torch.Tensor) -> int:
    """Elements in all."""
    return x.numel() * (2 if is_pairs(x.dtype) else 1)


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


def see(x: Any) -> Seen | None:
    """A plain tensor's elements, in the CPU's memory.

    Raises:
        CastError: it is traced or transformed, and has no memory.
    """
    if not is_plain(x):
        raise CastError("the tensor is being traced or transformed, and has no memory to share")
    plain = x.detach()
    lazy = "its conjugation or negation is pending" if is_pending(plain) else ""
    return Seen("torch", buffer_of(settled(plain)), copied=lazy)


def tensor_seen(tensor: torch.Tensor, data: Any) -> Seen:
    """A tensor's elements wherever they are, without their address: of the data that it stands
    for."""
    row, shape = format_of(tensor), logical_shape(tensor)
    packed = is_pairs(tensor.dtype)
    size = row.container_bits // 8
    strides = (1,) * len(shape) if packed else tuple(step * size for step in tensor.stride())
    buffer = Buffer(0, shape, strides, row, device=str(tensor.device), packed=packed)
    library = "torch" if tensor is data else type(data).__module__.partition(".")[0]
    return Seen("Python" if library == "builtins" else library, buffer)


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
        if x.device.type == "cpu" and not pin_memory and is_plain(x) and n_bytes >= LEAST:
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

    functorch: Any = torch._C._functorch
    return bool(functorch.is_functorch_wrapped_tensor(x) or functorch.is_legacy_batchedtensor(x))


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
    if x.is_neg():
        check_negative(x, row)
    return row


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


def recorded(x: torch.Tensor) -> str:
    """What a result that torch records nothing of would lose of the tensor; "" if nothing."""
    import torch

    if x.requires_grad and torch.is_grad_enabled():
        return "requires grad"
    if in_forward_mode() and tangent_of(x) is not None:
        return "carries a forward-mode tangent"
    return ""


def check_values(x: torch.Tensor) -> None:
    import torch

    if x.device.type == "meta":
        raise CastError("the tensor is on meta: it has a shape and no values to look at")
    if type(x).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise CastError(f"a {type(x).__name__} has no values of its own to look at{OUTSIDE}")
    if _is_transformed(x):
        raise CastError(f"a tensor inside torch.func has no values of its own to look at{OUTSIDE}")


def check_shown(x: torch.Tensor) -> None:
    """Raise where an answer of the values would become a constant of a recorded program."""
    import torch

    check_values(x)
    proxies = sys.modules.get("torch.fx.experimental.proxy_tensor")
    recorded = proxies is not None and proxies.get_proxy_mode() is not None
    if recorded or torch._C._get_tracing_state() is not None:
        raise CastError(
            "the program is being recorded, and its graph would keep the answer for these values, "
            f"whatever comes later{OUTSIDE}"
        )


def in_forward_mode() -> bool:
    import torch

    level: int = getattr(torch.autograd.forward_ad, "_current_level", -1)
    return level >= 0
