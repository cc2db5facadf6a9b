"""Pictures of tensors: dimensions in any order, numbers multiplied and rounded once."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.core.product import rounds_as_product

pytest.importorskip("PIL", reason="Pillow is not here")
torch = pytest.importorskip("torch")


def pixels(image: Any) -> Any:
    return np.asarray(image)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_an_image_comes_back_as_it_went(dtype: str) -> None:
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    if dtype == "bfloat16":
        image = image // 2 * 2 // 4  # what its 8 bits tell apart
    numbers = tc.image_to_tensor(torch.from_numpy(image), dtype)
    back = tc.to_pil(numbers, layout="CHW", multiply=255)
    assert back.mode == "RGB"
    assert np.array_equal(pixels(back), image)


@pytest.mark.parametrize(("shape", "layout", "mode"), [
    ((3, 4, 5), "CHW", "RGB"),
    ((1, 4, 5), "CHW", "L"),
    ((4, 4, 5), "CHW", "RGBA"),
    ((2, 4, 5), "CHW", "LA"),
    ((4, 5, 3), "HWC", "RGB"),
    ((5, 3, 4), "WCH", "RGB"),
    ((4, 5), "HW", "L"),
    ((5, 4), "WH", "L"),
])  # fmt: skip
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_layouts(kind: str, shape: tuple[int, ...], layout: str, mode: str) -> None:
    given: Any = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    image = tc.to_pil(torch.from_numpy(given) if kind == "torch" else given, layout=layout)
    assert (image.mode, image.size) == (mode, (5, 4))
    wanted = np.moveaxis(given, [layout.index(c) for c in "HWC" if c in layout], range(len(shape)))
    assert np.array_equal(pixels(image), wanted.reshape(pixels(image).shape))


def rounded(exact: Fraction, way: str) -> int:
    floor = exact.numerator // exact.denominator
    if way == "down" or exact == floor:
        return floor
    if way == "up":
        return floor + 1
    if way == "toward-zero":
        return floor if exact > 0 else floor + 1
    if exact - floor == Fraction(1, 2):
        return floor + floor % 2
    return floor + (exact - floor > Fraction(1, 2))


@pytest.mark.parametrize("way", ["nearest-even", "toward-zero", "down", "up"])
def test_products_are_rounded_once(way: Any) -> None:
    factors = (255, 0.1, 1 / 3, 510, 127.5)
    for factor in factors:
        middles = np.arange(0, 200, 0.5) / factor
        values = np.concatenate([np.nextafter(middles, -9), middles, np.nextafter(middles, 9999)])
        values = values[values >= 0]
        made = tc.to_pil(values[None], "int32", multiply=factor, rounding=way)
        wanted = [rounded(Fraction(v) * Fraction(factor), way) for v in values.tolist()]
        assert pixels(made)[0].tolist() == wanted


def test_a_product_that_is_no_whole_number_never_becomes_one() -> None:
    values = np.array([100 / 255, 1.0, 0.0, -0.0, np.inf, np.nan, 1e300, 5e-324])
    made = rounds_as_product(values, 255.0)
    exact = [Fraction(v) * 255 for v in values[:2].tolist()]
    assert (made[0] > 100) == (exact[0] > 100)
    assert made[0] != 100
    assert made[1:4].tolist() == [255, 0, 0]
    assert np.isinf(made[4])
    assert np.isnan(made[5])


def test_what_is_no_pixel_is_refused() -> None:
    for numbers, error in ((1.01, tc.errors.CastOverflowError), (np.nan, tc.errors.CastNanError)):
        with pytest.raises(error):
            tc.to_pil(np.full((2, 2), numbers), multiply=255)
    assert pixels(tc.to_pil(np.full((2, 2), 1.01), multiply=255, overflow="saturate")).max() == 255
    with pytest.raises(tc.errors.InexactCastError):
        tc.to_pil(np.full((2, 2), 100 / 255), multiply=255, exact=True)
    for wrong in (float("nan"), "255", True, 10**400, None.__class__):
        with pytest.raises(tc.errors.CastError, match="multiply="):
            tc.to_pil(np.ones((2, 2)), multiply=wrong)  # type: ignore[arg-type]
    with pytest.raises(tc.errors.CastError, match="copy=False, but numbers that are multiplied"):
        tc.to_pil(np.ones((2, 2)), multiply=255, copy=False)
    with pytest.raises(tc.errors.CastError, match=r"shape \[2, 2\], the layout 'CHW' 3 dimensions"):
        tc.to_pil(np.ones((2, 2), np.uint8), layout="CHW")
    with pytest.raises(tc.errors.CastError, match="layout='NCHW' is none of a picture"):
        tc.to_pil(np.ones((1, 3, 2, 2), np.uint8), layout="NCHW")
    with pytest.raises(tc.errors.CastError, match='in front: pass layout="CHW"'):
        tc.to_pil(np.ones((3, 8, 9), np.uint8))
    with pytest.raises(tc.errors.CastError, match="complex"):
        tc.to_pil(np.ones((2, 2), np.complex64), multiply=2)
