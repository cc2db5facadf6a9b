"""Lists of Python numbers and of small arrays into one tensor, against NumPy and torch.

python -m bench.lists        prints the rows; `python -m bench.cast` writes them with its own
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import tensorcast as tc

from .timing import interleave, ratios, spread

Rows = list[dict[str, Any]]


def rows_of(
    what: str,
    ours: Callable[[], Any],
    theirs: dict[str, tuple[Callable[[], Any], float | None]],
    n_rounds: int,
) -> Rows:
    """One row for each contender, timed in turns with ours; results are freed within the time."""
    work = {"tensorcast": ours, **{name: call for name, (call, _) in theirs.items()}}
    seconds = interleave(work, n_rounds)
    return [
        {
            "what": what,
            "against": name,
            "bar": bar,
            "ratio": spread(ratios(seconds[name], seconds["tensorcast"])),
            "seconds": {each: spread(seconds[each], 6) for each in ("tensorcast", name)},
        }
        for name, (_, bar) in theirs.items()
    ]


def measure(n_rounds: int, quick: bool) -> Rows:
    """A million ints, floats, and nested floats; a thousand small arrays."""
    import torch

    n = 100_000 if quick else 1_000_000
    rng = random.Random(1)
    ints = [rng.randrange(-(1 << 31), 1 << 31) for _ in range(n)]
    floats = [rng.random() for _ in range(n)]
    nested = [floats[i : i + 100] for i in range(0, n, 100)]
    size = f"{n // 1000}K" if quick else "1M"
    rows: Rows = []
    for kind, data in (("ints", ints), ("floats", floats), ("floats, 100 to a list,", nested)):
        assert torch.equal(tc.as_tensor(data), torch.tensor(data)), kind
        assert np.array_equal(tc.to_numpy(data), np.array(data)), kind
        to = {"ints": "int64"}.get(kind, "float32")
        rows += rows_of(
            f"{size} {kind} to a {to} tensor",
            lambda data=data: tc.as_tensor(data),  # type: ignore[misc]
            {
                "np.array": (lambda data=data: np.array(data), 6),  # type: ignore[misc]
                "torch.as_tensor": (lambda data=data: torch.as_tensor(data), 30),  # type: ignore[misc]
            },
            min(n_rounds, 5),
        )
    arrays = [np.random.default_rng(i).random((8, 8), np.float32) for i in range(1000)]
    tensors = [torch.from_numpy(array) for array in arrays]
    stacked = torch.from_numpy(np.stack(arrays))
    for to in ("float32", "bfloat16"):
        wanted = stacked.to(getattr(torch, to))
        assert torch.equal(tc.as_tensor(arrays, to), wanted), to
        assert torch.equal(tc.as_tensor(tensors, to), wanted), to
    more = 20 * n_rounds
    rows += rows_of(
        "1000 arrays of 8 x 8 to a float32 tensor",
        lambda: tc.as_tensor(arrays),
        {"np.stack, from_numpy": (lambda: torch.from_numpy(np.stack(arrays)), 5)},
        more,
    )
    rows += rows_of(
        "1000 arrays of 8 x 8 float32 to a bfloat16 tensor",
        lambda: tc.as_tensor(arrays, "bfloat16"),
        {
            "np.stack, from_numpy, .to": (
                lambda: torch.from_numpy(np.stack(arrays)).to(torch.bfloat16),
                None,
            )
        },
        more,
    )
    rows += rows_of(
        "1000 tensors of 8 x 8 to a float32 tensor",
        lambda: tc.as_tensor(tensors),
        {"torch.stack": (lambda: torch.stack(tensors), None)},
        more,
    )
    rows += rows_of(
        "[1, 2, 3]",
        lambda: tc.as_tensor([1, 2, 3]),
        {"torch.tensor": (lambda: torch.tensor([1, 2, 3]), None)},
        1000,
    )
    return rows


def show(rows: Rows) -> None:
    """One line a row."""
    for row in rows:
        ratio, bar = row["ratio"], row["bar"]
        ours = row["seconds"]["tensorcast"]["median"] * 1e3
        held = "" if bar is None else f"bar {bar}: {'yes' if ratio['median'] >= bar else 'NO'}"
        print(
            f"{row['what']:52} {ours:9.3f} ms  {ratio['median']:6.2f} x {row['against']} "
            f"({ratio['min']:.2f} to {ratio['max']:.2f})  {held}"
        )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a tenth of the numbers")
    args = parser.parse_args(argv)
    show(measure(args.rounds, args.quick))


if __name__ == "__main__":
    main()
