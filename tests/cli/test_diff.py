"""tensorcast diff: equal bits, errors, missing and extra tensors, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.program import Run, float32, write_safetensors, zeros


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two files: one tensor equal, one off by 60 dB, one only in each."""
    a = write_safetensors(
        tmp_path / "a.safetensors",
        {"same": float32(1.0, 2.0), "near": float32(1000.0, 0.0), "gone": zeros("I8", [1], 1)},
    )
    b = write_safetensors(
        tmp_path / "b.safetensors",
        {"same": float32(1.0, 2.0), "near": float32(1000.0, 1.0), "new": zeros("I8", [1], 1)},
    )
    return a, b


def test_equal(tensorcast: Run, model: Path) -> None:
    done = tensorcast("diff", model, model)
    assert (done.returncode, done.stdout) == (0, "equal: all 5 tensors, bit by bit\n")


def test_different(tensorcast: Run, pair: tuple[Path, Path]) -> None:
    done = tensorcast("diff", *pair)
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout == (
        "tensor  A        B        shape  differ  max error     SQNR\n"
        "near    float32  float32  [2]    50.00%          1  60.0 dB\n"
        "only in A: gone\n"
        "only in B: new\n"
        "\n"
        "different: 1 tensor differs (worst 60.0 dB), 1 equal, 1 only in A, 1 only in B\n"
    )


@pytest.mark.parametrize(("limit", "code"), [("59.9", 0), ("60.1", 1)])
def test_min_sqnr(tensorcast: Run, tmp_path: Path, limit: str, code: int) -> None:
    a = write_safetensors(tmp_path / "a.safetensors", {"w": float32(1000.0, 0.0)})
    b = write_safetensors(tmp_path / "b.safetensors", {"w": float32(1000.0, 1.0)})
    done = tensorcast("diff", a, b, "--min-sqnr", limit)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1].startswith("different" if code else "close: 1 tensor")


def test_min_sqnr_does_not_forgive_a_missing_tensor_or_a_nan(
    tensorcast: Run, tmp_path: Path, pair: tuple[Path, Path]
) -> None:
    assert tensorcast("diff", *pair, "--min-sqnr", "0").returncode == 1
    a = write_safetensors(tmp_path / "a.safetensors", {"w": float32(1000.0, 0.0)})
    b = write_safetensors(tmp_path / "b.safetensors", {"w": float32(1000.0, float("nan"))})
    done = tensorcast("diff", a, b, "--min-sqnr", "0")
    assert done.returncode == 1
    assert "NaN, inf" in done.stdout


def test_other_formats_and_shapes(tensorcast: Run, tmp_path: Path) -> None:
    a = write_safetensors(
        tmp_path / "a.safetensors", {"w": float32(1.0, 2.0), "v": float32(1.0, 2.0)}
    )
    b = write_safetensors(
        tmp_path / "b.safetensors",
        {"w": ("BF16", [2], b"\x80\x3f\x00\x40"), "v": ("F32", [2, 1], float32(1.0, 2.0)[2])},
    )
    done = tensorcast("diff", a, b)
    assert done.returncode == 1
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line}
    assert rows["w"] == ["w", "float32", "bfloat16", "[2]", "0%", "0", "exact"]
    assert rows["v"][-2:] == ["not", "comparable"]


def test_full_lists_the_equal_ones_too(tensorcast: Run, pair: tuple[Path, Path]) -> None:
    done = tensorcast("diff", *pair, "--full")
    assert "equal bits" in done.stdout


def test_long_lists_are_cut(tensorcast: Run, tmp_path: Path) -> None:
    names = [f"w{i}" for i in range(30)]
    a = write_safetensors(tmp_path / "a.safetensors", {name: float32(1.0) for name in names})
    b = write_safetensors(tmp_path / "b.safetensors", {name: float32(2.0) for name in names})
    text = tensorcast("diff", a, b).stdout
    assert "and 20 more that differ less (--full lists them)" in text
    assert len(text.splitlines()) == 14
    assert len(tensorcast("diff", a, b, "--full").stdout.splitlines()) == 33
    assert (
        "only in A: 20 more"
        in tensorcast("diff", a, write_safetensors(tmp_path / "none.safetensors", {})).stdout
    )


def test_json(tensorcast: Run, pair: tuple[Path, Path]) -> None:
    done = tensorcast("diff", *pair, "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["equal"] is False
    assert document["missing"] == ["gone"]
    assert document["extra"] == ["new"]
    same, near = document["tensors"]
    assert same["equal"] is True
    assert (near["n_different"], near["max_abs_error"]) == (1, 1.0)


def test_names_are_safe(tensorcast: Run, tmp_path: Path) -> None:
    a = write_safetensors(tmp_path / "a.safetensors", {"x\x1b[2J": float32(1.0), "\x07": float32()})
    b = write_safetensors(tmp_path / "b.safetensors", {"x\x1b[2J": float32(2.0), "\x08": float32()})
    assert not [c for c in tensorcast("diff", a, b).stdout if c != "\n" and not c.isprintable()]


def test_scaled_weights_are_said(tensorcast: Run, tmp_path: Path) -> None:
    codes = {"l.weight": zeros("F8_E4M3", [4, 4], 16), "l.weight_scale": float32(1.0)}
    a = write_safetensors(tmp_path / "a.safetensors", codes)
    b = write_safetensors(tmp_path / "b.safetensors", {"l.weight": zeros("F8_E4M3", [4, 4], 16)})
    done = tensorcast("diff", a, b)
    assert "A: the weights need scales: the stored numbers are compared" in done.stdout
    assert "B: " not in done.stdout
    found = json.loads(tensorcast("diff", a, b, "--json").stdout)["scaled"]
    assert "l.weight_scale" in found["a"]
    assert found["b"] is None
