"""Pillow's images: their pixels shared through Pillow's Arrow export where it gives them.

In memory Pillow keeps one byte, or two or four of I;16, I and F, for a pixel of one band, and four
bytes for a pixel of several:

    RGB, YCbCr, HSV          | 1 | 2 | 3 |   |
    RGBA, RGBX, RGBa, CMYK   | 1 | 2 | 3 | 4 |
    LA, PA, La               | 1 |       | 2 |
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any, Final

from ..buffer import Buffer, contiguous_strides, numpy_buffer
from ..errors import CastError
from ..formats import FORMATS
from .arrow import buffer_of as exported

_WIDE: Final = {"I": "int32", "F": "float32"} | dict.fromkeys(
    ("I;16", "I;16L", "I;16B", "I;16N"), "uint16"
)
_BIG_ENDIAN: Final = {"I;16": False, "I;16L": False, "I;16B": True}
_COPIED: Final = {
    "1": "Pillow keeps true as 255",
    "LAB": "Pillow keeps the a and b of LAB less 128",
}


@dataclass(frozen=True)
class Picture:
    """An image's pixels.

    Attributes:
        buffer: of shape (height, width) of an image of one band, else (height, width, bands).
        read_only: why they may not be written, or "".
        copied: why they had to be copied, or "".
        note: what is odd about shared ones, or "".
    """

    buffer: Buffer
    read_only: str = ""
    copied: str = ""
    note: str = ""


def is_image(x: object) -> bool:
    """Whether an object is an image of Pillow."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(x, pil.Image)


def picture_of(image: Any) -> Picture:
    """The pixels with the values that `numpy.asarray(image)` has, shared where Pillow's memory has
    them so.

    Raises:
        CastError: Pillow hands out no numbers for the mode.
    """
    why = _COPIED.get(image.mode, "")
    if not why:
        shared = _shared(image)
        if isinstance(shared, Picture):
            return shared
        why = shared
    import numpy as np

    try:
        array = np.array(image)  # np.asarray copies too, and gives a read-only array
    except (TypeError, ValueError, KeyError, SystemError) as error:
        raise CastError(f"an image of mode {image.mode!r} has no numbers: {error}") from None
    if array.dtype == bool:  # of mode "1", in which true is 255
        array = array.view(np.uint8) != 0
    return Picture(numpy_buffer(array), copied=why)


def _shared(image: Any) -> Picture | str:
    """The pixels in Pillow's own memory, or why they cannot be had there."""
    if not hasattr(image, "__arrow_c_array__"):
        return "this Pillow hands out copies of its pixels; 11.2 and newer share them"
    width, height = image.size
    n_bands = len(image.getbands())
    try:
        memory = exported(image)
    except (ValueError, CastError) as error:
        if isinstance(error, ValueError) and in_blocks(image):
            return "Pillow keeps an image this large in several blocks"
        return f"Pillow does not share its pixels: {str(error).rstrip('.')}"
    row = FORMATS[_WIDE.get(image.mode, "uint8")]
    in_four = n_bands > 1
    if memory.n_elements != width * height * (4 if in_four else 1) or (
        memory.format.container_bits != row.container_bits
    ):
        return f"Pillow's memory of mode {image.mode!r} is laid out in an unknown way"
    buffer = replace(
        memory,
        shape=(height, width),
        strides=contiguous_strides((height, width), row.container_bits // 8),
        format=row,
        writable=not image.readonly,
        byte_swapped=image.mode in _BIG_ENDIAN
        and _BIG_ENDIAN[image.mode] != (sys.byteorder == "big"),
    )
    note = ""
    if in_four:
        step = 3 if n_bands == 2 else 1  # the second of two bands is the last byte
        buffer = replace(buffer, shape=(height, width, n_bands), strides=(4 * width, 4, step))
        if n_bands < 4:
            note = f"Pillow keeps 4 bytes a pixel, of which {n_bands} are the {image.mode}"
    read_only = "the image stands on memory that is not its own" if image.readonly else ""
    return Picture(buffer, read_only, note=note)


def in_blocks(image: Any) -> bool:
    """Whether the image takes more bytes than Pillow keeps in one block."""
    size = getattr(sys.modules["PIL.Image"].core, "get_block_size", lambda: 1 << 24)()
    row = FORMATS[_WIDE.get(image.mode, "uint8")]
    n_bytes = 4 if len(image.getbands()) > 1 else row.container_bits // 8
    width, height = image.size
    return width * height * n_bytes > size  # type: ignore[no-any-return]
