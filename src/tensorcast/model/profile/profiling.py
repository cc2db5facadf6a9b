"""What a model's tensors take and hold, and what other formats would make of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...bridges import is_numpy, is_torch
from ...bridges.protocol import load
from ...checkpoint.work import losses
from ...errors import CastError
from ...formats import lookup
from ...inplace.kept import kept_in_float32
from ..watch.holdings import Holdings, storages_of
from .alive import sizes_at_peak, work_space
from .data import TensorProfile
from .findings import findings_of, raised, unread
from .forward_run import Forward, Outcome
from .inventory import Held, not_opened, of_inputs, of_model, of_optimizer, of_tensors
from .judging import Kept, candidates_of, judged, sizes_of, with_hidden
from .result import Profile

if TYPE_CHECKING:
    from ...formats import Format

CANDIDATES: Final = (*losses.CANDIDATES, "int8")


def profile(
    model: Any,
    *inputs: Any,
    optimizer: Any = None,
    candidates: Sequence[Format | str] = CANDIDATES,
    **keywords: Any,
) -> Profile:
    """Bytes by module and format, ranges and exponents of every tensor, and a verdict on each
    candidate format, findings first.

    With inputs (positional or keyword, as the model takes them) the model runs once, as it is: in
    its training or evaluation mode, under the caller's `torch.no_grad()` or autocast. Then the
    activations alive at the peak are counted too, and each module's output is looked at. Nothing of
    the model changes but what its own forward changes.

    An exception of the model's forward does not get out: what was seen before it is in the
    profile, the exception in `Profile.error`, and it is the first finding.

    Args:
        model: a torch.nn.Module, a state dict (names to tensors, nested too), or a tensor; on the
            meta device too, where values are not known.
        inputs: of the model's forward.
        optimizer: whose state is counted too.
        candidates: formats to judge, by any spelling; int8 of weights as a plain cast,
            and of those in two dimensions or more also with a scale for each row.
        keywords: of the model's forward.

    Raises:
        MissingLibraryError: torch is not installed.
        CastError: the model is none of these, or has inputs and no forward; the optimizer is none;
            or its forward has a parameter called `optimizer` or `candidates`, and that keyword is
            given (pass the model's by position).
        FormatError: no format is called so.

    Example:
        >>> import torch, tensorcast
        >>> layer = torch.nn.Linear(1000, 10)
        >>> with torch.no_grad():
        ...     _ = layer.weight.fill_(1e5)
        >>> p = tensorcast.profile(layer)
        >>> p.n_bytes_of("parameter")
        40040
        >>> print(p.findings[0].what)
        float16: weight reaches 100,000, beyond 65,504
    """
    begin = time.perf_counter()
    torch = load("torch")
    rows = [lookup(candidate) for candidate in candidates]
    runs = bool(inputs or keywords)
    given_keywords = {
        "optimizer": optimizer is not None,
        "candidates": candidates is not CANDIDATES,
    }
    _refuse_collision(model, len(inputs), given_keywords)
    name = _name_of(model, runs)
    outcome: Outcome | None = None
    given = of_inputs(inputs, keywords)
    if runs:
        before = [*_held(model, optimizer), *given]  # kept, so that no storage is another's later
        outcome = Forward(model, storages_of(one.tensor for one in before), rows).run(
            inputs, keywords
        )
    held = _held(model, optimizer)  # after the forward: lazy modules have their shapes now
    holdings = Holdings()
    tensors = [judged(one, holdings, i, rows) for i, one in enumerate([*held, *given])]
    tensors = [with_hidden(one, holdings.hidden.get(i, 0)) for i, one in enumerate(tensors)]
    sizes = [*sizes_of(tensors)]
    if outcome is not None:
        sizes += sizes_at_peak(outcome.alive)
        if outcome.peak is not None:
            sizes += work_space(outcome.peak)
        tensors += outcome.outputs
    kept = _kept(model, rows)
    found = candidates_of(tensors, rows, kept)
    trains = optimizer is not None or any(one.role == "gradient" for one in tensors)
    findings = findings_of(tensors, found, trains=trains, kept=kept)
    if outcome is not None and outcome.error is not None:
        findings.insert(0, raised(outcome))
    elif outcome is not None and outcome.peak is not None:
        findings += unread(held, tensors, outcome.unread)
    return Profile(
        model=name,
        torch=torch.__version__,
        has_inputs=runs,
        with_grad=runs and torch.is_grad_enabled(),
        tensors=tuple(tensors),
        sizes=tuple(sizes),
        peak=outcome.peak if outcome else None,
        candidates=tuple(found),
        findings=tuple(findings),
        notes=tuple(_notes(model, optimizer, tensors, kept)),
        error=outcome.error if outcome else None,
        seconds=time.perf_counter() - begin,
    )


def grad_mode(enabled: bool) -> Any:
    """The block inside which gradients are on or off."""
    import torch

    return torch.set_grad_enabled(enabled)


def _name_of(model: Any, runs: bool) -> str:
    """What the model is called.

    Raises:
        CastError: it is none, or cannot be run.
    """
    kind = type(model).__name__
    if hasattr(model, "named_modules") and not isinstance(model, type):
        return kind
    if isinstance(model, type) and hasattr(model, "named_modules"):
        raise CastError(
            f"model is the class {model.__name__}; make one of it: {model.__name__}(...)"
        )
    if runs:
        raise CastError(f"model is of type {kind}, which has no forward to give the inputs to")
    if is_torch(model) or is_numpy(model):
        return "tensor"
    return "state dict" if isinstance(model, Mapping) else kind


def _held(model: Any, optimizer: Any) -> list[Held]:
    """Every tensor of the model and its optimizer."""
    held = of_model(model) if hasattr(model, "named_modules") else of_tensors(model)
    return held + of_optimizer(optimizer, held) if optimizer is not None else held


def _refuse_collision(model: Any, n_inputs: int, given: Mapping[str, bool]) -> None:
    """Where a keyword that was given is also a parameter of the model's forward.

    Raises:
        CastError: it is, and the forward does not get its own by position.
    """
    import inspect

    try:
        parameters = list(inspect.signature(model.forward).parameters)
    except (TypeError, ValueError, AttributeError):
        return
    for name, is_given in given.items():
        if is_given and name in parameters[n_inputs:]:
            raise CastError(
                f"{name} is a parameter of {type(model).__name__}.forward and of "
                "tensorcast.profile; pass the model's by position, and tensorcast's by keyword"
            )


def _kept(model: Any, rows: Sequence[Format]) -> Kept:
    """By candidate, what `cast_` of the model keeps in float32."""
    if not hasattr(model, "named_modules"):
        return {}
    return {row.name: kept_in_float32(model, row) for row in rows}


def _notes(model: Any, optimizer: Any, tensors: Sequence[TensorProfile], kept: Kept) -> list[str]:
    """What could not be seen and what a cast keeps in float32, by reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in {k: v for names in kept.values() for k, v in names.items()}.items():
        reasons.setdefault(f"cast_ keeps it in float32 ({reason})", []).append(name)
    if hasattr(model, "named_modules"):
        for name in not_opened(model):
            reasons.setdefault("not understood: an object of torch's C++", []).append(name)
    for one in tensors:
        if one.note and not one.note.startswith("sparse"):
            reasons.setdefault(one.note, []).append(one.name)
    notes = []
    if optimizer is not None and not any(one.role == "optimizer" for one in tensors):
        notes.append("the optimizer has no state yet: it is made in the first step")
    return notes + [
        f"{note}: {names[0]}" + (f" and {len(names) - 1:,} more" if len(names) > 1 else "")
        for note, names in reasons.items()
    ]
