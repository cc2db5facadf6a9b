"""One tensor looked at: its size, its values, and what each candidate format would make of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...core.refusal import format_that_holds
from ...core.totals import total
from ...errors import TensorcastError
from ...formats import FORMATS, lookup
from ...words.units import human_bytes
from ..watch.holdings import Holdings, is_lazy
from ..watch.operators import dtype_name
from .data import Candidate, Size, TensorProfile
from .int8_rows import BY_ROW, SCALE, measure_rows, scale_bytes
from .inventory import Held
from .value_reading import values_of

if TYPE_CHECKING:
    from ...core.loss import Loss
    from ...formats import Format
    from .value_ranges import Values

_JUDGED = ("parameter", "buffer", "tensor", "gradient", "activation")
WEIGHTS = ("parameter", "buffer", "tensor")


def judged(held: Held, holdings: Holdings, index: int, rows: Sequence[Format]) -> TensorProfile:
    """A tensor with everything known of it."""
    tensor = held.tensor
    if is_lazy(tensor):
        return TensorProfile(
            held.name, held.role, held.module, held.kind, "", (), 0, 0, str(tensor.device),
            note="has no shape before the model first runs",
        )  # fmt: skip
    n_bytes, shared = holdings.add(tensor, held.name, index)
    values, losses, note = (None, {}, "") if shared else look(tensor, held.role, rows)
    return TensorProfile(
        name=held.name,
        role=held.role,
        module=held.module,
        kind=held.kind,
        format=format_name(tensor),
        shape=() if tensor.is_nested else tuple(tensor.shape),
        n_elements=tensor.numel(),
        n_bytes=n_bytes,
        device=str(tensor.device),
        shared_with=shared,
        note=note,
        values=values,
        losses=losses,
    )


def with_hidden(one: TensorProfile, hidden: int) -> TensorProfile:
    """The tensor with the rest of its storage, which it keeps alive; a forward's input is left, as
    what it is cut out of is no matter of the model's."""
    if not hidden or one.role == "input":
        return one
    note = f"a part of {human_bytes(one.n_bytes + hidden)}, all of which it keeps alive"
    return replace(one, n_bytes=one.n_bytes + hidden, note=one.note or note)


def look(
    tensor: Any, role: str, rows: Sequence[Format]
) -> tuple[Values | None, dict[str, Loss], str]:
    """(values, candidate -> loss, why there are none) of a tensor."""
    import torch

    if tensor.device.type == "meta":
        return None, {}, "no values: on the meta device"
    kind = type(tensor)
    if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return None, {}, f"not understood: a {kind.__name__}"
    if tensor.is_nested:
        return None, {}, "not understood: nested"
    if tensor.is_quantized:
        return None, {}, f"not understood: quantized, {tensor.qscheme()}"
    if tensor.layout is torch.strided:
        part, note = tensor, ""
    elif tensor.layout is torch.sparse_coo:
        part, note = tensor._values(), "sparse: its stored values"
    elif hasattr(tensor, "values") and not tensor.is_mkldnn:
        part, note = tensor.values(), "sparse: its stored values"
    else:
        return None, {}, f"not understood: {tensor.layout}"
    try:
        values = values_of(part)
        return values, _losses(part, role, rows), note
    except Exception as error:  # a tensor of somebody's own: what it cannot do is theirs
        lines = str(error).splitlines() or [type(error).__name__]
        return None, {}, f"not understood: {lines[0]}"


def _losses(tensor: Any, role: str, rows: Sequence[Format]) -> dict[str, Loss]:
    from ...bridges.torch.plain import measure
    from ...bridges.torch.tensor import format_of
    from ...policy import Policy

    source = format_of(tensor)
    if role not in _JUDGED or not source.is_float or not tensor.numel():
        return {}
    saturating = Policy(overflow="saturate", nan="zero")  # as `checkpoint.stats` measures
    losses = {}
    for row in rows:
        if row == source or row.bits > source.bits:
            continue  # nothing to gain
        if row.name == "int8" and (role not in WEIGHTS or source.bits <= 8):
            continue
        losses[row.name] = measure(tensor, row, saturating)
        if row.name == "int8" and tensor.dim() > 1:
            losses[BY_ROW] = measure_rows(tensor)
    return losses


