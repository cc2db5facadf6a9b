"""Pillow's images: their pixels shared through Pillow's Arrow export where it gives them, else
copied out of Pillow's memory, or by Pillow.

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
from ..formats import FORMATS, Format
from ..kernels import cpu
from .arrow_capsules import buffer_of as exported
from .memory import as_numpy, empty_numpy
from .pillow_rows import rows_of
from .protocol import Demands, Fit, Seen
from .protocol import load as library

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
        rows = rows_in(image)
        if rows:
            return Picture(_copied(image, rows), copied=why)
    import numpy as np

    try:
        array = np.array(image)  # np.asarray copies too, and gives a read-only array
    except (TypeError, ValueError, KeyError, SystemError) as error:
        raise CastError(f"an image of mode {image.mode!r} has no numbers: {error}") from None
    if array.dtype == bool:  # of mode "1", in which true is 255
        array = array.view(np.uint8) != 0
    return Picture(numpy_buffer(array), copied=why)


def rows_in(image: Any) -> tuple[Buffer, ...]:
    """The pixels in Pillow's own memory, in as many buffers as have equal distances between rows,
    first to last; none where that is not known. Read-only, and for a look only: nobody else learns
    of it."""
    try:
        image.load()
        rows = None if image.mode in _COPIED else rows_of(image, *_pixel(image))
    except ValueError:  # a closed image
        return ()
    if rows is None:
        return ()
    width, n_bands = image.size[0], len(image.getbands())
    pixel_bytes, bands = _pixel(image)
    shape: tuple[int, ...] = (width,)
    strides: tuple[int, ...] = (pixel_bytes,)
    if n_bands > 1:
        shape, strides = (width, n_bands), (pixel_bytes, bands[1])
    return tuple(
        Buffer(
            address,
            (n, *shape),
            (pitch, *strides),
            _format(image),
            owner=rows.owner,
            writable=False,
            byte_swapped=_swapped(image),
        )
        for address, n, pitch in rows.runs
    )


def _copied(image: Any, rows: tuple[Buffer, ...]) -> Buffer:
    """The rows' pixels in new memory."""
    width, height = image.size
    made, address = empty_numpy((height, *rows[0].shape[1:]), rows[0].format)
    row_bytes = made.nbytes // height
    n_bands = len(image.getbands())
    if n_bands not in (2, 3):  # as they are
        width, n_bands = row_bytes, 1
    for part in rows:
        n_rows = part.shape[0]
        cpu.memory_pack(part.address, part.strides[0], n_rows, width, n_bands, address)
        address += n_rows * row_bytes
    if rows[0].byte_swapped:
        made = made.view(made.dtype.newbyteorder())
    return numpy_buffer(made)


def _format(image: Any) -> Format:
    return FORMATS[_WIDE.get(image.mode, "uint8")]


def _pixel(image: Any) -> tuple[int, tuple[int, ...]]:
    """How many bytes a pixel takes in Pillow's memory, and which of them are the image's."""
    n_bands = len(image.getbands())
    if n_bands == 1:
        n_bytes = _format(image).container_bits // 8
        return n_bytes, tuple(range(n_bytes))
    return 4, (0, 3) if n_bands == 2 else tuple(range(n_bands))


def _swapped(image: Any) -> bool:
    return image.mode in _BIG_ENDIAN and _BIG_ENDIAN[image.mode] != (sys.byteorder == "big")


def _shared(image: Any) -> Picture | str:
    """The pixels in Pillow's own memory, or why they cannot be had there."""
    if not hasattr(image, "__arrow_c_array__"):
        return "this Pillow hands out copies of its pixels; 11.2 and newer share them"
    width, height = image.size
    n_bands = len(image.getbands())
    try:
        image.load()
        if (image.readonly or 0 in image.size) and _exports_own_blocks_only():
            return "this Pillow shares no memory that is not its own; 13 and newer do"
        memory = exported(image)
    except (ValueError, CastError) as error:
        if isinstance(error, ValueError) and in_blocks(image):
            return "Pillow keeps an image this large in several blocks"
        return f"Pillow does not share its pixels: {str(error).rstrip('.')}"
    row = _format(image)
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
        byte_swapped=_swapped(image),
    )
    note = ""
    if in_four:
        step = 3 if n_bands == 2 else 1  # the second of two bands is the last byte
        buffer = replace(buffer, shape=(height, width, n_bands), strides=(4 * width, 4, step))
        if n_bands < 4:
            note = f"Pillow keeps 4 bytes a pixel, of which {n_bands} are the {image.mode}"
    read_only = "the image stands on memory that is not its own" if image.readonly else ""
    return Picture(buffer, read_only, note=note)


def _exports_own_blocks_only() -> bool:
    """Whether Pillow ends the process when it exports an image without blocks of its own: one on
    memory of others, or one without pixels (python-pillow issue 9896)."""
    return int(sys.modules["PIL"].__version__.partition(".")[0]) < 13


def is_shared(image: Any) -> bool:
    """Whether Pillow is asked for an image's memory by `picture_of`, and has it in one piece."""
    exports = hasattr(image, "__arrow_c_array__") and image.mode not in _COPIED
    return exports and not in_blocks(image)


