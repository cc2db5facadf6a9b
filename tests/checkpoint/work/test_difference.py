"""Two checkpoints compared: bits, errors, what is missing; and what a cast would lose."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bits import numpy_dtype
from checkpoint.handmade import STORABLE, packed, write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.work import chunking
from tensorcast.checkpoint.work.difference import TensorDifference, diff
from tensorcast.checkpoint.work.losses import CANDIDATES, measure
from tensorcast.core.totals import total
from tensorcast.formats import FORMATS

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 10)


def differ(tmp_path: Path, a: object, b: object) -> TensorDifference:
    one = open_checkpoint(write(tmp_path / "a.safetensors", {"x": a}))
    other = open_checkpoint(write(tmp_path / "b.safetensors", {"x": b}))
    (found,) = diff(one, other).tensors
    return found


@pytest.mark.parametrize("row", STORABLE, ids=str)
def test_every_format_equals_itself(tmp_path: Path, row) -> None:
    top = 2 if row.kind == "bool" else 1 << min(64, row.component.bits)
    codes = RNG.integers(
        0, top, 1600 * (1 + row.is_complex), f"u{row.component.container_bits // 8}"
    )
    tensor = (row.name, [40, 40], packed(codes, row))
    found = differ(tmp_path, tensor, tensor)
    assert found.equal
    assert (found.n_different, found.n_special, found.max_abs_error) == (0, 0, 0)
    assert found.sqnr_db == math.inf


@pytest.mark.parametrize("row", STORABLE, ids=str)
def test_one_bit_is_one_element(tmp_path: Path, row) -> None:
    if row.kind == "bool":
        pytest.skip("a bool has one bit of its own")
    codes = np.ones(1600 * (1 + row.is_complex), f"u{row.component.container_bits // 8}")
    changed = codes.copy()
    changed[1201] ^= 3
    found = differ(
        tmp_path, (row.name, [1600], packed(codes, row)), (row.name, [1600], packed(changed, row))
    )
    assert not found.equal
    assert found.n_different == 1


def test_errors_are_those_of_float64(tmp_path: Path) -> None:
    a = RNG.standard_normal((60, 50), "f4")
    b = (a + RNG.standard_normal((60, 50), "f4") * 1e-3).astype("f4")
    found = differ(tmp_path, a, b)
    error = a.astype("f8") - b.astype("f8")
    assert found.max_abs_error == np.abs(error).max()
    expected = 10 * np.log10((a.astype("f8") ** 2).sum() / (error**2).sum())
    assert found.sqnr_db == pytest.approx(expected, rel=1e-12)
    assert found.n_different == int((a != b).sum())
    assert found.n_special == 0


def test_formats_may_differ(tmp_path: Path) -> None:
    a = RNG.standard_normal(3000, "f4")
    a[:1000] = np.round(a[:1000])
    b = a.astype(numpy_dtype(FORMATS["bfloat16"]))
    found = differ(tmp_path, a, b)
    assert (str(found.format_a), str(found.format_b), found.equal) == ("float32", "bfloat16", False)
    assert found.n_different == int((a != b.astype("f4")).sum()) < 3000
    assert found.max_abs_error == np.abs(a.astype("f8") - b.astype("f8")).max()
    found = differ(tmp_path, a[:1000], b[:1000])
    assert (found.equal, found.n_different, found.sqnr_db) == (False, 0, math.inf)


def test_specials_count_apart(tmp_path: Path) -> None:
    nan, inf = np.nan, np.inf
    a = np.array([1, nan, nan, inf, inf, 2, -0.0, 3], "f4")
    b = np.array([1, nan, 1, inf, -inf, inf, 0.0, 5], "f4")
    found = differ(tmp_path, a, b)
    assert (found.n_different, found.n_special, found.max_abs_error) == (5, 3, 2.0)
    found = differ(tmp_path, a, b.astype("f8"))  # by value: -0 is 0
    assert (found.n_different, found.n_special, found.max_abs_error) == (4, 3, 2.0)


def test_wide_integers_are_exact(tmp_path: Path) -> None:
    a = np.array([1 << 62, -(1 << 63), 5], "i8")
    b = np.array([(1 << 62) + 1, (1 << 63) - 1, 5], "i8")
    assert differ(tmp_path, a, b).max_abs_error == (1 << 64) - 1
    assert differ(tmp_path, a[:1], b[:1]).max_abs_error == 1
    assert differ(tmp_path, a[:1].view("u8"), b[:1].view("u8")).max_abs_error == 1


@pytest.mark.parametrize(
    ("a", "b", "decibels"),
    [
        ([1e-200], [0.0], 0.0),
        ([5e-324], [0.0], 0.0),
        ([0.0], [5e-324], -math.inf),
        ([1e200], [1e200 * (1 + 1e-12)], 240.0),
        ([1e-200, 1e-200], [1e-200, 0.0], 10 * math.log10(2)),
        ([1.7e308], [-1.7e308], -20 * math.log10(2)),
        ([1e200, 1e-200], [1e200, 0.0], 8000.0),
        ([1e308] * 3000, [0.0] * 3000, 0.0),
        ([1e-300] * 3000 + [1e200] * 2000, [0.0] * 3000 + [1e200] * 2000, 9998.239),
    ],
)
def test_magnitudes_whose_squares_have_no_float64(
    tmp_path: Path, a: list[float], b: list[float], decibels: float
) -> None:
    found = differ(tmp_path, np.array(a), np.array(b))
    assert found.n_different == sum(x != y for x, y in zip(a, b, strict=True))
    assert found.sqnr_db == pytest.approx(decibels, rel=1e-3, abs=1e-9)
    same = differ(tmp_path, np.array(a), np.array(a))
    assert (same.equal, same.sqnr_db) == (True, math.inf)


WIDE = [
    0, 1, -1, 5, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, (1 << 62) + 3,
    (1 << 63) - 1, -(1 << 63), -(1 << 63) + 1,
]  # fmt: skip


@pytest.mark.parametrize("kinds", [("i8", "f8"), ("i8", "f4"), ("u8", "f8"), ("i8", "u8"),
                                   ("i8", "i8"), ("u8", "i4")])  # fmt: skip
def test_wide_integers_against_any_format_are_exact(tmp_path: Path, kinds) -> None:
    def numbers(kind: str) -> list[float | int]:
        kept = [n for n in WIDE if n >= 0 or kind[0] != "u"]
        if kind == "i4":
            return [n for n in kept if abs(n) < 1 << 31]
        if kind[0] == "f":
            parts = [0.5, -0.5, -1 - 2.0**-52, 2.0**63, 2.0**64, -(2.0**63), 5e-324, 1e300]
            with np.errstate(over="ignore"):
                found = np.array([*kept, *parts]).astype(kind)
            return [float(n) for n in found if np.isfinite(n)]
        return kept

    pairs = [(x, y) for x in numbers(kinds[0]) for y in numbers(kinds[1])]
    for one, other in ((0, 1), (1, 0)):
        a = np.array([pair[one] for pair in pairs], kinds[one])
        b = np.array([pair[other] for pair in pairs], kinds[other])
        found = differ(tmp_path, a, b)
        assert found.n_different == sum(x != y for x, y in pairs)
        for i in range(0, len(pairs), 7):
            x, y = Fraction(pairs[i][one]), Fraction(pairs[i][other])
            found = differ(tmp_path, a[i : i + 1], b[i : i + 1])
            assert found.n_different == (x != y)
            assert (found.sqnr_db == math.inf) == (x == y)
            assert found.max_abs_error == pytest.approx(float(abs(x - y)), rel=1e-15)


def test_one_unit_of_a_wide_integer(tmp_path: Path) -> None:
    a = np.array([(1 << 53) + 1], "i8")
    for b in (np.array([2.0**53], "f8"), np.array([1 << 53], "i8"), np.array([1 << 53], "u8")):
        found = differ(tmp_path, a, b)
        assert (found.n_different, found.max_abs_error, found.n_special) == (1, 1, 0)
        assert found.sqnr_db == pytest.approx(20 * math.log10(2.0**53))
    special = differ(tmp_path, a, np.array([np.nan], "f8"))
    assert (special.n_different, special.n_special) == (1, 1)


def test_complex_by_component(tmp_path: Path) -> None:
    a = np.array([1 + 2j, 3 + 4j], "c8")
    b = np.array([1 + 2j, 3 + 8j], "c8")
    found = differ(tmp_path, a, b)
    assert (found.n_different, found.max_abs_error) == (1, 4.0)
    found = differ(tmp_path, a, b.real.copy())
    assert (found.n_different, found.max_abs_error, found.sqnr_db) == (None, None, None)


def test_shapes_that_differ_are_not_compared(tmp_path: Path) -> None:
    found = differ(tmp_path, np.ones((2, 3), "f4"), np.ones((3, 2), "f4"))
    assert (found.shape_a, found.shape_b, found.equal) == ((2, 3), (3, 2), False)
    assert (found.n_different, found.max_abs_error, found.sqnr_db) == (None, None, None)


def test_names_missing_and_extra(tmp_path: Path) -> None:
    one, two = np.ones(2, "f4"), np.ones(0, "f4")
    a = open_checkpoint(write_directory(tmp_path / "a", [{"x": one, "only a": one}, {"e": two}]))
    b = open_checkpoint(write(tmp_path / "b.safetensors", {"e": two, "only b": one, "x": one}))
    found = diff(a, b)
    assert [(t.name, t.equal) for t in found.tensors] == [("x", True), ("e", True)]
    assert (found.missing, found.extra, found.equal) == (("only a",), ("only b",), False)
    assert diff(a, a).equal


def test_the_same_for_any_number_of_threads(tmp_path: Path) -> None:
    tensors = {f"t{i}": RNG.standard_normal(2000, "f4") for i in range(5)}
    a = open_checkpoint(write(tmp_path / "a.safetensors", tensors))
    run(prepare(a, tmp_path / "b.safetensors", "float8_e4m3fn"))
    b = open_checkpoint(tmp_path / "b.safetensors")
    seen = []
    results = [diff(a, b, threads=n, progress=seen.append) for n in (1, 2, 5)]
    assert results[1:] == results[:1] * 2
    assert (seen[-1].phase, seen[-1].n_bytes_done) == ("compare", a.n_bytes)


def test_comparison_agrees_with_the_report_of_the_conversion(tmp_path: Path) -> None:
    a = open_checkpoint(write(tmp_path / "a.safetensors", {"x": RNG.standard_normal(5000, "f4")}))
    loss = run(prepare(a, tmp_path / "b.safetensors", "bf16"), report=True).losses["x"]
    (found,) = diff(a, open_checkpoint(tmp_path / "b.safetensors")).tensors
    assert found.n_different == loss.n_inexact
    assert found.max_abs_error == loss.max_abs_error
    # the one from float64 sums, the other from sums within 2^-19: see `Loss`
    assert found.sqnr_db == pytest.approx(loss.sqnr_db, abs=2e-5)
    assert measure(a, ["bf16"])["x"]["bfloat16"].sqnr_db == loss.sqnr_db


def test_measures_every_floating_tensor_for_every_candidate(tmp_path: Path) -> None:
    x = RNG.standard_normal(3000, "f4")
    x[5] = 1e6
    tensors = {"x": x, "h": np.ones(4, "f2"), "n": np.arange(5), "e": np.ones(0, "f4")}
    source = open_checkpoint(write(tmp_path / "x.safetensors", tensors))
    seen = []
    found = measure(source, progress=seen.append)
    assert {name: tuple(losses) for name, losses in found.items()} == dict.fromkeys(
        ("x", "h", "e"), CANDIDATES
    )
    assert found["x"]["float16"].n_overflow == 1
    assert found["x"]["bfloat16"].n_overflow == 0
    assert (found["x"]["float16"].max, found["x"]["float16"].min) == (1e6, x.min())
    assert found["h"]["float8_e4m3fn"].is_lossless
    assert found["e"]["float16"].amax is None
    assert (seen[-1].phase, seen[-1].n_bytes_done) == ("measure", 3000 * 4 + 8)
    assert measure(source, ["f32"], threads=3)["h"]["float32"].is_lossless


def test_errors_whose_squares_have_no_float64_are_not_exact(tmp_path: Path) -> None:
    x = np.array([1e-200, 1.0, 2.0])
    source = open_checkpoint(write(tmp_path / "x.safetensors", {"x": x}))
    loss = run(prepare(source, tmp_path / "y.safetensors", "float32"), report=True).losses["x"]
    assert (loss.n_inexact, loss.max_abs_error, loss.sqnr_db) == (1, 1e-200, None)
    assert total("float32", {"x": loss}).sqnr_db is None
