"""Whether other programs were at work on the machine while something was measured.

>>> Load().others() is None or Load().others() >= 0
True
"""

from __future__ import annotations

import os
import time
from pathlib import Path


class Load:
    """What the machine's cores do from now on."""

    def __init__(self) -> None:
        self._begin = time.perf_counter(), _busy_seconds(), _own_seconds()

    def others(self) -> float | None:
        """How many cores other programs used since then, on average; None where the system does
        not tell."""
        since, busy, own = self._begin
        now = _busy_seconds()
        span = time.perf_counter() - since
        if busy is None or now is None or span <= 0:
            return None
        ticks = 1 / os.sysconf("SC_CLK_TCK")  # the system counts in these
        used = now - busy - (_own_seconds() - own)
        return max(0.0, used - 2 * ticks) / span


def _own_seconds() -> float:
    return sum(os.times()[:2])


def _busy_seconds() -> float | None:
    """Seconds that all cores worked since the machine started."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        user, nice, system, _, _, *interrupts = map(int, first[1:8])
        return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return None
