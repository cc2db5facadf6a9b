"""Pillow's images: every mode's pixels, shared where Pillow gives its memory, else copied."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pil_modes import MODES, made

import tensorcast as tc
from tensorcast.errors import CastError

Image = pytest.importorskip("PIL.Image", reason="no Pillow")
torch = pytest.importorskip("torch", reason="no torch")


def exported() -> bool:
    return hasattr(Image.Image, "__arrow_c_array__")


def test_every_mode_is_here() -> None:
    assert set(Image.MODES) <= set(MODES)


@pytest.mark.parametrize("mode", MODES)
def test_values_are_those_of_numpy(mode: str) -> None:
    image = made(mode)
    name, n_dimensions, *_ = MODES[mode]
    expected = np.asarray(image)
    array, tensor = tc.to_numpy(image), tc.as_tensor(image)
    assert array.dtype == expected.dtype
    assert array.dtype.name == name
    assert array.ndim == n_dimensions
    assert np.array_equal(array, expected)
    assert np.array_equal(np.asarray(tc.as_tensor(image, copy=True)), expected)
    assert tensor.shape == expected.shape
    assert tensor.tolist() == expected.tolist()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_writes_reach_what_is_shared(mode: str, to: Any) -> None:
    if not exported():
        pytest.skip("this Pillow has no Arrow export")
    _, _, with_numpy, with_torch, strides = MODES[mode]
    image = made(mode)
    before = np.array(image)
    said = tc.explain(image, to=to)
    assert said.shares == (with_numpy if to == "numpy" else with_torch)
    result = tc.to_numpy(image) if to == "numpy" else tc.as_tensor(image)
    if to == "numpy" or said.shares:
        size = result.itemsize
        found = result.strides if to == "numpy" else tuple(x * size for x in result.stride())
        assert found == strides
    image.putpixel((0, 2), 255 if before.ndim == 2 else (201,) * len(image.getbands()))
    assert (np.asarray(image).tolist() == result.tolist()) is said.shares
    now = np.array(image)
    codes = result if mode != "I;16B" or to == "torch" else result.view(result.dtype)
    codes[3, 4] = codes[3, 4] == 0 if mode == "1" else 7
    assert (np.array(image).tolist() != now.tolist()) is said.shares
    assert np.array_equal(np.array(image)[:3], now[:3])  # and no other pixel


def test_the_verdict_says_what_is_odd() -> None:
    if not exported():
        pytest.skip("this Pillow has no Arrow export")
    said = str(tc.explain(made("RGB")))
    assert "Pillow keeps 4 bytes a pixel, of which 3 are the RGB" in said
    assert "a write reaches the PIL object too" in said
    assert tc.explain(made("LAB")).because == ("Pillow keeps the a and b of LAB less 128",)
    assert tc.explain(made("1")).because == ("Pillow keeps true as 255",)
    with pytest.raises(CastError, match=r"^copy=False, but Pillow keeps true as 255$"):
        tc.as_tensor(made("1"), copy=False)


def test_a_large_image_lies_in_blocks() -> None:
    image = Image.new("L", (4097, 4096))
    image.putpixel((4096, 4095), 7)
    if exported():
        assert tc.explain(image, to="numpy").because == (
            "Pillow keeps an image this large in several blocks",
        )
    assert tc.to_numpy(image)[4095, 4096] == 7


@pytest.mark.parametrize("size", [(0, 0), (0, 3), (3, 0)])
def test_empty_images(size: tuple[int, int]) -> None:
    for mode in ("L", "RGB", "1", "F"):
        width, height = size
        assert tc.as_tensor(Image.new(mode, size)).shape[:2] == (height, width)
        assert tc.to_numpy(Image.new(mode, size)).shape[:2] == (height, width)


def test_an_image_over_memory_of_others_is_not_written() -> None:
    held = bytes(range(16))
    image = Image.frombuffer("L", (4, 4), held, "raw", "L", 0, 1)
    assert image.readonly
    tensor = tc.as_tensor(image)
    tensor[0, 0] = 99
    assert held[0] == 0
    assert image.getpixel((0, 0)) == 0
    with pytest.raises(CastError, match=r"memory that is not its own|hands out copies"):
        tc.as_tensor(image, copy=False)
    assert tc.to_numpy(image).flags.writeable is not tc.explain(image, to="numpy").shares


def test_the_pixels_outlive_the_image() -> None:
    for end in ("close", "del", "resize", "load"):
        image = made("RGB")
        expected = np.array(image)
        tensor, array = tc.as_tensor(image), tc.to_numpy(image)
        if end == "close":
            image.close()
        elif end == "resize":
            image = image.resize((50, 40))
        elif end == "load":
            image.load()
        del image
        gc.collect()
        junk = [Image.new("RGB", (5, 4), (255, 255, 255)) for _ in range(100)]
        assert np.array_equal(tensor.numpy(), expected)
        assert np.array_equal(array, expected)
        del junk


def test_a_closed_image_has_no_pixels() -> None:
    image = made("RGB")
    image.close()
    with pytest.raises(CastError, match="closed"):
        tc.as_tensor(image)


def test_pyarrow_is_not_needed() -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
import tensorcast, PIL.Image
image = PIL.Image.new("RGB", (3, 2))
tensorcast.to_numpy(image)[1, 2] = 1, 2, 3
print(image.getpixel((2, 1)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    if exported():
        assert done.stdout == "(1, 2, 3)\n"
