"""Images to tensors: every pixel value exact, every layout, stride and kernel; PIL; messages."""

from __future__ import annotations

import gc
import math
import sys
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorcast as tc
from tensorcast.bridges.numpy import dtype_of
from tensorcast.core.pixels import AFFINE, QUOTIENT, TABLE, Scaling, _sticky, channel_of, table_of
from tensorcast.errors import CastError, CastOverflowError, FormatError, PolicyError
from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import cpu
from tensorcast.policy import Policy
from tensorcast.reference import encode

FLOATS = [row for row in FORMATS.values() if row.is_float and row.name != "float8_e8m0fnu"]


def rounded(value: Fraction, row: Format) -> Fraction:
    """The value rounded to nearest even in a float format, without the reference."""
    if value == 0:
        return value
    magnitude = abs(value)
    exponent = math.floor(math.log2(magnitude)) if magnitude > Fraction(1, 10**300) else -1100
    while Fraction(2) ** exponent > magnitude:
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= magnitude:
        exponent += 1
    unit = Fraction(2) ** (max(exponent, 1 - row.bias) - row.mantissa_bits)
    result = round(magnitude / unit) * unit  # Python rounds a Fraction's tie to even
    return result if value > 0 else -result


@pytest.mark.parametrize("row", FLOATS, ids=str)
@pytest.mark.parametrize("divide", [255, 1, Decimal("0.7"), Fraction(355, 113)])
@pytest.mark.parametrize("shift", [(None, None), (0.485, 0.229), (Decimal("0.5"), -2)])
def test_every_value_is_rounded_once(row: Format, divide: Any, shift: tuple[Any, Any]) -> None:
    mean, std = shift
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = tc.image_to_tensor(
        image, row, layout="HW->HW", divide=divide, mean=mean, std=std, overflow="saturate"
    )
    assert made.dtype == dtype_of(row)
    with np.errstate(invalid="ignore"):
        found = made.astype(np.float64).ravel()
    scale, low = Fraction(divide), -row.max_exact if row.signed else Fraction(0)
    for pixel in range(256):
        exact = (pixel / scale - Fraction(mean or 0)) / Fraction(1 if std is None else std)
        expected = min(max(rounded(exact, row), low), row.max_exact)
        assert Fraction(float(found[pixel])) == expected, (pixel, exact)


def test_a_product_with_the_reciprocal_is_wrong_for_126_values() -> None:
    image = np.arange(256, dtype=np.uint8)[None]
    made = tc.image_to_tensor(image, layout="HW->HW").ravel()
    product = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
    assert (made != product).sum() == 126
    assert np.array_equal(made, (np.arange(256) / 255).astype(np.float32))


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16"])
def test_forms_give_the_table(kernel: str, target: str) -> None:
    policy = Policy().resolve("uint8", target)
    row, pixels = FORMATS[target], FORMATS["uint8"]
    scalings = {
        QUOTIENT: Scaling(Fraction(1, 255), Fraction(0)),
        AFFINE: Scaling(1 / (255 * Fraction(0.229)), -Fraction(0.485) / Fraction(0.229)),
    }
    for form, scaling in scalings.items():
        channel = channel_of(scaling, pixels, row, policy, kernel)
        table, _ = table_of(scaling, pixels, row, policy)
        assert channel.parameters[5] == table
        assert channel.parameters[0] == (form if cpu.image_computes(kernel) else TABLE)
    # what the arithmetic does not give is looked up
    # (up would be: of x / 255 the first bit after 8 or 24 is always set)
    towards = Policy(rounding="down").resolve("uint8", target)
    channel = channel_of(scalings[QUOTIENT], pixels, row, towards, kernel)
    assert channel.parameters[0] == TABLE


