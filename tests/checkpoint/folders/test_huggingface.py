"""Directories: the index and its shards, links, the files beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.errors import CorruptFileError, UnsupportedCheckpointError

INDEX = "model.safetensors.index.json"
ONE = {"a": np.ones(2, "f4")}
TWO = [{"a": np.ones(2, "f4")}, {"b": np.zeros(3, "f2"), "n": np.arange(2)}]
SECOND = "model-00002-of-00002.safetensors"


def test_reads_one_file(tmp_path: Path) -> None:
    found = open_checkpoint(write_directory(tmp_path / "m", [ONE]))
    assert (found.kind, found.index, found.index_name, found.stem) == (
        "huggingface", None, None, "model",
    )  # fmt: skip
    assert [(t.name, t.file) for t in found.tensors] == [("a", "model.safetensors")]


def test_reads_an_index_and_its_shards(tmp_path: Path) -> None:
    path = write_directory(
        tmp_path / "m", TWO, extra={"config.json": '{"dtype": "float32"}', "tokenizer.json": "{}"}
    )
    found = open_checkpoint(path)
    assert [(t.name, t.file) for t in found.tensors] == [
        ("a", "model-00001-of-00002.safetensors"), ("b", SECOND), ("n", SECOND),
    ]  # fmt: skip
    assert found.metadata == {"total_size": 30}
    assert found.index_name == INDEX
    assert found.config == {"dtype": "float32"}
    assert found.extra_files == ("tokenizer.json",)
    assert found.root == path


def test_reads_the_only_weights_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "adapter_model.safetensors", ONE)
    assert open_checkpoint(tmp_path / "a").stem == "adapter_model"
    path = write_directory(tmp_path / "m", TWO)
    os.rename(path / INDEX, path / "other.safetensors.index.json")
    assert open_checkpoint(path).stem == "other"


def edit_index(path: Path, **members: object) -> Path:
    index = json.loads((path / INDEX).read_text())
    index.update(members)
    (path / INDEX).write_text(json.dumps(index))
    return path


# name: (file the index names for tensor "b", parts of the message)
ESCAPES = {
    "parent": ("../x.safetensors", ["tensor 'b'", "inside the directory", "'../x.safetensors'"]),
    "hidden parent": ("a/../../x.safetensors", ["inside the directory"]),
    "absolute": ("/etc/x.safetensors", ["inside the directory", "'/etc/x.safetensors'"]),
    "NUL": ("x\0.safetensors", ["inside the directory", r"'x\x00.safetensors'"]),
    "dot": ("./x.safetensors", ["inside the directory"]),
    "twice a slash": ("a//x.safetensors", ["inside the directory"]),
    "empty": ("", ["inside the directory", "''"]),
    "backslash": ("..\\x.safetensors", ["inside the directory"]),
    "another kind": ("x.bin", ["a .safetensors file", "'x.bin'"]),
    "missing": ("x.safetensors", ["x.safetensors'", "a file of the checkpoint", "no such file"]),
    "number": (7, ["map strings to strings", "found 7"]),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_refuses_an_index_whose_files_are_elsewhere(tmp_path: Path, name: str) -> None:
    file, parts = ESCAPES[name]
    write(tmp_path / "x.safetensors", TWO[1])
    path = write_directory(tmp_path / "m", TWO)
    first = "model-00001-of-00002.safetensors"
    edit_index(path, weight_map={"a": first, "b": file, "n": SECOND})
    with pytest.raises(CorruptFileError) as caught:
        open_checkpoint(path)
    for part in [str(path), "expected ", ", found ", *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("weight_map", "parts"),
    [
        (["a"], ["weight_map to be an object", "['a']"]),
        (None, ["weight_map to be an object", "None"]),
        ({}, ["a tensor in weight_map"]),
        (
            {"a": SECOND, "b": SECOND, "n": SECOND},
            [INDEX, "tensor 'a'", f"the tensor in '{SECOND}'", "no such tensor"],
        ),
    ],
)
def test_refuses_an_index_that_disagrees_with_its_files(tmp_path: Path, weight_map, parts) -> None:
    path = edit_index(write_directory(tmp_path / "m", TWO), weight_map=weight_map)
    with pytest.raises(CorruptFileError) as caught:
        open_checkpoint(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


WAY_OUT = "save it again (in transformers: save_pretrained)"


def test_an_index_as_an_allow_list_is_not_supported(tmp_path: Path) -> None:
    path = edit_index(
        write_directory(tmp_path / "m", TWO),
        weight_map={"a": "model-00001-of-00002.safetensors", "b": SECOND},
    )
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_checkpoint(path)
    for part in [f"{path}/{SECOND}' holds 'n', which {INDEX} does not list", "1 of 3", WAY_OUT]:
        assert part in str(caught.value)


def test_an_overlay_shard_is_not_supported(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "m", TWO)
    first = "model-00001-of-00002.safetensors"
    write(path / first, {**TWO[0], "b": np.zeros(1, "f4")})
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_checkpoint(path)
    for part in [f"the tensor 'b' is in '{first}' and in '{SECOND}'", INDEX, WAY_OUT, "own path"]:
        assert part in str(caught.value)


def test_refuses_an_index_that_is_no_sound_json(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "m", TWO)
    (path / INDEX).write_text('{"weight_map": {"a": "x", "a": "y"}}')
    with pytest.raises(CorruptFileError, match="the key 'a' twice"):
        open_checkpoint(path)


def test_refuses_a_config_that_is_no_sound_json(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "m", [ONE], extra={"config.json": "{,}"})
    with pytest.raises(CorruptFileError, match=r"config\.json.*valid JSON"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "name", ["model-00001-of-00002.safetensors", INDEX, "config.json", "t.txt"]
)
def test_refuses_links_that_lead_out(tmp_path: Path, name: str) -> None:
    path = write_directory(tmp_path / "m", TWO, extra={"config.json": "{}", "t.txt": ""})
    os.rename(path / name, tmp_path / "outside")
    os.symlink(tmp_path / "outside", path / name)
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_checkpoint(path)
    ways = f"is a link to '{tmp_path}/outside', outside the directory", f"(cp -rL {path} COPY)"
    for part in (f"'{path}/{name}'", *ways):
        assert part in str(caught.value)
    os.unlink(path / name)
    os.symlink(tmp_path / "nowhere", path / name)
    if name != "config.json":  # a link that leads nowhere is no config
        with pytest.raises((CorruptFileError, UnsupportedCheckpointError)):
            open_checkpoint(path)


def test_links_inside_are_followed(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "m", TWO)
    (path / "real").mkdir()
    os.rename(path / SECOND, path / "real" / "x")
    os.symlink("real/x", path / SECOND)
    assert len(open_checkpoint(path).tensors) == 3


def hub_cache(root: Path) -> Path:
    """A snapshot as huggingface_hub keeps it: links into the repository's own `blobs`."""
    path = write_directory(
        root / "models--o--m" / "snapshots" / "abc", TWO, extra={"config.json": "{}", "1/c": ""}
    )
    blobs = path.parent.parent / "blobs"
    blobs.mkdir()
    files = [file for file in path.rglob("*") if file.is_file()]
    for i, file in enumerate(files):
        os.rename(file, blobs / f"hash{i}")
        up = "../" * len(file.relative_to(path).parts)
        os.symlink(f"../{up}blobs/hash{i}", file)
    return path


