"""What is measured of a machine, as data: one operation, one cast, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log10
from typing import Final

BASELINE: Final = "float32"
"""What every format stands beside."""

BUSY: Final = 0.2
"""CPUs in use by others, above which times are worth little."""

SCHEMA: Final = 1
"""Of the file. Within one number members are only added."""


@dataclass(frozen=True)
class Spread:
    """Seconds of one call, over `n` samples.

    Attributes:
        n: samples.
        least, median: of them.
        low, high: hold the true median with 95% confidence, by the order of the samples alone.
            Of fewer than six samples they are the least and the most; one or two are trusted to
            a factor of two only.
    """

    n: int
    least: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Ratio:
    """How many times as fast: above 1 is faster. The truth lies from low to high."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Machine:
    """What was measured on.

    Attributes:
        device: "cpu" or "cuda".
        name: of the CPU or GPU.
        flags: of the CPU, those that decide how fast formats are: avx2, avx512_bf16, amx_bf16.
        n_cpus: that the process could use.
        n_bytes_memory: of the device; None if it is not known.
        compute_capability: of a GPU, as "9.0"; empty for a CPU.
        system: operating system and its version.
    """

    device: str
    name: str
    flags: tuple[str, ...] = ()
    n_cpus: int = 1
    n_bytes_memory: int | None = None
    compute_capability: str = ""
    system: str = ""


@dataclass(frozen=True)
class Measurement:
    """One operation in one format at one size.

    Attributes:
        operation: "matmul", "linear", "conv2d", "attention", "layer_norm" or "embedding".
        case: the size in a word or two, as "M=64".
        sizes: its numbers by name.
        format: the operands' format; "tf32" is float32 multiplied in tf32.
        way: how torch does it where there are several ways; empty for the plain operation.
        seconds: of one call.
        n_bytes: of the operands and the result.
        n_operations: additions and multiplications; 0 where memory is what counts.
        relative_error: |result - exact| / |exact|, in the Euclidean norm; exact is the operation
            in float64 on operands that float32 holds. Rounding the operands to the format is part
            of it.
        beside_float32: how many times as fast as plain float32 at this size, round by round: the
            median, and its interval of 95% confidence. None where float32 was not measured.
    """

    operation: str
    case: str
    sizes: Mapping[str, int]
    format: str
    way: str
    seconds: Spread
    n_bytes: int
    n_operations: int
    relative_error: float
    beside_float32: Ratio | None = None

    @property
    def sqnr_db(self) -> float:
        """The error as signal to noise, in decibels; infinite where there is none."""
        return -20 * log10(self.relative_error) if self.relative_error else inf

    def speedup(self, other: Measurement) -> Ratio:
        """How many times as fast as `other` this is."""
        if self.beside_float32 is not None and (other.format, other.way) == (BASELINE, ""):
            return self.beside_float32
        return ratio_of(self.seconds, other.seconds)


@dataclass(frozen=True)
class CastMeasurement:
    """One cast in one library.

    Attributes:
        source, target: formats; the same for the copy that stands beside the casts.
        library: "tensorcast", "torch", "numpy", "tensorflow", "jax"; "copy" for plain copying.
        into: "new" memory, or memory that is "given".
        n_elements: that were cast.
        n_bytes: read and written.
        seconds: of one call.
        n_different: results whose bits are not tensorcast's.
        difference: the first of them in words; empty if there is none.
        beside_ours: how many times as fast as tensorcast's into such memory, round by round.
    """

    source: str
    target: str
    library: str
    into: str
    n_elements: int
    n_bytes: int
    seconds: Spread
    n_different: int = 0
    difference: str = ""
    beside_ours: Ratio | None = None

    @property
    def bytes_per_second(self) -> float:
        """Read and written, at the median."""
        return self.n_bytes / self.seconds.median


@dataclass(frozen=True)
class Misfit:
    """What a library makes of a value that the target does not hold; tensorcast refuses it.

    Attributes:
        value, result: as text: "300", "inf", "nan".
    """

    source: str
    target: str
    library: str
    value: str
    result: str


@dataclass(frozen=True)
class Missing:
    """What was not measured, and the library's reason.

    Attributes:
        operation: or "cast".
        case: the size, or the pair of formats; empty for all.
        format: or the library's name for casts; empty for all.
        way: as in `Measurement`.
        reason: in the library's own words where it gave one.
    """

    operation: str
    case: str
    format: str
    way: str
    reason: str


def ratio_of(ours: Spread, theirs: Spread) -> Ratio:
    """How many times as fast as `theirs` ours is, both ends of both spreads counted.

    Example:
        >>> ratio_of(Spread(9, 1.0, 1.0, 1.0, 1.25), Spread(9, 2.0, 2.0, 2.0, 2.5))
        Ratio(median=2.0, low=1.6, high=2.5)
    """
    return Ratio(theirs.median / ours.median, theirs.low / ours.high, theirs.high / ours.low)
