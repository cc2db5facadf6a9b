"""Every tensor that a model, a state dict or an optimizer holds, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Final

from ...bridges import is_numpy, is_torch
from ...errors import CastError
from ..watch.holdings import is_lazy
from .data import Role

_DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor by name, with whose it is; see `data.TensorProfile`."""

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
            ("parameter", _packed(module)),
            ("buffer", getattr(module, "_buffers", {})),
            ("buffer", {key: value for key, value in _attributes(module) if is_torch(value)}),
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


def _attributes(module: Any) -> list[tuple[str, Any]]:
    """What a module keeps beside parameters, buffers and modules."""
    return [(key, value) for key, value in vars(module).items() if not key.startswith("__")]


def _packed(module: Any) -> dict[str, Any]:
    """The weights that a quantized module keeps in an object of torch's C++."""
    import torch

    found: dict[str, Any] = {}
    for key, value in _attributes(module):
        if isinstance(value, torch.ScriptObject) and hasattr(module, "_weight_bias"):
            parts = zip(("weight", "bias"), module._weight_bias(), strict=False)
            found |= {f"{key}.{part}": tensor for part, tensor in parts}
    return found


def not_opened(model: Any) -> list[str]:
    """Names of objects of torch's C++ that may hold tensors and show none."""
    import torch

    return [
        f"{path}.{key}" if path else key
        for path, module in model.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
        for key, value in _attributes(module)
        if isinstance(value, torch.ScriptObject) and not hasattr(module, "_weight_bias")
    ]


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
            Held(".".join(map(str, (name, *key))), "optimizer", module, kind, tensor)
            for key, tensor in tensors_in(states)
        ]
    return found


def of_tensors(data: Any) -> list[Held]:
    """Of a state dict (nested ones, lists, optimizers' too) or of one tensor."""
    found = []
    for key, tensor in tensors_in(_with_arrays(data)):
        name = ".".join(map(str, key))
        found.append(Held(name or "tensor", "tensor", name.rpartition(".")[0], "", tensor))
    if found or isinstance(data, Mapping):
        return found
    raise CastError(
        f"model is of type {type(data).__name__}; pass a torch.nn.Module, a state dict or a tensor"
    )


def of_inputs(inputs: tuple[Any, ...], keywords: Mapping[str, Any]) -> list[Held]:
    """The tensors among a forward's inputs."""
    named = [(f"input{i}", value) for i, value in enumerate(inputs)] + list(keywords.items())
    return [
        Held(name + "".join(f"[{part!r}]" for part in key), "input", "", "", tensor)
        for name, value in named
        for key, tensor in tensors_in(value)
    ]


def tensors_in(data: Any, depth: int = 0) -> Iterator[tuple[tuple[object, ...], Any]]:
    """(keys, tensor) of each torch tensor in mappings, sequences and dataclasses."""
    if is_torch(data):
        yield (), data
    elif depth == _DEEPEST:
        return
    else:
        for key, value in _items(data):
            for keys, tensor in tensors_in(value, depth + 1):
                yield (key, *keys), tensor


def _items(data: Any) -> Iterable[tuple[object, Any]]:
    if isinstance(data, Mapping):
        return list(data.items())
    if isinstance(data, (list, tuple)):
        return enumerate(data)
    if is_dataclass(data) and not isinstance(data, type):
        return [(one.name, getattr(data, one.name, None)) for one in fields(data)]
    return ()


def _with_arrays(data: Any) -> Any:
    """The data with NumPy's arrays as tensors on their memory."""
    if is_numpy(data):
        from ...api.arrays import as_tensor

        return as_tensor(data, on_read_only="alias")
    if isinstance(data, Mapping):
        return {key: _with_arrays(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_with_arrays(value) for value in data]
    return data
