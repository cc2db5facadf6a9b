"""Pillow's modes, and an image of each."""

from __future__ import annotations

from typing import Any

import pytest

Image = pytest.importorskip("PIL.Image", reason="no Pillow")

# mode: (format, dimensions, shared with NumPy, shared with torch, strides of 5 x 4 pixels)
MODES: dict[str, tuple[str, int, bool, bool, tuple[int, ...]]] = {
    "1": ("bool", 2, False, False, (5, 1)),
    "L": ("uint8", 2, True, True, (5, 1)),
    "P": ("uint8", 2, True, True, (5, 1)),
    "LA": ("uint8", 3, True, True, (20, 4, 3)),
    "La": ("uint8", 3, True, True, (20, 4, 3)),
    "PA": ("uint8", 3, True, True, (20, 4, 3)),
    "RGB": ("uint8", 3, True, True, (20, 4, 1)),
    "HSV": ("uint8", 3, True, True, (20, 4, 1)),
    "YCbCr": ("uint8", 3, True, True, (20, 4, 1)),
    "LAB": ("uint8", 3, False, False, (15, 3, 1)),
    "RGBA": ("uint8", 3, True, True, (20, 4, 1)),
    "RGBX": ("uint8", 3, True, True, (20, 4, 1)),
    "RGBa": ("uint8", 3, True, True, (20, 4, 1)),
    "CMYK": ("uint8", 3, True, True, (20, 4, 1)),
    "I": ("int32", 2, True, True, (20, 4)),
    "I;16": ("uint16", 2, True, True, (10, 2)),
    "I;16L": ("uint16", 2, True, True, (10, 2)),
    "I;16N": ("uint16", 2, True, True, (10, 2)),
    "I;16B": ("uint16", 2, True, False, (10, 2)),
    "F": ("float32", 2, True, True, (20, 4)),
}


def made(mode: str) -> Any:
    """4 rows of 5 pixels, all different."""
    image = Image.new(mode, (5, 4))
    n_bands = len(image.getbands())
    for i in range(20):
        value: Any = i % 2 * 255 if mode == "1" else i * 1000 if mode.startswith("I") else i
        value = i / 4 if mode == "F" else value
        one = value if n_bands == 1 else tuple(4 * i + band for band in range(n_bands))
        image.putpixel((i % 5, i // 5), one)
    return image
