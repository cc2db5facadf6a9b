"""How far a call travels: its calls, the files they stand in, and the moves from file to file.

A move is a call from a function of one file of tensorcast to a function of another, counted by
`sys.setprofile` on the second call (the first imports and fills caches). Calls of C and of other
packages are not counted; a call that they make back counts from the file that was last.

    python -m bench.moves [--files]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import tensorcast as tc

PACKAGE = str(Path(tc.__file__).parent)


@dataclass(frozen=True)
class Trip:
    """What one call did: functions called, files entered, moves between files."""

    n_calls: int
    files: tuple[str, ...]
    n_moves: int


def trip_of(call: Callable[[], Any]) -> Trip:
    """The trip of the second call."""
    call()
    files: dict[str, None] = {}
    counts = {"calls": 0, "moves": 0}
    last: list[str] = [""]  # the file that each open function of ours stands in

    def watch(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE):
            return
        if event == "call":
            counts["calls"] += 1
            counts["moves"] += bool(last[-1]) and last[-1] != name
            files[name.removeprefix(f"{PACKAGE}/")] = None
            last.append(name)
        elif event == "return" and len(last) > 1:
            last.pop()

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return Trip(counts["calls"], tuple(files), counts["moves"])


def trips() -> dict[str, Trip]:
    """The trips that the house is measured by."""
    import numpy as np
    import torch

    data = bytes(range(64))
    x = torch.arange(8.0)
    array = np.arange(8.0)
    model, batch = torch.nn.Linear(4, 4), torch.zeros(1, 4)
    return {
        "as_tensor(bytes)": trip_of(lambda: tc.as_tensor(data)),
        "to_numpy(tensor)": trip_of(lambda: tc.to_numpy(x)),
        "cast(array)": trip_of(lambda: tc.cast(array, "float32")),
        "cast(tensor)": trip_of(lambda: tc.cast(x, "float16")),
        "cast(tensor, report=True)": trip_of(lambda: tc.cast(x, "float16", report=True)),
        "profile(Linear)": trip_of(lambda: tc.profile(model, batch)),
    }


def main() -> None:
    """Prints the table, and the files of each trip where `--files` is asked."""
    print("| call | calls | files | moves |\n| --- | ---: | ---: | ---: |")
    for name, trip in trips().items():
        print(f"| `{name}` | {trip.n_calls} | {len(trip.files)} | {trip.n_moves} |")
        if "--files" in sys.argv:
            print(f"  {' '.join(trip.files)}")


if __name__ == "__main__":
    main()
