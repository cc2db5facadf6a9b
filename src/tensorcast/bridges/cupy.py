"""CuPy arrays, which live on a GPU: over memory there, or sent there where a device is named."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ..buffer import Buffer
from ..errors import CastError
from ..formats import Format, lookup
from .memory import as_numpy
from .protocol import Demands, Fit
from .protocol import load as library

DEMANDS: Final = Demands("CuPy", "cupy.ndarray", "cupy", devices=("cuda",), alignment=1)


def load() -> Any:
    """Import CuPy."""
    return library("cupy")


def is_own(x: object) -> bool:
    """Whether an object is a CuPy array."""
    return isinstance(x, load().ndarray)


def described(x: Any) -> tuple[Format, tuple[int, ...], str]:
    """Format, shape and device."""
    return lookup(x.dtype), tuple(x.shape), f"cuda:{x.device.id}"


def fit(row: Format, shape: tuple[int, ...]) -> Fit:  # noqa: ARG001
    """NumPy's formats, and of ml_dtypes' those that this CuPy knows."""
    cupy = load()
    if not cupy.is_available():
        return Fit(lacks="CuPy finds no CUDA device")
    if "numpy" in row.spellings or _has(row.name):
        return Fit()
    return Fit(lacks=f"CuPy {cupy.__version__} has no {row.name}; cast to float32 or float16")


def inferred(row: Format) -> tuple[Format, ...]:
    """What NumPy infers."""
    return (row,)


def wrap(buffer: Buffer) -> Any:
    """An array on the current device, with the CPU's elements in it."""
    array = as_numpy(buffer)
    if "numpy" in buffer.format.spellings:
        return load().asarray(array)
    codes = array.view(f"u{buffer.itemsize}")
    return load().asarray(codes).view(array.dtype)


def from_torch(tensor: Any) -> Any:
    """An array on a tensor's memory, on its device."""
    import torch

    from .memory import numpy_dtype

    row = lookup(tensor.dtype)
    if "numpy" in row.spellings:
        return load().from_dlpack(tensor)
    codes = tensor.view(torch.uint8 if row.container_bits == 8 else torch.int16)
    return load().from_dlpack(codes).view(numpy_dtype(row.name))


def device_name(device: Any) -> str:
    """ "cuda:0", of a number, a name or a cupy.cuda.Device."""
    return f"cuda:{_number(device)}"


def send(x: Any, device: Any) -> Any:
    """The array on another device."""
    cupy = load()
    number = _number(device)
    if x.device.id == number:
        return x
    with cupy.cuda.Device(number):
        return cupy.asarray(x)


def _number(device: Any) -> int:
    number = getattr(device, "id", device)
    if isinstance(number, str):
        kind, _, index = number.partition(":")
        if kind not in ("cuda", "gpu") or not (index or "0").isdigit():
            raise CastError(f"device={device!r} is none of CuPy's: a number, or cuda:0")
        return int(index or 0)
    if not isinstance(number, int):
        raise CastError(f"device={device!r} is none of CuPy's: a number, or cuda:0")
    return number


@cache
def _has(name: str) -> bool:
    from .memory import numpy_dtype

    try:
        load().empty((0,), numpy_dtype(name))
    except (TypeError, ValueError):
        return False
    return True
