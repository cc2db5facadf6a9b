"""What a module, a dict or an optimizer has that is to be converted, and to which format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import translate
from typing import TYPE_CHECKING, Any

from ..bridges import is_torch
from ..errors import CastError, InPlaceError
from ..formats import Format, lookup
from .blocks import Wish, row_of

if TYPE_CHECKING:
    import torch

Rules = Mapping[str, object]


def with_gradient(name: str, tensor: torch.Tensor, target: Format) -> list[Wish]:
    """The wish for a tensor, and for its `.grad`."""
    wishes = [Wish(name, tensor, target)]
    gradient = tensor.grad if tensor.is_leaf else None
    row = None if gradient is None else row_of(gradient)
    if gradient is not None and (row is None or row.is_float):
        wishes.append(Wish(f"{name}.grad", gradient, target, is_gradient=True))
    return wishes


def wishes_of_module(module: torch.nn.Module, to: Format, rules: Rules) -> list[Wish]:
    """Parameters with their gradients, and buffers, by rule; a tied one once.

    Raises:
        CastError: a rule names no tensor.
        InPlaceError: parametrizations of the module are cached.
    """
    import torch

    if torch.nn.utils.parametrize._cache_enabled:
        raise InPlaceError(
            "parametrizations are cached, and the cache would keep the old format. Convert outside "
            "of torch.nn.utils.parametrize.cached().",
            "transformed",
        )
    named: list[tuple[str, torch.Tensor]] = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    return _by_rule(named, to, rules)


def wishes_of_mapping(mapping: Mapping[Any, Any], to: Format, rules: Rules) -> list[Wish]:
    """The tensors of a dict, and of dicts in it, by rule; names are joined by dots.

    Raises:
        CastError: there is no tensor, or a rule names none.
    """
    named = list(_tensors_in(mapping, ""))
    if not named:
        raise CastError("the dict holds no tensor")
    return _by_rule(named, to, rules)


def wishes_of_optimizer(optimizer: torch.optim.Optimizer, parameters: list[Wish]) -> list[Wish]:
    """The optimizer's state of parameters that are converted: floating tensors follow their
    parameter's format, as in `load_state_dict`; steps stay.

    Raises:
        CastError: the optimizer has none of the parameters.
    """
    import torch

    if not isinstance(optimizer, torch.optim.Optimizer):
        raise CastError(f"optimizer is a {type(optimizer).__name__}, not a torch.optim.Optimizer")
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if known.isdisjoint(id(wish.tensor) for wish in parameters):
        raise CastError("the optimizer has none of the parameters that are to be converted")
    found = []
    for wish in parameters:
        state = optimizer.state.get(wish.tensor, {}) if id(wish.tensor) in known else {}
        for key, value in state.items():
            if key != "step" and is_torch(value) and _is_float(value):
                name = f"{wish.name}: {key}"
                found.append(Wish(name, value, wish.target, stays=wish.stays))
    return found


def _is_float(x: torch.Tensor) -> bool:
    row = row_of(x)
    return row is not None and row.is_float


def _tensors_in(mapping: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if is_torch(value):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _tensors_in(value, f"{name}.")


def _by_rule(named: list[tuple[str, torch.Tensor]], to: Format, rules: Rules) -> list[Wish]:
    """The first rule that matches decides, for any format; without one, floating tensors become
    `to` and all others stay. A tensor of several names goes by the first."""
    patterns = [
        (glob, re.compile(translate(glob)), None if target is None else lookup(target, "torch"))
        for glob, target in rules.items()
    ]
    unused = {glob for glob, _, _ in patterns}
    wishes: dict[int, list[Wish]] = {}
    for name, tensor in named:
        row = row_of(tensor)
        stays = row is None or not row.is_float
        target = row if stays else to
        decided = False
        for glob, pattern, chosen in patterns:
            if pattern.match(name):
                unused.discard(glob)
                if not decided:
                    target, decided, stays = chosen or row, True, chosen is None
        if target is None:  # sparse, quantized: stays as it is
            continue
        if id(tensor) not in wishes:
            group = with_gradient(name, tensor, target)
            wishes[id(tensor)] = [replace(wish, stays=stays) for wish in group]
        elif decided and wishes[id(tensor)][0].target != target:
            first = wishes[id(tensor)][0]
            raise CastError(
                f"{first.name!r} and {name!r} are one tensor, which the rules would make both "
                f"{first.target.name} and {target.name}"
            )
    if unused:
        raise CastError(f"the rule {min(unused)!r} matches no tensor")
    return [wish for group in wishes.values() for wish in group]
