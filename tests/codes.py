"""Codes worth casting: every code of a narrow source, the edges and ties of a wide one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from bits import code_dtype
from oracle import FINITE, Parts, encode_parts, parts_of

from tensorcast.errors import PolicyError
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import OVERFLOWS, ROUNDINGS, Inf, Policy, ResolvedPolicy

_ENDING: Final[dict[str, Inf]] = {
    "nearest-even": "saturate",
    "toward-zero": "raise",
    "up": "saturate",
}
_TOWARD_ZERO = ResolvedPolicy("saturate", "toward-zero", "zero", False, 0)


def interesting_codes(
    source: Format, target: Format, n_random: int = 1000, seed: int = 0
) -> np.ndarray:
    """Codes of the source at which casts to the target go wrong, in a fixed order.

    A source of at most 16 bits: every code, then `n_random` random ones. Else the edges of the
    source; the values of the target, the midpoints between neighbours and one ulp to either side
    of both (all of them for a target of at most 8 bits, else at every edge and binade and a
    seeded sample); NaNs with payloads; powers of two and their neighbours; and `n_random` random
    codes, half of them of magnitudes that the target has.

    Returns:
        [n] unsigned codes; [n, 2] for a complex source. Some thousand, in a shuffled order, so
        that specials land among ordinary values. The array is the caller's to change.
    """
    return _codes(source, target, n_random, seed).copy()


@lru_cache(maxsize=64)
def _codes(source: Format, target: Format, n_random: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, n_random, source.bits, target.bits, source.mantissa_bits])
    if source.is_complex:
        real = _codes(source.component, target.component, n_random, seed)
        imaginary = rng.permutation(real)
        # (x, 0), (0, x): what a real format holds; then any with any
        zeros = np.zeros_like(real[::4])
        pairs = [(real, imaginary), (real[::4], zeros), (zeros, real[1::4][: len(zeros)])]
        return np.concatenate([np.stack([a[: len(b)], b[: len(a)]], axis=1) for a, b in pairs])
    if source.kind == "bool":
        edges = [np.arange(256)]
    elif source.bits <= 16:
        edges = [np.arange(1 << source.bits)]
    elif source.is_float:
        edges = [_float_edges(source), _near_target(source, target.component, n_random // 2, rng)]
    else:
        edges = [_integer_edges(source), _near_target(source, target.component, n_random // 2, rng)]
    edges.append(_random(source, target.component, n_random, rng))
    found = np.unique(np.concatenate([edge.astype(np.uint64) for edge in edges]))
    if source.bits <= 16:
        found = np.concatenate([edge.astype(np.uint64) for edge in edges])
    else:
        found = rng.permutation(found)
    return found.astype(code_dtype(source))


def _both_signs(magnitudes: np.ndarray, row: Format) -> np.ndarray:
    return np.concatenate([magnitudes, magnitudes | np.uint64(1 << (row.bits - 1))])


def _float_edges(row: Format) -> np.ndarray:
    """Zeros, subnormals, each power of two and its neighbours, the end of the range, NaNs."""
    m = row.mantissa_bits
    powers = np.arange((1 << row.exponent_bits) - 1, dtype=np.uint64) << np.uint64(m)
    one = np.uint64(1)
    near = np.concatenate([powers, powers + one, (powers - one)[1:]])
    low_bits = one << np.arange(m, dtype=np.uint64)
    infinity = np.uint64(row.infinity_code)
    nans = np.concatenate([infinity | low_bits, infinity | (low_bits * np.uint64(2) - one)])
    nans = np.concatenate([nans, nans | np.uint64(row.nan_code)])
    ends = np.array([row.max_code, row.max_code - 1, row.infinity_code], np.uint64)
    return _both_signs(np.concatenate([near, low_bits, ends, nans]), row)


def _integer_edges(row: Format) -> np.ndarray:
    """Small numbers, each power of two and its neighbours, both ends, of both signs."""
    powers = np.uint64(1) << np.arange(row.bits, dtype=np.uint64)
    near = [powers + np.uint64(i) for i in range(3)] + [powers - np.uint64(i) for i in range(3)]
    small = np.arange(520, dtype=np.uint64)
    codes = np.concatenate([*near, small, powers * np.uint64(3) >> np.uint64(1)])
    return np.concatenate([codes, ~codes, np.uint64(0) - codes]) & np.uint64((1 << row.bits) - 1)


def _magnitudes(target: Format, n: int, rng: np.random.Generator) -> np.ndarray:
    """Codes of positive values of the target: all if few, else edges, binades and a sample."""
    top = target.max_code
    if target.bits <= 8:
        return np.arange(top + 1, dtype=np.uint64)
    bits = top.bit_length() if target.is_integer else target.exponent_bits
    steps = np.uint64(1) << np.arange(bits, dtype=np.uint64)
    if target.is_float:
        steps = np.arange(1 << bits, dtype=np.uint64) << np.uint64(target.mantissa_bits)
    few = np.arange(9, dtype=np.uint64)
    near = [steps + few[0], steps + few[1], steps - few[1], steps - few[2]]
    sample = rng.integers(0, top, n, dtype=np.uint64, endpoint=True)
    if target.is_integer:  # magnitudes of every length
        sample >>= rng.integers(0, bits, n, dtype=np.uint64)
    found = np.concatenate([few, np.uint64(top) - few, *near, sample])
    return found[found <= np.uint64(top)]


def _near_target(source: Format, target: Format, n: int, rng: np.random.Generator) -> np.ndarray:
    """Source codes of target values and midpoints, and their neighbours on both sides."""
    if target.kind == "bool":
        return np.zeros(0, np.uint64)
    _, _, significand, exponent = parts_of(_magnitudes(target, n, rng), target)
    # beyond the ends: two more values after the largest, one before the smallest of a format
    # without zero
    top = parts_of(np.array([target.max_code], np.uint64), target)
    extra = [(int(top.significand[0]) + i, int(top.exponent[0])) for i in (1, 2)]
    if not target.subnormals:
        extra.append((1, -target.bias - 1))
    extra = [(n, place) for n, place in extra if n >> 64 == 0]
    significand = np.concatenate([significand, np.array([n for n, _ in extra], np.uint64)])
    exponent = np.concatenate([exponent, np.array([place for _, place in extra], np.int64)])
    # the value after significand * 2^exponent is (significand + 1) * 2^exponent
    significand = np.concatenate([significand, significand * np.uint64(2) + np.uint64(1)])
    exponent = np.concatenate([exponent, exponent - 1])
    kind = np.full(significand.shape, FINITE, np.uint8)
    no = np.zeros(significand.shape, bool)
    found = []
    for negative in (no, ~no) if source.signed else (no,):
        parts = Parts(kind, negative, significand, exponent)
        cast = encode_parts(parts, source, _TOWARD_ZERO, significand)
        codes = cast.codes[~cast.overflow].astype(np.uint64)
        found += [codes, codes + np.uint64(1), codes - np.uint64(1)]
    return np.unique(np.concatenate(found)) & np.uint64((1 << source.bits) - 1)


def _random(source: Format, target: Format, n: int, rng: np.random.Generator) -> np.ndarray:
    """Random codes: half of any bits, half of magnitudes around the target's."""
    mask = np.uint64((1 << source.bits) - 1)
    codes = rng.integers(0, 1 << 64, n, dtype=np.uint64, endpoint=False) & mask
    half = codes[: n // 2]
    if source.is_integer:
        signs = rng.integers(0, 2, len(half), dtype=np.uint64) * mask * np.uint64(source.signed)
        half = half >> rng.integers(0, source.bits, len(half), dtype=np.uint64) ^ signs
    elif source.is_float and source.bits > 16:
        low, high = _binades(target)
        low, high = max(low - 2, 1 - source.bias), min(high + 2, source.bias)
        exponent = rng.integers(low, high, len(half), endpoint=True) + source.bias
        field = np.uint64(((1 << source.exponent_bits) - 1) << source.mantissa_bits)
        half = half & ~field | (exponent.astype(np.uint64) << np.uint64(source.mantissa_bits))
    return np.concatenate([half, codes[n // 2 :]])


def _binades(row: Format) -> tuple[int, int]:
    """Exponents of the smallest and the largest power of two of a format."""
    if not row.is_float:
        return -2, row.bits
    smallest = row.smallest_exact
    return -(smallest.denominator.bit_length() - 1), int(row.max_exact).bit_length() - 1


def pairs() -> list[tuple[Format, Format]]:
    """Every (source, target) that can be cast: all but complex to real."""
    rows = list(FORMATS.values())
    return [
        (source, target)
        for source in rows
        for target in rows
        if not source.is_complex or target.is_complex or target.kind == "bool"
    ]


def policies(source: Format, target: Format, seed: int = 0) -> list[ResolvedPolicy]:
    """Every overflow policy that fits the pair with every rounding; where both formats have
    infinities, with most roundings also one that does not keep them."""
    infinities = source.component.infinity and target.component.infinity
    found = []
    for overflow, rounding in product(OVERFLOWS, ROUNDINGS):
        with suppress(PolicyError):
            policy = Policy(overflow=overflow, rounding=rounding, nan="zero", seed=seed)
            found.append(policy.resolve(source, target))
            if infinities and rounding in _ENDING and overflow != "saturate":
                found.append(replace(policy, inf=_ENDING[rounding]).resolve(source, target))
    return found
