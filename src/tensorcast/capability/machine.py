"""What a capability is measured on: the CPU or GPU and the versions of the libraries."""

from __future__ import annotations

import os
import platform
import time
from functools import cache
from importlib import metadata
from math import ceil
from pathlib import Path
from typing import Any, Final

from .data import BUSY, Machine

FLAGS: Final = (
    "avx avx2 fma f16c avx_vnni avx_vnni_int8 avx_ne_convert "
    "avx512f avx512bw avx512vl avx512_vnni avx512_bf16 avx512_fp16 "
    "amx_tile amx_int8 amx_bf16 amx_fp16 "
    "asimd fphp asimdhp asimddp i8mm bf16 sve sve2 svebf16 svei8mm sme"
).split()
"""Of the CPU's flags those that decide how fast a format is."""

LIBRARIES: Final = ("numpy", "ml_dtypes", "torch", "tensorflow", "jax")


def cpu() -> Machine:
    """This machine's CPU."""
    cpuinfo = _text("/proc/cpuinfo")
    flags = (_field(cpuinfo, "flags", "Features") or "").split()
    name = _field(cpuinfo, "model name") or platform.processor() or platform.machine()
    memory = _field(_text("/proc/meminfo"), "MemTotal")
    return Machine(
        "cpu",
        name,
        tuple(flag for flag in FLAGS if flag in flags),
        usable_cpus(),
        int(memory.split()[0]) * 1024 if memory else None,
        "",
        _system(),
    )


def cuda(torch: Any) -> Machine:
    """The current CUDA device."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return Machine(
        "cuda",
        str(properties.name),
        (),
        usable_cpus(),
        int(properties.total_memory),
        f"{properties.major}.{properties.minor}",
        f"{_system()}, CUDA {torch.version.cuda}",
    )


class Others:
    """What other processes, and other machines on the same host, take of the CPUs that this
    process may use, from when it is made (Linux only)."""

    def __init__(self) -> None:
        self._before = self._now()

    def n_cpus(self) -> float | None:
        """CPUs that they kept busy until now, in the mean; None if it is not known."""
        now = self._now()
        if self._before is None or now is None or now[0] <= self._before[0]:
            return None
        seconds, busy, ours = (b - a for a, b in zip(self._before, now, strict=True))
        return round(max(0.0, busy - ours) / seconds, 2)

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        """(clock, seconds that the CPUs worked or were taken away, seconds of this process)."""
        if not hasattr(os, "sched_getaffinity"):
            return None
        names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = 0
        for line in _text("/proc/stat").splitlines():
            name, *counts = line.split()
            if name in names:  # user nice system idle iowait irq softirq steal ...
                ticks += sum(map(int, counts[:3])) + sum(map(int, counts[5:8]))
        if not ticks:
            return None
        return time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time()


def threads_left(n_threads: int, n_cpus_others: float | None) -> int:
    """As many of the threads as find a CPU that others do not use; one at least.

    Example:
        >>> threads_left(8, 0.05), threads_left(8, 1e6)
        (8, 1)
    """
    taken = n_cpus_others or 0.0
    if taken <= BUSY:
        return n_threads
    return max(1, min(n_threads, usable_cpus() - ceil(taken - BUSY)))


def others_now(seconds: float = 0.4) -> float | None:
    """CPUs that others keep busy while this process waits."""
    others = Others()
    time.sleep(seconds)
    return others.n_cpus()


@cache
def usable_cpus() -> int:
    """CPUs that this process could use when it was asked first."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def confine(n_threads: int) -> None:
    """Leaves this process so many of its CPUs, of different cores as far as there are enough, so
    that libraries that cannot be told use no more threads either (Linux only)."""
    if not hasattr(os, "sched_setaffinity") or n_threads >= usable_cpus():
        return
    seen: dict[str, int] = {}
    order = []
    for cpu_number in sorted(os.sched_getaffinity(0)):
        path = f"/sys/devices/system/cpu/cpu{cpu_number}/topology/thread_siblings_list"
        core = _text(path) or str(cpu_number)
        seen[core] = seen.get(core, 0) + 1
        order.append((seen[core], cpu_number))
    os.sched_setaffinity(0, [number for _, number in sorted(order)[:n_threads]])


def versions(tensorcast: str) -> dict[str, str]:
    """Of tensorcast, Python and those libraries that are installed."""
    found = {"tensorcast": tensorcast, "python": platform.python_version()}
    for library in LIBRARIES:
        for distribution in (library, f"{library}-cpu"):
            try:
                found[library] = metadata.version(distribution)
                break
            except metadata.PackageNotFoundError:
                continue
    return found


def _system() -> str:
    return f"{platform.system()} {platform.release()}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _field(text: str, *names: str) -> str | None:
    """The value of the first `name : value` line."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names:
            return value.strip()
    return None
