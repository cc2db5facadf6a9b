"""The name of a destination says what is written there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write, write_directory
from cli.program import patched

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare
from tensorcast.errors import DestinationError

ONE = {"a": np.ones(8, "f4"), "b": np.ones(8, "f4")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "x.safetensors", ONE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_directory(tmp_path / "m", [ONE])


@pytest.mark.parametrize("name", ["b.gguf", "b.pt", "b.bin", "b.onnx", "b.GGUF", "b.json", "b.zip"])
def test_a_file_named_as_another_kind(file: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DestinationError, match=r"end in \.safetensors: name it .*b\.safetensors'"):
        prepare(open_checkpoint(file), tmp_path / name, "bfloat16")


@pytest.mark.parametrize("name", ["odir", "Llama-3.1", "b.SAFETENSORS", "b.safetensors2", ".b"])
def test_a_file_without_an_ending(file: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DestinationError, match=r"end in \.safetensors"):
        prepare(open_checkpoint(file), tmp_path / name, "bfloat16")


def test_the_way_out_names_a_file_in_the_directory(file: Path, tmp_path: Path) -> None:
    inside = tmp_path / "odir" / "x.safetensors"
    with pytest.raises(DestinationError, match=rf"Name it .*odir\.safetensors', or .*'{inside}'"):
        prepare(open_checkpoint(file), tmp_path / "odir", "bfloat16")
    (tmp_path / "odir").mkdir()
    assert prepare(open_checkpoint(file), tmp_path / "odir", "bfloat16").destination == str(inside)


@pytest.mark.parametrize("name", ["q.safetensors", "q.gguf", "q.bin", "q.onnx", "q.SafeTensors"])
def test_a_directory_named_as_a_file(directory, file, tmp_path: Path, name: str) -> None:
    match = r"a directory would be written, and \.\w+ is the ending of a file; name it '.*/q'"
    with pytest.raises(DestinationError, match=match):
        prepare(open_checkpoint(directory), tmp_path / name, "bfloat16")
    with pytest.raises(DestinationError, match=match):  # a file that is split
        prepare(open_checkpoint(file), tmp_path / name, "bfloat16", max_shard_size=8)


@pytest.mark.parametrize("name", ["q", "Llama-3.1-8B", "model.v2", "m.bf16", "m.fp8.new"])
def test_names_that_fit_a_directory(directory: Path, tmp_path: Path, name: str) -> None:
    assert prepare(open_checkpoint(directory), tmp_path / name, "bfloat16").directory


def test_on_the_command_line(file: Path, directory: Path, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    for source, name in ((file, "b.gguf"), (file, "odir"), (directory, "q.safetensors")):
        for more in ((), ("--dry-run",), ("--force",)):
            done = patched("", "convert", source, tmp_path / name, "--to", "bf16", *more)
            assert done.returncode == 1, done.stdout
            assert "would be written" in done.stderr
            assert sorted(os.listdir(tmp_path)) == before
    (tmp_path / "there").mkdir()
    assert patched("", "convert", file, tmp_path / "there", "--to", "bf16").returncode == 0
    assert os.listdir(tmp_path / "there") == ["x.safetensors"]
