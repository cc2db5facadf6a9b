"""Every kernel set this CPU can run, every pair, every policy: the codes and statistics of the
vectorised oracle, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from bits import code_dtype, expect_same_codes
from codes import interesting_codes, policies
from oracle import FINITE, cast_array, parts_of, statistics

from tensorcast.buffer import Buffer, contiguous_strides
from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import cpu
from tensorcast.policy import Policy, ResolvedPolicy

ROWS = list(FORMATS.values())
SUB_BYTE = [row for row in ROWS if row.bits < 8]


def skipped_kernels() -> list[str]:
    return [name for name in cpu.built() if name not in cpu.available()]


def targets_of(source: Format) -> list[Format]:
    return [t for t in ROWS if not source.is_complex or t.is_complex or t.kind == "bool"]


def buffer_of(codes: np.ndarray, row: Format, *, writable: bool = False) -> Buffer:
    """A buffer over codes as `bits.as_codes` gives them (components side by side)."""
    n = len(codes)
    assert codes.flags.c_contiguous
    return Buffer(
        codes.ctypes.data, (n,), contiguous_strides((n,), row.container_bits // 8), row,
        owner=codes, writable=writable,
    )  # fmt: skip


def empty_codes(n: int, row: Format) -> np.ndarray:
    shape = (n, 2) if row.is_complex else (n,)
    return np.full(shape, 0xA5, code_dtype(row))


def run(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy, **options: object
) -> tuple[np.ndarray, cpu.RawStats]:
    out = empty_codes(len(codes), target)
    raw = cpu.cast_buffer(
        buffer_of(codes, source), buffer_of(out, target, writable=True), target, policy, **options
    )
    return out, raw


def expect_same_statistics(
    raw: cpu.RawStats, want: dict[str, object], source: Format, what: str
) -> None:
    for name in (
        "n_overflow",
        "n_nan_lost",
        "n_inexact",
        "n_underflow",
        "n_nan",
        "n_inf",
        "first_overflow",
    ):
        assert getattr(raw, name) == want[name], f"{what}: {name}"
    if want["min"] is None:
        assert raw.n_finite == 0, what
    elif source.is_integer and source.bits == 64:
        shift = 0 if source.signed else 1 << 63
        assert raw.min_integer + shift == int(want["min"]), what
        assert raw.max_integer + shift == int(want["max"]), what
    else:
        assert (raw.min, raw.max) == (float(want["min"]), float(want["max"])), what
    with np.errstate(all="ignore"):
        for name in ("max_abs_error", "sum_squared_error", "sum_squared"):
            found, expected = getattr(raw, name), float(want[name])
            assert found == pytest.approx(expected, rel=1e-11, abs=0), f"{what}: {name}"


def check(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy, label: str
) -> None:
    """Every kernel gives the oracle's codes and statistics, counted in part and in full."""
    with np.errstate(all="ignore"):
        want = cast_array(codes, source, target, policy)
        counts = statistics(want, codes, source, target)
    for kernel in cpu.available():
        what = f"{kernel}, {label}: {source} to {target}, {policy.overflow}, {policy.rounding}"
        for full in (False, True):
            out, raw = run(codes, source, target, policy, kernel=kernel, full=full)
            expect_same_codes(out, want.codes, target, source=source, source_codes=codes, what=what)
            for name in ("n_overflow", "n_nan_lost", "first_overflow"):
                assert getattr(raw, name) == counts[name], f"{what}: {name}"
        expect_same_statistics(raw, counts, source, what)


def ordinary(codes: np.ndarray, source: Format, target: Format) -> np.ndarray:
    """The codes of finite values in the target's range: what real tensors are made of, and what the
    kernels have loops of their own for."""
    policy = Policy(overflow="saturate", nan="zero").resolve(source, target)
    cast = cast_array(codes, source, target, policy)
    parts = parts_of(codes, source)
    usual = (parts.kind == FINITE) & ~cast.overflow.reshape(parts.kind.shape)
    return np.ascontiguousarray(codes[usual.all(axis=1) if usual.ndim == 2 else usual])


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_pair_and_policy(source: Format) -> None:
    for target in targets_of(source):
        codes = interesting_codes(source, target, n_random=2000, seed=7)
        for policy in policies(source, target, seed=0x1234_5678_9ABC_DEF0):
            check(codes, source, target, policy, "any code")


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_pair_on_ordinary_values(source: Format) -> None:
    for target in targets_of(source):
        codes = ordinary(interesting_codes(source, target, n_random=4000, seed=8), source, target)
        if len(codes):
            for policy in policies(source, target, seed=3):
                if policy.overflow in ("raise", "wrap"):
                    check(codes, source, target, policy, "ordinary")


def test_kernels_that_this_cpu_cannot_run() -> None:
    if skipped_kernels():
        pytest.skip(f"kernels this CPU cannot run: {', '.join(skipped_kernels())}")
