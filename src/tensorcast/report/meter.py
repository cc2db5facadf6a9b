"""How far a long job is: bytes, rate and time left, from what it reports."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ..words.units import duration, human_bytes

_WINDOW_SECONDS = 5.0
_TELLING_SECONDS = 1.0  # before that, opening files is most of the time
_TELLING_FRACTION = 0.01


@dataclass
class Meter:
    """One phase of a job; `update` it, read the rest.

    The rate is that of the last seconds, so that it follows a disk that slows down.
    """

    n_bytes_done: int = 0
    n_bytes_total: int = 0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def update(self, now: float, n_bytes_done: int, n_bytes_total: int) -> None:
        """Notes what is done at the time `now`, in seconds of any clock."""
        self.n_bytes_done, self.n_bytes_total = n_bytes_done, n_bytes_total
        self._seen.append((now, n_bytes_done))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def fraction(self) -> float:
        """From 0 to 1; 1 when there is nothing to do."""
        return min(1.0, self.n_bytes_done / self.n_bytes_total) if self.n_bytes_total else 1.0

    @property
    def rate(self) -> float | None:
        """Bytes per second, None while it is not known, or too little is done to tell."""
        if len(self._seen) < 2:
            return None
        (start, before), (now, after) = self._seen[0], self._seen[-1]
        if self.fraction < _TELLING_FRACTION and now - start < _TELLING_SECONDS:
            return None
        return (after - before) / (now - start) if now > start else None

    @property
    def seconds_left(self) -> float | None:
        """At that rate; None while it is not known."""
        rate = self.rate
        return (self.n_bytes_total - self.n_bytes_done) / rate if rate else None

    def facts(self) -> list[str]:
        """For a person: done of total, rate, time left."""
        found = [f"{human_bytes(self.n_bytes_done)} of {human_bytes(self.n_bytes_total)}"]
        if self.rate is not None:
            found.append(f"{human_bytes(self.rate)}/s")
        if self.seconds_left is not None and self.fraction < 1:
            found.append(f"{duration(max(1, round(self.seconds_left)))} left")
        return found


def bar(fraction: float, width: int) -> str:
    """A bar of `width` columns.

    Example:
        >>> bar(0.5, 4) == "\\u2588\\u2588\\u2591\\u2591"
        True
    """
    done = int(fraction * width)
    return "\u2588" * done + "\u2591" * (width - done)
