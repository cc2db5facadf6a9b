"""The rows of Pillow's images in Pillow's memory: found, read and packed, or Pillow's copies."""

from __future__ import annotations

import gc
import io
import mmap
import struct
import sys
from collections.abc import Iterator
from ctypes import addressof, c_char
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pil_modes import MODES, made

import tensorcast as tc
from tensorcast.bridges import pillow, pillow_rows
from tensorcast.errors import CastError
from tensorcast.kernels import cpu

Image = pytest.importorskip("PIL.Image", reason="no Pillow")
torch = pytest.importorskip("torch", reason="no torch")

COPIED = "1", "LAB"
EIGHT_BITS = [mode for mode in MODES if MODES[mode][0] == "uint8" and mode not in ("P", "PA")]
KNOWN = [mode for mode in MODES if mode not in COPIED]

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read on Linux only")


@pytest.fixture
def small_blocks() -> Iterator[None]:
    """Pillow's blocks are 16 MB, and 4 KB here."""
    before = Image.core.get_block_size()
    Image.core.set_block_size(4096)
    Image.core.clear_cache()
    yield
    Image.core.set_block_size(before)
    Image.core.clear_cache()


def random(mode: str, size: tuple[int, int], seed: int = 1) -> Any:
    n_bytes = len(made(mode).tobytes()) // 20 if mode != "1" else 0
    rng = np.random.default_rng(seed)
    if mode == "F":
        return Image.fromarray(rng.standard_normal(size[::-1], np.float32))
    if mode == "1":
        return Image.frombytes("L", size, rng.bytes(size[0] * size[1])).convert("1")
    return Image.frombytes(mode, size, rng.bytes(n_bytes * size[0] * size[1]))


def results(image: Any) -> list[Any]:
    """What is made of an image, in new memory."""
    made = [np.array(tc.to_numpy(image)), tc.as_tensor(image, copy=True).numpy()]
    if image.mode in EIGHT_BITS or image.mode in ("1", "I;16"):
        made.append(tc.image_to_tensor(image).numpy())
        made.append(tc.image_to_tensor(image, "float16", layout="HWC->HWC", mean=0.3).numpy())
    return made


def check(image: Any) -> None:
    """Both ways give the same bits, and those of NumPy."""
    found = results(image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pillow, "rows_in", lambda image: ())
        others = results(image)
    expected = np.asarray(image)
    for array in found[:2]:
        assert array.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        assert np.array_equal(array, expected)
    for array, other in zip(found, others, strict=True):
        assert array.shape == other.shape
        assert array.tobytes() == other.tobytes()


def pixels_in(image: Any) -> np.ndarray[Any, Any]:
    """What lies in the rows, read one by one."""
    rows = []
    for part in pillow.rows_in(image):
        for y in range(part.shape[0]):
            row = part.part(0, y, y + 1)
            begin, end = row.extent
            read = cpu.memory_read(begin, end - begin)
            assert read is not None
            rows.append(np.ndarray(row.shape[1:], row.format.name, read, 0, row.strides[1:]).copy())
    return np.stack(rows)


@needs_linux
@pytest.mark.parametrize("mode", KNOWN)
@pytest.mark.parametrize("size", [(1, 1), (5, 4), (67, 90), (1021, 3)])
@pytest.mark.usefixtures("small_blocks")
def test_rows_are_found(mode: str, size: tuple[int, int]) -> None:
    image = random(mode, size)
    parts = pillow.rows_in(image)
    assert sum(part.shape[0] for part in parts) == size[1]
    assert all(part.shape[1:] == np.asarray(image).shape[1:] for part in parts)
    swapped = parts[0].byte_swapped
    found = pixels_in(image)
    assert np.array_equal(found.byteswap() if swapped else found, np.asarray(image))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (67, 90), (16, 130)])
@pytest.mark.usefixtures("small_blocks")
def test_in_several_blocks(mode: str, size: tuple[int, int]) -> None:
    check(random(mode, size))


@pytest.mark.parametrize("mode", MODES)
def test_in_one_block(mode: str) -> None:
    check(random(mode, (67, 90)))


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
@pytest.mark.parametrize("size", [(0, 0), (0, 3), (3, 0)])
def test_without_pixels(mode: str, size: tuple[int, int]) -> None:
    image = Image.new(mode, size)
    assert pillow.rows_in(image) == ()
    assert tc.image_to_tensor(image, layout="HWC->HWC").shape[:2] == size[::-1]


