"""One settled plan at work in one workspace: resume, convert, verify, write the rest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from ..errors import CorruptFileError
from ..loss import Loss
from . import syscalls
from .convert import (
    Converter,
    Progress,
    Report,
    digest_steps,
    may_collapse,
    tensor_digest,
)
from .destination import check_space
from .links import inside
from .plan import Plan, Shard
from .plan_data import as_dict
from .refusal import refusal
from .safetensors import open_regular, read_header
from .workspace import Workspace, read_into, sync_directory, write_all, writing

_COPY_BYTES: Final = 1 << 18


class Job:
    """What is known while a plan is executed; see `run.run` for the order of its methods."""

    def __init__(
        self,
        plan: Plan,
        workspace: Workspace,
        *,
        report: bool,
        threads: int,
        progress: Report | None,
    ) -> None:
        self.plan = plan
        self.root = workspace.new
        self.losses: dict[str, Loss] = {}
        self.resumed: list[str] = []
        self.n_bytes_read = 0
        self.n_bytes_written = 0
        self._workspace = workspace
        self._report = report
        self._threads = threads
        self._progress = progress
        self._steps: dict[str, list[int]] = {shard.file: [] for shard in plan.shards}
        for index, step in enumerate(plan.steps):
            self._steps[step.outputs[0].file].append(index)

    @property
    def product(self) -> Path:
        """What becomes the destination."""
        return self.root if self.plan.directory else self.root / self.plan.shards[0].file

    # -- shards an earlier run finished --------------------------------------------------------

    def resume(self) -> None:
        """Take up the shards whose receipts and bytes agree; remove all others."""
        key = json.dumps([as_dict(self.plan), self._report], sort_keys=True)
        receipts = self._workspace.resume(hashlib.sha256(key.encode()).hexdigest())
        by_file = {str(receipt["file"]): receipt for receipt in receipts}
        for shard in self.plan.shards:
            if shard.file in by_file and self._take_up(shard, by_file[shard.file]):
                self.resumed.append(shard.file)
        self._workspace.keep_only(set(self.resumed))

    def _take_up(self, shard: Shard, receipt: dict[str, Any]) -> bool:
        """Whether the shard stands there as its receipt says; if so, its losses are known."""
        path = self.root / shard.file
        wanted = self._steps[shard.file]
        try:
            if not _has_header(path, self.plan.layout(shard).header, shard.n_bytes):
                return False
            digests = digest_steps(
                self.plan,
                self.root,
                wanted,
                phase="resume",
                threads=self._threads,
                progress=self._progress,
            )
            found = {self.plan.steps[i].outputs[0].name: tensor_digest(digests[i]) for i in wanted}
            if found != receipt["digests"]:
                return False
            losses = {name: Loss(**members) for name, members in receipt["losses"].items()}
            # None: a receipt of an older tensorcast, which did not count it
            names = [self.plan.steps[i].outputs[0].name for i in self._watched(wanted)]
            if any(losses[name].collapses is not False for name in names):
                return False
        except (OSError, CorruptFileError, KeyError, TypeError, AttributeError):
            return False
        self.losses.update(losses)
        return True

    def _watched(self, steps: list[int]) -> list[int]:
        """The steps whose tensors are not to collapse."""
        return [i for i in steps if not self.plan.request.raw and may_collapse(self.plan.steps[i])]

    # -- converting ----------------------------------------------------------------------------

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
        plan = self.plan
        todo = [shard for shard in plan.shards if shard.file not in self.resumed]
        there = sum(shard.n_bytes for shard in plan.shards if shard.file in self.resumed)
        check_space(plan, n_bytes_there=there)
        for shard in todo:
            self._prepare(shard)
        converter = Converter(plan, self.root, report=self._report)

        def finish(file: str) -> None:
            with writing(self.root / file):
                _sync(self.root / file)
                sync_directory(self.root)
                self._workspace.add_receipt(self._receipt(converter, file))

        converter.run(
            [shard.file for shard in todo],
            threads=self._threads,
            finish=finish,
            verify=verify,
            progress=self._progress,
        )
        if converter.failed:
            raise refusal(plan, converter.failures(), threads=self._threads)
        for index, state in converter.states.items():
            step = plan.steps[index]
            if state.loss is not None:
                self.losses[step.outputs[0].name] = state.loss
            self.n_bytes_read += step.inputs[0].n_bytes
        self.n_bytes_written += sum(shard.n_bytes for shard in todo)
        order = {step.outputs[0].name: index for index, step in enumerate(plan.steps)}
        self.losses = dict(sorted(self.losses.items(), key=lambda item: order[item[0]]))

    def _prepare(self, shard: Shard) -> None:
        """The shard's file at its full size, its blocks reserved, its header written."""
        path = self.root / shard.file
        layout = self.plan.layout(shard)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _create(path)
            try:
                syscalls.allocate(descriptor, shard.n_bytes)
                write_all(descriptor, layout.header, 0)
            finally:
                os.close(descriptor)

    def _receipt(self, converter: Converter, file: str) -> dict[str, Any]:
        digests: dict[str, str] = {}
        losses: dict[str, dict[str, Any]] = {}
        for index in self._steps[file]:
            name, state = self.plan.steps[index].outputs[0].name, converter.states[index]
            digests[name] = tensor_digest(state.digests)
            if state.loss is not None:
                losses[name] = dict(vars(state.loss))
        return {"file": file, "digests": digests, "losses": losses}

    # -- verifying -----------------------------------------------------------------------------

    def verify_headers(self) -> None:
        """Read the header of every shard back, by the strict reader.

        Raises:
            CorruptFileError: a header does not read back as it was made.
        """
        for shard in self.plan.shards:
            layout = self.plan.layout(shard)
            data_file, tensors = read_header(self.root / shard.file, shard.file)
            if tensors != layout.tensors or data_file.metadata != shard.metadata:
                raise CorruptFileError(
                    f"{str(self.root / shard.file)!r}: expected the header that was written, "
                    "found another; the destination was not touched"
                )

    # -- everything else -----------------------------------------------------------------------

    def write_others(self) -> None:
        """The texts of the plan and copies of the source's other files, on disk.

        Raises:
            DestinationError: a write failed.
        """
        if not self.plan.directory:
            return
        if self._progress is not None:
            self._progress(Progress("finish", 0, 0))
        folders = {self.root}
        for name in (*self.plan.texts, *self.plan.extra_files):
            path = self.root / name
            text = self.plan.texts.get(name)
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
                if text is None:
                    inside(self.plan.root, name)
                    self.n_bytes_written += _copy(self.plan.root / name, path)
                else:
                    self.n_bytes_written += _write(path, text.encode("utf-8"))
        for folder in folders:
            with writing(folder):
                sync_directory(folder)


def _has_header(path: Path, header: bytes, n_bytes: int) -> bool:
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
    reading = open_regular(source)
    try:
        descriptor = _create(path)
        try:
            done = 0
            while piece := os.pread(reading, _COPY_BYTES, done):
                write_all(descriptor, piece, done)
                done += len(piece)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    finally:
        os.close(reading)
    return done
