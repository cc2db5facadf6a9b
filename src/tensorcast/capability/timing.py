"""Contenders taking turns, and what their times come to."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from .data import Ratio, Spread, ratio_of

_MOST_ROUNDS: Final = 25
_FEWEST_ROUNDS: Final = 3
_SHORTEST_SAMPLE: Final = 50e-6  # a clock's ticks and its own call vanish in it
TICK: Final = 4e-3
"""Seconds after which a scheduler lets the next program have the CPU: threads that wait for one
that had to stop make a call last whole ticks."""
_NEAR_TICK: Final = 0.04
_SNAPPED_SHARE: Final = 0.7
_SNAPPED_LEAST: Final = 6  # samples
SLOW: Final = 0.25
"""Seconds of a call that needs no warming up."""


class Clock(Protocol):
    """Seconds of a call, by whatever clock the device has."""

    def seconds(self, call: Callable[[], Any], n_calls: int) -> float: ...


class HostClock:
    """The process's own clock, for work that is done when the call returns."""

    def seconds(self, call: Callable[[], Any], n_calls: int) -> float:
        """Of one call, out of `n_calls`."""
        turns = range(n_calls)
        begin = time.perf_counter()
        for _ in turns:
            call()
        return (time.perf_counter() - begin) / n_calls


@dataclass
class Contender:
    """Something to time.

    Attributes:
        call: does it once, and gives the result.
        setting: entered around its turns, outside the clock.
        first_counts: a first call of `SLOW` seconds or more is a sample, since nothing is compiled
            or set up in it.
        snapped: whether its times are whole ticks of the scheduler, so that the work itself may
            have taken up to a tick less.
        samples: seconds of a call by round; a slow first call counts as round -1.
        expected: seconds of the next call, as far as is known.
    """

    call: Callable[[], Any]
    setting: Callable[[], AbstractContextManager[Any]] = nullcontext
    first_counts: bool = False
    samples: dict[int, float] = field(default_factory=dict)
    snapped: bool = False
    expected: float = 0.0
    _slow_result: Any = None

    def first(self, clock: Clock) -> Any:
        """The result of the first call, which warms up."""
        kept: list[Any] = []
        with self.setting():
            seconds = clock.seconds(lambda: kept.append(self.call()), 1)
        self.expected = seconds
        if seconds >= SLOW and self.first_counts:
            self.samples[-1] = seconds
            self._slow_result = kept[0]
        return kept[0]

    @property
    def spread(self) -> Spread:
        """What its samples come to."""
        found = spread(list(self.samples.values()))
        if not self.snapped:
            return found
        return replace(found, low=max(found.low - TICK, found.low / 10))

    def beside(self, other: Contender) -> Ratio:
        """How many times as fast as `other` it is, round by round; of fewer than three common
        rounds, by both spreads."""
        if self.snapped or other.snapped:
            return ratio_of(self.spread, other.spread)
        common = sorted((self.samples.keys() & other.samples.keys()) - {-1})
        if len(common) < _FEWEST_ROUNDS:
            return ratio_of(self.spread, other.spread)
        found = spread([other.samples[number] / self.samples[number] for number in common])
        return Ratio(found.median, found.low, found.high)

    def again(self) -> Any:
        """The result once more, after the race; a slow one's is that of its first call."""
        if self._slow_result is not None:
            return self._slow_result
        with self.setting():
            return self.call()

    def warm(self, clock: Clock) -> None:
        """Once more, to know how long a call takes now."""
        if not self.samples:
            with self.setting():
                self.expected = min(self.expected, clock.seconds(self.call, 1))

    def turns(self, seconds: float) -> int:
        """Rounds it takes part in when it has so much time."""
        expected = max(self.expected, _SHORTEST_SAMPLE)
        if _FEWEST_ROUNDS * expected > 2 * seconds:
            return max(0 if self.samples else 1, int(seconds / expected))
        return max(_FEWEST_ROUNDS, min(_MOST_ROUNDS, int(seconds / expected)))

    def turn(self, clock: Clock, number: int) -> None:
        """The sample of a round."""
        n_calls = max(1, math.ceil(_SHORTEST_SAMPLE / max(self.expected, 1e-7)))
        with self.setting():
            self.samples[number] = clock.seconds(self.call, n_calls)


def race(contenders: Sequence[Contender], clock: Clock, seconds: float) -> None:
    """Fills the samples: A B C, A B C, ...; slow contenders sit out some of the rounds, evenly.

    Each has made its `first` call before. A contender that takes longer than its share of the
    seconds keeps what it has.
    """
    for contender in contenders:
        contender.warm(clock)
    turns = [contender.turns(seconds / len(contenders)) for contender in contenders]
    for number, i in schedule(turns):
        contenders[i].turn(clock, number)
    samples = [seconds for c in contenders for n, seconds in c.samples.items() if n >= 0]
    if are_snapped(samples):
        for contender in contenders:
            contender.snapped = (
                max(contender.samples.values(), default=0.0) > (1 - _NEAR_TICK) * TICK
            )


def are_snapped(samples: Sequence[float]) -> bool:
    """Whether times are whole ticks of the scheduler: seven of ten of those of a tick and more,
    where chance has one of ten, and not all the same number of ticks.

    Example:
        >>> are_snapped([0.008, 0.0081, 0.016, 0.008, 0.0159, 0.012, 0.0005])
        True
        >>> are_snapped([0.0081, 0.0094, 0.0102, 0.0113, 0.0127, 0.0131])
        False
    """
    ticks = [seconds / TICK for seconds in samples if seconds > (1 - _NEAR_TICK) * TICK]
    near = [round(n) for n in ticks if abs(n - round(n)) <= _NEAR_TICK]
    enough = len(ticks) >= _SNAPPED_LEAST and len(near) >= _SNAPPED_SHARE * len(ticks)
    return enough and len(set(near)) > 1


def schedule(turns: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(round, who is next): contender i comes `turns[i]` times, spread over all rounds.

    Example:
        >>> list(schedule([2, 1]))
        [(0, 0), (1, 0), (1, 1)]
    """
    n_rounds = max(turns, default=0)
    for number in range(n_rounds):
        for i, n in enumerate(turns):
            if (number + 1) * n // n_rounds > number * n // n_rounds:
                yield number, i


def spread(samples: Sequence[float]) -> Spread:
    """What the samples come to.

    Example:
        >>> spread([3.0, 1.0, 2.0, 9.0, 2.5, 2.2, 2.1])
        Spread(n=7, least=1.0, median=2.2, low=1.0, high=9.0)
    """
    ordered, n = sorted(samples), len(samples)
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    if n < _FEWEST_ROUNDS:
        return Spread(n, ordered[0], middle, middle / 2, middle * 2)
    k = _outside(n)
    return Spread(n, ordered[0], middle, ordered[k], ordered[n - 1 - k])


def _outside(n: int) -> int:
    """How many samples at either end may be left out, so that the true median lies between the
    rest with 95% confidence: each sample is below it with probability 1/2."""
    tail, k = 0.0, 0
    while True:
        tail += math.comb(n, k) / 2**n
        if tail > 0.025:
            return max(0, k - 1)
        k += 1
