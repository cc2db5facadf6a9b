"""The public casts of tensors: `cast`, `measure`, `can_cast`.

>>> import numpy as np
>>> import tensorcast as tc
>>> tc.cast(np.array([1.0, 2.5]), "float16")
array([1. , 2.5], dtype=float16)
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from .bridges import kind_of
from .formats import lookup
from .policy import Nan, Overflow, Policy, Rounding

if TYPE_CHECKING:
    from .loss import Loss

T = TypeVar("T")


def cast(
    x: T,
    to: object,
    *,
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    exact: bool = False,
    seed: int = 0,
    out: T | None = None,
    memory_format: Any = None,
    device: Any = None,
    report: bool = False,
) -> Any:
    """The tensor in another number format, of the same kind that came in."""
    bridge = _bridge(kind_of(x))
    policy = _policy(overflow, rounding, nan, exact, seed)
    result, loss = bridge.cast(
        x,
        lookup(to),
        policy,
        out=out,
        memory_format=memory_format,
        device=device,
        report=report,
    )
    return (result, loss) if report else result


def measure(
    x: object,
    to: object,
    *,
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    exact: bool = False,
    seed: int = 0,
) -> Loss:
    """What `cast` would lose, with nothing written; values never raise."""
    loss: Loss = _bridge(kind_of(x)).measure(
        x, lookup(to), _policy(overflow, rounding, nan, exact, seed)
    )
    return loss


def _bridge(kind: str) -> Any:
    if kind == "torch":
        from .bridges import torch as bridge
    else:
        from .bridges import numpy as bridge  # type: ignore[no-redef]
    return bridge


@lru_cache(maxsize=256, typed=True)
def _policy(
    overflow: Overflow, rounding: Rounding | None, nan: Nan, exact: bool, seed: int
) -> Policy:
    return Policy(overflow, rounding, nan, exact, seed)
