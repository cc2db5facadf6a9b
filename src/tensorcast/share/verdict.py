"""Whether memory can be shared, decided before anything is done: the verdict as data.

`decide` looks at a description and touches nothing; `handover` carries out what it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from ..bridges.protocol import Demands, Fit, Seen
from ..bridges.registry import demands_of
from ..buffer import Buffer
from ..core.promotion import lost_values
from ..formats import Format
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


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        target: the library of the result.
        format: of its elements.
        fit: how the library takes them.
        device: where the result is to be; None: where the source is.
        copy: True always copies, False never, None where it must.
        on_read_only: "alias" takes read-only memory for a writable tensor.
    """

    target: Target
    format: Format
    fit: Fit
    device: str | None = None
    copy: bool | None = None
    on_read_only: ReadOnly = "copy"


def obstacles(seen: Seen, target: Target, on_read_only: ReadOnly = "copy") -> list[str]:
    """Why the target library cannot stand on this memory, a phrase each; empty if it can."""
    buffer, demands = seen.buffer, demands_of(target)
    row = buffer.format
    found: list[str] = []
    if buffer.packed:
        found.append("several elements share a byte")
    elif target == "torch" and row.is_packed and not row.is_integer:
        found.append(f"torch packs {row.name}, and this memory has a byte for each")
    if buffer.n_elements == 0:
        return found
    name = demands.name
    if demands.native and buffer.byte_swapped:
        found.append("the bytes are in the other order")
    strides = [stride for stride, n in zip(buffer.strides, buffer.shape, strict=True) if n > 1]
    negative = any(stride < 0 for stride in strides)
    if negative and (demands.whole or demands.dense) and not buffer.packed:
        found.append(f"strides are negative, and {name} has none")
    elif demands.dense and not buffer.is_contiguous:
        repeats = 0 in strides
        found.append(
            "elements share memory (a stride of 0)"
            if repeats
            else "elements lie apart, or not in C order"
        )
    if demands.whole and any(stride % buffer.itemsize for stride in strides):
        found.append("strides are not whole elements")
    element = row.component.container_bits // 8
    if buffer.address % element and not demands.alignment:
        found.append("the memory is not aligned to its elements")
    elif demands.alignment and buffer.address % demands.alignment:
        found.append(f"the memory is not aligned to {demands.alignment} bytes, as {name} asks")
    if seen.read_only and not seen.copied and demands.writable and on_read_only == "copy":
        found.append(f"{seen.read_only}, and a tensor would be writable")
    return found


@dataclass(frozen=True)
class Decision:
    """A verdict, and what carrying it out has to know.

    Attributes:
        verdict: what is to be done.
        blocked: why the target cannot stand on the memory as it was seen; see `obstacles`.
    """

    verdict: Verdict
    blocked: tuple[str, ...] = ()

    def makes_memory(self, seen: Seen, wish: Wish) -> bool:
        """Whether memory has to be made for the result, beside what making the elements seen took.
        What the library makes itself, in any case, does not count."""
        if wish.format != seen.buffer.format:
            return True
        if wish.fit.remade:
            return False
        return bool(self.blocked) or (bool(wish.copy) and not seen.copied)


