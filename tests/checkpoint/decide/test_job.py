"""The job: data that says everything, the same after JSON, made without touching anything."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import header_of, write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare
from tensorcast.checkpoint.decide.job import Job
from tensorcast.checkpoint.decide.rules import Rule
from tensorcast.checkpoint.decide.shards import split
from tensorcast.checkpoint.files.safetensors import MAX_HEADER_BYTES, SafetensorsWriter
from tensorcast.checkpoint.files.weight_names import shard_names
from tensorcast.checkpoint.protocol import TensorSpec
from tensorcast.errors import CheckpointError
from tensorcast.formats import FORMATS

JOB_KEYS = [each.name for each in dataclasses.fields(Job)]
INDEX = "model.safetensors.index.json"
SHARDS = [
    {"z": np.ones((4, 4), "f4"), "ids": np.arange(3)},
    {"a": np.ones(10, "f8"), "é": np.ones(3, "f2")},
]


@pytest.fixture
def source(tmp_path: Path):
    return open_checkpoint(
        write_directory(
            tmp_path / "m",
            SHARDS,
            extra={"config.json": '{\n  "dtype": "float32"\n}\n', "vocab.txt": "x"},
            index_metadata={"total_size": 999, "total_parameters": 32, "by": "me"},
        )
    )


def test_says_what_goes_where(source, tmp_path: Path) -> None:
    made = prepare(source, tmp_path / "out", "bfloat16", rules=[Rule("a", None)])
    assert (made.source, made.destination) == (str(tmp_path / "m"), str(tmp_path / "out"))
    rows = [
        (s.inputs[0].name, str(s.inputs[0].format), str(s.outputs[0].format),
         s.outputs[0].file, s.outputs[0].n_bytes, s.kept)
        for s in made.steps
    ]  # fmt: skip
    one, two = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    assert rows == [
        ("ids", "int64", "int64", one, 24, "not a floating format"),
        ("z", "float32", "bfloat16", one, 32, None),
        ("a", "float64", "float64", two, 80, "the rule 'keep a'"),
        ("é", "float16", "bfloat16", two, 6, None),
    ]
    assert [shard.file for shard in made.shards] == [one, two]
    assert made.extra_files == ("vocab.txt",)
    assert made.n_bytes_read == 64 + 24 + 80 + 6
    assert all(step.policy is None or step.policy.overflow == "raise" for step in made.steps)
    assert all(step.decoder is None and len(step.inputs) == 1 for step in made.steps)


def test_nothing_is_touched(source, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    prepare(source, tmp_path / "out", "bfloat16")
    assert sorted(tmp_path.rglob("*")) == before


def test_is_equal_after_json(source, tmp_path: Path) -> None:
    made = prepare(
        source,
        tmp_path / "out",
        "float8_e4m3fn",
        rules=[Rule("*é*", None), Rule("z", FORMATS["float16"])],
        overflow="saturate",
        rounding="stochastic",
        nan="zero",
        seed=(1 << 64) - 1,
        max_shard_size=100,
    )
    text = made.to_json()
    assert text.isascii()
    assert json.loads(text)["kind"] == "job"
    assert Job.from_json(text) == made
    assert Job.from_json(text).to_json() == text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "this is no job"),
        ("[]", "this is no job: .*expected JSON starting with '{'"),
        ("{}", "found none; prepare it again"),
        ('{"kind": "job", "schema": 2}', "found 2; prepare it again"),
        (
            '{"kind": "job", "schema": 1}',
            "the job is damaged: expected the field 'source', found none",
        ),
        (
            json.dumps(dict.fromkeys(JOB_KEYS, 3) | {"kind": "job", "schema": 1}),
            "the job is damaged: source: expected a string, found 3; prepare it again",
        ),
    ],
)
def test_refuses_what_is_no_job(text: str, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        Job.from_json(text)


def test_a_changed_job_no_longer_fits_together(source, tmp_path: Path) -> None:
    members = json.loads(prepare(source, tmp_path / "out", "bfloat16").to_json())
    members["steps"][1]["outputs"][0]["offset"] += 8
    changed = Job.from_json(json.dumps(members))
    with pytest.raises(CheckpointError, match=r"offsets for 'model-00001-of-00002\.safetensors'"):
        changed.layout(changed.shards[0])


def test_the_index_is_rewritten(source, tmp_path: Path) -> None:
    index = json.loads(prepare(source, tmp_path / "out", "bfloat16").texts[INDEX])
    one, two = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    assert index == {
        "metadata": {"total_size": 32 + 24 + 20 + 6, "total_parameters": 32, "by": "me"},
        "weight_map": {"z": one, "ids": one, "a": two, "é": two},
    }


def test_the_index_of_unchanged_names_differs_in_its_total_alone(source, tmp_path: Path) -> None:
    text = prepare(source, tmp_path / "out", "bfloat16").texts[INDEX]
    before = (source.path / INDEX).read_text()
    assert text.replace('"total_size": 82', '"total_size": 999') == before.replace("\\u00e9", "é")


def test_config_and_index_are_texts_of_the_job(source, tmp_path: Path) -> None:
    texts = prepare(source, tmp_path / "out", "bfloat16").texts
    assert set(texts) == {"config.json", INDEX}
    assert texts["config.json"] == '{\n  "dtype": "bfloat16"\n}\n'


@pytest.mark.parametrize("config", ['{"dtype": "bfloat16"}', '{\n "dtype":"bfloat16"}\n', "{}"])
def test_texts_that_stay_are_copied(tmp_path: Path, config: str) -> None:
    path = write_directory(
        tmp_path / "m",
        [{"a": np.ones(8, "f2")}, {"b": np.ones(8, "f2")}],
        extra={"config.json": config},
        index_metadata={"total_size": 32},
    )
    made = prepare(open_checkpoint(path), tmp_path / "out", "bfloat16")
    assert made.texts == {}  # 16 bits as before: the index says the same too
    assert made.extra_files == ("config.json", INDEX)
    made = prepare(open_checkpoint(path), tmp_path / "out", "float32")
    assert set(made.texts) == ({INDEX} if config == "{}" else {INDEX, "config.json"})


def test_resharding_names_files_and_index(source, tmp_path: Path) -> None:
    made = prepare(source, tmp_path / "out", "bfloat16", max_shard_size=40)
    names = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert [shard.file for shard in made.shards] == names
    assert json.loads(made.texts[INDEX])["weight_map"] == {
        "z": names[0], "ids": names[1], "a": names[2], "é": names[2],
    }  # fmt: skip
    assert {s.outputs[0].name: s.outputs[0].n_bytes for s in made.steps} == {
        "z": 32, "ids": 24, "a": 20, "é": 6,
    }  # fmt: skip
    made = prepare(source, tmp_path / "out", "bfloat16", max_shard_size=1 << 20)
    assert [shard.file for shard in made.shards] == ["model.safetensors"]
    assert INDEX not in made.texts
    assert made.shards[0].metadata == {"format": "pt"}


def test_one_file_can_be_split_into_a_directory(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", {"a": np.ones(8, "f4"), "b": np.ones(8, "f4")})
    made = prepare(open_checkpoint(path), tmp_path / "out", "bfloat16", max_shard_size=16)
    assert made.directory
    assert len(made.shards) == 2
    assert set(made.texts) == {INDEX}
    assert not prepare(open_checkpoint(path), tmp_path / "o.safetensors", "bfloat16").directory


@pytest.mark.parametrize("size", [1, 8, 39, 40, 41, 64, 100, 10_000])
def test_splits_as_huggingface_hub_does(size: int) -> None:
    pytest.importorskip("huggingface_hub", reason="the huggingface_hub library")
    rng = np.random.default_rng(size)
    sizes = {f"t{i}": int(n) for i, n in enumerate(rng.integers(0, 64, 40))}
    specs = [TensorSpec(name, FORMATS["uint8"], (n,)) for name, n in sizes.items()]
    found = [[spec.name for spec in shard] for shard in split(specs, size, SafetensorsWriter())]

    from huggingface_hub.serialization._base import split_state_dict_into_shards_factory

    expected = split_state_dict_into_shards_factory(
        {name: (n,) for name, n in sizes.items()},
        get_storage_size=lambda tensor: tensor[0],
        get_storage_id=lambda tensor: None,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=size,
    )
    assert found == list(expected.filename_to_tensors.values())
    assert list(expected.filename_to_tensors) == shard_names("model", len(found))


def test_metadata_of_files_that_are_merged(tmp_path: Path) -> None:
    path = write_directory(tmp_path / "m", SHARDS)
    one, two = (path / f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    write(one, SHARDS[0], {"format": "pt", "a": "1"})
    write(two, SHARDS[1], {"format": "pt", "a": "2", "b": "3"})
    made = prepare(open_checkpoint(path), tmp_path / "out", "bfloat16", max_shard_size=1 << 20)
    assert made.shards[0].metadata == {"format": "pt", "a": "1", "b": "3"}
    assert made.warnings == ("the files' metadata differ in 'a'; every shard gets '1'",)


def test_a_file_without_metadata_gets_none(tmp_path: Path) -> None:
    for metadata in (None, {}):
        path = write(tmp_path / "x.safetensors", {"a": np.ones(1, "f4")}, metadata)
        made = prepare(open_checkpoint(path), tmp_path / "y.safetensors", "bfloat16")
        assert made.shards[0].metadata == metadata
        assert (b"__metadata__" in made.layout(made.shards[0]).header) == (metadata == {})
        assert made.shards[0].file == "y.safetensors"
        assert len(header_of(path)) > 8


def test_refuses_a_shard_size_of_nothing(source, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="max_shard_size is in bytes and above 0, not 0"):
        prepare(source, tmp_path / "out", "bfloat16", max_shard_size=0)


def test_seeds_differ_by_tensor_and_do_not_depend_on_the_run(source, tmp_path: Path) -> None:
    def seeds(seed: int) -> list[int]:
        made = prepare(source, tmp_path / "o", "bfloat16", rounding="stochastic", seed=seed)
        return [step.policy.seed for step in made.steps if step.policy]

    assert seeds(0) == seeds(0)
    assert len({*seeds(0), *seeds(1)}) == 6


@pytest.mark.parametrize("most", [400, 1000, 5000])
def test_a_shard_is_full_when_its_header_is(most: int) -> None:
    rng = np.random.default_rng(most)
    names = ["w" * int(n) + f"\u00e9.{i}" for i, n in enumerate(rng.integers(1, 60, 200))]
    shapes = [tuple(int(n) for n in rng.integers(0, 1 << 20, i % 4)) for i in range(200)]
    specs = [
        TensorSpec(n, FORMATS["float8_e4m3fnuz"], s) for n, s in zip(names, shapes, strict=True)
    ]
    shards = split(specs, 1 << 62, SafetensorsWriter(), told=MAX_HEADER_BYTES - most)
    assert [spec for shard in shards for spec in shard] == specs
    lengths = [len(SafetensorsWriter().lay_out("x", shard, None).header) for shard in shards]
    assert max(lengths) <= most + 16
    assert len(shards) < 3 * sum(lengths) / most + 2
