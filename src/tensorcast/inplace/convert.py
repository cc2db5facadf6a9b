"""Several tensors converted in place, all or none: prove, look, allocate, then replace.

Until `replace_all` nothing is changed; in it nothing can fail or interrupt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..bridges.torch.pairs import is_pairs, logical_shape, pairs_shape
from ..bridges.torch.plain import measure, visible
from ..bridges.torch.tensor import dtype_of
from ..core.block import cast_buffer
from ..core.loss import Loss
from ..core.pairs import may_refuse
from ..core.refusal import refuse
from ..errors import CollapseError, InPlaceError
from ..judgement import can_collapse, collapse_headline
from ..kernels.replacing import Conversion, Proof, Swap, replace_all
from ..policy import Policy, changes_nothing
from .blocks import (
    Block,
    Member,
    Others,
    Wish,
    check,
    dense_strides,
    distinct,
    find_blocks,
    memory_order,
    place_in_storage,
    refusal,
    row_of,
)
from .device import convert_on_device, look_on_device, plan_on_device
from .exclusivity import Interface, Obstacle, find_interface, numpy_is_counted

_MEANWHILE: Final = Obstacle(
    "view", "came to be seen, or was changed, by another thread in the meantime", "Try again."
)


def convert_all(
    wishes: Sequence[Wish],
    policy: Policy,
    *,
    others: Others = "refuse",
    report: bool = False,
    raw: bool = False,
    n_failures: int = 0,
) -> dict[str, Loss]:
    """Convert tensors in place, all of them or none.

    Args:
        wishes: a tensor that comes twice is converted once.
        others: "copy" gives new memory to a tensor whose memory others see, with a warning.
        report: return the losses, by name.
        raw: convert a tensor too of which next to nothing is left (`Loss.collapses`).
        n_failures: as of `replace_all`.

    Raises:
        InPlaceError: a tensor cannot be converted in place.
        CastError: a policy refuses, or torch cannot hold the format.
        CollapseError: next to nothing would be left of a tensor, and it is not `raw`.
    """
    losses: dict[str, Loss] = {}
    wanted = distinct(wishes)
    changing = []
    for wish in wanted:
        row = row_of(wish.tensor)
        asked = replace(policy, inf="keep") if wish.stays else policy
        if row != wish.target:
            changing.append(wish)
        elif report or not changes_nothing(row, wish.target, asked):
            loss = measure(wish.tensor, wish.target, asked)
            resolved = asked.resolve(row, wish.target)
            refuse(loss, resolved, tuple(wish.tensor.shape), wish.name, source=visible(wish.tensor))
            if loss.n_overflow:  # infinities that are not kept
                changing.append(wish)
            elif report:
                losses[wish.name] = loss
    if not changing:
        return losses
    interface = find_interface()
    if isinstance(interface, str):
        raise InPlaceError(
            f"{interface}: nothing proves that a tensor is alone, so none is converted in place. "
            "Make a new tensor with tensorcast.cast(x, format).",
            "unknown torch",
        )
    for wish in changing:
        check(wish, policy)
    here = [wish for wish in changing if wish.tensor.device.type == "cpu"]
    there = [wish for wish in changing if wish.tensor.device.type != "cpu"]
    blocks = find_blocks(here, policy, interface, others)
    on_device = plan_on_device(there, policy, interface)
    # a look at the values lets other threads run, which see these holds and do not convert
    holds = [wish.tensor.detach() for wish in here]
    try:
        _check_unchanged(blocks)
        seen = _look(blocks, report, not raw) | look_on_device(on_device, report, not raw)
        if not raw:
            _refuse_collapse(seen)
    finally:
        del holds  # an error's traceback keeps what is in this frame
    if report:
        losses |= seen
    _replace(blocks, interface, n_failures)
    convert_on_device(on_device)
    return {wish.name: losses[wish.name] for wish in wanted} if report else {}


def _refuse_collapse(losses: Mapping[str, Loss]) -> None:
    """Name every tensor that collapses."""
    gone = {name: loss for name, loss in losses.items() if loss.collapses}
    if not gone:
        return
    texts, targets = [x.collapse_text() for x in gone.values()], [x.target for x in gone.values()]
    lines = [f"{collapse_headline(texts, targets)}; nothing was changed"]
    lines += [f"  {name!r}: {loss.collapse_text()} in {loss.target}" for name, loss in gone.items()]
    first = next(iter(gone))
    lines.append(
        "No scale is applied here. Choose another format, as bfloat16; leave a tensor as it is by "
        f"a rule, rules={{{first!r}: None}}; or pass raw=True to cast the numbers in any case."
    )
    raise CollapseError("\n".join(lines))


def _look(blocks: Sequence[Block], report: bool, watches: bool) -> dict[str, Loss]:
    """Every value against its policy, before anything is changed; the losses by name.

    Args:
        watches: also count what `Loss.collapses` needs, where the formats allow it.
    """
    losses = {}
    for block in blocks:
        for member in block.members:
            wish, buffer = member.wish, member.buffer
            refusable = may_refuse(buffer.format, wish.target, member.policy)
            watched = watches and can_collapse(buffer.format, wish.target, member.policy)
            if not (refusable or report or watched):
                continue
            full = report or (refusable and member.policy.exact)
            loss = cast_buffer(
                buffer, None, wish.target, member.policy, report=full, collapses=watched
            )
            if refusable:
                refuse(loss, member.policy, buffer.shape, wish.name, source=buffer)
            losses[wish.name] = loss
    return losses


def _check_unchanged(blocks: Sequence[Block]) -> None:
    """Raise if a tensor does not lie any more where it was found. What follows is safe while
    somebody holds its storage."""
    for block in blocks:
        for member in block.members:
            tensor, buffer = member.wish.tensor, member.buffer
            if row_of(tensor) != buffer.format or tensor.data_ptr() != buffer.address:
                raise refusal(member.wish, _MEANWHILE)


def _replace(blocks: Sequence[Block], interface: Interface, n_failures: int) -> None:
    import torch

    empty: Any = torch.empty
    proofs: list[Proof] = []
    swaps: list[Swap] = []
    conversions: list[Conversion] = []
    proved: list[Member] = []
    for block in blocks:
        dtype = dtype_of(block.target)
        n_bytes = block.target.n_bytes(block.n_elements) if is_pairs(dtype) else 0
        size = n_bytes or block.n_elements
        if block.is_here:
            memory = empty(0, dtype=dtype)
            memory.set_(
                block.members[0].wish.tensor.untyped_storage(),
                *place_in_storage(block, size),
            )
        else:
            # no huge pages asked for: it takes the source's
            memory = empty(size, dtype=dtype, device="cpu")
        in_memory = memory.storage_offset()
        for member in block.members:
            tensor, buffer = member.wish.tensor, member.buffer
            offset = in_memory
            shape, strides = tuple(tensor.shape), tensor.stride()
            if is_pairs(dtype):
                shape = pairs_shape(logical_shape(tensor), "")
                strides = dense_strides(shape)
            elif buffer.packed:
                shape = buffer.shape
                strides = dense_strides(shape)
            else:
                offset += (buffer.extent[0] - block.begin) // buffer.itemsize
            new = empty(0, dtype=dtype)
            new.set_(memory.untyped_storage(), offset, shape, strides)
            old = empty(0, dtype=tensor.dtype)
            old.set_(
                tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride()
            )
            swaps.append(Swap(tensor, new, old))
        if block.obstacle is None and block.n_elements:
            aliases = len(block.members) * (2 if block.is_here else 1)  # old, and new here
            alone = interface.alone
            for member in block.members:
                gradient = interface.gradient if member.wish.is_gradient else 0
                proved.append(member)
                proofs.append(
                    Proof(
                        member.wish.tensor,
                        alone._replace(
                            tensor=alone.tensor + gradient,
                            storage=alone.storage + len(block.members) - 1 + aliases,
                        ),
                    )
                )
        if block.obstacle is not None and not numpy_is_counted():
            # an array may stand on the tensor itself, which then has to keep the memory
            for member in block.members:
                member.wish.tensor._tensorcast_kept = (  # type: ignore[attr-defined]
                    member.wish.tensor.untyped_storage()
                )
        conversions.append(
            Conversion(
                block.source,
                block.target,
                block.members[0].policy,
                block.members[0].buffer.packed,
                is_pairs(dtype),
                block.begin,
                block.begin if block.is_here else memory.data_ptr(),
                block.n_elements,
                releases=block.obstacle is None and not block.is_here,
                order=memory_order(block),
            )
        )
    del memory, new, old
    try:
        _check_unchanged(blocks)  # held by the swaps: whoever else converts is refused from here on
        held = replace_all(
            interface.functions, interface.setter, proofs, swaps, conversions, n_failures=n_failures
        )
    finally:
        swaps.clear()  # an error's traceback would go on holding the memory
    if held is not None:
        raise refusal(proved[held].wish, _MEANWHILE)
