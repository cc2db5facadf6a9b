"""Sources for `as_tensor` and `to_numpy`: library x format x layout, and what becomes of each."""

from __future__ import annotations

import array
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from tensorcast.formats import FORMATS, Format

LAYOUTS = (
    "contiguous", "strided", "negative", "read-only", "byte-swapped", "empty", "0-d", "unaligned",
)  # fmt: skip
VALUES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [1, 0, 3, 2]])


@dataclass(frozen=True)
class Source:
    """One object to hand over.

    Attributes:
        library: whose it is.
        format: of its elements.
        layout: one of LAYOUTS.
        make: makes the object.
        read: the object's elements as a new NumPy array, by its own library.
        write: sets the first element of the object to another value; None: it cannot be.
    """

    library: str
    format: Format
    layout: str
    make: Callable[[], Any]
    read: Callable[[Any], np.ndarray]
    write: Callable[[Any], None] | None


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


@contextmanager
def jax_x64(enabled: bool) -> Iterator[None]:
    """JAX with or without 64 bits, where it is installed; tests of either change it."""
    if not installed("jax"):
        yield
        return
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", enabled)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def dtype_of(row: Format) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, row.name, None) or row.name)


def values_of(row: Format) -> np.ndarray:
    """Three rows of four small values that the format holds, at a multiple of 64 bytes."""
    return aligned(_values(row))


def aligned(x: np.ndarray) -> np.ndarray:
    """A copy where JAX and TensorFlow want memory to lie."""
    room = np.zeros(x.nbytes + 64, np.uint8)
    begin = -room.ctypes.data % 64
    made = room[begin : begin + x.nbytes].view(x.dtype).reshape(x.shape)
    made[...] = x
    return made


def _values(row: Format) -> np.ndarray:
    if row.name in ("bool",):
        return (VALUES % 2).astype(bool)
    if row.name == "float8_e8m0fnu":
        return np.exp2(VALUES % 4).astype(dtype_of(row))
    top = 1 if row.name == "int2" else 3 if row.bits < 5 else 7
    return (VALUES % (top + 1)).astype(dtype_of(row))


def laid_out(row: Format, layout: str) -> np.ndarray:
    """A NumPy array of the format in the layout."""
    plain = values_of(row)
    if layout == "contiguous":
        return plain
    if layout == "strided":
        wide = np.zeros((6, 8), plain.dtype)
        wide[::2, 1::2] = plain
        return wide[::2, 1::2]
    if layout == "negative":
        return plain[::-1, ::-1].copy()[::-1, ::-1]
    if layout == "read-only":
        plain.flags.writeable = False
        return plain
    if layout == "byte-swapped":
        return aligned(plain.astype(plain.dtype.newbyteorder()))
    if layout == "empty":
        return plain[:0]
    if layout == "0-d":
        return plain[1:2, 1:2].reshape(())
    room = np.zeros(plain.nbytes + 1, np.uint8)[1:]
    unaligned = room.view(plain.dtype).reshape(plain.shape)
    unaligned[...] = plain
    return unaligned


def possible(row: Format, layout: str) -> bool:
    """Whether NumPy can lay the format out so."""
    if not row.spellings.keys() & {"numpy", "ml_dtypes"}:
        return False
    if layout in ("byte-swapped", "unaligned"):
        return row.container_bits > 8 and (layout == "unaligned" or "numpy" in row.spellings)
    return True


def change(x: Any) -> None:
    """Another value for the first element."""
    first = (0,) * len(x.shape)
    if x.dtype.kind in "bc":
        x[first] = x[first] == 0
    else:
        x.view(f"u{x.dtype.itemsize}")[first] ^= 1


def numpy_sources() -> Iterator[Source]:
    for row in FORMATS.values():
        for layout in LAYOUTS:
            if possible(row, layout):
                yield Source(
                    "numpy",
                    row,
                    layout,
                    lambda row=row, layout=layout: laid_out(row, layout),
                    np.array,
                    None if layout in ("read-only", "empty") else change,
                )


class OnlyInterface:
    """An object with `__array_interface__` alone."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held
        self.__array_interface__ = held.__array_interface__


class OnlyArrow:
    """An object with Arrow's C data interface alone."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.held.__arrow_c_array__(requested_schema)


