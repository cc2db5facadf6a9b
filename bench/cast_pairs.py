"""Every pair of formats against torch's copy_, preallocated."""

from __future__ import annotations

from typing import Any

from .cast_run import FORMAT_NAMES, Run, row_of, say

Rows = list[dict[str, Any]]


def _pairs() -> list[tuple[str, str]]:
    return [(a, b) for a in FORMAT_NAMES for b in FORMAT_NAMES if a != b]


def large_pairs(run: Run) -> Rows:
    """Arrays far larger than the caches."""
    rows = []
    for source, target in _pairs():
        pair = run.pair(source, target, run.large)
        work = pair.contenders()
        found = run.race(work, run.rounds(3))
        rows.append(_row(source, target, run.large, found, _wrong(pair, work)))
    return rows


def small_pairs(run: Run) -> Rows:
    """64K elements: in and out lie in the L2 cache."""
    rows = []
    n = 64 << 10
    for source, target in _pairs():
        pair = run.pair(source, target, n)
        work = pair.contenders()
        found = run.race(work, run.rounds(9), loop=True)
        rows.append(_row(source, target, n, found, _wrong(pair, work)))
    return rows


def _wrong(pair: Any, work: dict[str, Any]) -> dict[str, int]:
    """Elements of the sample that the others make otherwise than the contract says."""
    differ = {}
    for name in ("torch", "numpy"):
        if pair.n <= 1 << 20:
            work[name]()
            differ[name] = pair.n_differ()
    return differ


def _row(source: str, target: str, n: int, seconds: Any, differ: dict[str, int]) -> dict[str, Any]:
    row = row_of(seconds, source=source, target=target, n_elements=n)
    if differ:
        row["n_differ"] = differ
    numbers = "  ".join(f"{name} {value['median']:6.2f}" for name, value in row["ratio"].items())
    ours = row["seconds"]["tensorcast"]["median"] / n * 1e9
    say(f"{source:14} {target:14} {ours:7.3f} ns  {numbers}")
    return row
