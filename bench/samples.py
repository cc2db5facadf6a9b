"""Values such as a cast meets, as codes of any format, and the codes the oracle makes of them."""

from __future__ import annotations

import sys
from functools import lru_cache

import numpy as np

from .machine import ROOT

sys.path.insert(0, str(ROOT / "tests"))  # the oracle of the tests

from oracle import cast_array

from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy, ResolvedPolicy

N_SAMPLE = 1 << 18
"""Elements of a sample. Arrays repeat it, so that the whole of an output can be verified."""


def sample(source: Format, target: Format) -> np.ndarray:
    """Codes of the source, uint of its container, N_SAMPLE of them ([N_SAMPLE, 2] if complex).

    To and from floats: normally distributed as weights are, scaled into the range of both
    formats, so that nothing overflows. From integers and bool: uniform over what both hold.
    """
    limit = min(source.max_exact, target.component.max_exact)
    if target.kind == "bool":
        limit = source.component.max_exact
    positive = source.min_exact >= 0 or target.component.min_exact >= 0
    powers = "float8_e8m0fnu" in (source.name, target.component.name)
    widest = 1000.0 if target.is_integer else 1.0
    return _sample(source.name, float(limit), widest, positive, powers)


@lru_cache(maxsize=16)
def _sample(source: str, limit: float, widest: float, positive: bool, powers: bool) -> np.ndarray:
    row = FORMATS[source]
    n = N_SAMPLE * (2 if row.is_complex else 1)
    rng = np.random.default_rng([n, row.bits])
    if powers:
        top = min(int(np.log2(limit)), 6)
        low = 0 if row.is_integer else max(-6, round(np.log2(float(row.component.smallest_exact))))
        values = np.exp2(rng.integers(low, top, n, endpoint=True))
    elif row.is_float or row.is_complex:
        values = rng.standard_normal(n) * min(limit / 6, widest)
        values = np.clip(np.abs(values) if positive else values, -limit, limit)
    else:
        top = min(limit, 2.0**53)
        values = rng.integers(0 if positive else -int(top), int(top), n, endpoint=True)
    values = np.asarray(values, np.float64)
    pairs = values.view(np.complex128) if row.is_complex else values
    name = "complex128" if row.is_complex else "float64"
    if name == source:
        return np.ascontiguousarray(values.view(np.uint64).reshape(len(pairs), -1).squeeze())
    policy = Policy(overflow="saturate", nan="zero").resolve(name, row)
    return cast_array(pairs, FORMATS[name], row, policy).codes


def expected(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy
) -> np.ndarray:
    """What casting the codes gives, by the oracle."""
    return cast_array(codes, source, target, policy).codes


def as_bytes(codes: np.ndarray, row: Format) -> np.ndarray:
    """Codes as they lie in memory: uint8, sub-byte formats packed from the lowest bits up."""
    if row.bits >= 8:
        return np.ascontiguousarray(codes).reshape(-1).view(np.uint8)
    bits = codes.reshape(-1, 1) >> np.arange(row.bits, dtype=codes.dtype) & 1
    return np.packbits(bits.astype(np.uint8).reshape(-1), bitorder="little")
