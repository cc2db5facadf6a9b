"""Which module is the bridge to which library."""

from __future__ import annotations

from functools import cache
from typing import Any

from .protocol import Demands


@cache
def bridge_to(target: str) -> Any:
    """The module that wraps memory for a target, its library imported.

    Raises:
        MissingLibraryError: the library is not installed.
    """
    bridge = _bridges()[target]
    bridge.load()
    return bridge


@cache
def demands_of(target: str) -> Demands:
    """What a target asks of the memory under its arrays; nothing is imported for it."""
    found: Demands = _bridges()[target].DEMANDS
    return found


@cache
def _bridges() -> dict[str, Any]:
    from . import arrow, cupy, jax, numpy, pillow, tensorflow
    from .torch import wrapping

    return {
        "torch": wrapping,
        "numpy": numpy,
        "jax": jax,
        "tensorflow": tensorflow,
        "arrow": arrow,
        "pil": pillow.Pillow(),
        "cupy": cupy,
    }
