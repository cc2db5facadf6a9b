"""Images to tensors: pixels scaled, normalized, laid out and rounded once, in one pass.

>>> import numpy as np
>>> image = np.array([[[0, 51, 255]]], np.uint8)
>>> image_to_tensor(image, mean=0.5, std=0.5).ravel()
array([-1. , -0.6,  1. ], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, Unpack

from ..bridges.memory import empty_numpy, empty_torch
from ..bridges.pixels import Pixels, first_of, pixels_of, written_buffer
from ..bridges.room import tells_memory
from ..buffer import Buffer, contiguous_strides
from ..core.pixels import Channel, Scaling, channel_of
from ..errors import CastError, CastOverflowError
from ..formats import FORMATS, Format, lookup_target
from ..kernels import cpu
from ..policy import Policy, RoundingOptions, policy_of, shows_policy

Number = int | float | Fraction | Decimal


@tells_memory
@shows_policy(RoundingOptions)
def image_to_tensor(
    image: Any,
    to: object = "float32",
    *,
    layout: str | None = None,
    divide: Number | Literal["white"] | None = "white",
    mean: Number | Sequence[Number] | None = None,
    std: Number | Sequence[Number] | None = None,
    out: Any = None,
    **policy: Unpack[RoundingOptions],
) -> Any:
    """The tensor of ((pixel / divide) - mean) / std, computed exactly and rounded once.

    Args:
        image: uint8, uint16 or bool pixels: a torch tensor or NumPy array of any strides, or a
            PIL image with 8-bit channels (or mode "1" or "I;16"), which is HWC, or HW too where it
            has one channel.
        to: the format of the result.
        layout: dimensions of the image and of the result, letters N, H, W and C in any order. The
            result may have a C or an N of one that the image has not: "HW->CHW". Without an arrow
            the result has the image's: "CHW". None is "HWC->CHW"; an array of three or four
            channels in front, and not behind, is then refused.
        divide: what every pixel is divided by. "white" is the largest pixel, so that white becomes
            1: 255 of uint8, 65535 of uint16 and mode "I;16", 1 of bool and mode "1". None is 1.
        mean, std: a number, or one for each channel; None is 0 and 1. Floats mean the binary value
            that they hold; a Fraction or a Decimal is taken as it is.
        out: where the result goes, of the result's shape and format, in any strides: a NumPy array
            for a NumPy image, else a torch tensor. None makes a new one, contiguous.
        overflow, rounding: as in `Policy`; rounding="stochastic" is for `cast`.

    Returns:
        A NumPy array for a NumPy image, a torch tensor on the CPU for a torch or PIL image.

    Raises:
        CastError: the image, the layout, the scaling or `out` cannot be used.
        CastOverflowError: under overflow="raise" a pixel's result lies outside the format.

    Example:
        >>> import numpy as np
        >>> pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        >>> image_to_tensor(pixels, "float16", divide=4)[0]
        array([[0.  , 0.75],
               [1.5 , 2.25]], dtype=float16)
    """
    target = lookup_target(to, "torch")
    rules = policy_of("image_to_tensor", policy)
    if not isinstance(layout, str | None):
        raise CastError(f'layout={layout!r} is no text like "HWC->CHW"')
    given, wanted = _letters(layout or "HWC->CHW")
    pixels = pixels_of(image, given)
    source = pixels.buffer
    if layout is None and not pixels.is_picture:
        _refuse_channels_in_front(source.shape)
    sizes = dict(zip(given, source.shape, strict=True))
    shape = tuple(sizes.get(letter, 1) for letter in wanted)
    channels = _channels(
        source.format.name,
        target.name,
        _hashable(divide),
        _hashable(mean),
        _hashable(std),
        sizes.get("C", 1),
        rules,
    )
    if out is None:
        made, address = (empty_torch if pixels.is_torch else empty_numpy)(shape, target)
        strides = contiguous_strides(shape, target.container_bits // 8)
        written = Buffer(address, shape, strides, target, owner=made)
    else:
        made, written = out, written_buffer(out, pixels, shape, target)
    if rules.overflow == "raise" and any(channel.refused for channel in channels):
        _refuse(pixels, given, channels, target)
    rows = wanted.find("H")
    for begin, end, strip in pixels.strips():
        part = written if pixels.is_whole else written.part(rows, begin, end)
        # a copied strip is read back while it is in this core's cache
        _run(strip, part, given, wanted, channels, 1 if pixels.blocks is not None else None)
    return made


@lru_cache(maxsize=256, typed=True)
def _channels(
    source: str,
    target: str,
    divide: Number | Literal["white"] | None,
    mean: Any,
    std: Any,
    n_channels: int,
    rules: Policy,
) -> tuple[Channel, ...]:
    """How each channel's results are found; kept, for the next image is scaled alike."""
    row = FORMATS[target]
    if row.is_complex:
        raise CastError(f"pixels are real: {target} is no format for an image")
    policy = rules.resolve(source, row)
    if policy.rounding == "stochastic":
        raise CastError('rounding="stochastic" is for cast: an image has a result for each value')
    if divide == "white":
        divide = FORMATS[source].max_exact
    scalings = _scalings(divide, mean, std, n_channels)
    return tuple(channel_of(scaling, FORMATS[source], row, policy) for scaling in scalings)


