"""What other libraries hold, seen as buffers: Python's own buffers, Pillow, JAX, TensorFlow, Arrow,
and anything with DLPack or `__array_interface__`.

Nothing is imported but the library that the object comes from, which is loaded already.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

from ..buffer import Buffer, numpy_buffer, refuse_masked
from ..errors import CastError, FormatError
from .boundary import refuse_unreadable
from .fresh import numpy_dtype


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


def see_foreign(x: Any) -> Seen | None:
    """The object's elements, or None where it is no array to anyone (a list, a number).

    Raises:
        CastError: it is an array, but not one of numbers, or its memory cannot be seen.
    """
    try:
        return _see(x)
    except Exception as error:
        refuse_unreadable(error, x)
        raise


def _see(x: Any) -> Seen | None:
    kind = type(x)
    root = kind.__module__.partition(".")[0]
    root = kind.__name__ if root == "builtins" else root
    found = _LIBRARIES.get(root)
    if found is not None:
        seen: Seen | None = found(x)
        if seen is not None:
            return seen
    if hasattr(x, "__cuda_array_interface__"):
        raise CastError(
            f"{kind.__module__}.{kind.__qualname__} lies on a GPU; tensorcast.as_tensor shares it"
        )
    if kind.__name__ == "PyCapsule":
        from .dlpack import Taken, buffer_of_capsule

        buffer = buffer_of_capsule(x, Taken(x))
        return Seen(root, buffer, "" if buffer.writable else "DLPack does not say it is writable")
    if hasattr(x, "__dlpack__"):
        from .dlpack import buffer_of

        buffer = buffer_of(x)
        return Seen(root, buffer, "" if buffer.writable else "DLPack does not say it is writable")
    if hasattr(x, "__array_interface__") or hasattr(x, "__array_struct__"):
        return _numpy_seen(x, root)
    if isinstance(x, (str, list, tuple, int, float, complex)):
        return None
    if hasattr(x, "__arrow_c_array__"):
        from .arrow import buffer_of as arrow_buffer_of

        return Seen(root, arrow_buffer_of(x), "Arrow arrays are immutable")
    try:
        view = memoryview(x)
    except TypeError:
        return _by_method(x, root) if hasattr(kind, "__array__") else None
    except ValueError as error:  # closed or released
        raise CastError(f"the memory of a {kind.__name__} is gone: {error}") from None
    return _memory(view, root)


def _memory(view: memoryview, library: str) -> Seen:
    """A memoryview: its export keeps the memory from being closed or resized."""
    import numpy as np

    try:
        array = np.asarray(view)
        buffer = numpy_buffer(array)
    except (ValueError, FormatError, CastError) as error:
        raise CastError(f"a buffer of format {view.format!r} holds no numbers: {error}") from None
    except BufferError:  # its rows lie behind pointers
        raise CastError("a buffer with suboffsets has no strides; pass its .tobytes()") from None
    return Seen(library, buffer, "it is a read-only buffer" if view.readonly else "")


def _by_method(x: Any, library: str) -> Seen:
    """An object that makes a NumPy array of itself (pandas, h5py, xarray): its own memory if two
    calls give the same."""
    import numpy as np

    try:
        made, again = np.asanyarray(x), np.asarray(x)
    except Exception as error:
        raise CastError(f"a {type(x).__name__} makes no array of itself: {error}") from error
    refuse_masked(made)  # netCDF's variables make masked ones
    array = np.asarray(made)
    buffer = numpy_buffer(array)
    if buffer.n_elements and buffer.address != again.__array_interface__["data"][0]:
        return Seen(library, buffer, copied=f"a {type(x).__name__} hands out copies")
    read_only = "" if array.flags.writeable else "its owner made it read-only"
    return Seen(library, _kept(buffer, (array, x)), read_only)


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


def _numpy_seen(x: Any, library: str, read_only: str = "") -> Seen:
    import numpy as np

    refuse_mask(getattr(x, "__array_interface__", None), x)
    try:
        array = np.asarray(x)
    except Exception as error:
        raise CastError(
            f"the array interface of a {type(x).__qualname__} cannot be used: {error}"
        ) from error
    buffer = numpy_buffer(array)
    _refuse_wild(buffer, x)
    if not array.flags.writeable:
        read_only = read_only or "its owner made it read-only"
    return Seen(library, buffer, read_only)


def _pil(x: Any) -> Seen | None:
    from .pil import is_image, picture_of

    if not is_image(x):
        return None
    picture = picture_of(x)
    return Seen("PIL", picture.buffer, picture.read_only, picture.copied, picture.note)


def _jax(x: Any) -> Seen | None:
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


def _tensorflow(x: Any) -> Seen | None:
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
    return Seen("tensorflow", _kept(numpy_buffer(array), (array, x)), read_only, copied)


def _arrow(x: Any) -> Seen | None:
    import numpy as np

    pa = sys.modules["pyarrow"]
    read_only = "Arrow arrays are immutable"
    if isinstance(x, pa.Tensor):
        return Seen("pyarrow", numpy_buffer(x.to_numpy()), read_only)
    if isinstance(x, pa.ChunkedArray):
        if x.num_chunks == 1:
            return _arrow(x.chunk(0))
        whole = _arrow(x.combine_chunks())
        assert whole is not None
        return Seen("pyarrow", whole.buffer, copied=f"it lies in {x.num_chunks} chunks")
    if isinstance(x, pa.Buffer):
        if isinstance(x, pa.ResizableBuffer):
            array = np.array(memoryview(x))
            return Seen("pyarrow", numpy_buffer(array), copied="the Arrow buffer can be resized")
        return _memory(memoryview(x), "pyarrow")
    if not isinstance(x, pa.Array):
        return None
    if x.null_count:
        raise CastError(
            f"{x.null_count} of the Arrow array's {len(x)} values are null, which no number format "
            "has; call .fill_null(value) or .drop_null() first"
        )
    shape: list[int] = [len(x)]
    values, row = x, None
    while True:
        kind = values.type
        if isinstance(kind, getattr(pa, "OpaqueType", ())):
            from .outward.arrow import opaque_format

            row = opaque_format(kind)
            if row is None:
                raise CastError(f"an Arrow array of {kind} is not one of numbers")
            values = values.storage.flatten() if row.is_complex else values.storage
        elif isinstance(values, pa.ExtensionArray):
            values = values.storage
        elif pa.types.is_fixed_size_list(kind):
            shape.append(kind.list_size)
            values = values.flatten()
        else:
            break
    shape = [len(x), *getattr(x.type, "shape", shape[1:])]
    copied = "Arrow packs eight bools to a byte" if pa.types.is_boolean(kind) else ""
    try:
        array = values.to_numpy(zero_copy_only=not copied)
        if row is not None:
            array = array.view(numpy_dtype(row.name))
        array = array.reshape(shape)
        order = getattr(x.type, "permutation", None)
        if order is not None:
            array = array.transpose(0, *(dimension + 1 for dimension in order))
        buffer = numpy_buffer(array)
    except (pa.ArrowException, TypeError, ValueError, FormatError, CastError):
        lists = "; its lists may differ in length" if pa.types.is_list(values.type) else ""
        raise CastError(
            f"an Arrow array of {x.type} holds no numbers of one format{lists}"
        ) from None
    if copied:
        return Seen("pyarrow", buffer, copied=copied)
    return Seen("pyarrow", _kept(buffer, (array, x)), read_only)


def arrow_seen(x: Any) -> Seen:
    """What `see_foreign` sees of one of pyarrow's arrays.

    Raises:
        CastError: it holds no numbers, or nulls.
    """
    seen = _arrow(x)
    if seen is None:
        raise CastError(f"a {type(x).__name__} of pyarrow holds no numbers")
    return seen


def _kept(buffer: Buffer, owner: object) -> Buffer:
    from dataclasses import replace

    return replace(buffer, owner=owner)


_LIBRARIES: Final = {
    "PIL": _pil,
    "jax": _jax,
    "jaxlib": _jax,
    "tensorflow": _tensorflow,
    "pyarrow": _arrow,
}