def in_blocks(image: Any) -> bool:
    """Whether the image takes more bytes than Pillow keeps in one block."""
    size = getattr(sys.modules["PIL.Image"].core, "get_block_size", lambda: 1 << 24)()
    width, height = image.size
    return width * height * _pixel(image)[0] > size  # type: ignore[no-any-return]


def see(x: Any) -> Seen | None:
    """An image's pixels; None for what is none."""
    if not is_image(x):
        return None
    picture = picture_of(x)
    return Seen("PIL", picture.buffer, picture.read_only, picture.copied, picture.note)


DEMANDS: Final = Demands(
    "Pillow", "PIL.Image.Image", "PIL", dense=True, alignment=1, protective=True
)

# mode -> format, bands; the first mode of a format and number of bands is what they make
_MODES: Final = {
    "1": ("bool", 1),
    "L": ("uint8", 1),
    "LA": ("uint8", 2),
    "RGB": ("uint8", 3),
    "RGBA": ("uint8", 4),
    "I;16": ("uint16", 1),
    "I": ("int32", 1),
    "F": ("float32", 1),
    "P": ("uint8", 1),
    "La": ("uint8", 2),
    "PA": ("uint8", 2),
    "YCbCr": ("uint8", 3),
    "HSV": ("uint8", 3),
    "LAB": ("uint8", 3),
    "RGBX": ("uint8", 4),
    "RGBa": ("uint8", 4),
    "CMYK": ("uint8", 4),
}
_FRAMED: Final = ("L", "P", "RGBX", "RGBA", "CMYK", "I;16")
"""What Image.frombuffer stands on; PIL.Image._MAPMODES."""
_RAW: Final = {"1": "1;8", "I": "I;32N", "F": "F;32NF"}


@dataclass(frozen=True)
class Pillow:
    """The way to Pillow.

    Attributes:
        mode: of the image; None: by format and bands.
    """

    mode: str | None = None

    DEMANDS = DEMANDS

    def load(self) -> Any:
        """Import Pillow."""
        library("PIL")
        from PIL import Image

        return Image

    def is_own(self, x: Any) -> bool:
        """Whether an object is an image of the mode."""
        return isinstance(x, self.load().Image) and self.mode in (None, x.mode)

    def described(self, x: Any) -> tuple[Format, tuple[int, ...], str]:
        """Format, shape and device."""
        width, height = x.size
        name, bands = _MODES.get(x.mode, ("uint8", len(x.getbands())))
        return FORMATS[name], (height, width, bands) if bands > 1 else (height, width), "cpu"

    def fit(self, row: Format, shape: tuple[int, ...]) -> Fit:
        """The formats and numbers of bands that some mode has."""
        try:
            mode = self._mode_of(row, shape)
        except CastError as error:
            return Fit(lacks=str(error))
        bands = _MODES[mode][1]
        pixel = 4 if bands > 1 else row.container_bits // 8
        n_bytes = shape[0] * shape[1] * pixel
        if mode in _FRAMED:
            return Fit(n_bytes=n_bytes)
        if mode == "1":
            return Fit(remade="Pillow keeps true as 255", n_bytes=n_bytes)
        if bands in (2, 3):
            why = f"Pillow keeps 4 bytes a pixel of {mode}, and these have {bands}"
            return Fit(remade=why, n_bytes=n_bytes)
        return Fit(remade=f"Pillow stands on no foreign memory for mode {mode}", n_bytes=n_bytes)

    def inferred(self, row: Format) -> tuple[Format, ...]:
        """What NumPy infers."""
        return (row,)

    def wrap(self, buffer: Buffer) -> Any:
        """An image on the memory."""
        image = self.load()
        mode = self._mode_of(buffer.format, buffer.shape)
        size = buffer.shape[1], buffer.shape[0]
        if buffer.n_elements == 0:
            return image.new(mode, size)
        array = as_numpy(buffer)
        if buffer.byte_swapped:
            array = array.astype(array.dtype.newbyteorder("="))
        if mode in _FRAMED:
            return image.frombuffer(mode, size, array, "raw", mode, 0, 1)
        return image.frombytes(mode, size, array.tobytes(), "raw", _RAW.get(mode, mode))

    def _mode_of(self, row: Format, shape: tuple[int, ...]) -> str:
        bands = shape[2] if len(shape) == 3 else 1
        if len(shape) in (2, 3) and self.mode is None:
            for mode, fits in _MODES.items():
                if fits == (row.name, bands):
                    return mode
        if self.mode is not None:
            if self.mode not in _MODES:
                raise CastError(f"mode={self.mode!r} is not one of {', '.join(_MODES)}")
            name, n = _MODES[self.mode]
            if len(shape) in (2, 3) and (row.name, bands) == (name, n):
                return self.mode
            wanted = f"height x width x {n}" if n > 1 else "height x width"
            raise CastError(
                f"an image of mode {self.mode} is {wanted} of {name}, not {row.name} {list(shape)}"
            )
        first = len(shape) == 3 and shape[0] in (1, 2, 3, 4) and shape[2] not in (1, 2, 3, 4)
        hint = '; its channels seem to be in front: pass layout="CHW"' if first else ""
        raise CastError(
            f"Pillow has no image of {row.name} {list(shape)}; it has height x width x 1 to 4 of "
            f"uint8, and height x width of bool, uint16, int32 and float32{hint}"
        )
