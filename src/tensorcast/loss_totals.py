"""The losses of many tensors added up, and a verdict on them.

`Loss.merge` joins the parts of one tensor; here different tensors come together, and the worst
of them is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log10
from typing import TYPE_CHECKING, Literal

from .formats import lookup
from .words.text import safe
from .words.units import count, number, percent, plural

if TYPE_CHECKING:
    from .loss import Loss

Verdict = Literal["exact", "fits", "coarse", "loses", "overflows"]

# A cast whose error is 1.8% of the signal (35 dB) or more is called coarse: every 8-bit float
# is. At 15 dB (18%), or with every hundredth value flushed to zero, values are plainly lost.
_COARSE_DB = 35.0
_LOST_DB = 15.0
_LOST_SHARE = 0.01


@dataclass(frozen=True)
class Total:
    """The loss of casting a set of tensors to one format.

    Attributes:
        target: the format's name.
        n_tensors, n_elements: how many.
        n_overflow, n_nan_lost, n_inexact, n_underflow: summed; the last two None when they were
            not counted.
        overflowing: names of the tensors with values out of range, the largest first.
        amax: the largest finite magnitude, None when not known.
        sqnr_db: over all values together; None when it was not counted.
        worst: the tensor with the lowest SQNR, None when nothing changed or was counted.
        worst_db: its SQNR.
        max_abs_error: the largest over all tensors.
    """

    target: str
    n_tensors: int
    n_elements: int
    n_overflow: int
    n_nan_lost: int
    n_inexact: int | None
    n_underflow: int | None
    overflowing: tuple[str, ...]
    amax: float | int | None
    sqnr_db: float | None
    worst: str | None
    worst_db: float | None
    max_abs_error: float | None

    @property
    def verdict(self) -> Verdict:
        """One word: "exact" changes nothing; "fits" and "coarse" stay within the range;
        "loses" flushes many values to zero or leaves little signal; "overflows" leaves the
        range or drops NaNs."""
        if self.n_overflow or self.n_nan_lost:
            return "overflows"
        if self.n_inexact == 0:
            return "exact"
        flushed = (self.n_underflow or 0) / max(1, self.n_elements)
        if not lookup(self.target).is_float:  # evenly spaced: the error says it all
            flushed = 0.0
        if self.sqnr_db is not None and (self.sqnr_db < _LOST_DB or flushed > _LOST_SHARE):
            return "loses"
        return "coarse" if self.sqnr_db is not None and self.sqnr_db < _COARSE_DB else "fits"

    def sentence(self, *, name_worst: bool = True) -> str:
        """The verdict with its reasons, in one line, the worst tensor last."""
        if self.verdict == "exact":
            return "exact: no value changes"
        parts: list[str] = []
        if self.n_overflow:
            limit = number(lookup(self.target).max)
            largest = f" (largest {number(self.amax)})" if self.amax is not None else ""
            parts.append(
                f"{plural(self.n_overflow, 'value')} in "
                f"{plural(len(self.overflowing), 'tensor')} beyond {limit}{largest}"
            )
        if self.n_nan_lost:
            parts.append(f"{count(self.n_nan_lost)} NaN it cannot store")
        if self.sqnr_db is not None and self.sqnr_db != inf:
            parts.append(f"error {_relative(self.sqnr_db)} of the signal")
        if self.n_underflow:
            share = percent(self.n_underflow, self.n_elements)
            verb = "becomes" if self.n_underflow == 1 else "become"
            parts.append(f"{plural(self.n_underflow, 'value')} ({share}) {verb} 0")
        if name_worst and self.worst is not None and self.worst_db is not None:
            parts.append(f"worst {safe(self.worst)} at {self.worst_db:.1f} dB")
        return f"{self.verdict}: " + ", ".join(parts)


def _relative(sqnr_db: float) -> str:
    """Root-mean-square error over root-mean-square value, as a percentage."""
    return f"{100 * 10 ** (-sqnr_db / 20):.2g}%"


def total(target: str, losses: Mapping[str, Loss]) -> Total:
    """The sum over tensors (name -> loss of the cast to `target`)."""
    n_overflow = n_nan_lost = n_inexact = n_underflow = n_elements = 0
    counted = True
    squared_error = squared = 0.0
    amax: float | int | None = None
    max_abs_error: float | None = None
    worst: tuple[float, str] | None = None
    overflowing: list[tuple[float, str]] = []
    for name, loss in losses.items():
        n_elements += loss.n_elements
        n_overflow += loss.n_overflow
        n_nan_lost += loss.n_nan_lost
        if loss.amax is not None:
            amax = loss.amax if amax is None else max(amax, loss.amax)
        if loss.n_overflow:
            overflowing.append((-float(loss.amax or 0), name))
        if loss.n_inexact is None or loss.n_underflow is None:
            counted = False
            continue
        n_inexact += loss.n_inexact
        n_underflow += loss.n_underflow
        squared_error += loss.sum_squared_error or 0.0
        squared += loss.sum_squared or 0.0
        if loss.max_abs_error is not None:
            max_abs_error = max(loss.max_abs_error, max_abs_error or 0.0)
        here = loss.sqnr_db
        if here is not None and here != inf and (worst is None or (here, name) < worst):
            worst = (here, name)
    return Total(
        target=target,
        n_tensors=len(losses),
        n_elements=n_elements,
        n_overflow=n_overflow,
        n_nan_lost=n_nan_lost,
        n_inexact=n_inexact if counted else None,
        n_underflow=n_underflow if counted else None,
        overflowing=tuple(name for _, name in sorted(overflowing)),
        amax=amax,
        sqnr_db=_sqnr(squared, squared_error) if counted else None,
        worst=worst[1] if worst and counted else None,
        worst_db=worst[0] if worst and counted else None,
        max_abs_error=max_abs_error if counted else None,
    )


def _sqnr(squared: float, squared_error: float) -> float:
    if squared_error == 0:
        return inf
    # two logarithms, as in Loss: the ratio itself may overflow
    return 10 * (log10(squared) - log10(squared_error)) if squared > 0 else -inf
