"""What a call does with data that are to become another library's: planned, then carried out.

`plan_of` looks and decides; `verdict_on` stops there, and `hand_over` does what was decided, so
that neither can say or do anything else than the other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from ..bridges import is_torch
from ..bridges.boundary import refuse_unreadable
from ..bridges.dlpack import Taken
from ..bridges.protocol import Seen
from ..bridges.registry import bridge_to, demands_of
from ..bridges.room import refuse_no_memory
from ..bridges.seeing import see
from ..bridges.torch.tensor import tensor_seen
from ..buffer import Buffer, contiguous_strides
from ..core.block import cast_buffer, look_at
from ..core.refusal import refuse
from ..errors import CastError, CastOverflowError
from ..formats import Format, lookup
from ..kernels.cpu import copy_codes
from ..kernels.torch_lazy import check_storage, settled
from ..policy import Policy, changes_nothing
from .estimate import estimated
from .planning import Asked, Plan, Wish, plan_of, planned
from .verdict import Verdict

_RECKLESS = Policy(overflow="saturate", nan="zero")
"""Refuses no value: to see what numbers would become, not what they are."""


def hand_over(data: Any, asked: Asked, policy: Policy) -> Any:
    """The data as the target library's array.

    Raises:
        CastError: what the verdict refuses.
        MissingLibraryError: the target library is not installed.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
    """
    bridge = _bridge(asked)
    try:
        found = plan_of(data, asked, bridge, policy)
        if found is not None:
            if policy.inf != "keep" and found.wish.format == found.seen.buffer.format:
                found, asked, policy = _without_infinities(found, asked, bridge, policy)
            return _carry_out(found, asked, policy)
    except Exception as error:
        _say_unreadable(error, data)
        raise
    # the errors of numbers are said where they are read
    return _carry_out(_plan_sequence(data, asked, bridge, policy), asked, policy)


def verdict_on(data: Any, asked: Asked) -> Verdict:
    """What `hand_over` would do, under a policy that refuses no value."""
    bridge = _bridge(asked)
    try:
        found = plan_of(data, asked, bridge, _RECKLESS)
    except Exception as error:
        _say_unreadable(error, data)
        raise
    if found is None:
        found = _plan_sequence(data, asked, bridge, _RECKLESS)
    verdict = estimated(found.decision.verdict, found.seen.buffer.format, found.wish.format)
    if found.tensor is data and verdict.action == "casts" and asked.target == "torch":
        verdict = replace(verdict, in_place=f"tensorcast.cast_(x, {found.wish.format.name!r})")
    return verdict


def _say_unreadable(error: Exception, data: Any) -> None:
    """Raise what the error means of the data, where it is not said already."""
    refuse_no_memory(error) if is_torch(data) else refuse_unreadable(error, data)


def _bridge(asked: Asked) -> Any:
    bridge = bridge_to(asked.target)
    if sys.modules.get(demands_of(asked.target).library) is None:  # gone since it was loaded
        bridge.load()
    return replace(bridge, mode=asked.mode) if asked.mode is not None else bridge


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
        again = plan_of(made, asked, bridge, policy)
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
    refuse(loss, resolved, plan.seen.buffer.shape, source=source, look=look_at(row, resolved))
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
    again = plan_of(made, asked, bridge, policy)
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
        found = planned(data, seen, replace(asked, format=None), bridge, tensor=made)
    else:
        from ..bridges.numpy import buffer_of

        made = _inferred(data, asked.format, bridge, policy, asked.null)
        seen = Seen("Python", buffer_of(made), copied=no_memory)
        found = planned(data, seen, replace(asked, format=None), bridge)
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
    from ..bridges.memory import empty_aligned, empty_numpy

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
        if wish.format == buffer.format:
            copy_codes(buffer, written)  # infinities that the policy ends were looked for before
            return result if not moved else cast_by(result, here, policy, device=asked.device)
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
