"""The reference again, vectorised in NumPy integers: fast enough for millions of codes.

It is written apart from `tensorcast.reference` and test_reference.py holds the two to each
other; kernels are tested against this one where the reference would take minutes. Codes are
arrays as `bits.as_codes` gives them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from bits import as_codes, code_dtype

from tensorcast.formats import Format
from tensorcast.policy import ResolvedPolicy

FINITE, INFINITE, NAN = 0, 1, 2

_ZERO, _ONE = np.uint64(0), np.uint64(1)


class Parts(NamedTuple):
    """The meaning of codes: significand * 2^exponent if kind is FINITE.

    A NaN's significand is its mantissa as the top bits of 52.
    """

    kind: np.ndarray  # uint8
    negative: np.ndarray  # bool
    significand: np.ndarray  # uint64
    exponent: np.ndarray  # int64


class Cast(NamedTuple):
    """The outcome of every component: arrays of the shape of the source's codes.

    `codes` has the target's shape: [n, 2] for a complex target, else [n].
    """

    codes: np.ndarray
    overflow: np.ndarray
    nan_lost: np.ndarray
    inexact: np.ndarray
    underflow: np.ndarray


def parts_of(codes: np.ndarray, row: Format) -> Parts:
    """Decode codes of a real format, or of the components of a complex one, of any shape."""
    row = row.component
    codes = codes.astype(np.uint64)
    zeros = np.zeros(codes.shape, np.int64)
    kind = np.zeros(codes.shape, np.uint8)
    if row.kind == "bool":
        return Parts(kind, kind != 0, (codes != 0).astype(np.uint64), zeros)
    if row.is_integer:
        negative = (codes >> np.uint64(row.bits - 1) != 0) & row.signed
        mask = np.uint64((1 << row.bits) - 1)
        return Parts(kind, negative, np.where(negative, (_ZERO - codes) & mask, codes), zeros)
    m, e = row.mantissa_bits, row.exponent_bits
    negative = codes >> np.uint64(e + m) != 0
    magnitude = codes & np.uint64((1 << (e + m)) - 1)
    exponent = (magnitude >> np.uint64(m)).astype(np.int64)
    mantissa = magnitude & np.uint64((1 << m) - 1)
    payload = np.full(codes.shape, 1 << 51, np.uint64)
    nan = np.zeros(codes.shape, bool)
    if row.nan == "ieee":
        nan = (exponent == (1 << e) - 1) & (mantissa != 0)
        payload = mantissa << np.uint64(52 - m)
    elif row.nan == "all-ones":
        nan = magnitude == (1 << (e + m)) - 1
    elif row.nan == "negative-zero":
        nan = negative & (magnitude == 0)
        negative = negative & ~nan
    infinite = ~nan & (exponent == (1 << e) - 1) & row.infinity
    normal = (exponent != 0) | (not row.subnormals)
    significand = mantissa | np.where(normal, np.uint64(1 << m), _ZERO)
    place = np.where(normal, exponent, 1) - (row.bias + m)
    kind[infinite], kind[nan] = INFINITE, NAN
    return Parts(kind, negative, np.where(nan, payload, significand), place)


def bit_length(x: np.ndarray) -> np.ndarray:
    """`int.bit_length` of uint64 values, as int64."""
    high, low = x >> np.uint64(32), x & np.uint64(0xFFFFFFFF)
    top = np.frexp(high.astype(np.float64))[1] + 32
    return np.where(high != 0, top, np.frexp(low.astype(np.float64))[1]).astype(np.int64)


def shift_left(x: np.ndarray, n: np.ndarray) -> np.ndarray:
    """x * 2^n modulo 2^64, for n >= 0."""
    return np.where(n < 64, x << np.minimum(n, 63).astype(np.uint64), _ZERO)


def shift_right(x: np.ndarray, n: np.ndarray) -> np.ndarray:
    """floor(x / 2^n), for n >= 0."""
    return np.where(n < 64, x >> np.minimum(n, 63).astype(np.uint64), _ZERO)


def random_bits(seed: int, index: np.ndarray) -> np.ndarray:
    """`reference.rand32` of each uint64 index, as uint64."""
    mask = np.uint64(0xFFFFFFFF)

    def mix(x: np.ndarray) -> np.ndarray:
        x = x ^ x >> np.uint64(16)
        x = x * np.uint64(0x21F0AAAD) & mask
        x = x ^ x >> np.uint64(15)
        x = x * np.uint64(0xD35A2D97) & mask
        return x ^ x >> np.uint64(15)

    low, high = np.array([seed & 0xFFFFFFFF], np.uint64), np.array([seed >> 32], np.uint64)
    second = high ^ mix(low ^ np.uint64(0x9E3779B9))
    first = low ^ mix(second ^ np.uint64(0x85EBCA6B))
    block = (index >> np.uint64(32)) * np.uint64(0x9E3779B9) & mask
    return mix(mix(index & mask ^ first) ^ second ^ block)


def encode_parts(parts: Parts, target: Format, policy: ResolvedPolicy, index: np.ndarray) -> Cast:
    """Encode parts as a real format; `index`, uint64, seeds stochastic rounding."""
    kind, negative, significand, exponent = parts
    finite = kind == FINITE
    never = np.zeros(kind.shape, bool)
    if target.kind == "bool":
        true = ~finite | (significand != 0)
        is_one = finite & ~negative & (bit_length(significand) + exponent == 1)
        is_one &= significand & (significand - _ONE) == 0
        inexact = true & ~is_one & (kind != NAN)
        return Cast(true.astype(np.uint8), never, never, inexact, never)
    sign = np.uint64(1 << (target.bits - 1) if target.signed else 0)
    signs = np.where(negative, sign, _ZERO)
    kept, place, inexact = _round(parts, target, policy, index)
    inexact &= finite
    if target.is_float:
        least = 1 - target.bias - target.mantissa_bits
        unbounded = (place - least) * (1 << target.mantissa_bits) + kept.astype(np.int64)
        low = unbounded < 0
        if not target.signed:
            low |= negative
        if not target.subnormals:
            low |= significand == 0
            unbounded = np.where(significand == 0, 0, unbounded)
        overflow = low | (unbounded > target.max_code)
        if target.subnormals:
            overflow &= significand != 0
            unbounded = np.where(significand == 0, 0, unbounded)
        low |= negative
        codes = unbounded.astype(np.uint64)
        keeps_sign = (codes != 0) | target.signed_zero
        codes |= np.where(keeps_sign, signs, _ZERO)
        top, bottom = np.uint64(target.max_code), np.uint64(target.max_code) | sign
        if not target.signed:
            bottom = _ZERO
    else:
        too_long = bit_length(significand) + np.maximum(exponent, 0) > 64
        limit = np.uint64(1 << (target.bits - 1) if target.signed else 0)
        overflow = np.where(negative, kept > limit, kept > np.uint64(target.max_code)) | too_long
        low = negative
        mask = np.uint64((1 << target.bits) - 1)
        codes = np.where(negative, _ZERO - kept, kept) & mask
        top, bottom = np.uint64(target.max_code), sign
    infinite = kind == INFINITE
    keeps = target.infinity and policy.inf == "keep"
    overflow = (overflow & finite) | (infinite & (not keeps))
    extreme = np.where(low, bottom, top)
    beyond = extreme
    if policy.overflow == "ieee":
        top = np.uint64(target.infinity_code if target.infinity else target.nan_code)
        bottom = top if target.nan == "negative-zero" else top | sign
        unbounded = np.where(low, bottom, top)
        # a direction that points from this end of the range to the other
        inward = {"up": low, "down": ~low, "toward-zero": np.ones(low.shape, bool)}
        stays = finite & inward.get(policy.rounding, np.zeros(low.shape, bool))
        if target.kind == "float" and not target.signed:
            stays = stays & ~low
        beyond = np.where(stays | (infinite & bool(target.infinity)), extreme, unbounded)
    replaced = overflow & ~finite if policy.overflow == "wrap" else overflow
    codes = np.where(replaced, beyond, codes)
    inexact |= overflow
    underflow = finite & ~overflow & (significand != 0) & (kept == 0)
    if keeps:
        codes = np.where(infinite, np.uint64(target.infinity_code) | signs, codes)
    nan = kind == NAN
    if target.nan_code is None:
        codes, nan_lost = np.where(nan, _ZERO, codes), nan
    else:
        quiet = np.full(kind.shape, target.nan_code, np.uint64)
        if target.nan == "ieee":
            quiet |= significand >> np.uint64(52 - target.mantissa_bits)
        if target.nan != "negative-zero":
            quiet |= signs
        codes, nan_lost = np.where(nan, quiet, codes), never
    return Cast(codes.astype(code_dtype(target)), overflow, nan_lost, inexact, underflow)


def _round(
    parts: Parts, target: Format, policy: ResolvedPolicy, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(kept, place, inexact): the magnitude rounded to kept * 2^place."""
    _, negative, significand, exponent = parts
    if target.is_float:
        place = exponent + bit_length(significand) - (target.mantissa_bits + 1)
        if target.subnormals:
            place = np.maximum(place, 1 - target.bias - target.mantissa_bits)
    else:
        place = np.zeros(exponent.shape, np.int64)
    shift = place - exponent
    kept = shift_left(significand, np.maximum(-shift, 0))
    right = np.maximum(shift, 0)
    kept = np.where(shift > 0, shift_right(significand, right), kept)
    rest = significand - shift_left(kept, right)
    rest = np.where(shift > 0, rest, _ZERO)
    if policy.rounding == "nearest-even":
        half = np.where(shift <= 64, shift_left(np.full_like(rest, 1), np.maximum(right - 1, 0)), 0)
        odd = kept & _ONE != 0
        grows = (half != 0) & ((rest > half) | ((rest == half) & odd))
    elif policy.rounding == "toward-zero":
        grows = np.zeros(rest.shape, bool)
    elif policy.rounding == "stochastic":
        fraction = np.where(
            shift <= 32,
            shift_left(rest, np.maximum(32 - right, 0)),
            shift_right(rest, np.maximum(right - 32, 0)),
        )
        grows = fraction + random_bits(policy.seed, index) >= np.uint64(1 << 32)
    else:
        grows = negative == (policy.rounding == "down")
    inexact = rest != 0
    return kept + (inexact & grows).astype(np.uint64), place, inexact


