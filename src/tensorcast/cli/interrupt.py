"""What the user is told after Ctrl-C: set by a command that can be resumed."""

from __future__ import annotations

_hints: list[str] = []


def resumable(*hints: str) -> None:
    """Says how the work in progress would be resumed."""
    _hints[:] = hints


def hint() -> list[str]:
    """The lines for the user, empty when nothing can be resumed."""
    return list(_hints)
