"""Whether memory can be shared, decided before anything is done: the verdict as data.

`decide` looks at a description and touches nothing; `tensorcast.arrays` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from .buffer import Buffer
from .formats import Format
from .promotion import lost_values

Target = Literal["torch", "numpy"]
Action = Literal["returns the same object", "shares", "copies", "casts", "refuses"]
ReadOnly = Literal["copy", "alias"]

_KIND: Final = {"torch": "torch.Tensor", "numpy": "numpy.ndarray"}


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

    @property
    def shares(self) -> bool:
        """Whether the result's memory is the source's."""
        return self.action in ("returns the same object", "shares")

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
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """The fields as plain Python values."""
        return {**vars(self), "because": list(self.because), "transfers": list(self.transfers)}


def obstacles(buffer: Buffer, target: Target, read_only: str, on_read_only: ReadOnly) -> list[str]:
    """Why the target library cannot stand on this memory, a phrase each; empty if it can.

    Args:
        read_only: why the memory may not be written, or "".
        on_read_only: "alias" takes read-only memory for a writable tensor.
    """
    found: list[str] = []
    if buffer.packed:
        found.append("several elements share a byte")
    if target == "numpy" or buffer.n_elements == 0:
        return found
    row = buffer.format
    if row.is_packed and not row.is_integer:
        found.append(f"torch packs {row.name}, and this memory has a byte for each")
    if buffer.byte_swapped:
        found.append("the bytes are in the other order")
    strides = [stride for stride, n in zip(buffer.strides, buffer.shape, strict=True) if n > 1]
    if any(stride < 0 for stride in strides):
        found.append("strides are negative, and torch has none")
    if any(stride % buffer.itemsize for stride in strides):
        found.append("strides are not whole elements")
    if buffer.address % (row.component.container_bits // 8):
        found.append("the memory is not aligned to its elements")
    if read_only and on_read_only == "copy":
        found.append(f"{read_only}, and a tensor would be writable")
    return found


def decide(
    buffer: Buffer,
    library: str,
    to: Format,
    target: Target,
    *,
    same_kind: bool = False,
    read_only: str = "",
    copied: str = "",
    copy: bool | None = None,
    on_read_only: ReadOnly = "copy",
    device: str | None = None,
) -> Verdict:
    """What to do with memory that is to become a tensor or an array.

    Args:
        buffer: the source's elements.
        library: whose object it is.
        to: the wanted format.
        target: the library of the result.
        same_kind: whether the object is of the target library already.
        read_only: why the source may not be written, or "".
        copied: why the elements were copied to be seen, or "".
        copy: True always copies, False never, None where it must.
        on_read_only: see `obstacles`.
        device: where the result is to be, if not on the source's device.
    """
    row, n = buffer.format, buffer.n_elements
    n_bytes = to.n_bytes(n) if buffer.packed else n * to.container_bits // 8
    moved = device is not None and device != buffer.device
    reasons = [copied] if copied else []
    reasons += obstacles(buffer, target, read_only, on_read_only)
    shape = list(buffer.shape)
    source = f"{library} {row.name} {shape}" + (
        "" if buffer.device == "cpu" else f" on {buffer.device}"
    )
    result = f"{_KIND[target]} {to.name} {shape}" + (f" on {device}" if moved else "")
    transfers: tuple[str, ...] = ()
    if moved:
        narrow = min(row.container_bits, to.container_bits)
        when = "after the cast" if to.bits < row.bits else "before the cast" if to != row else ""
        transfers = (f"{n * narrow // 8:,} bytes travel to {device} {when}".rstrip(),)
        reasons.insert(0, f"device={device}")
    action: Action
    if to != row:
        action = "casts"
        reasons.insert(0, f"{row.name} to {to.name}")
    elif reasons and not (copied and len(reasons) == 1 and target == "numpy"):
        action = "copies"
    elif copied or copy:
        action = "copies"
        if not copied:
            reasons.append("copy=True")
    else:
        action = "returns the same object" if same_kind else "shares"
    if copy is False and action in ("casts", "copies"):
        return Verdict(source, result, "refuses", ("copy=False", *reasons))
    if action in ("casts", "copies"):
        there = device if moved and to.bits > row.bits else buffer.device
        return Verdict(
            source,
            result,
            action,
            tuple(reasons),
            n_bytes_allocated=n_bytes,
            n_bytes_moved=buffer.n_bytes + n_bytes,
            transfers=transfers,
            cast_on=there if action == "casts" else None,
            losses=lost_values(row, to),
            owner=_KIND[target].partition(".")[0],
            writes="a write reaches the result only",
        )
    frozen = bool(read_only) and target == "numpy"
    return Verdict(
        source,
        result,
        action,
        (),
        owner=library,
        writes="it is read-only" if frozen else f"a write reaches the {library} object too",
        read_only=frozen,
    )