@needs_linux
@pytest.mark.usefixtures("small_blocks")
def test_images_made_of_others() -> None:
    image = random("RGB", (97, 61))
    for other in (
        image.crop((3, 5, 90, 60)),
        image.resize((150, 40)),
        image.transpose(Image.Transpose.ROTATE_90),
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        image.convert("L"),
        image.convert("CMYK"),
        image.getchannel(1),
        image.copy(),
    ):
        assert pillow.rows_in(other)
        check(other)


@needs_linux
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.usefixtures("small_blocks")
def test_files_that_are_not_read_yet(kind: str, mode: str, tmp_path: Path) -> None:
    image = random(mode, (97, 61))
    path = tmp_path / "image"
    image.save(path, kind)
    with Image.open(path) as expected:
        expected.load()
        check(expected)
        ways = (tc.to_numpy,) if expected.mode == "P" else (tc.as_tensor, tc.image_to_tensor)
        for way in ways:
            with Image.open(path) as image:
                found = np.asarray(way(image))
            assert np.array_equal(found, way(expected))
    with Image.open(io.BytesIO(path.read_bytes())) as image:  # no file to map
        check(image)


@needs_linux
def test_pixels_that_change_later() -> None:
    image = random("RGB", (2100, 2100))
    assert len(pillow.rows_in(image)) > 1
    array, tensor = tc.to_numpy(image), tc.image_to_tensor(image)
    before = np.array(image)
    image.paste((1, 2, 3), (0, 0, *image.size))
    assert np.array_equal(array, before)
    assert np.array_equal(tensor, tc.image_to_tensor(before))
    assert np.array_equal(tc.to_numpy(image), np.asarray(image))
    check(image)


@needs_linux
@pytest.mark.parametrize("end", ["close", "resize", "thumbnail", "del"])
@pytest.mark.usefixtures("small_blocks")
def test_rows_keep_their_memory(end: str) -> None:
    image = random("RGB", (97, 61))
    expected = np.array(image)
    parts = pillow.rows_in(image)
    if end == "close":
        image.close()
    elif end == "thumbnail":
        image.thumbnail((10, 10))
    elif end == "resize":
        image = image.resize((5, 5))
    del image
    gc.collect()
    Image.core.clear_cache()
    junk = [random("RGB", (97, 61), i + 2) for i in range(50)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pillow, "rows_in", lambda image: parts)
        assert np.array_equal(pixels_in(None), expected)
    del junk


@needs_linux
def test_memory_of_others() -> None:
    held = np.random.default_rng(1).integers(0, 256, (2100, 2100, 4), np.uint8)
    image = Image.frombuffer("RGBA", (2100, 2100), held, "raw", "RGBA", 0, 1)
    (part,) = pillow.rows_in(image)
    assert part.address == held.ctypes.data
    assert not part.writable
    check(image)
    with pytest.raises(CastError, match="shares memory"):
        tc.image_to_tensor(
            image, "uint8", layout="HWC->HWC", divide=None, out=torch.from_numpy(held)
        )


def test_a_closed_image_has_no_rows() -> None:
    image = made("RGB")
    image.close()
    assert pillow.rows_in(image) == ()
    with pytest.raises(CastError, match="closed"):
        tc.to_numpy(image)


@pytest.fixture
def forgotten() -> Iterator[None]:
    pillow_rows._layout.cache_clear()
    yield
    pillow_rows._layout.cache_clear()


@pytest.mark.usefixtures("forgotten", "small_blocks")
def test_without_a_system_that_reads_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "memory_read", lambda address, n_bytes: None)
    monkeypatch.setattr(cpu, "memory_rows", lambda table, n_rows: None)
    image = random("RGB", (67, 90))
    assert pillow.rows_in(image) == ()
    assert np.array_equal(tc.to_numpy(image), np.asarray(image))
    expected = tc.image_to_tensor(np.array(image))
    assert np.array_equal(tc.image_to_tensor(image), expected)


