"""Pixels of NumPy arrays, torch tensors and PIL images: a view in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..buffer import Buffer, numpy_buffer
from ..errors import CastError
from ..formats import Format
from . import is_numpy, is_torch, kind_of
from .memory import as_numpy
from .seeing import see_foreign

_PIXELS = ("uint8", "uint16", "bool")
_WIDE_MODES = ("I;16", "I;16L", "I;16N")
_STRIP_BYTES = 2 << 20  # of Pillow's memory, copied and read while it is in the cache


@dataclass(frozen=True)
class Pixels:
    """An image's memory.

    Attributes:
        buffer: of the dimensions that the layout names.
        is_torch: whether the result is to be a torch tensor.
        rows: buffers of one image in Pillow's memory, of so many rows each; then the buffer has a
            shape, and memory for the first of them only; see `strips`.
        blocks: an image of Pillow's whose memory is not known, and the letters of its dimensions:
            then the buffer has a shape, and memory for the first row only.
        is_picture: Pillow's, so that the order of its dimensions is known.
    """

    buffer: Buffer
    is_torch: bool
    rows: tuple[tuple[int, Buffer], ...] = ()
    blocks: tuple[Any, str] | None = None
    is_picture: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the buffer has all of the pixels."""
        return not self.rows and self.blocks is None

    def strips(self) -> Iterator[tuple[int, int, Buffer]]:
        """The pixels in strips of rows, each with the numbers of its first row and of the row after
        its last; one strip where they lie in one piece."""
        if self.is_whole:
            yield 0, 0, self.buffer
            return
        begin = 0
        for n_rows, buffer in self.rows:
            yield begin, begin + n_rows, buffer
            begin += n_rows
        if self.blocks is None:
            return
        from .pillow import picture_of

        image, letters = self.blocks
        width, height = image.size
        n_rows = max(1, _STRIP_BYTES // (4 * width))
        for begin in range(0, height, n_rows):
            end = min(height, begin + n_rows)
            strip = image.crop((0, begin, width, end))
            yield begin, end, _laid_out(picture_of(strip).buffer, letters)

    def channel(self, letters: str, number: int) -> Any:
        """One channel as a NumPy array, sharing memory; the whole image if it has none."""
        import ctypes

        import numpy as np

        if not self.is_whole:
            at = letters.find("H")
            strips = [Pixels(strip, True).channel(letters, number) for *_, strip in self.strips()]
            at -= 0 <= letters.find("C") < at
            return np.concatenate(strips, at)
        begin, end = self.buffer.extent
        memory: Any = (ctypes.c_uint8 * (end - begin)).from_address(begin) if end > begin else b""
        row = self.buffer.format
        whole: Any = np.ndarray(
            self.buffer.shape,
            np.dtype(row.name),
            memory,
            self.buffer.address - begin,
            self.buffer.strides,
        )
        at = letters.find("C")
        return whole if at < 0 else whole.take(number, axis=at)


def first_of(pixels: Any, values: frozenset[int]) -> tuple[int, tuple[int, ...]] | None:
    """The first pixel of an array that has one of the values, and its index; None if there is
    none."""
    import numpy as np

    if not values:
        return None
    found = np.isin(pixels.astype(np.int64), sorted(values))
    if not found.any():
        return None
    index = tuple(int(i) for i in np.unravel_index(int(found.argmax()), found.shape))
    return int(pixels[index]), index


def pixels_of(image: Any, letters: str) -> Pixels:
    """The pixels of an image whose dimensions are `letters`.

    Raises:
        CastError: it is no image of uint8, uint16 or bool, or has other dimensions.
    """
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        pixels = replace(_pil_pixels(image, letters), is_picture=True)
    elif is_torch(image):
        from .torch.tensor import buffer_of, is_plain

        if image.device.type == "cpu" and not is_plain(image):
            raise CastError("the image is being traced or transformed, and has no memory to read")
        pixels = Pixels(buffer_of(image), True)
    else:
        pixels = Pixels(_numpy_pixels(image), False)
    row, shape = pixels.buffer.format, pixels.buffer.shape
    if row.name not in _PIXELS:
        raise CastError(
            f"the image holds {row.name}; pixels are {', '.join(_PIXELS)}, and tensorcast.cast "
            "takes the rest"
        )
    if len(shape) != len(letters):
        grey = ' A grey image is "HW->HW" or "HW->CHW".' if len(shape) == 2 else ""
        raise CastError(
            f"the image has shape {list(shape)}, the layout {letters!r} {len(letters)} "
            f"dimensions.{grey}"
        )
    return pixels


def _numpy_pixels(image: Any) -> Buffer:
    if is_numpy(image):
        buffer = numpy_buffer(image)
    else:
        seen = see_foreign(image)
        if seen is None:
            kind_of(image)  # which says what to pass
            raise CastError(f"a {type(image).__name__} is no image")
        buffer = seen.buffer
    if buffer.byte_swapped:
        array = as_numpy(buffer)
        buffer = numpy_buffer(array.astype(array.dtype.newbyteorder("=")))
    return buffer


def _pil_pixels(image: Any, letters: str) -> Pixels:
    from .pillow import in_blocks, is_shared, picture_of, rows_in

    if image.mode in ("P", "PA"):
        raise CastError(
            f'mode {image.mode!r} holds indices into a palette; pass image.convert("RGB")'
        )
    wide = image.mode in _WIDE_MODES
    if image.mode in ("I", "F") or (image.mode.startswith("I;") and not wide):
        raise CastError(
            f"mode {image.mode!r} has no 8-bit channels; pass tensorcast.as_tensor(image) to "
            "tensorcast.cast"
        )
    if is_shared(image):
        return Pixels(_laid_out(picture_of(image).buffer, letters), True)
    height, at = image.size[1], letters.find("H")
    rows = tuple((part.shape[0], _laid_out(part, letters)) for part in rows_in(image))
    if len(rows) == 1:
        return Pixels(rows[0][1], True)
    if not rows and not in_blocks(image):
        return Pixels(_laid_out(picture_of(image).buffer, letters), True)
    if rows:
        first = rows[0][1]
    else:
        first = _laid_out(picture_of(image.crop((0, 0, image.size[0], 1))).buffer, letters)
    if at < 0:
        return Pixels(first, True)  # which has too few dimensions, and is refused
    shape = (*first.shape[:at], height, *first.shape[at + 1 :])
    strides = (*first.strides[:at], 0, *first.strides[at + 1 :])
    whole = replace(first, shape=shape, strides=strides)
    return Pixels(whole, True, rows, None if rows else (image, letters))


def _laid_out(picture: Buffer, letters: str) -> Buffer:
    """A picture's buffer, of shape (height, width) or (height, width, bands), with its dimensions
    in the order of the letters."""
    sizes = dict(zip("HWC", zip(picture.shape, picture.strides, strict=True), strict=False))
    if "N" in letters:
        sizes["N"] = 1, 0
    if "C" in letters:
        sizes.setdefault("C", (1, picture.itemsize))
    order = letters if set(letters) == set(sizes) else sizes
    shape, strides = zip(*(sizes[letter] for letter in order), strict=True)
    return replace(picture, shape=shape, strides=strides)


def written_buffer(out: Any, pixels: Pixels, shape: tuple[int, ...], target: Format) -> Buffer:
    """The buffer of `out`, checked.

    Raises:
        CastError: `out` is of another library, shape or format, read-only, or shares the image's
            memory.
    """
    wanted = "torch" if pixels.is_torch else "numpy"
    if kind_of(out) != wanted:
        name = "torch.Tensor" if pixels.is_torch else "numpy.ndarray"
        raise CastError(f"out is of type {type(out).__name__}; this image goes into a {name}")
    if pixels.is_torch:
        import torch

        from .torch.tensor import buffer_of, is_plain

        if out.device.type == "cpu" and not is_plain(out):
            raise CastError("out is being traced or transformed, and has no memory to write to")
        if out.requires_grad:
            raise CastError("out requires grad, and no gradient is recorded; pass out.detach()")
        buffer = buffer_of(out, writable=True)
        torch.autograd.graph.increment_version(out)
    else:
        buffer = numpy_buffer(out, writable=True)
    if buffer.format != target or buffer.packed:
        raise CastError(f"out holds {buffer.format.name}, not {target.name}")
    if buffer.shape != shape:
        raise CastError(f"out has shape {list(buffer.shape)}, the result {list(shape)}")
    if buffer.byte_swapped:
        raise CastError("out is in the other byte order than the machine's")
    if buffer.overlaps_itself:
        raise CastError("elements of out share memory with each other; write into a copy of it")
    memory = [part for _, part in pixels.rows] or [pixels.buffer]
    if any(buffer.overlaps(part) for part in memory):
        raise CastError("out shares memory with the image; write into memory of its own")
    return buffer
