"""TensorFlow tensors: their memory seen, and tensors over memory, by DLPack, which TensorFlow
reads without checking alignment: its kernels end the process for less than `DEMANDS` asks.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from ..buffer import Buffer, numpy_buffer
from ..errors import CastError
from ..formats import FORMATS, Format, lookup
from .memory import as_numpy
from .protocol import Demands, Fit, Seen, kept
from .protocol import load as library

_SHARED: Final = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
    "complex64 complex128".split()
)
"""What TensorFlow's DLPack takes; bfloat16 as uint16, since NumPy's DLPack has none."""

# its kernels end the process where a tensor is not aligned to EIGEN_MAX_ALIGN_BYTES, 64 with
# AVX-512
DEMANDS: Final = Demands(
    "TensorFlow",
    "tf.Tensor",
    "tensorflow",
    devices=("cpu", "cuda"),
    dense=True,
    alignment=64,
    immutable="TensorFlow tensors are immutable",
)


def see(x: Any) -> Seen | None:
    """The elements of an eager tensor or a variable, in the CPU's memory; None for what is none.

    Raises:
        CastError: it is symbolic.
    """
    if not hasattr(x, "numpy") or not hasattr(x, "device"):
        if hasattr(x, "graph"):
            raise CastError("a symbolic TensorFlow tensor has no values; use it eagerly")
        return None
    read_only = "TensorFlow tensors are immutable"
    if hasattr(x, "read_value"):  # a tf.Variable
        x = x.read_value()
        read_only = "it is read out of a TensorFlow variable"
    on = str(x.device)
    share = getattr(x, "_numpy", None)
    if share is None:
        raise CastError("a symbolic TensorFlow tensor has no values; use it eagerly")
    array: Any = share()
    import numpy as np

    if not isinstance(array, np.ndarray):  # of no dimensions: a scalar, by value
        return Seen("tensorflow", numpy_buffer(np.array(array)), copied="scalars come by value")
    copied = "" if not on or "CPU" in on else f"the TensorFlow tensor lives on {on}"
    return Seen("tensorflow", kept(numpy_buffer(array), (array, x)), read_only, copied)


def load() -> Any:
    """Import TensorFlow."""
    return library("tensorflow")


def is_own(x: object) -> bool:
    """Whether an object is a tensor with values; a variable is none."""
    return isinstance(x, load().Tensor) and hasattr(x, "_numpy")


def described(x: Any) -> tuple[Format, tuple[int, ...], str]:
    """Format, shape and device."""
    return lookup(x.dtype.as_numpy_dtype), tuple(x.shape), device_name(x.device)


def fit(row: Format, shape: tuple[int, ...]) -> Fit:  # noqa: ARG001
    """Formats that TensorFlow has; those that its DLPack lacks are copied."""
    if not _has(row.name):
        return Fit(lacks=f"TensorFlow {load().__version__} has no {row.name}; cast to another")
    if row.name in _SHARED:
        return Fit()
    return Fit(remade=f"TensorFlow's DLPack has no {row.name}")


def inferred(row: Format) -> tuple[Format, ...]:
    """int32 where it holds them all, and float32, as `tf.constant` infers."""
    if row.name == "int64":
        return FORMATS["int32"], row
    return (FORMATS["float32"],) if row.name == "float64" else (row,)


def wrap(buffer: Buffer) -> Any:
    """A tensor on the memory, on the CPU; never written: to TensorFlow it is another's."""
    tf = load()
    row = buffer.format
    with tf.device("CPU:0"):
        array = as_numpy(buffer, writable=True)
        if row.name not in _SHARED:
            return tf.constant(array)
        codes = array.view("u2") if row.name == "bfloat16" else array
        made = tf.experimental.dlpack.from_dlpack(codes.__dlpack__())
        return tf.bitcast(made, tf.bfloat16) if row.name == "bfloat16" else made


def from_torch(tensor: Any) -> Any:
    """A tensor on a torch tensor's memory, on its device."""
    row = lookup(tensor.dtype)
    if row.name not in _SHARED:
        raise CastError(f"TensorFlow's DLPack has no {row.name}; bring the tensor to the CPU first")
    return load().experimental.dlpack.from_dlpack(tensor.contiguous().__dlpack__())


def device_name(device: Any) -> str:
    """ "cpu" for the first CPU device, else kind and number; GPUs are "cuda", as torch's are."""
    found = re.search(r"(cpu|gpu|cuda)(?::(\d+))?$", str(device).lower())
    if found is None:
        raise CastError(f"device={device!r} is none of TensorFlow's: CPU:0, GPU:0")
    kind, number = found[1].replace("gpu", "cuda"), int(found[2] or 0)
    return "cpu" if kind == "cpu" and number == 0 else f"{kind}:{number}"


def send(x: Any, device: Any) -> Any:
    """The tensor on another device."""
    tf = load()
    name = device_name(device)
    try:
        with tf.device(name.replace("cuda", "GPU").upper()):
            result = tf.identity(x)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise CastError(f"device={device!r} cannot be used: {error}") from None
    if device_name(result.device) != name:  # TensorFlow's "soft placement"
        raise CastError(f"device={device!r} is not there; TensorFlow put it on {result.device}")
    return result


@cache
def _has(name: str) -> bool:
    from .memory import numpy_dtype

    try:
        load().dtypes.as_dtype(numpy_dtype(name))
    except (TypeError, CastError):
        return False
    return True
