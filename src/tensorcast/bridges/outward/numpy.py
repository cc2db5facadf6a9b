"""NumPy arrays over memory."""

from __future__ import annotations

from typing import Any

from ...buffer import Buffer
from ...errors import CastError
from ...formats import Format
from ..memory import as_numpy
from .fit import Fit


def load() -> None:
    """NumPy is always there."""


def is_own(_x: object) -> bool:
    """What is an array is seen as one: nothing is gained by not looking at it."""
    return False


def fit(row: Format, shape: tuple[int, ...]) -> Fit:  # noqa: ARG001
    """Its own formats and ml_dtypes'."""
    from ..numpy import dtype_of

    try:
        dtype_of(row)
    except CastError as error:
        return Fit(lacks=str(error))
    return Fit()


def inferred(row: Format) -> tuple[Format, ...]:
    """What NumPy infers."""
    return (row,)


def wrap(buffer: Buffer) -> Any:
    """An array on the memory."""
    return as_numpy(buffer)


def device_name(device: Any) -> str:
    """NumPy knows "cpu" only; another name is refused by the verdict."""
    return str(device)
