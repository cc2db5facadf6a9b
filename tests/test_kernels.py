"""Every kernel set this CPU can run, every pair, every policy: the codes and statistics of the
vectorised oracle, bit for bit."""

from __future__ import annotations

import ctypes
import multiprocessing
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import xxhash
from bits import code_dtype, expect_same_codes
from codes import interesting_codes, policies
from oracle import FINITE, cast_array, expect_same_collapse, parts_of, statistics

from tensorcast import reference
from tensorcast.buffer import Buffer, contiguous_strides
from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import cpu
from tensorcast.policy import Policy, ResolvedPolicy, ends_infinities

ROWS = list(FORMATS.values())
SUM_ERROR = 2.0**-19  # the relative error that Loss states for its sums of squares
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
    expect_same_collapse(raw, want, what)
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
            bound = 1e-11 if name == "max_abs_error" else SUM_ERROR
            assert found == pytest.approx(expected, rel=bound, abs=0), f"{what}: {name}"


def check(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy, label: str
) -> None:
    """Every kernel gives the oracle's codes and statistics, counted in part and in full."""
    with np.errstate(all="ignore"):
        want = cast_array(codes, source, target, policy)
        counts = statistics(want, codes, source, target)
    for kernel in cpu.available():
        what = f"{kernel}, {label}: {source} to {target}, {policy}"
        for full in (False, True):
            out, raw = run(codes, source, target, policy, kernel=kernel, full=full)
            expect_same_codes(out, want.codes, target, source=source, source_codes=codes, what=what)
            ends = ends_infinities(source, target, policy)
            for name in ("n_overflow", "n_nan_lost", "first_overflow", *["n_inf"] * ends):
                assert getattr(raw, name) == counts[name], f"{what}: {name}"
        expect_same_statistics(raw, counts, source, what)
        _, raw = run(codes, source, target, policy, kernel=kernel, collapses=True)
        expect_same_collapse(raw, counts, what)


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


def pack_codes(codes: np.ndarray, row: Format) -> bytes:
    return reference.pack([int(code) for code in codes], row)


@pytest.mark.parametrize("source", SUB_BYTE, ids=str)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 31, 32, 33, 127, 128, 129, 2049])
def test_packed_codes_are_those_of_the_reference(source: Format, n: int) -> None:
    rng = np.random.default_rng(n)
    codes = rng.integers(0, 1 << source.bits, n, dtype=np.uint8)
    for target in ROWS:
        if target.is_complex:
            continue
        policy = Policy(overflow="saturate", nan="zero").resolve(source, target)
        want = cast_array(codes, source, target, policy).codes
        expected = pack_codes(want, target) if target.bits < 8 else want.tobytes()
        for kernel in cpu.available():
            out = bytearray(b"\xa5" * (len(expected) + 8))
            cpu.cast_chunk(pack_codes(codes, source), out, source, target, policy, n, kernel=kernel)
            assert out[: len(expected)] == expected, f"{kernel}: {source} to {target}"
            assert out[len(expected) :] == b"\xa5" * 8, f"{kernel}: wrote past the end"


@pytest.mark.parametrize("pair", ["float32 bfloat16", "int64 int32", "float16 float8_e5m2",
                                  "complex64 complex128", "float32 complex64", "complex64 bool",
                                  "uint8 float32", "int16 int64"])  # fmt: skip
