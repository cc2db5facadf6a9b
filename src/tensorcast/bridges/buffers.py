"""Memory of libraries that nobody knows by name: Python's own buffers, the array interface, and
what makes a NumPy array of itself."""

from __future__ import annotations

from array import array
from typing import Any, Final

from ..buffer import Buffer, numpy_buffer, refuse_masked
from ..errors import CastError, FormatError
from .protocol import Seen, kept

PYTHONS_MEMORY: Final = frozenset({bytes, bytearray, memoryview, array})
"""What is memory and nothing else: nobody has to be asked whose it is."""


def python_seen(x: Any) -> Seen:
    """The elements of what is in `PYTHONS_MEMORY`.

    Raises:
        CastError: its memory is gone, or holds no numbers.
    """
    return memory_seen(view_of(x), type(x).__name__)


def view_of(x: Any) -> memoryview:
    """The object's memory.

    Raises:
        CastError: it is gone.
        TypeError: the object shows none.
    """
    try:
        return memoryview(x)
    except ValueError as error:  # closed or released
        raise CastError(f"the memory of a {type(x).__name__} is gone: {error}") from None


def memory_seen(view: memoryview, library: str) -> Seen:
    """A memoryview: its export keeps the memory from being closed or resized."""
    import numpy as np

    try:
        buffer = numpy_buffer(np.asarray(view))
    except (ValueError, FormatError, CastError) as error:
        raise CastError(f"a buffer of format {view.format!r} holds no numbers: {error}") from None
    except BufferError:  # its rows lie behind pointers
        raise CastError("a buffer with suboffsets has no strides; pass its .tobytes()") from None
    return Seen(library, buffer, "it is a read-only buffer" if view.readonly else "")


def by_method(x: Any, library: str) -> Seen:
    """An object that makes a NumPy array of itself (pandas, h5py, xarray): its own memory if two
    calls give the same."""
    import numpy as np

    try:
        made, again = np.asanyarray(x), np.asarray(x)
    except Exception as error:
        raise CastError(f"a {type(x).__name__} makes no array of itself: {error}") from error
    refuse_masked(made)  # netCDF's variables make masked ones
    whole = np.asarray(made)
    buffer = numpy_buffer(whole)
    if buffer.n_elements and buffer.address != again.__array_interface__["data"][0]:
        return Seen(library, buffer, copied=f"a {type(x).__name__} hands out copies")
    read_only = "" if whole.flags.writeable else "its owner made it read-only"
    return Seen(library, kept(buffer, (whole, x)), read_only)


_SPACE: Final = 4096, 1 << 57
"""Where memory can be: after the first page, and as far as a processor addresses."""


def refuse_mask(interface: object, x: object) -> None:
    """Refuse an array interface, CUDA's too, that hides values behind a mask: nobody reads it."""
    if isinstance(interface, dict) and interface.get("mask") is not None:
        raise CastError(
            f"the array interface of a {type(x).__qualname__} has a mask, and what is masked does "
            "not count; pass an array in which it is filled"
        )


def _refuse_wild(buffer: Buffer, x: object) -> None:
    """Refuse elements where no memory can be: NumPy takes any address and stride."""
    begin, end = buffer.extent
    if end > begin and not (_SPACE[0] <= begin and end <= _SPACE[1]):
        raise CastError(
            f"a {type(x).__name__} says that its elements lie from address {begin:#x} to {end:#x}, "
            f"where no memory can be: address {buffer.address:#x}, shape {list(buffer.shape)}, "
            f"strides {list(buffer.strides)}"
        )


def interface_seen(x: Any, library: str, read_only: str = "") -> Seen:
    import numpy as np

    refuse_mask(getattr(x, "__array_interface__", None), x)
    try:
        shown = np.asarray(x)
    except Exception as error:
        raise CastError(
            f"the array interface of a {type(x).__qualname__} cannot be used: {error}"
        ) from error
    buffer = numpy_buffer(shown)
    _refuse_wild(buffer, x)
    if not shown.flags.writeable:
        read_only = read_only or "its owner made it read-only"
    return Seen(library, buffer, read_only)
