"""What a model's tensors take and hold, and what other formats would make of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tensorcast.bridges import is_numpy, is_torch
from tensorcast.checkpoint import stats
from tensorcast.errors import CastError
from tensorcast.formats import lookup

from .holdings import Holdings
from .inventory import Held, of_model, of_optimizer, of_tensors
from .judging import candidates_of, judged, sizes_of
from .profile_data import Profile
from .profile_findings import findings_of

if TYPE_CHECKING:
    from tensorcast.formats import Format

CANDIDATES: Final = (*stats.CANDIDATES, "int8")


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
        candidates: formats to judge, by any spelling; int8 stands for weights scaled by row.
        keywords: of the model's forward.

    Raises:
        CastError: the model is none of these, or has inputs and no forward; the optimizer is none;
            or the forward has a parameter called `optimizer` or `candidates` (pass it by position).
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
    rows = [lookup(candidate) for candidate in candidates]
    held, name = _held(model, bool(inputs or keywords))
    if optimizer is not None:
        held += of_optimizer(optimizer, held)
    holdings = Holdings()
    tensors = [judged(one, holdings, i, rows) for i, one in enumerate(held)]
    found = candidates_of(tensors, rows)
    import torch

    trains = optimizer is not None or any(one.role == "gradient" for one in tensors)
    return Profile(
        model=name,
        torch=torch.__version__,
        has_inputs=bool(inputs or keywords),
        with_grad=False,
        tensors=tuple(tensors),
        sizes=sizes_of(tensors),
        peak=None,
        candidates=tuple(found),
        findings=tuple(findings_of(tensors, found, trains=trains)),
        notes=(),
        seconds=time.perf_counter() - begin,
    )


def grad_mode(enabled: bool) -> Any:
    """The block inside which gradients are on or off."""
    import torch

    return torch.set_grad_enabled(enabled)


def _held(model: Any, runs: bool) -> tuple[list[Held], str]:
    """Every tensor of the model, and what it is called."""
    if hasattr(model, "named_modules"):
        return of_model(model), type(model).__name__
    if runs:
        kind = type(model).__name__
        raise CastError(f"model is of type {kind}, which has no forward to give the inputs to")
    name = "tensor" if is_torch(model) or is_numpy(model) else "state dict"
    if isinstance(model, Mapping) or name == "tensor":
        return of_tensors(model), name
    return of_tensors(model), type(model).__name__
