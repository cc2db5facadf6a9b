"""A cast that leaves next to nothing of a tensor: every kernel counts it; one tensor is cast."""

from __future__ import annotations

import numpy as np
import pytest
from codes import interesting_codes, policies
from kernels.test_kernels import buffer_of, targets_of
from oracle import cast_array, expect_same_collapse, statistics

import tensorcast as tc
from tensorcast.core.block import cast_chunk
from tensorcast.formats import FORMATS, Format
from tensorcast.judgement import can_collapse
from tensorcast.kernels import cpu
from tensorcast.policy import Policy

ROWS = list(FORMATS.values())
BLOCK, SEGMENT = 2048, 32768
float32 = FORMATS["float32"]


def tensors(source: Format, target: Format) -> list[np.ndarray]:
    """Codes of tensors that are one value, but for one element, the first or last of a block."""
    codes = interesting_codes(source, target, n_random=64, seed=11)
    found = []
    for i in range(0, len(codes), max(1, len(codes) // 5)):
        one = np.repeat(codes[i : i + 1], BLOCK + 3, axis=0)
        found.append(one)
        for place in (0, BLOCK - 1, BLOCK, len(one) - 1):
            other = one.copy()
            other[place] = codes[(i + 7) % len(codes)]
            found.append(other)
    return [*found, codes[:1]]


@pytest.mark.parametrize("target", [row for row in ROWS if row.bits <= 8], ids=str)
def test_one_value_in_every_kernel(target: Format) -> None:
    for source in ROWS:
        if target not in targets_of(source):
            continue
        policy = Policy("saturate", nan="zero").resolve(source, target)
        for codes in tensors(source, target):
            with np.errstate(all="ignore"):
                want = statistics(cast_array(codes, source, target, policy), codes, source, target)
            for kernel in cpu.available():
                for counted in ({"full": True}, {"collapses": True}):
                    raw = cpu.cast_buffer(
                        buffer_of(codes, source), None, target, policy, kernel=kernel, **counted
                    )
                    expect_same_collapse(raw, want, f"{source} to {target}, {kernel}, {counted}")


def small(n: int) -> np.ndarray:
    """Values of which every narrow format makes some 0; both zeros, subnormals, NaN."""
    rng = np.random.default_rng(5)
    x = (rng.standard_normal(n) * 10.0 ** rng.integers(-44, 3, n)).astype(np.float32)
    x[::7], x[3::11], x[5::101] = 0.0, -0.0, np.nan
    return x


@pytest.mark.parametrize("rounding", ["nearest-even", "toward-zero", "up", "stochastic"])
@pytest.mark.parametrize("to", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2fnuz", "int8",
                                "uint8", "int32", "int64", "float4_e2m1fn", "bool"])  # fmt: skip
def test_counts_of_large_tensors(to: str, rounding: str) -> None:
    target = FORMATS[to]
    policy = Policy("saturate", rounding, "zero", seed=3).resolve(float32, target)
    x = small(3 * SEGMENT + 17)
    codes = x.view(np.uint32)
    with np.errstate(all="ignore"):
        want = statistics(cast_array(codes, float32, target, policy), codes, float32, target)
    out = np.empty(len(x), f"u{target.container_bits // 8}")
    for kernel in cpu.available():
        for counted in ({"full": True}, {"collapses": True}):
            for written in (None, buffer_of(out, target, writable=True)):
                raw = cpu.cast_buffer(
                    buffer_of(codes, float32), written, target, policy, kernel=kernel, **counted
                )
                expect_same_collapse(raw, want, f"{to}, {kernel}, {counted}")


def test_a_large_output_around_the_caches() -> None:
    """What is stored around the caches is counted all the same."""
    x = np.tile(small(1 << 16), (1 << 24) // (1 << 16) + 1)
    numbers, zeros = ~np.isnan(x), x == 0
    for to in ("float16", "int8", "float8_e4m3fn"):
        result, report = tc.cast(x, to, overflow="saturate", nan="zero", report=True)
        gone = (np.asarray(tc.cast(result, "float32")) == 0) & ~zeros & numbers
        assert (report.n_zero, report.n_to_zero) == (zeros.sum(), gone.sum())


@pytest.mark.parametrize("to", ["int8", "float16", "bool", "float8_e4m3fn", "float4_e2m1fn"])
def test_chunks_add_up(to: str) -> None:
    target = FORMATS[to]
    policy = Policy("saturate", nan="zero").resolve(float32, target)
    for x in (small(5000), np.full(5000, 1e-9, np.float32), np.full(5000, 0.75, np.float32),
              np.repeat(np.float32([1.0, 1.001]), 2500), small(0)):  # fmt: skip
        whole = cpu.cast_buffer(buffer_of(x.view(np.uint32), float32), None, target, policy, True)
        for step in (1250, 1024, 4096):
            loss = None
            for i in range(0, max(1, len(x)), step):
                part = x[i : i + step]
                one = cast_chunk(part, None, float32, target, policy, n_elements=len(part),
                                 first_index=i, report=True)  # fmt: skip
                loss = one if loss is None else loss.merge(one)
            assert loss is not None
            expect_same_collapse(loss, whole._asdict(), f"{to} by {step}")


def test_what_the_formats_exclude_is_not_there() -> None:
    """Where `can_collapse` says no, nothing that is not 0 becomes 0, or one value of few bits."""
    for source in ROWS:
        for target in targets_of(source):
            codes = interesting_codes(source, target, n_random=20, seed=2)[::5]
            for policy in policies(source, target, seed=1)[::7]:
                if can_collapse(source, target, policy):
                    continue
                with np.errstate(all="ignore"):
                    want = cast_array(codes, source, target, policy)
                    counts = statistics(want, codes, source, target)
                refused = policy.overflow == "raise" and counts["n_overflow"]
                assert refused or not counts["n_to_zero"], (source, target, policy)
                assert source == target or target.bits > 8, (source, target, policy)


COLLAPSES = [
    ([0.01, 0.02, 0.03, 7.0], "int8", "3 of 4 non-zero values become 0"),
    ([0.01, 0.02, 3.0, 7.0], "int8", ""),  # one half
    ([0.0, -0.0, 0.0, 0.3], "int8", "1 of 1 non-zero value becomes 0"),
    ([0.0, -0.0, 0.0, 0.0], "int8", ""),
    ([0.3], "int8", "1 of 1 non-zero value becomes 0"),
    ([1.25, 1.5, 1.75], "int8", "all 3 values, which differ, become 1"),
    ([1.5, 1.5, 1.5], "int8", ""),
    ([0.5, 0.25, -3.0], "bool", "all 3 values, which differ, become True"),
    ([0.5, 0.25, 0.0], "bool", ""),
    ([2.0], "bool", ""),
    ([200.0, 300.0], "int8", "all 2 values, which differ, become 127"),
    ([1.0, 1.001], "float8_e4m3fn", "all 2 values, which differ, become 1"),
    ([1.0, 1.001], "float16", ""),
    ([1.0, 1.0000001], "bfloat16", ""),  # one value, but not of few bits
    ([1e-9, 2e-9, 1.0], "float16", "2 of 3 non-zero values become 0"),
    ([1e-44, 1e-45, 1.0], "bfloat16", "2 of 3 non-zero values become 0"),
    ([float("nan"), float("nan"), 1.0], "int8", ""),  # nan="zero" was asked for
    ([float("nan"), 0.1, 0.2, 1.0], "int8", "2 of 3 non-zero values become 0"),
    ([-5.0, -6.0, 7.0], "uint8", "2 of 3 non-zero values become 0"),
    ([0.01, 0.02], "float4_e2m1fn", "2 of 2 non-zero values become 0"),
]


@pytest.mark.parametrize(("values", "to", "text"), COLLAPSES)
def test_one_tensor_is_cast_as_told_and_counted(values: list[float], to: str, text: str) -> None:
    x = np.array(values, np.float32)
    _, loss = tc.cast(x, to, overflow="saturate", nan="zero", report=True)
    assert loss.collapses is bool(text)
    if text:
        assert loss.collapse_text() == text
        assert text in str(loss)
    assert loss.to_dict()["collapses"] is loss.collapses
    assert tc.measure(x, to, overflow="saturate", nan="zero") == loss


def test_integers() -> None:
    ids = np.array([256, 512, 3])
    assert tc.cast(ids, "uint8", overflow="wrap", report=True)[1].n_to_zero == 2
    assert tc.measure(ids, "uint8", overflow="wrap").collapses
    assert not tc.measure(np.array([0, 1, 1], np.int8), "bool").collapses
    assert tc.measure(np.array([2, 1, 1], np.int8), "bool").collapses
    assert not tc.measure(np.array([1, 1], np.int8), "bool").collapses
    assert tc.measure(np.array([1 + 1j, 2]), "bool").collapses
    assert not tc.measure(np.array([1 + 1j, 1 + 1j]), "bool").collapses
    assert not tc.measure(np.array([1 + 1j, 0]), "bool").collapses
    assert tc.measure(np.arange(5, dtype=np.int32), "int64").collapses is False
