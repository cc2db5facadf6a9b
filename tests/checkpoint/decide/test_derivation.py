"""A job is a file that anybody may have edited: nothing in it is carried out that does not follow
from its source and its request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint.handmade import write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.decide.job import Job
from tensorcast.checkpoint.decide.rules import Rule
from tensorcast.errors import CheckpointError, CorruptFileError
from tensorcast.formats import FORMATS

SHARDS = [
    {"a": np.arange(8, dtype="f4"), "n": np.arange(3)},
    {"b": np.arange(6, dtype="f4")},
]
FIRST = "model-00001-of-00002.safetensors"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {"config.json": '{"dtype": "float32"}', "vocab.txt": "v", "x.onnx": ""}
    return write_directory(tmp_path / "m", SHARDS, extra=files)


def prepared(source: Path, destination: Path, **options: Any) -> dict[str, Any]:
    options = {"rules": [Rule("n", FORMATS["int32"])], **options}
    members: dict[str, Any] = json.loads(
        prepare(open_checkpoint(source), destination, "bfloat16", **options).to_json()
    )
    return members


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def leaves(node: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to every value, containers too."""
    yield where
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*where, key))


def changes(value: Any) -> list[Any]:
    """Other values, of the same type and of others."""
    if isinstance(value, bool):
        return [not value, None, 1]
    if isinstance(value, int):
        return [value + 1, -1, float(value), 10**400, True, None, str(value)]
    if isinstance(value, str):
        return [value + "x", "../x", "/x", "", "\0", "\ud800", None, 3, [value]]
    if isinstance(value, list):
        return [value[:-1], [*value, *value[:1]], [*value, "../x"], value[::-1], None, {}]
    if isinstance(value, dict):
        first = next(iter(value), None)
        return [
            {key: each for key, each in value.items() if key != first},
            value | {"../x": "evil"},
            None,
            [],
        ]
    return ["x", 0, False]


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_no_edited_value_is_carried_out(source: Path, tmp_path: Path, kind: str) -> None:
    place, target = source, tmp_path / "out"
    if kind == "file":
        place, target = source / FIRST, tmp_path / "o.safetensors"
    sound = prepared(place, target)
    before = names(tmp_path)
    n = 0
    for where in leaves(sound):
        if not where or where[0] in ("destination", "n_bytes_read", "n_bytes_written"):
            continue  # another place is a sound job for there; the sums are read by nobody
        for change in changes(_at(sound, where)):
            edited = deepcopy(sound)
            _at(edited, where[:-1])[where[-1]] = change
            if edited == sound and repr(edited) == repr(sound):
                continue
            with pytest.raises((CheckpointError, FileNotFoundError)):
                run(Job.from_json(json.dumps(edited)))
            assert names(tmp_path) == before, where
            n += 1
    assert n > 400
    run(Job.from_json(json.dumps(sound)))
    assert target.exists()


def _at(node: Any, where: tuple[Any, ...]) -> Any:
    for key in where:
        node = node[key]
    return node


def refusal(members: dict[str, Any]) -> str:
    with pytest.raises(CheckpointError) as caught:
        run(Job.from_json(json.dumps(members)))
    return str(caught.value)


def test_the_difference_is_named(source: Path, tmp_path: Path) -> None:
    edited = prepared(source, tmp_path / "out")
    offset = edited["steps"][0]["inputs"][0]["offset"]
    edited["steps"][0]["inputs"][0]["offset"] += 4
    edited["texts"]["../x"] = "evil"
    said = refusal(edited)
    tensor = edited["steps"][0]["outputs"][0]["name"]
    assert (
        f"steps[0] ('{tensor}').inputs[0].offset: the job says {offset + 4}, the source gives "
        f"{offset}" in said
    )
    assert "texts.../x: the job has it, the source gives no such entry" in said
    assert said.splitlines()[-1].startswith("Prepare it again: ")
    assert "a job is not for editing" in said


def test_long_texts_are_shown_where_they_differ(source: Path, tmp_path: Path) -> None:
    (source / "config.json").write_text(json.dumps({"dtype": "float32", "x": "y" * 5000, "z": 1}))
    edited = prepared(source, tmp_path / "out")
    edited["texts"]["config.json"] = edited["texts"]["config.json"].replace('"z": 1', '"z": 2')
    said = refusal(edited)
    assert '"z": 2' in said
    assert '"z": 1' in said
    assert len(said) < 1000


