"""What people do to memory that is shared, under whoever shares it: run in processes of their own
by test_lifetimes.py, since what goes wrong here ends the process.

    python tests/lifetime_cases.py torch    prints a line for each case of the group as it passes
"""

from __future__ import annotations

import array
import ctypes
import gc
import io
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import numpy as np

import tensorcast as tc

N = 1_000_000
Case = Callable[[], None]


@contextmanager
def refused(*kinds: type[BaseException]) -> Iterator[None]:
    try:
        yield
    except kinds:
        return
    raise AssertionError(f"not refused with {kinds}")


def untouched(*results: Any) -> None:
    """Memory that was freed would be taken by others and show their values by now."""
    gc.collect()
    junk = [np.ones(N) for _ in range(4)] + [bytearray(b"\x01") * N for _ in range(4)]
    for result in results:
        assert not result.any(), "the memory belongs to others now"
    del junk


def bytearrays() -> None:
    data = bytearray(N)
    tensor, held = tc.as_tensor(data), tc.to_numpy(data)
    for change in (data.clear, data.pop, partial(data.extend, b"1"), partial(data.append, 1)):
        with refused(BufferError):
            change()
    with refused(BufferError):
        del data[5:]
    del data
    untouched(tensor, held)


def arrays() -> None:
    data = array.array("i", bytes(4 * N))
    tensor, held = tc.as_tensor(data), tc.to_numpy(data)
    for change in (data.pop, partial(data.append, 1), partial(data.extend, data)):
        with refused(BufferError):
            change()
    with refused(BufferError):
        data *= 2
    del data
    untouched(tensor, held)


def memoryviews() -> None:
    data = bytearray(N)
    view = memoryview(data)
    tensor, held = tc.as_tensor(view), tc.to_numpy(view[::2])
    view.release()
    with refused(BufferError):
        data.clear()
    for call in (tc.as_tensor, tc.to_numpy, tc.explain):
        with refused(tc.errors.CastError):
            call(view)
    del data, view
    untouched(tensor, held)


def bytes_io() -> None:
    data = io.BytesIO(bytes(N))
    tensor = tc.as_tensor(data.getbuffer())
    for change in (data.close, partial(data.truncate, 1), partial(data.write, bytes(2 * N))):
        with refused(BufferError):
            change()
    del data
    untouched(tensor)


def mapped_files() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(N))
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0)
        tensor, held = tc.as_tensor(mapped), tc.to_numpy(mapped)
        with refused(BufferError):
            mapped.close()
        with refused(BufferError, SystemError):
            mapped.resize(2 * N)
        file.close()
        del mapped
        untouched(tensor, held)
        del tensor, held
    closed = mmap.mmap(-1, 4096)
    closed.close()
    for call in (tc.as_tensor, tc.to_numpy, tc.explain):
        with refused(tc.errors.CastError):
            call(closed)


def mapped_files_read_only() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(N))
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        tensor, held = tc.as_tensor(mapped), tc.to_numpy(mapped)
        tensor[0] = 1  # a write to the mapping would be a segmentation fault
        assert mapped[0] == 0
        with refused(ValueError):
            held[0] = 1
        again = np.memmap(file, mode="r")
        tc.as_tensor(again)[0] = 1
        assert again[0] == 0


def text_and_constants() -> None:
    for constant in (b"abc", memoryview(b"abc")):
        tc.as_tensor(constant)[0] = 0
        assert bytes(constant) == b"abc"
    with refused(tc.errors.CastError):
        tc.as_tensor((ctypes.c_char * 3)())


def suboffsets() -> None:
    try:
        from _testbuffer import ND_PIL, ND_WRITABLE, ndarray
    except ImportError:
        return
    data = ndarray(list(range(12)), shape=[3, 4], format="i", flags=ND_PIL | ND_WRITABLE)
    for call in (tc.as_tensor, tc.to_numpy, tc.explain):
        with refused(tc.errors.CastError):
            call(data)


def the_end_of_the_process() -> None:
    import atexit

    kept = [
        tc.as_tensor(np.zeros(N)),
        tc.to_numpy(bytearray(N)),
        tc.to_numpy(array.array("d", [0])),
    ]
    threading.Thread(target=lambda: kept[0].sum(), daemon=True).start()
    atexit.register(lambda: untouched(*kept))
    sys.modules[__name__].kept = kept  # type: ignore[attr-defined]


def numpy_resized() -> None:
    data = np.zeros(N)
    part = np.zeros(N)[10:]
    results = tc.as_tensor(data), tc.as_tensor(part), tc.as_tensor(data.view("i8").reshape(-1, 2))
    for owner in (data, part.base):
        with refused(ValueError):
            owner.resize(50 * N, refcheck=False)
    del data, part
    untouched(*results)