def planes(kernel: str, image: np.ndarray[Any, Any], row: Format, scalings: list[Scaling],
           nontemporal_padding: int = 0) -> np.ndarray[Any, Any]:  # fmt: skip
    """HWC to CHW by one set of kernels."""
    policy = Policy().resolve("uint8", row)
    n_rows, width, n_channels = image.shape
    size = row.container_bits // 8
    memory = np.zeros(n_channels * n_rows * width * size + nontemporal_padding, np.uint8)
    out = memory[nontemporal_padding:].view(dtype_of(row)).reshape(n_channels, n_rows, width)
    cpu.image_planes(
        row,
        tuple(
            channel_of(one, FORMATS["uint8"], row, policy, kernel).parameters for one in scalings
        ),
        image.ctypes.data,
        1,
        out.ctypes.data,
        ((1, 0, 0), (n_rows, image.strides[0], out.strides[1]),
         (width, image.strides[1], out.strides[2])),
        (n_channels, image.strides[2], out.strides[0]),
        kernel=kernel,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("target", ["float32", "float16", "bfloat16", "float8_e4m3fn", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (3, 15), (2, 16), (5, 17), (1, 1023), (7, 1025), (130, 140)]
)
def test_kernels(kernel: str, n_channels: int, target: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    image = rng.integers(0, 256, (*shape, n_channels), np.uint8)
    row = FORMATS[target]
    scalings = [Scaling(Fraction(1, 255 + c), Fraction(c, 7)) for c in range(n_channels)]
    policy = Policy().resolve("uint8", row)
    codes = f"u{row.container_bits // 8}"
    tables = [
        np.frombuffer(table_of(one, FORMATS["uint8"], row, policy)[0], codes) for one in scalings
    ]
    found = planes(kernel, image, row, scalings).view(codes)
    for c, table in enumerate(tables):
        assert np.array_equal(found[c], table[image[:, :, c]])


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("padding", [0, 4, 12, 32])
@pytest.mark.parametrize("target", ["float32", "float16"])
def test_large_images_are_stored_around_the_caches(kernel: str, padding: int, target: str) -> None:
    image = np.random.default_rng(5).integers(0, 256, (1500, 2001, 3), np.uint8)
    scalings = [Scaling(Fraction(1, 255), Fraction(0))] * 3
    row = FORMATS[target]
    found = planes(kernel, image, row, scalings, padding)
    expected = (np.arange(256) / 255).astype(dtype_of(row))[image].transpose(2, 0, 1)
    assert np.array_equal(found, expected)


LAYOUTS = ["HWC->CHW", "HWC->HWC", "CHW->HWC", "CHW->CHW", "WHC->CHW", "HWC->WCH", "HCW->CHW"]
BATCHES = ["NHWC->NCHW", "NCHW->NHWC", "NHWC->CNHW", "HWCN->NCHW", "NHW->NHW", "HW->HW", "HW->WH"]
NEW = ["HW->CHW", "HWC->NCHW", "HW->NCHW", "HW->HWC"]


def _permuted(x: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    given, wanted = layout.split("->")
    kept = [letter for letter in wanted if letter in given]
    x = x.transpose([given.index(letter) for letter in kept])
    for at, letter in enumerate(wanted):
        if letter not in given:
            x = np.expand_dims(x, at)
    return x


@pytest.mark.parametrize("layout", LAYOUTS + BATCHES + NEW)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "bool", "uint16"])
def test_layouts(layout: str, normalize: bool, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    sizes = {"N": 2, "H": 5, "W": 19, "C": 3}
    shape = tuple(sizes[letter] for letter in layout.split("->")[0])
    rng = np.random.default_rng(3)
    image = rng.integers(0, 2 if dtype == "bool" else 256, shape).astype(dtype)
    n_channels = 3 if "C" in layout.split("->")[0] else 1
    mean, std = [(0.25, 0.5, 0.125)[:n_channels], (0.5, 2, 0.25)[:n_channels]]
    options: dict[str, Any] = {"divide": 256}
    exact = image / 256
    if normalize:
        options.update(mean=mean, std=std)
        at = layout.split("->")[0].find("C")
        spread = [1] * image.ndim
        if at >= 0:
            spread[at] = 3
        exact = (exact - np.reshape(mean, spread)) / np.reshape(std, spread)  # no rounding here
    expected = _permuted(exact, layout).astype(np.float32)
    made = tc.image_to_tensor(image, layout=layout, **options)
    assert made.flags.c_contiguous
    assert np.array_equal(made, expected)
    tensor = tc.image_to_tensor(torch.from_numpy(image), layout=layout, **options)
    assert tensor.is_contiguous()
    assert np.array_equal(tensor.numpy(), expected)
    out = np.full((*expected.shape, 2), 7, np.float32)[..., 1]
    assert tc.image_to_tensor(image, layout=layout, out=out, **options) is out
    assert np.array_equal(out, expected)
    assert (out.base[..., 0] == 7).all()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_strides(data: Any) -> None:
    def cut(axis: int) -> slice:
        begin = data.draw(st.none() | st.integers(-3, 3))
        step = data.draw(st.sampled_from([1, 2, 3, -1, -2]))
        return slice(begin, None, step)

    whole = np.arange(12 * 11 * 10, dtype=np.int64).astype(np.uint8).reshape(12, 11, 10)
    image = whole[cut(0), cut(1), cut(2)].transpose(data.draw(st.permutations(range(3))))
    room = np.zeros((image.shape[2] * 2, image.shape[0] * 3, image.shape[1] + 1), np.float32)
    out = room[::-2, 1::3, 1:]
    made = tc.image_to_tensor(image, layout="HWC->CHW", out=out, divide=3)
    assert made is out
    assert np.array_equal(out, (image / 3).astype(np.float32).transpose(2, 0, 1))
    assert np.array_equal(tc.image_to_tensor(image, layout="HWC->CHW", divide=3), out)


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 0), (0, 0, 0)])
def test_empty_images(shape: tuple[int, ...]) -> None:
    made = tc.image_to_tensor(np.zeros(shape, np.uint8), layout="HWC->CHW")
    assert made.shape == (shape[2], shape[0], shape[1])