@needs_linux
@pytest.mark.parametrize("n_skipped", [4, 8, 40])
@pytest.mark.usefixtures("forgotten")
def test_another_layout_is_found_or_not(n_skipped: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A structure with something else in front has its members elsewhere, or not where a pointer
    can be."""
    real = pillow_rows._structure
    offset = pillow_rows._layout("L", 1, (0,))
    assert offset is not None
    pillow_rows._layout.cache_clear()
    front = struct.pack("10i", 37, 11, 5, 23, 130, 3, 1, 1, 1, 1)[:n_skipped]
    monkeypatch.setattr(pillow_rows, "_structure", lambda capsule: front + real(capsule))
    found = pillow_rows._layout("L", 1, (0,))
    if n_skipped % 8:
        assert found is None
    else:
        assert found is not None
        assert found.rows == offset.rows + n_skipped
        image = random("L", (67, 90))
        assert np.array_equal(pixels_in(image), np.asarray(image))


@needs_linux
@pytest.mark.parametrize("pointer", [0, 1, 4096, 1 << 47, (1 << 63) + 8, (1 << 64) - 8])
@pytest.mark.usefixtures("forgotten")
def test_wrong_addresses_are_no_crash(pointer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pillow_rows._structure

    def lying(capsule: object) -> bytes:
        structure = bytearray(real(capsule))
        layout = struct.unpack_from("24i", structure)
        for at in range(0, len(structure), 8):
            if (
                struct.unpack_from("Q", structure, at)[0] > 1 << 32
                and 0 not in layout[at // 4 :][:2]
            ):
                struct.pack_into("Q", structure, at, pointer)
        return bytes(structure)

    image = random("RGB", (67, 90))
    monkeypatch.setattr(pillow_rows, "_structure", lying)
    assert pillow_rows._layout("RGB", 4, (0, 1, 2)) is None
    assert pillow.rows_in(image) == ()
    check(image)


@needs_linux
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.usefixtures("forgotten")
def test_other_pixels_are_no_rows(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one byte of what is read is another, the layout is not believed."""
    real = cpu.memory_read

    def lying(address: int, n_bytes: int) -> bytes | None:
        read = real(address, n_bytes)
        if read is None or n_bytes == 96:
            return read
        return bytes([read[0] ^ 1]) + read[1:]

    monkeypatch.setattr(cpu, "memory_read", lying)
    assert pillow.rows_in(made(mode)) == ()


@needs_linux
def test_an_image_of_another_size_than_its_core() -> None:
    image = made("RGB")
    image._size = (5, 3)
    assert pillow.rows_in(image) == ()
    image = made("RGB")
    setattr(image, "_mode" if hasattr(Image.Image, "mode") else "mode", "RGBA")
    assert pillow.rows_in(image) == ()


@needs_linux
def test_memory_is_read_if_it_is_there() -> None:
    with mmap.mmap(-1, 3 * mmap.PAGESIZE) as memory:
        memory[:4] = b"rows"
        here = (c_char * len(memory)).from_buffer(memory)
        address = addressof(here)
        assert cpu.memory_read(address, 4) == b"rows"
        assert cpu.memory_read(address, 0) == b""
        del here
    for wrong in (0, 8, (1 << 64) - 4096):
        assert cpu.memory_read(wrong, 8) is None
        assert cpu.memory_rows(wrong, 3) is None
    with pytest.raises(ValueError, match="negative"):
        cpu.memory_read(0, -1)


@needs_linux
@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        ([], []),
        ([64], [(64, 1, 0)]),
        ([64, 96, 128], [(64, 3, 32)]),
        ([128, 96, 64], [(128, 3, -32)]),
        ([64, 64, 64], [(64, 3, 0)]),
        ([64, 96, 1024, 1056, 1088], [(64, 2, 32), (1024, 3, 32)]),
        ([64, 96, 1024, 5], [(64, 2, 32), (1024, 2, -1019)]),
    ],
)
def test_runs_of_rows(rows: list[int], runs: list[tuple[int, int, int]]) -> None:
    table = np.array(rows, np.uintp)
    assert cpu.memory_rows(table.ctypes.data, len(rows)) == runs


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("n_bands", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 3, 7, 8, 9, 15, 16, 17, 33, 1000, 70001])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_packing(kernel: str, n_bands: int, width: int, n_threads: int) -> None:
    pixel = 1 if n_bands == 1 else 4
    memory = np.random.default_rng(width).integers(0, 256, (11, width * pixel + 5), np.uint8)
    kept = {1: [0], 2: [0, 3], 3: [0, 1, 2]}[n_bands]
    for rows in (memory, memory[::-1], memory[3::2]):
        expected = rows[:, : width * pixel].reshape(len(rows), width, pixel)[:, :, kept]
        room = np.full(expected.size + 64, 0xA5, np.uint8)
        target = room.ctypes.data + 1
        cpu.memory_pack(
            rows.ctypes.data,
            rows.strides[0],
            len(rows),
            width,
            n_bands,
            target,
            kernel=kernel,
            n_threads=n_threads,
        )
        assert np.array_equal(room[1 : 1 + expected.size], expected.ravel())
        assert room[0] == 0xA5
        assert (room[1 + expected.size :] == 0xA5).all()
