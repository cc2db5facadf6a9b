"""Refuses casts, transfers and the like at the line that does them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ...errors import ForbiddenError
from .modes import modes
from .recorder import Recorder
from .sites import Site, What

KINDS: Final = ("cast", "promotion", "transfer", "synchronisation", "float64")


def _refused(what: What, site: Site) -> ForbiddenError:
    at = f" at {what.place}" if what.place else ""
    if what.called_from is not None:
        at += f", called from {what.called_from}"
    inside = f" in {what.module}" if what.module else ""
    name = f" of {what.parameter}" if what.parameter else ""
    return ForbiddenError(
        f"{what.kind}{name} {_change(what)} {list(site.shape)}{at}{inside}: forbidden here", what
    )


@contextmanager
def forbid(*kinds: str, model: Any = None) -> Iterator[None]:
    """Raises at the first line inside that does what is forbidden, before the next one runs.

    Args:
        *kinds: of "cast" (every one but to float64, which is its own), "promotion", "transfer",
            "synchronisation", "float64" (a float64 tensor out of others, by whatever way); none:
            all of them. What torch's own optimizers and scalers convert of a single number is none.
        model: whose modules and parameters are named.

    Raises:
        ForbiddenError: from the operation itself, so that a debugger stops there.
        ValueError: no such kind.

    Example:
        >>> import torch, tensorcast
        >>> with tensorcast.model.forbid("float64"):
        ...     y = torch.ones(3).half()
        ...     try:
        ...         torch.ones(3) * torch.ones(3, dtype=torch.float64)
        ...     except tensorcast.errors.ForbiddenError as error:
        ...         print(error.what.kind, error.what.target)
        float64 float64
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}")
    chosen = set(kinds or KINDS)

    def judge(what: What, site: Site) -> None:
        if site.is_torchs_own and what.kind != "synchronisation":
            return
        makes_float64 = what.target == "float64" and what.kind in ("cast", "promotion", "float64")
        kind = "float64" if makes_float64 else what.kind
        if kind in chosen or what.kind in chosen:
            raise _refused(what, site)

    operations, methods = modes(
        Recorder(model, values=False, on_event=judge, lets_out=(ForbiddenError,))
    )
    with methods, operations:
        yield


def _change(what: What) -> str:
    if what.kind == "transfer":
        return f"{what.source_device} -> {what.target_device}"
    return f"{what.source} -> {what.target}"
