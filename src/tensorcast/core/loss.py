"""What a cast loses, counted in the same pass as the cast."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from ..formats import FORMATS, Format
from ..judgement import collapsed
from ..kernels.cpu import RawStats
from ..policy import ResolvedPolicy, ends_infinities
from ..words.html_table import as_html
from ..words.summary import brief
from ..words.table import Column, Table


@dataclass(frozen=True)
class Loss:
    """What a cast lost, or would lose. Complex elements count as two values, except in
    `n_elements` and `first_overflow`.

    The fields typed `| None` are None when only the counts that a policy needs were asked for
    (`report=False`); min, max and amax also where no source value is finite, and with
    `sum_squared` where the formats alone say that nothing is lost (`tensorcast.measure`).
    Printed, and shown in a notebook, it is a table.

    Attributes:
        source, target: names of the formats.
        n_elements: elements cast.
        n_overflow: values outside the target's range; infinities too where the target has none, or
            `inf` does not keep them.
        n_nan_lost: NaNs the target could not keep.
        n_inexact: numbers whose result is another number, overflow and underflow included.
        n_underflow: non-zero numbers in range that became zero.
        n_nan, n_inf: NaNs and infinities in the source, whatever became of them. What became of
            them is in no error and no sum: `is_lossless` and `n_inexact` tell of it, and `sqnr_db`
            does not.
        min, max, amax: over the finite source values; int for integer sources.
        max_abs_error: largest |source - result| where both are finite, in float64. A cast that
            raises counts as one that saturates.
        sum_squared_error, sum_squared: of the errors and of the values, where both source and
            result are finite, in one fixed order: the same bits whatever the processor and the
            number of threads. Summed in float64, or where nothing is lost by it in float32 first:
            the relative error is below 2^-19 (0.00002 dB of `sqnr_db`). Integers within 32 bits
            that keep their values are summed exactly, 2048 at a time (casts that wrap to 64 bits
            excepted).
        first_overflow: index (C order) of the first element that overflows, None if none does.
        largest_overflow, largest_overflow_index: the largest magnitude that overflows and its
            index, under overflow="raise" only; None if none does. An infinity that `inf` does not
            keep is not looked at.
        n_zero: zeros in the source, of either sign.
        n_to_zero: other numbers whose result is 0: by underflow, and by an overflow that saturates
            or wraps to 0. A NaN that nan="zero" makes 0 is not counted.
        one_source, one_result: the code of the one value that all source values, or all results,
            have (both zeros are one value, all NaNs are one); None where there are several. Looked
            at only for targets of 8 bits and fewer, and the source's only where the results are one
            value.

    Example:
        >>> print(Loss("float32", "float16", 4, n_overflow=1, n_nan_lost=0, n_inexact=2,
        ...            n_underflow=0, n_nan=0, n_inf=0, min=-2.5, max=1e6, first_overflow=3))
        float32 -> float16, 4 elements
          overflow   1  25.00%  first at 3
          underflow  0
          inexact    2  50.00%
          NaN        0
          infinite   0
          range      -2.5 to 1e+06
    """

    source: str
    target: str
    n_elements: int
    n_overflow: int
    n_nan_lost: int
    n_inexact: int | None = None
    n_underflow: int | None = None
    n_nan: int | None = None
    n_inf: int | None = None
    min: float | int | None = None
    max: float | int | None = None
    amax: float | int | None = None
    max_abs_error: float | None = None
    sum_squared_error: float | None = None
    sum_squared: float | None = None
    first_overflow: int | None = None
    largest_overflow: float | None = None
    largest_overflow_index: int | None = None
    n_zero: int | None = None
    n_to_zero: int | None = None
    one_source: int | None = None
    one_result: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether every statistic was counted."""
        return self.n_inexact is not None

    @property
    def is_lossless(self) -> bool | None:
        """Whether every value survived; None if it was not counted."""
        if self.n_inexact is None:
            return None
        return self.n_inexact == 0 and self.n_nan_lost == 0

    @property
    def n_non_zero(self) -> int | None:
        """Source values that are not 0, without the NaNs that were lost; None if they were not
        counted."""
        if self.n_zero is None:
            return None
        n_values = self.n_elements * (2 if FORMATS[self.source].is_complex else 1)
        return n_values - self.n_zero - self.n_nan_lost

    @property
    def becomes_one_value(self) -> bool:
        """Whether several source values all became one, in a target of 8 bits or fewer."""
        return self.one_result is not None and self.one_source is None

    @property
    def collapses(self) -> bool | None:
        """Whether next to nothing is left of the tensor: more than half of the non-zero values
        became 0, or several values became one in a target of 8 bits or fewer. None if it was not
        counted. `cast_` of a module and `convert` refuse such a cast.

        Example:
            >>> loss = Loss("float32", "int8", 4, n_overflow=0, n_nan_lost=0, n_zero=1, n_to_zero=2)
            >>> loss.n_non_zero, loss.collapses
            (3, True)
        """
        if self.n_to_zero is None:
            return None
        n_non_zero = self.n_to_zero if self.n_zero is None else self.n_non_zero
        return collapsed(n_non_zero or 0, self.n_to_zero, several_become_one=self.becomes_one_value)

    def collapse_text(self) -> str:
        """What became of the values of a cast that collapses.

        Example:
            >>> print(Loss("float32", "int8", 4, 0, 0, n_zero=1, n_to_zero=2).collapse_text())
            2 of 3 non-zero values become 0
        """
        if self.n_to_zero and collapsed(
            self.n_non_zero or 0, self.n_to_zero, several_become_one=False
        ):
            verb = "value becomes" if self.n_non_zero == 1 else "values become"
            return f"{self.n_to_zero:,} of {self.n_non_zero:,} non-zero {verb} 0"
        one = _value_text(self.one_result, FORMATS[self.target])
        return f"all {self.n_elements:,} values, which differ, become {one}"

    @property
    def rmse(self) -> float | None:
        """Root of the mean squared error over the finite values; None if it was not counted."""
        if self.sum_squared_error is None:
            return None
        n_values = self.n_elements * (2 if FORMATS[self.source].is_complex else 1)
        n_finite = n_values - (self.n_nan or 0) - (self.n_inf or 0)
        return math.sqrt(self.sum_squared_error / n_finite) if n_finite else 0.0

    @property
    def sqnr_db(self) -> float | None:
        """Signal to quantization noise, 10 log10(sum x^2 / sum (x - y)^2), in decibels.

        Infinite when no finite value changed, 0 when all signal became 0, -infinite when a finite
        value became infinite or NaN. None if it was not counted, or the squares are too small or
        too large for float64.
        """
        if self.sum_squared_error is None or self.sum_squared is None:
            return math.inf if self.sum_squared_error == 0 and not self.max_abs_error else None
        if self.makes_infinities:
            return -math.inf
        if self.n_to_zero and self.n_to_zero == self.n_non_zero:
            return 0.0
        return decibels_of(self.sum_squared, self.sum_squared_error, self.max_abs_error)

    @property
    def makes_infinities(self) -> bool:
        """Whether a finite value became infinite or NaN: the value farthest out of range has not
        the error that the largest finite result would have."""
        row = FORMATS[self.target].component
        if not self.n_overflow or not row.is_float or self.min is None or self.max is None:
            return False
        beyond = max(float(self.max) - row.max, row.min - float(self.min))
        return beyond > 0 and (self.max_abs_error or 0.0) < beyond * (1 - 2**-20)

    def merge(self, later: Loss) -> Loss:
        """The loss of this part of a tensor and of the part that follows it.

        Raises:
            ValueError: the parts are of different casts.
        """
        if (self.source, self.target) != (later.source, later.target):
            raise ValueError(
                f"{self.source} to {self.target} and {later.source} to {later.target} are "
                "different casts"
            )
        one_source, one_result = _one_value(self, later)
        n_inf = (self.n_inf or 0) + (later.n_inf or 0)
        larger = later if (later.largest_overflow or 0) > (self.largest_overflow or 0) else self
        first = self.first_overflow if self.first_overflow is not None else later.first_overflow
        merged = replace(
            self,
            n_elements=self.n_elements + later.n_elements,
            n_overflow=self.n_overflow + later.n_overflow,
            n_nan_lost=self.n_nan_lost + later.n_nan_lost,
            first_overflow=first,
            largest_overflow=larger.largest_overflow,
            largest_overflow_index=larger.largest_overflow_index,
            n_zero=_sum(self.n_zero, later.n_zero),
            n_to_zero=_sum(self.n_to_zero, later.n_to_zero),
            one_source=one_source,
            one_result=one_result,
        )
        if self.n_inexact is None or later.n_inexact is None:
            return replace(
                merged,
                n_inexact=None,
                n_underflow=None,
                n_nan=None,
                n_inf=None if None in (self.n_inf, later.n_inf) else n_inf,
                min=None,
                max=None,
                amax=None,
                max_abs_error=None,
                sum_squared_error=None,
                sum_squared=None,
            )
        return replace(
            merged,
            n_inexact=self.n_inexact + later.n_inexact,
            n_underflow=(self.n_underflow or 0) + (later.n_underflow or 0),
            n_nan=(self.n_nan or 0) + (later.n_nan or 0),
            n_inf=n_inf,
            min=min((x for x in (self.min, later.min) if x is not None), default=None),
            max=max((x for x in (self.max, later.max) if x is not None), default=None),
            amax=max((x for x in (self.amax, later.amax) if x is not None), default=None),
            max_abs_error=max(self.max_abs_error or 0.0, later.max_abs_error or 0.0),
            sum_squared_error=(self.sum_squared_error or 0.0) + (later.sum_squared_error or 0.0),
            sum_squared=(self.sum_squared or 0.0) + (later.sum_squared or 0.0),
        )

    def to_dict(self) -> dict[str, int | float | str | None]:
        """The fields, with `rmse`, `sqnr_db` and `collapses`, as JSON holds them: an infinity is
        "inf"."""
        fields = {**asdict(self), "rmse": self.rmse, "sqnr_db": self.sqnr_db}
        fields["collapses"] = self.collapses
        return {
            name: str(value) if isinstance(value, float) and math.isinf(value) else value
            for name, value in fields.items()
        }

    def __str__(self) -> str:
        """A table to read."""
        rows = self._rows()
        label, count, share = (max(len(row[i]) for row in rows) for i in range(3))
        lines = [self._title()]
        for name, number, part, note in rows:
            counted = f"{number:>{count}}  {part:>{share}}  " if number else ""
            lines.append(f"  {name:<{label}}  {counted}{note}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        heads = (Column(""), Column("", "right"), Column("", "right"), Column(""))
        rows = tuple(row if row[1] else (row[0], row[3]) for row in self._rows())
        return as_html(Table(self._title(), heads, rows, faint=True))

    def __repr__(self) -> str:
        counted = () if self.n_inexact is None else (f"{self.n_inexact:,} inexact",)
        if self.n_underflow:
            counted = (f"{self.n_underflow:,} underflow", *counted)
        if self.sqnr_db is not None and self.sqnr_db != math.inf:
            counted = (*counted, f"SQNR {self.sqnr_db:.1f} dB")
        nan = f"{self.n_nan_lost:,} NaN lost" if self.n_nan_lost else ""
        return brief(self, self._title(), f"{self.n_overflow:,} overflow", nan, *counted)

    def _title(self) -> str:
        verdict = {True: ", lossless", False: "", None: ""}[self.is_lossless]
        plural = "" if self.n_elements == 1 else "s"
        return f"{self.source} -> {self.target}, {self.n_elements:,} element{plural}{verdict}"

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """(label, count, share, note) of each line; without a count, the note is the value."""
        n_values = self.n_elements * (2 if FORMATS[self.source].is_complex else 1)

        def counted(label: str, n: int, note: str = "") -> tuple[str, str, str, str]:
            return label, f"{n:,}", _share(n, n_values), note

        first, largest = self.first_overflow, self.largest_overflow_index
        notes = [] if first is None else [f"first at {first:,}"]
        if largest is not None and self.largest_overflow is not None:
            notes.append(f"largest magnitude {_figure(self.largest_overflow)} at {largest:,}")
        rows = [counted("overflow", self.n_overflow, ", ".join(notes))]
        if self.collapses:
            rows.insert(0, ("collapses", "", "", self.collapse_text()))
        if self.n_inexact is None:
            rows.append(counted("NaN lost", self.n_nan_lost))
            rows.append(("", "", "", "the rest was not counted"))
            return rows
        lost = f"{self.n_nan_lost:,} lost" if self.n_nan_lost else ""
        rows.append(counted("underflow", self.n_underflow or 0))
        rows.append(counted("inexact", self.n_inexact))
        rows.append(counted("NaN", self.n_nan or 0, lost))
        rows.append(counted("infinite", self.n_inf or 0))
        if self.min is not None and self.max is not None:
            rows.append(("range", "", "", f"{_figure(self.min)} to {_figure(self.max)}"))
        for label, value in (("max error", self.max_abs_error), ("RMSE", self.rmse)):
            if value is not None:
                rows.append((label, "", "", f"{value:.4g}"))
        if self.sqnr_db is not None and self.sqnr_db != math.inf:
            rows.append(("SQNR", "", "", f"{self.sqnr_db:.1f} dB"))
        return rows


def nothing_lost(source: Format, target: Format, n_elements: int) -> Loss:
    """The loss of a cast whose formats alone say that it has none; ranges are not counted."""
    return Loss(source.name, target.name, n_elements, 0, 0, 0, 0, 0, 0,
                max_abs_error=0.0, sum_squared_error=0.0, n_to_zero=0)  # fmt: skip


def decibels_of(
    sum_squared: float, sum_squared_error: float, max_abs_error: float | None
) -> float | None:
    """The signal to noise of two sums, in decibels; None where their squares are too small or too
    large for float64."""
    if math.inf in (sum_squared, sum_squared_error):
        return None
    if sum_squared_error == 0:
        return None if max_abs_error else math.inf
    if sum_squared == 0:
        return -math.inf
    # two logarithms: the ratio itself may overflow
    return 10 * (math.log10(sum_squared) - math.log10(sum_squared_error))


def loss_of(
    raw: RawStats,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    n_elements: int,
    full: bool,
    collapses: bool = False,
) -> Loss:
    """The loss that a kernel counted.

    Args:
        raw: what the kernel returned.
        policy: of the cast; under overflow="wrap", and where `inf` does not keep infinities,
            `n_inf` is there even without `full`.
        full: whether all statistics were asked for.
        collapses: whether at least what becomes 0, or one value, was.
    """
    whole = full or collapses
    largest = raw.largest_overflow if raw.largest_overflow_index is not None else None
    if not full:
        counted = policy.overflow == "wrap" or ends_infinities(source, target, policy)
        return Loss(
            source.name,
            target.name,
            n_elements,
            raw.n_overflow,
            raw.n_nan_lost,
            n_inf=raw.n_inf if counted else None,
            first_overflow=raw.first_overflow,
            largest_overflow=largest,
            largest_overflow_index=raw.largest_overflow_index,
            n_zero=raw.n_zero if whole else None,
            n_to_zero=raw.n_to_zero if whole else None,
            one_source=raw.one_source if whole else None,
            one_result=raw.one_result if whole else None,
        )
    low, high = _extremes(raw, source)
    return Loss(
        source.name,
        target.name,
        n_elements,
        raw.n_overflow,
        raw.n_nan_lost,
        raw.n_inexact,
        raw.n_underflow,
        raw.n_nan,
        raw.n_inf,
        low,
        high,
        None if low is None or high is None else max(abs(low), abs(high)),
        raw.max_abs_error,
        raw.sum_squared_error,
        raw.sum_squared,
        raw.first_overflow,
        largest,
        raw.largest_overflow_index,
        raw.n_zero,
        raw.n_to_zero,
        raw.one_source,
        raw.one_result,
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _one_value(part: Loss, later: Loss) -> tuple[int | None, int | None]:
    """`one_source` and `one_result` of two parts together."""
    for some, other in ((part, later), (later, part)):
        if other.n_elements == 0:
            return some.one_source, some.one_result
    if part.one_result is None or part.one_result != later.one_result:
        return None, None
    same = part.one_source == later.one_source
    return part.one_source if same else None, part.one_result


def _value_text(code: int | None, row: Format) -> str:
    from ..reference import Special, decode

    if code is None:
        return "one value"
    value = decode(code, row)
    assert not isinstance(value, tuple)
    if isinstance(value, Special):
        return {"zero": "0", "nan": "NaN"}.get(value.kind, "infinity")
    if row.kind == "bool":
        return str(bool(value))
    return str(value) if row.is_integer else f"{float(value):g}"


def _figure(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _share(n: int, n_values: int) -> str:
    """A percentage that says 0% or 100% of none or all only."""
    if n == 0:
        return ""
    share = 100 * n / n_values
    if n == n_values:
        return "100%"
    return "<0.01%" if share < 0.01 else ">99.99%" if share > 99.99 else f"{share:.2f}%"


def _extremes(raw: RawStats, source: Format) -> tuple[float | int | None, float | int | None]:
    if not raw.n_finite:
        return None, None
    if source.is_integer and source.bits == 64:  # float64 does not hold them; uint64 came shifted
        shift = 0 if source.signed else 1 << 63
        return raw.min_integer + shift, raw.max_integer + shift
    if source.is_integer or source.kind == "bool":
        return int(raw.min), int(raw.max)
    return raw.min + 0.0, raw.max + 0.0  # -0.0 becomes 0.0: which zero came first is not told
