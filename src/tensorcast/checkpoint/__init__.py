"""Checkpoints: opened without trust, prepared as data, converted as a stream.

`open` reads the headers, `prepare` decides, `run` acts. The names load on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would be most of the time that this import takes

if TYPE_CHECKING:
    from .decide.preparing import prepare
    from .opening import open_checkpoint as open  # noqa: A004  # as in gzip.open
    from .work.running import run

_NAMES = {
    "open": ("opening", "open_checkpoint"),
    "prepare": ("decide.preparing", "prepare"),
    "run": ("work.running", "run"),
}

__all__ = ["open", "prepare", "run"]


def __getattr__(name: str) -> object:
    import importlib

    if name not in _NAMES:
        raise AttributeError(f"module 'tensorcast.checkpoint' has no attribute {name!r}")
    module, found = _NAMES[name]
    value: object = getattr(importlib.import_module(f".{module}", __name__), found)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
