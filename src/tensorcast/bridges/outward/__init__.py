"""The way out: one module per library, each wrapping the CPU's memory as an array of its own.

Every module has:

    load()                     import the library, or raise MissingLibraryError
    is_own(x)                  whether an object is what `wrap` makes
    described(x)               (format, shape, device) of such an object, its memory left alone
    fit(row, shape)            how the library takes elements of a format and shape
    inferred(row)              formats the library gives Python numbers that NumPy gives `row`
    wrap(buffer)               an object of the library on the buffer's memory, which meets what
                               `share.verdict.DEMANDS` asks, or a copy of any memory where
                               `fit` says that the library makes its own

and those whose arrays live on several devices:

    device_name(device)        "cpu", "cpu:1", "cuda:0", whatever the library calls it
    from_torch(tensor)         an object on a tensor's memory, where that is
    send(x, device)            the object on another device
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

from ...errors import MissingLibraryError

_EXTRAS: Final = {
    "torch": "torch",
    "jax": "interop",
    "tensorflow": "interop",
    "pyarrow": "interop",
    "PIL": "interop",
    "cupy": "cupy",
}


def load(library: str) -> Any:
    """The library's module, or one of its modules by the full name.

    Raises:
        MissingLibraryError: it is not installed; the message names the extra.
    """
    root = library.partition(".")[0]
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name != root:
            raise
        raise MissingLibraryError(
            f"{root} is not installed: pip install 'tensorcast[{_EXTRAS[root]}]'"
        ) from None


def bridge_to(target: str) -> Any:
    """The module that wraps memory for a target, its library imported.

    Raises:
        MissingLibraryError: the library is not installed.
    """
    bridge = _bridges()[target]
    bridge.load()
    return bridge


@cache
def _bridges() -> dict[str, Any]:
    from . import arrow, cupy, jax, numpy, pil, tensorflow, torch

    return {
        "torch": torch,
        "numpy": numpy,
        "jax": jax,
        "tensorflow": tensorflow,
        "arrow": arrow,
        "pil": pil.Pillow(),
        "cupy": cupy,
    }
