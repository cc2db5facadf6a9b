"""Whole processes, watched from outside: time, and memory by kind."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One process that ended well.

    Attributes:
        seconds: from before it was started until it had ended.
        user, system: seconds of processor time, its children's included.
    """

    seconds: float
    user: float
    system: float


@dataclass(frozen=True)
class Memory:
    """Peaks of a process and its children, in bytes.

    Attributes:
        own: anonymous and shared memory, summed over processes, the largest sample.
        mapped: pages of mapped files that were resident, the largest sample; the kernel may take
            them back at any time.
        high_water: the kernel's own peak of both together (VmHWM), of the largest process.
        n_samples: taken.
    """

    own: int
    mapped: int
    high_water: int
    n_samples: int


def _environment() -> dict[str, str]:
    """The caller's, less what could make a contender import another's packages or compile its
    own at every start."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def _start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=_environment()
        )


def _failed(command: Sequence[str], status: int, log: Path) -> ChildProcessError:
    tail = log.read_text(errors="replace")[-2000:]
    return ChildProcessError(f"{' '.join(command)}: status {status}\n{tail}")


def run(command: Sequence[str], log: Path) -> Run:
    """Run a command to its end.

    Raises:
        ChildProcessError: it failed; the message ends with what it printed.
    """
    begin = time.perf_counter()
    process = _start(command, log)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise _failed(command, process.returncode, log)
    return Run(seconds, usage.ru_utime, usage.ru_stime)


def _family(pid: int) -> list[int]:
    found = [pid]
    for member in found:
        for task in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def _status(pid: int) -> dict[str, int]:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    fields = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("RssAnon", "RssFile", "RssShmem", "VmHWM"):
            fields[name] = int(value.split()[0]) * 1024
    return fields


def memory_of(command: Sequence[str], log: Path, interval: float = 0.002) -> Memory:
    """Run a command to its end, sampling its memory; its time would mean nothing.

    Raises:
        ChildProcessError: it failed.
    """
    own = mapped = high_water = n_samples = 0
    process = _start(command, log)
    family = [process.pid]
    while process.poll() is None:
        if n_samples % 25 == 0:
            family = _family(process.pid)
        states = [_status(pid) for pid in family]
        anonymous = sum(state.get("RssAnon", 0) + state.get("RssShmem", 0) for state in states)
        own = max(own, anonymous)
        mapped = max(mapped, sum(state.get("RssFile", 0) for state in states))
        high_water = max([high_water, *(state.get("VmHWM", 0) for state in states)])
        n_samples += 1
        time.sleep(interval)
    if process.returncode:
        raise _failed(command, process.returncode, log)
    return Memory(own, mapped, high_water, n_samples)


_TOUCH = """
import mmap, sys
flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)
memory = mmap.mmap(-1, int(sys.argv[1]), flags)
if not hasattr(mmap, "MAP_POPULATE"):
    memory[:: mmap.PAGESIZE] = bytes(len(memory[:: mmap.PAGESIZE]))
"""


def touch_memory(n_bytes: int) -> None:
    """Use so much free memory and give it back.

    A virtual machine's host takes back what its guest frees; the first touch after that can cost
    several times the copy that does it, and would fall on whoever needs the most memory next.
    """
    subprocess.run([sys.executable, "-c", _TOUCH, str(n_bytes)], check=True)


def resident(path: Path) -> float:
    """The part of a file that is in the page cache, 0 to 1."""
    size = path.stat().st_size
    if size == 0:
        return 1.0
    n_pages = -(-size // mmap.PAGESIZE)
    held = (ctypes.c_ubyte * n_pages)()
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file:
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        address = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        done = libc.mincore(address, size, held)
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
    if done != 0:
        raise OSError(ctypes.get_errno(), f"mincore of {path} failed")
    return sum(byte & 1 for byte in bytes(held)) / n_pages


def warm(folder: Path) -> float:
    """Bring a directory's files into the page cache; the part that is there in the end."""
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    held = {}
    for path in sizes:
        held[path] = resident(path)
        if held[path] < 1:
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
            held[path] = resident(path)
    return sum(held[path] * size for path, size in sizes.items()) / sum(sizes.values())
