"""Which files of a directory are converted: variants, adapters, pipelines, the Hub's cache."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import tensors_of, write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.files.weight_names import WeightName, index_of, weight_name
from tensorcast.checkpoint.work.running import Result
from tensorcast.errors import CheckpointError, UnsupportedCheckpointError

ONE = {"a": np.ones(8, "f4"), "b": np.full(8, 2, "f4")}
DIFFUSERS = "diffusion_pytorch_model"


def convert(source: Path, destination: Path, to: str = "bfloat16", **options) -> Result:
    return run(prepare(open_checkpoint(source), destination, to, **options))


def write_shards(path: Path, stem: str, variant: str | None, value: float = 1) -> Path:
    """Two shards and their index, as transformers and diffusers call them."""
    path.mkdir(parents=True, exist_ok=True)
    front = f"{stem}.{variant}" if variant else stem
    names = [f"{front}-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name, tensor in zip(names, ("a", "b"), strict=True):
        write(path / name, {tensor: np.full(8, value, "f4")}, {"format": "pt"})
    index = {"metadata": {}, "weight_map": dict(zip("ab", names, strict=True))}
    end = f".{variant}.json" if variant else ".json"
    (path / f"{stem}.safetensors.index{end}").write_text(json.dumps(index))
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("model.safetensors", ("model", None, False)),
        ("model.fp16.safetensors", ("model", "fp16", False)),
        ("model-00001-of-00002.safetensors", ("model", None, True)),
        ("model.fp16-00001-of-00002.safetensors", ("model", "fp16", True)),
        (f"{DIFFUSERS}-00001-of-00002.fp16.safetensors", (DIFFUSERS, "fp16", True)),
        (f"{DIFFUSERS}.non_ema.safetensors", (DIFFUSERS, "non_ema", False)),
        ("model.a.b.safetensors", ("model.a.b", None, False)),
        ("lora.v2.safetensors", ("lora.v2", None, False)),
        ("other-00001-of-00002.safetensors", ("other", None, True)),
        ("model.bin", None),
    ],
)
def test_what_a_name_says(name: str, said: tuple[str, str | None, bool] | None) -> None:
    assert weight_name(name) == (None if said is None else WeightName(*said))


def test_what_the_name_of_an_index_says() -> None:
    assert index_of("model.safetensors.index.json") == ("model", None, False)
    assert index_of("model.safetensors.index.fp16.json") == ("model", "fp16", False)
    assert index_of(f"{DIFFUSERS}.safetensors.fp16.index.json") == (DIFFUSERS, "fp16", False)
    assert index_of("pytorch_model.bin.index.json") is None


@pytest.mark.parametrize("stem", ["model", DIFFUSERS])
def test_a_variant_alone_is_split_under_the_names_that_are_looked_for(
    tmp_path: Path, stem: str
) -> None:
    (tmp_path / "m").mkdir()
    source = write(tmp_path / "m" / f"{stem}.fp16.safetensors", ONE)
    shards = [f"{stem}.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for path, out in ((source.parent, "o"), (source, "p")):  # by its directory, by its own path
        result = convert(path, tmp_path / out, max_shard_size=16)
        index = f"{stem}.safetensors.index.fp16.json"
        assert sorted(os.listdir(tmp_path / out)) == sorted([*shards, index])
        weight_map = json.loads((tmp_path / out / index).read_text())["weight_map"]
        assert weight_map == {"a": shards[0], "b": shards[1]}
        (warning,) = result.warnings
        assert warning == (
            "the files keep the name of the variant 'fp16' and hold bfloat16 now; load them with "
            "variant='fp16'"
        )


def test_shards_of_a_variant_alone_are_read(tmp_path: Path) -> None:
    source = write_shards(tmp_path / "m", "model", "fp16")
    result = convert(source, tmp_path / "o")
    assert sorted(os.listdir(tmp_path / "o")) == sorted(os.listdir(source))
    assert len(result.job.steps) == 2
    convert(source, tmp_path / "p", max_shard_size=1 << 20)
    assert os.listdir(tmp_path / "p") == ["model.fp16.safetensors"]


def test_a_variants_old_index_is_read_and_split_anew_under_the_new_name(tmp_path: Path) -> None:
    source = write_shards(tmp_path / "m", DIFFUSERS, "fp16")
    new, old = (f"{DIFFUSERS}.safetensors.{end}.json" for end in ("index.fp16", "fp16.index"))
    (source / new).rename(source / old)
    convert(source, tmp_path / "o")
    assert old in os.listdir(tmp_path / "o")
    convert(source, tmp_path / "p", max_shard_size=16)
    assert {new} == {name for name in os.listdir(tmp_path / "p") if name.endswith(".json")}
    (source / new).write_bytes((source / old).read_bytes())
    with pytest.raises(
        UnsupportedCheckpointError, match=rf"2 sets of weights.*leave one, as '{new}"
    ):
        open_checkpoint(source)


@pytest.mark.parametrize("variant", ["fp16", "non_ema"])
def test_a_variant_is_told_of_where_its_name_would_mislead(tmp_path: Path, variant: str) -> None:
    (tmp_path / "m").mkdir()
    write(tmp_path / "m" / f"model.{variant}.safetensors", ONE)
    source = open_checkpoint(tmp_path / "m")
    assert not prepare(source, tmp_path / "o", "float16").warnings  # half of what fp16 says
    assert bool(prepare(source, tmp_path / "o", "bfloat16").warnings) == (variant == "fp16")


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("stem", ["model", DIFFUSERS])
def test_a_variant_beside_the_plain_weights_is_left_out_whole(
    tmp_path: Path, stem: str, sharded: bool
) -> None:
    path = tmp_path / "m"
    if sharded:
        write_shards(path, stem, None, 1)
        plain = set(os.listdir(path))
        write_shards(path, stem, "fp16", 2)
    else:
        path.mkdir()
        write(path / f"{stem}.safetensors", ONE)
        plain = {f"{stem}.safetensors"}
        write(path / f"{stem}.fp16.safetensors", ONE)
    variant = set(os.listdir(path)) - plain
    result = convert(path, tmp_path / "o")
    assert set(os.listdir(tmp_path / "o")) == plain
    why = "another set of weights (the variant 'fp16'), not converted"
    assert result.skipped == dict.fromkeys(sorted(variant), why)


def test_several_variants_and_no_plain_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for variant in ("fp16", "bf16"):
        write(tmp_path / "m" / f"model.{variant}.safetensors", ONE)
    with pytest.raises(UnsupportedCheckpointError, match=r"several variants.*by its own path"):
        open_checkpoint(tmp_path / "m")


def test_the_weights_that_the_configuration_names(tmp_path: Path) -> None:
    extra = {"config.json": json.dumps({"transformers_weights": "own.safetensors"})}
    path = write_directory(tmp_path / "m", [{"stale": np.ones(2, "f4")}], extra=extra)
    write(path / "own.safetensors", ONE)
    source = open_checkpoint(path)
    assert set(source.by_name) == set(ONE)
    assert list(source.unconverted) == ["model.safetensors"]
    with pytest.raises(CheckpointError, match=r"names the weights 'own\.safetensors'.*leave out"):
        prepare(source, tmp_path / "o", "bfloat16", max_shard_size=16)


@pytest.mark.parametrize("stem", ["adapter_model", "pytorch_lora_weights"])
def test_an_adapter_is_not_split(tmp_path: Path, stem: str) -> None:
    (tmp_path / "m").mkdir()
    write(tmp_path / "m" / f"{stem}.safetensors", ONE)
    source = open_checkpoint(tmp_path / "m")
    with pytest.raises(CheckpointError, match=rf"in one file, '{stem}.*leave out max_shard_size"):
        prepare(source, tmp_path / "o", "bfloat16", max_shard_size=16)
    made = prepare(source, tmp_path / "o", "bfloat16", max_shard_size=1 << 20)
    assert [shard.file for shard in made.shards] == [f"{stem}.safetensors"]


def test_a_model_comes_before_what_lies_beside_it(tmp_path: Path) -> None:
    for name in ("model.safetensors", "model.fp16.safetensors", f"{DIFFUSERS}.safetensors"):
        path = tmp_path / name
        path.mkdir()
        for file in (name, "adapter_model.safetensors", "vae.safetensors"):
            write(path / file, ONE)
        found = open_checkpoint(path)
        assert [file.name for file in found.files] == [name]
        assert list(found.unconverted) == ["adapter_model.safetensors", "vae.safetensors"]


def test_refuses_two_sets_of_weights(tmp_path: Path) -> None:
    for stem in ("model", DIFFUSERS):
        path = write_shards(tmp_path / stem, stem, None)
        write(path / f"{stem}.safetensors", ONE)
        with pytest.raises(UnsupportedCheckpointError, match=r"two sets of weights.*own path"):
            open_checkpoint(path)


def test_refuses_a_shard_of_several_without_their_index(tmp_path: Path) -> None:
    path = write_shards(tmp_path / "m", "model", None)
    (path / "model.safetensors.index.json").unlink()
    (path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnsupportedCheckpointError, match="shards without an index that names them"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ([], "holds no safetensors weights"),
        (["pytorch_model.bin"], r"it has pytorch_model\.bin; only safetensors is read"),
        (["a.safetensors", "b.safetensors"], r"no model\.safetensors.*a\.safetensors"),
    ],
)
def test_refuses_directories_without_weights_it_can_tell(tmp_path: Path, names, match) -> None:
    for name in names:
        write(tmp_path / name, ONE)
    with pytest.raises(UnsupportedCheckpointError, match=match):
        open_checkpoint(tmp_path)


def test_refuses_a_pipeline_and_names_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    write_shards(path / "unet", DIFFUSERS, None)
    write_directory(path / "text_encoder", [ONE])
    (path / "scheduler").mkdir()
    (path / "model_index.json").write_text("{}")
    for single in ([], ["v1-5-pruned.safetensors"]):
        for name in single:
            write(path / name, ONE)
        with pytest.raises(UnsupportedCheckpointError) as caught:
            open_checkpoint(path)
        for part in ["a diffusers pipeline", "'text_encoder', 'unet'", "COPY", *single]:
            assert part in str(caught.value)


def test_refuses_a_folder_of_folders_with_weights(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write_directory(path / "0_Transformer", [ONE])
    write_directory(path / "a" / "b", [ONE])
    (path / "modules.json").write_text("[]")
    with pytest.raises(UnsupportedCheckpointError, match=r"'0_Transformer', 'a/b'.*own path"):
        open_checkpoint(path)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """As huggingface_hub keeps it: a snapshot of links into the repository's own blobs."""
    path = tmp_path / "hub" / "models--o--m"
    snapshot = path / "snapshots" / "abc"
    write_directory(snapshot, [ONE], extra={"config.json": "{}"})
    write_directory(snapshot / "unet", [ONE], extra={"config.json": "{}", "deep/er/c.txt": "x"})
    (path / "blobs").mkdir()
    (path / "refs").mkdir()
    (path / "refs" / "main").write_text("abc")
    for i, file in enumerate(sorted(f for f in snapshot.rglob("*") if f.is_file())):
        os.rename(file, path / "blobs" / f"hash{i}")
        os.symlink(os.path.relpath(path / "blobs" / f"hash{i}", file.parent), file)
    return path