def numpy_through_an_interface() -> None:
    class Only:
        def __init__(self) -> None:
            self.held = np.zeros(N)
            self.__array_interface__ = self.held.__array_interface__

    only = Only()
    results = tc.as_tensor(only), tc.to_numpy(only)
    del only
    untouched(*results)


def numpy_read_only() -> None:
    data = np.zeros(N)
    data.flags.writeable = False
    for seen in (data, data[::2], np.broadcast_to(data[:1], (3, 4)), memoryview(data)):
        tc.as_tensor(seen)[(0,) * np.ndim(seen)] = 1
        assert not tc.to_numpy(seen).flags.writeable
        assert not data.any()


def torch_resized() -> None:
    import torch

    for change in (
        lambda x: x.untyped_storage().resize_(0),
        lambda x: x.resize_(100 * N),
        lambda x: torch.arange(2 * N, out=x),
    ):
        tensor = torch.zeros(N)
        held = tc.to_numpy(tensor)
        try:
            change(tensor)
        except RuntimeError:
            pass
        else:
            raise AssertionError("torch moved memory that is shared")
        untouched(held)


def torch_replaced() -> None:
    import torch

    for replace in (lambda x: setattr(x, "data", torch.ones(3)), lambda x: x.set_(torch.ones(3))):
        tensor = torch.zeros(N)
        held = tc.to_numpy(tensor)
        replace(tensor)
        untouched(held)
        assert tensor.sum() == 3


def torch_freed_by_autograd() -> None:
    import torch

    weight = torch.zeros(N, requires_grad=True)
    held = tc.to_numpy(weight)
    (weight * 2).sum().backward()
    del weight
    untouched(held)


def torch_cast_in_place() -> None:
    """The one who hands pages back must see that they are shared."""
    cast_ = getattr(tc, "cast_", None)
    if cast_ is None:
        return
    import torch

    tensor = torch.zeros(N)
    held = tc.to_numpy(tensor)
    with suppress(tc.errors.TensorcastError):
        cast_(tensor, "float16")
    held += 1
    assert held.sum() == N


def negative_strides_by_dlpack() -> None:
    """torch.from_dlpack(x) of this ends the process."""

    class Only:
        def __init__(self, held: np.ndarray) -> None:
            self.held = held

        def __dlpack__(self, **options: Any) -> Any:
            return self.held.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.held.__dlpack_device__()

    for data in (np.arange(6.0)[::-1], np.arange(6.0).reshape(2, 3)[:, ::-1]):
        assert tc.as_tensor(Only(data)).tolist() == data.tolist()
        assert tc.to_numpy(Only(data)).tolist() == data.tolist()


def formats_of_buffers() -> None:
    """torch.asarray(array.array("d", ...)) reads the doubles as floats."""
    for code in "bBhHiIlLqQfd":
        data = array.array(code, range(5))
        assert tc.as_tensor(data).tolist() == list(data)
        assert tc.to_numpy(data).tolist() == list(data)


def capsules_used_already() -> None:
    import torch

    class Given:
        def __init__(self, capsule: object) -> None:
            self.capsule = capsule

        def __dlpack__(self, **options: Any) -> object:
            return self.capsule

        def __dlpack_device__(self) -> tuple[int, int]:
            return 1, 0

    used = np.zeros(3).__dlpack__()
    torch.utils.dlpack.from_dlpack(used)
    for wrong in (used, None, 5, object()):
        with refused(tc.errors.CastError):
            tc.as_tensor(Given(wrong))
        with refused(tc.errors.CastError):
            tc.to_numpy(Given(wrong))


def jax_deleted() -> None:
    import jax.numpy as jnp

    data = jnp.zeros(N)
    held = tc.to_numpy(data)
    data.delete()
    for call in (tc.as_tensor, tc.to_numpy, tc.explain):
        with refused(tc.errors.CastError):
            call(data)
    untouched(held)


def jax_donated() -> None:
    import jax
    import jax.numpy as jnp

    add = jax.jit(lambda x: x + 1, donate_argnums=0)
    for _ in range(5):
        data = jnp.zeros(N) + 0
        held = tc.to_numpy(data)
        assert add(data).sum() == N
        untouched(held)


def jax_is_not_written() -> None:
    import jax.numpy as jnp

    data = jnp.zeros(N)
    tc.as_tensor(data)[:] = 1
    with refused(ValueError):
        tc.to_numpy(data)[0] = 1
    assert not data.any()