def test_strides_and_byte_order_change_nothing(pair: str) -> None:
    source, target = (FORMATS[name] for name in pair.split())
    n = 6 * 7 * 50
    codes = interesting_codes(source, target, n_random=n, seed=3)[:n]
    policy = Policy(overflow="raise", nan="zero").resolve(source, target)
    plain, want = run(codes, source, target, policy, full=True)
    from_array = codes.view(f"V{source.bits // 8}").reshape(6, 7, 50)
    for case in ("negative", "transposed", "gaps", "swapped", "unaligned"):
        memory, swapped, address = from_array.copy(), False, 0
        if case == "negative":
            memory = memory[::-1, :, ::-1].copy()[::-1, :, ::-1]
        elif case == "transposed":
            memory = memory.transpose(2, 0, 1).copy().transpose(1, 2, 0)
        elif case == "gaps":
            wide = np.zeros((6, 9, 100), memory.dtype)
            wide[:, 1:8, ::2] = memory
            memory = wide[:, 1:8, ::2]
        elif case == "swapped":
            components = memory.view(code_dtype(source))
            memory, swapped = components.byteswap().view(memory.dtype), True
        else:
            raw = np.zeros(memory.nbytes + 1, np.uint8)
            raw[1:] = memory.reshape(-1).view(np.uint8)
            memory, address = raw, raw.ctypes.data + 1
        strides = memory.strides if case != "unaligned" else from_array.strides
        buffer = Buffer(
            address or memory.__array_interface__["data"][0], (6, 7, 50), strides, source,
            owner=memory, byte_swapped=swapped,
        )  # fmt: skip
        out = empty_codes(2 * n + 1, target)
        item = target.bits // 8
        for step in (1, 2):
            out[:] = 0
            shape = (6, 7, 50)
            where = Buffer(out.ctypes.data, shape,
                           tuple(step * s for s in contiguous_strides(shape, item)), target,
                           owner=out, writable=True)  # fmt: skip
            for kernel in cpu.available():
                raw_stats = cpu.cast_buffer(buffer, where, target, policy, True, kernel)
                expect_same_codes(
                    out[: step * n : step].copy(), plain, target, what=f"{case} {step}"
                )
                assert raw_stats == want, f"{kernel}: {case}"


def test_a_result_does_not_depend_on_threads() -> None:
    source, target = FORMATS["float32"], FORMATS["float8_e4m3fn"]
    codes = np.random.default_rng(5).standard_normal(1_000_003).astype(np.float32).view(np.uint32)
    for rounding in ("nearest-even", "stochastic"):
        policy = Policy(overflow="saturate", rounding=rounding, seed=9).resolve(source, target)
        want, stats = run(codes, source, target, policy, full=True, n_threads=1)
        for n_threads in (2, 3, 7):
            found, counted = run(codes, source, target, policy, full=True, n_threads=n_threads)
            expect_same_codes(found, want, target)
            assert counted == stats


def test_chunks_give_what_the_whole_gives() -> None:
    source, target = FORMATS["float32"], FORMATS["bfloat16"]
    values = np.random.default_rng(6).standard_normal(10_000).astype(np.float32)
    policy = Policy(rounding="stochastic", seed=77).resolve(source, target)
    whole, parts = bytearray(20_000), b""
    cpu.cast_chunk(values, whole, source, target, policy, 10_000)
    for begin in range(0, 10_000, 1_234):
        part = values[begin : begin + 1_234]
        out = bytearray(2 * len(part))
        cpu.cast_chunk(part, out, source, target, policy, len(part), begin)
        parts += out
    assert parts == whole


@contextmanager
def mxcsr(value: int) -> Iterator[None]:
    """Runs a block with the SSE control register set, through the C library's fesetenv."""
    if platform.machine() not in ("x86_64", "AMD64") or platform.system() != "Linux":
        pytest.skip("sets the control register of x86-64 through glibc")
    libm = ctypes.CDLL("libm.so.6")
    saved, changed = (ctypes.c_uint32 * 8)(), (ctypes.c_uint32 * 8)()  # glibc's fenv_t
    libm.fegetenv(saved)
    libm.fegetenv(changed)
    changed[7] = value
    libm.fesetenv(changed)
    try:
        yield
    finally:
        libm.fesetenv(saved)


FLUSH_TO_ZERO, ROUND_UP = 0x1F80 | 0x8040, 0x1F80 | 0x4000


@pytest.mark.parametrize("register", [FLUSH_TO_ZERO, ROUND_UP], ids=["flush", "round-up"])
@pytest.mark.parametrize("source", ["float32", "float64", "float16", "float8_e5m2", "int64"])
def test_the_threads_modes_change_nothing(source: str, register: int) -> None:
    row = FORMATS[source]
    for target in ROWS:
        if target.is_complex:
            continue
        codes = interesting_codes(row, target, n_random=500, seed=4)[:5000]
        policy = Policy(overflow="saturate", nan="zero").resolve(row, target)
        for kernel in cpu.available():
            want, stats = run(codes, row, target, policy, full=True, kernel=kernel)
            with mxcsr(register):
                found, counted = run(codes, row, target, policy, full=True, kernel=kernel)
            expect_same_codes(found, want, target, what=f"{kernel}: {row} to {target}")
            assert counted == stats
    with mxcsr(FLUSH_TO_ZERO):  # the mode was really set
        assert np.float32(1e-40) * np.float32(1) == 0


