"""What it costs to make tensors of what others hold: `tensorcast.as_tensor` against torch's ways.

    python -m bench.as_tensor             about a minute
    python -m bench.as_tensor --quick     a tenth of the numbers, fewer rounds

Every result is compared with torch's before anything is timed; contenders take turns, round after
round, and a ratio is taken within a round. Short calls are timed some hundred at a time.
"""

from __future__ import annotations

import argparse
import array
import gc
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from .machine import RESULTS, load, provenance
from .timing import interleave, ratios, spread

Rows = list[dict[str, Any]]
Call = Callable[[], Any]

SHARING_BAR = 1 / 1.1  # of torch.as_tensor's speed, at least
LIST_BAR, ARRAYS_BAR, IMAGE_BAR = 30, 5, 4
LOOP_SECONDS = 2e-3


def rows_of(run: Run, what: str, ours: Call, theirs: dict[str, tuple[Call, float | None]]) -> Rows:
    """One row for each contender; results are freed within the time."""
    work = {"tensorcast": ours, **{name: call for name, (call, _) in theirs.items()}}
    n_calls = {name: run.calls_for(call) for name, call in work.items()}
    loops = {name: _loop(call, n_calls[name]) for name, call in work.items()}
    totals = interleave(loops, run.n_rounds, run.clock)
    seconds = {name: [t / n_calls[name] for t in times] for name, times in totals.items()}
    rows = [
        {
            "what": what,
            "against": name,
            "bar": bar,
            "ratio": spread(ratios(seconds[name], seconds["tensorcast"])),
            "seconds": {each: spread(seconds[each], 9) for each in ("tensorcast", name)},
        }
        for name, (_, bar) in theirs.items()
    ]
    for row in rows:
        print(f"{what}: {row['ratio']['median']:.2f} times {row['against']}", flush=True)
    return rows


def _loop(call: Call, n: int) -> Call:
    def loop() -> None:
        for _ in range(n):
            call()

    return loop


class Run:
    """One run of the benchmark."""

    def __init__(self, n_rounds: int, quick: bool, clock: Callable[[], float]) -> None:
        self.n_rounds, self.quick, self.clock = n_rounds, quick, clock

    def calls_for(self, call: Call) -> int:
        """Calls that take about LOOP_SECONDS."""
        least = 1.0
        for _ in range(5):
            begin = self.clock()
            call()
            least = min(least, self.clock() - begin)
        return max(1, int(LOOP_SECONDS / max(least, 1e-7)))


def sharing(run: Run) -> Rows:
    """NumPy arrays and torch tensors that are taken as they are."""
    import torch

    import tensorcast as tc

    rows: Rows = []
    for shape in ((3, 4), (1000, 1000)):
        x = np.ones(shape, np.float32)
        assert tc.as_tensor(x).data_ptr() == torch.as_tensor(x).data_ptr()
        theirs: dict[str, tuple[Call, float | None]] = {
            "torch.as_tensor": (lambda x=x: torch.as_tensor(x), SHARING_BAR),  # type: ignore[misc]
            "torch.from_numpy": (lambda x=x: torch.from_numpy(x), None),  # type: ignore[misc]
        }
        what = f"NumPy float32 {list(shape)}, shared"
        rows += rows_of(run, what, lambda x=x: tc.as_tensor(x), theirs)  # type: ignore[misc]
    part = np.ones((64, 64))[::2, ::4]
    assert tc.as_tensor(part).data_ptr() == part.ctypes.data
    rows += rows_of(
        run,
        "NumPy float64 [32, 16], strided, shared",
        lambda: tc.as_tensor(part),
        {"torch.as_tensor": (lambda: torch.as_tensor(part), SHARING_BAR)},
    )
    narrow = np.ones((3, 4), ml_dtypes.bfloat16)
    assert tc.as_tensor(narrow).data_ptr() == narrow.ctypes.data
    rows += rows_of(
        run,
        "ml_dtypes bfloat16 [3, 4], shared",
        lambda: tc.as_tensor(narrow),
        {
            "from_numpy(view(int16)).view": (
                lambda: torch.from_numpy(narrow.view(np.int16)).view(torch.bfloat16),
                None,
            )
        },
    )
    tensor = torch.ones(3, 4)
    assert tc.as_tensor(tensor) is tensor
    rows += rows_of(
        run,
        "a torch tensor, itself",
        lambda: tc.as_tensor(tensor),
        {"torch.as_tensor": (lambda: torch.as_tensor(tensor), SHARING_BAR)},
    )
    for kind, data, dtype in (
        ("bytearray", bytearray(64), torch.uint8),
        ("array.array", array.array("d", range(8)), torch.float64),
    ):
        frombuffer = torch.frombuffer(data, dtype=dtype)
        assert torch.equal(tc.as_tensor(data), frombuffer), kind
        rows += rows_of(
            run,
            f"{kind} of 64 bytes, shared",
            lambda data=data: tc.as_tensor(data),  # type: ignore[misc]
            {
                "torch.frombuffer": (
                    lambda data=data, dtype=dtype: torch.frombuffer(data, dtype=dtype),  # type: ignore[misc]
                    None,
                )
            },
        )
    return rows


