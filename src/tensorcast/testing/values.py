"""Values at which casts go wrong."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from .. import reference
from ..bridges import Kind
from ..errors import CastError
from ..formats import Format, lookup
from ..policy import Policy
from .codes import as_array


def all_codes(format: Format | str, *, kind: Kind = "numpy") -> Any:
    """Every code of a format of at most 16 bits once, in the order of the codes.

    Args:
        kind: "numpy" or "torch": of the result, whose dtype is the format's own.

    Raises:
        CastError: the format is wider.

    Example:
        >>> all_codes("float4_e2m1fn")[:8].tolist()
        [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    """
    import numpy as np

    row = lookup(format)
    if row.bits > 16:
        raise CastError(f"{row.name} has 2^{row.bits} codes; take edge_values and midpoints")
    n = 2 if row.kind == "bool" else 1 << row.bits
    return as_array(np.arange(n), row, kind=kind)


def edge_values(format: Format | str, *, kind: Kind = "numpy") -> Any:
    """The values of a real format at which something changes.

    Of a float: zeros, the ends of the subnormal and of the finite range, one and its neighbours,
    each power of two and its neighbours, infinities, NaNs of both signs with high and low
    payloads. Of an integer: 0, 1, each power of two and its neighbours, both ends. Signed where
    the format is.

    Example:
        >>> edge_values("int8")[-5:].tolist()
        [63, 64, 65, 126, 127]
    """
    import numpy as np

    row = lookup(format)
    if row.is_complex:
        raise CastError(f"{row.name} is complex; take the edges of {row.component.name}")
    return as_array(np.array(edge_codes(row), np.uint64), row, kind=kind)


@lru_cache(maxsize=64)
def edge_codes(row: Format) -> tuple[int, ...]:
    if row.kind == "bool":
        return (0, 1)
    if row.is_integer:
        near = [(1 << bit) + step for bit in range(row.bits) for step in (-1, 0, 1)]
        values = {sign * value for value in (*near, 0) for sign in (-1, 1)}
        values |= {int(row.min), int(row.min) + 1, int(row.max) - 1, int(row.max)}
        inside = sorted(value for value in values if row.min <= value <= row.max)
        return tuple(value & ((1 << row.bits) - 1) for value in inside)
    m = row.mantissa_bits
    powers = [exponent << m for exponent in range(1 << row.exponent_bits)]
    magnitudes = {code + step for code in powers for step in (-1, 0, 1)}
    magnitudes |= {0, 1, row.max_code - 1, row.max_code, (1 << (row.exponent_bits + m)) - 1}
    if row.infinity_code is not None:  # NaNs: each payload bit, and all of them
        magnitudes |= {row.infinity_code + (1 << bit) for bit in range(m)}
        magnitudes |= {row.infinity_code}
    return _both_signs(magnitudes, row)


def _both_signs(magnitudes: Iterable[int], row: Format) -> tuple[int, ...]:
    """Codes of these magnitudes, those that the format does not have left out."""
    top = (1 << (row.exponent_bits + row.mantissa_bits)) - 1
    inside = sorted(code for code in set(magnitudes) if 0 <= code <= top)
    sign = top + 1
    return tuple(inside) + (tuple(code | sign for code in inside) if row.signed else ())


def midpoints(
    source: Format | str, target: Format | str, *, n: int | None = 1000, kind: Kind = "numpy"
) -> Any:
    """Values of the source at which rounding to the target changes its mind.

    The values of the target, the midpoints between neighbours, and the first that overflow; each
    with the source's next value on both sides (the first three are one where the source is no
    wider than the target).

    Args:
        n: values of the target to look at, at most: those at the ends of binades, then a seeded
            sample. None: all, for a target of at most 16 bits.

    Example:
        >>> import numpy as np
        >>> np.sort(midpoints("float16", "uint2"))[-6:]
        array([3.498, 3.5  , 3.502, 3.998, 4.   , 4.004], dtype=float16)
    """
    import numpy as np

    rows = lookup(source), lookup(target)
    for row in rows:
        if row.is_complex:
            raise CastError(f"{row.name} is complex; take the midpoints of {row.component.name}")
    return as_array(np.array(midpoint_codes(*rows, n), np.uint64), rows[0], kind=kind)


@lru_cache(maxsize=64)
def midpoint_codes(source: Format, target: Format, n: int | None) -> tuple[int, ...]:
    down = Policy(overflow="saturate", rounding="toward-zero", nan="zero").resolve(
        "float64", source
    )
    values: set[Fraction] = {Fraction(0), Fraction(1, 2), Fraction(3, 2)}
    for low, high in _neighbours(target, n):
        values |= {low, high, (low + high) / 2}
    magnitudes: set[int] = set()
    for value in values:
        outcome = reference.encode(value, source, down)
        if not outcome.overflow:
            magnitudes |= {outcome.code - 1, outcome.code, outcome.code + 1}
    if source.kind == "bool":
        return (0, 1)
    if source.is_float:
        return _both_signs(magnitudes, source)
    top, mask = int(source.max), (1 << source.bits) - 1
    inside = sorted(value for value in magnitudes if 0 <= value <= top)
    return tuple(inside) + (tuple(-value & mask for value in inside) if source.signed else ())


def _neighbours(row: Format, n: int | None) -> list[tuple[Fraction, Fraction]]:
    """Magnitudes of a format and the next larger each; one that would follow the largest too."""
    top = row.max_code
    if row.bits <= 8 or (n is None and row.bits <= 16):
        codes = list(range(top + 1))
    else:
        bits = row.exponent_bits if row.is_float else row.bits
        steps = [1 << bit for bit in range(bits)]
        if row.is_float:
            steps = [exponent << row.mantissa_bits for exponent in range(1 << bits)]
        near = {step + i for step in (0, *steps, top) for i in (-2, -1, 0, 1)}
        draw = random.Random(row.name)
        near |= {draw.randrange(top + 1) for _ in range(max(0, (n or 1000) - len(near)))}
        codes = sorted(code for code in near if 0 <= code <= top)
    gap = row.max_exact - (_finite(top - 1, row) if top else Fraction(0))
    return [
        (value, _finite(code + 1, row) if code < top else value + gap)
        for code in codes
        for value in (_finite(code, row),)
    ]


def _finite(code: int, row: Format) -> Fraction:
    value = reference.decode(code, row)
    assert isinstance(value, Fraction)
    return value
