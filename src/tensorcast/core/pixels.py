"""The exact result of every pixel value, and the arithmetic that gives the same bits faster."""

from __future__ import annotations

import math
import struct
import sys
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from ..errors import CastError
from ..formats import FORMATS, Format
from ..kernels import cpu
from ..policy import ResolvedPolicy
from ..reference import encode

TABLE, QUOTIENT, AFFINE = 0, 1, 2
_COMPUTED = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Scaling:
    """What becomes of a channel's pixels: factor * pixel + offset, exactly."""

    factor: Fraction
    offset: Fraction

    def of(self, pixel: int) -> Fraction:
        """The exact result of a pixel.

        Example:
            >>> Scaling(Fraction(1, 255), Fraction(-1, 2)).of(51)
            Fraction(-3, 10)
        """
        return self.factor * pixel + self.offset


@dataclass(frozen=True)
class Channel:
    """How the kernels find a channel's results.

    Attributes:
        scaling: what the results are of.
        parameters: form, divisor, reciprocal, a, b, and the table of codes.
        refused: pixel values whose result lies outside the format.
    """

    scaling: Scaling
    parameters: tuple[int, float, float, float, float, bytes]
    refused: frozenset[int]


@lru_cache(maxsize=512)
def _channel(
    scaling: Scaling, source: str, target: str, policy: ResolvedPolicy, kernel: str | None
) -> Channel:
    row, pixels = FORMATS[target], FORMATS[source]
    table, refused = table_of(scaling, pixels, row, policy)
    plain = TABLE, 0.0, 0.0, 0.0, 0.0, table
    if pixels.name == "uint8" and target in _COMPUTED and cpu.image_computes(kernel):
        for form in _forms(scaling):
            if _gives((*form, table), row, kernel):
                return Channel(scaling, (*form, table), refused)
    return Channel(scaling, plain, refused)


def channel_of(
    scaling: Scaling,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    kernel: str | None = None,
) -> Channel:
    """The table of a channel and the fastest form that gives it; kept for the next image."""
    return _channel(scaling, source.name, target.name, policy, kernel)


def table_of(
    scaling: Scaling, source: Format, target: Format, policy: ResolvedPolicy
) -> tuple[bytes, frozenset[int]]:
    """The codes of all pixel values, each rounded once from the exact result, as they lie in
    memory, and the values whose result lies outside the target.

    A byte of a bool image other than 0 is 1.
    """
    common = math.lcm(scaling.factor.denominator, scaling.offset.denominator)
    step, start = int(scaling.factor * common), int(scaling.offset * common)
    n_values = 2 if source.kind == "bool" else 1 << source.bits
    if n_values > 256:
        found = _by_kernels(range(start, start + step * n_values, step), common, target, policy)
        if found is not None:
            return found, frozenset()
    size = target.container_bits // 8
    codes, refused = [], set()
    for pixel in range(n_values):
        outcome = encode(_sticky(step * pixel + start, common), target, policy)
        codes.append(outcome.code.to_bytes(size, sys.byteorder))
        if outcome.overflow:
            refused.add(pixel)
    if source.kind == "bool":
        codes += [codes[1]] * 254
        if 1 in refused:
            refused.update(range(2, 256))
    return b"".join(codes), frozenset(refused)


def _by_kernels(
    numerators: range, denominator: int, target: Format, policy: ResolvedPolicy
) -> bytes | None:
    """The codes of many quotients, each rounded to odd in float64 and from there once, by the
    kernels; None where that does not serve, or a result lies outside the target.

    Rounded to odd, a float64 keeps whether there was a rest, and stands in for the quotient in any
    format with at least two bits less.
    """
    import numpy as np

    narrow = 8 <= target.bits <= 32 and not target.is_complex and target.kind != "bool"
    as_it_is = target.name == "float64" and policy.rounding == "nearest-even"
    if not narrow and not as_it_is:
        return None
    nearest, sides = [], []
    try:
        for numerator in numerators:
            quotient = numerator / denominator  # of integers, rounded once
            above, below = quotient.as_integer_ratio()
            rest = numerator * below - above * denominator
            nearest.append(quotient)
            sides.append((rest > 0) - (rest < 0))
    except OverflowError:
        return None
    values, side = np.array(nearest), np.array(sides)
    even = values.view(np.int64) & 1 == 0
    if as_it_is:
        return values.tobytes()
    neighbour = np.nextafter(values, np.where(side > 0, np.inf, -np.inf))
    odd = np.where((side != 0) & even, neighbour, values).tobytes()
    out = bytearray(len(values) * target.bits // 8)
    found = cpu.cast_chunk(odd, out, FORMATS["float64"], target, policy, len(values))
    return None if found.n_overflow else bytes(out)


def _sticky(numerator: int, denominator: int) -> Fraction:
    """A binary fraction that every format rounds, in every direction, as it would the quotient:
    the quotient's first 160 bits or more, and one more that is set if there is a rest."""
    if numerator == 0:
        return Fraction(0)
    shift = max(160 + denominator.bit_length() - abs(numerator).bit_length(), 0)
    kept, rest = divmod(abs(numerator) << shift, denominator)
    value = Fraction(2 * kept + (rest != 0), 1 << (shift + 1))
    return -value if numerator < 0 else value


def _forms(scaling: Scaling) -> list[tuple[int, float, float, float, float]]:
    """Arithmetic that may give the table, fastest first."""
    forms = []
    try:
        if scaling.offset == 0:
            divisor, reciprocal = _float32(1 / scaling.factor), _float32(scaling.factor)
            if Fraction(divisor) * scaling.factor == 1:
                forms.append((QUOTIENT, divisor, reciprocal, 0.0, 0.0))
        forms.append((AFFINE, 0.0, 0.0, float(scaling.factor), float(scaling.offset)))
    except OverflowError:
        pass
    return forms


def _float32(value: Fraction) -> float:
    found: float = struct.unpack("<f", struct.pack("<f", float(value)))[0]
    return found


def _gives(
    parameters: tuple[int, float, float, float, float, bytes], target: Format, kernel: str | None
) -> bool:
    """Whether the kernels, computing so, give the table for all 256 values."""
    import ctypes

    size = target.container_bits // 8
    values = (ctypes.c_uint8 * 256)(*range(256))
    results = (ctypes.c_uint8 * (256 * size))()
    axes = (1, 0, 0), (1, 0, 0), (256, 1, size)
    if len(parameters[5]) != len(results):
        raise CastError("a table of another size")
    cpu.image_planes(
        target,
        (parameters,),
        ctypes.addressof(values),
        1,
        ctypes.addressof(results),
        axes,
        (1, 0, 0),
        kernel=kernel,
        n_threads=1,
    )
    return bytes(results) == parameters[5]
