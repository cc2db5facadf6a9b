"""`tensorcast convert` against what the disk allows and what people use: processes, interleaved.

    python -m bench.convert                  everything: verify, time, memory
    python -m bench.convert --only cp 'tensorcast bfloat16' --no-memory

The source is a synthetic float32 Llama in the page cache. What every contender writes is first
compared with torch's `.to`, bit by bit; then all run in turn, round after round. The references
are `cp -r` followed by fsync of what it wrote, and the bare durable write of as many bytes as the
output has: like tensorcast, they return when all is on the disk.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .data import DATA, FOUR, ONE, SIXTEEN, Model, directory
from .environments import environment, tensorcast_environment, versions_in
from .machine import RESULTS, ROOT, load, provenance
from .processes import Memory, Run, memory_of, run, touch_memory, warm
from .tables import save
from .timing import ratios, spread

CONTENDERS = ROOT / "bench" / "contenders"
CP = "cp -r, then fsync"
WRITE = "bare durable write of half as many bytes"


@dataclass(frozen=True)
class Contender:
    """Something that makes one directory of another.

    Attributes:
        name: in the results.
        command: what to start, given source and destination.
        dtype: torch's name of what it writes; None if it does not convert.
        group: "tensorcast", "tensorcast full", "peer", "floor" or "cp".
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    dtype: str | None
    group: str


def contenders(tensorcast: Path, root: Path) -> tuple[list[Contender], dict[str, str]]:
    """Everyone who can run here, and why the others cannot."""
    missing: dict[str, str] = {}

    def floor(what: str, n_threads: int = 1) -> Callable[[Path, Path], list[str]]:
        script = str(CONTENDERS / "floor.py")
        return lambda a, b: [sys.executable, script, what, str(a), str(b), str(n_threads)]

    found = [
        Contender(CP, floor("copy"), None, "cp"),
        Contender(WRITE, floor("write"), None, "floor"),
        Contender("cp -r", lambda a, b: ["cp", "-r", str(a), str(b)], None, "floor"),
    ]

    def ours(dtype: str, *options: str) -> Callable[[Path, Path], list[str]]:
        return lambda a, b: [
            str(tensorcast), "convert", str(a), str(b), "--to", dtype, *options
        ]  # fmt: skip

    for dtype in ("bfloat16", "float16"):
        found.append(Contender(f"tensorcast {dtype}", ours(dtype), dtype, "tensorcast"))
    for dtype in ("bfloat16", "float16"):
        full = ours(dtype, "--report", "--verify")
        name = f"tensorcast {dtype} --report --verify"
        found.append(Contender(name, full, dtype, "tensorcast full"))

    for n_threads in (1, 2):
        name = f"read and write half, {n_threads} thread{'s' if n_threads > 1 else ''}"
        found.append(Contender(name, floor("read-write", n_threads), None, "floor"))

    scripts = {"plain script": "plain.py", "transformers": "transformers_save.py"}
    scripts["gguf-py"] = "gguf_write.py"
    try:
        python = str(environment("torch", root) / "python")
    except subprocess.CalledProcessError as error:
        missing |= dict.fromkeys(scripts, f"its environment cannot be made: {error}")
    else:
        for name, script in scripts.items():
            command = [python, str(CONTENDERS / script)]
            found.append(
                Contender(
                    name,
                    lambda a, b, c=command: [*c, str(a), str(b), "bfloat16"],  # type: ignore[misc]
                    "bfloat16",
                    "peer",
                )
            )
    try:
        merge = environment("mergekit", root) / "mergekit-yaml"
    except subprocess.CalledProcessError as error:
        missing["mergekit"] = f"its environment cannot be made: {error}"
    else:
        found.append(
            Contender("mergekit", lambda a, b: _mergekit(merge, a, b, root), "bfloat16", "peer")
        )
    return found, missing


def _mergekit(program: Path, source: Path, destination: Path, root: Path) -> list[str]:
    """A merge of one model, which is a cast."""
    config = root / "mergekit.yml"
    config.write_text(f"merge_method: passthrough\nmodels:\n  - model: {source}\ndtype: bfloat16\n")
    return [str(program), str(config), str(destination), "--out-shard-size", "550M"]