def decide(seen: Seen, wish: Wish, *, same_kind: bool = False) -> Decision:
    """What to do with elements that are to become another library's.

    Args:
        seen: the source's elements.
        wish: what they are to become.
        same_kind: the source is an object of the target library, of the kind the call returns.
    """
    buffer, to, demands = seen.buffer, wish.format, demands_of(wish.target)
    row, n = buffer.format, buffer.n_elements
    moved = wish.device is not None and wish.device != buffer.device
    shape = list(buffer.shape)
    where = "" if buffer.device == "cpu" else f" on {buffer.device}"
    goes = f" on {wish.device}" if moved else where
    said = Verdict(
        f"{seen.library} {row.name} {shape}{where}",
        f"{demands.kind} {to.name} {shape}{goes}",
        "shares",
        notes=(seen.note,) if seen.note else (),
    )
    refused = _unreachable(buffer, wish, moved) or wish.fit.lacks
    if refused:
        return Decision(replace(said, action="refuses", because=(refused,)))
    reasons: list[str] = []
    blocked: tuple[str, ...] = ()
    if not same_kind:
        if buffer.device == "cpu":  # memory elsewhere is its own library's to judge
            blocked = tuple(obstacles(seen, wish.target, wish.on_read_only))
        # a copy's own layout is no reason of the caller's
        reasons += [seen.copied] if seen.copied else []
        reasons += [wish.fit.remade] if wish.fit.remade else []
        reasons = reasons or list(blocked)
    transfers: tuple[str, ...] = ()
    if moved:
        narrow = min(row.container_bits, to.container_bits)
        widens = wish.target == "torch" and to.bits > row.bits
        when = "" if to == row else "before the cast" if widens else "after the cast"
        transfers = (f"{n * narrow // 8:,} bytes travel to {wish.device} {when}".rstrip(),)
        reasons.insert(0, f"device={wish.device}")
    action: Action
    if to != row:
        action = "casts"
        reasons.insert(0, f"{row.name} to {to.name}")
    elif reasons or wish.copy:
        action = "copies"
        reasons = reasons or ["copy=True"]
    else:
        action = "returns the same object" if same_kind else "shares"
    if wish.copy is False and reasons:
        said = replace(said, action="refuses", because=("copy=False", *reasons))
        return Decision(said, blocked)
    if action in ("casts", "copies"):
        n_bytes = _n_bytes(wish, n)
        twice = bool(wish.fit.remade) and to != row  # cast, then copied by the library
        extra = 2 * (n * to.container_bits // 8) if twice else 0
        there = wish.device if moved and to.bits > row.bits and wish.target == "torch" else None
        said = replace(
            said,
            action=action,
            because=tuple(reasons),
            n_bytes_allocated=n_bytes,
            n_bytes_moved=buffer.n_bytes + n_bytes + extra,
            transfers=transfers,
            cast_on=(there or buffer.device) if action == "casts" else None,
            losses=lost_values(row, to),
            owner=demands.library,
            writes=f"it is read-only: {demands.immutable}"
            if demands.immutable
            else "a write reaches the result only",
            read_only=bool(demands.immutable),
        )
        return Decision(said, blocked)
    return Decision(_shared(said, seen, wish, demands, action), blocked)


def _shared(said: Verdict, seen: Seen, wish: Wish, demands: Demands, action: Action) -> Verdict:
    """The verdict on a result that stands on the source's memory."""
    frozen, writes = demands.immutable, f"a write reaches the {seen.library} object too"
    notes = said.notes
    if demands.protective and action == "shares":
        writes = "before a write it copies what it stands on: only the result is reached"
    if (frozen or demands.protective) and action == "shares" and not seen.read_only:
        notes += (f"a write to the {seen.library} object shows in it",)
    elif not frozen and action == "shares" and repeats(seen.buffer):
        if wish.target == "numpy":
            frozen = "several of its elements share memory"
        else:
            notes += ("several of its elements share memory: a write reaches them all",)
    elif not frozen and wish.target == "numpy":
        frozen = seen.read_only
    if frozen:
        writes = "it is read-only" if "read-only" in frozen else f"it is read-only: {frozen}"
    return replace(
        said, action=action, owner=seen.library, writes=writes, read_only=bool(frozen), notes=notes
    )


def repeats(buffer: Buffer) -> bool:
    """Whether a dimension repeats the same elements, as an expanded one does."""
    pairs = zip(buffer.strides, buffer.shape, strict=True)
    return not buffer.packed and buffer.n_elements > 0 and any(s == 0 and n > 1 for s, n in pairs)


def _unreachable(buffer: Buffer, wish: Wish, moved: bool) -> str:
    """Why the result cannot be where it is to be, or ""."""
    demands = demands_of(wish.target)
    goal = wish.device or buffer.device
    if buffer.device == "meta" and (moved or wish.target != "torch"):
        return "a tensor on meta has no values"
    if demands.devices and goal.partition(":")[0] not in demands.devices:
        if moved:
            return f"{demands.name} has no device {goal}, only {' and '.join(demands.devices)}"
        if "cpu" not in demands.devices:
            return (
                f'{demands.name} has GPU memory only; pass device="cuda" to send the elements there'
            )
        if wish.target == "numpy":
            return f'the elements are on {goal}; pass device="cpu" to bring them over'
        return (
            f"the elements are on {goal}, which {demands.name} does not reach; bring them over "
            'with tensorcast.as_tensor(x, device="cpu")'
        )
    return ""


def _n_bytes(wish: Wish, n_elements: int) -> int:
    """Bytes of the result's own memory."""
    row = wish.format
    if wish.fit.n_bytes is not None:
        return wish.fit.n_bytes
    if wish.target == "torch" and row.is_packed and not row.is_integer:
        return row.n_bytes(n_elements)
    return n_elements * row.container_bits // 8
