"""What a call does with data that are to become another library's: planned, then carried out.

`plan` looks and decides; `explain` stops there, and `carry_out` does what was decided, so that
neither can say or do anything else than the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..bridges import is_torch
from ..bridges.boundary import refuse_unreadable
from ..bridges.columns import columns_of
from ..bridges.dlpack import Taken
from ..bridges.missing import filled
from ..bridges.protocol import Seen
from ..bridges.registry import bridge_to
from ..bridges.room import refuse_no_memory
from ..bridges.seeing import see, tensor_elsewhere
from ..bridges.torch.wrapping import tensor_seen
from ..buffer import Buffer, contiguous_strides
from ..core.block import cast_buffer
from ..core.loss import Loss
from ..core.refusal import refuse
from ..errors import CastError, CastOverflowError
from ..formats import Format, lookup
from ..kernels.torch_lazy import check_storage, is_pending, settled
from ..policy import Policy, changes_nothing
from .estimate import estimated
from .verdict import Decision, ReadOnly, Target, Verdict, Wish, decide

_RECKLESS = Policy(overflow="saturate", nan="zero")
"""Refuses no value: to see what numbers would become, not what they are."""


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


def hand_over(data: Any, asked: Asked, policy: Policy) -> Any:
    """The data as the target library's array.

    Raises:
        CastError: what the verdict refuses.
        MissingLibraryError: the target library is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
    """
    bridge = _bridge(asked)
    with _saying_what_is_unreadable(data):
        found = _plan(data, asked, bridge, policy)
        if found is not None:
            if policy.inf != "keep" and found.wish.format == found.seen.buffer.format:
                found, asked, policy = _without_infinities(found, asked, bridge, policy)
            return _carry_out(found, asked, policy)
    # the errors of numbers are said where they are read
    return _carry_out(_plan_sequence(data, asked, bridge, policy), asked, policy)


def verdict_on(data: Any, asked: Asked) -> Verdict:
    """What `hand_over` would do, under a policy that refuses no value."""
    bridge = _bridge(asked)
    with _saying_what_is_unreadable(data):
        found = _plan(data, asked, bridge, _RECKLESS)
    if found is None:
        found = _plan_sequence(data, asked, bridge, _RECKLESS)
    verdict = estimated(found.decision.verdict, found.seen.buffer.format, found.wish.format)
    if found.tensor is data and verdict.action == "casts" and asked.target == "torch":
        verdict = replace(verdict, in_place=f"tensorcast.cast_(x, {found.wish.format.name!r})")
    return verdict


@contextmanager
def _saying_what_is_unreadable(data: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        refuse_no_memory(error) if is_torch(data) else refuse_unreadable(error, data)
        raise


def _bridge(asked: Asked) -> Any:
    bridge = bridge_to(asked.target)
    return replace(bridge, mode=asked.mode) if asked.mode is not None else bridge


def _plan(data: Any, asked: Asked, bridge: Any, policy: Policy) -> Plan | None:
    """None for numbers and sequences."""
    columns = columns_of(data)
    if columns is not None:
        from ..bridges.numpy import buffer_of
        from ..bridges.sequences import array_of

        made = filled(columns, asked.null, asked.format, policy, array_of)
        return _planned(
            data, Seen(columns.library, buffer_of(made), copied=columns.why), asked, bridge
        )
    tensor = tensor_elsewhere(data)
    if asked.target == "torch" and (tensor is not None or is_torch(data)):
        tensor = data if tensor is None else tensor
        seen = tensor_seen(tensor, data)
        return _planned(data, seen, asked, bridge, tensor=tensor, same_kind=tensor is data)
    if asked.target != "torch" and bridge.is_own(data):
        row, shape, device = bridge.described(data)
        strides = contiguous_strides(shape, row.container_bits // 8)
        library = type(data).__module__.partition(".")[0]
        seen = Seen(library.removesuffix("lib"), Buffer(0, shape, strides, row, device=device))
        found = _planned(data, seen, asked, bridge, same_kind=True)
        if found.decision.verdict.action == "returns the same object":
            return found
    if tensor is not None:
        seen = tensor_seen(tensor, data)
        lazy = "its conjugation or negation is pending"
        seen = replace(seen, copied=lazy if is_pending(tensor) else "")
        return _planned(data, _noted(seen, data), asked, bridge, tensor=tensor)
    visible = see(data)
    if visible is None:
        return None
    same_kind = asked.target == "numpy" and visible.buffer.owner is data
    return _planned(data, _noted(visible, data), asked, bridge, same_kind=same_kind)


def _planned(
    data: Any,
    seen: Seen,
    asked: Asked,
    bridge: Any,
    *,
    tensor: Any = None,
    same_kind: bool = False,
) -> Plan:
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
    if asked.target != "torch" and is_torch(data) and (wanted.is_float or wanted.is_complex):
        fit = replace(fit, lacks=_lost_with(data) or fit.lacks)
    wish = Wish(asked.target, wanted, fit, device, asked.copy, asked.on_read_only)
    decision = decide(seen, wish, same_kind=same_kind)
    return Plan(data, seen, wish, decision, bridge, tensor)


def _without_infinities(
    plan: Plan, asked: Asked, bridge: Any, policy: Policy
) -> tuple[Plan, Asked, Policy]:
    """What is to be done where the format stays, and the policy does not keep infinities: data
    without any is shared as under inf="keep", other data gets new memory first."""
    row = plan.wish.format
    resolved = policy.resolve(row, row)
    if changes_nothing(row, row, policy):
        return plan, asked, policy
    from ..api.casts import cast_by, measure_by
    from ..bridges.memory import empty

    source: Buffer | None = None
    if plan.tensor is not None and asked.target == "torch" and _is_transformed(plan.tensor):
        if asked.copy is False:
            raise CastError(f"copy=False, but inf={policy.inf!r} asks of values not seen from here")
        made = cast_by(plan.tensor, row, policy)  # recorded, whatever the values will be
        asked = replace(asked, copy=None)
        again = _plan(made, asked, bridge, policy)
        assert again is not None
        return again, asked, replace(policy, inf="keep")
    if plan.tensor is not None:
        loss = measure_by(plan.tensor, row, policy)
    else:
        visible = see(plan.data)
        if visible is None:
            raise CastError(f"inf={policy.inf!r} asks of values that cannot be seen from here")
        source = visible.buffer
        loss = cast_buffer(source, None, row, resolved, report=policy.exact)

    def look(part: Buffer, full: bool) -> Loss:
        return cast_buffer(part, None, row, resolved, report=full)

    refuse(loss, resolved, plan.seen.buffer.shape, source=source, look=look)
    if not loss.n_inf:
        return plan, asked, replace(policy, inf="keep")
    if asked.copy is False:
        raise CastError(f'copy=False, but inf="saturate" changes {loss.n_inf} infinities')
    if source is None:
        made = cast_by(plan.tensor, row, policy)
    else:
        made, written = empty(source, row, "numpy")
        cast_buffer(source, written, row, resolved, fresh=True)
    asked = replace(asked, copy=None)  # it is one
    again = _plan(made, asked, bridge, policy)
    assert again is not None
    return again, asked, replace(policy, inf="keep")


def _plan_sequence(data: Any, asked: Asked, bridge: Any, policy: Policy) -> Plan:
    """Numbers and sequences, written into memory of their own; what a library infers where they
    bring no format."""
    no_memory = f"a {type(data).__name__} of numbers is no memory"
    if asked.target == "torch":
        from ..bridges.sequences import tensor_of

        if asked.copy is False:
            raise CastError(f"copy=False, but {no_memory}")
        made = tensor_of(data, asked.format, policy, null=asked.null)
        seen = replace(tensor_seen(made, data), copied=no_memory)
        found = _planned(data, seen, replace(asked, format=None), bridge, tensor=made)
    else:
        from ..bridges.numpy import buffer_of

        made = _inferred(data, asked.format, bridge, policy, asked.null)
        seen = Seen("Python", buffer_of(made), copied=no_memory)
        found = _planned(data, seen, replace(asked, format=None), bridge)
    # nothing was read but Python's objects
    verdict = found.decision.verdict
    if verdict.action != "refuses":
        verdict = replace(verdict, n_bytes_moved=verdict.n_bytes_moved - found.seen.buffer.n_bytes)
    return replace(found, decision=replace(found.decision, verdict=verdict))


def _inferred(data: Any, row: Format | None, bridge: Any, policy: Policy, null: object) -> Any:
    """An array of a sequence, in the first of the formats the library infers that holds it."""
    from ..bridges.sequences import array_of, shape_of

    made = array_of(data, row, policy, null=null)
    if row is not None or type(shape_of(data)[1]) not in (int, float, complex):
        return made
    formats = bridge.inferred(lookup(made.dtype))
    for candidate in formats[:-1]:
        try:
            return array_of(data, candidate, Policy(), null=null)
        except CastOverflowError:
            continue
    if formats[-1] == lookup(made.dtype):
        return made
    return array_of(data, formats[-1], policy, null=null)


def _is_transformed(tensor: Any) -> bool:
    from ..bridges.torch.tensor import is_plain

    return tensor.device.type != "meta" and not is_plain(tensor)


def _lost_with(tensor: Any) -> str:
    """Why no other library gets the tensor, whose gradient would be lost; "" where it does."""
    from ..bridges.torch.tensor import recorded

    what = recorded(tensor)
    return f"the tensor {what}, which no other library records; pass x.detach()" if what else ""


def _noted(seen: Seen, data: Any) -> Seen:
    if is_torch(data) and data.requires_grad:
        return replace(
            seen, note="the tensor requires grad; what is done to the result is not recorded"
        )
    return seen


def _carry_out(plan: Plan, asked: Asked, policy: Policy) -> Any:
    verdict, wish = plan.decision.verdict, plan.wish
    if verdict.action == "refuses":
        raise CastError(verdict.refusal)
    if isinstance(plan.seen.buffer.owner, Taken):
        plan.seen.buffer.owner.take()
    if verdict.action == "returns the same object":
        return plan.data
    moved = wish.device is not None and wish.device != plan.seen.buffer.device
    if plan.tensor is not None:
        return _from_tensor(plan, asked, policy, moved)
    if wish.target == "torch":
        return _tensor_of(plan, asked, policy, moved)
    buffer = plan.seen.buffer
    resolved = policy.resolve(buffer.format, wish.format)
    if plan.decision.makes_memory(plan.seen, wish) or (moved and wish.target != "cupy"):
        made, written = _empty(buffer, wish)
        cast_buffer(buffer, written, wish.format, resolved, fresh=True)
        if wish.target == "numpy":
            return made
        buffer = written
    elif wish.target == "numpy":
        return _frozen(plan.bridge.wrap(buffer), verdict.read_only)
    result = plan.bridge.wrap(buffer)
    return plan.bridge.send(result, asked.device) if moved else result


def _empty(like: Buffer, wish: Wish) -> tuple[Any, Buffer]:
    """New memory that the target can stand on."""
    from ..bridges.fresh import empty_aligned, empty_numpy

    make = empty_numpy if wish.target == "numpy" else empty_aligned
    made, address = make(like.shape, wish.format)
    strides = contiguous_strides(like.shape, wish.format.container_bits // 8)
    return made, Buffer(address, like.shape, strides, wish.format, owner=made)


def _frozen(array: Any, read_only: bool) -> Any:
    if read_only:
        array.flags.writeable = False
    return array


def _tensor_of(plan: Plan, asked: Asked, policy: Policy, moved: bool) -> Any:
    """A tensor of what lies in the CPU's memory."""
    from ..api.casts import cast_by
    from ..bridges.memory import as_torch, empty

    buffer, wish = plan.seen.buffer, plan.wish
    here = buffer.format if moved and wish.format.bits >= buffer.format.bits else wish.format
    resolved = policy.resolve(buffer.format, wish.format)
    copy = None if moved else wish.copy  # the trip is a copy
    if plan.decision.makes_memory(plan.seen, replace(wish, format=here, copy=copy)):
        result, written = empty(buffer, here, "torch")
        if here != wish.format:
            resolved = policy.resolve(buffer.format, here)
        cast_buffer(buffer, written, here, resolved, fresh=True)
    else:
        result = as_torch(buffer)
    if moved:  # what widens does so after the trip
        return cast_by(result, wish.format, policy, device=asked.device)
    return result


def _from_tensor(plan: Plan, asked: Asked, policy: Policy, moved: bool) -> Any:
    """What torch holds, cast by torch where it lies."""
    from ..api.casts import cast_by
    from ..bridges.torch.plain import copied
    from ..bridges.torch.tensor import is_plain

    tensor, wish, target = plan.tensor, plan.wish, plan.wish.target
    if is_plain(tensor):  # what torch transforms or traces has no storage to look at
        check_storage(tensor)
    if target == "torch":
        device = asked.device if moved else None
        if wish.format == plan.seen.buffer.format and not moved:
            if not wish.copy or plan.seen.copied:
                return tensor
            return copied(tensor)
        return cast_by(tensor, wish.format, policy, device=device)
    tensor = settled(tensor)
    if target == "numpy":
        from ..bridges.memory import as_numpy
        from ..bridges.torch.tensor import buffer_of

        return as_numpy(buffer_of(cast_by(tensor, wish.format, policy, device=asked.device)))
    if wish.format != plan.seen.buffer.format:
        tensor = cast_by(tensor, wish.format, policy)
    elif wish.copy:
        tensor = tensor.clone()
    result = plan.bridge.from_torch(tensor)
    return plan.bridge.send(result, asked.device) if moved else result
