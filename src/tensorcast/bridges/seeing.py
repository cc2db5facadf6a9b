"""Any object's elements, whosever it is: torch's, NumPy's, or what a module here knows."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..errors import CastError
from . import is_numpy, is_numpy_scalar, is_torch, numpy
from .boundary import refuse_unreadable
from .buffers import by_method, interface_seen, memory_seen, refuse_mask, view_of
from .protocol import Seen, load
from .room import refuse_no_memory

if TYPE_CHECKING:
    import torch


_LIBRARIES: Final = {
    "PIL": "pillow",
    "jax": "jax",
    "jaxlib": "jax",
    "tensorflow": "tensorflow",
    "pyarrow": "arrow",
}
"""Whose objects which module here sees, by the package that their type comes from."""


def see(data: Any) -> Seen | None:
    """The object's elements; None for numbers and sequences.

    Raises:
        CastError: it is an array, but its memory cannot be seen, or holds no numbers.
    """
    if is_torch(data):
        from .torch import tensor

        return tensor.see(data)
    if is_numpy(data) or is_numpy_scalar(data):
        return numpy.see(data)
    return see_foreign(data)


def see_foreign(x: Any) -> Seen | None:
    """The object's elements, or None where it is no array to anyone (a list, a number).

    Raises:
        CastError: it is an array, but not one of numbers, or its memory cannot be seen.
    """
    try:
        return _see(x)
    except Exception as error:
        refuse_unreadable(error, x)
        raise


def _see(x: Any) -> Seen | None:
    kind = type(x)
    root = kind.__module__.partition(".")[0]
    root = kind.__name__ if root == "builtins" else root
    found = _LIBRARIES.get(root)
    if found is not None:
        seen: Seen | None = import_module(f".{found}", __package__).see(x)
        if seen is not None:
            return seen
    if hasattr(x, "__cuda_array_interface__"):
        raise CastError(
            f"{kind.__module__}.{kind.__qualname__} lies on a GPU; tensorcast.as_tensor shares it"
        )
    if kind.__name__ == "PyCapsule":
        from .dlpack import Taken, buffer_of_capsule

        buffer = buffer_of_capsule(x, Taken(x))
        return Seen(root, buffer, "" if buffer.writable else "DLPack does not say it is writable")
    if hasattr(x, "__dlpack__"):
        from .dlpack import buffer_of

        buffer = buffer_of(x)
        return Seen(root, buffer, "" if buffer.writable else "DLPack does not say it is writable")
    if hasattr(x, "__array_interface__") or hasattr(x, "__array_struct__"):
        return interface_seen(x, root)
    if isinstance(x, (str, list, tuple, int, float, complex)):
        return None
    if hasattr(x, "__arrow_c_array__"):
        from .arrow_capsules import buffer_of as arrow_buffer_of

        return Seen(root, arrow_buffer_of(x), "Arrow arrays are immutable")
    try:
        view = view_of(x)
    except TypeError:
        return by_method(x, root) if hasattr(kind, "__array__") else None
    return memory_seen(view, root)


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
    load("torch.utils.dlpack")
    torch = load("torch")
    try:
        return take(torch)
    except Exception as error:  # AssertionErrors of a torch without CUDA among them
        refuse_no_memory(error)
        text = " ".join(str(error).split())[:300]
        raise CastError(
            f"a {type(data).__qualname__} lies on {where}, and this torch ({torch.__version__}) "
            f"cannot take it from there: {text}. Bring it to the CPU by its own library first"
        ) from error
