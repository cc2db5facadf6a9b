"""Where Pillow keeps the rows of an image that lies in several blocks.

An image's capsule ("Pillow Imaging") holds the address of Pillow's own structure, which begins
alike in all versions but not at the same offsets:

    mode (a name, or a number) | ... | width | height | ... | address of the rows' addresses | ...

So the offsets are looked for, once for each mode: images of known pixels are made, and their width,
height and pixels have to be found where they should be, at one place only. Memory is read by asking
the system for a copy of it, which a wrong address makes fail, not crash. Where nothing or several
things are found, or the system copies no memory, there are no rows, and Pillow makes a copy.
Looked at: Pillow 12. TENSORCAST_WITHOUT=pillow-rows does without it.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from ..kernels import cpu
from ..kernels.private import without
from .capsules import address_in

_NAMES: Final = b"Pillow Imaging", b"PIL Imaging"  # 11 and newer, older
_STRUCTURE_BYTES: Final = 96  # no version has less
_SIZES: Final = (37, 11), (5, 23), (130, 3)  # of the images that are made
_POINTER: Final = struct.calcsize("P")


@dataclass(frozen=True)
class Rows:
    """The rows of an image, in Pillow's memory.

    Attributes:
        runs: (address, rows, bytes from one to the next) of rows that lie at equal distances.
        owner: what keeps the memory alive. Pillow frees an image's blocks with its core object,
            and never moves them before; closing the image, or loading another frame, only lets go
            of that object. So the memory stays while the owner is held; another thread may still
            write other pixels into it, as into an array's.
    """

    runs: tuple[tuple[int, int, int], ...]
    owner: object


@dataclass(frozen=True)
class _Layout:
    """Offsets into the structure, of the width, which the height follows, and of the rows; and the
    type of objects whose capsules have it."""

    size: int
    rows: int
    core: type


def rows_of(image: Any, pixel_bytes: int, bands: tuple[int, ...]) -> Rows | None:
    """The rows of a loaded image; None where they cannot be told.

    Args:
        pixel_bytes: of a pixel in Pillow's memory.
        bands: which of them the image's own bytes are.
    """
    width, height = image.size
    core: Any = image.im
    if without("pillow-rows"):
        return None
    if not width or not height or core.mode != image.mode or core.size != image.size:
        return None
    layout, kind = _layout(image.mode, pixel_bytes, bands), type(core)
    if layout is None or layout.core is not kind:
        return None
    capsule: object = core.ptr
    table = _table(_structure(capsule), layout, (width, height))
    runs = cpu.memory_rows(table, height) if table else None
    return None if runs is None else Rows(tuple(runs), (core, capsule))


@cache
def _layout(mode: str, pixel_bytes: int, bands: tuple[int, ...]) -> _Layout | None:
    """The only offsets at which the images made have their sizes and pixels."""
    found: set[_Layout] | None = None
    for size in _SIZES:
        n_bytes = size[0] * size[1] * len(bands)
        pixels = bytes((i * 167 + i // 251 * 31 + size[0]) % 256 for i in range(n_bytes))
        try:
            core = sys.modules["PIL.Image"].frombytes(mode, size, pixels).im
            structure = _structure(core.ptr)
        except (ValueError, AttributeError):  # no such mode, or another kind of image
            return None
        here = set(_layouts(structure, type(core), size, pixels, pixel_bytes, bands))
        found = here if found is None else found & here
    # Pillow keeps the rows' address twice, by the size of a pixel and for all: the last is for all
    if not found or len({layout.size for layout in found}) > 1:
        return None
    return max(found, key=lambda layout: layout.rows)


def _layouts(
    structure: bytes,
    core: type,
    size: tuple[int, int],
    pixels: bytes,
    pixel_bytes: int,
    bands: tuple[int, ...],
) -> list[_Layout]:
    width, height = size
    n_bytes = width * len(bands)
    expected = [pixels[y * n_bytes : (y + 1) * n_bytes] for y in range(height)]
    found = []
    for at in range(0, len(structure) - 7, 4):
        if struct.unpack_from("ii", structure, at) != size:
            continue
        for rows in range(0, len(structure) - _POINTER + 1, _POINTER):
            layout = _Layout(at, rows, core)
            table = _table(structure, layout, size)
            runs = cpu.memory_rows(table, height) if table else None
            if runs and _read(runs, width, pixel_bytes, bands) == expected:
                found.append(layout)
    return found


def _read(
    runs: list[tuple[int, int, int]], width: int, pixel_bytes: int, bands: tuple[int, ...]
) -> list[bytes] | None:
    """The rows' own bytes; None where memory cannot be read."""
    rows = []
    for address, n, pitch in runs:
        for i in range(n):
            row = cpu.memory_read(address + i * pitch, width * pixel_bytes)
            if row is None:
                return None
            rows.append(
                bytes(row[x + band] for x in range(0, len(row), pixel_bytes) for band in bands)
            )
    return rows


def _structure(capsule: object) -> bytes:
    """The begin of Pillow's structure; nothing where it cannot be read."""
    for name in _NAMES:
        address = address_in(capsule, name)
        if address:
            return cpu.memory_read(address, _STRUCTURE_BYTES) or b""
    return b""


def _table(structure: bytes, layout: _Layout, size: tuple[int, int]) -> int:
    """The address of the rows' addresses; 0 if the structure is not of that size."""
    if not structure or struct.unpack_from("ii", structure, layout.size) != size:
        return 0
    table: int = struct.unpack_from("P", structure, layout.rows)[0]
    return table