def assert_converted(out: Path) -> None:
    assert not [file for file in out.rglob("*") if file.is_symlink()]
    written = tensors_of(out / "model.safetensors")
    assert {name: dtype for name, (dtype, _, _) in written.items()} == dict.fromkeys(ONE, "BF16")


def test_a_snapshot_and_its_folders(repository: Path, tmp_path: Path) -> None:
    snapshot = repository / "snapshots" / "abc"
    os.symlink(snapshot, tmp_path / "link")
    os.symlink(snapshot / "unet", tmp_path / "unet")
    for i, source in enumerate([snapshot, snapshot / "unet", tmp_path / "link", tmp_path / "unet"]):
        convert(source, tmp_path / f"o{i}")
        assert_converted(tmp_path / f"o{i}")
        assert (tmp_path / f"o{i}" / "unet" / "config.json").exists() == (i % 2 == 0)


def test_one_file_that_is_a_link(repository: Path, tmp_path: Path) -> None:
    source = repository / "snapshots" / "abc" / "unet" / "model.safetensors"
    os.symlink(source, tmp_path / "own.safetensors")  # a link to a link
    for i, path in enumerate([source, tmp_path / "own.safetensors"]):
        convert(path, tmp_path / f"o{i}.safetensors")
        assert tensors_of(tmp_path / f"o{i}.safetensors")["a"][0] == "BF16"
    with pytest.raises(UnsupportedCheckpointError, match=r"does not end in \.safetensors.*ln -s"):
        open_checkpoint(Path(os.path.realpath(source)))


