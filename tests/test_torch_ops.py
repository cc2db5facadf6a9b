"""The cast as torch operations, on CPU tensors: the codes and statistics of the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from bits import as_codes, code_dtype, expect_same_codes
from codes import interesting_codes, policies
from oracle import Cast, cast_array, expect_same_collapse, statistics

import tensorcast as tc
from tensorcast.formats import FORMATS, Format
from tensorcast.kernels.cpu import RawStats
from tensorcast.policy import Policy, ResolvedPolicy, ends_infinities

torch = pytest.importorskip("torch", reason="torch is not installed")

from tensorcast.kernels import torch_ops  # noqa: E402

ROWS = [
    row
    for row in FORMATS.values()
    if isinstance(getattr(torch, row.spellings.get("torch", ""), None), torch.dtype)
    and row.name != "float4_e2m1fn"  # two elements to a byte
]


ENDLESS = [row for row in ROWS if row.name in ("float32", "float64", "float16", "float8_e5m2")]


def counted_in_part(policy: ResolvedPolicy, source: Format, target: Format) -> list[str]:
    """What is counted of a cast without a report."""
    ends = ends_infinities(source, target, policy)
    return ["n_overflow", "n_nan_lost", "first_overflow", *["n_inf"] * ends]


def targets_of(source: Format) -> list[Format]:
    return [t for t in ROWS if not source.is_complex or t.is_complex or t.kind == "bool"]


def tensor_of(codes: np.ndarray, row: Format) -> torch.Tensor:
    """A tensor over codes as `bits.as_codes` gives them, sharing their memory."""
    bytes_of = torch.from_numpy(np.ascontiguousarray(codes).view(np.uint8).reshape(-1))
    return bytes_of.view(getattr(torch, row.spellings["torch"]))


def codes_in(x: torch.Tensor, row: Format) -> np.ndarray:
    x = x.contiguous().view(-1)
    return as_codes(x.view(torch.uint8).numpy().view(code_dtype(row)), row)


def run(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy, report: bool
) -> tuple[np.ndarray, RawStats]:
    x = tensor_of(codes, source)
    out = torch.empty(x.shape, dtype=getattr(torch, target.spellings["torch"]))
    raw = torch_ops.cast_tensor(x, out, source, target, policy, report)
    return codes_in(out, target), raw


def expect_same_statistics(
    raw: RawStats, want: dict[str, object], source: Format, what: str
) -> None:
    for name in ("n_overflow", "n_nan_lost", "n_inexact", "n_underflow", "n_nan", "n_inf"):
        assert getattr(raw, name) == want[name], f"{what}: {name}"
    assert raw.first_overflow == want["first_overflow"], what
    expect_same_collapse(raw, want, what)
    if want["min"] is None:
        assert raw.n_finite == 0, what
    elif source.is_integer and source.bits == 64:
        shift = 0 if source.signed else 1 << 63
        assert (raw.min_integer + shift, raw.max_integer + shift) == (
            int(want["min"]),
            int(want["max"]),
        ), what
    else:
        assert (raw.min, raw.max) == (float(want["min"]), float(want["max"])), what
    with np.errstate(all="ignore"):
        for name in ("max_abs_error", "sum_squared_error", "sum_squared"):
            expected = float(want[name])
            assert getattr(raw, name) == pytest.approx(expected, rel=1e-11, abs=0), (
                f"{what}: {name}"
            )


def check(codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy) -> None:
    what = f"{source} to {target}, {policy}"
    with np.errstate(all="ignore"):
        want = cast_array(codes, source, target, policy)
        counts = statistics(want, codes, source, target)
    found, raw = run(codes, source, target, policy, report=True)
    expect_same_codes(found, want.codes, target, source=source, source_codes=codes, what=what)
    expect_same_statistics(raw, counts, source, what)
    few, partial = codes[:99], run(codes[:99], source, target, policy, report=False)
    expect_same_codes(partial[0], want.codes[:99], target, what=what)
    counts = statistics(Cast(*(part[:99] for part in want)), few, source, target)
    for name in counted_in_part(policy, source, target):
        assert getattr(partial[1], name) == counts[name], f"{what}: {name}"


@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_pair(source: Format) -> None:
    """Every code of a narrow source, the edges of a wide one, under one policy or another."""
    for i, target in enumerate(targets_of(source)):
        codes = interesting_codes(source, target, n_random=200, seed=7)
        found = policies(source, target, seed=0x1234_5678_9ABC_DEF0)
        check(codes, source, target, found[(7 * i + ROWS.index(source)) % len(found)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ROWS, ids=str)
def test_every_pair_and_policy(source: Format) -> None:
    for target in targets_of(source):
        codes = interesting_codes(source, target, n_random=20000, seed=8)
        for policy in policies(source, target, seed=0x1234_5678_9ABC_DEF0):
            check(codes, source, target, policy)


def test_strides_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_ops, "_CHUNK", 7)
    source, target = FORMATS["float32"], FORMATS["int8"]
    policy = Policy(overflow="raise", rounding="stochastic", seed=9).resolve(source, target)
    x = (torch.arange(60.0).view(3, 4, 5) * 7.3).permute(2, 0, 1)
    out = torch.zeros(4, 5, 3, dtype=torch.int8).permute(1, 2, 0)
    raw = torch_ops.cast_tensor(x, out, source, target, policy, report=True)
    codes = codes_in(x, source)
    want = cast_array(codes, source, target, policy)
    expect_same_codes(codes_in(out, target), want.codes, target)
    counts = statistics(want, codes, source, target)
    expect_same_statistics(raw, counts, source, "strided")
    assert raw.largest_overflow == 59 * 7.3 or raw.largest_overflow == float(x.max())
    assert raw.largest_overflow_index == int(x.contiguous().view(-1).argmax())


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_few_elements(shape: tuple[int, ...]) -> None:
    source, target = FORMATS["float64"], FORMATS["complex64"]
    x, out = torch.ones(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.complex64)
    raw = torch_ops.cast_tensor(
        x, out, source, target, Policy().resolve(source, target), report=True
    )
    assert (out == 1).all()
    assert raw.n_finite == x.numel()
    assert raw.first_overflow is None


def test_conjugates_and_negatives() -> None:
    source, target = FORMATS["complex128"], FORMATS["complex64"]
    policy = Policy().resolve(source, target)
    x = torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex128)
    for lazy in (x.conj(), x.conj().imag):
        row = FORMATS[str(lazy.dtype).removeprefix("torch.")]
        to = target if row.is_complex else FORMATS["float32"]
        out = torch.empty(2, dtype=getattr(torch, to.name))
        torch_ops.cast_tensor(lazy, out, row, to, policy, report=False)
        assert torch.equal(out, lazy.to(out.dtype))


def test_measuring_writes_nothing() -> None:
    source, target = FORMATS["float32"], FORMATS["float16"]
    policy = Policy().resolve(source, target)
    x = torch.tensor([1.0, 1e6, float("nan")])
    raw = torch_ops.cast_tensor(x, None, source, target, policy, report=True)
    assert (raw.n_overflow, raw.n_nan, raw.first_overflow) == (1, 1, 1)


def test_formats_of_several_elements_to_a_byte_are_refused() -> None:
    row = FORMATS["float4_e2m1fn"]
    x = torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    policy = Policy().resolve(row, "float32")
    with pytest.raises(tc.errors.CastError, match="two elements to a byte"):
        torch_ops.cast_tensor(x, None, row, FORMATS["float32"], policy, report=False)


@pytest.mark.parametrize(
    ("policy", "fresh", "calls"),
    [
        (Policy(), True, [(True, True)]),
        (Policy(), False, [(False, True), (True, False)]),
        (Policy(overflow="saturate", nan="zero"), True, [(True, False)]),
        (Policy(overflow="saturate", nan="zero"), False, [(True, False)]),
        (Policy(overflow="saturate", exact=True), False, [(False, True), (True, False)]),
    ],
)
def test_what_cannot_be_refused_is_neither_counted_nor_measured_first(
    monkeypatch: pytest.MonkeyPatch, policy: Policy, fresh: bool, calls: list[tuple[bool, bool]]
) -> None:
    """Counting makes the caller wait for the device."""
    from tensorcast.bridges.torch.plain import write_elsewhere

    found = []

    def cast_tensor(x, out, source, target, policy, report=False, count=True):
        found.append((out is not None, count or report))
        return torch_ops.cast_by_operations(x, out, source, target, policy, report, count)

    monkeypatch.setattr(torch_ops, "cast_tensor", cast_tensor)
    x, out = torch.arange(5.0), torch.zeros(5, dtype=torch.int8)
    resolved = policy.resolve("float32", "int8")
    write_elsewhere(x, out, FORMATS["int8"], resolved, False, fresh)
    assert found == calls
    assert out.tolist() == [0, 1, 2, 3, 4]


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
            check(x.view(np.uint32), source, target, policy)


def test_one_complex_value() -> None:
    source, target = FORMATS["complex64"], FORMATS["bool"]
    for values in ([1 + 2j, 1 + 2j], [1 + 2j, 1 + 3j], [1j, 1 + 0j], [0j, 0j]):
        x = torch.tensor(values, dtype=torch.complex64)
        policy = Policy().resolve(source, target)
        raw = torch_ops.cast_tensor(x, None, source, target, policy, True)
        want = tc.measure(x, "bool")
        assert (raw.n_zero, raw.n_to_zero) == (want.n_zero, want.n_to_zero)
        assert (raw.one_source, raw.one_result) == (want.one_source, want.one_result)


@pytest.mark.parametrize("source", ENDLESS, ids=str)
def test_how_a_range_ends(source: Format) -> None:
    """IEEE 754's overflow in every direction, and infinities that are not kept."""
    for target in targets_of(source):
        if target.component.is_float:
            codes = interesting_codes(source, target, n_random=50, seed=5)
            codes = codes[:: max(1, len(codes) // 1500)]
            for policy in policies(source, target, seed=2):
                if policy.overflow == "ieee" or policy.inf != "keep":
                    check(codes, source, target, policy)
