"""The verdict on a call as data: what it does with memory, or would do.

`planning` decides it, `handover` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from ..words.summary import brief
from ..words.units import human_bytes, short_time

Target = Literal["torch", "numpy", "jax", "tensorflow", "arrow", "pil", "cupy"]
Action = Literal["returns the same object", "shares", "copies", "casts", "refuses"]
ReadOnly = Literal["copy", "alias"]

ESTIMATED_FROM: Final = 1 << 20
"""Bytes that are moved, from which a call takes time that counts."""

TARGETS: Final[tuple[Target, ...]] = get_args(Target)


@dataclass(frozen=True)
class Verdict:
    """What a call does, or would do. Prints as a few plain lines.

    Attributes:
        source: what came in, as text.
        target: what goes out, as text.
        action: "returns the same object", "shares", "copies", "casts" or "refuses".
        because: the reasons, a phrase each.
        n_bytes_allocated: of the result's memory; 0 where it is shared.
        n_bytes_moved: bytes read plus bytes written.
        transfers: trips between devices, a phrase each, in order.
        cast_on: the device on which values are cast, or None.
        losses: which values may be lost, or "".
        owner: who owns the result's memory.
        writes: what a write to the result reaches.
        read_only: whether the result cannot be written.
        notes: what else is to be known of the result, a phrase each.
        n_bytes_free: memory that the machine has left for new memory; None: not known, or none is
            needed. This and the next say what is now, and verdicts that differ in them are equal.
        seconds: how long it will take about, from the speed of a small cast of these formats on
            this machine; None: not known, or less than counts.
        in_place: the call that makes the change in the tensor itself, or "".
    """

    source: str
    target: str
    action: Action
    because: tuple[str, ...] = ()
    n_bytes_allocated: int = 0
    n_bytes_moved: int = 0
    transfers: tuple[str, ...] = ()
    cast_on: str | None = None
    losses: str = ""
    owner: str = ""
    writes: str = ""
    read_only: bool = False
    notes: tuple[str, ...] = ()
    n_bytes_free: int | None = field(default=None, compare=False)
    seconds: float | None = field(default=None, compare=False)
    in_place: str = field(default="", compare=False)

    @property
    def fits(self) -> bool | None:
        """Whether the result fits into free memory; None where that is not known."""
        return None if self.n_bytes_free is None else self.n_bytes_allocated <= self.n_bytes_free

    @property
    def way(self) -> str:
        """The way to take, where there is a better one than the call as it is; else ""."""
        if self.action not in ("copies", "casts"):
            return ""
        if self.fits is False:
            other = "make it in parts, with tensorcast.cast(part, format, out=)"
            if self.in_place:
                other = f"{self.in_place} takes little memory beside the tensor's own"
            return f"there is no room for the result: {other}"
        if self.n_bytes_moved < ESTIMATED_FROM:
            return ""
        again = "in a loop, tensorcast.reuse or out= saves the time of new memory"
        if self.in_place:
            return f"{again}; {self.in_place} if the old values are not needed"
        return again

    @property
    def shares(self) -> bool:
        """Whether the result's memory is the source's."""
        return self.action in ("returns the same object", "shares")

    @property
    def refusal(self) -> str:
        """The message of the error that the call raises, or "" where it does not refuse. What a
        policy makes of values is not in it: no value has been looked at."""
        if self.action != "refuses":
            return ""
        first, *rest = self.because
        return f"{first}, but {'; '.join(rest)}" if rest else first

    def __repr__(self) -> str:
        return brief(self, f"{self.source} -> {self.target}", self.action)

    def __str__(self) -> str:
        because = f": {'; '.join(self.because)}" if self.because else ""
        lines = [f"{self.source} -> {self.target}", f"{self.action}{because}"]
        if self.action == "refuses":
            return "\n".join(lines)
        allocates = f"allocates {self.n_bytes_allocated:,} bytes" if self.n_bytes_allocated else ""
        moves = f"moves {self.n_bytes_moved:,} bytes" if self.n_bytes_moved else ""
        cost = ", ".join(filter(None, (allocates, moves))) or "allocates and moves nothing"
        if self.cast_on:
            cost += f", casts on {self.cast_on}"
        lines += [cost, *self.transfers]
        if self.losses:
            lines.append(f"may lose: {self.losses}")
        lines.append(f"owned by {self.owner}; {self.writes}")
        lines += self.notes
        free = "" if self.n_bytes_free is None else f"free memory: {human_bytes(self.n_bytes_free)}"
        takes = (
            "" if self.seconds is None else f"takes about {short_time(self.seconds)} (an estimate)"
        )
        if self.fits is False or self.n_bytes_moved >= ESTIMATED_FROM:
            lines += filter(None, ("; ".join(filter(None, (free, takes))), self.way))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """The fields as plain Python values."""
        tuples = {"because": self.because, "transfers": self.transfers, "notes": self.notes}
        return {**vars(self), **{name: list(value) for name, value in tuples.items()}}
