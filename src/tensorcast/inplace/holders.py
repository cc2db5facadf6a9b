"""Who holds a tensor, by name: asked once it is refused, of what is alive in this process.

The use counts prove that a tensor is held, and say not by whom. A wrong guess would send people
looking for a loss that is not there, so the wrappers that hold tensors are looked for.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from .exclusivity import Obstacle

if TYPE_CHECKING:
    import torch

_ASKED: Final = ("held by torch", "view", "storage held", "device", "subclass")

_MAX_NODES: Final = 100_000

_WRAPPERS: Final = {
    "DistributedDataParallel": ("DistributedDataParallel", "before DistributedDataParallel wraps"),
    "FullyShardedDataParallel": ("FullyShardedDataParallel", "before FSDP shards"),
    "FSDPModule": ("fully_shard (FSDP)", "before fully_shard shards"),
    "ScriptModule": ("TorchScript (torch.jit)", "before torch.jit.script or torch.jit.trace takes"),
    "DeepSpeedEngine": ("DeepSpeed", "before DeepSpeed takes"),
}
"""Classes by name -> (who holds, when to cast instead)."""


def named(x: torch.Tensor, obstacle: Obstacle) -> Obstacle:
    """The obstacle, with the holder named where one is found."""
    if obstacle.kind not in _ASKED:
        return obstacle
    found = _wrapper(x) or (_leaf(x) or _exception(x) if obstacle.kind == "held by torch" else None)
    if found is None:
        return obstacle
    reason, way_out = found
    return Obstacle(obstacle.kind, reason, way_out, copies=obstacle.copies)


def _wrapper(x: torch.Tensor) -> tuple[str, str] | None:
    """The module around x that holds it in its own way."""
    for module in _alive("nn.Module"):
        if not any(one is x for one in _tensors_of(module)):
            continue
        for kind in type(module).__mro__:
            if kind.__name__ in _WRAPPERS and kind.__module__.startswith(("torch.", "deepspeed.")):
                who, when = _WRAPPERS[kind.__name__]
                way_out = f"Cast the module {when} it."
                way_out += " A wrapper that is no longer needed goes by del and gc.collect()."
                return f"is held by {who}", way_out
        if x.device.type == "meta" and getattr(module, "_hf_hook", None) is not None:
            return (
                "is offloaded by accelerate, which keeps the values elsewhere between the forwards",
                "Cast the module before it is offloaded, or load it in that format (dtype=...).",
            )
    if hasattr(x, "ds_id"):
        return "is partitioned by DeepSpeed", "Cast the module before DeepSpeed takes it."
    return None


def _leaf(x: torch.Tensor) -> tuple[str, str] | None:
    """The tensor whose `.grad` x is."""
    for leaf in _alive("Tensor"):
        if leaf is not x and leaf.is_leaf and leaf.requires_grad and leaf.grad is x:
            way_out = (
                "Convert that one, and its gradient comes along: tensorcast.cast_(parameter, "
                "format). Or take it off first: g = p.grad; p.grad = None."
            )
            return "is the .grad of another tensor", way_out
    return None


def _exception(x: torch.Tensor) -> tuple[str, str] | None:
    """The exception that is kept, in whose traceback a graph of x stands."""
    running, frame = set(), sys._getframe()
    while frame is not None:  # what these hold is no matter of the exception's
        running.add(id(frame))
        frame = frame.f_back  # type: ignore[assignment]
    seen = [getattr(sys, name, None) for name in ("last_exc", "last_value")]
    for error in [one for one in seen if one is not None] + list(_alive("exception")):
        traceback = error.__traceback__
        while traceback is not None:
            is_running = id(traceback.tb_frame) in running
            for value in [] if is_running else list(traceback.tb_frame.f_locals.values()):
                if _is_of_graph(value, x):
                    reason = "is held by a graph in the traceback of an exception that is kept"
                    way_out = (
                        "Let go of the exception, or clear it: "
                        "traceback.clear_frames(error.__traceback__)."
                    )
                    return f"{reason} ({type(error).__name__})", way_out
            traceback = traceback.tb_next
    return None


def _is_of_graph(value: Any, x: torch.Tensor) -> bool:
    """Whether a tensor is the result of recorded operations on x."""
    import torch

    if type(value) is not torch.Tensor or value.grad_fn is None:
        return False
    waiting: list[Any] = [value.grad_fn]
    seen: set[Any] = set()
    while waiting and len(seen) < _MAX_NODES:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node, "variable", None) is x:
            return True
        waiting += [before for before, _ in node.next_functions]
    return False


def _tensors_of(module: Any) -> Iterator[Any]:
    """Parameters and buffers, of wrappers that show none by themselves too."""
    try:
        yield from module.parameters()
        yield from module.buffers()
    except Exception:  # a module of somebody's own, half made or half gone
        return


def _alive(what: str) -> Iterator[Any]:
    """Objects of a kind that the garbage collector knows of: modules that wrap, tensors,
    exceptions."""
    import torch

    names = {*_WRAPPERS}
    for one in gc.get_objects():
        kind = type(one)
        if what == "exception":
            if issubclass(kind, BaseException) and one.__traceback__ is not None:
                yield one
        elif what == "Tensor":
            if issubclass(kind, torch.Tensor):
                yield one
        elif issubclass(kind, torch.nn.Module):
            wraps = any(base.__name__ in names for base in kind.__mro__)
            if wraps or "_hf_hook" in vars(one):
                yield one
