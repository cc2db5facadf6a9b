"""Verdicts on made-up numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from capability.made_up import capability, cast, measured

from tensorcast.capability.data import Machine, Ratio
from tensorcast.capability.verdicts import FormatComparison, factor, operation_verdict


def test_the_verdict_people_ask_for() -> None:
    times = {
        "float32": {"M=1": 1.0, "M=64": 4.0, "M=1024": 40.0},
        "bfloat16": {"M=1": 2.0, "M=64": 1.0, "M=1024": 10.0},
        "float16": {"M=1": 4.0, "M=64": 16.0, "M=1024": 160.0},
    }
    found = capability(
        *(measured(f, s, case=case) for f, of in times.items() for case, s in of.items())
    )
    assert found.verdicts[0] == (
        "bfloat16 matmul is 4 times faster than float32 on this CPU from M=64, 2 times slower at "
        "M=1; float16 4 times slower; use bfloat16, float32 at M=1"
    )


def test_nothing_is_said_within_the_noise() -> None:
    noisy = [measured("float32", 1.0, noise=0.5), measured("bfloat16", 0.6, noise=0.5)]
    assert operation_verdict(noisy, "CPU") == (
        "matmul: no format differs from float32 by more than the noise; use float32"
    )
    both = [*noisy, measured("float16", 9.0, noise=0.5)]
    assert operation_verdict(both, "CPU") == (
        "float16 matmul is 9 times slower than float32 on this CPU; bfloat16 within the noise; "
        "use float32"
    )


def test_small_differences_are_not_worth_a_word() -> None:
    alike = [measured("float32", 1.0, noise=0.001), measured("bfloat16", 0.95, noise=0.001)]
    assert operation_verdict(alike, "GPU") == (
        "bfloat16 matmul is as fast as float32 on this GPU; use float32"
    )


def test_of_equals_the_one_with_range_is_advised() -> None:
    equal = [measured("float32", 4.0), measured("float16", 0.98), measured("bfloat16", 1.0)]
    assert operation_verdict(equal, "CPU").endswith("; use bfloat16")


def test_int8_is_told_with_its_way_and_not_advised() -> None:
    found = operation_verdict(
        [measured("float32", 4.0), measured("int8", 1.0, way="_int_mm")], "CPU"
    )
    assert found == (
        "int8 (_int_mm) matmul is 4 times faster than float32 on this CPU; use float32, or int8 "
        "(_int_mm), 4 times faster, where an error of 0.1% will do"
    )


def test_without_float32_there_is_no_verdict() -> None:
    assert capability(measured("bfloat16", 1.0), casts=()).verdicts == ()


def test_casts_beside_each_library() -> None:
    casts = (
        cast("tensorcast", 1.0),
        cast("torch", 2.0),
        cast("numpy", 0.5),
        cast("jax", 1.0, n_different=1, difference="1 -> 2"),
    )
    assert capability(casts=casts).verdicts == (
        "casts of tensorcast beside torch's: 2 times faster in 1 of 1 (float32 -> float16)",
        "casts of tensorcast beside NumPy's: 2 times slower in 1 of 1 (float32 -> float16)",
        "casts of tensorcast beside JAX's: as fast in 1; other results in float32 -> float16",
    )


@pytest.mark.parametrize(
    ("value", "text"), [(1.04, "1"), (1.06, "1.1"), (9.96, "10"), (99.6, "100"), (1234, "1200")]
)
def test_factors(value: float, text: str) -> None:
    assert factor(value) == text


def test_the_summary_says_what_to_use_for_what() -> None:
    found = capability(
        measured("float32", 1.0),
        measured("bfloat16", 0.5),
        *(measured("float32", 1.0, operation=name) for name in ("conv2d", "attention")),
        casts=(),
    )
    assert found.verdicts[0] == (
        "on this CPU use bfloat16 for matmul, float32 for conv2d and attention"
    )
    assert (
        capability(measured("float32", 1.0), measured("float32", 1.0, operation="linear")).verdicts[
            0
        ]
        == "on this CPU use float32"
    )


def test_ratios_of_common_rounds_come_before_spreads() -> None:
    noisy = measured("bfloat16", 0.5, noise=0.9)
    paired = replace(noisy, beside_float32=Ratio(2.0, 1.9, 2.1))
    base = measured("float32", 1.0, noise=0.9)
    assert operation_verdict([base, noisy], "CPU").startswith("matmul: no format differs")
    assert operation_verdict([base, paired], "CPU").startswith("bfloat16 matmul is 2 times faster")
    found = capability(base, paired)
    assert found.speedup("matmul", "bfloat16") == Ratio(2.0, 1.9, 2.1)


def test_a_busy_machine_is_told() -> None:
    assert not capability(n_cpus_others=0.1).was_busy
    assert not capability(n_cpus_others=None).was_busy
    assert not capability(n_cpus_others=9.0, machine=Machine("cuda", "a GPU")).was_busy
    busy = capability(n_cpus_others=1.25)
    said = "No verdict: other programs used 1.2 CPUs during the measurement"
    assert said in " ".join(str(busy).split())
    assert said in busy._repr_html_()
    base, fast = measured("float32", 1.0), measured("bfloat16", 0.5)
    assert capability(base, fast).verdicts
    assert capability(base, fast, n_cpus_others=1.25).verdicts == ()


def test_an_error_as_large_as_the_result_is_a_plain_percentage() -> None:
    lost = replace(measured("int8", 1.0), relative_error=0.9999)
    found = capability(measured("float32", 1.0), lost)
    assert "100%" in str(found)
    assert "e+02" not in str(found)


@pytest.mark.parametrize(
    ("ratio", "state"),
    [
        (Ratio(2.0, 1.9, 2.1), "faster"),
        (Ratio(2.0, 0.9, 9.0), "unclear"),
        (Ratio(0.5, 0.4, 0.6), "slower"),
        (Ratio(0.5, 0.1, 1.1), "unclear"),
        (Ratio(1.05, 1.04, 1.06), "alike"),
        (Ratio(1.0, 0.7, 1.5), "unclear"),
    ],
)
def test_what_may_be_said_of_a_ratio(ratio: Ratio, state: str) -> None:
    assert FormatComparison("", ratio).state == state


def test_casts_are_compared_by_common_rounds_too() -> None:
    theirs = cast("torch", 1.0, beside_ours=Ratio(0.25, 0.2, 0.3))
    assert capability(casts=(cast("tensorcast", 1.0), theirs)).verdicts == (
        "casts of tensorcast beside torch's: 4 times faster in 1 of 1 (float32 -> float16)",
    )