def jax_tracers() -> None:
    import jax
    import jax.numpy as jnp

    def look(x: Any) -> Any:
        for call in (tc.as_tensor, tc.to_numpy, tc.explain):
            with refused(tc.errors.CastError):
                call(x)
        return x.sum()

    jax.jit(look)(jnp.zeros(3))
    jax.grad(look)(jnp.zeros(3))
    jax.vmap(look)(jnp.zeros((3, 3)))


def jax_small_integers() -> None:
    """With x64 off, jax.numpy.asarray(2**40 + 1) is 1."""
    import jax

    assert not jax.config.jax_enable_x64
    assert tc.to_numpy(jax.numpy.arange(3)).dtype == np.int32


def tensorflow_variables() -> None:
    import tensorflow as tf

    variable = tf.Variable(tf.zeros(N))
    held = tc.to_numpy(variable)
    variable.assign_add(tf.ones(N))
    variable.assign(tf.ones(N) * 3)
    tc.as_tensor(variable)[:] = 5
    assert variable.numpy()[0] == 3
    del variable
    untouched(held)


def tensorflow_is_not_written() -> None:
    import tensorflow as tf

    data = tf.zeros(N)
    tc.as_tensor(data)[:] = 1
    with refused(ValueError):
        tc.to_numpy(data)[0] = 1
    held = tc.to_numpy(data)
    del data
    untouched(held)


def arrow_buffers() -> None:
    import pyarrow as pa

    buffer = pa.allocate_buffer(N, resizable=True)
    np.asarray(memoryview(buffer))[:] = 0
    held = tc.to_numpy(buffer)
    buffer.resize(100 * N)
    untouched(held)
    column = pa.array(np.zeros(N))
    held = tc.to_numpy(column[10:])
    chunked = tc.to_numpy(pa.chunked_array([np.zeros(N), np.zeros(N)]))
    del column
    pa.default_memory_pool().release_unused()
    untouched(held, chunked)


def arrow_is_not_written() -> None:
    import pyarrow as pa

    column = pa.array([0, 0, 0])

    class Old:
        """DLPack from before 1.0, which cannot say that it is read-only."""

        def __dlpack__(self, stream: Any = None) -> Any:
            return column.__dlpack__()

        def __dlpack_device__(self) -> Any:
            return column.__dlpack_device__()

    class Columnar:
        def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
            return column.__arrow_c_array__()

    for seen in (column, pa.chunked_array([column]), Old(), Columnar()):
        tc.as_tensor(seen)[0] = 1
        with refused(ValueError):
            tc.to_numpy(seen)[0] = 1
    assert column.to_pylist() == [0, 0, 0]


def images_closed() -> None:
    from PIL import Image

    for mode in ("L", "RGB", "LA", "F"):
        image = Image.new(mode, (500, 400))
        results = tc.as_tensor(image), tc.to_numpy(image)
        image.close()
        with refused(tc.errors.CastError):
            tc.as_tensor(image)
        del image
        untouched(*results)


def images_over_files() -> None:
    from PIL import Image

    with tempfile.TemporaryDirectory() as place:
        for suffix in ("bmp", "ppm"):
            path = os.path.join(place, f"image.{suffix}")
            Image.new("L", (512, 512)).save(path)
            image = Image.open(path)
            image.load()  # maps the file, where Pillow can
            tensor, held = tc.as_tensor(image), tc.to_numpy(image)
            assert held.flags.writeable == (not tc.explain(image, to="numpy").shares)
            tensor[0, 0] = 9
            assert image.getpixel((0, 0)) == 0
            tensor[0, 0] = 0
            image.close()
            untouched(tensor, held)


GROUPS: dict[str, tuple[Case, ...]] = {
    "python": (
        bytearrays, arrays, memoryviews, bytes_io, mapped_files, mapped_files_read_only,
        text_and_constants, suboffsets, the_end_of_the_process,
    ),
    "numpy": (numpy_resized, numpy_through_an_interface, numpy_read_only),
    "torch": (
        torch_resized, torch_replaced, torch_freed_by_autograd, torch_cast_in_place,
        negative_strides_by_dlpack, formats_of_buffers, capsules_used_already,
    ),
    "jax": (jax_deleted, jax_donated, jax_is_not_written, jax_tracers, jax_small_integers),
    "tensorflow": (tensorflow_variables, tensorflow_is_not_written),
    "pyarrow": (arrow_buffers, arrow_is_not_written),
    "PIL": (images_closed, images_over_files),
}  # fmt: skip


if __name__ == "__main__":
    for case in GROUPS[sys.argv[1]]:
        print(f"{case.__name__}: ", end="", flush=True)
        case()
        print("ok", flush=True)
