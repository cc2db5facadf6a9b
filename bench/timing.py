"""Interleaved rounds, and what a list of measurements comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any


def interleave(
    work: Mapping[str, Callable[[], Any]],
    n_rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call, by name: A B C, A B C, ..., after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(n_rounds + 1):
        for name, call in work.items():
            begin = clock()
            call()
            end = clock()
            if number:
                seconds[name].append(end - begin)
    return seconds


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Median, smallest and largest."""
    return {
        "median": round(median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratios(of: list[float], to: list[float]) -> list[float]:
    """Quotients of two contenders' measurements, round by round."""
    return [a / b for a, b in zip(of, to, strict=True)]
