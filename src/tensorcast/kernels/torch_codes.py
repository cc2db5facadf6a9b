"""Encode and decode in torch's integer operations, on any device that has int64.

Codes and significands are int64 tensors; a significand of 64 bits takes the sign bit too and is
compared and shifted as unsigned. No step rounds but `_rounded`, and none relies on a cast of
torch's own but integers of at most 24 bits to float32, which is exact everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import CastError
from ..formats import Format
from ..policy import ResolvedPolicy

if TYPE_CHECKING:
    import torch

_LOWEST: Final = -(1 << 63)  # flipping this bit turns unsigned order into signed order


class Parts(NamedTuple):
    """The meaning of codes: significand * 2^exponent where finite.

    A NaN's significand is its mantissa, as the top bits of 52. `length` is the number of bits of
    the significand, where finite.
    """

    negative: torch.Tensor
    nan: torch.Tensor
    infinite: torch.Tensor
    significand: torch.Tensor
    exponent: torch.Tensor
    length: torch.Tensor

    @property
    def finite(self) -> torch.Tensor:
        return ~(self.nan | self.infinite)


class Encoded(NamedTuple):
    """Codes in the target format, int64, and what became of each value."""

    codes: torch.Tensor
    overflow: torch.Tensor
    nan_lost: torch.Tensor
    inexact: torch.Tensor
    underflow: torch.Tensor


def decode(codes: torch.Tensor, row: Format) -> Parts:
    """The parts of codes of a real format, high bits zero (but for those of 64 bits)."""
    import torch

    never = torch.zeros_like(codes, dtype=torch.bool)
    zeros = torch.zeros_like(codes)
    if row.kind == "bool":
        ones = (codes != 0).to(torch.int64)
        return Parts(never, never, never, ones, zeros, ones)
    if row.is_integer:
        negative = never
        magnitude = codes
        if row.signed:
            negative = (codes >> (row.bits - 1)) & 1 != 0
            magnitude = torch.where(negative, -codes & _mask(row.bits), codes)
        return Parts(negative, never, never, magnitude, zeros, bit_length(magnitude, row.bits))
    m, e = row.mantissa_bits, row.exponent_bits
    magnitude = codes & _mask(e + m)
    negative = (codes >> (e + m)) & 1 != 0 if row.signed else never
    exponent = magnitude >> m
    mantissa = magnitude & _mask(m)
    payload = torch.full_like(codes, 1 << 51)
    nan, highest = never, exponent == _mask(e)
    if row.nan == "ieee":
        nan = highest & (mantissa != 0)
        payload = mantissa << (52 - m)
    elif row.nan == "all-ones":
        nan = magnitude == _mask(e + m)
    elif row.nan == "negative-zero":
        nan = negative & (magnitude == 0)
        negative = negative & ~nan
    infinite = highest & ~nan if row.infinity else never
    length = torch.full_like(codes, m + 1)
    if row.subnormals:
        normal = exponent != 0
        significand = mantissa | (normal.to(torch.int64) << m)
        length = torch.where(normal, length, bit_length(mantissa, m))
        exponent = exponent.clamp(min=1)
    else:
        significand = mantissa | (1 << m)
    significand = torch.where(nan, payload, significand)
    return Parts(negative, nan, infinite, significand, exponent - (row.bias + m), length)


def encode_same(codes: torch.Tensor, parts: Parts, row: Format) -> Encoded:
    """What becomes of codes in their own format where infinities end: they alone change."""
    import torch

    never = torch.zeros_like(parts.nan)
    largest = torch.where(parts.negative, _signed(lowest_code(row)), _signed(row.max_code))
    codes = torch.where(parts.infinite, largest, codes)
    return Encoded(codes, parts.infinite, never, parts.infinite, never)


def lowest_code(row: Format) -> int:
    """The code of a float format's lowest finite value."""
    return row.max_code | 1 << (row.bits - 1) if row.signed else 0


