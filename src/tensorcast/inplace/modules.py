"""What a module, a dict or an optimizer has that is to be converted, and to which format."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final

from ..bridges import is_torch
from ..core.loss import Loss
from ..errors import CastError, InPlaceError
from ..formats import Format, lookup, lookup_target
from ..words.globs import unmatched
from .blocks import Wish, refusal, row_of
from .kept import KEPT_AS, kept_in_float32
from .obstacles import unfit

if TYPE_CHECKING:
    import torch

Rules = Mapping[str, object]
_SHOWN: Final = 3  # of the losses, in their `repr`
_SEQUENCES: Final = (list, tuple, set, frozenset, deque)


class Losses(dict[str, Loss]):
    """What each tensor lost, by name.

    Attributes:
        kept: names of the tensors that stayed in float32 without a rule, and why.
    """

    def __init__(self, losses: Mapping[str, Loss], kept: Mapping[str, str]) -> None:
        super().__init__(losses)
        self.kept = dict(kept)

    def __repr__(self) -> str:
        shown = [f"{name!r}: {loss!r}" for name, loss in list(self.items())[:_SHOWN]]
        more = f", and {len(self) - _SHOWN:,} more" if len(self) > _SHOWN else ""
        kept = f", kept={self.kept!r}" if self.kept else ""
        return f"{type(self).__name__}({{{', '.join(shown)}{more}}}{kept})"


def with_gradient(name: str, tensor: torch.Tensor, target: Format) -> list[Wish]:
    """The wish for a tensor, and for its `.grad`."""
    wishes = [Wish(name, tensor, target)]
    gradient = tensor.grad if tensor.is_leaf else None
    row = None if gradient is None else row_of(gradient)
    if gradient is not None and (row is None or row.is_float or row.is_complex):
        wishes.append(Wish(f"{name}.grad", gradient, target, is_gradient=True))
    return wishes


def wishes_of_module(
    module: torch.nn.Module, to: Format, rules: Rules
) -> tuple[list[Wish], dict[str, str]]:
    """Parameters with their gradients, and buffers, by rule; a tied one once. What stays in float32
    without a rule, and why, by name.

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
    kept = kept_in_float32(module, to)
    return _by_rule(named, to, rules, kept), kept


def wishes_of_mapping(mapping: Mapping[Any, Any], to: Format, rules: Rules) -> list[Wish]:
    """The tensors of a dict, and of dicts, lists and tuples in it, by rule; names are joined by
    dots.

    Raises:
        CastError: there is no tensor, or a rule names none, or something in it has tensors of its
            own that would be left out.
    """
    named = list(_tensors_in(mapping, ""))
    if not named:
        raise CastError("the dict holds no tensor")
    return _by_rule(named, to, rules, {})


def wishes_of_optimizer(optimizer: torch.optim.Optimizer, parameters: list[Wish]) -> list[Wish]:
    """The optimizer's state of parameters that are converted: floating tensors follow their
    parameter's format, in whatever lists and dicts they stand, as in `load_state_dict`; steps stay.

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
        for name, tensor in _state_of(state, ""):
            label = f"{wish.name}: {name}"
            row = row_of(tensor)
            if row is None:
                _refuse_kind(label, tensor, wish.target)
            elif row.is_float or row.is_complex:
                kind = row_of(wish.tensor)
                is_real = row.is_float and kind is not None and kind.is_complex
                target = wish.target.component if is_real else wish.target  # a norm of complex ones
                found.append(Wish(label, tensor, target, stays=wish.stays))
    return found


def _state_of(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of an optimizer's state for a parameter, steps left out."""
    if is_torch(value):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if key != "step":
                yield from _state_of(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, _SEQUENCES):
        for i, each in enumerate(value):
            yield from _state_of(each, f"{name}[{i}]")


def _tensors_in(value: Any, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of what stands in dicts, lists and tuples.

    Raises:
        CastError: a module or an optimizer stands there, whose tensors would be left out.
    """
    if is_torch(value):
        yield name, value
        return
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, _SEQUENCES):
        items = enumerate(value)
    elif hasattr(value, "named_parameters") or hasattr(value, "param_groups"):
        raise CastError(
            f"{name!r} is a {type(value).__name__}, whose tensors are no part of the dict; convert "
            "it by itself: tensorcast.cast_(module, format, optimizer=optimizer)"
        )
    for key, each in items:
        yield from _tensors_in(each, f"{name}.{key}" if name else str(key))


def _refuse_kind(name: str, tensor: torch.Tensor, to: Format) -> None:
    """Raise for a tensor of numbers of another format, of a kind that is not converted in place.

    Raises:
        InPlaceError: it is sparse, quantized, nested or of another kind of its own.
    """
    obstacle = unfit(tensor)
    is_there = not tensor.is_quantized and lookup(tensor.dtype) == to
    if (
        obstacle is not None
        and not is_there
        and (tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized)
    ):
        keep = f"Or keep it by a rule: rules={{{name!r}: None}}."
        raise refusal(
            Wish(name, tensor, KEPT_AS), replace(obstacle, way_out=f"{obstacle.way_out} {keep}")
        )


def _by_rule(
    named: list[tuple[str, torch.Tensor]], to: Format, rules: Rules, kept: dict[str, str]
) -> list[Wish]:
    """The first rule that matches decides, for any format; without one, floating and complex
    tensors become `to`, or float32 where that is kept, and all others stay. A tensor
    of several names goes by the first. `kept` loses the names that a rule decides."""
    patterns = [
        (
            glob,
            re.compile(translate(glob)),
            None if target is None else lookup_target(target, "torch"),
        )
        for glob, target in rules.items()
    ]
    unused = {glob for glob, _, _ in patterns}
    wishes: dict[int, list[Wish]] = {}
    for name, tensor in named:
        row = row_of(tensor)
        stays = row is None or not (row.is_float or row.is_complex)
        target = row if stays else to
        if name in kept:
            target = KEPT_AS
        decided = False
        for glob, pattern, chosen in patterns:
            if pattern.match(name):
                unused.discard(glob)
                if not decided:
                    target, decided, stays = chosen or row, True, chosen is None
        if decided:
            kept.pop(name, None)
        elif row is None:
            if str(tensor.dtype) == "torch.complex32":
                raise CastError(
                    f"{name!r} is complex32, which is no format of tensorcast. Leave it as it is "
                    f"by a rule: rules={{{name!r}: None}}."
                )
            _refuse_kind(name, tensor, to)
        elif row.is_complex and not (to.is_complex or to.kind == "bool"):
            raise CastError(
                f"{name!r} is {row.name}, and {to.name} would drop its imaginary part. Leave it as "
                f"it is by a rule, rules={{{name!r}: None}}, or give it a complex format there."
            )
        if target is None:  # of no format of ours: stays as it is
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
        raise CastError(unmatched(min(unused), min(unused), (name for name, _ in named)))
    return [wish for group in wishes.values() for wish in group]
