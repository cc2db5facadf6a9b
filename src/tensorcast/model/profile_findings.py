"""What of a profile is worth a change: a rule each, with what to write and what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tensorcast.formats import FORMATS
from tensorcast.words.units import human_bytes, percent, plural

from .findings import Finding
from .forward_run import Outcome
from .judging import figure, holder
from .profile_data import Candidate, TensorProfile

_WEIGHTS: Final = ("parameter", "buffer", "tensor")
_WORTH: Final = 0.01  # of the model: less is not spoken of
_FIRST: Final = ("raised", "nan", "infinite", "overflow")


def findings_of(
    tensors: Sequence[TensorProfile], candidates: Sequence[Candidate], *, trains: bool
) -> list[Finding]:
    """Wrong values first, then what takes most."""
    found = [
        *_missing(tensors),
        *_overflows(tensors),
        *_doubles(tensors),
        *([] if trains else _wide(tensors, candidates)),
    ]
    return sorted(found, key=_order)


def raised(outcome: Outcome) -> Finding:
    """What the forward raised, and where."""
    lines = str(outcome.error).splitlines()
    what = f"the forward raised {type(outcome.error).__name__}" + (f": {lines[0]}" if lines else "")
    return Finding(
        "raised", what, outcome.place, outcome.called_from, outcome.failed_in, "", 1, 0, 0.0,
        "the rest is what was seen before it", "",
    )  # fmt: skip


def _order(finding: Finding) -> tuple[int, int]:
    if finding.rule in _FIRST:
        return _FIRST.index(finding.rule), 0  # in the order in which they came
    return len(_FIRST), -finding.n_bytes


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


def _missing(tensors: Sequence[TensorProfile]) -> list[Finding]:
    """The first output with NaN or infinities in it, where all before are finite; and weights."""
    found = []
    spread = False
    for one in tensors:
        values = one.values
        if values is None or not (values.n_nan or values.n_inf):
            continue
        if one.role == "activation":
            if spread:
                continue  # it follows from the first
            spread = True
        n, kind = (values.n_nan, "NaN") if values.n_nan else (values.n_inf, "infinite")
        rule = "nan" if values.n_nan else "infinite"
        what = f"{n:,} of {plural(values.n_values, 'value')} of {_named(one)} are {kind}"
        instead = "look here first: what comes after it is no number either"
        if one.role != "activation":
            instead = "load the weights again, or look at the step that wrote them"
        if one.role == "gradient":
            instead = "skip the step, or scale the loss (torch.amp.GradScaler does both)"
        found.append(_of(one, rule, what, one.n_bytes, instead, "numbers"))
    return found


def _overflows(tensors: Sequence[TensorProfile]) -> list[Finding]:
    """What float16, the narrow format that people take first, cannot hold."""
    found = []
    for one in tensors:
        loss = one.losses.get("float16")
        if loss is None or loss.amax is None or loss.amax <= FORMATS["float16"].max:
            continue
        what = f"float16: {_named(one)} reaches {figure(loss.amax)}, beyond 65,504"
        held = holder(loss.amax)
        instead = f"{held} holds it; in float16 scale it down before" if held else "scale it down"
        half = one.n_bytes - FORMATS["bfloat16"].n_bytes(one.n_elements)
        saves = f"{human_bytes(half)}, in bfloat16" if held == "bfloat16" and half > 0 else ""
        found.append(_of(one, "overflow", what, one.n_bytes, instead, saves))
    return found


def _doubles(tensors: Sequence[TensorProfile]) -> list[Finding]:
    """float64 that takes memory."""
    found = []
    for one in tensors:
        if one.format not in ("float64", "complex128") or one.n_elements < 2 or one.shared_with:
            continue
        if one.role not in (*_WEIGHTS, "activation"):
            continue
        narrow = "float32" if one.format == "float64" else "complex64"
        what = f"{_named(one)} is {one.format}"
        half = one.n_bytes // 2
        found.append(
            _of(
                one, "float64", what, one.n_bytes, f"make it {narrow}: dtype=torch.{narrow}",
                human_bytes(half),
            )
        )  # fmt: skip
    return found


def _wide(tensors: Sequence[TensorProfile], candidates: Sequence[Candidate]) -> list[Finding]:
    """float32 weights that 16 bits hold."""
    wide = [
        one
        for one in tensors
        if one.role in _WEIGHTS and one.format == "float32" and not one.shared_with
    ]
    n_bytes = sum(one.n_bytes for one in wide)
    if not n_bytes:
        return []
    fits = {
        c.total.target: c
        for c in candidates
        if c.of == "weights" and c.total.verdict in ("fits", "exact")
    }
    refused = {c.total.target for c in candidates if c.of == "activations" and c.total.n_overflow}
    best = next((x for x in ("bfloat16", "float16") if x in fits and x not in refused), None)
    if best is None:
        return []
    largest = max(wide, key=lambda one: one.n_bytes)
    share = percent(largest.n_bytes, n_bytes)
    what = f"{plural(len(wide), 'weight')} of {human_bytes(n_bytes)} are float32; {best} holds them"
    return [
        Finding(
            "wide", what, None, None, "", "", 1, n_bytes, 0.0,
            f"for inference: tensorcast.cast_(model, {best!r}), in place; the largest is "
            f"{largest.name}, {share} of it",
            human_bytes(n_bytes // 2),
        )
    ]  # fmt: skip
