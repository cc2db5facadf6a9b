"""Which module and which parameter a tensor or a moment belongs to."""

from __future__ import annotations

from typing import Any

from ...errors import CastError
from .holdings import storage_of


class Owners:
    """Paths of modules, and names of parameters and buffers by the memory they stand in.

    Without a model, the outermost module that runs is taken for one when it is first seen.
    """

    def __init__(self, model: Any = None) -> None:
        self._paths: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._buffers: set[str] = set()
        self._kept: list[Any] = []  # so that no id and no storage is another's later
        if model is not None:
            if not hasattr(model, "named_modules"):
                kind = type(model).__name__
                raise CastError(f"model is of type {kind}, not a torch.nn.Module")
            self._add(model)

    def path(self, modules: tuple[Any, ...]) -> str:
        """The path of the innermost of the modules whose forward runs; "" of none."""
        if not modules:
            return ""
        if id(modules[0]) not in self._paths:
            self._add(modules[0])
        for module in reversed(modules):
            path = self._paths.get(id(module))
            if path is not None:
                return path
        return type(modules[-1]).__name__

    def name(self, tensor: Any) -> str:
        """The parameter's or buffer's name whose memory a tensor reads, views too; "" of none."""
        if not self._names:
            return ""
        return self._names.get(_identity(tensor), "")

    def is_buffer(self, name: str) -> bool:
        """Whether it is the name of a buffer."""
        return name in self._buffers

    def refresh(self) -> None:
        """Looks again where the tensors of known models stand: they have been converted."""
        self._names.clear()
        self._buffers.clear()
        models, self._kept = self._kept, []
        for model in models:
            self._add(model)

    def _add(self, model: Any) -> None:
        self._kept.append(model)
        for path, module in model.named_modules():
            self._paths.setdefault(id(module), path or type(model).__name__)
        buffers = model.named_buffers
        for of in (model.named_parameters, buffers):
            for name, tensor in of():
                storage = _identity(tensor)
                is_first = storage and self._names.setdefault(storage, name) is name
                if is_first and of is buffers:
                    self._buffers.add(name)


def _identity(tensor: Any) -> int:
    """Of the memory a tensor stands in; 0 where it has none."""
    storage = storage_of(tensor)
    return 0 if storage is None else int(storage._cdata)
