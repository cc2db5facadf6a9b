"""One chunk through one thread: read, cast, digested, written; failures say where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ...core.loss import Loss, loss_of
from ...errors import CorruptFileError
from ...kernels import cpu
from ...policy import ResolvedPolicy
from ..protocol import TensorInfo
from ..store.regular_files import read_error
from ..store.workspace import read_into, writing
from .chunking import Buffers, Chunk, Files

_READING: Final = 1
_WRITING: Final = 2


def read_chunk(
    files: Files, path: Path, tensor: TensorInfo, chunk: Chunk, buffer: memoryview
) -> memoryview:
    """The bytes of a chunk, in the buffer; one use of the file.

    Raises:
        ReadError: reading failed.
        CorruptFileError: the file ends early; it has changed since its header was read.
    """
    begin = chunk_offset(tensor, chunk)
    view = buffer[: tensor.bytes_of(chunk.n_elements)]
    try:
        n = read_into(files[path], view, begin)
    except OSError as error:
        raise read_error(error, path, begin, tensor=tensor.name) from error
    if n != len(view):
        raise _ended(path, tensor, begin + n, len(view) - n)
    files.release(path)
    return view


def cast_through(
    files: Files,
    path: Path,
    source: TensorInfo,
    out: Path | None,
    outs: Files | None,
    target: TensorInfo,
    policy: ResolvedPolicy,
    chunk: Chunk,
    buffers: Buffers,
    *,
    report: bool,
    collapses: bool = False,
) -> tuple[Loss, int]:
    """A chunk cast from its file into another, one use of the first; its loss, and the digest of
    what was written, which is meaningless once the policy has refused a value.

    Args:
        files, path, source: where the chunk comes from.
        out, outs, target: where it goes to; without `out` it is only measured.
        buffers: blocks to work in.
        report: see `core.block.cast_chunk`.
        collapses: count what `Loss.collapses` needs; `report` does too.

    Raises:
        ReadError, CorruptFileError: as `read_chunk`.
        DestinationError: a write failed.
    """
    begin, there = chunk_offset(source, chunk), chunk_offset(target, chunk)
    raw, end = cpu.stream_cast(
        _opened(files, path, source, begin),
        begin,
        _opened_for_writing(outs, out, target, there),
        there,
        buffers.source,
        buffers.target,
        source.numbers,
        target.numbers,
        policy,
        chunk.n_elements,
        chunk.first,
        report,
        collapses,
    )
    if end.stopped:
        _raise(end, path, source, chunk, begin, out, target, there)
    files.release(path)
    loss = loss_of(raw, source.numbers, target.numbers, policy, chunk.n_elements, report, collapses)
    return loss, end.digest


def copy_through(
    files: Files,
    path: Path,
    source: TensorInfo,
    out: Path | None,
    outs: Files | None,
    target: TensorInfo,
    chunk: Chunk,
    buffers: Buffers,
) -> int:
    """A chunk copied from its file into another, or without `out` only read; one use of the
    first. The digest of its bytes.

    Raises:
        ReadError, CorruptFileError: as `read_chunk`.
        DestinationError: a write failed.
    """
    begin, there = chunk_offset(source, chunk), chunk_offset(target, chunk)
    end = cpu.stream_copy(
        _opened(files, path, source, begin),
        begin,
        _opened_for_writing(outs, out, target, there),
        there,
        buffers.source,
        source.bytes_of(chunk.n_elements),
    )
    if end.stopped:
        _raise(end, path, source, chunk, begin, out, target, there)
    files.release(path)
    return end.digest


def chunk_offset(tensor: TensorInfo, chunk: Chunk) -> int:
    """Where a chunk of a tensor begins in its file."""
    return tensor.offset + tensor.bytes_of(chunk.first)


def _opened(files: Files, path: Path, tensor: TensorInfo, offset: int) -> int:
    try:
        return files[path]
    except OSError as error:
        raise read_error(error, path, offset, tensor=tensor.name) from error


def _opened_for_writing(
    files: Files | None, path: Path | None, tensor: TensorInfo, offset: int
) -> int | None:
    if files is None or path is None:
        return None
    with writing(path, tensor=tensor.name, offset=offset):
        return files[path]


def _raise(
    end: cpu.Streamed,
    path: Path,
    source: TensorInfo,
    chunk: Chunk,
    begin: int,
    out: Path | None,
    target: TensorInfo,
    there: int,
) -> None:
    """What stopped a chunk, as an exception."""
    failed = OSError(end.error, os.strerror(end.error))
    if end.stopped == _WRITING:
        assert out is not None
        with writing(out, tensor=target.name, offset=there):
            raise failed
    assert end.stopped == _READING
    if end.error:
        raise read_error(failed, path, begin, tensor=source.name) from failed
    missing = source.bytes_of(chunk.n_elements) - end.n_bytes_read
    raise _ended(path, source, begin + end.n_bytes_read, missing)


def _ended(path: Path, tensor: TensorInfo, offset: int, n_missing: int) -> CorruptFileError:
    return CorruptFileError(
        f"{str(path)!r}, tensor {tensor.name!r}, byte {offset}: expected {n_missing} more bytes, "
        "found the end of the file"
    )
