"""One settled job at work in one workspace: resume, convert, verify, write the rest."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Final

from ...core.loss import Loss
from ...errors import CorruptFileError
from ..decide.destination import check_space
from ..decide.job import Job, Shard, as_dict
from ..folders.links import inside
from ..kinds import read_header
from ..store import syscalls
from ..store.regular_files import open_regular, reading
from ..store.workspace import Workspace, read_into, sync_directory, write_all, writing
from .refusals import refusal
from .worker import Converter, Progress, Report, may_collapse, retrace_steps

_COPY_BYTES: Final = 1 << 18


class RunningJob:
    """What is known while a job is executed; see `running.run` for the order of its methods."""

    def __init__(
        self,
        job: Job,
        workspace: Workspace,
        *,
        report: bool,
        threads: int,
        progress: Report | None,
    ) -> None:
        self.job = job
        self.root = workspace.new
        self.losses: dict[str, Loss] = {}
        self.resumed: list[str] = []
        self.n_bytes_read = 0
        self.n_bytes_written = 0
        self._workspace = workspace
        self._report = report
        self._threads = threads
        self._progress = progress
        self._steps: dict[str, list[int]] = {shard.file: [] for shard in job.shards}
        for index, step in enumerate(job.steps):
            self._steps[step.outputs[0].file].append(index)

    @property
    def product(self) -> Path:
        """What becomes the destination."""
        return self.root if self.job.directory else self.root / self.job.shards[0].file

    def resume(self) -> None:
        """Take up the shards that have receipts and are what they should be; remove all others.

        Raises:
            CheckpointError: the source cannot be read.
        """
        key = json.dumps([as_dict(self.job), self._report], sort_keys=True)
        said = self._workspace.resume(hashlib.sha256(key.encode()).hexdigest())
        for shard in self.job.shards:
            if shard.file in said and self._take_up(shard):
                self.resumed.append(shard.file)
        self._workspace.keep_only(set(self.resumed))

    def _take_up(self, shard: Shard) -> bool:
        """Whether the shard stands there as this run would write it; if so, its losses are known.

        A receipt only says where to look: anybody may have written it, and the file too.
        """
        path = self.root / shard.file
        wanted = self._steps[shard.file]
        try:
            if Path(os.path.realpath(path)) != Path(os.path.realpath(self.root)) / shard.file:
                return False  # a link leads there
            if not _has_header(path, self.job.layout(shard).header, shard.n_bytes):
                return False
        except (OSError, CorruptFileError):
            return False
        losses = retrace_steps(
            self.job,
            self.root,
            wanted,
            report=self._report,
            threads=self._threads,
            progress=self._progress,
        )
        if losses is None or any(losses[i].collapses for i in self._watched(wanted)):
            return False
        for index in wanted:
            step = self.job.steps[index]
            self.n_bytes_read += step.n_bytes_read
            if index in losses:
                self.losses[step.outputs[0].name] = losses[index]
        return True

    def _watched(self, steps: list[int]) -> list[int]:
        """The steps whose tensors are not to collapse."""
        return [i for i in steps if not self.job.request.raw and may_collapse(self.job.steps[i])]

    def convert(self, *, verify: bool) -> None:
        """Write and sync every shard that is not there yet, with a receipt for each.

        Args:
            verify: read their data back and compare it; that of the others was, by `resume`.

        Raises:
            TensorOverflowError, TensorNanError: the policy refuses values.
            TensorCollapseError: next to nothing would be left of a tensor.
            DestinationError: there is too little space, or a write failed.
            CorruptFileError: a shard does not read back as it was written.
        """
        job = self.job
        todo = [shard for shard in job.shards if shard.file not in self.resumed]
        there = sum(shard.n_bytes for shard in job.shards if shard.file in self.resumed)
        check_space(job, n_bytes_there=there)
        for shard in todo:
            self._prepare(shard)
        converter = Converter(job, self.root, report=self._report)

        def finish(file: str) -> None:
            with writing(self.root / file):
                _sync(self.root / file)
                sync_directory(self.root)
                self._workspace.add_receipt(file)

        converter.run(
            [shard.file for shard in todo],
            threads=self._threads,
            finish=finish,
            verify=verify,
            progress=self._progress,
        )
        if converter.failed:
            raise refusal(job, converter.failures(), threads=self._threads)
        for index, state in converter.states.items():
            step = job.steps[index]
            if state.loss is not None:
                self.losses[step.outputs[0].name] = state.loss
            self.n_bytes_read += step.n_bytes_read
        self.n_bytes_written += sum(shard.n_bytes for shard in todo)
        order = {step.outputs[0].name: index for index, step in enumerate(job.steps)}
        self.losses = dict(sorted(self.losses.items(), key=lambda item: order[item[0]]))

    def _prepare(self, shard: Shard) -> None:
        """The shard's file at its full size, its blocks reserved, its header written."""
        path = self.root / shard.file
        layout = self.job.layout(shard)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _create(path)
            try:
                syscalls.allocate(descriptor, shard.n_bytes)
                write_all(descriptor, layout.header, 0)
            finally:
                os.close(descriptor)

    def verify_headers(self) -> None:
        """Read the header of every shard back, by the strict reader.

        Raises:
            CorruptFileError: a header does not read back as it was made.
        """
        for shard in self.job.shards:
            layout = self.job.layout(shard)
            data_file, tensors = read_header(self.root / shard.file, shard.file)
            if tensors != layout.tensors or data_file.metadata != shard.metadata:
                raise CorruptFileError(
                    f"{str(self.root / shard.file)!r}: expected the header that was written, "
                    "found another; the destination was not touched"
                )

    def write_others(self) -> None:
        """The texts of the job and copies of the source's other files, on disk.

        Raises:
            DestinationError: a write failed.
        """
        if not self.job.directory:
            return
        if self._progress is not None:
            self._progress(Progress("finish", 0, 0))
        folders = {self.root}
        for name in (*self.job.texts, *self.job.extra_files):
            path = self.root / name
            text = self.job.texts.get(name)
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            if text is None:
                inside(self.job.root, name)
                self.n_bytes_written += _copy(self.job.root / name, path)
            else:
                with writing(path):
                    self.n_bytes_written += _write(path, text.encode("utf-8"))
        for folder in folders:
            with writing(folder):
                sync_directory(folder)


