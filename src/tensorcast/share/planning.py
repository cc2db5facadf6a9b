"""What is to be done with data that are to become another library's: looked at, and decided.

`plan_of` gets a description of the data, and `decide` says what the target can stand on; both touch
nothing. `handover` carries out what they say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..bridges import is_torch, is_torch_type
from ..bridges.buffers import PYTHONS_MEMORY, python_seen
from ..bridges.columns import columns_of
from ..bridges.missing import filled
from ..bridges.protocol import Demands, Fit, Seen
from ..bridges.registry import demands_of
from ..bridges.seeing import see, tensor_elsewhere
from ..bridges.torch.tensor import recorded, tensor_seen
from ..bridges.torch.tensor import see as tensor_in_memory
from ..buffer import Buffer, contiguous_strides
from ..core.promotion import lost_values
from ..errors import CastError
from ..formats import Format
from ..kernels.torch_lazy import is_pending
from ..policy import Policy
from .verdict import Action, ReadOnly, Target, Verdict


@dataclass(frozen=True)
class Asked:
    """The arguments of a call.

    Attributes:
        target: the library of the result.
        format: wanted; None keeps the source's.
        device: as the target's library spells it; None moves nothing.
        copy, on_read_only: as of `tensorcast.as_tensor`.
        mode: of an image, where one is made.
        null: what stands for values that are missing; None refuses them.
    """

    target: Target
    format: Format | None = None
    device: Any = None
    copy: bool | None = None
    on_read_only: ReadOnly = "copy"
    mode: str | None = None
    null: Any = None


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


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        data: what was handed over.
        seen: its elements.
        wish: what they are to become.
        decision: what is to be done.
        bridge: the target's module of `bridges`.
        tensor: the data as a torch tensor, where torch does the work: for a tensor that is to be
            one, and for what lies on a GPU.
    """

    data: Any
    seen: Seen
    wish: Wish
    decision: Decision
    bridge: Any
    tensor: Any = None


def plan_of(data: Any, asked: Asked, bridge: Any, policy: Policy) -> Plan | None:
    """What is to be done; None for numbers and sequences."""
    if type(data) in PYTHONS_MEMORY:
        return planned(data, python_seen(data), asked, bridge)
    is_tensor = _is_tensor(data)
    columns = None if is_tensor else columns_of(data)
    if columns is not None:
        from ..bridges.numpy import buffer_of
        from ..bridges.sequences import array_of

        made = filled(columns, asked.null, asked.format, policy, array_of)
        return planned(
            data, Seen(columns.library, buffer_of(made), copied=columns.why), asked, bridge
        )
    on_cpu = is_tensor and data.device.type == "cpu"
    tensor = None if on_cpu else tensor_elsewhere(data)
    if asked.target == "torch" and (tensor is not None or is_tensor):
        tensor = data if tensor is None else tensor
        seen = tensor_seen(tensor, data)
        return planned(data, seen, asked, bridge, tensor=tensor, same_kind=tensor is data)
    if asked.target not in ("torch", "numpy") and bridge.is_own(data):
        row, shape, device = bridge.described(data)
        strides = contiguous_strides(shape, row.container_bits // 8)
        library = type(data).__module__.partition(".")[0]
        seen = Seen(library.removesuffix("lib"), Buffer(0, shape, strides, row, device=device))
        found = planned(data, seen, asked, bridge, same_kind=True)
        if found.decision.verdict.action == "returns the same object":
            return found
    if tensor is not None:
        seen = tensor_seen(tensor, data)
        lazy = "its conjugation or negation is pending"
        seen = replace(seen, copied=lazy if is_pending(tensor) else "")
        return planned(data, _noted(seen, data), asked, bridge, tensor=tensor)
    visible = tensor_in_memory(data) if on_cpu else see(data)
    if visible is None:
        return None
    same_kind = asked.target == "numpy" and visible.buffer.owner is data
    return planned(data, _noted(visible, data), asked, bridge, same_kind=same_kind)


def planned(
    data: Any,
    seen: Seen,
    asked: Asked,
    bridge: Any,
    *,
    tensor: Any = None,
    same_kind: bool = False,
) -> Plan:
    """What is to be done with elements that were seen; the rest as of `decide`."""
    row = seen.buffer.format
    wanted = row if asked.format is None else asked.format
    device = None if asked.device is None else bridge.device_name(asked.device)
    fit = bridge.fit(wanted, seen.buffer.shape)
    if row.is_complex and not wanted.is_complex:
        try:
            Policy().resolve(row, wanted)
        except CastError as error:
            fit = replace(fit, lacks=str(error))
    if same_kind and wanted == row:
        fit = replace(fit, lacks="", remade="")
    if asked.target != "torch" and _is_tensor(data) and (wanted.is_float or wanted.is_complex):
        fit = replace(fit, lacks=_lost_with(data) or fit.lacks)
    wish = Wish(asked.target, wanted, fit, device, asked.copy, asked.on_read_only)
    decision = decide(seen, wish, same_kind=same_kind)
    return Plan(data, seen, wish, decision, bridge, tensor)


def _is_tensor(data: object) -> bool:
    return is_torch_type(type(data)) or is_torch(data)


def _lost_with(tensor: Any) -> str:
    """Why no other library gets the tensor, whose gradient would be lost; "" where it does."""
    what = recorded(tensor)
    return f"the tensor {what}, which no other library records; pass x.detach()" if what else ""


def _noted(seen: Seen, data: Any) -> Seen:
    if _is_tensor(data) and data.requires_grad:
        return replace(
            seen, note="the tensor requires grad; what is done to the result is not recorded"
        )
    return seen


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
