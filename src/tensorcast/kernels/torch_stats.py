"""The statistics of a cast in torch operations, gathered over chunks.

Nothing waits for the device before `Counter.result`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..formats import Format
from ..judgement import FEW_BITS
from ..policy import ResolvedPolicy, ends_infinities
from .cpu import RawStats
from .torch_codes import Encoded, Parts, decode, shift_right

if TYPE_CHECKING:
    import torch

_INT64_MAX: Final = (1 << 63) - 1
_INT64_MIN: Final = -(1 << 63)


class Counter:
    """Adds up what became of the values of one cast, chunk by chunk."""

    def __init__(
        self,
        source: Format,
        target: Format,
        policy: ResolvedPolicy,
        report: bool,
        collapses: bool = False,
    ) -> None:
        self.source, self.target = source, target
        self.report = report
        self.collapses = collapses or report
        self.wants_largest = policy.overflow == "raise"
        self.ends = ends_infinities(source, target, policy)
        self.integers: list[torch.Tensor] = []
        self.floats: list[torch.Tensor] = []

    def add(
        self,
        codes: torch.Tensor,
        parts: Parts,
        results: torch.Tensor,
        encoded: Encoded | None,
        start: int,
    ) -> None:
        """One chunk.

        Args:
            codes: of the values, int64.
            parts: of them.
            results: the codes in the target.
            encoded: what became of them; None for a cast to the same format.
            start: index of the first value.
        """
        import torch

        if codes.device.type == "mps":  # has no float64
            codes, results = codes.cpu(), results.cpu()
            parts = Parts(*(x.cpu() for x in parts))
            encoded = None if encoded is None else Encoded(*(x.cpu() for x in encoded))
        never = torch.zeros_like(parts.nan)
        if encoded is None:
            encoded = Encoded(codes, never, never, never, never)
        index = torch.arange(start, start + len(codes), device=codes.device)
        finite = parts.finite
        value = _value(codes, parts, self.source.component)
        first = torch.where(encoded.overflow, index, _INT64_MAX).amin()
        counted = encoded.overflow & finite if self.ends else encoded.overflow
        size = torch.where(counted, value.abs(), -1.0)
        largest = size.amax()
        where = torch.where(counted & (size == largest), index, _INT64_MAX).amin()
        flags = [encoded.overflow, encoded.nan_lost, encoded.inexact, encoded.underflow]
        flags += [parts.nan, parts.infinite, finite]
        low = high = first
        if self.report and self.source.is_integer and self.source.bits == 64:
            key = codes if self.source.signed else codes ^ _INT64_MIN
            low, high = key.amin(), key.amax()
        counts = [flag.sum() for flag in flags]
        extra = self._collapse(codes, parts, results) if self.collapses else []
        self.integers.append(torch.stack([*counts, first, where, low, high, *extra]))
        floats = [largest]
        if self.report:
            floats += self._floats(value, parts, results, encoded, finite)
        self.floats.append(torch.stack(floats))

    def _collapse(
        self, codes: torch.Tensor, parts: Parts, results: torch.Tensor
    ) -> list[torch.Tensor]:
        """n_zero, n_to_zero, and the least and greatest plain code of values and of results."""
        import torch

        row = self.target.component
        after = decode(results, row)
        zero, to_zero = _is_zero(parts), _is_zero(after) & ~_is_zero(parts) & ~parts.nan
        if self.source.is_complex and not self.target.is_complex:
            to_zero = torch.zeros_like(zero)  # the imaginary results are no results
            results, after = results[::2], Parts(*(x[::2] for x in after))
        found = [zero.sum(), to_zero.sum()]
        if row.bits > FEW_BITS or self.target.is_complex:
            return found + [found[0], found[0] + 1] * 2
        before = _plain(codes, parts, self.source.component)
        if self.source.is_complex:
            before = _joined(before, self.source.component.bits)
        for plain in (before, _plain(results, after, row)):
            found += [plain.amin(), plain.amax()]
        return found

    def _floats(
        self,
        value: torch.Tensor,
        parts: Parts,
        results: torch.Tensor,
        encoded: Encoded,
        finite: torch.Tensor,
    ) -> list[torch.Tensor]:
        """min, max, max_abs_error, sum_squared_error, sum_squared."""
        import torch

        row = self.target.component
        after = decode(results, row)
        result = _value(results, after, row)
        kept = finite & after.finite
        if self.source.is_integer and self.source.bits == 64:
            error = _integer_error(parts, value, after, result)
        else:
            error = value - result
            if row.is_integer and row.bits == 64:
                # its largest value has no float64: it was read as one more
                saturated = encoded.overflow & (
                    results == row.max_code - (not row.signed) * (1 << 64)
                )
                error = torch.where(saturated, error + 1, error)
        error = torch.where(kept, error, 0.0)
        return [
            torch.where(finite, value, math.inf).amin(),
            torch.where(finite, value, -math.inf).amax(),
            error.abs().amax(),
            (error * error).sum(),
            torch.where(kept, value * value, 0.0).sum(),
        ]

    def result(self) -> RawStats:
        """What was counted; waits for the device."""
        rows = [row.tolist() for row in self.integers]
        floats = [row.tolist() for row in self.floats]
        counts = [sum(column) for column in list(zip(*rows, strict=True))[:7]] or [0] * 7
        n_overflow, n_nan_lost, n_inexact, n_underflow, n_nan, n_inf, n_finite = counts
        first = min((row[7] for row in rows), default=_INT64_MAX)
        largest, where = -1.0, _INT64_MAX
        for row, (size, *_) in zip(rows, floats, strict=True):
            if self.wants_largest and size > largest:
                largest, where = size, row[8]
        width = 2 if self.source.is_complex else 1
        full = self.report
        wide = full and self.source.is_integer and self.source.bits == 64
        collapse = [row[11:] for row in rows] if self.collapses else []
        one_source, one_result = (
            one_of([(row[i], row[i + 1]) for row in collapse]) for i in (2, 4)
        )
        return RawStats(
            n_overflow,
            n_nan_lost,
            None if first == _INT64_MAX else first // width,
            None if where == _INT64_MAX else where // width,
            largest,
            sum(row[0] for row in collapse),
            sum(row[1] for row in collapse),
            None if one_result is None else one_source,
            one_result,
            n_inexact,
            n_underflow,
            n_nan,
            n_inf,
            n_finite,
            min((row[1] for row in floats), default=math.inf) if full else math.inf,
            max((row[2] for row in floats), default=-math.inf) if full else -math.inf,
            min((row[9] for row in rows), default=_INT64_MAX) if wide else _INT64_MAX,
            max((row[10] for row in rows), default=_INT64_MIN) if wide else _INT64_MIN,
            max((row[3] for row in floats), default=0.0) if full else 0.0,
            math.fsum(row[4] for row in floats) if full else 0.0,
            math.fsum(row[5] for row in floats) if full else 0.0,
        )


def one_of(ends: Sequence[tuple[int, int]]) -> int | None:
    """The code that is the least and the greatest of all parts, None if there is none."""
    codes = {code for pair in ends for code in pair}
    return codes.pop() % (1 << 64) if len(codes) == 1 else None


def _is_zero(parts: Parts) -> torch.Tensor:
    return parts.finite & (parts.significand == 0)


def _plain(codes: torch.Tensor, parts: Parts, row: Format) -> torch.Tensor:
    """Codes that equal values share: both zeros have that of +0, all NaNs that of one."""
    import torch

    if row.kind == "bool":
        return (codes != 0).to(torch.int64)
    if not row.is_float:
        return codes
    if row.subnormals:
        codes = torch.where(_is_zero(parts), 0, codes)
    return torch.where(parts.nan, row.nan_code or 0, codes)


def _joined(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """One number for both components, as the extension's arguments.cpp makes it."""
    import torch

    first, second = codes.view(-1, 2).unbind(dim=1)
    turned = second << 32 | shift_right(second, 32)
    if bits <= 32:
        return first ^ turned
    mixed = first * (0x9E3779B97F4A7C15 - (1 << 64)) ^ turned
    return torch.where(shift_right(second, 32) != 0, mixed, first ^ turned)