def test_wide_and_swapped_pixels() -> None:
    image = np.array([[0, 1, 255, 256, 65535, 40000]], np.uint16)
    for array in (image, image.astype(">u2"), image[:, ::-1][:, ::-1]):
        made = tc.image_to_tensor(array, layout="HW->HW", divide=65535)
        assert np.array_equal(made, (image / 65535).astype(np.float32))


@pytest.mark.parametrize("target", ["float32", "float16", "float8_e4m3fn", "int16", "float64"])
@pytest.mark.parametrize("rounding", [None, "down", "up"])
def test_the_table_of_wide_pixels(target: str, rounding: Any) -> None:
    row = FORMATS[target]
    policy = Policy(rounding=rounding).resolve("uint16", row)
    for scaling in (
        Scaling(Fraction(1, 65535), -Fraction(0.485)),
        Scaling(Fraction(1, 4096), Fraction(-8)),
        Scaling(Fraction(-1, 1 << 40), Fraction(3, 1 << 41)),
    ):
        table, refused = table_of(scaling, FORMATS["uint16"], row, policy)
        assert not refused
        codes = np.frombuffer(table, f"u{row.bits // 8}")
        for pixel in [*range(40), *range(32740, 32780), 65534, 65535, *range(100, 65000, 997)]:
            exact = scaling.of(pixel)
            outcome = encode(_sticky(exact.numerator, exact.denominator), row, policy)
            assert codes[pixel] == outcome.code


def test_bytes_of_a_bool_image() -> None:
    image = np.array([[0, 1, 2, 255]], np.uint8).view(np.bool_)
    made = tc.image_to_tensor(image, layout="HW->HW", divide=None, mean=0.5)
    assert made.tolist() == [[-0.5, 0.5, 0.5, 0.5]]