@pytest.mark.parametrize("kernel", cpu.available())
def test_xxh3_is_the_published_function(kernel: str) -> None:
    data = memoryview(np.random.default_rng(3).bytes(5000))
    for n in (*range(2200), 4096, 4097, 4999):
        assert cpu.xxh3(data[1 : 1 + n], kernel) == xxhash.xxh3_64_intdigest(data[1 : 1 + n]), n


def test_a_child_process_casts_after_a_fork() -> None:
    source, target = FORMATS["float32"], FORMATS["float16"]
    codes = np.arange(1 << 20, dtype=np.uint32) << 10
    policy = Policy(overflow="saturate").resolve(source, target)
    want, _ = run(codes, source, target, policy, n_threads=4)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        digests = pool.map(_digest_in_child, [codes, codes])
    assert digests == [cpu.xxh3(want)] * 2


def _digest_in_child(codes: np.ndarray) -> int:
    source, target = FORMATS["float32"], FORMATS["float16"]
    policy = Policy(overflow="saturate").resolve(source, target)
    return cpu.xxh3(run(codes, source, target, policy, n_threads=4)[0])


def test_short_buffers_and_unknown_kernels_are_refused() -> None:
    source, target = FORMATS["float32"], FORMATS["float16"]
    policy = Policy().resolve(source, target)
    with pytest.raises(ValueError, match="4 elements do not fit"):
        cpu.cast_chunk(b"\0" * 15, bytearray(8), source, target, policy, 4)
    with pytest.raises(ValueError, match="4 elements do not fit"):
        cpu.cast_chunk(b"\0" * 16, bytearray(7), source, target, policy, 4)
    with pytest.raises(BufferError):
        cpu.cast_chunk(b"\0" * 16, b"\0" * 8, source, target, policy, 4)
    with pytest.raises(ValueError, match="no kernels called 'v9'"):
        cpu.cast_chunk(b"", bytearray(), source, target, policy, 0, kernel="v9")


LARGE = [
    "float32 float16", "float32 bfloat16", "bfloat16 float32", "float16 float32",
    "float8_e4m3fn bfloat16", "float8_e5m2 float32", "float16 float8_e4m3fn", "float32 int8",
    "float64 float32", "float32 complex64", "float32 float4_e2m1fn",
    "float8_e4m3fnuz bfloat16", "float8_e8m0fnu float32", "float8_e5m2 uint32",
    "float8_e4m3fn int64", "int64 float8_e5m2", "int16 bfloat16", "bfloat16 float64",
    "float32 uint32", "float64 int64", "uint8 float6_e3m2fn",
]  # fmt: skip


@pytest.mark.parametrize("pair", LARGE)
def test_outputs_beyond_the_caches_are_those_of_small_pieces(pair: str) -> None:
    source, target = (FORMATS[name] for name in pair.split())
    n = (16 << 20) // (target.bits // 8 or 1) + 12_345  # stored around the caches
    rng = np.random.default_rng(11)
    codes = rng.integers(0, 1 << min(source.bits, 63), n, dtype=np.uint64).astype(
        code_dtype(source)
    )
    policy = Policy(overflow="saturate", nan="zero").resolve(source, target)
    for shift in (0, 1):  # an output aligned to its element alone
        memory = empty_codes(n + 1, target)
        out = memory[shift : n + shift]
        raw = cpu.cast_buffer(
            buffer_of(codes, source), buffer_of(out, target, writable=True), target, policy
        )
        n_overflow = 0
        for begin in range(0, n, 1 << 20):
            part, counted = run(codes[begin : begin + (1 << 20)], source, target, policy)
            expect_same_codes(out[begin : begin + (1 << 20)], part, target, first_index=begin)
            n_overflow += counted.n_overflow
        assert raw.n_overflow == n_overflow
