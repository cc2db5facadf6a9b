"""What a result was measured on: machine, versions, commit, command, load."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"

_CPU_FLAGS = (
    "sse4_2 avx avx2 fma f16c bmi2 erms fsrm "
    "avx512f avx512bw avx512vl avx512_vbmi avx512_vbmi2 avx512_fp16 avx512_bf16 "
    "asimd fphp asimdhp bf16 sve"
).split()


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _field(text: str | None, *names: str) -> str | None:
    """The value of the first `name : value` line of a text such as /proc/cpuinfo."""
    for line in (text or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names:
            return value.strip()
    return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.rstrip() if done.returncode == 0 else None


def _caches() -> dict[str, str]:
    """Sizes of the first CPU's caches, by level and type."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = _text(f"{index}/level"), _text(f"{index}/type")
        if level and kind and kind != "Instruction":
            found[f"L{level}"] = _text(f"{index}/size") or "?"
    return found


def load() -> list[float]:
    """The load averages of 1, 5 and 15 minutes; benchmarks note them before and after."""
    return [round(value, 2) for value in os.getloadavg()]


def machine() -> dict[str, Any]:
    """The machine, as far as it decides a benchmark's numbers."""
    cpuinfo, meminfo = _text("/proc/cpuinfo"), _text("/proc/meminfo")
    flags = (_field(cpuinfo, "flags", "Features") or "").split()
    memory = _field(meminfo, "MemTotal")
    huge = _text("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "cpu": _field(cpuinfo, "model name") or platform.processor() or platform.machine(),
        "cpu_family_model": [_field(cpuinfo, "cpu family"), _field(cpuinfo, "model")],
        "flags": [flag for flag in _CPU_FLAGS if flag in flags],
        "virtual": "hypervisor" in flags,
        "cpus": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory_gib": round(int(memory.split()[0]) / 2**20, 1) if memory else None,
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "glibc_tunables": os.environ.get("GLIBC_TUNABLES"),
        "transparent_hugepages": huge.partition("[")[2].partition("]")[0] if huge else None,
        "governor": _text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
    }


def versions(*packages: str) -> dict[str, str | None]:
    """Versions of Python and of installed packages; None where one is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def commit() -> dict[str, Any]:
    """The commit under test, and which of the sources that matter differ from it."""
    changed = _output(
        "git", "status", "--porcelain", "--", "src", "cpp", "bench", ":!bench/results"
    )
    return {
        "commit": _output("git", "rev-parse", "HEAD"),
        "changed": [line[3:] for line in (changed or "").splitlines()],
    }


def provenance(*packages: str) -> dict[str, Any]:
    """What every result file begins with."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"-m {module.name.removesuffix('.__main__')}" if module else shlex.quote(sys.argv[0])
    return {
        "machine": machine(),
        "versions": versions(*packages),
        **commit(),
        "command": " ".join(["python", program, *map(shlex.quote, sys.argv[1:])]),
        "load_before": load(),
    }
