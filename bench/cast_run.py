"""What the parts of bench/cast.py share: memory, contenders, rounds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import torch

import tensorcast as tc
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy

from .kernels import Arena, libc_memcpy
from .samples import N_SAMPLE, expected, sample
from .timing import ratios, spread

Call = Callable[[], Any]

FORMAT_NAMES = (
    "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 bool"
).split()

# unchecked: what overflows, and a NaN without a place, has a result and no error
UNCHECKED = {"overflow": "saturate", "nan": "zero"}


def numpy_dtype(row: Format) -> np.dtype[Any]:
    """NumPy's dtype of a format, or ml_dtypes'."""
    if "numpy" in row.spellings:
        return np.dtype(row.spellings["numpy"])
    return np.dtype(getattr(ml_dtypes, row.name))


def torch_dtype(row: Format) -> torch.dtype:
    """torch's dtype of a format."""
    dtype: torch.dtype = getattr(torch, row.spellings["torch"])
    return dtype


@dataclass
class Run:
    """One run of the benchmark."""

    n_threads: int
    quick: bool
    n_rounds: int | None
    pages: str
    clock: Callable[[], float] = time.perf_counter
    memcpy: Callable[[int, int, int], Any] = field(default_factory=libc_memcpy)
    arena: Arena = field(init=False)

    def __post_init__(self) -> None:
        torch.set_num_threads(self.n_threads)
        self.arena = Arena(self.pages)

    @property
    def large(self) -> int:
        """Elements of a large array."""
        return (4 if self.quick else 64) << 20

    def rounds(self, usual: int) -> int:
        """Rounds of a part that usually takes so many."""
        return self.n_rounds or (min(usual, 3) if self.quick else usual)

    def race(
        self,
        work: Mapping[str, Call],
        n_rounds: int,
        *,
        loop: bool = False,
        slow: float = 0.4,
        wall: bool = False,
    ) -> dict[str, list[float]]:
        """Seconds of a call, by name: A B C, A B C, ...

        Args:
            loop: for short calls: each measurement is of as many as take some milliseconds.
            slow: a contender that took longer than this runs in the first two rounds only.
            wall: the clock on the wall, whatever the run's: for threads.
        """
        clock = time.perf_counter if wall else self.clock
        n_calls = self._calls_for(work) if loop else dict.fromkeys(work, 1)
        seconds: dict[str, list[float]] = {name: [] for name in work}
        for number in range(n_rounds):
            for name, call in work.items():
                if number >= 2 and min(seconds[name]) > slow:
                    continue
                begin = clock()
                for _ in range(n_calls[name]):
                    call()
                seconds[name].append((clock() - begin) / n_calls[name])
        return seconds

    def _calls_for(self, work: Mapping[str, Call]) -> dict[str, int]:
        """Calls of each that take about two milliseconds."""
        found = {}
        for name, call in work.items():
            least = 1.0
            for _ in range(7):
                begin = self.clock()
                call()
                least = min(least, self.clock() - begin)
            found[name] = max(1, int(2e-3 / max(least, 1e-7)))
        return found

    def pair(self, source: str, target: str, n: int, rounding: str | None = None) -> Pair:
        """Arrays of two formats in the arena, and our cast of one to the other, verified."""
        return Pair(self, FORMATS[source], FORMATS[target], n, rounding)

    def copy(self, n_bytes: int) -> Call:
        """memcpy that moves so many bytes, reading half of them and writing as many."""
        half = n_bytes // 2
        blocks = self.arena.block("copy to", half), self.arena.block("copy from", half)
        return self.copy_between(*blocks, half)

    def copy_between(self, to: np.ndarray, source: np.ndarray, n_bytes: int) -> Call:
        """memcpy from one block to another; on as many threads as the others have."""
        addresses = to.ctypes.data, source.ctypes.data
        if self.n_threads == 1:
            return lambda: self.memcpy(*addresses, n_bytes)
        a, b = torch.from_numpy(to[:n_bytes]), torch.from_numpy(source[:n_bytes])
        return lambda: a.copy_(b)  # torch's copy of bytes, on its threads


class Pair:
    """One cast of preallocated memory.

    Attributes:
        x, out: torch tensors of n elements; `array` and `array_out` are the same memory in NumPy.
        n_bytes: read and written together.
        n_differ: codes among those of a whole sample that torch makes otherwise than we do.
    """

    def __init__(self, run: Run, source: Format, target: Format, n: int, rounding: str | None):
        self.run, self.source, self.target, self.n = run, source, target, n
        codes = sample(source, target)
        self.policy = Policy(overflow="saturate", nan="zero", rounding=rounding)  # type: ignore[arg-type]
        results = expected(codes, source, target, self.policy.resolve(source, target))
        part = min(n, N_SAMPLE)
        assert n % part == 0
        tile, self._wanted = codes[:part].view(np.uint8), results[:part].view(np.uint8)
        sizes = [n * row.bits // 8 for row in (source, target)]
        self.n_bytes = sum(sizes)
        given, self._made = run.arena.fill(tile, sizes[0]), run.arena.block("target", sizes[1])
        self.array, self.array_out = (
            given.view(numpy_dtype(source)),
            self._made.view(numpy_dtype(target)),
        )
        self.x = torch.from_numpy(given).view(torch_dtype(source))
        self.out = torch.from_numpy(self._made).view(torch_dtype(target))
        self.options: dict[str, Any] = {**UNCHECKED, "rounding": rounding}
        self._made[:] = 0xAA
        self.cast()
        self.verify()

    def verify(self) -> None:
        """Raise AssertionError unless the whole output is the oracle's."""
        same = (self._made.reshape(-1, len(self._wanted)) == self._wanted).all()
        assert same, f"{self.source} -> {self.target}: the output is not the oracle's"

    def cast(self) -> Any:
        """Our cast into the preallocated output."""
        return tc.cast(self.x, self.target, out=self.out, **self.options)

    def n_differ(self) -> int:
        """Elements of the sample that are not the oracle's in the output as it stands."""
        size = self.target.bits // 8
        first = self._made[: len(self._wanted)] != self._wanted
        return int(first.reshape(-1, size).any(axis=1).sum())

    def contenders(self) -> dict[str, Call]:
        """Ours, torch's, NumPy's (ml_dtypes') and memcpy."""
        theirs, given, made = self.x, self.array, self.array_out

        def with_numpy() -> None:
            with np.errstate(all="ignore"):
                np.copyto(made, given, casting="unsafe")

        return {
            "tensorcast": self.cast,
            "torch": lambda: self.out.copy_(theirs),
            "numpy": with_numpy,
            "memcpy": self.run.copy(self.n_bytes),
        }


def times_faster(seconds: Mapping[str, list[float]], ours: str = "tensorcast") -> dict[str, Any]:
    """How many times as long as ours each other one takes, round by round."""
    base = seconds[ours]
    return {
        name: spread(ratios(values, base[: len(values)]))
        for name, values in seconds.items()
        if name != ours
    }


def row_of(seconds: Mapping[str, list[float]], **more: Any) -> dict[str, Any]:
    """A row of the results."""
    return {
        **more,
        "seconds": {name: spread(values, 9) for name, values in seconds.items()},
        "ratio": times_faster(seconds),
    }


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