def test_the_folder_of_a_repository_names_its_snapshots(repository: Path) -> None:
    write_directory(repository / "snapshots" / "aaa", [ONE])
    with pytest.raises(UnsupportedCheckpointError) as caught:
        open_checkpoint(repository)
    snapshots = [f"'{repository}/snapshots/{name}'" for name in ("abc", "aaa")]  # main first
    assert "in the Hub's cache" in str(caught.value)
    assert str(caught.value).endswith(", ".join(snapshots))
    for folder in (repository.parent, repository / "snapshots"):
        with pytest.raises(UnsupportedCheckpointError, match=r"but folders below it do: '.*abc"):
            open_checkpoint(folder)


def test_blobs_on_another_disk_name_the_way_out(repository: Path, tmp_path: Path) -> None:
    os.rename(repository / "blobs", tmp_path / "other disk")
    os.symlink(tmp_path / "other disk", repository / "blobs")
    snapshot = repository / "snapshots" / "abc"
    match = rf"is a link to '{tmp_path}/other disk/hash.*\(cp -rL {snapshot} COPY\)"
    with pytest.raises(UnsupportedCheckpointError, match=match):
        open_checkpoint(snapshot)
    os.system(f"cp -rL {snapshot} {tmp_path}/COPY")  # what it says does it
    assert len(open_checkpoint(tmp_path / "COPY").tensors) == 2


def test_a_farm_of_links_names_the_way_out(tmp_path: Path) -> None:
    real = write_directory(tmp_path / "real", [ONE])
    (tmp_path / "farm").mkdir()
    os.symlink(real / "model.safetensors", tmp_path / "farm" / "model.safetensors")
    match = rf"outside the directory.*cp -rL .*or the directory where they are, '{real}'"
    with pytest.raises(UnsupportedCheckpointError, match=match):
        open_checkpoint(tmp_path / "farm")


def test_oversized_tensors_are_told_of(tmp_path: Path) -> None:
    tensors = {"small": np.ones(2, "f4"), "large": np.ones(100, "f4"), "huge": np.ones(200, "f4")}
    source = open_checkpoint(write(tmp_path / "m.safetensors", tensors))
    made = prepare(source, tmp_path / "o", "bfloat16", max_shard_size=100)
    (warning,) = made.warnings
    assert warning == (
        "2 files are larger than 100 B, for a tensor is never split: "
        "m-00001-of-00003.safetensors (200 B: 'large'), "
        "m-00002-of-00003.safetensors (400 B: 'huge')"
    )
    assert not prepare(source, tmp_path / "o", "bfloat16", max_shard_size=400).warnings