def _value(codes: torch.Tensor, parts: Parts, row: Format) -> torch.Tensor:
    """The values in float64: exact, but for integers of more than 53 bits, which round once.

    Infinities are infinities; what a NaN gives is not looked at.
    """
    import torch

    if row.name == "float64":
        return codes.view(torch.float64)
    if row.bits == 64:
        value = _unsigned(parts.significand)
    else:
        power = (parts.exponent + 1023 << 52).view(torch.float64)
        value = parts.significand.to(torch.float64) * power
    value = torch.where(parts.infinite, math.inf, value)
    return torch.where(parts.negative, -value, value)


def _unsigned(x: torch.Tensor) -> torch.Tensor:
    """The float64 nearest to an unsigned integer of 64 bits."""
    import torch

    high, low = shift_right(x, 32), x & 0xFFFFFFFF
    return high.to(torch.float64) * 2.0**32 + low.to(torch.float64)


def _integer_error(
    parts: Parts, value: torch.Tensor, after: Parts, result: torch.Tensor
) -> torch.Tensor:
    """|source - result| for sources of 64-bit integers, where float64 would lose it."""
    import torch

    exponent = after.exponent
    left = torch.where(exponent < 64, after.significand << exponent.clamp(0, 63), 0)
    magnitude = torch.where(
        exponent < 0, shift_right(after.significand, (-exponent).clamp(0, 63)), left
    )
    # a result of 2^64 comes out as 0 here, and 0 - source is right modulo 2^64
    order = (parts.significand ^ _INT64_MIN) > (magnitude ^ _INT64_MIN)
    larger = order & (result.abs() < 2.0**64)
    difference = torch.where(larger, parts.significand - magnitude, magnitude - parts.significand)
    apart = (parts.negative != after.negative) | ((magnitude == 0) & (result.abs() < 1))
    return torch.where(apart, value.abs() + result.abs(), _unsigned(difference))
