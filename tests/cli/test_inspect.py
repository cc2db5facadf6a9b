"""tensorcast inspect: the tree, totals, JSON, hostile files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

from cli.program import Run, environment, float32, write_safetensors, zeros

TREE = """\
model.safetensors
safetensors file, 5 tensors, 15 elements, 72 B

tensor        format   shape      bytes
ids           int64    [3]         24 B
layer.{0..1}                   2 x 24 B
├─ bias       float32  [2]          8 B
└─ weight     float32  [2, 2]      16 B

format   tensors  elements  bytes
float32        4        12   48 B
int64          1         3   24 B
total          5        15   72 B

metadata  format = pt
"""


def test_the_tree(tensorcast: Run, model: Path) -> None:
    done = tensorcast("inspect", model.name)
    assert done.returncode == 0
    assert done.stdout == TREE
    assert done.stderr == ""


def test_full_folds_nothing(tensorcast: Run, model: Path) -> None:
    lines = tensorcast("inspect", "--full", model.name).stdout.splitlines()
    assert "layer.0.bias    float32  [2]       8 B" in lines
    assert "layer.1.weight  float32  [2, 2]   16 B" in lines


def test_json(tensorcast: Run, model: Path) -> None:
    document = json.loads(tensorcast("inspect", "--json", model.name).stdout)
    assert document["tensorcast"]["schema"] == 1
    assert document["tensorcast"]["command"] == "inspect"
    assert document["kind"] == "safetensors"
    assert document["n_tensors"] == len(document["tensors"]) == 5
    assert document["n_bytes"] == 72
    assert document["metadata"] == {"format": "pt"}
    assert document["formats"]["float32"] == {"n_tensors": 4, "n_elements": 12, "n_bytes": 48}
    first = document["tensors"][0]
    assert first["name"] == "ids"
    assert first["shape"] == [3]
    assert first["offset"] + document["n_bytes"] == model.stat().st_size
    assert "candidates" not in document


def test_colour_and_width_of_a_forced_terminal(tensorcast: Run, model: Path) -> None:
    assert "\x1b[" not in tensorcast("inspect", model.name).stdout
    assert "\x1b[" in tensorcast("inspect", model.name, FORCE_COLOR="1").stdout
    both = tensorcast("inspect", model.name, FORCE_COLOR="1", NO_COLOR="1")
    assert both.stdout == TREE


def test_names_cannot_steer_the_terminal(tensorcast: Run, tmp_path: Path) -> None:
    names = ["a\x1b[2Jb", "c\u202ed", "e\nf", "g\x9bh", "\x07.\x08"]
    path = write_safetensors(
        tmp_path / "evil.safetensors",
        {name: float32(1.0) for name in names},
        {"\x1b]0;title\x07": "\x1b[31mred"},
    )
    for arguments in (["inspect"], ["inspect", "--full"], ["inspect", "--json"]):
        done = tensorcast(*arguments, path)
        assert done.returncode == 0, done.stderr
        assert not [c for c in done.stdout if c != "\n" and not c.isprintable()]
    assert "a\\x1b[2Jb" in tensorcast("inspect", path).stdout
    document = json.loads(tensorcast("inspect", "--json", path).stdout)
    assert {tensor["name"] for tensor in document["tensors"]} == set(names)


def test_a_directory_of_shards(tensorcast: Run, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    folder.mkdir()
    weights = {}
    for i in (1, 2):
        file = f"model-0000{i}-of-00002.safetensors"
        write_safetensors(folder / file, {f"layer.{i}.w": zeros("BF16", [4, 8], 64)})
        weights[f"layer.{i}.w"] = file
    index = {"metadata": {"total_size": 128}, "weight_map": weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text('{"model_type": "tiny", "dtype": "bfloat16"}')
    text = tensorcast("inspect", "sharded").stdout
    assert "Hugging Face directory, 2 files, 2 tensors, 64 elements, 128 B" in text
    assert "layer.{1..2}.w  bfloat16  [4, 8]  2 x 64 B" in text
    assert "model-00002-of-00002.safetensors        1" in text
    assert "config    model_type tiny, dtype bfloat16" in text


def test_scaled_weights_are_pointed_out(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "scaled.safetensors",
        {"l.weight": zeros("F8_E4M3", [4, 4], 16), "l.weight_scale_inv": float32(1.0)},
    )
    shown = tensorcast("inspect", path).stdout
    assert "not castable: the weights need scales: it has 'l.weight_scale_inv'" in shown
    assert "--raw" in shown
    measured = tensorcast("inspect", path, "--stats")
    assert measured.returncode == 0
    assert "the stored numbers are measured without them" in measured.stdout


def test_a_truncated_file(tensorcast: Run, model: Path) -> None:
    whole = model.read_bytes()
    for length in (0, 7, 8, 20, len(whole) - 1):
        model.write_bytes(whole[:length])
        done = tensorcast("inspect", model.name)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert "model.safetensors" in done.stderr
        assert done.stderr.count("\n") == 1


def test_no_tensors(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "empty.safetensors", {})
    done = tensorcast("inspect", path)
    assert done.returncode == 0
    assert "no tensors" in done.stdout


def test_many_tensors_are_quick_and_short(tensorcast: Run, tmp_path: Path) -> None:
    """A mixture of experts: 20,000 tensors fold to a screenful."""
    tensors = {
        f"model.layers.{i}.mlp.experts.{j}.{name}.weight": ("U8", [0], b"")
        for i in range(50)
        for j in range(133)
        for name in ("down_proj", "gate_proj", "up_proj")
    }
    tensors |= {f"model.layers.{i}.norm.weight": ("U8", [0], b"") for i in range(50)}
    path = write_safetensors(tmp_path / "experts.safetensors", tensors)
    text = tensorcast("inspect", path).stdout
    assert "model.layers.{0..49}" in text
    assert "133 x 0 B" in text
    assert len(text.splitlines()) < 20


def test_stats(tensorcast: Run, model: Path) -> None:
    done = tensorcast("inspect", "--stats", model.name)
    assert done.returncode == 0, done.stderr
    assert "What if I cast this?\n4 floating tensors, 12 values from -3 to 1\n" in done.stdout
    lines = done.stdout.splitlines()
    (bias,) = [line.split() for line in lines if line.startswith("├─ bias")]
    assert bias[-2:] == ["-3", "0.25"]
    for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
        assert sum(line.startswith(name) for line in lines) == 2
    assert "bfloat16       exact: no value changes" in done.stdout


def test_the_range_of_a_folded_row_is_that_of_all_its_tensors(
    tensorcast: Run, tmp_path: Path
) -> None:
    tensors = {f"layer.{i}.w": float32(-float(i), 2.0 + i) for i in range(3)}
    path = write_safetensors(tmp_path / "w.safetensors", tensors)
    (row,) = [
        line.split()
        for line in tensorcast("inspect", path, "--stats").stdout.splitlines()
        if line.startswith("layer.{0..2}.w")
    ]
    assert row[-2:] == ["-2", "4"]


def test_stats_of_a_candidate_that_overflows(tensorcast: Run, tmp_path: Path) -> None:
    values = struct.pack("<4f", 70000.0, -1e6, 1e-9, 1.001)
    path = write_safetensors(
        tmp_path / "w.safetensors", {"w": ("F32", [4], values), "n": float32(float("nan"))}
    )
    done = tensorcast("inspect", path, "--candidate", "half", "--candidate", "F4")
    assert done.returncode == 0, done.stderr
    assert (
        "overflows: 2 values in 1 tensor outside -65504 to 65504 (largest 1000000)" in done.stdout
    )
    assert "1 NaN it cannot store" in done.stdout
    assert "bfloat16" not in done.stdout


def test_stats_as_json(tensorcast: Run, model: Path) -> None:
    document = json.loads(tensorcast("inspect", "--stats", "--json", model.name).stdout)
    assert list(document["candidates"]) == ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
    bfloat16 = document["candidates"]["bfloat16"]
    assert bfloat16["verdict"] == "exact"
    assert bfloat16["sqnr_db"] == "inf"
    assert bfloat16["n_bytes_after"] == 24 + 48 // 2
    by_name = {tensor["name"]: tensor for tensor in document["tensors"]}
    assert by_name["ids"]["candidates"] == {}
    assert by_name["layer.0.bias"]["candidates"]["float16"]["min"] == -3.0


def test_stats_without_floating_tensors(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "ints.safetensors", {"w": zeros("I32", [2], 8)})
    done = tensorcast("inspect", path, "--stats")
    assert done.returncode == 0, done.stderr
    assert "there are no floating-point tensors" in done.stdout


def test_a_name_and_a_shape_of_millions_are_cut(tensorcast: Run, tmp_path: Path) -> None:
    name = "w" * 5_000_000
    path = write_safetensors(
        tmp_path / "x.safetensors",
        {name: float32(1.0), "deep": zeros("F32", [1] * 1_000_000, 4)},
    )
    for more in ([], ["--full"], ["--stats"]):
        done = tensorcast("inspect", path, *more)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) < 20_000
        assert "more characters)" in done.stdout
        assert "[1, 1, 1, 1, ... (1,000,000 dimensions)]" in done.stdout
    document = json.loads(tensorcast("inspect", path, "--json").stdout)
    assert {len(tensor["name"]) for tensor in document["tensors"]} == {4, 5_000_000}


def test_a_hundred_thousand_tensors_take_little_memory(tmp_path: Path) -> None:
    names = [f"model.layers.{i // 1000}.experts.{i % 1000}.up.weight" for i in range(100_000)]
    path = write_safetensors(tmp_path / "x.safetensors", dict.fromkeys(names, float32(1.0)))
    measured = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    command = [sys.executable, "-m", "tensorcast", "inspect", str(path)]
    done = subprocess.run(
        [sys.executable, "-c", measured, *command],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) < 160 << 20