def test_integer_and_small_formats() -> None:
    image = np.array([[0, 100, 255]], np.uint8)
    made = tc.image_to_tensor(image, "int8", layout="HW->HW", divide=None, mean=128)
    assert made.tolist() == [[-128, -28, 127]]
    made = tc.image_to_tensor(image, "float4_e2m1fn", layout="HW->HW", divide=64)
    assert made.astype(np.float32).tolist() == [[0, 1.5, 4]]


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "?"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_white_is_1_of_every_dtype(dtype: str, library: str) -> None:
    white = np.iinfo(dtype).max if dtype != "?" else True
    image: Any = np.array([[[0, white]]], dtype)
    if library == "torch":
        image = pytest.importorskip("torch").from_numpy(image.astype(image.dtype.newbyteorder("=")))
    made = tc.image_to_tensor(image, layout="HWC->HWC")
    assert made.tolist() == [[[0, 1]]]
    assert tc.image_to_tensor(image, layout="HWC->HWC", divide="white").tolist() == [[[0, 1]]]
    once = tc.image_to_tensor(image, "float64", layout="HWC->HWC", divide=255)
    assert once.tolist() == [[[0, int(white) / 255]]]


@pytest.mark.parametrize(
    "mode", ["L", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "1", "I;16"]
)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (257, 130)])
def test_pil_images(mode: str, size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    pil = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(4)
    if mode == "I;16":
        image = pil.fromarray(rng.integers(0, 65536, size[::-1]).astype(np.uint16))
        assert image.mode == "I;16"
    else:
        n_channels = len(pil.new(mode, (1, 1)).getbands())
        image = pil.frombytes(
            mode if mode != "1" else "L", size, rng.bytes(n_channels * size[0] * size[1])
        ).convert(mode)
    pixels = np.asarray(image).reshape(size[1], size[0], -1)
    white = {"1": 1, "I;16": 65535}.get(mode, 255)
    made = tc.image_to_tensor(image)
    assert isinstance(made, torch.Tensor)
    assert np.array_equal(made.numpy(), (pixels / white).astype(np.float32).transpose(2, 0, 1))
    out = torch.zeros(pixels.shape)
    assert tc.image_to_tensor(image, layout="HWC->HWC", out=out) is out
    assert np.array_equal(out.numpy(), (pixels / white).astype(np.float32))
    if pixels.shape[2] == 1:
        assert tuple(tc.image_to_tensor(image, layout="HW->HW").shape) == pixels.shape[:2]
    part = image.crop((0, 0, 1, 1))
    assert tuple(tc.image_to_tensor(part).shape) == (pixels.shape[2], 1, 1)


@pytest.mark.parametrize(("mode", "message"), [("P", "palette"), ("F", "8-bit"), ("I", "8-bit")])
def test_pil_modes_without_8_bit_channels(mode: str, message: str) -> None:
    pil = pytest.importorskip("PIL.Image")
    with pytest.raises(CastError, match=message):
        tc.image_to_tensor(pil.new(mode, (2, 2)))


IMAGE = np.zeros((2, 4, 3), np.uint8)
BAD: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (IMAGE[0], {}, CastError, ("the image has shape [4, 3], the layout 'HWC' 3 dimensions. A grey "
     'image is "HW->HW" or "HW->CHW".')),
    (IMAGE, {"layout": "HWC->"}, CastError, "layout='HWC->' is none"),
    (IMAGE, {"layout": "HHC->CHW"}, CastError, "layout='HHC->CHW' is none"),
    (IMAGE, {"layout": "HWX->XHW"}, CastError, "layout='HWX->XHW' is none"),
    (IMAGE, {"layout": "HWC->HW"}, CastError, "layout='HWC->HW': C stands on one side only"),
    (IMAGE, {"layout": "HC->HWC"}, CastError, "layout='HC->HWC': W stands on one side only"),
    (IMAGE.astype(np.float32), {}, CastError, "the image holds float32; pixels are uint8"),
    ([[1, 2]], {}, CastError, "list is not a tensor"),
    (None, {}, CastError, "builtins.NoneType is not a tensor"),
    (IMAGE, {"divide": 0}, CastError, "divide is 0"),
    (IMAGE, {"std": (1, 0, 1)}, CastError, "std is 0"),
    (IMAGE, {"mean": (1, 2)}, CastError, "mean has 2 numbers, the image 3 channels"),
    (IMAGE, {"mean": math.nan}, CastError, "mean=nan is no finite number"),
    (IMAGE, {"std": (1, "a", 1)}, CastError, "std[1]='a' is no finite number"),
    (IMAGE, {"mean": [[1], [2], [3]]}, CastError, "[[1], [2], [3]] is neither a number nor a list"),
    (IMAGE, {"to": "float31"}, FormatError, "no number format"),
    (IMAGE, {"to": "complex64"}, CastError, "pixels are real"),
    (IMAGE, {"overflow": "wrap"}, PolicyError, 'overflow="wrap"'),
    (IMAGE, {"rounding": "stochastic"}, CastError, 'rounding="stochastic" is for cast'),
    (IMAGE, {"out": np.zeros((3, 2, 5), np.float32)}, CastError,
     "out has shape [3, 2, 5], the result [3, 2, 4]"),
    (IMAGE, {"out": np.zeros((3, 2, 4), np.float16)}, CastError, "out holds float16, not float32"),
    (IMAGE, {"out": np.zeros((3, 2, 4), ">f4")}, CastError, "out is in the other byte order"),
    (IMAGE, {"out": np.broadcast_to(np.float32(0), (3, 2, 4))}, CastError,
     "the array is read-only"),
    (IMAGE, {"out": [0]}, CastError, "list is not a tensor"),
]  # fmt: skip


