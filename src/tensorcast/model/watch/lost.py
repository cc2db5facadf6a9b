"""Which values a cast that ran has lost: those out of range, and those that became 0."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ...api.casts import measure
from ...errors import TensorcastError
from ...formats import Format, lookup

if TYPE_CHECKING:
    import torch

    from ...core.loss import Loss


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
        row = format_of(source.dtype)
        if source.device.type != "cpu" or row is None or not _narrows(row, target):
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
def narrows_range(source: torch.dtype, target: torch.dtype) -> bool:
    """Whether values of a float may lie outside the target; by the last bits of one of as many
    exponents, float32 to bfloat16, is not worth a reading."""
    row, to = format_of(source), format_of(target)
    return row is not None and to is not None and _narrows(row, to)


def _narrows(row: Format, to: Format) -> bool:
    return row.is_float and not to.is_complex and to.max_exact * 256 <= row.max_exact
