"""What bounds the hot kernels: time per element from the first-level cache and from memory.

    python -m bench.profile

Compiles the AVX2 kernels and profile.cpp with the machine's compiler and calls them from C, one
thread. Where the time from the cache is near the time from memory, arithmetic is what a kernel
waits for; where it is far below, memory is.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .kernels import HOT
from .machine import RESULTS, ROOT, load, provenance
from .tables import save

# as CMakeLists.txt has them
_FLAGS = (
    "-std=c++20 -O3 -DNDEBUG -march=x86-64-v3 -ffp-contract=off -fno-strict-aliasing "
    "-fno-math-errno -fno-trapping-math -Wno-psabi"
).split()
_MORE = (("float16", "float8_e5m2"), ("float8_e5m2", "bfloat16"))


def build(folder: Path) -> Path:
    """The program, compiled into a folder."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise SystemExit("bench.profile: no C++ compiler")
    rows = [sys.executable, str(ROOT / "cpp" / "generate_rows.py")]
    subprocess.run(
        [*rows, *(str(folder / f"{name}.generated.hpp") for name in ("rows", "policies"))],
        check=True,
    )
    flags = [*_FLAGS, f"-I{ROOT / 'cpp'}", f"-I{folder}"]
    program, units = folder / "profile", []
    for name in ("kernels", "digest"):
        unit = folder / f"{name}.o"
        source = [str(ROOT / "cpp" / "isa" / f"{name}.cpp"), "-DTC_ISA=v3", "-fno-exceptions"]
        subprocess.run([compiler, *flags, *source, "-c", "-o", str(unit)], check=True)
        units.append(str(unit))
    sources = [str(ROOT / "bench" / "profile.cpp"), str(ROOT / "cpp" / "hash.cpp"), *units]
    subprocess.run([compiler, *flags, *sources, "-o", str(program)], check=True)
    return program


def measure(program: Path, source: str, target: str, pages: str) -> dict[str, Any]:
    """Nanoseconds per element of a pair."""
    scale = "20" if target == "int8" else "1"  # up to six times as much
    command = [str(program), source, target, scale, pages]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    names = ("cache", "cache_loss", "memory", "memory_loss")
    return {"source": source, "target": target, **dict(zip(names, map(float, found), strict=True))}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--pages", choices=("huge", "small"), default="huge")
    parser.add_argument("--out", type=Path, default=RESULTS / "profile.json")
    options = parser.parse_args(arguments)
    result: dict[str, Any] = {"what": "profile", **provenance("numpy"), "pages": options.pages}
    pairs = [(source, target) for source, target, _ in HOT]
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        result["pairs"] = [measure(program, *pair, options.pages) for pair in [*pairs, *_MORE]]
    result["load_after"] = load()
    print(save(result, options.out))


if __name__ == "__main__":
    main()
