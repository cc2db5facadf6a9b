"""Losses of many tensors added up, the verdict, and the sentence."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.core.loss import Loss
from tensorcast.core.totals import total

CLEAN = Loss(
    "float32",
    "float16",
    n_elements=1000,
    n_overflow=0,
    n_nan_lost=0,
    n_inexact=0,
    n_underflow=0,
    n_nan=0,
    n_inf=0,
    min=-1.0,
    max=2.0,
    amax=2.0,
    max_abs_error=0.0,
    sum_squared_error=0.0,
    sum_squared=1000.0,
)


def at(decibels: float, **changes: object) -> Loss:
    """A loss with this SQNR."""
    lossy = replace(
        CLEAN,
        n_inexact=500,
        sum_squared_error=1000.0 / 10 ** (decibels / 10),
        max_abs_error=0.1,
    )
    return replace(lossy, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([CLEAN], "exact"),
        ([at(60)], "fits"),
        ([at(35.1)], "fits"),
        ([at(34.9)], "coarse"),
        ([at(15.1)], "coarse"),
        ([at(14.9)], "loses"),
        ([at(60, n_underflow=10)], "fits"),
        ([at(60, n_underflow=11)], "loses"),
        ([at(60, n_overflow=1)], "overflows"),
        ([replace(CLEAN, n_nan_lost=1)], "overflows"),
        ([CLEAN, at(60)], "fits"),
    ],
)
def test_the_verdict(losses: list[Loss], verdict: str) -> None:
    found = total("float16", {f"t{i}": loss for i, loss in enumerate(losses)})
    assert found.verdict == verdict
    assert found.sentence().startswith(f"{verdict}: ")


def test_sums_and_the_worst() -> None:
    found = total(
        "float16",
        {
            "a": at(60, n_underflow=3),
            "b": CLEAN,
            "c": at(20, n_overflow=2, amax=7e4),
            "d": at(40, n_overflow=1, amax=9e4, max_abs_error=0.5),
        },
    )
    assert (found.n_tensors, found.n_elements) == (4, 4000)
    assert (found.n_overflow, found.n_underflow, found.n_inexact) == (3, 3, 1500)
    assert (found.worst, found.worst_db) == ("c", pytest.approx(20))
    assert found.overflowing == ("d", "c")
    assert found.amax == 9e4
    assert found.max_abs_error == 0.5
    error = 1000 / 10**6 + 1000 / 10**2 + 1000 / 10**4
    assert found.sqnr_db is not None
    assert 10 ** (found.sqnr_db / 10) == pytest.approx(4000 / error)
    assert found.sentence() == (
        "overflows: 3 values in 2 tensors outside -65504 to 65504 (largest 90000), "
        "error 5% of the signal, 3 values (0.07%) become 0, worst c at 20.0 dB"
    )
    assert "worst" not in found.sentence(name_worst=False)


def test_what_was_not_counted_is_not_known() -> None:
    bare = Loss("float32", "float16", 1000, 0, 0)
    found = total("float16", {"a": CLEAN, "b": bare})
    assert found.sqnr_db is None
    assert found.n_inexact is None
    assert found.worst is None
    assert found.verdict == "fits"


def test_nothing_at_all() -> None:
    found = total("float16", {})
    assert (found.n_elements, found.sqnr_db, found.verdict) == (0, inf, "exact")


def test_values_that_all_vanish() -> None:
    gone = replace(
        CLEAN, n_inexact=1000, n_underflow=1000, sum_squared_error=1e-12, sum_squared=1e-12
    )
    assert "1,000 values (100%) become 0" in total("float16", {"w": gone}).sentence()


def test_names_are_safe() -> None:
    assert "\x1b" not in total("float16", {"\x1b[2J": at(50)}).sentence()


def test_a_tensor_that_collapses_decides() -> None:
    gone = at(3.0, target="int8", n_underflow=600, n_zero=0, n_to_zero=600)
    fine = at(40.0, target="int8", n_underflow=12, n_zero=100, n_to_zero=12)
    one = at(3.0, target="int8", n_zero=0, n_to_zero=0, one_result=1)
    assert (fine.collapses, gone.collapses, one.collapses) == (False, True, True)
    summed = total("int8", {"a": fine, "b": gone})
    assert (summed.verdict, summed.collapsing) == ("collapses", ("b",))
    assert (summed.n_non_zero, summed.n_to_zero) == (1900, 612)
    assert summed.sentence(name_worst=False).startswith(
        "collapses: 1 of 2 tensors becomes mostly 0 or one value, 612 values (32.21% of those that "
        "are not 0) become 0"
    )
    assert (
        total("int8", {"a": one})
        .sentence()
        .startswith("collapses: 1 of 1 tensor becomes one value")
    )
    assert total("int8", {"a": fine}).verdict == "fits"


def test_one_percent_of_zeros_counts_in_float_formats_only() -> None:
    """Steps that are equal say all by the error."""
    for target, word in (("float16", "loses"), ("int8", "fits")):
        assert total(target, {"a": at(41.0, target=target, n_underflow=12)}).verdict == word


def test_infinities_and_nothing_but_zeros_in_a_total() -> None:
    made = tc.measure(np.array([1e6, 1.0]), "float16", overflow="ieee")
    gone = tc.measure(np.array([1e-200, 1e-210]), "float32")
    fine = tc.measure(np.array([1.0, 0.1]), "float16")
    assert total("float16", {"a": fine, "b": made}).sqnr_db == -inf
    assert total("float16", {"a": fine, "b": made}).worst == "b"
    assert "an infinite error" in total("float16", {"a": fine, "b": made}).sentence()
    assert total("float32", {"a": gone}).sqnr_db == 0.0