def test_the_hub_caches_own_links_are_followed(tmp_path: Path) -> None:
    path = hub_cache(tmp_path)
    found = open_checkpoint(path)
    assert len(found.tensors) == 3
    assert found.extra_files == ("1/c",)


def test_links_that_only_look_like_the_hub_cache_are_refused(tmp_path: Path) -> None:
    path = hub_cache(tmp_path)
    for other in (tmp_path / "models--o--other" / "blobs", path.parent.parent / "blobs" / "deep"):
        other.mkdir(parents=True)
        write(other / "x", TWO[1])
        (path / SECOND).unlink()
        os.symlink(other / "x", path / SECOND)
        with pytest.raises(UnsupportedCheckpointError, match="is a link to"):
            open_checkpoint(path)


def test_blobs_beside_a_directory_that_is_no_snapshot_are_outside(tmp_path: Path) -> None:
    path = hub_cache(tmp_path)
    os.rename(path.parent, path.parent.parent / "revisions")
    with pytest.raises(UnsupportedCheckpointError, match="is a link to"):
        open_checkpoint(path.parent.parent / "revisions" / "abc")


def test_refuses_a_fifo_beside_the_weights(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "m", [ONE])
    os.mkfifo(path / "notes.txt")
    with pytest.raises(CorruptFileError, match=r"notes\.txt.*expected a regular file"):
        open_checkpoint(path)


def test_refuses_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(UnsupportedCheckpointError, match="no kind of checkpoint"):
        open_checkpoint(tmp_path / "x.gguf")


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN"])
def test_a_configuration_with_what_is_no_number_of_json_stays_as_it_is(
    tmp_path: Path, number: str
) -> None:
    """transformers writes "time_step_limit": [0.0, Infinity] for Mamba2."""
    text = f'{{"model_type":"mamba2",\n "dtype" : "float32", "limit": [0.0,   {number}], "b": 1e5}}'
    path = write_directory(
        tmp_path / "m", [{"a": np.ones((2, 2), "f4")}], extra={"config.json": text}
    )
    run(prepare(open_checkpoint(path), tmp_path / "out", "bfloat16"))
    out = (tmp_path / "out" / "config.json").read_text()
    assert out == text.replace("float32", "bfloat16")
    run(prepare(open_checkpoint(tmp_path / "out"), tmp_path / "again", "float32"))
    assert (tmp_path / "again" / "config.json").read_text() == text
