"""What can go wrong in a conversion and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CastNanError, CastOverflowError, CheckpointError, CollapseError


@dataclass(frozen=True)
class TensorRefusal:
    """One tensor that its target format cannot hold under the policy, or of which next to nothing
    would be left.

    Attributes:
        tensor: its name.
        source, target: format names.
        n_elements, n_overflow, n_nan_lost: counts over the whole tensor.
        n_infinite: infinities under inf="raise" that the target has.
        amax: the largest finite magnitude, or None if nothing is finite.
        holds: the nearest format that holds every value.
        collapse: what becomes of a tensor that collapses, "9 of 10 non-zero values become 0"; ""
            of one that does not.
    """

    tensor: str
    source: str
    target: str
    n_elements: int
    n_overflow: int
    n_nan_lost: int
    amax: float | int | None
    holds: str
    collapse: str = ""
    n_infinite: int = 0

    def __str__(self) -> str:
        parts = []
        if self.n_overflow:
            largest = "" if self.amax is None else f" (largest magnitude {self.amax:g})"
            parts.append(
                f"{self.n_overflow} of {self.n_elements} values exceed {self.target}{largest}"
            )
        if self.n_infinite:
            parts.append(f"{self.n_infinite} of {self.n_elements} are infinite")
        if self.n_nan_lost:
            parts.append(
                f"{self.n_nan_lost} of {self.n_elements} are NaN, which {self.target} lacks"
            )
        if self.collapse:
            parts.append(f"{self.collapse} in {self.target}")
        holds = f"; {self.holds} holds them" if self.n_overflow or self.n_nan_lost else ""
        return f"{self.tensor!r}: {' and '.join(parts)}{holds}"


class TensorOverflowError(CheckpointError, CastOverflowError):
    """Values of one or more tensors lie outside their target's range; no destination appeared.

    Attributes:
        findings: every tensor concerned, in the order of the job.
    """

    def __init__(self, message: str, findings: tuple[TensorRefusal, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class TensorNanError(CheckpointError, CastNanError):
    """NaNs of one or more tensors meet a target without NaN; no destination appeared.

    Attributes:
        findings: every tensor concerned, in the order of the job.
    """

    def __init__(self, message: str, findings: tuple[TensorRefusal, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class TensorCollapseError(CheckpointError, CollapseError):
    """Next to nothing would be left of one or more tensors; no destination appeared.

    Attributes:
        findings: every tensor concerned, in the order of the job.
    """

    def __init__(self, message: str, findings: tuple[TensorRefusal, ...] = ()) -> None:
        super().__init__(message)
        self.findings = findings


class Interrupted(KeyboardInterrupt):
    """The run was stopped by SIGINT; the same call again takes up the finished shards."""
