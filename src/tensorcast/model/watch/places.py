"""Where in the user's code, and in which module, something happens: read off the stack."""

from __future__ import annotations

import linecache
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, Literal

_MAX_CODES: Final = 10_000
_PLUMBING: Final = (
    "_compile.py", "_dynamo/", "_jit_internal.py", "_library/", "_ops.py", "overrides.py",
    "utils/_contextlib.py", "utils/_python_dispatch.py", "_tensor.py", "functional.py",
    "nn/functional.py",
)  # fmt: skip
"""Files of torch's that stand between code and an operation, and decide nothing."""
_OWN: Final = os.path.join(str(Path(__file__).absolute().parents[2]), "")
"""Of tensorcast's own files."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code.

    Attributes:
        file: its path.
        line: its number, from 1.
        function: the function it stands in.
    """

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        """The line itself, without indentation; empty where the file cannot be read."""
        try:
            return linecache.getline(self.file, self.line).strip()
        except ValueError:  # no name that a file may have
            return ""

    @property
    def is_users(self) -> bool:
        """Whether it stands outside the standard library and the installed packages."""
        return not self.file.startswith(_installed()) and not self.file.startswith("<")


@dataclass(frozen=True, slots=True)
class Stack:
    """What the stack says of one moment.

    Attributes:
        place: the innermost line outside torch and tensorcast; None where there is none.
        called_from: the innermost line of the user's own, where `place` stands in a package.
        modules: the modules whose forward runs, outermost first.
        within: the file of torch's own, "amp/grad_scaler.py", that the innermost line stands in;
            "" where that is none of torch's.
    """

    place: Place | None
    called_from: Place | None
    modules: tuple[Any, ...]
    within: str = ""


def look(frame: FrameType | None) -> Stack:
    """Reads the stack from a frame outwards."""
    place: Place | None = None
    called_from: Place | None = None
    modules: list[Any] = []
    within: str | None = None
    while frame is not None:
        code = frame.f_code
        known = _codes.get(id(code))
        _, whose, file = known if known is not None else _whose(code)
        if within is None:
            within = file
        if whose == "call":
            module = frame.f_locals.get("self")
            if module is not None:
                modules.append(module)
        elif whose not in _HIDDEN and called_from is None:
            here = Place(code.co_filename, frame.f_lineno, code.co_qualname)
            if place is None:
                place = here
            if whose == "user":
                called_from = here
        frame = frame.f_back
    if called_from == place:
        called_from = None
    return Stack(place, called_from, tuple(reversed(modules)), within or "")


_Whose = Literal["own", "torch", "call", "package", "user"]
_HIDDEN: Final = ("own", "torch")
_Known = tuple[CodeType, _Whose, str | None]
_codes: dict[int, _Known] = {}  # a code that is kept has its identity alone


def _whose(code: CodeType) -> _Known:
    """Whose a function is, and the file of torch's that it stands in: "" of others, None of ours
    and of plumbing. "call": it is that of torch.nn.Module which calls forward."""
    whose = _whose_file(code.co_filename)
    within: str | None = None if whose == "own" else ""
    if whose == "torch":
        file = _within(code.co_filename)
        within = None if file.startswith(_PLUMBING) else file
        if code.co_name == "_call_impl":
            whose = "call"
    if len(_codes) >= _MAX_CODES:
        _codes.clear()
    known = _codes[id(code)] = code, whose, within
    return known


def _whose_file(file: str) -> _Whose:
    """Ours, torch's, another package's, or the user's."""
    torch = sys.modules.get("torch")
    if torch is not None and file.startswith(_directory_of(torch.__file__)):
        return "torch"
    if file.startswith((_OWN, "<frozen")):
        return "own"
    return "user" if Place(file, 0, "").is_users else "package"


def users_place(places: Iterable[Place]) -> tuple[Place | None, Place | None]:
    """`Stack.place` and `Stack.called_from` of lines that are known, innermost first."""
    found = [place for place in places if _whose_file(place.file) not in _HIDDEN]
    users = next((place for place in found if place.is_users), None)
    place = found[0] if found else None
    return place, users if users != place else None


def _within(file: str) -> str:
    """A file of torch's, from torch's own directory."""
    root = _directory_of(sys.modules["torch"].__file__ or "")
    return file.removeprefix(root).replace(os.sep, "/")


@cache
def _directory_of(file: str) -> str:
    return os.path.join(os.path.dirname(file), "")


@cache
def _installed() -> tuple[str, ...]:
    """Directories whose code is not the user's."""
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found.update(site.getsitepackages())
    found.add(site.getusersitepackages())
    return tuple(os.path.join(path, "") for path in found)
