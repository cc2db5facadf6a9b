"""Pillow images over memory: height x width, or height x width x bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ...buffer import Buffer
from ...errors import CastError
from ...formats import FORMATS, Format
from ..memory import as_numpy
from .fit import Fit

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
_SHARED: Final = ("L", "P", "RGBX", "RGBA", "CMYK", "I;16")
"""What Image.frombuffer stands on; PIL.Image._MAPMODES."""
_RAW: Final = {"1": "1;8", "I": "I;32N", "F": "F;32NF"}


@dataclass(frozen=True)
class Pillow:
    """The way to Pillow.

    Attributes:
        mode: of the image; None: by format and bands.
    """

    mode: str | None = None

    def load(self) -> Any:
        """Import Pillow."""
        from . import load

        load("PIL")
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
        if mode in _SHARED:
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
        if mode in _SHARED:
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
