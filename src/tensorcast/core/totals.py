"""The losses of many tensors added up, and a verdict on them.

`Loss.merge` joins the parts of one tensor; here different tensors come together, and the worst
of them is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from ..formats import lookup
from ..judgement import Verdict, verdict
from ..words.text import safe
from ..words.units import count, number, percent, plural, relative
from .loss import decibels_of

if TYPE_CHECKING:
    from .loss import Loss


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
        collapsing: names of the tensors of which next to nothing is left (`Loss.collapses`).
        n_non_zero, n_to_zero: summed, as in `Loss`; None when they were not counted.
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
    collapsing: tuple[str, ...] = ()
    n_non_zero: int | None = None
    n_to_zero: int | None = None

    @property
    def verdict(self) -> Verdict:
        """One word: "exact" changes nothing; "fits" and "coarse" stay within the range;
        "loses" flushes many values to zero or leaves little signal; "collapses" leaves next to
        nothing of a tensor; "overflows" leaves the range or drops NaNs."""
        return verdict(
            self.target,
            overflows=bool(self.n_overflow or self.n_nan_lost),
            collapses=bool(self.collapsing),
            n_inexact=self.n_inexact,
            underflow_share=(self.n_underflow or 0) / max(1, self.n_elements),
            sqnr_db=self.sqnr_db,
        )

    def sentence(self, *, name_worst: bool = True) -> str:
        """The verdict with its reasons, in one line, the worst tensor last."""
        if self.verdict == "exact":
            return "exact: no value changes"
        parts: list[str] = []
        if self.collapsing:
            among = f"{count(len(self.collapsing))} of {plural(self.n_tensors, 'tensor')}"
            parts.append(f"{among} {self._becomes()}")
        if self.n_overflow:
            row = lookup(self.target)
            there = f"{number(row.min)} to {number(row.max)}"
            far = self.amax is not None and self.amax > row.max
            largest = f" (largest {number(self.amax)})" if far else ""
            parts.append(
                f"{plural(self.n_overflow, 'value')} in "
                f"{plural(len(self.overflowing), 'tensor')} outside {there}{largest}"
            )
        if self.n_nan_lost:
            parts.append(f"{count(self.n_nan_lost)} NaN it cannot store")
        if self.sqnr_db == -inf:
            parts.append("an infinite error")
        elif self.sqnr_db is not None and self.sqnr_db != inf:
            parts.append(f"error {_error(self.sqnr_db)} of the signal")
        if self.n_underflow and not self.collapsing:
            share = percent(self.n_underflow, self.n_elements)
            verb = "becomes" if self.n_underflow == 1 else "become"
            parts.append(f"{plural(self.n_underflow, 'value')} ({share}) {verb} 0")
        if name_worst and self.worst is not None and self.worst_db is not None:
            parts.append(f"worst {safe(self.worst)} at {self.worst_db:.1f} dB")
        return f"{self.verdict}: " + ", ".join(parts)

    def _becomes(self) -> str:
        """What of the tensors that collapse is known of all together."""
        verb = "becomes" if len(self.collapsing) == 1 else "become"
        if not self.n_to_zero or not self.n_non_zero:
            return f"{verb} one value"
        share = percent(self.n_to_zero, self.n_non_zero)
        zeros = f"{plural(self.n_to_zero, 'value')} ({share} of those that are not 0)"
        return f"{verb} mostly 0 or one value, {zeros} become 0"


def _error(sqnr_db: float) -> str:
    """Root-mean-square error over root-mean-square value, as a percentage."""
    return relative(10 ** (-sqnr_db / 20))


def total(target: str, losses: Mapping[str, Loss]) -> Total:
    """The sum over tensors (name -> loss of the cast to `target`)."""
    n_overflow = n_nan_lost = n_inexact = n_underflow = n_elements = 0
    counted = True
    squared_error = squared = 0.0
    amax: float | int | None = None
    max_abs_error: float | None = None
    worst: tuple[float, str] | None = None
    overflowing: list[tuple[float, str]] = []
    collapsing: list[str] = []
    n_non_zero = n_to_zero = 0
    zeros_counted = True
    for name, loss in losses.items():
        n_elements += loss.n_elements
        n_overflow += loss.n_overflow
        n_nan_lost += loss.n_nan_lost
        if loss.amax is not None:
            amax = loss.amax if amax is None else max(amax, loss.amax)
        if loss.n_overflow:
            overflowing.append((-float(loss.amax or 0), name))
        if loss.collapses:
            collapsing.append(name)
        if loss.n_non_zero is None or loss.n_to_zero is None:
            zeros_counted = False
        else:
            n_non_zero += loss.n_non_zero
            n_to_zero += loss.n_to_zero
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
    if any(loss.makes_infinities for loss in losses.values()):
        sqnr_db: float | None = -inf
    elif zeros_counted and n_to_zero and n_to_zero == n_non_zero:
        sqnr_db = 0.0
    else:
        sqnr_db = decibels_of(squared, squared_error, max_abs_error)
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
        sqnr_db=sqnr_db if counted else None,
        worst=worst[1] if worst and counted else None,
        worst_db=worst[0] if worst and counted else None,
        max_abs_error=max_abs_error if counted else None,
        collapsing=tuple(collapsing),
        n_non_zero=n_non_zero if zeros_counted else None,
        n_to_zero=n_to_zero if zeros_counted else None,
    )
