"""Checkpoints: opened without trust, prepared as data, converted as a stream.

`convert` does all of it, in two steps: `prepare` decides, and `run` acts. `inspect` reads the
headers; `open` is another name of it. `diff` compares two. The names load on first use.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would be most of the time that this import takes

if TYPE_CHECKING:
    from .converting import convert
    from .decide.job import Job
    from .decide.preparing import prepare
    from .opening import inspect
    from .opening import open_checkpoint as open  # noqa: A004  # as in gzip.open
    from .protocol import Checkpoint
    from .work.difference import Difference, diff
    from .work.running import Result, run

_NAMES = {
    "Checkpoint": ("protocol", "Checkpoint"),
    "Difference": ("work.difference", "Difference"),
    "Job": ("decide.job", "Job"),
    "Result": ("work.running", "Result"),
    "convert": ("converting", "convert"),
    "diff": ("work.difference", "diff"),
    "inspect": ("opening", "inspect"),
    "open": ("opening", "open_checkpoint"),
    "prepare": ("decide.preparing", "prepare"),
    "run": ("work.running", "run"),
}

__all__ = [
    "Checkpoint",
    "Difference",
    "Job",
    "Result",
    "convert",
    "diff",
    "inspect",
    "open",
    "prepare",
    "run",
]


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
