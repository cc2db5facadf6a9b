"""Any object's elements, whosever it is: torch's, NumPy's, or what `foreign` knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..buffer import Buffer
from ..errors import CastError
from ..kernels.torch_lazy import is_pending, settled
from . import is_numpy, is_numpy_scalar, is_torch
from .foreign import Seen, refuse_mask, see_foreign
from .room import refuse_no_memory

if TYPE_CHECKING:
    import torch

__all__ = ["Seen", "see", "tensor_elsewhere", "tensor_seen"]


def see(data: Any) -> Seen | None:
    """The object's elements; None for numbers and sequences.

    Raises:
        CastError: it is an array, but its memory cannot be seen, or holds no numbers.
    """
    if is_torch(data):
        from .torch.tensor import buffer_of, is_plain

        if not is_plain(data):
            raise CastError("the tensor is being traced or transformed, and has no memory to share")
        plain = data.detach()
        lazy = "its conjugation or negation is pending" if is_pending(plain) else ""
        return Seen("torch", buffer_of(settled(plain)), copied=lazy)
    if is_numpy(data):
        from .numpy import buffer_of as numpy_buffer_of

        buffer = numpy_buffer_of(data)
        return Seen("numpy", buffer, "" if buffer.writable else "the array is read-only")
    if is_numpy_scalar(data):
        return None
    return see_foreign(data)


def tensor_elsewhere(data: Any) -> torch.Tensor | None:
    """What does not lie in the CPU's memory as a tensor there: a tensor itself, and what shares a
    GPU's memory; None for everything else.

    Raises:
        MissingLibraryError: it lies on a GPU, and torch is not installed.
    """
    if is_torch(data):
        return None if data.device.type == "cpu" else data
    if hasattr(data, "__cuda_array_interface__"):
        refuse_mask(data.__cuda_array_interface__, data)
        return _taken(data, "a GPU", lambda torch: torch.as_tensor(data, device="cuda"))
    find = getattr(data, "__dlpack_device__", None)
    if find is None or is_numpy(data):
        return None
    try:
        kind, _ = find()
        kind = int(kind)
    except Exception:  # deleted, or spread over devices: said where it is read
        return None
    if kind in (1, 3, 11):  # kDLCPU, and host memory that is pinned
        return None
    where = f"a device of DLPack's type {kind}"
    return _taken(data, where, lambda torch: torch.utils.dlpack.from_dlpack(data))


def _taken(data: Any, where: str, take: Callable[[Any], torch.Tensor]) -> torch.Tensor:
    """The data as a tensor where they lie."""
    torch = _torch()
    try:
        return take(torch)
    except Exception as error:  # AssertionErrors of a torch without CUDA among them
        refuse_no_memory(error)
        text = " ".join(str(error).split())[:300]
        raise CastError(
            f"a {type(data).__qualname__} lies on {where}, and this torch ({torch.__version__}) "
            f"cannot take it from there: {text}. Bring it to the CPU by its own library first"
        ) from error


def tensor_seen(tensor: torch.Tensor, data: Any) -> Seen:
    """A tensor's elements wherever they are, without their address: of the data that it stands
    for."""
    from .torch.pairs import is_pairs, logical_shape
    from .torch.tensor import format_of

    row, shape = format_of(tensor), logical_shape(tensor)
    packed = is_pairs(tensor.dtype)
    size = row.container_bits // 8
    strides = (1,) * len(shape) if packed else tuple(step * size for step in tensor.stride())
    buffer = Buffer(0, shape, strides, row, device=str(tensor.device), packed=packed)
    library = "torch" if tensor is data else type(data).__module__.partition(".")[0]
    return Seen("Python" if library == "builtins" else library, buffer)


def _torch() -> Any:
    from .outward import load

    load("torch.utils.dlpack")
    return load("torch")
