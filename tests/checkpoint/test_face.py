"""One import converts, looks into and compares checkpoints, by their paths."""

from __future__ import annotations

import inspect
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from checkpoint.handmade import write
from cli.program import Run

import tensorcast as tc
from tensorcast.checkpoint.decide.rules import Rule
from tensorcast.cli.spelling import as_options
from tensorcast.errors import (
    CheckpointError,
    DestinationError,
    FormatError,
    PolicyError,
    TensorcastError,
    UnsupportedCheckpointError,
)

VALUES = {"norm.weight": ("float32", [4], [1.0, 2.5, -3.0, 0.1]), "w": ("float32", [2], [0.5, 7.0])}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {
        name: (dtype, shape, struct.pack(f"<{len(values)}f", *values))
        for name, (dtype, shape, values) in VALUES.items()
    }
    return write(tmp_path / "a.safetensors", tensors)


def formats(path: Path) -> dict[str, str]:
    return {tensor.name: tensor.format.name for tensor in tc.inspect(path).tensors}


def test_a_file_is_converted(file: Path, tmp_path: Path) -> None:
    result = tc.convert(str(file), tmp_path / "b.safetensors", to="bfloat16", report=True)
    assert formats(tmp_path / "b.safetensors") == {"norm.weight": "bfloat16", "w": "bfloat16"}
    assert result.losses["norm.weight"].n_inexact == 1
    found = tc.diff(file, str(tmp_path / "b.safetensors"))
    assert not found.equal
    assert {row.name: row.n_different for row in found.tensors} == {"norm.weight": 1, "w": 0}
    assert tc.diff(file, file).equal


def test_two_steps_and_one_give_the_same(file: Path, tmp_path: Path) -> None:
    job = tc.checkpoint.prepare(file, tmp_path / "b.safetensors", to="float16")
    assert isinstance(job, tc.checkpoint.Job)
    assert isinstance(tc.checkpoint.run(job), tc.checkpoint.Result)
    tc.convert(file, tmp_path / "c.safetensors", to="float16")
    one, other = ((tmp_path / name).read_bytes() for name in ("b.safetensors", "c.safetensors"))
    assert one == other


