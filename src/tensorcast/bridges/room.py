"""Where memory ran out: how much was wanted, how much is free, and what needs less."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from ..errors import NoMemoryError, TensorcastError
from ..words.units import count, human_bytes

ENDED: Final = (MemoryError, RuntimeError, ValueError)
"""What libraries raise, among other things, where memory runs out."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

_UNITS: Final = {"bytes": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TRIED: Final = re.compile(r"[Tt]ried to allocate ([0-9.]+) ([KMGT]?i?B|bytes)")
_NO_SIZE: Final = (  # of more bytes than an address counts
    "array is too big",
    "Maximum allowed dimension exceeded",
    "Storage size calculation overflowed",
    "multiplication overflow",
)
_NO_ROOM: Final = ("can't allocate memory", "not enough memory", "out of memory")


def tells_memory(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, whose lack of memory is a `NoMemoryError`."""

    @functools.wraps(function)
    def telling(*args: _P.args, **keywords: _P.kwargs) -> _R:
        try:
            return function(*args, **keywords)
        except ENDED as error:
            refuse_no_memory(error)
            raise

    return telling


def refuse_no_memory(error: BaseException) -> None:
    """Raise a `NoMemoryError` if this is an error of NumPy, torch or Python for lack of memory.

    Raises:
        NoMemoryError: it is.
    """
    if isinstance(error, TensorcastError):
        return
    text = str(error)
    if any(words in text for words in _NO_SIZE):
        raise NoMemoryError(
            f"the result would take more bytes than an address counts ({text})"
        ) from error
    if isinstance(error, ValueError):
        return
    if not isinstance(error, MemoryError) and not any(words in text for words in _NO_ROOM):
        return
    on_gpu = not isinstance(error, MemoryError) and "CUDA" in text
    wanted = _wanted(error, text)
    size = "memory" if wanted is None else f"{count(wanted)} bytes ({human_bytes(wanted)})"
    free, why = _free_on_gpu() if on_gpu else free_memory()
    left = "" if free is None else f", and {count(free)} bytes ({human_bytes(free)}) are free{why}"
    raise NoMemoryError(
        f"memory ran out: {size} more wanted{left}. Three ways need less: tensorcast.cast_ takes "
        "little beside the tensor's own memory; tensorcast.cast(..., out=) writes into memory that "
        "is there; parts can be cast one by one"
    ) from error


def _wanted(error: BaseException, text: str) -> int | None:
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:  # NumPy's
        return prod(shape) * int(dtype.itemsize)
    found = _TRIED.search(text)
    return None if found is None else int(float(found[1]) * _UNITS.get(found[2], 1))


def _free_on_gpu() -> tuple[int | None, str]:
    torch: Any = sys.modules["torch"]
    try:
        return torch.cuda.mem_get_info()[0], " on the GPU"
    except RuntimeError:
        return None, ""


def free_memory() -> tuple[int | None, str]:
    """Bytes that can still be had, and of what, where that is less than the machine has; None
    where the system does not tell."""
    found: list[tuple[int, str]] = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            found.append((int(line.split()[1]) << 10, ""))
    limit = _address_limit()
    if limit is not None:
        for line in _lines("/proc/self/status"):
            if line.startswith("VmSize:"):
                left = max(0, limit - (int(line.split()[1]) << 10))
                found.append((left, " of the address space that this process may use (RLIMIT_AS)"))
    group = "/sys/fs/cgroup/memory."
    most, used = (_lines(group + name)[:1] for name in ("max", "current"))
    if most and used and most[0].strip().isdigit():
        found.append((max(0, int(most[0]) - int(used[0])), " of the control group's"))
    return min(found) if found else (None, "")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []


def _address_limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else limit
