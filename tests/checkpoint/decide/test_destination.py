"""Where a conversion may write: never over its source, never over what is not said to go."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.decide import destination
from tensorcast.checkpoint.store import syscalls
from tensorcast.errors import DestinationError

ONE = {"a": np.ones(3, "f4")}
TWO = [ONE, {"b": np.ones(5, "f4")}]


def snapshot(root: Path) -> dict[str, object]:
    """Every name below, with content or link target."""
    return {
        str(path.relative_to(root)): (
            os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        )
        for path in sorted(root.rglob("*"))
    }


def refused(tmp_path: Path, source: Path, target: Path, match: str, *, force: bool) -> None:
    made = prepare(open_checkpoint(source), target, "bfloat16")
    before = snapshot(tmp_path)
    with pytest.raises(DestinationError, match=match):
        run(made, force=force)
    assert snapshot(tmp_path) == before


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "x.safetensors", ONE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_directory(tmp_path / "m", TWO, extra={"config.json": "{}"})


@pytest.mark.parametrize("force", [False, True])
def test_the_source_itself(tmp_path: Path, file: Path, directory: Path, force: bool) -> None:
    match = "source and destination are the same"
    refused(tmp_path, file, file, match, force=force)
    refused(tmp_path, directory, directory, match, force=force)
    refused(tmp_path, directory, tmp_path / "other" / ".." / "m", match, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_the_source_by_another_name(tmp_path: Path, file, directory, force: bool) -> None:
    match = "source and destination are the same"
    os.symlink("x.safetensors", tmp_path / "link.safetensors")
    os.link(file, tmp_path / "hard.safetensors")
    os.symlink("m", tmp_path / "n")
    refused(tmp_path, file, tmp_path / "link.safetensors", match, force=force)
    refused(tmp_path, tmp_path / "link.safetensors", file, match, force=force)
    refused(tmp_path, tmp_path / "link.safetensors", tmp_path / "link.safetensors", match,
            force=force)  # fmt: skip
    refused(tmp_path, file, tmp_path / "hard.safetensors", match, force=force)
    refused(tmp_path, directory, tmp_path / "n", match, force=force)
    refused(tmp_path, tmp_path / "n", directory, match, force=force)


@pytest.mark.parametrize("force", [False, True])
def test_inside_the_source(tmp_path: Path, directory: Path, force: bool) -> None:
    match = "lies inside the source"
    refused(tmp_path, directory, directory / "out", match, force=force)
    (directory / "sub").mkdir()
    os.symlink(directory / "sub", tmp_path / "away")
    refused(tmp_path, directory, tmp_path / "away" / "out", match, force=force)


def test_around_the_source(tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    source = write_directory(tmp_path / "outer" / "m", TWO)
    write(tmp_path / "outer" / "x.safetensors", ONE)
    refused(tmp_path, source, tmp_path / "outer", "which would be replaced", force=True)
    file = tmp_path / "outer" / "x.safetensors"
    made = prepare(open_checkpoint(file), tmp_path / "outer", "bf16", max_shard_size=100)
    with pytest.raises(DestinationError, match="which would be replaced"):
        run(made, force=True)
    assert file.exists()


def test_where_the_sources_links_lead(tmp_path: Path) -> None:
    source = write_directory(tmp_path / "r" / "snapshots" / "1", [ONE])
    blobs = tmp_path / "r" / "blobs"
    blobs.mkdir()
    os.rename(source / "model.safetensors", blobs / "h")
    os.symlink("../../blobs/h", source / "model.safetensors")
    refused(tmp_path, source, blobs, "which would be replaced", force=True)


def test_in_a_directory_that_is_missing(tmp_path: Path, file: Path) -> None:
    refused(tmp_path, file, tmp_path / "no" / "y.safetensors", "create it first", force=False)


def test_in_what_is_no_directory(tmp_path: Path, file: Path) -> None:
    other = write(tmp_path / "o.safetensors", ONE)
    refused(tmp_path, file, other / "y.safetensors", "o.safetensors' is no directory", force=False)
    with pytest.raises(DestinationError, match="'/dev/null' is no directory"):
        run(prepare(open_checkpoint(file), "/dev/null/y.safetensors", "bfloat16"))


def test_an_existing_one_needs_force(tmp_path: Path, file: Path, directory: Path) -> None:
    match = "exists; pass force=True"
    write(tmp_path / "y.safetensors", ONE)
    write_directory(tmp_path / "n", [ONE])
    (tmp_path / "empty").mkdir()
    refused(tmp_path, file, tmp_path / "y.safetensors", match, force=False)
    for name in ("n", "empty"):
        refused(tmp_path, directory, tmp_path / name, match, force=False)


def test_force_does_not_replace_what_is_no_checkpoint(tmp_path: Path, file, directory) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters").mkdir()
    refused(tmp_path, directory, tmp_path / "home", "holds no checkpoint", force=True)
    job = prepare(open_checkpoint(file), tmp_path / "d.safetensors", "bfloat16")
    (tmp_path / "d.safetensors").mkdir()  # there when it is prepared, the file would go into it
    with pytest.raises(DestinationError, match="is a directory and the result would be a file"):
        run(job, force=True)
    other = tmp_path / "y"
    other.write_text("mine")
    refused(tmp_path, directory, other, "is a file and the result would be a dir", force=True)


def test_force_replaces_a_checkpoint_wholly(tmp_path: Path, file, directory) -> None:
    old = write_directory(tmp_path / "n", [ONE], extra={"vocab.txt": "old", "a/config.json": ""})
    run(prepare(open_checkpoint(directory), old, "bfloat16"), force=True)
    assert sorted(os.listdir(old)) == sorted(os.listdir(directory))
    (tmp_path / "empty").mkdir()
    run(prepare(open_checkpoint(directory), tmp_path / "empty", "bfloat16"), force=True)
    assert sorted(os.listdir(tmp_path / "empty")) == sorted(os.listdir(directory))
    target = write(tmp_path / "y.safetensors", {"old": np.ones(9)})
    run(prepare(open_checkpoint(file), target, "bfloat16"), force=True)
    assert [t.name for t in open_checkpoint(target).tensors] == ["a"]
    assert sorted(os.listdir(tmp_path)) == ["empty", "m", "n", "x.safetensors", "y.safetensors"]


def test_force_replaces_a_link_not_what_it_leads_to(tmp_path: Path, file, directory) -> None:
    old = write_directory(tmp_path / "n", [ONE])
    os.symlink("n", tmp_path / "link")
    run(prepare(open_checkpoint(directory), tmp_path / "link", "bfloat16"), force=True)
    assert not (tmp_path / "link").is_symlink()
    assert os.listdir(old) == ["model.safetensors"]
    target = write(tmp_path / "y.safetensors", ONE)
    os.symlink("y.safetensors", tmp_path / "z.safetensors")
    run(prepare(open_checkpoint(file), tmp_path / "z.safetensors", "bfloat16"), force=True)
    assert open_checkpoint(target).tensors[0].format.name == "float32"
    assert not (tmp_path / "z.safetensors").is_symlink()


def test_the_old_one_lives_until_the_new_one_is_complete(tmp_path: Path, directory) -> None:
    old = write_directory(tmp_path / "n", [ONE], extra={"vocab.txt": "old"})
    before = snapshot(old)
    seen = []
    made = prepare(open_checkpoint(directory), old, "bfloat16")
    run(made, force=True, verify=True, progress=lambda p: seen.append(snapshot(old) == before))
    assert seen
    assert all(seen)
    assert not (old / "vocab.txt").exists()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("renames", [True, False], ids=["renameat2", "without"])
def test_nobodys_file_is_overwritten_in_a_race(
    tmp_path: Path, file, directory, force: bool, renames: bool, monkeypatch
) -> None:
    if not renames:
        monkeypatch.setattr(syscalls, "rename_new", lambda *_: False)
        monkeypatch.setattr(syscalls, "exchange", lambda *_: False)
    for source, target in ((file, tmp_path / "y.safetensors"), (directory, tmp_path / "n")):

        def appear(progress, target=target) -> None:
            if not target.exists():
                target.write_text("mine")

        made = prepare(open_checkpoint(source), target, "bfloat16")
        if force and source is file:
            run(made, force=True, progress=appear)
            assert len(open_checkpoint(target).tensors) == 1
            continue
        if force:
            continue  # a file where a directory shall be: found before the run only
        with pytest.raises(DestinationError, match="came into being during the run"):
            run(made, force=force, progress=appear)
        assert target.read_text() == "mine"
        target.unlink()
        assert run(made).resumed == tuple(shard.file for shard in made.shards)
    assert not [name for name in os.listdir(tmp_path) if "tensorcast" in name]


def test_an_empty_directory_that_appears_at_the_last_moment_stays(
    tmp_path: Path, directory: Path, monkeypatch
) -> None:
    """`os.rename` of a directory would replace it; the rename itself must refuse."""
    target = tmp_path / "n"
    real = syscalls.rename_new

    def rename_new(source: str, destination: str) -> bool:
        target.mkdir()
        return real(source, destination)

    if not real(str(tmp_path / "m"), str(tmp_path / "o")):
        pytest.skip("renameat2 is not there")
    os.rename(tmp_path / "o", tmp_path / "m")
    monkeypatch.setattr(syscalls, "rename_new", rename_new)
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (target.mkdir(), rename(a, b)))
    with pytest.raises(DestinationError, match="came into being during the run"):
        run(prepare(open_checkpoint(directory), target, "bfloat16"))
    assert os.listdir(target) == []


def test_too_little_space_is_found_before_the_first_byte(tmp_path, directory, monkeypatch) -> None:
    made = prepare(open_checkpoint(directory), tmp_path / "n", "bfloat16")
    needed, free = destination.space(made)
    assert needed > made.n_bytes_written
    assert free is not None
    monkeypatch.setattr(destination, "space", lambda job: (needed, needed - 1))
    refused(
        tmp_path, directory, tmp_path / "n",
        f"too little space for .*n': {needed:,} bytes are needed and {needed - 1:,} are free",
        force=False,
    )  # fmt: skip
    monkeypatch.setattr(destination, "space", lambda job: (needed, None))
    run(made)


def test_a_file_where_the_workspace_shall_be(tmp_path: Path, file: Path) -> None:
    from tensorcast.checkpoint.store.workspace import workspace_path

    place = workspace_path(str(tmp_path / "y.safetensors"))
    place.write_text("mine")
    refused(tmp_path, file, tmp_path / "y.safetensors", "is in the way", force=False)


def test_names_as_long_as_names_may_be(tmp_path: Path, file: Path) -> None:
    target = tmp_path / ("é" * 121 + ".safetensors")
    run(prepare(open_checkpoint(file), target, "bfloat16"))
    assert len(open_checkpoint(target).tensors) == 1
