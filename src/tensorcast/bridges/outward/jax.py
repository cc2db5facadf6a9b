"""JAX arrays over memory.

`jax.device_put` of a NumPy array stands on it where it is aligned to 64 bytes and in C order, for
every dtype of a byte and more; JAX never writes to such memory, not to donate it either.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ...buffer import Buffer
from ...errors import CastError
from ...formats import FORMATS, Format, lookup
from ..memory import as_numpy
from .fit import Fit

_NARROW: Final = {
    "int64": "int32",
    "uint64": "uint32",
    "float64": "float32",
    "complex128": "complex64",
}


def load() -> Any:
    """Import JAX."""
    from . import load

    return load("jax")


def is_own(x: object) -> bool:
    """Whether an object is a JAX array with values."""
    jax = load()
    return isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)


def described(x: Any) -> tuple[Format, tuple[int, ...], str]:
    """Format, shape and device; "several devices" where it is spread."""
    devices = x.sharding.device_set
    where = device_name(next(iter(devices))) if len(devices) == 1 else "several devices"
    return lookup(x.dtype), tuple(x.shape), where


def fit(row: Format, shape: tuple[int, ...]) -> Fit:  # noqa: ARG001
    """64 bits only with jax_enable_x64, which JAX would cut to 32 in silence."""
    jax = load()
    if row.name in _NARROW and not jax.config.jax_enable_x64:
        return Fit(
            lacks=f"JAX has no {row.name} while jax_enable_x64 is off: call "
            'jax.config.update("jax_enable_x64", True), or pass '
            f'dtype="{_NARROW[row.name]}"'
        )
    if row.bits < 8 and row.kind != "bool":
        lacks = _lacks(row.name)
        return Fit(lacks=lacks) if lacks else Fit(remade=f"JAX keeps {row.name} its own way")
    return Fit()


def inferred(row: Format) -> tuple[Format, ...]:
    """32 bits while jax_enable_x64 is off."""
    if row.name in _NARROW and not load().config.jax_enable_x64:
        return (FORMATS[_NARROW[row.name]],)
    return (row,)


def wrap(buffer: Buffer) -> Any:
    """An array on the memory, on the CPU whatever JAX's default device is."""
    jax = load()
    with jax.ensure_compile_time_eval():  # a constant, where this is called inside of jit
        made = jax.device_put(as_numpy(buffer, writable=False), jax.devices("cpu")[0])
    return made.block_until_ready()  # a copy would be made later, from memory that may change


def from_torch(tensor: Any) -> Any:
    """An array on a tensor's memory, on its device."""
    return load().dlpack.from_dlpack(tensor)


def device_name(device: Any) -> str:
    """ "cpu" for the first CPU device, else platform and number; a GPU is "cuda", as torch's."""
    found = _device(device)
    platform = "cuda" if found.platform in ("gpu", "cuda", "rocm") else found.platform
    return platform if platform == "cpu" and found.id == 0 else f"{platform}:{found.id}"


def send(x: Any, device: Any) -> Any:
    """The array on another device."""
    return load().device_put(x, _device(device))


def _device(device: Any) -> Any:
    jax = load()
    if not isinstance(device, str):
        if isinstance(device, jax.Device):
            return device
        raise CastError(f"device={device!r} is not a jax.Device or the name of one")
    platform, _, number = device.partition(":")
    try:
        return jax.devices(platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError) as error:
        raise CastError(f"device={device!r} cannot be used: {error}") from None


@cache
def _lacks(name: str) -> str:
    """Why XLA's CPU has no arrays of a format, tried out; or ""."""
    import numpy as np

    from ..fresh import numpy_dtype

    jax = load()
    try:
        codes = jax.device_put(np.zeros(2, numpy_dtype(name)), jax.devices("cpu")[0])
        (codes == codes).block_until_ready()
    except (RuntimeError, TypeError, ValueError):
        return f"JAX {jax.__version__} has no {name} on the CPU; cast to a wider format"
    return ""