class OnlyDlpack:
    """An object with DLPack alone."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __dlpack__(self, **options: Any) -> Any:
        return self.held.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.held.__dlpack_device__()


def protocol_sources() -> Iterator[Source]:
    for kind in (OnlyInterface, OnlyDlpack):
        for row in FORMATS.values():
            if "numpy" not in row.spellings:
                continue
            for layout in LAYOUTS:
                if not possible(row, layout):
                    continue
                if kind is OnlyDlpack and layout in ("byte-swapped", "unaligned"):
                    continue  # NumPy exports neither
                yield Source(
                    kind.__name__,
                    row,
                    layout,
                    lambda row=row, layout=layout, kind=kind: kind(laid_out(row, layout)),
                    lambda x: np.array(x.held),
                    None if layout in ("read-only", "empty") else lambda x: change(x.held),
                )


def _flat(x: Any) -> np.ndarray:
    return np.array(memoryview(x).tolist())


def _set_first(x: Any) -> None:
    x[0] = 1 if x[0] == 0 else 0


def buffer_sources() -> Iterator[Source]:
    codes = {"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I"}
    codes |= {"int64": "q", "uint64": "Q", "float32": "f", "float64": "d"}
    for name, code in codes.items():
        row = FORMATS[name]
        yield Source(
            "array.array", row, "contiguous", lambda code=code: array.array(code, [0, 1, 2, 3]),
            _flat, _set_first,
        )  # fmt: skip
        yield Source("array.array", row, "empty", lambda code=code: array.array(code), _flat, None)
        yield Source(
            "memoryview", row, "strided",
            lambda code=code: memoryview(array.array(code, range(8)))[::2], _flat, _set_first,
        )  # fmt: skip
        yield Source(
            "memoryview", row, "negative",
            lambda code=code: memoryview(array.array(code, range(8)))[::-1], _flat, _set_first,
        )  # fmt: skip
        yield Source(
            "memoryview", row, "read-only",
            lambda code=code: memoryview(array.array(code, range(8))).toreadonly(), _flat, None,
        )  # fmt: skip
    uint8 = FORMATS["uint8"]
    yield Source("bytes", uint8, "read-only", lambda: b"\x00\x01\x02", _flat, None)
    yield Source("bytes", uint8, "empty", lambda: b"", _flat, None)
    yield Source(
        "bytearray", uint8, "contiguous", lambda: bytearray(b"\x00\x01\x02"), _flat, _set_first
    )


def torch_sources() -> Iterator[Source]:
    import torch

    def read(x: Any) -> np.ndarray:
        row = FORMATS[str(x.dtype).removeprefix("torch.")]
        codes = x.contiguous().reshape(-1).view(torch.uint8).numpy()
        return codes.view(dtype_of(row)).reshape(tuple(x.shape)).copy()

    def put(x: Any) -> None:
        bits = x.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[x.itemsize])
        bits[(0,) * bits.dim()] ^= 1

    def make(row: Format, layout: str) -> Any:
        dtype = getattr(torch, row.name)
        plain = values_of(row)
        codes = torch.from_numpy(plain.view(np.uint8).reshape(3, -1)).clone()
        whole = codes.view(dtype)
        if layout == "strided":
            return whole.t()
        return whole[:0] if layout == "empty" else whole[1, 1] if layout == "0-d" else whole

    for row in FORMATS.values():
        if row.bits < 8 or row.is_complex or "torch" not in row.spellings:
            continue
        for layout in ("contiguous", "strided", "empty", "0-d"):
            yield Source(
                "torch",
                row,
                layout,
                lambda row=row, layout=layout: make(row, layout),
                read,
                None if layout == "empty" else put,
            )


def jax_sources() -> Iterator[Source]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    for row in FORMATS.values():
        if "jax" not in row.spellings:
            continue
        if row.bits in (1, 6):
            continue  # JAX has the dtypes, and its CPU no arrays of them
        for layout in ("contiguous", "empty", "0-d"):
            yield Source(
                "jax",
                row,
                layout,
                lambda row=row, layout=layout: jnp.array(laid_out(row, layout)),
                np.array,
                None,
            )


def tensorflow_sources() -> Iterator[Source]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    lacking = "float6_e2m3fn float6_e3m2fn float8_e3m4 float8_e4m3 float8_e8m0fnu".split()
    for row in FORMATS.values():
        if row.name in lacking or (row.is_integer and row.bits in (1, 3, 5, 6, 7)):
            continue
        for layout in ("contiguous", "empty", "0-d"):
            yield Source(
                "tensorflow",
                row,
                layout,
                lambda row=row, layout=layout: tf.constant(laid_out(row, layout)),
                lambda x: np.array(x.numpy()),
                None,
            )


def arrow_sources() -> Iterator[Source]:
    import pyarrow as pa

    for row in FORMATS.values():
        if "numpy" not in row.spellings or row.is_complex:
            continue
        for layout in ("contiguous", "empty"):
            yield Source(
                "pyarrow.Array",
                row,
                layout,
                lambda row=row, layout=layout: pa.array(laid_out(row, layout).reshape(-1)),
                lambda x: x.to_numpy(zero_copy_only=False).copy(),
                None,
            )
        if row.kind != "bool":
            for layout in ("contiguous", "empty"):
                yield Source(
                    "OnlyArrow",
                    row,
                    layout,
                    lambda row=row, layout=layout: OnlyArrow(
                        pa.array(np.append(0, laid_out(row, layout)).astype(dtype_of(row)))[1:]
                    ),
                    lambda x: x.held.to_numpy().copy(),
                    None,
                )
            yield Source(
                "OnlyArrow",
                row,
                "strided",
                lambda row=row: OnlyArrow(
                    pa.FixedSizeListArray.from_arrays(
                        pa.array(laid_out(row, "contiguous").reshape(-1)), 4
                    )[1:]
                ),
                lambda x: np.array(x.held.to_pylist()).astype(
                    x.held.type.value_type.to_pandas_dtype()
                ),
                None,
            )
            yield Source(
                "pyarrow.Tensor",
                row,
                "strided",
                lambda row=row: pa.Tensor.from_numpy(laid_out(row, "strided")),
                lambda x: x.to_numpy().copy(),
                None,
            )


def pil_sources() -> Iterator[Source]:
    from PIL import Image

    formats = {"1": "bool", "I": "int32", "F": "float32"}

    def put(picture: Any) -> None:
        n_bands = len(picture.getbands())
        old = picture.getpixel((0, 0))
        picture.putpixel((0, 0), 255 - old if n_bands == 1 else (255 - old[0], *old[1:]))

    for mode in Image.MODES:
        row = FORMATS[formats.get(mode, "uint16" if mode.startswith("I;16") else "uint8")]

        def make(mode: str = mode, size: tuple[int, int] = (5, 4)) -> Any:
            picture = Image.new(mode, size)
            if size == (5, 4):
                n_bands = len(picture.getbands())
                value: Any = 1.5 if mode == "F" else 1
                one = value if n_bands == 1 else tuple(range(1, n_bands + 1))
                picture.putpixel((2, 1), one)
            return picture

        library = f"PIL {mode}"
        # of mode I;16B, the byte-swapped one
        layout = "byte-swapped" if mode == "I;16B" else "contiguous"
        yield Source(library, row, layout, make, np.array, put)
        yield Source(library, row, "empty", lambda make=make: make(size=(5, 0)), np.array, None)
        if mode in ("L", "P", "RGBX", "RGBA", "CMYK", "I;16", "I;16B"):  # those that can be views

            def view(mode: str = mode) -> Any:
                n_bytes = 20 * (4 if len(mode) == 4 and mode != "I;16" else 2 if "I" in mode else 1)
                return Image.frombuffer(mode, (5, 4), bytes(n_bytes), "raw", mode, 0, 1)

            yield Source(library, row, "read-only", view, np.array, None)


LIBRARIES: dict[str, Callable[[], Iterator[Source]]] = {
    "numpy": numpy_sources,
    "protocols": protocol_sources,
    "buffers": buffer_sources,
    "torch": torch_sources,
    "jax": jax_sources,
    "tensorflow": tensorflow_sources,
    "pyarrow": arrow_sources,
    "PIL": pil_sources,
}
