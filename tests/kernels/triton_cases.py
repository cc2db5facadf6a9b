"""The Triton kernel's tests, run by test_triton_ops.py: on the device where there is one, else in
Triton's interpreter, which has to be chosen before anything imports Triton."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from bits import expect_same_codes
from codes import interesting_codes, policies
from kernels.test_torch_ops import (
    ENDLESS,
    ROWS,
    codes_in,
    counted_in_part,
    expect_same_statistics,
    targets_of,
    tensor_of,
)
from oracle import cast_array, statistics

from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import triton_ops
from tensorcast.kernels.cpu import RawStats
from tensorcast.policy import Policy, ResolvedPolicy

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def run(
    codes: np.ndarray,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    report: bool,
    count: bool = True,
) -> tuple[np.ndarray, RawStats]:
    x = tensor_of(codes, source).to(DEVICE)
    out = torch.empty(x.shape, dtype=getattr(torch, target.spellings["torch"]), device=DEVICE)
    raw = triton_ops.cast_tensor(x, out, source, target, policy, report, count)
    return codes_in(out.cpu(), target), raw


def check(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy, parts: bool = True
) -> None:
    """The oracle's codes and statistics; with `parts`, also where fewer or none are counted."""
    what = f"{source} to {target}, {policy}"
    with np.errstate(all="ignore"):
        want = cast_array(codes, source, target, policy)
        counts = statistics(want, codes, source, target)
    found, raw = run(codes, source, target, policy, report=True)
    expect_same_codes(found, want.codes, target, source=source, source_codes=codes, what=what)
    expect_same_statistics(raw, counts, source, what)
    if not parts:
        return
    found, raw = run(codes, source, target, policy, report=False)
    expect_same_codes(found, want.codes, target, source=source, source_codes=codes, what=what)
    for name in counted_in_part(policy, source, target):
        assert getattr(raw, name) == counts[name], f"{what}: {name}"
    found, _ = run(codes, source, target, policy, report=False, count=False)
    expect_same_codes(found, want.codes, target, what=what)


def default(source: Format, target: Format) -> ResolvedPolicy:
    return Policy(nan="zero").resolve(source, target)


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_pair(source: Format) -> None:
    """Every code of the narrow floats to every float under the default policy; a sample of the
    rest, under one policy or another."""
    for i, target in enumerate(targets_of(source)):
        if not triton_ops.serves(source, target):
            continue
        codes = interesting_codes(source, target, n_random=200, seed=7)
        if source.is_float and source.bits <= 16 and target.is_float:
            check(codes, source, target, default(source, target), parts=True)
        found = policies(source, target, seed=0x1234_5678_9ABC_DEF0)
        policy = found[(7 * i + ROWS.index(source)) % len(found)]
        few = codes[i % 8 :: max(1, len(codes) // 2000)]
        check(few, source, target, policy, parts=i % 4 == 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_pair_and_policy(source: Format) -> None:
    for target in targets_of(source):
        if triton_ops.serves(source, target):
            codes = interesting_codes(source, target, n_random=20000, seed=8)
            for policy in policies(source, target, seed=0x1234_5678_9ABC_DEF0):
                check(codes, source, target, policy)


@pytest.mark.parametrize("source", ENDLESS, ids=str)
def test_how_a_range_ends(source: Format, exhaustive: bool) -> None:
    """IEEE 754's overflow in every direction, and infinities that are not kept."""
    for i, target in enumerate(targets_of(source)):
        if target.component.is_float and triton_ops.serves(source, target):
            codes = interesting_codes(source, target, n_random=50, seed=5)
            codes = codes[:: max(1, len(codes) // 1500)]
            found = [
                policy
                for policy in policies(source, target, seed=2)
                if policy.overflow == "ieee" or policy.inf != "keep"
            ]
            for policy in found if exhaustive else found[i % 4 :: 4]:
                check(codes, source, target, policy, parts=i % 3 == 0)


def test_strides() -> None:
    source, target = FORMATS["float32"], FORMATS["int8"]
    policy = Policy(overflow="raise", rounding="stochastic", seed=9).resolve(source, target)
    x = (torch.arange(60.0).view(3, 4, 5) * 7.3).permute(2, 0, 1)
    out = torch.zeros(4, 5, 3, dtype=torch.int8, device=DEVICE).permute(1, 2, 0)
    raw = triton_ops.cast_tensor(x.to(DEVICE), out, source, target, policy, report=True)
    codes = codes_in(x, source)
    want = cast_array(codes, source, target, policy)
    expect_same_codes(codes_in(out.cpu(), target), want.codes, target)
    expect_same_statistics(raw, statistics(want, codes, source, target), source, "strided")
    assert raw.largest_overflow == float(x.max())
    assert raw.largest_overflow_index == int(x.contiguous().view(-1).argmax())


def test_several_programs() -> None:
    """The index runs on from program to program; so do the statistics."""
    source, target = FORMATS["float32"], FORMATS["float8_e4m3fn"]
    policy = Policy(rounding="stochastic", seed=(1 << 64) - 1).resolve(source, target)
    codes = np.random.default_rng(0).normal(0, 99, 200_001).astype(np.float32).view(np.uint32)
    check(codes, source, target, policy)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_few_elements(shape: tuple[int, ...]) -> None:
    source, target = FORMATS["float64"], FORMATS["complex64"]
    x = torch.ones(shape, dtype=torch.float64, device=DEVICE)
    out = torch.full(shape, 1j, dtype=torch.complex64, device=DEVICE)
    raw = triton_ops.cast_tensor(x, out, source, target, default(source, target), report=True)
    assert (out == 1).all()
    assert (raw.n_finite, raw.first_overflow) == (x.numel(), None)


def test_measuring_writes_nothing() -> None:
    source, target = FORMATS["float32"], FORMATS["float16"]
    x = torch.tensor([1.0, 1e6, float("nan")], device=DEVICE)
    raw = triton_ops.cast_tensor(x, None, source, target, default(source, target), report=True)
    assert (raw.n_overflow, raw.n_nan, raw.first_overflow) == (1, 1, 1)
    assert x[:2].tolist() == [1.0, 1e6]


@pytest.mark.parametrize("value", [0.3, 1.5, -0.0, 300.0, float("nan"), float("-inf")])
def test_one_value(value: float) -> None:
    source = FORMATS["float32"]
    one = np.full(70, value, np.float32)
    other = one.copy()
    other[33] = 1.25
    for name in ("int8", "bool", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e8m0fnu"):
        for x in (one, other):
            target = FORMATS[name]
            policy = Policy("saturate", nan="zero").resolve(source, target)
            check(x.view(np.uint32), source, target, policy, parts=False)
