"""Which values a cast that ran has lost: those out of range, and those that became 0."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from tensorcast.errors import TensorcastError
from tensorcast.formats import Format, lookup
from tensorcast.tensors import measure

if TYPE_CHECKING:
    import torch

    from tensorcast.loss import Loss


def loses(
    source: Any, target: Format | None, *, loss: Loss | None = None, is_told: bool = False
) -> dict[str, Any]:
    """How many finite values lie outside the target, the largest of them, and how many became 0.

    Args:
        loss: known already.
        is_told: the code itself says what becomes of values out of range.
    """
    if target is None:
        return {}
    if loss is None:
        if source.device.type != "cpu" or not _narrows_range(source.dtype, target):
            return {}
        try:
            loss = measure(source.detach(), target)
        except TensorcastError:
            return {}
    facts: dict[str, Any] = {"n_underflow": loss.n_underflow or 0, "n_looked_at": loss.n_elements}
    if not is_told and loss.n_overflow and loss.largest_overflow != float("inf"):
        facts.update(n_overflow=loss.n_overflow, largest=loss.largest_overflow)
    return facts


@cache
def format_of(dtype: torch.dtype) -> Format | None:
    try:
        return lookup(dtype)
    except TensorcastError:
        return None


@cache
def _narrows_range(source: torch.dtype, target: Format) -> bool:
    """Whether values of a float may lie outside the target; by the last bits of one of as many
    exponents, float32 to bfloat16, is not worth a reading."""
    row = format_of(source)
    if row is None or not row.is_float or target.is_complex:
        return False
    return target.max_exact * 256 <= row.max_exact
