"""Whole models: what happens to dtypes while their code runs, and what each dtype costs."""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from .trace.forbidding import forbid as forbid
    from .trace.graphs import trace_graph as trace_graph

_NAMES = {"forbid": "trace.forbidding", "trace_graph": "trace.graphs"}

__all__ = ["forbid", "trace_graph"]


def __getattr__(name: str) -> object:
    import importlib

    module = _NAMES.get(name)
    if module is None:
        raise AttributeError(f"module 'tensorcast.model' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value
