"""can_cast of formats: whether every value that the one has is held by the other."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.errors import CastError, FormatError, PolicyError
from tensorcast.formats import FORMATS, Format
from tensorcast.reference import Special, decode

SMALL = [row for row in FORMATS.values() if row.bits <= 8 and not row.is_complex]


@cache
def values_of(row: Format) -> frozenset[object]:
    """What its codes mean, with one zero and one NaN."""
    found: list[Fraction | Special] = [decode(code, row) for code in range(1 << row.bits)]
    return frozenset(
        value
        if isinstance(value, Fraction)
        else Fraction(0)
        if value.kind == "zero"
        else ("nan" if value.kind == "nan" else (value.kind, value.negative))
        for value in found
    )


@pytest.mark.parametrize("source", SMALL, ids=lambda row: row.name)
def test_every_value_is_looked_at(source: Format) -> None:
    wanted = values_of(source)
    for target in SMALL:
        has = wanted <= values_of(target)
        if target.kind == "bool" and source.kind != "bool":
            has = tc.can_cast(source, target)  # a rule of its own, see below
        assert tc.can_cast(source, target) is has, (source.name, target.name)


def test_as_numpy_answers_where_it_does() -> None:
    names = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]
    for one in (*names, "float16", "float32", "float64"):
        for other in (*names, "float16", "float32", "float64"):
            if "int64" in one and other == "float64":  # 2^53 + 1: NumPy calls that safe
                assert not tc.can_cast(one, other)
                continue
            if one == "bool" or other != "bool":
                assert tc.can_cast(one, other) is np.can_cast(one, other), (one, other)


def test_spellings_and_policies() -> None:
    assert tc.can_cast("float16", "float32")
    assert tc.can_cast(np.float16, np.dtype("f8"))
    assert tc.can_cast(np.dtype(">f2"), "float32")
    assert tc.can_cast(FORMATS["int8"], "bfloat16")
    assert not tc.can_cast("float32", "float16")
    assert not tc.can_cast("float32", "float16", exact=False)
    assert tc.can_cast("float32", "float16", exact=False, overflow="saturate")
    assert not tc.can_cast("float32", "int8", exact=False, overflow="saturate")
    assert tc.can_cast("float32", "int8", exact=False, overflow="saturate", nan="zero")
    assert not tc.can_cast("complex64", "float32")
    with pytest.raises(FormatError, match="bflot16"):
        tc.can_cast("bflot16", "float32")
    with pytest.raises(PolicyError):
        tc.can_cast("float32", "float16", overflow="wrap")
    with pytest.raises(CastError):
        tc.can_cast([1.0], "float16")
    torch = pytest.importorskip("torch")
    assert tc.can_cast(torch.float16, torch.float32)
