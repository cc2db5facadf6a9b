"""What of a profile is worth a change: a rule each, with what to write and what it saves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ...formats import FORMATS
from ...words.units import human_bytes, plural
from ..trace.findings import WRONG, Finding
from ..watch.holdings import storages_of
from .data import Candidate, TensorProfile
from .forward_run import Outcome
from .inventory import Held
from .judging import WEIGHTS, Kept, figure, holder

_WORTH: Final = 0.01  # of the parameters: less is not spoken of
_FEW_BYTES: Final = 1_000_000  # nor is less than this
_MANY: Final = 8  # overflows that are told one by one
_GOOD: Final = ("fits", "exact")


def findings_of(
    tensors: Sequence[TensorProfile],
    candidates: Sequence[Candidate],
    *,
    trains: bool,
    kept: Kept | None = None,
) -> list[Finding]:
    """Wrong values first, then what takes most. What `cast_` keeps in float32 is not advised."""
    kept = kept or {}
    found = [
        *_missing(tensors),
        *_overflows(tensors, kept.get("float16", {})),
        *_doubles(tensors),
        *_parts(tensors),
        *([] if trains else _wide(tensors, candidates, kept)),
    ]
    return sorted(found, key=_order)


def raised(outcome: Outcome) -> Finding:
    """What the forward raised, and where."""
    lines = str(outcome.error).splitlines()
    what = f"the forward raised {type(outcome.error).__name__}" + (f": {lines[0]}" if lines else "")
    return Finding(
        "raised", what, outcome.place, outcome.called_from, outcome.failed_in, "", 1, 0, 0.0,
        "correct it and profile again: the rest is what was seen before it", "",
    )  # fmt: skip


def _order(finding: Finding) -> tuple[int, int]:
    if finding.rule in WRONG:
        return WRONG.index(finding.rule), 0  # in the order in which they came
    return len(WRONG), -finding.n_bytes


def _of(
    one: TensorProfile, rule: str, what: str, n_bytes: int, instead: str, saves: str
) -> Finding:
    parameter = "" if one.role == "activation" else one.name
    return Finding(
        rule, what, one.place, one.called_from, one.module, parameter, one.count, n_bytes, 0.0,
        instead, saves,
    )  # fmt: skip


def _named(one: TensorProfile) -> str:
    if one.role == "gradient":
        return f"{one.name}'s gradient"
    return f"{one.name}'s output" if one.role == "activation" else one.name


_WHAT_TO_DO: Final = {
    "activation": "look here first: what is computed from it is wrong too",
    "input": "look at where the inputs come from: the outputs follow from them",
    "gradient": "skip the step, or scale the loss (torch.amp.GradScaler does both)",
}


def _missing(tensors: Sequence[TensorProfile]) -> list[Finding]:
    """NaN and infinities: in weights and inputs, and in the first output, which the next follow."""
    found = []
    follows = False
    for one in tensors:
        values = one.values
        if values is None or not (values.n_nan or values.n_inf):
            continue
        if one.role == "activation" and follows:
            continue
        if one.role in ("buffer", "input") and not values.n_nan:
            continue  # a mask of -inf
        follows = follows or one.role in ("activation", "input")
        n, kind = (values.n_nan, "NaN") if values.n_nan else (values.n_inf, "infinite")
        rule = "nan" if values.n_nan else "infinite"
        verb = "is" if n == 1 else "are"
        what = f"{n:,} of {plural(values.n_values, 'value')} of {_named(one)} {verb} {kind}"
        weights = "load the weights again, or look at the step that wrote them"
        instead = _WHAT_TO_DO.get(one.role, weights)
        found.append(_of(one, rule, what, one.n_bytes, instead, ""))
    return found


def _overflows(tensors: Sequence[TensorProfile], kept: Mapping[str, str]) -> list[Finding]:
    """What float16, the narrow format that people take first, cannot hold."""
    found = []
    for one in tensors:
        loss = one.losses.get("float16")
        if one.role in WEIGHTS and one.name in kept:
            continue
        if loss is None or loss.amax is None or loss.amax <= FORMATS["float16"].max:
            continue
        what = f"float16: {_named(one)} reaches {figure(loss.amax)}, beyond 65,504"
        held = holder(loss.amax)
        instead = f"{held} holds it; in float16 scale it down before" if held else "scale it down"
        half = one.n_bytes - FORMATS["bfloat16"].n_bytes(one.n_elements)
        saves = f"{human_bytes(half)}, in bfloat16" if held == "bfloat16" and half > 0 else ""
        found.append(_of(one, "overflow", what, one.n_bytes, instead, saves))
    rest = len(found) - _MANY
    if rest > 1:
        last = found[_MANY - 1]
        found[_MANY - 1 :] = [replace(last, what=f"{last.what}; and so do {rest} more after it")]
    return found


def _doubles(tensors: Sequence[TensorProfile]) -> list[Finding]:
    """float64 that takes memory: weights together, and the first outputs."""
    wide = [
        one
        for one in tensors
        if one.format in ("float64", "complex128") and one.n_elements > 1 and not one.shared_with
    ]
    found = []
    for roles, noun in ((WEIGHTS, "weight"), (("activation",), "output")):
        here = [one for one in wide if one.role in roles]
        if not here:
            continue
        first, n_bytes = here[0], sum(one.n_bytes for one in here)
        narrow = "float32" if first.format == "float64" else "complex64"
        what = f"{_named(first)} is {first.format}"
        if len(here) > 1:
            what = f"{plural(len(here), noun)} of {human_bytes(n_bytes)} are {first.format}, first "
            what += _named(first)
        instead = f"make it {narrow}: dtype=torch.{narrow}, or .to(torch.{narrow})"
        if noun == "output" and any(one.role in WEIGHTS for one in wide):
            instead = "it follows from the weights or inputs"
        finding = _of(first, "float64", what, n_bytes, instead, human_bytes(n_bytes // 2))
        found.append(replace(finding, parameter=_names(here) if noun == "weight" else ""))
    return found


def _wide(
    tensors: Sequence[TensorProfile], candidates: Sequence[Candidate], kept: Kept
) -> list[Finding]:
    """float32 weights that 16 bits hold."""
    every = [one for one in tensors if one.role in WEIGHTS and one.format == "float32"]
    fits = {c.total.target for c in candidates if c.of == "weights" and c.total.verdict in _GOOD}
    refused = {c.total.target for c in candidates if c.of == "activations" and c.total.n_overflow}
    best = next((x for x in ("bfloat16", "float16") if x in fits - refused), None)
    if best is None:
        return []
    stays = kept.get(best, {})
    wide = [one for one in every if one.name not in stays]
    n_bytes = sum(4 * one.n_elements for one in wide if not one.shared_with)
    if n_bytes < _FEW_BYTES:
        return []
    largest = max(wide, key=lambda one: one.n_bytes)
    share = f"{400 * largest.n_elements / n_bytes:.0f}%"
    what = f"{plural(len(wide), 'weight')} of {human_bytes(n_bytes)} in float32; {best} holds them"
    instead = f"for inference: tensorcast.cast_(model, {best!r}), in place"
    if len(wide) > 1:
        instead += f"; {largest.name} is {share} of it"
    if len(every) > len(wide):
        first = next(one.name for one in every if one.name in stays)
        n = len(every) - len(wide)
        instead += f"; it keeps {plural(n, 'tensor')} in float32: {first}"
        instead += f" and {n - 1:,} more" if n > 1 else ""
    return [_whole("wide", what, n_bytes, instead, human_bytes(n_bytes // 2))]


def _parts(tensors: Sequence[TensorProfile]) -> list[Finding]:
    """Slices that keep much more alive than they show."""
    found = []
    for one in tensors:
        row = FORMATS.get(one.format)
        shown = row.n_bytes(one.n_elements) if row else one.n_bytes
        hidden = one.n_bytes - shown
        if one.role in ("activation", "input") or hidden < max(shown, _FEW_BYTES):
            continue
        what = f"{_named(one)} of {human_bytes(shown)} keeps {human_bytes(one.n_bytes)} alive"
        instead = "it is a part of a larger tensor: .clone() it, then the rest is freed"
        found.append(_of(one, "kept", what, one.n_bytes, instead, human_bytes(hidden)))
    return found


def unread(
    held: Sequence[Held], tensors: Sequence[TensorProfile], storages: set[int]
) -> list[Finding]:
    """Parameters that the forward never read."""
    idle = [
        of
        for one, of in zip(held, tensors, strict=False)
        if one.role == "parameter" and of.n_bytes and storages_of([one.tensor]) & storages
    ]
    n_bytes = sum(one.n_bytes for one in idle)
    whole = sum(one.n_bytes for one in tensors if one.role == "parameter")
    if n_bytes < max(_FEW_BYTES, whole * _WORTH):
        return []
    what = f"{plural(len(idle), 'parameter')} of {human_bytes(n_bytes)} not read in this forward"
    instead = "leave them out where only this is run: del, or do not load them"
    finding = _whole("unread", what, n_bytes, instead, human_bytes(n_bytes))
    return [replace(finding, parameter=_names(idle))]


def _whole(rule: str, what: str, n_bytes: int, instead: str, saves: str) -> Finding:
    """Of the model, not of one module."""
    return Finding(rule, what, None, None, "", "", 1, n_bytes, 0.0, instead, saves)


def _names(tensors: Iterable[TensorProfile]) -> str:
    return ", ".join(one.name for one in tensors)
