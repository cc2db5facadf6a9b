"""tensorcast convert and run: options, job, result, refusals."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli.program import Run, environment, float32, write_safetensors


def header(path: Path) -> dict[str, dict[str, object]]:
    data = path.read_bytes()
    (n,) = struct.unpack_from("<Q", data)
    parsed: dict[str, dict[str, object]] = json.loads(data[8 : 8 + n])
    return parsed


def dtypes(path: Path) -> dict[str, object]:
    return {name: x["dtype"] for name, x in header(path).items() if name != "__metadata__"}


def sparse(path: Path, *, n_bytes: int, name: str = "w") -> Path:
    """A file with one tensor of zeros, most of it a hole."""
    tensor = {"dtype": "F32", "shape": [n_bytes // 4], "data_offsets": [0, n_bytes]}
    text = json.dumps({name: tensor})
    head = text.encode() + b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + n_bytes)
    return path


def test_convert(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    done = tensorcast("convert", model.name, "out.safetensors", "--to", "bfloat16")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    out = tmp_path / "out.safetensors"
    assert dtypes(out) == {
        "ids": "I64",
        "layer.0.weight": "BF16",
        "layer.0.bias": "BF16",
        "layer.1.weight": "BF16",
        "layer.1.bias": "BF16",
    }
    lines = done.stdout.splitlines()
    assert lines[0] == f"wrote        {out}"
    assert lines[1] == "size         72 B -> 48 B (66.67%), 1 file"
    assert lines[2].startswith("time         ")
    assert "peak memory" in lines[2]
    assert lines[3] == "to bfloat16  4 tensors, no overflow (--report tells what was rounded)"
    assert lines[4] == "kept         1 tensor: not a floating format"
    assert len(lines) == 5


def test_report_and_verify(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "w.safetensors", {"a": float32(1.0), "b": float32(1.001, 1e-9)}
    )
    done = tensorcast("convert", path, "out.safetensors", "--to", "f16", "--report", "--verify")
    assert done.returncode == 0, done.stderr
    assert "to float16  2 tensors, loses: error " in done.stdout
    assert "1 value (33.33%) becomes 0" in done.stdout
    assert "verified    the written files were read again and are right" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("b ")]
    assert row[:4] == ["b", "float16", "0", "1"]
    assert not [line for line in done.stdout.splitlines() if line.startswith("a ")]


def test_the_report_lists_overflow_first_then_the_lowest_sqnr(
    tensorcast: Run, tmp_path: Path
) -> None:
    tensors = {
        "good": float32(1.0, 1.0001),
        "over": float32(1.0, 1e6),
        "bad": float32(1e-7, 1.2e-7),
        "same": float32(1.0),
    }
    tensors |= {f"more{i:02}": float32(1.0, 1.0001) for i in range(20)}
    path = write_safetensors(tmp_path / "w.safetensors", tensors)
    done = tensorcast(
        *("convert", path, "out.safetensors", "--to", "f16", "--report", "--overflow", "saturate")
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    table = lines[lines.index("") + 1 :]
    names = [line.split()[0] for line in table[1:]]
    assert names[:3] == ["over", "bad", "good"]
    assert "same" not in names
    assert len(names) == 11
    assert table[-1] == "and 13 more tensors that lost less (--json has them all)"


def test_the_report_has_what_is_lost_whole_first_and_the_unknown_last(
    tensorcast: Run, tmp_path: Path
) -> None:
    path = write_safetensors(
        tmp_path / "w.safetensors",
        {
            "coarse": ("F64", [2], struct.pack("<2d", 1.0, 0.1)),
            "gone": ("F64", [2], struct.pack("<2d", 1e-200, 1e-210)),
            "tiny": ("F64", [2], struct.pack("<2d", 1.0, 1e-200)),
        },
    )
    done = tensorcast("convert", path, "o.safetensors", "--to", "f32", "--report", "--raw")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    table = lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in table[1:4]] == ["gone", "coarse", "tiny"]
    assert table[1].split()[-2:] == ["0.0", "dB"]


def test_nothing_lost_says_so(tensorcast: Run, model: Path) -> None:
    done = tensorcast("convert", model.name, "out.safetensors", "--to", "f16", "--report")
    assert "to float16  4 tensors, exact: no value changes" in done.stdout
    assert "no value changed in any tensor" in done.stdout


def test_json(tensorcast: Run, model: Path) -> None:
    done = tensorcast("convert", model.name, "o.safetensors", "--to", "F16", "--report", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["tensorcast"]["command"] == "convert"
    assert document["to"] == "float16"
    assert (document["n_bytes_before"], document["n_bytes_after"]) == (72, 48)
    assert document["kept"] == {"ids": "not a floating format"}
    assert document["verified"] is False
    assert set(document["losses"]) == {f"layer.{i}.{n}" for i in (0, 1) for n in ("weight", "bias")}
    assert document["losses"]["layer.0.bias"]["n_inexact"] == 0
    assert document["losses"]["layer.0.bias"]["sqnr_db"] == "inf"


def test_rules_and_keep(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    done = tensorcast(
        *("convert", model.name, "out.safetensors", "--to", "bfloat16"),
        *("--rule", "layer.0.*=F16", "--keep", "*.bias"),
    )
    assert done.returncode == 0, done.stderr
    assert dtypes(tmp_path / "out.safetensors") == {
        "ids": "I64",
        "layer.0.weight": "F16",
        "layer.0.bias": "F32",
        "layer.1.weight": "BF16",
        "layer.1.bias": "F32",
    }
    assert "to float16   1 tensor, no overflow" in done.stdout
    assert "kept         2 tensors: the rule 'keep *.bias'" in done.stdout


@pytest.mark.parametrize("option", [("--rule", "*Bias=F16"), ("--keep", "*Bias")])
@pytest.mark.parametrize("how", [(), ("--dry-run",), ("--json",)])
def test_a_rule_that_matches_nothing_is_a_usage_error(
    tensorcast: Run, model: Path, tmp_path: Path, option: tuple[str, ...], how: tuple[str, ...]
) -> None:
    before = sorted(tmp_path.iterdir())
    done = tensorcast("convert", model.name, "o.safetensors", "--to", "bf16", *option, *how)
    assert done.returncode == 2
    assert "matches no tensor. Nearest: 'layer.0.bias' (upper and lower case differ)" in done.stderr
    assert sorted(tmp_path.iterdir()) == before
    if how == ("--json",):
        assert json.loads(done.stdout)["error"]["kind"] == "PolicyError"


def test_a_rule_that_keep_overrules_is_a_usage_error(
    tensorcast: Run, model: Path, tmp_path: Path
) -> None:
    options = ("--keep", "*.bias", "--rule", "layer.0.bias=F16")
    done = tensorcast("convert", model.name, "o.safetensors", "--to", "bf16", *options)
    assert done.returncode == 2
    assert "'keep *.bias' takes 'layer.0.bias'" in done.stderr
    assert not (tmp_path / "o.safetensors").exists()


NORMS = {
    "BERT": ["embeddings.LayerNorm.weight", "encoder.layer.0.attention.output.LayerNorm.bias"],
    "Llama": ["model.layers.0.input_layernorm.weight", "model.norm.weight"],
    "T5": ["encoder.block.0.layer.0.layer_norm.weight", "encoder.final_layer_norm.weight"],
}


@pytest.mark.parametrize("names", NORMS.values(), ids=NORMS)
def test_the_example_of_the_help_matches_typical_names(
    tensorcast: Run, tmp_path: Path, names: list[str]
) -> None:
    text = tensorcast("convert", "--help").stdout
    (example,) = [line for line in text.splitlines() if "--keep '" in line]
    (glob,) = re.findall(r"--keep '(.*)'", example)
    tensors = dict.fromkeys([*names, "dense.weight"], float32(1.0))
    path = write_safetensors(tmp_path / "w.safetensors", tensors)
    done = tensorcast("convert", path, "out.safetensors", "--to", "F8_E4M3", "--keep", glob)
    assert done.returncode == 0, done.stderr
    written = dtypes(tmp_path / "out.safetensors")
    assert written == {**dict.fromkeys(names, "F32"), "dense.weight": "F8_E4M3"}


def test_into_a_directory(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert tensorcast("convert", model.name, "folder", "--to", "f16").returncode == 0
    assert (tmp_path / "folder" / "model.safetensors").is_file()


def test_max_shard_size(tensorcast: Run, tmp_path: Path) -> None:
    tensors = {f"w{i}": ("F32", [250], bytes(1000)) for i in range(4)}
    path = write_safetensors(tmp_path / "w.safetensors", tensors)
    done = tensorcast("convert", path, "out", "--to", "bf16", "--max-shard-size", "1kB")
    assert done.returncode == 0, done.stderr
    assert "2 files" in done.stdout
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 2


def test_dry_run(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    done = tensorcast("convert", model.name, "out.safetensors", "--to", "bf16", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert sorted(tmp_path.iterdir()) == before
    lines = done.stdout.splitlines()
    assert "ids           int64    kept      [3]         24 B      24 B" in lines
    assert "layer.{0..1}                             2 x 24 B  2 x 12 B" in lines
    assert "├─ bias       float32  bfloat16  [2]          8 B       4 B" in lines
    assert "cast    4 tensors, 48 B -> 24 B (50%)" in lines
    assert any(line.startswith("space   ") and " free there" in line for line in lines)
    assert not any("too little" in line for line in lines)
    assert lines[-1] == "nothing was written: this is a dry run"


def test_a_dry_run_sees_too_little_space(tensorcast: Run, tmp_path: Path) -> None:
    source = sparse(tmp_path / "sparse.safetensors", n_bytes=1 << 42)
    done = tensorcast("convert", source, "out.safetensors", "--to", "bf16", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert " free there: too little" in done.stdout
    refused = tensorcast("convert", source, "out.safetensors", "--to", "bf16")
    assert refused.returncode == 1
    assert "too little space" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name]


def test_full_dry_run_says_where(tensorcast: Run, model: Path) -> None:
    done = tensorcast(
        "convert", model.name, "out.safetensors", "--to", "bf16", "--dry-run", "--full"
    )
    assert done.returncode == 0, done.stderr
    (row,) = [x for x in done.stdout.splitlines() if x.startswith("layer.1.bias")]
    assert row.split()[-1] == "out.safetensors"


def test_a_job_is_data_and_runs(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    options = ("--to", "bf16", "--keep", "*.bias")
    done = tensorcast("convert", model.name, "out.safetensors", *options, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)
    assert job["kind"] == "job"
    (tmp_path / "job.json").write_text(done.stdout)
    assert not (tmp_path / "out.safetensors").exists()
    ran = tensorcast("run", "job.json", "--verify")
    assert ran.returncode == 0, ran.stderr
    assert "verified" in ran.stdout
    prepared = (tmp_path / "out.safetensors").read_bytes()
    assert tensorcast("convert", model.name, "again.safetensors", *options).returncode == 0
    assert (tmp_path / "again.safetensors").read_bytes() == prepared


def test_a_damaged_job(tensorcast: Run, tmp_path: Path) -> None:
    for text in ("", "{}", '{"tensorcast_plan": 1}', '{"kind": "job", "schema": 1}', "\xff"):
        (tmp_path / "job.json").write_bytes(text.encode("latin-1"))
        done = tensorcast("run", "job.json")
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr


def test_a_job_of_a_source_that_changed(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    done = tensorcast(
        "convert", model.name, "out.safetensors", "--to", "f16", "--dry-run", "--json"
    )
    (tmp_path / "job.json").write_text(done.stdout)
    write_safetensors(model, {"other": float32(1.0)})
    ran = tensorcast("run", "job.json")
    assert ran.returncode == 1
    assert "prepare it again" in ran.stderr
    assert not (tmp_path / "out.safetensors").exists()


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """Two tensors that float16 cannot hold, and one that it can."""
    return write_safetensors(
        tmp_path / "huge.safetensors",
        {"a": float32(1.0, 70000.0), "b": float32(-1e6), "c": float32(2.0)},
    )


def test_an_overflow_names_every_tensor_and_the_ways_out(
    tensorcast: Run, huge: Path, tmp_path: Path
) -> None:
    done = tensorcast("convert", huge, "out.safetensors", "--to", "float16")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: 2 tensors do not fit float16; nothing was written",
        "    a: 1 of 2 values out of range (largest 70000); bfloat16 holds them",
        "    b: 1 of 1 values out of range (largest 1000000); bfloat16 holds them",
        "  ways out:",
        "    --rule 'a=bfloat16' gives a tensor another format",
        "    --overflow saturate replaces values out of range by the nearest value",
        "    --overflow keep leaves such tensors as they are",
    ]
    assert not (tmp_path / "out.safetensors").exists()


def test_an_overflow_as_json(tensorcast: Run, huge: Path) -> None:
    done = tensorcast("convert", huge, "out.safetensors", "--to", "float16", "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert [finding["tensor"] for finding in error["findings"]] == ["a", "b"]
    assert error["findings"][0]["holds"] == "bfloat16"


@pytest.mark.parametrize("way", ["saturate", "ieee", "keep"])
def test_the_ways_out(tensorcast: Run, huge: Path, tmp_path: Path, way: str) -> None:
    done = tensorcast("convert", huge, "out.safetensors", "--to", "float16", "--overflow", way)
    assert done.returncode == 0, done.stderr
    kept = way == "keep"
    assert dtypes(tmp_path / "out.safetensors") == {
        "a": "F32" if kept else "F16",
        "b": "F32" if kept else "F16",
        "c": "F16",
    }
    if kept:
        assert "kept        a: 1 of 2 values exceed float16" in done.stdout
        assert "to float16  1 tensor, no overflow" in done.stdout
    else:
        assert "overflows: 2 values in 2 tensors outside -65504 to 65504" in done.stdout


def test_nan(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "nan.safetensors", {"w": float32(float("nan"), 1.0)})
    done = tensorcast("convert", path, "out.safetensors", "--to", "F4")
    assert done.returncode == 1
    assert "w: 1 of 2 values NaN; " in done.stderr
    assert "--nan zero turns NaN into 0" in done.stderr
    assert "saturate" not in done.stderr
    assert (
        tensorcast("convert", path, "o.safetensors", "--to", "F4", "--nan", "zero").returncode == 0
    )


def test_stochastic_rounding_follows_the_seed(tensorcast: Run, tmp_path: Path) -> None:
    values = float32(*(1 + i / 4096 for i in range(256)))
    path = write_safetensors(tmp_path / "w.safetensors", {"w": values})
    written = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        done = tensorcast(
            *("convert", path, f"{name}.safetensors", "--to", "bf16"),
            *("--rounding", "stochastic", "--seed", seed, "--threads", "1"),
        )
        assert done.returncode == 0, done.stderr
        written.append((tmp_path / f"{name}.safetensors").read_bytes())
    assert written[0] == written[1] != written[2]


def test_the_destination_is_protected(tensorcast: Run, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"precious")
    done = tensorcast("convert", model.name, out.name, "--to", "f16")
    assert done.returncode == 1
    assert "exists; pass --force" in done.stderr
    assert out.read_bytes() == b"precious"
    assert tensorcast("convert", model.name, out.name, "--to", "f16", "--force").returncode == 0
    assert dtypes(out)["layer.0.bias"] == "F16"
    same = tensorcast("convert", model.name, model.name, "--to", "f16", "--force")
    assert same.returncode == 1
    assert "the same" in same.stderr
    absent = tensorcast("convert", model.name, "no/such/out.safetensors", "--to", "f16")
    assert absent.returncode == 1
    for arguments in (["--dry-run"], ["--dry-run", "--json"]):
        assert (
            tensorcast("convert", model.name, out.name, "--to", "f16", *arguments).returncode == 1
        )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "int8", "--overflow", "ieee"], 'use "saturate", "keep" or "raise"'),
        (["--to", "f16"], "pass --force to replace it"),
    ],
)
def test_errors_speak_of_options(
    tensorcast: Run, model: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "out.safetensors").write_bytes(b"precious")
    done = tensorcast("convert", model.name, "out.safetensors", *arguments)
    assert done.returncode in (1, 2)
    assert said in " ".join(done.stderr.split())
    assert "wrap" not in done.stderr
    assert "=" not in done.stderr.split("usage")[0]


def scaled(path: Path) -> Path:
    path.mkdir()
    write_safetensors(
        path / "model.safetensors",
        {"l.weight": ("F8_E4M3", [2, 2], b"\x38\x40\x30\0"), "l.weight_scale_inv": float32(2.0)},
    )
    config = {"model_type": "tiny", "quantization_config": {"quant_method": "fp8"}}
    (path / "config.json").write_text(json.dumps(config))
    (path / "hf_quant_config.json").write_text("{}")
    return path


@pytest.mark.parametrize("file", ["", "model.safetensors"])
def test_scaled_weights_are_refused(tensorcast: Run, tmp_path: Path, file: str) -> None:
    path = scaled(tmp_path / "scaled")
    done = tensorcast("convert", path / file, tmp_path / "out.safetensors", "--to", "bf16")
    assert done.returncode == 1
    assert "weight_scale_inv" in done.stderr or "quantization_config" in done.stderr
    assert "--raw" in done.stderr
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("as_json", [False, True])
def test_raw_casts_scaled_weights_and_says_so(
    tensorcast: Run, tmp_path: Path, as_json: bool
) -> None:
    path, out = scaled(tmp_path / "scaled"), tmp_path / "out"
    options = ["--json"] if as_json else []
    done = tensorcast("convert", path, out, "--to", "bf16", "--raw", *options)
    assert done.returncode == 0
    text = done.stdout if as_json else done.stdout + done.stderr
    assert "scales stay as tensors" in text
    assert "config.json is written without 'quantization_config'" in text
    assert "'hf_quant_config.json' is not copied" in text
    if as_json:
        assert json.loads(done.stdout)["raw"] is True
    assert dtypes(out / "model.safetensors") == {"l.weight": "BF16", "l.weight_scale_inv": "BF16"}
    assert json.loads((out / "config.json").read_text()) == {"model_type": "tiny"}
    assert not (out / "hf_quant_config.json").exists()


def test_raw_is_a_part_of_the_job(tensorcast: Run, tmp_path: Path) -> None:
    path, out = scaled(tmp_path / "scaled"), tmp_path / "out"
    shown = tensorcast("convert", path, out, "--to", "bf16", "--raw", "--dry-run")
    assert "scales stay as tensors" in shown.stdout
    assert "hf_quant_config.json: " in shown.stdout
    made = tensorcast("convert", path, out, "--to", "bf16", "--raw", "--dry-run", "--json")
    (tmp_path / "job.json").write_text(made.stdout)
    assert tensorcast("run", tmp_path / "job.json").returncode == 0
    assert "quantization_config" not in (out / "config.json").read_text()


def test_an_interrupted_conversion_resumes(tensorcast: Run, tmp_path: Path) -> None:
    """Stopped after the first of three files: the same command keeps it and does the others."""
    source = tmp_path / "model"
    source.mkdir()
    weights: dict[str, str] = {}
    for i, n_bytes in enumerate((1 << 20, 1 << 24, 1 << 29), start=1):
        file = f"model-0000{i}-of-00003.safetensors"
        sparse(source / file, n_bytes=n_bytes, name=f"w{i}")
        weights[f"w{i}"] = file
    index = {"metadata": {}, "weight_map": weights}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    arguments = ("convert", source, tmp_path / "out", "--to", "float8_e5m2", "--threads", "1")
    arguments = (*arguments, "--rounding", "stochastic")
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorcast", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # under nohup, or in the background of a shell, a signal is ignored from the start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    receipts = ".out.tensorcast-*/receipts"  # a line about the job, then one per finished file
    while not any(path.read_text().count("\n") > 1 for path in tmp_path.glob(receipts)):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "run again to resume" in err
    assert not (tmp_path / "out").exists()
    done = tensorcast(*arguments)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^resumed +[12] files? finished by an earlier run$", done.stdout, re.M)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) == 3
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_is_exit_code_3(tmp_path: Path, number: signal.Signals) -> None:
    """Stopped in the middle: one line, exit code 3, and no destination."""
    source = tmp_path / "big.safetensors"
    n_bytes = 1 << 29
    write_safetensors(source, {})
    text = json.dumps(
        {"w": {"dtype": "F32", "shape": [n_bytes // 4], "data_offsets": [0, n_bytes]}}
    )
    head = text.encode() + b" " * (-len(text) % 8)
    with source.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + n_bytes)  # sparse: zeros
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tensorcast", "convert", source, tmp_path / "out.safetensors"),
            *("--to", "float16", "--rounding", "stochastic", "--threads", "1", "--verify"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # under nohup, or in the background of a shell, a signal is ignored from the start
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 30
    while not [p for p in os.listdir(tmp_path) if ".tensorcast-" in p]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert out == ""
    assert err.strip().startswith("error: interrupted")
    assert not (tmp_path / "out.safetensors").exists()


def small_model(path: Path) -> Path:
    """Of seven weights int8 makes four 0; a scale and a bias survive."""
    weights = [0.01, -0.02, 0.3, 0.4, 5.0, 6.0, 0.0, -0.0, 7.0]
    return write_safetensors(
        path, {"w": float32(*weights), "b": float32(3.0, 4.0), "s": float32(2.0)}
    )


@pytest.mark.parametrize(
    "options",
    [("--to", "int8"), ("--to", "int8", "--overflow", "saturate"), ("--to", "int8", "--report"),
     ("--to", "bfloat16", "--rule", "w=int8"), ("--to", "int8", "--overflow", "keep"),
     ("--to", "int8", "--threads", "1", "--verify")],
)  # fmt: skip
def test_a_tensor_that_would_be_mostly_zero(
    tensorcast: Run, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = small_model(tmp_path / "m.safetensors")
    done = tensorcast("convert", path, "out.safetensors", *options)
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "error: 1 tensor becomes mostly zero in int8; nothing was written"
    assert lines[1].strip() == "w: 4 of 7 non-zero values become 0"
    assert "--raw casts the stored numbers in any case" in done.stderr
    assert "--keep 'w'" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.safetensors"]
    told = json.loads(tensorcast("convert", path, "out.safetensors", *options, "--json").stdout)[
        "error"
    ]
    assert told["kind"] == "TensorCollapseError"
    assert told["findings"][0]["collapse"] == "4 of 7 non-zero values become 0"


def test_a_name_forges_no_lines_of_a_refusal(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"w\nverified  all good": float32(7e4)})
    done = tensorcast("convert", path, "out.safetensors", "--to", "f16")
    assert done.returncode == 1
    assert not any(line.strip().startswith("verified") for line in done.stderr.splitlines())
    assert "w\\x0averified" in done.stderr


def test_one_value_for_several(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "m.safetensors", {"w": float32(0.5, -3.0), "ones": float32(1.0, 1.0)}
    )
    done = tensorcast("convert", path, "out.safetensors", "--to", "bool")
    assert done.returncode == 1
    assert "1 tensor becomes one value in bool; nothing was written" in done.stderr
    assert "w: all 2 values, which differ, become True" in done.stderr
    assert "ones" not in done.stderr


def test_raw_lets_it_pass_and_says_so(tensorcast: Run, tmp_path: Path) -> None:
    path = small_model(tmp_path / "m.safetensors")
    for options in ((), ("--report",)):
        done = tensorcast(
            "convert", path, "out.safetensors", "--to", "int8", "--raw", "--force", *options
        )
        assert done.returncode == 0, done.stderr
        assert "collapses: 1 of 3 tensors" in done.stdout
    assert dtypes(tmp_path / "out.safetensors")["w"] == "I8"


def test_raw_travels_in_the_job(tensorcast: Run, tmp_path: Path) -> None:
    path = small_model(tmp_path / "m.safetensors")
    for raw in ((), ("--raw",)):
        command = ("convert", path, "out.safetensors", "--to", "int8", *raw, "--dry-run", "--json")
        text = tensorcast(*command).stdout
        assert json.loads(text)["request"]["raw"] is bool(raw)
        (tmp_path / "job.json").write_text(text)
        assert tensorcast("run", "job.json").returncode == (0 if raw else 1)
    (tmp_path / "job.json").write_text(text.replace('"raw": true', '"raw": "no"'))
    done = tensorcast("run", "job.json", "--force")
    assert done.returncode == 1
    assert "the job is damaged" in done.stderr


def test_one_half_is_not_more_than_half(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", {"w": float32(0.1, 0.2, 3.0, 4.0)})
    assert tensorcast("convert", path, "out.safetensors", "--to", "int8").returncode == 0


def test_floats_that_underflow_and_bits_that_do_not(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "m.safetensors", {"w": float32(1e-9, 2e-9, 1.0), "v": float32(1e-44, 1e-45)}
    )
    done = tensorcast("convert", path, "out.safetensors", "--to", "f16")
    assert done.returncode == 1
    assert "w: 2 of 3 non-zero values become 0" in done.stderr
    assert "v: 2 of 2 non-zero values become 0" in done.stderr
    done = tensorcast("convert", path, "out.safetensors", "--to", "bf16")
    assert done.returncode == 1
    assert "w:" not in done.stderr
    assert (
        tensorcast("convert", path, "o.safetensors", "--to", "bf16", "--keep", "v").returncode == 0
    )


def test_a_dry_run_says_that_there_is_no_scale(tensorcast: Run, tmp_path: Path) -> None:
    path = small_model(tmp_path / "m.safetensors")
    text = tensorcast("convert", path, "o.safetensors", "--to", "int8", "--dry-run").stdout
    assert "a plain cast without a scale; tensorcast inspect --stats --candidate int8" in text
    assert "even if most values are lost" not in text
    text = tensorcast("convert", path, "o.safetensors", "--to", "int8", "--raw", "--dry-run").stdout
    assert "even if most values are lost" in text
    text = tensorcast("convert", path, "o.safetensors", "--to", "bf16", "--dry-run").stdout
    assert "scale" not in text


def test_inspect_and_convert_say_the_same(tensorcast: Run, tmp_path: Path) -> None:
    path = small_model(tmp_path / "m.safetensors")
    for to in ("int8", "uint8", "bool", "float8_e4m3fn", "float16"):
        told = tensorcast("inspect", path, "--stats", "--candidate", to, "--json").stdout
        candidate = json.loads(told)["candidates"][to]
        options = ("--to", to, "--overflow", "saturate", "--force")
        done = tensorcast("convert", path, "o.safetensors", *options)
        assert (candidate["verdict"] == "collapses") is (done.returncode == 1), to
        for name in candidate["collapsing"]:
            assert f"{name}: " in done.stderr


def test_infinities(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "w.safetensors", {"a": float32(1.0, float("inf"))})
    refused = tensorcast("convert", path, "o.safetensors", "--to", "bfloat16", "--inf", "raise")
    assert refused.returncode == 1
    assert "a: 1 of 2 values infinite" in refused.stderr
    assert "--inf keep keeps infinities; --inf saturate takes the largest" in refused.stderr
    assert "--rule" not in refused.stderr
    assert not (tmp_path / "o.safetensors").exists()
    dry = tensorcast("convert", path, "o.safetensors", "--to", "bfloat16", "--dry-run")
    assert "nan raise, inf keep" in dry.stdout
    done = tensorcast(
        "convert", path, "o.safetensors", "--to", "bfloat16", "--inf", "saturate", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.safetensors").read_bytes()[-4:] == bytes.fromhex("803f7f7f")
    wrong = tensorcast("convert", path, "p.safetensors", "--to", "bfloat16", "--inf", "zero")
    assert wrong.returncode == 2


def test_a_format_that_is_read_differently(tensorcast: Run, tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "w.safetensors", {"a": float32(1.0)})
    for spelling in ("f4", "i8", "float", "int"):
        done = tensorcast("convert", path, "o.safetensors", "--to", spelling)
        assert done.returncode == 2
        assert f"{spelling!r} is " in done.stderr
        assert "(NumPy); write which one is meant" in " ".join(done.stderr.split())
        done = tensorcast(
            "convert", path, "o.safetensors", "--to", "bfloat16", "--rule", f"a={spelling}"
        )
        assert done.returncode == 2


def test_a_kept_tensor_that_is_narrowed_on_load_is_named(tensorcast: Run, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    tensors = {"dense.weight": float32(1.0, 2.0), "norm.weight": float32(1.001, 2.0)}
    write_safetensors(model / "model.safetensors", tensors)
    (model / "config.json").write_text('{"model_type": "bert", "dtype": "float32"}')
    done = tensorcast("convert", "model", "out", "--to", "bf16", "--keep", "norm*")
    assert done.returncode == 0, done.stderr
    said = "config.json's dtype is bfloat16: 'norm.weight' is written wider"
    assert said in " ".join(f"{done.stdout} {done.stderr}".split())
    whole = tensorcast("convert", "model", "all", "--to", "bf16")
    assert "written wider" not in whole.stdout + whole.stderr


def test_a_bracket_in_a_glob_that_matches_nothing_is_explained(
    tensorcast: Run, tmp_path: Path
) -> None:
    path = write_safetensors(tmp_path / "w.safetensors", {"h[0].w": float32(1.0)})
    for option in (("--keep", "h[0].w"), ("--rule", "h[0].w=f16")):
        done = tensorcast("convert", path, "o.safetensors", "--to", "bf16", *option)
        assert done.returncode == 2
        assert "Nearest: 'h[0].w' ([ begins a set of characters: write [[]" in done.stderr
    done = tensorcast("convert", path, "o.safetensors", "--to", "bf16", "--rule", "h[[]0].w=f16")
    assert done.returncode == 0, done.stderr