@pytest.mark.parametrize(("image", "options", "error", "message"), BAD, ids=lambda x: None)
def test_messages(
    image: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        tc.image_to_tensor(image, **options)
    assert str(caught.value).startswith(message)


def test_out_never_shares_memory_with_the_image() -> None:
    memory = np.zeros(96, np.float32)
    with pytest.raises(CastError, match="out shares memory with the image"):
        tc.image_to_tensor(
            memory.view(np.uint8)[:24].reshape(2, 4, 3), out=memory[:24].reshape(3, 2, 4)
        )


def test_overflow_counts_only_pixels_that_are_there() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[1, 2, 1] = 200
    tc.image_to_tensor(image, "int8", divide=2)
    with pytest.raises(CastOverflowError) as caught:
        tc.image_to_tensor(image, "int8", divide=1)
    assert str(caught.value) == (
        "the pixel 200 of channel 1 at [1, 2] becomes 200, outside int8 (-128 to 127). Pass "
        'overflow="saturate", or scale otherwise.'
    )
    made = tc.image_to_tensor(image, "int8", divide=1, overflow="saturate")
    assert made[1, 1, 2] == 127


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    image = torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3)
    out = torch.zeros(3, 2, 4)
    version = out._version
    tc.image_to_tensor(image, out=out)
    assert out._version > version
    assert torch.equal(out, image.permute(2, 0, 1).double().div(255).float())
    assert tc.image_to_tensor(image, mean=torch.tensor([0.0, 0.5, 1.0])).shape == (3, 2, 4)
    for bad, message in [
        (image.to("meta"), "meta"),
        (image.float(), "the image holds float32"),
        (image.to_sparse(), "sparse"),
    ]:
        with pytest.raises(CastError, match=message):
            tc.image_to_tensor(bad)
    from torch._subclasses.fake_tensor import FakeTensorMode

    fake = FakeTensorMode()
    with pytest.raises(CastError, match="the image is being traced"):
        tc.image_to_tensor(fake.from_tensor(image))
    with pytest.raises(CastError, match="out is being traced"):
        tc.image_to_tensor(image, out=fake.from_tensor(out))
    with pytest.raises(CastError, match="out requires grad"):
        tc.image_to_tensor(image, out=torch.zeros(3, 2, 4, requires_grad=True))
    with pytest.raises(CastError, match=r"this image goes into a torch\.Tensor"):
        tc.image_to_tensor(image, out=np.zeros((3, 2, 4), np.float32))


