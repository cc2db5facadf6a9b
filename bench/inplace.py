"""`tensorcast.cast_` in fresh processes: peak memory and time, beside `.to()` and `.data = .to()`.

python -m bench.inplace                       4 GiB tensors and a module of a billion parameters
python -m bench.inplace --quick               a sixteenth of that
python -m bench.inplace --only "int32 -> int64"   runs of that case, beside those in the results
python -m bench.inplace --case "..." --way .  one process, as the others are started (internal)

One process at a time, each with one tensor: it fills the tensor, resets the kernel's peak (VmHWM,
/proc/self/clear_refs), converts once, reads the peak and checks values. Peaks are over what the
process had before the tensor was made.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .machine import RESULTS, load, provenance
from .processes import touch_memory

Rows = list[dict[str, Any]]

CASES = {
    "float32 -> float16": ("float32", "float16"),
    "float32 -> float8_e4m3fn": ("float32", "float8_e4m3fn"),
    "float32 -> int32": ("float32", "int32"),
    "int32 -> int64": ("int32", "int64"),
}
MODULE = "module, float32 -> bfloat16"
WAYS = {
    "cast_": 'cast_(x, to, overflow="saturate")',
    "cast_, checked": "cast_(x, to)",
    ".data = .to()": "x.data = x.to(to)",
    ".to()": "y = x.to(to)",
}
MIB = 1 << 20


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _module(n: int) -> Any:
    """About n parameters, as a transformer has them."""
    import torch

    width, layers = 4096, max(1, round(n / (12 * 4096 * 4096)))
    if n < 12 * 4096 * 4096 * 2:
        width, layers = 1024, max(1, round(n / (12 * 1024 * 1024)))

    def linear(out: int, into: int) -> Any:
        made = torch.nn.Linear(1, 1, bias=False)
        made.weight = torch.nn.Parameter(torch.empty(out, into))
        return made

    blocks = [
        torch.nn.ModuleDict(
            {
                "qkv": linear(3 * width, width),
                "out": linear(width, width),
                "up": linear(4 * width, width),
                "down": linear(width, 4 * width),
                "norm": torch.nn.LayerNorm(width),
            }
        )
        for _ in range(layers)
    ]
    return torch.nn.Sequential(*blocks).requires_grad_(False)


def child(case: str, way: str, n: int) -> dict[str, Any]:
    """One conversion, in this process."""
    import torch

    import tensorcast as tc

    tc.cast_(torch.ones(1 << 20), "float16")
    torch.ones(1 << 20).to(torch.float16)
    before = _status("VmRSS")
    source, target = ("float32", "bfloat16") if case == MODULE else CASES[case]
    dtype = getattr(torch, target)
    x: Any
    if case == MODULE:
        x = _module(n)
        tensors = list(x.parameters())
    else:
        x = torch.empty(n, dtype=getattr(torch, source))
        tensors = [x]
    for tensor in tensors:
        tensor.fill_(3)
        tensor.flatten()[-1] = 5
    n_values = sum(t.numel() for t in tensors)
    n_source = sum(t.nbytes for t in tensors)
    n_target = n_values * dtype.itemsize
    addresses = [t.data_ptr() for t in tensors]
    Path("/proc/self/clear_refs").write_text("5")
    begin, begin_cpu = time.perf_counter(), time.process_time()
    if way == "cast_":
        tc.cast_(x, target, overflow="saturate")
    elif way == "cast_, checked":
        tc.cast_(x, target)
    elif way == ".data = .to()":
        if case == MODULE:
            x = x.to(dtype)
        else:
            x.data = x.to(dtype)
    else:
        x = x.to(dtype)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak = _status("VmHWM") - before
    for tensor in x.parameters() if case == MODULE else [x]:
        flat = tensor.flatten()
        assert tensor.dtype == dtype
        for at in (0, len(flat) // 3, len(flat) - 2):
            assert flat[at].float() == 3
        assert flat[-1].float() == 5
    now = [t.data_ptr() for t in (x.parameters() if case == MODULE else [x])]
    return {
        "n_values": n_values,
        "larger": max(n_source, n_target),
        "both": n_source + n_target,
        "peak": peak,
        "left": _status("VmRSS") - before,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "same_address": now == addresses,
    }


def measure(cases: list[str], n_bytes: int, n_parameters: int, n_rounds: int) -> Rows:
    """So many processes for each case and way, in turns."""
    runs = []
    for case in cases:
        n = n_parameters if case == MODULE else n_bytes // 4
        for _ in range(n_rounds):
            for way in WAYS:
                if case == MODULE and way == ".to()":
                    continue
                command = [sys.executable, "-m", "bench.inplace", "--case", case, "--way", way]
                command += ["--elements", str(n)]
                touch_memory(n * (12 if case == "int32 -> int64" else 8))
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise ChildProcessError(f"{case}, {way}: {done.stderr[-2000:]}")
                runs.append(
                    {"case": case, "way": way, **json.loads(done.stdout), "load": load()[0]}
                )
                print(runs[-1], file=sys.stderr, flush=True)
    return runs


def summary(runs: Rows) -> Rows:
    """A row for each case and way: the median time and the largest peak."""
    rows = []
    for case, way in itertools.product([*CASES, MODULE], WAYS):
        found = [run for run in runs if (run["case"], run["way"]) == (case, way)]
        if not found:
            continue
        times = [run["seconds"] for run in found]
        rows.append(
            {
                "case": case,
                "way": way,
                **{key: found[0][key] for key in ("n_values", "larger", "both")},
                "n_runs": len(found),
                "peak": max(run["peak"] for run in found),
                "left": max(run["left"] for run in found),
                "same_address": all(run["same_address"] for run in found),
                "cpu_seconds": round(statistics.median(run["cpu_seconds"] for run in found), 3),
                "seconds": {
                    "median": round(statistics.median(times), 4),
                    "min": round(min(times), 4),
                    "max": round(max(times), 4),
                },
            }
        )
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.inplace", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a sixteenth of the sizes")
    parser.add_argument("--only", action="append", choices=[*CASES, MODULE])
    parser.add_argument("--rounds", type=int, default=3, help="of processes")
    parser.add_argument("--out", type=Path, default=RESULTS / "inplace.json")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--elements", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.case:
        print(json.dumps(child(args.case, args.way, args.elements)))
        return
    from .tables import save

    share = 16 if args.quick else 1
    result = {"what": "inplace", **provenance("torch")}
    runs = measure(
        args.only or [*CASES, MODULE], (4 << 30) // share, 1_000_000_000 // share, args.rounds
    )
    if args.only and args.out.exists():
        runs = json.loads(args.out.read_text())["runs"] + runs
    result |= {"rows": summary(runs), "runs": runs}
    result["load_after"] = load()
    print(save(result, args.out))


if __name__ == "__main__":
    main()
