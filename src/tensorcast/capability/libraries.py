"""The libraries whose casts are compared: how each takes an array, casts it and gives it back."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from ..api.arrays import as_tensor
from ..api.casts import cast
from ..errors import CastError, MissingLibraryError

OTHERS: Final = ("torch", "numpy", "tensorflow", "jax")


@dataclass(frozen=True)
class Library:
    """One library.

    Attributes:
        take: its tensor of a NumPy array's values.
        dtype: its dtype of a format's name; raises where it has none.
        cast: (tensor, dtype) -> a new one, when it is done.
        into: (out, tensor) -> out, in its memory; None where it has no such thing.
        array: a result as a NumPy array of its values or codes.
    """

    name: str
    take: Callable[[Any], Any]
    dtype: Callable[[str], Any]
    cast: Callable[[Any, Any], Any]
    into: Callable[[Any, Any], Any] | None
    array: Callable[[Any], Any]


def tensorcast(torch: Any, device: str) -> Library:
    """Ours, on torch's tensors where torch is there, else on NumPy's arrays."""
    return Library(
        "tensorcast",
        (lambda array: array) if torch is None else _torch_tensor(device),
        lambda name: name,
        lambda x, name: cast(x, name),
        lambda out, x: cast(x, out.dtype, out=out),
        _codes_of,
    )


def library(name: str, torch: Any, device: str, n_threads: int) -> Library:
    """One of `OTHERS`, told to use so many threads.

    Raises:
        MissingLibraryError: it is not installed.
        CastError: it is not compared on this device.
    """
    if name == "torch" and torch is not None:
        return Library(
            "torch",
            _torch_tensor(device),
            lambda format: getattr(torch, format),
            lambda x, dtype: x.to(dtype),
            lambda out, x: out.copy_(x),
            _codes_of,
        )
    if name == "torch" or not find_spec(name):
        extra = "torch" if name == "torch" else "interop"
        raise MissingLibraryError(f"{name} is not installed: pip install 'tensorcast[{extra}]'")
    if device != "cpu":
        raise CastError("compared on the CPU only")
    return {"numpy": _numpy, "tensorflow": _tensorflow, "jax": _jax}[name](n_threads)


def _torch_tensor(device: str) -> Callable[[Any], Any]:
    return lambda array: as_tensor(array).to(device)


def _codes_of(result: Any) -> Any:
    """A tensor's codes; an array as it is."""
    if isinstance(result, np.ndarray):
        return result
    torch = importlib.import_module("torch")
    widths = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}
    return result.cpu().view(widths[result.element_size()]).numpy()


def numpy_dtype(name: str) -> Any:
    """NumPy's dtype, or ml_dtypes'."""
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, None) or name)


def _numpy(_: int) -> Library:
    def into(out: Any, x: Any) -> Any:
        np.copyto(out, x, casting="unsafe")
        return out

    return Library(
        "numpy", lambda x: x, numpy_dtype, lambda x, dtype: x.astype(dtype), into, lambda x: x
    )


def _tensorflow(n_threads: int) -> Library:
    tf = importlib.import_module("tensorflow")
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    except RuntimeError:  # it has begun to work already, with the CPUs it found
        pass
    tf.cast(tf.constant([1.0]), tf.int8)  # sets itself up
    return Library("tensorflow", tf.constant, tf.as_dtype, tf.cast, None, lambda x: x.numpy())


def _jax(_: int) -> Library:
    """Its threads are as many as the process has CPUs."""
    jax = importlib.import_module("jax")

    def take(array: Any) -> Any:
        x = jax.numpy.asarray(array)
        if x.dtype != array.dtype:
            raise TypeError(f"without jax_enable_x64 JAX has no {array.dtype}")
        return x

    def convert(x: Any, dtype: Any) -> Any:
        return jax.lax.convert_element_type(x, dtype).block_until_ready()

    return Library("jax", take, numpy_dtype, convert, None, np.asarray)