def casting(run: Run) -> Rows:
    """NumPy arrays that must be cast or copied."""
    import torch

    import tensorcast as tc

    rows: Rows = []
    for n in (12, 1 << 24):
        x = np.linspace(-1, 1, n, dtype=np.float32)
        assert torch.equal(tc.as_tensor(x, torch.float16), torch.from_numpy(x).half())
        rows += rows_of(
            run,
            f"NumPy float32 [{n:,}] to float16",
            lambda x=x: tc.as_tensor(x, torch.float16),  # type: ignore[misc]
            {
                "torch.as_tensor": (
                    lambda x=x: torch.as_tensor(x, dtype=torch.float16),  # type: ignore[misc]
                    None,
                )
            },
        )
    backwards = np.ones((64, 64), np.float32)[::-1]
    assert torch.equal(tc.as_tensor(backwards), torch.from_numpy(backwards.copy()))
    rows += rows_of(
        run,
        "NumPy float32 [64, 64] of negative strides",
        lambda: tc.as_tensor(backwards),
        {"from_numpy(copy)": (lambda: torch.from_numpy(backwards.copy()), None)},
    )
    return rows


def sequences(run: Run) -> Rows:
    """Lists of numbers and of arrays."""
    import torch

    import tensorcast as tc

    n = 100_000 if run.quick else 1_000_000
    rng = random.Random(1)
    ints = [rng.randrange(-(1 << 31), 1 << 31) for _ in range(n)]
    floats = [rng.random() for _ in range(n)]
    rows: Rows = []
    for kind, data in (("ints", ints), ("floats", floats)):
        assert torch.equal(tc.as_tensor(data), torch.as_tensor(data)), kind
        rows += rows_of(
            run,
            f"a list of {n:,} {kind}",
            lambda data=data: tc.as_tensor(data),  # type: ignore[misc]
            {"torch.as_tensor": (lambda data=data: torch.as_tensor(data), LIST_BAR)},  # type: ignore[misc]
        )
    arrays = [np.random.default_rng(i).random((8, 8), np.float32) for i in range(1000)]
    assert torch.equal(tc.as_tensor(arrays), torch.from_numpy(np.stack(arrays)))
    rows += rows_of(
        run,
        "1000 arrays of 8 x 8",
        lambda: tc.as_tensor(arrays),
        {"np.stack, from_numpy": (lambda: torch.from_numpy(np.stack(arrays)), ARRAYS_BAR)},
    )
    for what, few in (("[1.0, 2.0, 3.0]", [1.0, 2.0, 3.0]), ("1.5", 1.5)):
        assert torch.equal(tc.as_tensor(few), torch.as_tensor(few)), what
        rows += rows_of(
            run,
            what,
            lambda few=few: tc.as_tensor(few),  # type: ignore[misc]
            {"torch.as_tensor": (lambda few=few: torch.as_tensor(few), None)},  # type: ignore[misc]
        )
    return rows


def images(run: Run) -> Rows:
    """A Pillow image to CHW float32 / 255."""
    import torch
    from PIL import Image

    import tensorcast as tc

    width, height = (960, 540) if run.quick else (3840, 2160)
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels)

    def usual() -> Any:
        planes = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
        return planes.contiguous().to(torch.float32).div_(255)

    assert torch.equal(tc.image_to_tensor(image, out=torch.empty(3, height, width)), usual())
    made = torch.empty(3, height, width)
    return rows_of(
        run,
        f"a Pillow image of {width} x {height} to CHW float32 / 255, fresh",
        lambda: tc.image_to_tensor(image),
        {"np.asarray, permute.contiguous.to.div_": (usual, IMAGE_BAR)},
    ) + rows_of(
        run,
        f"a Pillow image of {width} x {height} to CHW float32 / 255, into memory given",
        lambda: tc.image_to_tensor(image, out=made),
        {"np.asarray, permute.contiguous.to.div_": (usual, None)},
    )


def soak(run: Run) -> Rows:
    """What the process grows by over many calls."""
    import tensorcast as tc

    n = 100_000 if run.quick else 1_000_000
    x, data = np.ones((3, 4), np.float32), bytearray(64)
    rows: Rows = []
    for what, call, times in (
        ("as_tensor of a NumPy array", lambda: tc.as_tensor(x), n),
        ("as_tensor to float16", lambda: tc.as_tensor(x, "float16"), n),
        ("as_tensor of a bytearray", lambda: tc.as_tensor(data), n // 10),
        ("as_tensor of a list", lambda: tc.as_tensor([1.0, 2.0]), n // 10),
    ):
        for _ in range(times // 20):
            call()
        before = _resident()
        for _ in range(times):
            call()
        rows.append({"what": what, "n_calls": times, "n_bytes": _resident() - before})
        print(f"{what}: {rows[-1]['n_bytes']} bytes after {times:,} calls", flush=True)
    return rows


def _resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.as_tensor", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the numbers")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time of the thread, not of the clock on the wall: for a machine that is not quiet",
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "as_tensor.json")
    args = parser.parse_args(argv)

    os.environ["TENSORCAST_NUM_THREADS"] = "1"  # before the first cast
    import torch

    from .tables import save

    torch.set_num_threads(1)
    clock = time.thread_time if args.cpu_time else time.perf_counter
    run = Run(3 if args.quick else args.rounds, args.quick, clock)
    result: dict[str, Any] = {
        "tensorcast_bench": 1,
        "what": "as_tensor",
        **provenance("tensorcast", "numpy", "ml_dtypes", "torch", "pillow"),
        "rounds": run.n_rounds,
        "quick": args.quick,
        "clock": "cpu time" if args.cpu_time else "wall",
        "rows": [*sharing(run), *casting(run), *sequences(run), *images(run)],
        "soak": soak(run),
    }
    result["load_after"] = load()
    print(save(result, args.out))


if __name__ == "__main__":
    main()
