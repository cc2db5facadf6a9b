"""How a library takes elements: what the modules here tell a decision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fit:
    """How a library takes elements of one format and shape.

    Attributes:
        lacks: why it has no such result, with the way out; or "".
        remade: why it makes memory of its own of whatever it is given; or "".
        n_bytes: of its memory, where that is not a container to each element.
    """

    lacks: str = ""
    remade: str = ""
    n_bytes: int | None = None
