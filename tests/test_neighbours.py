"""What is given to the wrong verb is told the right one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorcast as tc

torch = pytest.importorskip("torch")

TAKERS: dict[str, Callable[[Any], Any]] = {
    "cast": lambda x: tc.cast(x, "float16"),
    "measure": lambda x: tc.measure(x, "float16"),
    "can_cast": lambda x: tc.can_cast(x, "float16"),
    "as_tensor": tc.as_tensor,
    "to_numpy": tc.to_numpy,
    "explain": tc.explain,
}
MODELS: dict[str, Callable[[], Any]] = {
    "a module": lambda: torch.nn.Linear(2, 2),
    "a dict of tensors": lambda: torch.nn.Linear(2, 2).state_dict(),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("verb", TAKERS)
def test_models_are_told_of_the_cast_in_place(verb: str, model: str) -> None:
    words = rf"tensorcast\.cast_\(x, format\) casts {model}, "
    with pytest.raises(tc.errors.CastError, match=words):
        TAKERS[verb](MODELS[model]())
    given = MODELS[model]()
    assert tc.cast_(given, "float16") is given


@pytest.mark.parametrize("path", ["model.safetensors", Path("model.safetensors")], ids=type)
@pytest.mark.parametrize("verb", ["cast", "measure", "as_tensor", "to_numpy", "explain"])
def test_paths_are_told_of_the_conversion(verb: str, path: object) -> None:
    with pytest.raises(
        tc.errors.CastError, match=r"tensorcast\.convert\(path, destination, to=for"
    ):
        TAKERS[verb](path)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("make", [np.zeros, torch.zeros])
def test_an_image_of_channels_in_front_is_no_image_of_three_rows(make: Any, channels: int) -> None:
    dtype = np.uint8 if make is np.zeros else torch.uint8
    image = make((channels, 6, 5), dtype=dtype)
    with pytest.raises(tc.errors.CastError, match=rf'{channels} channels .* Pass layout="CHW" for'):
        tc.image_to_tensor(image)
    assert tuple(tc.image_to_tensor(image, layout="CHW").shape) == (channels, 6, 5)
    # said so, it has as many channels behind
    assert tuple(tc.image_to_tensor(image, layout="HWC->CHW").shape) == (5, channels, 6)
    for behind in (3, 4):
        assert tuple(tc.image_to_tensor(make((channels, 6, behind), dtype=dtype)).shape) == (
            behind, channels, 6,
        )  # fmt: skip


def test_a_picture_of_three_rows_is_one() -> None:
    images = pytest.importorskip("PIL.Image", reason="Pillow is not here")
    assert tuple(tc.image_to_tensor(images.new("LA", (7, 3))).shape) == (2, 3, 7)


def test_a_layout_without_an_arrow_keeps_the_order() -> None:
    image = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    made = tc.image_to_tensor(image, layout="CHW", divide=None)
    assert np.array_equal(made, image.astype(np.float32))
    with pytest.raises(tc.errors.CastError, match='it is like "HWC->CHW" or "CHW"'):
        tc.image_to_tensor(image, layout="CHX")
