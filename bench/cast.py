"""The public cast against torch, NumPy and memcpy, side by side.

    python -m bench.cast                  every part: about ten minutes
    python -m bench.cast --quick          a sixteenth of the size, fewer rounds
    python -m bench.cast --part pairs     one part; may be repeated

Every output is compared, whole, with the oracle's before anything is timed; contenders take turns,
round after round, and a ratio is taken within a round. Arrays are touched before.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .machine import RESULTS, load, provenance

Rows = list[dict[str, Any]]


def parts() -> dict[str, Callable[[Any], Rows]]:
    """The parts by name, in the order in which they run."""
    from . import cast_bars, cast_pairs, cuda

    return {
        "small": cast_bars.small,
        "pairs_64k": cast_pairs.small_pairs,
        "lists": cast_bars.lists,
        "images": cast_bars.images,
        "fresh": cast_bars.fresh,
        "hot": cast_bars.hot,
        "raise": cast_bars.checked,
        "loss": cast_bars.loss,
        "careful": cast_bars.careful,
        "threads": cast_bars.threads,
        "pairs_64m": cast_pairs.large_pairs,
        "cuda": cuda.measure,
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cast", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, and fewer rounds")
    parser.add_argument("--part", action="append", help="one part only; may be repeated")
    parser.add_argument("--threads", type=int, default=1, help="of every contender; default: 1")
    parser.add_argument("--rounds", type=int, help="default: as many as each part needs")
    parser.add_argument(
        "--pages",
        choices=("huge", "4k"),
        default="huge",
        help="of preallocated memory: as NumPy asks for it, or as torch does",
    )
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time of the thread, not of the clock on the wall: for a machine that is not quiet; "
        "not of lists and images",
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "cast.json")
    args = parser.parse_args(argv)

    os.environ["TENSORCAST_NUM_THREADS"] = str(args.threads)  # before the first cast
    from .cast_run import Run
    from .kernels import check_build
    from .tables import save

    known = parts()
    wanted = args.part or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        parser.error(f"{', '.join(unknown)}: the parts are {', '.join(known)}")
    check_build()
    if args.cpu_time and args.threads != 1:
        parser.error("--cpu-time sees one thread only")
    clock = time.thread_time if args.cpu_time else time.perf_counter
    run = Run(args.threads, args.quick, args.rounds, args.pages, clock)
    result: dict[str, Any] = {
        "tensorcast_bench": 1,
        "what": "cast",
        **provenance("tensorcast", "numpy", "ml_dtypes", "torch"),
        "n_threads": args.threads,
        "pages": args.pages,
        "quick": args.quick,
        "clock": "cpu time" if args.cpu_time else "wall",
        "seconds": {},
    }
    for name, measure in known.items():
        if name not in wanted:
            continue
        begin = time.perf_counter()
        result[name] = measure(run)
        result["seconds"][name] = round(time.perf_counter() - begin, 1)
        print(f"{name}: {result['seconds'][name]} s", file=sys.stderr, flush=True)
        gc.collect()
    result["load_after"] = load()
    print(save(result, args.out))


if __name__ == "__main__":
    main()
