"""A format of files is one module and one line: the rest of the package asks the list."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path

import pytest
from cli.program import Run

from tensorcast.checkpoint import kinds, prepare, run
from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint.decide.job import Job
from tensorcast.checkpoint.files.strict_json import corrupt, parse_object
from tensorcast.checkpoint.protocol import (
    DataFile,
    FileFormat,
    Layout,
    TensorInfo,
    TensorSpec,
)
from tensorcast.errors import (
    CorruptFileError,
    DestinationError,
    FormatError,
    UnsupportedCheckpointError,
)
from tensorcast.formats import FORMATS, Format

# | b"TOY\n" | JSON: {name: [format, shape]} | b"\n" | data, in the order of the names |
MAGIC = b"TOY\n"


def read_header(path: Path, name: str) -> tuple[DataFile, tuple[TensorInfo, ...]]:
    status = os.stat(path)
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise corrupt(path, expected="TOY", found="something else", offset=0)
        line = file.readline(1 << 20)
    place, tensors = 4 + len(line), []
    for tensor, (format, shape) in parse_object(line, path, offset=4).items():  # type: ignore
        info = TensorInfo(tensor, FORMATS[format], tuple(shape), name, place, 0)
        size = FORMATS[format].n_bytes(info.n_elements)
        tensors.append(TensorInfo(tensor, FORMATS[format], tuple(shape), name, place, size))
        place += size
    if place != status.st_size:
        raise corrupt(path, expected=f"{place} bytes", found=f"{status.st_size} bytes")
    digest = hashlib.sha256(line).hexdigest()
    identity = DataFile(name, status.st_size, status.st_mtime_ns, status.st_ino, digest)
    return identity, tuple(tensors)


class ToyWriter:
    max_header_bytes = 1 << 20

    def holds(self, format: Format) -> bool:
        return format.bits % 8 == 0

    def entry_bytes(self, spec: TensorSpec) -> int:
        return len(spec.name) + 100

    def lay_out(
        self, file: str, tensors: list[TensorSpec], metadata: dict[str, str] | None
    ) -> Layout:
        table = {spec.name: [spec.format.name, list(spec.shape)] for spec in tensors}
        header = MAGIC + json.dumps(table).encode() + b"\n"
        place, placed = len(header), []
        for spec in tensors:
            info = TensorInfo(spec.name, spec.format, spec.shape, file, place, 0)
            size = spec.format.n_bytes(info.n_elements)
            placed.append(TensorInfo(spec.name, spec.format, spec.shape, file, place, size))
            place += size
        return Layout(header, tuple(placed), place)


def begins_like_one(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == MAGIC


TOY = FileFormat("toy", ".toy", read_header, begins_like_one, ToyWriter())
VALUES = struct.pack("<4f", 1.0, -2.5, 0.375, 65536.0)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "FILES", (*kinds.FILES, TOY))


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "a.toy"
    header = {"w": ["float32", [2, 2]], "n": ["int64", []]}
    path.write_bytes(MAGIC + json.dumps(header).encode() + b"\n" + VALUES + struct.pack("<q", 7))
    return path


def test_a_registered_format_is_opened(toy: Path, tmp_path: Path) -> None:
    found = open_checkpoint(toy)
    assert (found.kind, found.root, found.n_bytes) == ("toy", tmp_path, 24)
    assert [(t.name, t.format.name, t.shape) for t in found.tensors] == [
        ("w", "float32", (2, 2)),
        ("n", "int64", ()),
    ]
    with toy.open("ab") as file:
        file.write(b"x")
    with pytest.raises(CorruptFileError, match=r"expected .* bytes"):
        open_checkpoint(toy)


def test_it_is_inspected(toy: Path) -> None:
    from tensorcast.report.inspection import lines

    text = "\n".join(
        "".join(span.text for span in line)
        for line in lines(open_checkpoint(toy), width=100, full=False, losses=None)
    )
    assert "toy file" in text
    assert "float32" in text


@pytest.mark.parametrize("ending", [".toy", ".safetensors"])
def test_it_is_converted(toy: Path, tmp_path: Path, ending: str) -> None:
    job = prepare(toy, tmp_path / f"b{ending}", to="bfloat16")
    assert job.source_kind == "toy"
    assert Job.from_json(job.to_json()) == job
    result = run(Job.from_json(job.to_json()), verify=True)
    assert result.losses["w"].n_overflow == 0
    found = open_checkpoint(tmp_path / f"b{ending}")
    assert found.kind == ending[1:]
    tensor = found.by_name["w"]
    assert tensor.format.name == "bfloat16"
    data = (tmp_path / f"b{ending}").read_bytes()[tensor.offset :][: tensor.n_bytes]
    assert data == bytes.fromhex("803f 20c0 c03e 8047")
    assert found.by_name["n"].format.name == "int64"


def test_safetensors_becomes_it(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    header = json.dumps({"w": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + VALUES)
    run(prepare(tmp_path / "a.safetensors", tmp_path / "b.toy", to="bfloat16"))
    assert open_checkpoint(tmp_path / "b.toy").by_name["w"].format.name == "bfloat16"
    with pytest.raises(FormatError, match="toy cannot hold float4_e2m1fn"):
        prepare(tmp_path / "a.safetensors", tmp_path / "c.toy", to="float4_e2m1fn")


def test_refusals_know_it(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "x.other").write_bytes(b"nothing")
    with pytest.raises(
        UnsupportedCheckpointError, match=r"a \.safetensors file, a \.toy file, or a directory"
    ):
        open_checkpoint(tmp_path / "x.other")
    toy.rename(tmp_path / "a.data")
    with pytest.raises(UnsupportedCheckpointError, match=r"like a toy file.* end in \.toy"):
        open_checkpoint(tmp_path / "a.data")
    (tmp_path / "a.data").rename(toy)
    with pytest.raises(DestinationError, match=r"end in \.safetensors or \.toy"):
        prepare(toy, tmp_path / "b.other", to="bfloat16")


def test_the_help_of_commands_names_the_kinds(tensorcast: Run) -> None:
    said = "a safetensors file or a toy file or a Hugging Face directory"
    assert kinds.kinds_in_words() == said
    for command in ("inspect", "convert"):  # in a process that knows no toy
        shown = " ".join(tensorcast(command, "--help").stdout.split())
        assert "a safetensors file or a Hugging Face directory" in shown