def format_name(tensor: Any) -> str:
    """The number format's name; torch's dtype where it is none of ours."""
    try:
        return lookup(tensor.dtype).name
    except TensorcastError:
        return dtype_name(tensor.dtype)


def sizes_of(tensors: Iterable[TensorProfile]) -> tuple[Size, ...]:
    """Bytes by role, module, format and device, in the order in which they are first seen."""
    found: dict[tuple[object, ...], Size] = {}
    for one in tensors:
        if one.role == "activation":
            continue  # what of them is alive at the peak is counted there
        key = (one.role, one.module, one.format, one.device)
        known = found.get(key) or Size(one.role, one.module, one.kind, one.format, one.device, 0, 0)
        n_tensors = known.n_tensors + (not one.shared_with)
        found[key] = replace(known, n_tensors=n_tensors, n_bytes=known.n_bytes + one.n_bytes)
    return tuple(found.values())


Kept = Mapping[str, Mapping[str, str]]
"""Format -> names of the weights that `cast_` keeps in float32 when it casts to it, and why."""


def candidates_of(
    tensors: Sequence[TensorProfile], rows: Sequence[Format], kept: Kept
) -> list[Candidate]:
    """A verdict on each format for the weights together, the gradients and the activations; what
    `cast_` keeps in float32 is no part of it."""
    found = []
    groups = (
        ("weights", WEIGHTS),
        ("gradients", ("gradient",)),
        ("activations", ("activation",)),
    )
    for of, roles in groups:
        measured = {one.name: one for one in tensors if one.role in roles and one.losses}
        for row in rows:
            for key in (row.name, *[BY_ROW] * (row.name == "int8")):
                losses = {
                    name: one.losses[key]
                    for name, one in measured.items()
                    if key in one.losses
                    and not (of == "weights" and name in kept.get(row.name, {}))
                }
                if losses:
                    found.append(_candidate(of, row, key, losses, measured))
    return found


def _candidate(
    of: Any,
    row: Format,
    key: str,
    losses: Mapping[str, Loss],
    measured: Mapping[str, TensorProfile],
) -> Candidate:
    sums = total(row.name, losses)
    before = sum(_n_bytes(measured[name]) for name in losses)
    after = sum(row.n_bytes(measured[name].n_elements) for name in losses)
    if key == BY_ROW:
        after += sum(scale_bytes(measured[name].shape) for name in losses)
    sentence = sums.sentence()
    if sums.n_overflow and not sums.collapsing:
        sentence = f"{reaches(measured[sums.overflowing[0]], key)}, overflows"
        holding = holder(sums.amax)
        if holding:
            sentence += f"; {holding} holds it"
    return Candidate(of, sums, before, after, sentence, SCALE if key == BY_ROW else "")


def reaches(one: TensorProfile, candidate: str) -> str:
    """ "layer 35's output reaches 71,000"."""
    loss = one.losses[candidate]
    amax = loss.amax if loss.amax is not None else float("inf")
    whose = f"{one.name}'s output" if one.role == "activation" else one.name
    return f"{whose} reaches {figure(amax)}"


def holder(amax: float | None) -> str:
    """The 16-bit format that holds a magnitude, or float32; "" where none does."""
    if amax is None:
        return ""
    if amax <= FORMATS["float16"].max:
        return "float16"
    holds = format_that_holds(FORMATS["float16"], -amax, amax)
    return holds.name if holds and holds.bits <= 32 else ""


def figure(value: float) -> str:
    """A magnitude as people write it: 71,000, 0.25, 3.4e+38."""
    from ...words.units import number

    return f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else number(value)


def _n_bytes(one: TensorProfile) -> int:
    row = FORMATS.get(one.format)
    return row.n_bytes(one.n_elements) if row else one.n_bytes
