"""Turns, samples and what they come to; by a clock of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tensorcast.capability.data import Ratio
from tensorcast.capability.timing import Contender, race, schedule, spread


class FakeClock:
    """Each call takes what it returns."""

    def __init__(self) -> None:
        self.order: list[tuple[float, int]] = []

    def seconds(self, call: Callable[[], Any], n_calls: int) -> float:
        taken = call()
        self.order.append((taken or 0.0, n_calls))
        return float(taken or 0.0)


def contender(seconds: float, clock: FakeClock) -> Contender:
    made = Contender(lambda: seconds)
    made.first(clock)
    made.expected = seconds  # the first call of the fake clock returns nothing
    return made


def test_contenders_take_turns() -> None:
    clock = FakeClock()
    fast, slower = contender(0.01, clock), contender(0.02, clock)
    clock.order.clear()
    race([fast, slower], clock, 0.2)
    turns = [seconds for seconds, _ in clock.order[2:]]  # after each one's warm-up
    assert (len(fast.samples), len(slower.samples)) == (10, 5)
    assert turns[:3] in ([0.01, 0.01, 0.02], [0.01, 0.02, 0.01])


def test_a_slow_one_keeps_its_first_call() -> None:
    class Slow(FakeClock):
        def seconds(self, call: Callable[[], Any], n_calls: int) -> float:
            call()
            self.order.append((3.0, n_calls))
            return 3.0

    clock = Slow()
    calls = []
    slow = Contender(lambda: calls.append(1) or len(calls), first_counts=True)
    slow.first(clock)
    race([slow], clock, 1.0)
    assert slow.samples == {-1: 3.0}
    assert slow.again() == 1  # not called again


def test_a_first_call_that_sets_something_up_counts_for_nothing() -> None:
    times = iter([3.0, 0.01, 0.02, 0.03, 0.04])

    class Compiling(FakeClock):
        def seconds(self, call: Callable[[], Any], n_calls: int) -> float:
            call()
            return next(times)

    compiled = Contender(lambda: None)
    compiled.first(Compiling())
    race([compiled], Compiling(), 0.03)
    assert compiled.samples == {0: 0.02, 1: 0.03, 2: 0.04}


def test_short_calls_are_timed_many_at_once() -> None:
    clock = FakeClock()
    short = contender(1e-6, clock)
    clock.order.clear()
    race([short], clock, 0.01)
    assert {n for _, n in clock.order[1:]} <= {50, 51}
    assert len(short.samples) == 25


@pytest.mark.parametrize("turns", [[], [0], [1, 25], [3, 7, 25], [5, 5, 0]])
def test_schedule_gives_everyone_their_turns(turns: list[int]) -> None:
    order = [i for _, i in schedule(turns)]
    assert [order.count(i) for i in range(len(turns))] == turns


@pytest.mark.parametrize(
    ("n", "outside"), [(3, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (25, 7)]
)
def test_the_interval_of_the_median(n: int, outside: int) -> None:
    """As in tables of the sign test: 9 samples leave out one at either end, 25 leave out seven."""
    found = spread([float(i) for i in range(n, 0, -1)])
    assert (found.low, found.high) == (1 + outside, n - outside)
    assert (found.n, found.least, found.median) == (n, 1, (n + 1) / 2)


def test_one_sample_is_trusted_to_a_factor_of_two() -> None:
    found = spread([4.0])
    assert (found.low, found.median, found.high) == (2, 4, 8)


def test_contenders_are_compared_round_by_round() -> None:
    """A machine that slows down slows both: the ratio stays."""
    ours, theirs = Contender(lambda: None), Contender(lambda: None)
    for number, pace in enumerate([1.0, 1.0, 5.0, 9.0, 1.0, 7.0]):
        ours.samples[number], theirs.samples[number] = pace, 2 * pace
    theirs.samples[7] = 1e6  # a round of its own counts for nothing
    assert ours.beside(theirs) == Ratio(2, 2, 2)
    few = Contender(lambda: None, samples={-1: 4.0})
    assert few.beside(few) == Ratio(1, 0.25, 4)
