"""torch tensors as memory: seen, and made over memory."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from ...buffer import Buffer
from ...errors import CastError
from ...formats import Format
from .. import is_torch
from ..memory import as_torch
from ..protocol import Demands, Fit
from ..protocol import load as library
from .pairs import is_pairs, pairs_shape
from .tensor import dtype_of, torch_device

DEMANDS: Final = Demands("torch", "torch.Tensor", "torch", devices=(), whole=True, writable=True)


def load() -> None:
    """Import torch."""
    library("torch")


def is_own(x: object) -> bool:
    """Whether an object is a tensor."""
    return is_torch(x)


@lru_cache(maxsize=1024)
def fit(row: Format, shape: tuple[int, ...]) -> Fit:
    """Formats that torch has; float4_e2m1fn in pairs."""
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
    return str(torch_device(device))
