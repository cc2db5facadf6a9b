"""Any object's elements, whosever it is: torch's, NumPy's, or what `foreign` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import CastError
from . import is_numpy, is_numpy_scalar, is_torch
from .foreign import Seen, see_foreign

if TYPE_CHECKING:
    import torch

__all__ = ["Seen", "on_gpu", "see"]


def see(data: Any) -> Seen | None:
    """The object's elements; None for numbers and sequences."""
    if is_torch(data):
        from .torch import buffer_of

        plain = data.detach()
        lazy = "its conjugation or negation is pending" if plain.is_conj() or plain.is_neg() else ""
        if plain.device.type != "cpu":
            raise CastError(
                f"the tensor is on {plain.device}, which only torch reaches; bring it over with "
                'tensorcast.cast(x, x.dtype, device="cpu")'
            )
        return Seen("torch", buffer_of(plain.resolve_conj().resolve_neg()), copied=lazy)
    if is_numpy(data):
        from .numpy import buffer_of as numpy_buffer_of

        buffer = numpy_buffer_of(data)
        return Seen("numpy", buffer, "" if buffer.writable else "the array is read-only")
    if is_numpy_scalar(data):
        return None
    return see_foreign(data)


def on_gpu(data: Any) -> torch.Tensor | None:
    """What lies on a GPU as a tensor there, sharing its memory; None for what does not."""
    if hasattr(data, "__cuda_array_interface__"):
        import torch

        return torch.as_tensor(data, device="cuda")
    find = getattr(data, "__dlpack_device__", None)
    if find is None or is_numpy(data):
        return None
    try:
        kind, _ = find()
    except Exception:  # deleted, or spread over devices: said where it is read
        return None
    if int(kind) in (1, 3, 11):  # kDLCPU, and host memory that is pinned
        return None
    import torch.utils.dlpack

    shared: torch.Tensor = torch.utils.dlpack.from_dlpack(data)
    return shared
