"""torch tensors as memory: seen, and made over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...buffer import Buffer
from ...errors import CastError
from ...formats import Format
from ...kernels.torch_lazy import is_pending, settled
from .. import is_torch
from ..memory import as_torch
from ..protocol import Demands, Fit, Seen
from ..protocol import load as library
from .pairs import is_pairs, logical_shape, pairs_shape
from .tensor import buffer_of, dtype_of, format_of, is_plain, torch_device

if TYPE_CHECKING:
    import torch


DEMANDS: Final = Demands("torch", "torch.Tensor", "torch", devices=(), whole=True, writable=True)


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


def load() -> None:
    """Import torch."""
    library("torch")


def is_own(x: object) -> bool:
    """Whether an object is a tensor."""
    return is_torch(x)


def fit(row: Format, shape: tuple[int, ...]) -> Fit:
    """Formats that torch has; float4_e2m1fn in pairs."""
    try:
        if is_pairs(dtype_of(row)):
            pairs_shape(shape, "tensorcast.to_numpy keeps a byte for each")
    except CastError as error:
        return Fit(lacks=str(error))
    return Fit()


def wrap(buffer: Buffer) -> Any:
    """A tensor on the memory."""
    return as_torch(buffer)


def device_name(device: Any) -> str:
    """torch's own name, with its index."""
    return str(torch_device(device))
