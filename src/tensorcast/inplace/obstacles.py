"""What stands against a cast in place: the kinds of tensors, and the kinds of sharing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bridges.torch.tensor import is_plain
from .exclusivity import Interface, Mappings, Obstacle

if TYPE_CHECKING:
    import torch

CAST = "Make a new tensor with tensorcast.cast(x, format)."
CLONE = "Convert a clone: x = x.clone()."


def unfit(x: torch.Tensor) -> Obstacle | None:
    """Why a tensor of this kind is never converted in place, whoever else sees it."""
    import torch

    if type(x) not in (torch.Tensor, torch.nn.Parameter):
        return Obstacle(
            "subclass",
            f"is a {type(x).__module__}.{type(x).__qualname__}, whose memory is its own affair",
            "Cast the plain tensors it is made of.",
        )
    if x.is_quantized:
        return Obstacle("layout", "is quantized", "Call .dequantize() or .int_repr() first.")
    if x.layout is not torch.strided:
        way = (
            "Make a new tensor: x.to(dtype), or one of the same layout with "
            "tensorcast.cast(values, format) for its values."
        )
        if x.is_mkldnn:
            way = "Call .to_dense() first, and .to_mkldnn() on the result."
        return Obstacle("layout", f"is laid out as {x.layout}", way)
    if x.is_nested:
        return Obstacle("layout", "is nested", "Cast its parts (.unbind()).")
    if not is_plain(x) and x.device.type != "meta":
        return Obstacle(
            "transformed",
            "is being traced or transformed (torch.compile, torch.func, a dispatch mode)",
            "Convert before or after.",
        )
    if x.device.type not in ("cpu", "cuda"):
        what = "has no memory" if x.device.type == "meta" else f"is on {x.device}"
        return Obstacle("device", what, CAST)
    if x.is_inference():
        return Obstacle("inference", "was made under torch.inference_mode()", CLONE)
    if x._is_zerotensor():
        return Obstacle("lazy", "is a lazy tensor of zeros without memory", CLONE)
    if x.is_conj() or x.is_neg():
        lazy = "conjugate" if x.is_conj() else "negative"
        way = "Resolve it first: x = x.resolve_conj().resolve_neg()."
        return Obstacle("lazy", f"is a lazy {lazy} of another's memory", way)
    if x.grad_fn is not None:
        return Obstacle(
            "recorded",
            "is the result of a recorded operation, whose gradient has the old format",
            "Convert x.detach() after the graph is gone, or compute under torch.no_grad().",
        )
    forward: Any = torch.autograd.forward_ad
    if getattr(forward, "_current_level", -1) >= 0 and forward.unpack_dual(x).tangent is not None:
        way = "Convert outside of torch.autograd.forward_ad.dual_level()."
        return Obstacle("recorded", "carries a forward gradient of the old format", way)
    return None


def sharing(
    x: torch.Tensor,
    interface: Interface,
    mappings: Mappings,
    *,
    n_members: int = 1,
    is_gradient: bool = False,
) -> Obstacle | None:
    """Who else sees a tensor's memory, or why that cannot be known.

    Args:
        n_members: so many tensors on this memory are converted together.
        is_gradient: it is the `.grad` of another.

    Returns: None for a tensor that is alone; an obstacle of kind "file" for memory mapped privately
        from a file, which is read through and left as it is.
    """
    alone, uses = interface.alone, interface.uses(x)
    held = uses.tensor - alone.tensor - (interface.gradient if is_gradient else 0)
    if held > 0 and held <= uses.storage - alone.storage - n_members + 1:
        # a view holds the tensor and its storage, and so may a graph and a detached tensor
        return Obstacle(
            "view",
            "shares its memory: a view of it is alive, or a graph or a library holds it",
            "Delete those first, or make a new tensor with tensorcast.cast(x, format).",
        )
    if held > 0:
        return Obstacle(
            "held by torch",
            "is itself held by torch or a library: saved for a backward pass, exported by "
            "DLPack (to JAX, CuPy, ...), held by C++ code, or being cast on another thread",
            "Let go of the graph (the loss), of the export or of the holder first, wait for the "
            "other thread, or make a new tensor with tensorcast.cast(x, format).",
        )
    storage = x.untyped_storage()
    if x.device.type == "cpu":
        is_shared, resizable = storage.is_shared(), storage.resizable()
        if is_shared or not resizable:
            begin = storage.data_ptr()
            mapped = mappings.find(begin, begin + storage.nbytes()) if storage.nbytes() else None
            if mapped is not None and not mapped.is_shared:
                return Obstacle("file", f"is mapped from {mapped.path}", "", copies=True)
            memory_only = mapped is None or mapped.path.startswith(("/dev/shm/", "/memfd:"))
            if is_shared and memory_only:
                return Obstacle(
                    "shared memory",
                    "is in memory shared between processes, and another process would read "
                    "rubbish from then on",
                    "Convert before .share_memory_() or before sending it, and share the result.",
                    copies=True,
                )
            if mapped is not None:
                return Obstacle(
                    "mapped file",
                    f"is the file {mapped.path}, mapped to be written",
                    CLONE,
                    copies=True,
                )
        if x.is_pinned():
            return Obstacle(
                "pinned", "is in pinned memory, which a device may be reading", CLONE, copies=True
            )
    else:
        resizable = storage.resizable()
    del storage
    if uses.storage > alone.storage + n_members - 1:
        base = x._base
        if base is not None:
            way = (
                f"Convert that one, of shape {list(base.shape)}. If nobody else uses it, "
                "x = x.data takes this one off it without a copy; x = x.clone() does with one."
            )
            return Obstacle("view", "is a view of another tensor's memory", way, copies=True)
        return Obstacle(
            "view",
            "shares its memory: a detached tensor, an array or another parameter stands on it",
            "Delete those first, convert all of them in one call (a module, a dict), or pass "
            'others="copy" to give this one memory of its own.',
            copies=True,
        )
    if uses.object > alone.object:
        return Obstacle(
            "storage held",
            "shares its memory: its storage object is held",
            "Delete what x.untyped_storage() or x.storage() gave, or pass "
            'others="copy" to give this one memory of its own.',
            copies=True,
        )
    if not resizable:
        return Obstacle(
            "not resizable",
            "stands on memory that torch did not allocate (torch.load, from_numpy, frombuffer), or "
            "that was shown to NumPy: who else looks at it, nobody can tell",
            "Load it by torch.load(path, mmap=True), which is converted; convert a clone: x = "
            'x.clone(); or pass others="copy": then old and new exist at once.',
            copies=True,
        )
    if uses != alone._replace(
        tensor=alone.tensor + (interface.gradient if is_gradient else 0),
        storage=alone.storage + n_members - 1,
    ):
        return Obstacle("view", "has fewer uses than a tensor that is alone has", CAST)
    return None
