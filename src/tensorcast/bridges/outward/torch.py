"""Torch tensors over memory."""

from __future__ import annotations

from typing import Any

from ...buffer import Buffer
from ...errors import CastError
from ...formats import Format
from .. import is_torch
from ..memory import as_torch
from .fit import Fit


def load() -> None:
    """Import torch."""
    from . import load

    load("torch")


def is_own(x: object) -> bool:
    """Whether an object is a tensor."""
    return is_torch(x)


def fit(row: Format, shape: tuple[int, ...]) -> Fit:
    """Formats that torch has; float4_e2m1fn in pairs."""
    from ..torch.pairs import is_pairs, pairs_shape
    from ..torch.tensor import dtype_of

    try:
        if is_pairs(dtype_of(row)):
            pairs_shape(shape, "tensorcast.to_numpy keeps a byte for each")
    except CastError as error:
        return Fit(lacks=str(error))
    return Fit()


def wrap(buffer: Buffer) -> Any:
    """A tensor on the memory."""
    return as_torch(buffer)


def device_name(device: Any) -> str:
    """torch's own name, with its index."""
    from ..torch.tensor import torch_device

    return str(torch_device(device))
