"""The policy: what each value means for a pair, what is refused and how it is said."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from codes import pairs

from tensorcast.errors import CastError, FormatError, PolicyError, TensorcastError
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import INFS, NANS, OVERFLOWS, ROUNDINGS, Policy, ResolvedPolicy

ROWS = list(FORMATS.values())


def test_the_names_are_the_contract_s() -> None:
    assert OVERFLOWS == ("raise", "saturate", "wrap", "ieee")
    assert ROUNDINGS == ("nearest-even", "toward-zero", "down", "up", "stochastic")
    assert NANS == ("raise", "zero")
    assert INFS == ("keep", "saturate", "raise")


@pytest.mark.parametrize("target", ROWS, ids=str)
def test_defaults(target: Format) -> None:
    rounding = "toward-zero" if target.is_integer else "nearest-even"
    expected = ResolvedPolicy("raise", rounding, "raise", False, 0)
    assert Policy().resolve("float32", target) == expected
    assert Policy().resolve(FORMATS["float32"], target.name.upper()) == expected


def test_what_is_given_is_kept() -> None:
    policy = Policy(
        overflow="saturate", rounding="up", nan="zero", inf="raise", exact=True, seed=(1 << 64) - 1
    ).resolve("float64", "int4")
    assert policy == ResolvedPolicy("saturate", "up", "zero", True, (1 << 64) - 1, "raise")


@pytest.mark.parametrize("target", ROWS, ids=str)
@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_which_overflow_fits_which_target(overflow: str, target: Format) -> None:
    real = target.component
    fits = {
        "raise": True,
        "saturate": True,
        "wrap": target.kind in ("int", "uint"),
        "ieee": real.kind == "float" and (real.infinity or real.nan != "none"),
    }[overflow]
    policy = Policy(overflow=overflow)
    if fits:
        assert policy.resolve("float32", target).overflow == overflow
        return
    with pytest.raises(PolicyError, match=f'^overflow="{overflow}" .*{target.name}.*; use "') as e:
        policy.resolve("float32", target)
    # every way out that the message names must be one
    ways = [way for way in OVERFLOWS if f'"{way}"' in str(e.value).split("; use ")[1]]
    assert ways
    for way in ways:
        Policy(overflow=way).resolve("float32", target)
    assert isinstance(e.value, ValueError)
    assert isinstance(e.value, TensorcastError)


@pytest.mark.parametrize(
    ("overflow", "target", "message"),
    [
        (
            "wrap",
            "float16",
            (
                'overflow="wrap" is modulo 2^bits and needs an integer target, not float16; '
                'use "saturate", "ieee" or "raise"'
            ),
        ),
        (
            "wrap",
            "float4_e2m1fn",
            (
                'overflow="wrap" is modulo 2^bits and needs an integer target, not float4_e2m1fn; '
                'use "saturate" or "raise"'
            ),
        ),
        (
            "ieee",
            "float4_e2m1fn",
            (
                'overflow="ieee" gives infinity or NaN, but float4_e2m1fn has neither infinity nor '
                'NaN; use "saturate" or "raise"'
            ),
        ),
        (
            "ieee",
            "int8",
            (
                'overflow="ieee" gives infinity or NaN, but int8 is not a floating format; '
                'use "saturate" or "wrap" or "raise"'
            ),
        ),
        (
            "ieee",
            "bool",
            (
                'overflow="ieee" gives infinity or NaN, but bool is not a floating format; '
                'use "saturate" or "raise"'
            ),
        ),
    ],
)
def test_messages(overflow: str, target: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy(overflow=overflow).resolve("float32", target)
    assert str(caught.value) == message


def test_complex_to_real_is_refused_with_the_way_out() -> None:
    allowed = set(pairs())
    for source in ROWS:
        for target in ROWS:
            if (source, target) in allowed:
                Policy().resolve(source, target)
                continue
            message = f"{source.name} to {target.name} would drop the imaginary part; take .real"
            with pytest.raises(CastError, match=message):
                Policy().resolve(source, target)
    Policy().resolve("complex64", "bool")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overflow": "staurate"}, "overflow='staurate' is not one of raise, .*mean 'saturate'"),
        ({"overflow": None}, "overflow=None is not one of raise, saturate, wrap, ieee$"),
        ({"rounding": "nearest"}, "rounding='nearest' is not one .*; did you mean 'nearest-even'"),
        ({"rounding": 3}, "rounding=3 is not one of nearest-even, toward-zero, down, up, stoch"),
        ({"nan": "saturate"}, "nan='saturate' is not one of raise, zero"),
        ({"exact": 1}, "exact=1 is not True or False"),
        ({"exact": "yes"}, "exact='yes' is not True or False"),
        ({"seed": -1}, "seed=-1 is not an integer from 0 to 2.64 - 1"),
        ({"seed": 1 << 64}, "seed=18446744073709551616 is not an integer"),
        ({"seed": 1.0}, "seed=1.0 is not an integer"),
    ],
)
def test_misspelt_values_are_refused_at_once(arguments: dict, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        Policy(**arguments)


def test_unknown_formats() -> None:
    with pytest.raises(FormatError, match="'flaot32'; nearest: float32"):
        Policy().resolve("flaot32", "int8")


def test_policies_are_frozen_values() -> None:
    assert Policy() == Policy(overflow="raise", rounding=None, nan="raise", exact=False, seed=0)
    assert hash(Policy()) == hash(Policy())
    with pytest.raises(FrozenInstanceError):
        Policy().overflow = "wrap"
    with pytest.raises(FrozenInstanceError):
        Policy().resolve("int8", "int8").rounding = "up"
