"""What a module, a dict or a tensor has that is to be converted, and to which format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..formats import Format
from .blocks import Wish

if TYPE_CHECKING:
    import torch


def with_gradient(name: str, tensor: torch.Tensor, target: Format) -> list[Wish]:
    """The wish for a tensor, and for its `.grad`."""
    wishes = [Wish(name, tensor, target)]
    gradient = tensor.grad if tensor.is_leaf else None
    if gradient is not None:
        wishes.append(Wish(f"{name}.grad", gradient, target, is_gradient=True))
    return wishes