def encode(parts: Parts, target: Format, policy: ResolvedPolicy, index: torch.Tensor) -> Encoded:
    """The codes in a real format, by the rules of `tensorcast.reference`.

    Args:
        index: of each value, for stochastic rounding; int64.
    """
    import torch

    finite, negative, significand = parts.finite, parts.negative, parts.significand
    never = torch.zeros_like(finite)
    if target.kind == "bool":
        true = ~finite | (significand != 0)
        is_one = finite & ~negative & (parts.length + parts.exponent == 1)
        is_one &= significand & (significand - 1) == 0
        return Encoded(true.to(torch.int64), never, never, true & ~is_one & ~parts.nan, never)
    sign = 1 << (target.bits - 1) if target.signed else 0
    if target.bits == 64 and sign:
        sign = _LOWEST
    signs = torch.where(negative, sign, 0)
    kept, place, inexact = _rounded(parts, target, policy, index)
    inexact &= finite
    zero = significand == 0
    if target.is_float:
        m = target.mantissa_bits
        codes = (place - (1 - target.bias - m)) * (1 << m) + kept
        low = codes < 0
        if not target.signed:
            low |= negative
        if not target.subnormals:  # no zero either
            low |= zero
        codes = torch.where(zero, 0, codes)
        overflow = low | (codes > target.max_code)
        if target.subnormals:
            overflow &= ~zero
        low |= negative
        codes = codes | (signs if target.signed_zero else torch.where(codes == 0, 0, signs))
        top, bottom = target.max_code, lowest_code(target)
    else:
        overflow = parts.length + parts.exponent.clamp(min=0) > 64
        overflow |= _above(kept, target.max_code) & ~negative
        overflow |= _above(kept, 1 << (target.bits - 1) if target.signed else 0) & negative
        low = negative
        codes = torch.where(negative, -kept, kept) & _mask(target.bits)
        top, bottom = target.max_code, sign
    overflow = overflow & finite
    ends = target.infinity and policy.inf != "keep"
    if ends or not target.infinity:
        overflow |= parts.infinite
    largest = torch.where(low, _signed(bottom), _signed(top))
    instead = largest
    if policy.overflow == "ieee":  # IEEE 754-2019, 7.4
        code = target.infinity_code if target.infinity else target.nan_code
        assert code is not None
        below = code if target.nan == "negative-zero" else code | sign
        instead = torch.where(low, _signed(below), _signed(code))
        inside = {"toward-zero": ~never, "down": ~low, "up": low}.get(policy.rounding, never)
        if not target.signed:  # no finite value lies below
            inside = inside & ~low
        instead = torch.where(inside & ~parts.infinite, largest, instead)
    replaced = overflow & ~finite if policy.overflow == "wrap" else overflow
    codes = torch.where(replaced, instead, codes)
    underflow = finite & ~overflow & ~zero & (kept == 0)
    if ends:
        codes = torch.where(parts.infinite, largest, codes)
    elif target.infinity_code is not None:
        codes = torch.where(parts.infinite, signs | target.infinity_code, codes)
    if target.nan_code is None:
        codes = torch.where(parts.nan, 0, codes)
        return Encoded(codes, overflow, parts.nan, inexact | overflow, underflow)
    quiet = torch.full_like(codes, target.nan_code)
    if target.nan == "ieee":
        quiet |= significand >> (52 - target.mantissa_bits)
    if target.nan != "negative-zero":
        quiet |= signs
    codes = torch.where(parts.nan, quiet, codes)
    return Encoded(codes, overflow, never, inexact | overflow, underflow)


