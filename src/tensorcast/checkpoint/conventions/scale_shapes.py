"""Which shapes the scale of a tensor of codes can have."""

from __future__ import annotations

from math import prod
from typing import Final

_SIDES: Final = tuple(1 << n for n in range(3, 11))
"""Sides of the square blocks that share a scale, in elements as stored: 8 to 1024."""
_MOST_DIMENSIONS: Final = 8


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without dimensions of 1."""
    return tuple(n for n in shape if n != 1)


def fits_as_scale(shape: tuple[int, ...], codes: tuple[int, ...]) -> bool:
    """Whether a tensor of this shape can be the scale of codes of that shape.

    One scale for all; one per row, per column, per matrix of a stack, or per row or column of
    each; one per group along a dimension; one per square block. It has fewer elements than the
    codes, or as many where these have one dimension; dimensions of 1 do not count.

    Example:
        >>> [fits_as_scale(shape, (256, 128)) for shape in [(), (256, 1), (128,), (256, 8), (2, 1)]]
        [True, True, True, True, True]
        >>> [fits_as_scale(shape, (256, 128)) for shape in [(3,), (512, 128), (256, 7)]]
        [False, False, False]
        >>> [fits_as_scale(shape, (256,)) for shape in [(), (4,), (256,), (3,), (512,)]]
        [True, True, True, False, False]
    """
    if not codes or len(codes) > _MOST_DIMENSIONS or 0 in codes or 0 in shape:
        return False
    scale = squeezed(shape)
    if len(codes) == 1:
        n, n_groups = codes[0], prod(scale)
        return n % n_groups == 0 or any(-(-n // side) == n_groups for side in _SIDES)
    if prod(scale) >= prod(codes):
        return False
    if any(scale == squeezed(codes[:i]) for i in range(len(codes))):
        return True
    if len(scale) == 1 and (scale[0] in codes or scale[0] in (codes[0] * n for n in (2, 4, 8))):
        return True  # the multiples: codes packed along the rows, fewer rows of bytes than scales
    if any(_grouped(scale, codes, axis) for axis in {0, len(codes) - 2, len(codes) - 1}):
        return True
    return any(
        scale == squeezed((*codes[:-2], -(-codes[-2] // side), -(-codes[-1] // side)))
        for side in _SIDES
    )


def _grouped(scale: tuple[int, ...], codes: tuple[int, ...], axis: int) -> bool:
    """Whether `scale` has one element per group of several codes along one dimension."""
    rest = squeezed((*codes[:axis], *codes[axis + 1 :]))
    if scale == rest:
        return True  # one group
    place = len(squeezed(codes[:axis]))
    if len(scale) != len(rest) + 1 or (*scale[:place], *scale[place + 1 :]) != rest:
        return False
    n, n_groups = codes[axis], scale[place]
    if n % n_groups == 0:
        return n_groups < n
    return any(-(-n // side) == n_groups for side in _SIDES)