def test_nothing_leaks() -> None:
    image = np.zeros((8, 8, 3), np.uint8)

    def work() -> None:
        tc.image_to_tensor(image)
        with pytest.raises(CastError):
            tc.image_to_tensor(image, mean=(1, 2))

    for _ in range(50):
        work()
    gc.collect()
    before, blocks = sys.getrefcount(image), sys.getallocatedblocks()
    for _ in range(300):
        work()
    gc.collect()
    assert sys.getrefcount(image) == before
    assert sys.getallocatedblocks() - blocks < 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "LAB", "CMYK", "I;16"])
@pytest.mark.parametrize("layout", ["HWC->CHW", "HWC->HWC", "NHWC->NCHW", "HW->HW"])
def test_pil_images_in_several_blocks(
    mode: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in strips of rows; Pillow's block is 16 MB, and is made small here."""
    torch = pytest.importorskip("torch")
    pil = pytest.importorskip("PIL.Image")
    from tensorcast.bridges import pixels as images

    monkeypatch.setattr(images, "_STRIP_BYTES", 2000)
    before = pil.core.get_block_size()
    pil.core.set_block_size(4096)
    try:
        n_bands = len(pil.new(mode, (1, 1)).getbands())
        n_bytes = 2 if mode == "I;16" else n_bands
        if mode == "1":
            data = np.random.default_rng(3).integers(0, 256, 90 * 9, np.uint8).tobytes()
            image = pil.frombytes("1", (67, 90), data)
        else:
            data = np.random.default_rng(3).integers(0, 256, 90 * 67 * n_bytes, np.uint8).tobytes()
            image = pil.frombytes(mode, (67, 90), data)
        if layout == "HW->HW" and n_bands > 1:
            with pytest.raises(CastError, match="the layout 'HW' 2 dimensions"):
                tc.image_to_tensor(image, layout=layout)
            return
        pixels = np.asarray(image).reshape(90, 67, n_bands)
        pixels = pixels[None] if "N" in layout else pixels if "C" in layout else pixels[..., 0]
        expected = tc.image_to_tensor(np.ascontiguousarray(pixels), layout=layout, mean=0.25)
        assert np.array_equal(tc.image_to_tensor(image, layout=layout, mean=0.25), expected)
        out = torch.full(expected.shape, -1.0)
        assert tc.image_to_tensor(image, layout=layout, mean=0.25, out=out) is out
        assert np.array_equal(out, expected)
        if mode == "RGB" and layout == "HWC->CHW":
            image.putpixel((66, 89), (1, 2, 200))
            image = pil.eval(image, lambda x: min(x, 127))
            image.putpixel((66, 89), (1, 2, 200))
            with pytest.raises(tc.errors.CastOverflowError, match=r"channel 2 at \[89, 66\]"):
                tc.image_to_tensor(image, "int8", divide=None)
    finally:
        pil.core.set_block_size(before)


@pytest.mark.parametrize("width", [1, 15, 16, 17, 1023, 1024, 1025])
def test_three_channels_of_four_bytes(width: int) -> None:
    """Pillow's RGB in memory; the last pixel's padding is not read."""
    pil = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(5).integers(0, 256, (2, width, 3), np.uint8)
    image = pil.fromarray(pixels)
    expected = tc.image_to_tensor(pixels)
    assert np.array_equal(tc.image_to_tensor(image), expected)
    padded = np.zeros((2, width, 4), np.uint8)
    padded[..., 1:] = pixels
    assert np.array_equal(tc.image_to_tensor(padded[..., 1:]), expected)