def _rounded(
    parts: Parts, target: Format, policy: ResolvedPolicy, index: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(kept, place, inexact): the magnitude rounded to kept * 2^place."""
    import torch

    significand, exponent = parts.significand, parts.exponent
    if target.is_float:
        place = exponent + parts.length - (target.mantissa_bits + 1)
        if target.subnormals:
            place = place.clamp(min=1 - target.bias - target.mantissa_bits)
    else:
        place = torch.zeros_like(exponent)
    shift = place - exponent
    # 63 is as good as more: a significand whose shift is larger has at most 53 bits
    right = shift.clamp(0, 63)
    left = torch.where(shift > -64, significand << (-shift).clamp(0, 63), 0)
    kept = torch.where(shift > 0, shift_right(significand, right), left)
    ones = torch.ones_like(right)
    rest = significand & ((ones << right) - 1)
    inexact = rest != 0
    if policy.rounding == "nearest-even":
        half = ones << (right - 1).clamp(min=0)
        grows = inexact & ((rest > half) | ((rest == half) & (kept & 1 != 0)))
    elif policy.rounding == "toward-zero":
        return kept, place, inexact
    elif policy.rounding == "stochastic":
        fraction = torch.where(
            shift <= 32, rest << (32 - right).clamp(min=0), rest >> (shift - 32).clamp(0, 63)
        )
        grows = inexact & (fraction + random_bits(policy.seed, index) >= 1 << 32)
    else:
        grows = inexact & (parts.negative == (policy.rounding == "down"))
    return kept + grows.to(torch.int64), place, inexact


def random_bits(seed: int, index: torch.Tensor) -> torch.Tensor:
    """The 32 random bits of each index, as `reference.rand32` draws them, in int64."""
    from ..reference import seed_keys

    mask = 0xFFFFFFFF

    def mix(x: torch.Tensor) -> torch.Tensor:
        x = x ^ x >> 16
        x = x * 0x21F0AAAD & mask  # what overflows 64 bits lies above the 32 that are kept
        x = x ^ x >> 15
        x = x * 0xD35A2D97 & mask
        return x ^ x >> 15

    first, second = seed_keys(seed)
    high = (index >> 32) * 0x9E3779B9 & mask
    return mix(mix(index & mask ^ first) ^ second ^ high)


def bit_length(x: torch.Tensor, bits: int) -> torch.Tensor:
    """`int.bit_length` of unsigned integers of so many bits."""
    import torch

    if bits <= 24:  # float32 holds them: its exponent tells
        as_float = x.to(torch.float32).view(torch.int32)
        return ((as_float >> 23) - 126).clamp(min=0).to(torch.int64)
    high = bit_length(shift_right(x, 24), bits - 24)
    return torch.where(high != 0, high + 24, bit_length(x & _mask(24), 24))


def shift_right(x: torch.Tensor, n: torch.Tensor | int) -> torch.Tensor:
    """x / 2^n rounded down, x unsigned, for n of 0 to 63."""
    if isinstance(n, int):
        return x >> n & _mask(64 - n)
    import torch

    return x >> n & ~(torch.full_like(n, -1) << (63 - n) << 1)


def _above(x: torch.Tensor, limit: int) -> torch.Tensor:
    """x > limit, both unsigned of 64 bits."""
    return x ^ _LOWEST > _signed(limit ^ 1 << 63)


def _mask(bits: int) -> int:
    return _signed((1 << bits) - 1)


def _signed(code: int) -> int:
    """The int64 with the bits of a code."""
    return code - (1 << 64) if code >> 63 == 1 else code


def codes_of(x: torch.Tensor, row: Format) -> torch.Tensor:
    """The codes of a tensor as signed integers (uint8 for bytes) of its width, sharing memory.

    Complex tensors get a last dimension of 2.
    """
    import torch

    if row.torch_pairs:
        raise CastError(
            f"{row.torch_pairs} holds two elements to a byte; tensorcast.unpack its bytes first"
        )
    if row.is_complex:
        x = torch.view_as_real(x)
    name = {8: "uint8", 16: "int16", 32: "int32", 64: "int64"}[row.component.container_bits]
    return x.view(getattr(torch, name))


def flat_codes(x: torch.Tensor, row: Format) -> torch.Tensor:
    """`codes_of` in C order: [n], or [n, 2] for a complex format; a copy if `x` has gaps."""
    codes = codes_of(x.contiguous(), row)
    return codes.reshape(-1, 2) if row.is_complex else codes.reshape(-1)


def widened(codes: torch.Tensor, row: Format) -> torch.Tensor:
    """Codes as int64, the bits above the format's own zero."""
    import torch

    codes = codes.to(torch.int64)
    return codes if row.bits == 64 else codes & ((1 << row.bits) - 1)


def narrowed(codes: torch.Tensor, row: Format) -> torch.Tensor:
    """int64 codes in the integers that `codes_of` gives."""
    import torch

    bits = row.container_bits
    if bits == 8:
        return codes.to(torch.uint8)
    if bits == 64:
        return codes
    half = 1 << (bits - 1)  # within the narrow type's range, so that no cast has to wrap
    return ((codes ^ half) - half).to(torch.int16 if bits == 16 else torch.int32)
