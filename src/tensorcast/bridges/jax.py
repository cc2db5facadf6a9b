"""JAX arrays: their memory seen, and arrays over memory.

`jax.device_put` of a NumPy array stands on it where it is aligned to 64 bytes and in C order, for
every dtype of a byte and more; JAX never writes to such memory, not to donate it either.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, Final

from ..buffer import Buffer, numpy_buffer
from ..errors import CastError
from ..formats import FORMATS, Format, lookup
from .memory import as_numpy
from .protocol import Demands, Fit, Seen
from .protocol import load as library

_NARROW: Final = {
    "int64": "int32",
    "uint64": "uint32",
    "float64": "float32",
    "complex128": "complex64",
}

# XLA copies what is not aligned to 64 (cpu_function_runtime::Align)
DEMANDS: Final = Demands(
    "JAX",
    "jax.Array",
    "jax",
    devices=("cpu", "cuda"),
    dense=True,
    alignment=64,
    immutable="JAX arrays are immutable",
)


def see(x: Any) -> Seen | None:
    """The elements of a JAX array, in the CPU's memory; None for what is none.

    Raises:
        CastError: it is traced, deleted, or spread over devices.
    """
    tracer = getattr(getattr(sys.modules.get("jax"), "core", None), "Tracer", ())
    if isinstance(x, tracer):
        raise CastError("a JAX array that is being traced has no values; call this outside of jit")
    if not hasattr(type(x), "addressable_shards"):
        return None
    import numpy as np

    if x.is_deleted():
        raise CastError("the JAX array was deleted or donated, and has no memory any more")
    if not x.is_fully_addressable or len(x.sharding.device_set) > 1:
        raise CastError(
            "the JAX array is spread over several devices; gather it first, with jax.device_get"
        )
    platform = next(iter(x.sharding.device_set)).platform
    try:
        array = np.asarray(x)
    except TypeError as error:  # keys of random numbers
        raise CastError(str(error)) from None
    copied = ""
    if platform != "cpu":
        copied = f"the JAX array lives on {platform}"
    elif array.size and array.ctypes.data != x.unsafe_buffer_pointer():
        copied = f"JAX keeps {x.dtype} in another layout"
    if copied:
        array = array.copy()  # JAX keeps the one it made
    return Seen("jax", numpy_buffer(array), "JAX arrays are immutable", copied)


def load() -> Any:
    """Import JAX."""
    return library("jax")


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

    from .memory import numpy_dtype

    jax = load()
    try:
        codes = jax.device_put(np.zeros(2, numpy_dtype(name)), jax.devices("cpu")[0])
        (codes == codes).block_until_ready()
    except (RuntimeError, TypeError, ValueError):
        return f"JAX {jax.__version__} has no {name} on the CPU; cast to a wider format"
    return ""