def cast_array(
    codes: object, source: Format, target: Format, policy: ResolvedPolicy, *, first_index: int = 0
) -> Cast:
    """What `reference.measure_codes` gives, per component.

    Args:
        codes: what `bits.as_codes` takes.
        policy: resolved for this pair.
        first_index: index of the first element.
    """
    codes = as_codes(codes, source)
    parts = parts_of(codes, source)
    if source == target:
        never = np.zeros(codes.shape, bool)
        ended = (parts.kind == INFINITE) & (policy.inf != "keep")
        extreme = np.uint64(source.component.max_code)
        row = source.component
        sign = np.uint64(1 << (row.bits - 1) if row.signed else 0)
        extremes = np.where(parts.negative, extreme | sign, extreme).astype(codes.dtype)
        return Cast(np.where(ended, extremes, codes), ended, never, ended, never)
    index = np.arange(len(codes), dtype=np.uint64) + np.uint64(first_index)
    if target.kind == "bool" and source.is_complex:
        return _complex_to_bool(parts)
    if not target.is_complex:
        return encode_parts(parts, target, policy, index)
    index = index * np.uint64(2)
    if source.is_complex:
        index = np.stack([index, index + _ONE], axis=1)
        return encode_parts(parts, target.component, policy, index)
    cast = encode_parts(parts, target.component, policy, index)
    return cast._replace(codes=np.stack([cast.codes, np.zeros_like(cast.codes)], axis=1))