class Workshop:
    """Where contenders write, one at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.out = root / "out"
        self.log = root / "contender.log"
        root.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Drop what the last one wrote, and let the disk finish."""
        shutil.rmtree(self.out, ignore_errors=True)
        os.sync()

    def verify(self, contender: Contender, source: Path, python: Path) -> str:
        """What was compared, after running a contender once.

        Raises:
            ChildProcessError: it failed, or its output is not what torch gives.
        """
        self.clear()
        run(contender.command(source, self.out), self.log)
        if contender.dtype is None:
            if contender.name.startswith("cp"):
                run(["diff", "-r", str(source), str(self.out)], self.log)
                return "the same files"
            return "nothing to compare"
        check = [python / "python", CONTENDERS / "check.py", source, self.out, contender.dtype]
        run([str(part) for part in check], self.log)
        return f"{int(self.log.read_text())} tensors equal torch's .to(), bit by bit"

    def time(self, contender: Contender, source: Path) -> tuple[Run, float]:
        """One run, and the part of the source that was in the page cache before it."""
        self.clear()
        touch_memory(sum(path.stat().st_size for path in source.iterdir()) * 11 // 10)
        held = warm(source)
        return run(contender.command(source, self.out), self.log), held

    def memory(self, contender: Contender, source: Path) -> Memory:
        """The peaks of one run."""
        self.clear()
        return memory_of(contender.command(source, self.out), self.log)


def quiet(most: float, patience: float) -> None:
    """Wait until the load of the last minute is at most so much, but not for ever."""
    end = time.monotonic() + patience
    while load()[0] > most and time.monotonic() < end:
        time.sleep(5)


def time_all(
    shop: Workshop, entrants: Sequence[Contender], source: Path, n_rounds: int
) -> dict[str, Any]:
    """Seconds by contender, one per round; everyone once in each round, the references first."""
    runs: dict[str, list[Run]] = {contender.name: [] for contender in entrants}
    least_warm = 1.0
    for number in range(n_rounds):
        for contender in entrants:
            done, held = shop.time(contender, source)
            least_warm = min(least_warm, held)
            runs[contender.name].append(done)
            print(f"round {number + 1}: {contender.name}: {done.seconds:.2f} s", file=sys.stderr)
    references = {
        key: [done.seconds for done in runs[name]]
        for key, name in (("of_cp", CP), ("of_write", WRITE))
    }
    rows = []
    for contender in entrants:
        seconds = [done.seconds for done in runs[contender.name]]
        rows.append(
            {
                "name": contender.name,
                "group": contender.group,
                "dtype": contender.dtype,
                "seconds": [round(value, 4) for value in seconds],
                "median_seconds": spread(seconds)["median"],
                **{key: spread(ratios(seconds, of)) for key, of in references.items()},
                "user_seconds": spread([done.user for done in runs[contender.name]]),
                "system_seconds": spread([done.system for done in runs[contender.name]]),
            }
        )
    for row in rows:  # how many times faster tensorcast is, in the same round
        if row["group"] == "peer":
            ours = [done.seconds for done in runs[f"tensorcast {row['dtype']}"]]
            row["tensorcast_is_faster"] = spread(ratios(row["seconds"], ours))
    return {"rows": rows, "source_in_page_cache": round(least_warm, 4)}


def measure_memory(
    shop: Workshop, entrants: Sequence[Contender], models: Sequence[Model]
) -> list[dict[str, Any]]:
    """Peaks by model and contender; the largest model is for those that do not load it whole."""
    rows = []
    for model in models:
        source = directory(model, shop.root)
        for contender in entrants:
            if contender.group in ("cp", "floor"):
                continue
            if contender.group == "peer" and model.sparse:
                continue
            peaks = shop.memory(contender, source)
            rows.append({"name": contender.name, "model": model.name, **asdict(peaks)})
            own = peaks.own / 2**20
            print(f"memory: {model.name}: {contender.name}: {own:.0f} MiB", file=sys.stderr)
        shop.clear()
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.convert", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="where models and outputs go")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", metavar="GLOB", help="contenders; references always")
    parser.add_argument("--small", action="store_true", help="time the 1 GB model")
    parser.add_argument("--no-time", action="store_true")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--tensorcast", type=Path, help="an executable, instead of a new build")
    parser.add_argument("--max-load", type=float, default=0.7, help="wait for a load below this")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for it")
    parser.add_argument("--out", type=Path, default=RESULTS / "convert.json")
    args = parser.parse_args(argv)

    shop = Workshop(args.data)
    program = args.tensorcast or tensorcast_environment(args.data) / "tensorcast"
    entrants, missing = contenders(program.absolute(), args.data)
    if args.only is not None:
        entrants = [
            one
            for one in entrants
            if one.name in (CP, WRITE) or any(fnmatch.fnmatch(one.name, glob) for glob in args.only)
        ]
    timed = ONE if args.small else FOUR
    result: dict[str, Any] = {"tensorcast_bench": 1, "what": "convert"}
    quiet(args.max_load, args.patience)
    result |= provenance("numpy")
    result["contenders"] = _versions(args.data)
    result["not_here"] = missing
    result["file_system"] = _file_system(args.data)
    source = directory(timed, args.data)
    result["source"] = {
        "model": timed.name,
        "n_bytes": sum(path.stat().st_size for path in source.iterdir()),
        "n_tensors": len(timed.tensors()),
        "n_shards": timed.n_shards,
    }
    torch = args.data / "venvs" / "torch" / "bin"
    result["verified"] = {}
    for contender in list(entrants):
        try:
            result["verified"][contender.name] = shop.verify(contender, source, torch)
        except ChildProcessError as error:
            missing[contender.name] = str(error)
            entrants.remove(contender)
        print(f"verify: {contender.name}: {missing.get(contender.name, 'ok')}", file=sys.stderr)
    if not args.no_time:
        quiet(args.max_load, args.patience)
        result["load_before"] = load()
        result |= time_all(shop, entrants, source, args.rounds)
        result["load_after_timing"] = load()
    if not args.no_memory:
        models = (ONE, SIXTEEN) if args.small else (ONE, FOUR, SIXTEEN)
        result["memory"] = measure_memory(shop, entrants, models)
    shop.clear()
    result["load_after"] = load()
    print(save(result, args.out))


def _file_system(path: Path) -> str | None:
    done = subprocess.run(
        ["df", "--output=fstype", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout.split()[-1] if done.returncode == 0 else None


def _versions(root: Path) -> dict[str, Any]:
    """Versions of everything that is held up to us."""
    packages = {
        "torch": ("torch", "safetensors", "transformers", "gguf", "numpy"),
        "mergekit": ("mergekit", "torch", "safetensors", "transformers"),
        "tensorcast": ("tensorcast", "numpy", "ml_dtypes", "click"),
    }
    cp = subprocess.run(["cp", "--version"], capture_output=True, text=True, check=False)
    found: dict[str, Any] = {"cp": (cp.stdout.splitlines() or ["?"])[0]}
    for name, wanted in packages.items():
        folder = root / "venvs" / name / "bin"
        if (folder / "python").exists():
            found[name] = versions_in(folder, *wanted)
    return found


if __name__ == "__main__":
    main()