def _has_header(path: Path, header: bytes, n_bytes: int) -> bool:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:  # with another name elsewhere
        return False
    descriptor = open_regular(path)
    try:
        buffer = bytearray(len(header))
        n = read_into(descriptor, memoryview(buffer), 0)
        return os.fstat(descriptor).st_size == n_bytes and buffer[:n] == header
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _write(path: Path, data: bytes) -> int:
    descriptor = _create(path)
    try:
        write_all(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return len(data)


def _copy(source: Path, path: Path) -> int:
    """Copies a file of the source; the bytes.

    Raises:
        CheckpointError: reading failed.
        CorruptFileError: it changed meanwhile.
        DestinationError: writing failed.
    """
    with reading(source):
        original = open_regular(source)
    try:
        before = os.fstat(original)
        with writing(path):
            descriptor = _create(path)
        try:
            done = 0
            while piece := _piece(original, source, done):
                with writing(path):
                    write_all(descriptor, piece, done)
                done += len(piece)
            with writing(path):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        after = os.fstat(original)
    finally:
        os.close(original)
    if done != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
        raise CorruptFileError(
            f"{str(source)!r}: expected a file of {before.st_size} bytes that stays as it is, "
            f"found it changed while it was copied ({done} bytes); nothing was written"
        )
    return done


def _piece(descriptor: int, path: Path, offset: int) -> bytes:
    with reading(path, offset):
        return os.pread(descriptor, _COPY_BYTES, offset)