def _complex_to_bool(parts: Parts) -> Cast:
    true = ((parts.kind != FINITE) | (parts.significand != 0)).any(axis=1)
    results = np.stack([true, np.zeros_like(true)], axis=1)
    value = values_of(parts)
    never = np.zeros(results.shape, bool)
    inexact = (parts.kind != NAN) & (value != results)
    return Cast(true.astype(np.uint8), never, never, inexact, never)


def values_of(parts: Parts) -> np.ndarray:
    """The values as long doubles: exact, but for NaN payloads."""
    value = np.ldexp(parts.significand.astype(np.longdouble), parts.exponent.astype(np.int32))
    value = np.where(parts.kind == INFINITE, np.longdouble(np.inf), value)
    value = np.where(parts.kind == NAN, np.longdouble(np.nan), value)
    return np.where(parts.negative, -value, value)


def statistics(cast: Cast, codes: object, source: Format, target: Format) -> dict[str, object]:
    """The counts as `reference.Statistics` has them; sums and errors as long doubles.

    first_overflow is relative to the first of `codes`.
    """
    codes = as_codes(codes, source)
    parts = parts_of(codes, source)
    results = parts_of(cast.codes, target)
    finite = parts.kind == FINITE
    value, result = values_of(parts), values_of(results)
    kept = results.kind == FINITE
    if target.kind == "bool" and source.is_complex:
        result, kept = np.stack([result, np.zeros_like(result)], axis=1), True
    elif target.is_complex and not source.is_complex:
        result, kept = result[:, 0], kept[:, 0]
    kept = finite & kept
    numbers = value[finite]
    error = np.abs(result[kept] - value[kept])
    overflowed = np.flatnonzero(cast.overflow.reshape(len(codes), -1).any(axis=1))
    return {
        "n_elements": len(codes),
        "n_overflow": int(cast.overflow.sum()),
        "n_nan": int((parts.kind == NAN).sum()),
        "n_nan_lost": int(cast.nan_lost.sum()),
        "n_inexact": int(cast.inexact.sum()),
        "n_underflow": int(cast.underflow.sum()),
        "n_inf": int((parts.kind == INFINITE).sum()),
        "min": numbers.min() if numbers.size else None,
        "max": numbers.max() if numbers.size else None,
        "amax": np.abs(numbers).max() if numbers.size else None,
        "max_abs_error": error.max() if error.size else np.longdouble(0),
        "sum_squared_error": (error * error).sum(),
        "sum_squared": (value[kept] * value[kept]).sum(),
        "first_overflow": int(overflowed[0]) if overflowed.size else None,
        **collapse(cast, codes, source, target),
    }