def test_a_file_goes_into_a_directory_under_its_own_name(file: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    tc.convert(file, tmp_path / "there", to="float16")
    assert set(formats(tmp_path / "there" / file.name).values()) == {"float16"}


@pytest.mark.parametrize(
    "options",
    [
        {"keep": "*norm*"},
        {"keep": ["*norm*"]},
        {"rules": {"*norm*": None}},
        {"rules": {"*norm*": "float32"}},
        {"rules": ["*norm*=F32"]},
        {"rules": "*norm*=F32"},
        {"rules": [Rule("*norm*", None)]},
    ],
    ids=str,
)
def test_rules(file: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    tc.convert(file, tmp_path / "b.safetensors", to="bfloat16", **options)
    assert formats(tmp_path / "b.safetensors") == {"norm.weight": "float32", "w": "bfloat16"}


def test_a_size_in_words(file: Path, tmp_path: Path) -> None:
    result = tc.convert(file, tmp_path / "b", to="bfloat16", max_shard_size="8 B")
    assert len(result.job.shards) == 2
    assert result.job.request.max_shard_size == 8
    with pytest.raises(CheckpointError, match="max_shard_size: "):
        tc.convert(file, tmp_path / "c", to="bfloat16", max_shard_size="much")


def test_help_shows_every_keyword() -> None:
    shown = inspect.signature(tc.convert).parameters
    prepared = inspect.signature(tc.checkpoint.prepare).parameters
    assert {*prepared, "force", "verify", "report", "threads", "progress"} == set(shown)
    assert all(shown[name].default == each.default for name, each in prepared.items())


def test_what_is_no_path(file: Path) -> None:
    for call in (tc.inspect, lambda x: tc.diff(file, x), lambda x: tc.convert(x, "b", to="bf16")):
        with pytest.raises(
            CheckpointError, match=r"expected the path .* found a value of type int"
        ):
            call(3)
        with pytest.raises(FileNotFoundError, match=r"there is no '.*nowhere'"):
            call(file.parent / "nowhere")


@pytest.mark.parametrize(
    ("options", "arguments", "kind"),
    [
        ({"to": "bfloat16", "keep": "nothing"}, ["--keep", "nothing"], PolicyError),
        (
            {"to": "bfloat16", "keep": "*", "rules": ["w=F16"]},
            ["--keep=*", "--rule=w=F16"],
            PolicyError,
        ),
        ({"to": "int4"}, [], FormatError),
        ({"to": "bfloat16", "max_shard_size": 8}, ["--max-shard-size=8"], DestinationError),
        ({"to": "bfloat16"}, [], DestinationError),  # it exists
    ],
    ids=str,
)
def test_errors_are_those_of_the_command_line(
    file: Path,
    tmp_path: Path,
    tensorcast: Run,
    options: dict[str, Any],
    arguments: list[str],
    kind: type[TensorcastError],
) -> None:
    shutil.copy(file, tmp_path / "there.safetensors")
    with pytest.raises(kind) as refused:
        tc.convert("a.safetensors", "there.safetensors", **options)
    assert "--" not in str(refused.value)
    command = ["convert", "a.safetensors", "there.safetensors", "--to", options["to"], *arguments]
    said = " ".join(tensorcast(*command).stderr.split())
    assert said == " ".join(f"error: {as_options(str(refused.value))}".split())


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_scales_are_refused_in_pythons_words(tmp_path: Path) -> None:
    tensors = {"w": ("float8_e4m3fn", [16], bytes(16)), "w_scale": ("float32", [], bytes(4))}
    path = write(tmp_path / "s.safetensors", tensors)
    with pytest.raises(UnsupportedCheckpointError, match="raw=True") as refused:
        tc.convert(path, tmp_path / "b.safetensors", to="bfloat16")
    assert "--raw" not in str(refused.value)
    assert "with scales" in repr(tc.inspect(path))
    assert "not castable" in str(tc.inspect(path))


def test_what_is_printed_is_short(tmp_path: Path) -> None:
    """However many tensors and whatever their names."""
    hostile = "\x1b[31m" + "x" * 5000
    tensors = {
        f"layer.{i}.weight": ("float32", [2], b"\0\0\x80\x3f\xcd\xcc\xcc\x3d") for i in range(500)
    }
    source = write(tmp_path / "many.safetensors", tensors | {hostile: ("int64", [1], bytes(8))})
    job = tc.checkpoint.prepare(source, tmp_path / "b.safetensors", to="bfloat16")
    result = tc.checkpoint.run(job, report=True)
    found = tc.diff(source, tmp_path / "b.safetensors")
    for value in (tc.inspect(source), job, result, found):
        assert repr(value).startswith(f"<{type(value).__name__}")
        assert len(repr(value)) < 300
        assert "\n" not in repr(value)
        assert len(str(value)) < 2000
        assert 2 < len(str(value).splitlines()) < 15
        assert "\x1b" not in repr(value) + str(value)
    assert "500 of 501 tensors to bfloat16" in repr(job)
    assert "500 of 501 tensors to bfloat16" in repr(result)
    assert "500 of 501 tensors differ" in repr(found)
    assert "501 tensors" in repr(tc.inspect(source))


def test_str_says_what_did_not_fit(tmp_path: Path) -> None:
    big = b"\xff\xff\x7f\x7f" + bytes(4)
    source = write(tmp_path / "big.safetensors", {"w": ("float32", [2], big)})
    kept = tc.convert(source, tmp_path / "k.safetensors", to="float16", overflow="keep")
    assert "w: 1 of 2 values exceed float16" in str(kept)
    cut = tc.convert(source, tmp_path / "s.safetensors", to="float16", overflow="saturate")
    assert "1 value in 1 tensor outside" in str(cut)
    same = tc.convert(tmp_path / "s.safetensors", tmp_path / "t.safetensors", to="float16")
    assert "none of 1 tensor cast" in repr(same)
    assert "no tensor changes its format" in str(same)


def test_the_job_is_json(file: Path, tmp_path: Path) -> None:
    job = tc.checkpoint.prepare(file, tmp_path / "b.safetensors", to="bfloat16", keep="w")
    members = json.loads(job.to_json())
    assert (members["kind"], members["source_kind"]) == ("job", "safetensors")
    assert tc.checkpoint.Job.from_json(job.to_json()) == job
