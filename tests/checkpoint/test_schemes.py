"""Blocks that carry their scales have a place: bytes and chunks are counted by them, they are
shown, copied and compared, and not cast as if they were numbers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

import tensorcast as tc
from tensorcast.checkpoint import kinds, protocol
from tensorcast.checkpoint.protocol import (
    DataFile,
    FileFormat,
    Layout,
    Stored,
    TensorInfo,
    TensorSpec,
)
from tensorcast.checkpoint.work import chunking
from tensorcast.errors import UnsupportedCheckpointError
from tensorcast.formats import FORMATS, Format


@dataclass(frozen=True)
class Blocks:
    """32 codes of int8 behind their scale in float16, as a row of schemes would say it."""

    name: str = "blocks_of_32"
    numbers: Format = FORMATS["float32"]
    block_elements: int = 32

    def n_bytes(self, n_elements: int) -> int:
        assert n_elements % 32 == 0
        return n_elements // 32 * 34


BLOCKS = Blocks()
N = 1 << 17


def read_header(path: Path, name: str) -> tuple[DataFile, tuple[TensorInfo, ...]]:
    """A file of no header: a tensor in blocks, then four numbers."""
    status = os.stat(path)
    identity = DataFile(name, status.st_size, status.st_mtime_ns, status.st_ino, "")
    return identity, placed(name, [TensorSpec("w", BLOCKS, (N // 64, 64)), FOUR])


FOUR = TensorSpec("four", FORMATS["float32"], (4,))


def placed(file: str, specs: list[TensorSpec]) -> tuple[TensorInfo, ...]:
    found, offset = [], 0
    for spec in specs:
        found.append(TensorInfo(spec.name, spec.format, spec.shape, file, offset, spec.n_bytes))
        offset += spec.n_bytes
    return tuple(found)


class BlockWriter:
    max_header_bytes = 0

    def holds(self, format: Stored) -> bool:
        return True

    def entry_bytes(self, spec: TensorSpec) -> int:
        return 0

    def lay_out(
        self, file: str, tensors: list[TensorSpec], metadata: dict[str, str] | None
    ) -> Layout:
        found = placed(file, tensors)
        return Layout(b"", found, found[-1].offset + found[-1].n_bytes)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    blocks = FileFormat("blocks", ".blocks", read_header, lambda path: False, BlockWriter())
    monkeypatch.setattr(kinds, "FILES", (*kinds.FILES, blocks))
    monkeypatch.setitem(protocol.SCHEMES, BLOCKS.name, BLOCKS)
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 12)
    path = tmp_path / "a.blocks"
    path.write_bytes(os.urandom(N // 32 * 34) + bytes(16))
    return path


def test_bytes_and_chunks_are_counted_by_the_blocks(source: Path) -> None:
    found = tc.inspect(source)
    tensor, four = found.tensors
    assert (tensor.n_elements, tensor.n_bytes, four.offset) == (N, N // 32 * 34, N // 32 * 34)
    assert not tensor.is_plain
    assert tensor.numbers.name == "float32"
    assert chunking.chunk_elements(tensor) == (1 << 12) // 34 * 32
    both = chunking.chunk_elements(tensor, TensorInfo("x", FORMATS["float32"], (N,), "", 0, 4 * N))
    assert both == (1 << 12) // 128 * 32
    assert "blocks_of_32  1 tensor" in str(found)
    from tensorcast.report.inspection import lines
    from tensorcast.words.text import plain

    shown = "\n".join(plain(line) for line in lines(found, width=100, full=True))
    assert "blocks_of_32" in shown


def test_they_are_copied_and_compared(source: Path, tmp_path: Path) -> None:
    job = tc.checkpoint.prepare(source, tmp_path / "b.blocks", to="float32", keep="w")
    assert job.n_bytes_read == N // 32 * 34 + 16
    again = tc.checkpoint.Job.from_json(job.to_json())
    assert again == job
    assert again.steps[0].inputs[0].format is BLOCKS
    result = tc.checkpoint.run(again, verify=True)
    assert result.n_bytes_read == job.n_bytes_read
    assert (tmp_path / "b.blocks").read_bytes() == source.read_bytes()
    assert tc.diff(source, tmp_path / "b.blocks").equal
    with (tmp_path / "b.blocks").open("r+b") as file:
        file.seek(5000)
        file.write(bytes([source.read_bytes()[5000] ^ 1]))
    row = tc.diff(source, tmp_path / "b.blocks").tensors[0]
    assert not row.equal
    assert row.n_different is None


def test_they_are_not_cast_without_their_scales(source: Path, tmp_path: Path) -> None:
    for raw in (False, True):
        with pytest.raises(UnsupportedCheckpointError, match="'w' is stored as blocks_of_32"):
            tc.convert(source, tmp_path / "b.blocks", to="bfloat16", raw=raw)
    assert not (tmp_path / "b.blocks").exists()
    from tensorcast.checkpoint.work.losses import measure

    assert list(measure(source)) == ["four"]