def collapse(cast: Cast, codes: np.ndarray, source: Format, target: Format) -> dict[str, object]:
    """What became 0, and whether all is one value: its code, True of a complex source's."""
    parts, results = parts_of(codes, source), parts_of(cast.codes, target)
    zero = (parts.kind == FINITE) & (parts.significand == 0)
    result_zero = (results.kind == FINITE) & (results.significand == 0)
    if target.is_complex and not source.is_complex:
        result_zero = result_zero[:, 0]
    if source.is_complex and not target.is_complex:
        result_zero = np.zeros_like(zero)
    few = target.bits <= 8 and len(codes) > 0
    one_result = _one_code(cast.codes, results, target) if few else None
    one_source = None if one_result is None else _one_code(codes, parts, source)
    return {
        "n_zero": int(zero.sum()),
        "n_to_zero": int((result_zero & ~zero & (parts.kind != NAN)).sum()),
        "one_source": one_source,
        "one_result": one_result,
    }


def _one_code(codes: np.ndarray, parts: Parts, row: Format) -> int | None:
    plain = codes.astype(np.uint64) & np.uint64((1 << row.component.bits) - 1)
    if row.component.kind == "bool":
        plain = (plain != 0).astype(np.uint64)
    plain[(parts.kind == FINITE) & (parts.significand == 0)] = 0
    plain[parts.kind == NAN] = row.nan_code or 0
    if not (plain == plain[:1]).all():
        return None
    return True if row.is_complex else int(plain.flat[0])


def expect_same_collapse(raw: object, want: dict[str, object], what: str) -> None:
    """What a kernel counted of it, in its RawStats, is what `statistics` has."""
    for name in ("n_zero", "n_to_zero", "one_source", "one_result"):
        found, expected = getattr(raw, name), want[name]
        if expected is True:
            found = found is not None
        assert found == expected, f"{what}: {name}"