def test_many_differences_are_not_all_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.safetensors", {f"t{i}": np.ones(2, "f4") for i in range(500)})
    edited = prepared(path, tmp_path / "o.safetensors", rules=[])
    for step in edited["steps"]:
        step["outputs"][0]["format"] = "float16"
    assert len(refusal(edited).splitlines()) < 10


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda m: m.update(source="m"), "source: expected an absolute path"),
        (lambda m: m.update(source=m["source"] + "/../m"), "source: expected an absolute path"),
        (lambda m: m.update(destination="out"), "destination: expected an absolute path"),
        (lambda m: m.update(destination=m["destination"] + "\0"), "expected an absolute path"),
        (lambda m: m.update(destination=m["destination"] + "\ud800"), "expected an absolute path"),
        (lambda m: m.update(schema=True), 'with "schema": 1, found True'),
        (lambda m: m.update(schema=1.0), 'with "schema": 1, found 1.0'),
        (lambda m: m.update(schema=0), 'with "schema": 1, found 0; prepare it again'),
        (lambda m: m.update(extra=1), "expected no other field, found 'extra'"),
        (lambda m: m["request"].pop("nan"), "request: expected the field 'nan'"),
        (lambda m: m["request"].update(seed=-1), "a job is not for editing"),
        (lambda m: m["request"].update(seed=1 << 64), "a job is not for editing"),
        (lambda m: m["request"].update(max_shard_size=0), "max_shard_size is in bytes"),
        (lambda m: m["request"].update(to="int4"), "safetensors cannot hold int4"),
        (lambda m: m["request"].update(to="bf16"), "request.to: expected the name of a number fo"),
        (lambda m: m["request"].update(overflow="wrap"), "request.overflow: expected one of"),
        (lambda m: m["steps"].pop(), "steps: the job has 2 entries, the source gives 3"),
        (lambda m: m["steps"][1]["inputs"].clear(), "('a').inputs: the job has 0 entries"),
    ],
)
def test_what_is_said_of_it(
    source: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    edited = prepared(source, tmp_path / "out")
    edit(edited)
    before = names(tmp_path)
    assert said in refusal(edited)
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"kind": "job", "kind": "job"}',
        b'{"kind": NaN}',
        b'{"kind": 1e999}',
        b'{"kind": ' + b"9" * 5000 + b"}",
        b'{"a": ' * 100_000,
        b'{"a":' + b"[" * 100_000,
        b'{"kind": "job", "schema": 1, "source": "\xff"}',
        b"null",
        b"{",
    ],
    ids=range(11),
)
def test_text_that_is_no_job(text: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"no job|expected a job") as caught:
        Job.from_json(text)
    assert len(str(caught.value)) < 400


def test_bytes_and_blanks_in_front_are_read_too(source: Path, tmp_path: Path) -> None:
    made = prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    assert Job.from_json(b"\n " + made.to_json().encode()) == made


def test_an_object_that_was_changed_is_refused_like_a_file(source: Path, tmp_path: Path) -> None:
    made = prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    made.texts["../x"] = "evil"
    with pytest.raises(CheckpointError, match="no such entry"):
        run(made)
    made = prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    with pytest.raises(CheckpointError, match="extra_files"):
        run(replace(made, extra_files=("../x",)))
    for other in ("job.json", None, made.to_json()):
        with pytest.raises(CheckpointError, match="expected a job from"):
            run(other)


@pytest.mark.parametrize("change", ["config", "a new file", "index", "gone"])
def test_a_source_that_changed_beside_its_weights(source: Path, tmp_path: Path, change) -> None:
    made = prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    if change == "config":
        (source / "config.json").write_text('{"dtype": "float32", "new": 1}')
    elif change == "a new file":
        (source / "merges.txt").write_text("")
    elif change == "index":
        index = source / "model.safetensors.index.json"
        index.write_text(index.read_text().replace('"total_size"', '"by": 1, "total_size"'))
    else:
        (source / "vocab.txt").unlink()
    before = names(tmp_path)
    with pytest.raises(CheckpointError, match="Prepare it again: the source has changed"):
        run(made)
    assert names(tmp_path) == before


def test_weights_that_changed_are_said_to_have(source: Path, tmp_path: Path) -> None:
    made = prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    os.utime(source / FIRST, ns=(1, 1))
    with pytest.raises(CorruptFileError, match="as it was prepared, found another mtime_ns; prep"):
        run(made)


def test_paths_are_taken_for_checkpoints(source: Path, tmp_path: Path) -> None:
    assert prepare(str(source), tmp_path / "out", "bfloat16") == prepare(
        open_checkpoint(source), tmp_path / "out", "bfloat16"
    )
    for other in (3, None, [source], b"x"):
        with pytest.raises(CheckpointError, match=r"the path of a checkpoint, or what .*, found"):
            prepare(other, tmp_path / "out", "bfloat16")
