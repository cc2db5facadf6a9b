"""What one reading of a tensor's values says: range, zeros, infinities, NaNs, exponents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Values:
    """The values of a tensor, counted exactly. Complex elements count as two values.

    Attributes:
        n_values: counted in all.
        n_zero, n_inf, n_nan: of these kinds; -0 is a zero.
        min, max, amax: over the finite values; None where there is none.
        smallest: the smallest magnitude above zero.
        first_exponent, exponent_counts: how many finite values that are not zero lie in
            2^e <= |x| < 2^(e + 1), for e = first_exponent, first_exponent + 1, ...; as many as
            reach from the smallest to amax.

    Example:
        >>> Values.of_numbers([1.0, 1.5, -4.0, 0.0])
        Values(n_values=4, n_zero=1, n_inf=0, n_nan=0, min=-4.0, max=1.5, amax=4.0, \
smallest=1.0, first_exponent=0, exponent_counts=(2, 0, 1))
    """

    n_values: int
    n_zero: int
    n_inf: int
    n_nan: int
    min: float | int | None
    max: float | int | None
    amax: float | int | None
    smallest: float | int | None
    first_exponent: int
    exponent_counts: tuple[int, ...]

    @classmethod
    def of_numbers(cls, numbers: Iterable[float]) -> Values:
        """Of plain numbers, slowly: what the kernels are held to."""
        import math

        numbers = list(numbers)
        finite = [x for x in numbers if math.isfinite(x)]
        magnitudes = [abs(x) for x in finite if x]
        exponents = [math.frexp(x)[1] - 1 for x in magnitudes]
        first = min(exponents, default=0)
        counts = [0] * (max(exponents, default=first - 1) - first + 1)
        for e in exponents:
            counts[e - first] += 1
        return cls(
            n_values=len(numbers),
            n_zero=len(finite) - len(magnitudes),
            n_inf=sum(math.isinf(x) for x in numbers),
            n_nan=sum(math.isnan(x) for x in numbers),
            min=min(finite, default=None),
            max=max(finite, default=None),
            amax=max(map(abs, finite), default=None),
            smallest=min(magnitudes, default=None),
            first_exponent=first,
            exponent_counts=tuple(counts),
        )

    @property
    def n_finite(self) -> int:
        """Values that are neither infinite nor NaN."""
        return self.n_values - self.n_inf - self.n_nan

    def merge(self, other: Values) -> Values:
        """Of both together."""
        kept = [x for x in (self, other) if x.exponent_counts]
        first = min((x.first_exponent for x in kept), default=0)
        last = max((x.first_exponent + len(x.exponent_counts) for x in kept), default=first)
        counts = [0] * (last - first)
        for x in kept:
            for i, n in enumerate(x.exponent_counts, x.first_exponent - first):
                counts[i] += n
        return Values(
            self.n_values + other.n_values,
            self.n_zero + other.n_zero,
            self.n_inf + other.n_inf,
            self.n_nan + other.n_nan,
            min((x.min for x in (self, other) if x.min is not None), default=None),
            max((x.max for x in (self, other) if x.max is not None), default=None),
            max((x.amax for x in (self, other) if x.amax is not None), default=None),
            min((x.smallest for x in (self, other) if x.smallest is not None), default=None),
            first,
            tuple(counts),
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON's own types."""
        return {**asdict(self), "exponent_counts": list(self.exponent_counts)}