def _run(
    source: Buffer,
    target: Buffer,
    given: str,
    wanted: str,
    channels: tuple[Channel, ...],
    n_threads: int | None,
) -> None:
    axes = {}
    for letter in "NHWC":  # (length, bytes from one to the next in the image, in the result)
        i = given.find(letter)
        steps = (1, 0, 0) if i < 0 else (source.shape[i], source.strides[i], 0)
        axes[letter] = *steps[:2], 0 if i < 0 else target.strides[wanted.find(letter)]
    n, step, result_step = axes["C"]
    if n > 1 and all(channel is channels[0] for channel in channels):
        # alike and side by side on both sides, the channels are just more pixels
        for letter in "NHW":
            if axes[letter][1:] == (n * step, n * result_step):
                axes[letter] = axes[letter][0] * n, step, result_step
                axes["C"], channels = (1, 0, 0), channels[:1]
                break
    cpu.image_planes(
        target.format,
        tuple([channel.parameters for channel in channels]),
        source.address,
        source.itemsize,
        target.address,
        (axes["N"], axes["H"], axes["W"]),
        axes["C"],
        n_threads=n_threads,
    )


def _refuse(pixels: Pixels, given: str, channels: tuple[Channel, ...], target: Format) -> None:
    """Raise if a pixel that is there has a result outside the target."""
    for number, channel in enumerate(channels):
        found = first_of(pixels.channel(given, number), channel.refused)
        if found is None:
            continue
        value, index = found
        raise CastOverflowError(
            f"the pixel {value} of channel {number} at {list(index)} becomes "
            f"{float(channel.scaling.of(value)):.9g}, outside {target.name} ({target.min:.9g} to "
            f'{target.max:.9g}). Pass overflow="saturate", or scale otherwise.'
        )


def _refuse_channels_in_front(shape: tuple[int, ...]) -> None:
    """Raise for an image that torch's order of dimensions fits, and not the one assumed."""
    if shape[0] in (3, 4) and shape[2] not in (3, 4) and all(shape):
        raise CastError(
            f"the image has shape {list(shape)}: {shape[0]} channels seem to stand in front. Pass "
            'layout="CHW" for such an image, or layout="HWC->CHW" if the channels are behind'
        )


@lru_cache(maxsize=64)
def _letters(layout: str) -> tuple[str, str]:
    given, arrow, wanted = (part.strip() for part in layout.partition("->"))
    wanted = wanted if arrow else given
    for part in (given, wanted):
        if not part or len(set(part)) < len(part) or not set(part) <= set("NHWC"):
            raise CastError(
                f'layout={layout!r} is none: it is like "HWC->CHW" or "CHW", with each of N, H, W '
                "and C at most once on each side"
            )
    lost, new = set(given) - set(wanted), set(wanted) - set(given)
    if lost or not new <= set("NC"):
        which = "".join(sorted(lost or new))
        raise CastError(
            f"layout={layout!r}: {which} stands on one side only; only C and N may be new"
        )
    return given, wanted


def _scalings(
    divide: Number | None,
    mean: Any,
    std: Any,
    n_channels: int,
) -> list[Scaling]:
    """What becomes of each channel's pixels."""
    divisor = Fraction(1) if divide is None else _exact("divide", divide)
    means = _each("mean", mean, 0, n_channels)
    stds = _each("std", std, 1, n_channels)
    if divisor == 0 or 0 in stds:
        raise CastError(f"{'divide' if divisor == 0 else 'std'} is 0: nothing is divided by that")
    return [
        Scaling(1 / (divisor * deviation), -middle / deviation)
        for middle, deviation in zip(means, stds, strict=True)
    ]


def _each(
    name: str, given: Number | tuple[Number, ...] | None, default: int, n_channels: int
) -> list[Fraction]:
    if given is None:
        return [Fraction(default)] * n_channels
    if not isinstance(given, tuple):
        return [_exact(name, given)] * n_channels
    if len(given) != n_channels:
        raise CastError(f"{name} has {len(given)} numbers, the image {n_channels} channels")
    return [_exact(f"{name}[{i}]", value) for i, value in enumerate(given)]


def _hashable(given: Any) -> Any:
    """A number as it is, numbers as a tuple."""
    try:
        tolist = getattr(given, "tolist", None)  # arrays, tensors and their scalars
        values = given if tolist is None else tolist()
        made = tuple(values) if isinstance(values, (list, tuple)) else values
        hash(made)
    except Exception as error:
        is_list = isinstance(given, (list, tuple)) and len(str(given)) <= 60
        shown = str(given) if is_list else f"a {type(given).__qualname__}"
        raise CastError(f"{shown} is neither a number nor a list of numbers") from error
    return made


def _exact(name: str, value: Any) -> Fraction:
    try:
        return Fraction(value if isinstance(value, (int, Fraction, Decimal)) else float(value))
    except Exception as error:
        raise CastError(f"{name}={value!r} is no finite number") from error
