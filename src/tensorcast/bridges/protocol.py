"""What every library's bridge has: how it sees an object, what it asks of memory, how it wraps.

One module per library, each with what of these its library can:

    see(x)                     the elements of an object of the library; None for what is none
    DEMANDS                    what the library asks of the memory under its arrays
    load()                     import the library, or raise MissingLibraryError
    is_own(x)                  whether an object is what `wrap` makes
    described(x)               (format, shape, device) of such an object, its memory left alone
    fit(row, shape)            how the library takes elements of a format and shape
    inferred(row)              formats the library gives Python numbers that NumPy gives `row`
    wrap(buffer)               an object of the library on the buffer's memory, which meets its
                               demands, or a copy where `fit` says that the library makes its own

and those whose arrays live on several devices:

    device_name(device)        "cpu", "cpu:1", "cuda:0", whatever the library calls it
    from_torch(tensor)         an object on a tensor's memory, where that is
    send(x, device)            the object on another device
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Final

from ..buffer import Buffer
from ..errors import MissingLibraryError

_EXTRAS: Final = {
    "torch": "torch",
    "jax": "interop",
    "tensorflow": "interop",
    "pyarrow": "interop",
    "PIL": "interop",
    "cupy": "cupy",
}


@dataclass(frozen=True)
class Seen:
    """An object's elements, as they lie in memory.

    Attributes:
        library: whose object it is.
        buffer: the elements; its owner keeps the memory alive and where it is.
        read_only: why the memory may not be written, or "".
        copied: why the elements had to be copied to be seen at all, or "": then the buffer's
            memory is nobody else's.
        note: what is odd about memory that can be shared, or "".
    """

    library: str
    buffer: Buffer
    read_only: str = ""
    copied: str = ""
    note: str = ""


@dataclass(frozen=True)
class Demands:
    """What a library asks of the memory under its arrays.

    Attributes:
        name: the library's, in prose.
        kind: the result's type, as text.
        library: the package.
        devices: kinds of device it reaches; empty: any.
        dense: only C order without gaps.
        whole: strides are not negative, and whole elements.
        native: only the machine's byte order.
        alignment: of the first element, in bytes; 0: an element's own.
        writable: its results can be written, so that read-only memory is not for it.
        immutable: why its results cannot be written, or "".
        protective: a write to a result that stands on foreign memory makes it copy that first.
    """

    name: str
    kind: str
    library: str
    devices: tuple[str, ...] = ("cpu",)
    dense: bool = False
    whole: bool = False
    native: bool = True
    alignment: int = 0
    writable: bool = False
    immutable: str = ""
    protective: bool = False


@dataclass(frozen=True)
class Fit:
    """How a library takes elements of one format and shape.

    Attributes:
        lacks: why it has no such result, with the way out; or "".
        remade: why it makes memory of its own of whatever it is given; or "".
        n_bytes: of its memory, where that is not a container to each element.
    """

    lacks: str = ""
    remade: str = ""
    n_bytes: int | None = None


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


def kept(buffer: Buffer, owner: object) -> Buffer:
    """The same elements, with another owner to keep them alive."""
    return replace(buffer, owner=owner)
