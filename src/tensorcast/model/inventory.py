"""Every tensor that a model, a state dict or an optimizer holds, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tensorcast.bridges import is_numpy, is_torch
from tensorcast.errors import CastError

from .profile_data import Role


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor by name, with whose it is; see `profile_data.TensorProfile`."""

    name: str
    role: Role
    module: str
    kind: str
    tensor: Any


def of_model(model: Any) -> list[Held]:
    """Parameters, then buffers, then gradients; a tied one under each of its names."""
    found: list[Held] = []
    gradients: list[Held] = []
    seen: set[int] = set()
    for path, module in model.named_modules(remove_duplicate=False):
        kind = type(module).__name__
        own: tuple[tuple[Role, Any], ...] = (
            ("parameter", getattr(module, "_parameters", {})),
            ("buffer", getattr(module, "_buffers", {})),
        )
        for role, tensors in own:
            for key, tensor in dict(tensors).items():
                if tensor is None:
                    continue
                name = f"{path}.{key}" if path else key
                found.append(Held(name, role, path, kind, tensor))
                gradient = None if is_lazy(tensor) else tensor.grad if tensor.is_leaf else None
                if gradient is not None and id(gradient) not in seen:
                    seen.add(id(gradient))
                    gradients.append(Held(name, "gradient", path, kind, gradient))
    order = {"parameter": 0, "buffer": 1}
    return sorted(found, key=lambda held: order[held.role]) + gradients


def of_optimizer(optimizer: Any, held: list[Held]) -> list[Held]:
    """The tensors of an optimizer's state, under the names of the parameters they are of."""
    state = getattr(optimizer, "state", None)
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(state, Mapping) or groups is None:
        raise CastError(
            f"optimizer is of type {type(optimizer).__name__}, not a torch.optim.Optimizer; an "
            "argument of the model's own called so is passed by position"
        )
    owners = {id(one.tensor): one for one in reversed(held) if one.role == "parameter"}
    found: list[Held] = []
    for i, (parameter, states) in enumerate(state.items()):
        owner = owners.get(id(parameter))
        name, module, kind = (owner.name, owner.module, owner.kind) if owner else (f"[{i}]", "", "")
        found += [
            Held(f"{name}.{key}", "optimizer", module, kind, tensor)
            for key, tensor in _tensors(states, "")
        ]
    return found


def of_tensors(data: Any) -> list[Held]:
    """Of a state dict (nested ones, lists, optimizers' too) or of one tensor."""
    found = [
        Held(name or "tensor", "tensor", name.rpartition(".")[0], "", tensor)
        for name, tensor in _tensors(data, "")
    ]
    if found or isinstance(data, Mapping):
        return found
    raise CastError(
        f"model is of type {type(data).__name__}; pass a torch.nn.Module, a state dict or a tensor"
    )


def _tensors(data: Any, name: str) -> Iterator[tuple[str, Any]]:
    if is_torch(data):
        yield name, data
    elif is_numpy(data):
        from tensorcast.arrays import as_tensor

        yield name, as_tensor(data, on_read_only="alias")
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, (list, tuple)):
        for i, value in enumerate(data):
            yield from _tensors(value, f"{name}.{i}" if name else str(i))


def is_lazy(tensor: Any) -> bool:
    """Whether a parameter has no shape before the first forward."""
    return type(tensor).__name__ in ("UninitializedParameter", "UninitializedBuffer")
