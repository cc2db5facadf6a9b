"""The chunks of a job: converted, measured, and looked at again."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ...core.loss import Loss
from ...core.refusal import n_ended_infinities, n_out_of_range
from ...errors import CheckpointError, CorruptFileError
from ...judgement import can_collapse
from ...policy import ResolvedPolicy
from ..decide.job import Job, Step
from .chunking import Buffers, Chunk, Files, chunk_elements, chunks, n_chunks, work_off
from .stream import cast_through, chunk_offset, copy_through

Phase = Literal["measure", "resume", "convert", "verify", "finish", "compare"]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: "measure" (looking for tensors to keep), "resume" (checking finished shards),
            "convert", "verify" (reading back), "finish" (other files, the last rename), "compare".
        n_bytes_done, n_bytes_total: of the phase, in bytes read.
        file: the shard last finished, or "".
    """

    phase: Phase
    n_bytes_done: int
    n_bytes_total: int
    file: str = ""


_WRITEBACK_BYTES: Final = 1 << 27
"""Bytes read between two requests to start writing back, so that fsync finds less to do."""

_NOWHERE: Final = Path(os.devnull)
"""Written to where only the digest of a cast is wanted, which is one of what is written."""

Report = Callable[[Progress], None]


@dataclass
class TensorState:
    """One step under way: the losses of its chunks merged in their order, and their digests."""

    digests: bytearray
    loss: Loss | None = None
    next: int = 0
    waiting: dict[int, Loss] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the losses of all chunks are merged."""
        return 8 * self.next == len(self.digests)

    def add(self, number: int, loss: Loss) -> None:
        """Take the loss of one chunk; chunks may come in any order."""
        self.waiting[number] = loss
        while self.next in self.waiting:
            later = self.waiting.pop(self.next)
            self.loss = later if self.loss is None else self.loss.merge(later)
            self.next += 1


def per_chunk(step: Step) -> int:
    """Elements per chunk of a step."""
    return chunk_elements(*step.inputs, *step.outputs)


def step_chunks(steps: Sequence[Step], wanted: Sequence[int]) -> Iterator[Chunk]:
    """The chunks of the wanted steps, in order."""
    for index in wanted:
        step = steps[index]
        yield from chunks(index, step.outputs[0].n_elements, per_chunk(step))


def _uses(job: Job, paths: Mapping[int, Path]) -> Iterator[tuple[Path, int]]:
    """How many chunks of each step are read from its path."""
    for index, path in paths.items():
        step = job.steps[index]
        yield path, n_chunks(step.outputs[0].n_elements, per_chunk(step))


def may_collapse(step: Step) -> bool:
    """Whether a step is to be watched: it casts, and its formats let it collapse a tensor."""
    if step.policy is None:
        return False
    return can_collapse(step.inputs[0].numbers, step.outputs[0].numbers, step.policy)


def fails(policy: ResolvedPolicy, loss: Loss) -> bool:
    """Whether a cast with this loss is refused by its policy."""
    infinite = policy.inf == "raise" and n_ended_infinities(loss, policy) > 0
    lost = policy.nan == "raise" and loss.n_nan_lost > 0
    return n_out_of_range(loss, policy) > 0 or infinite or lost


def measure_steps(
    job: Job,
    wanted: Sequence[int],
    *,
    report: bool,
    threads: int,
    progress: Report | None = None,
) -> dict[int, Loss]:
    """What casting the wanted steps would lose, with nothing written.

    Args:
        report: everything a `Loss` can tell, or only the cheap counts.
    """
    states = {index: TensorState(bytearray()) for index in wanted}
    paths = {index: job.root / job.steps[index].inputs[0].file for index in wanted}
    total = sum(job.steps[index].inputs[0].n_bytes for index in wanted)
    done = _Counter()

    with Files(_uses(job, paths)) as files:

        def work(chunk: Chunk, buffers: Buffers) -> None:
            step = job.steps[chunk.step]
            source, policy = step.inputs[0], step.policy
            assert policy is not None
            path, target = paths[chunk.step], step.outputs[0]
            loss, _ = cast_through(
                files,
                path,
                source,
                None,
                None,
                target,
                policy,
                chunk,
                buffers,
                report=report,
                collapses=may_collapse(step),
            )
            with done.lock:
                states[chunk.step].add(chunk.number, loss)
                done.n_bytes += source.bytes_of(chunk.n_elements)

        def tick() -> None:
            if progress is not None:
                progress(Progress("measure", done.n_bytes, total))

        work_off(
            work,
            step_chunks(job.steps, wanted),
            buffers=Buffers.block,
            threads=threads,
            tick=tick,
            wake=threading.Event(),
        )
    losses = {index: state.loss for index, state in states.items()}
    return {index: loss for index, loss in losses.items() if loss is not None}


def retrace_steps(
    job: Job,
    root: Path,
    wanted: Sequence[int],
    *,
    report: bool,
    threads: int,
    progress: Report | None = None,
) -> dict[int, Loss] | None:
    """What casting the wanted steps loses, if their outputs stand in `root` as the casts give
    them; None if any bit there is another, or a policy refuses a value.

    No file is written: the source is cast once more and only the digests are compared, so that
    whoever wrote those files, and whatever is said of them, they are what they should be.

    Raises:
        CheckpointError: the source cannot be read.
    """
    states = {index: TensorState(bytearray()) for index in wanted}
    sources = {index: job.root / job.steps[index].inputs[0].file for index in wanted}
    targets = {index: root / job.steps[index].outputs[0].file for index in wanted}
    total = sum(job.steps[index].inputs[0].n_bytes for index in wanted)
    done = _Counter()
    different = threading.Event()

    with (
        Files(_uses(job, sources)) as originals,
        Files(_uses(job, targets)) as products,
        Files(flags=os.O_WRONLY) as nowhere,
    ):

        def work(chunk: Chunk, buffers: Buffers) -> None:
            if different.is_set():
                return
            step = job.steps[chunk.step]
            source, target, policy = step.inputs[0], step.outputs[0], step.policy
            origin, path = sources[chunk.step], targets[chunk.step]
            loss: Loss | None = None
            if policy is None:
                expected = copy_through(
                    originals, origin, source, None, None, target, chunk, buffers
                )
            else:
                loss, expected = cast_through(
                    originals,
                    origin,
                    source,
                    _NOWHERE,
                    nowhere,
                    target,
                    policy,
                    chunk,
                    buffers,
                    report=report,
                    collapses=may_collapse(step),
                )
            found: int | None = None
            with suppress(CheckpointError):
                found = copy_through(products, path, target, None, None, target, chunk, buffers)
            if found != expected or (policy and loss and fails(policy, loss)):
                different.set()
            with done.lock:
                if loss is not None:
                    states[chunk.step].add(chunk.number, loss)
                done.n_bytes += source.bytes_of(chunk.n_elements)

        def tick() -> None:
            if progress is not None:
                progress(Progress("resume", done.n_bytes, total))

        work_off(
            work,
            step_chunks(job.steps, wanted),
            buffers=Buffers.block,
            threads=threads,
            tick=tick,
            wake=threading.Event(),
        )
    if different.is_set():
        return None
    losses = {index: state.loss for index, state in states.items()}
    return {index: loss for index, loss in losses.items() if loss is not None}


class Converter:
    """Writes the steps of unfinished shards into files that stand ready, shard after shard, and
    reads them back."""

    def __init__(self, job: Job, root: Path, *, report: bool) -> None:
        """
        Args:
            job: what to do.
            root: where the shards stand, at full size and with their headers.
            report: whether to ask for the full `Loss`.
        """
        self.job = job
        self.root = root
        self.report = report
        self.states: dict[int, TensorState] = {}
        self.failed = False
        self._sources: dict[int, Path] = {}
        self._targets: dict[int, Path] = {}
        self._done = _Counter()
        self._verified = _Counter()
        self._finished: deque[str] = deque()
        self._written: dict[Path, threading.Event] = {}
        self._wake = threading.Event()

    def run(
        self,
        shards: Sequence[str],
        *,
        threads: int,
        finish: Callable[[str], None],
        verify: bool,
        progress: Report | None,
    ) -> None:
        """Write the named shards.

        Args:
            finish: called in this thread with a shard's file when all of it is written, while
                the next one is being written.
            verify: compare what is read back from the files with the digests of what was written.
                This begins when all is written, and goes on while the last shard is finished.

        Raises:
            CorruptFileError: a shard does not read back as it was written.

        When a policy refuses a tensor, or a tensor collapses, nothing more is written, `failed` is
        set, and the remaining tensors are measured, so that `states` knows every tensor that fails.
        """
        job = self.job
        source_root = job.root
        names = set(shards)
        wanted = [i for i, step in enumerate(job.steps) if step.outputs[0].file in names]
        for index in wanted:
            step = job.steps[index]
            n = n_chunks(step.outputs[0].n_elements, per_chunk(step))
            self.states[index] = TensorState(bytearray(8 * n))
            names.discard(step.outputs[0].file)
            self._sources[index] = source_root / step.inputs[0].file
            self._targets[index] = self.root / step.outputs[0].file
        self._finished.extend(sorted(names))  # shards without tensors
        self._written = {path: threading.Event() for path in self._targets.values()}
        total = sum(job.steps[index].inputs[0].n_bytes for index in wanted)
        n_to_verify = sum(job.steps[index].outputs[0].n_bytes for index in wanted)
        last = ""
        started = 0
        verifying = False

        def write(chunk: Chunk, buffers: Buffers) -> None:
            try:
                self._write(chunk, buffers, sources, targets)
            except BaseException:
                self.failed = True  # nobody waits for what will not be written
                for written in self._written.values():
                    written.set()
                raise

        def check(chunk: Chunk, buffers: Buffers) -> None:
            self._check(chunk, buffers, products)

        def todo() -> Iterator[tuple[Callable[[Chunk, Buffers], None], Chunk]]:
            for chunk in step_chunks(job.steps, wanted):
                yield write, chunk
            for chunk in step_chunks(job.steps, wanted if verify else ()):
                yield check, chunk

        def tick() -> None:
            nonlocal last, started, verifying
            while self._finished and not self.failed:
                last = self._finished.popleft()
                finish(last)
            if self._done.n_bytes // _WRITEBACK_BYTES > started:
                started = self._done.n_bytes // _WRITEBACK_BYTES
                targets.start_writing()
            if progress is None:
                return
            if not verifying:
                verifying = verify and self._done.n_bytes == total
                progress(Progress("convert", self._done.n_bytes, total, last))
            if verifying and not self.failed:
                progress(Progress("verify", self._verified.n_bytes, n_to_verify))

        with (
            Files(_uses(job, self._sources)) as sources,
            Files(_uses(job, self._targets), flags=os.O_WRONLY) as targets,
            Files(_uses(job, self._targets)) as products,
        ):
            work_off(
                lambda piece, buffers: piece[0](piece[1], buffers),
                todo(),
                buffers=Buffers.block,
                threads=threads,
                tick=tick,
                wake=self._wake,
            )

    def _write(self, chunk: Chunk, buffers: Buffers, sources: Files, targets: Files) -> None:
        n = self._one(self.job.steps[chunk.step], chunk, buffers, sources, targets)
        with self._done.lock:
            self._done.n_bytes += n
        path = self._targets[chunk.step]
        if targets.release(path):
            self._finished.append(self.job.steps[chunk.step].outputs[0].file)
            self._written[path].set()
            self._wake.set()

    def _check(self, chunk: Chunk, buffers: Buffers, products: Files) -> None:
        """One chunk read back; others may still be under way in its file."""
        path, tensor = self._targets[chunk.step], self.job.steps[chunk.step].outputs[0]
        self._written[path].wait()
        if self.failed:
            return
        digest = copy_through(products, path, tensor, None, None, tensor, chunk, buffers)
        expected = _get(self.states[chunk.step].digests, chunk.number)
        if digest != expected:
            offset = chunk_offset(tensor, chunk)
            raise CorruptFileError(
                f"{str(path)!r}, tensor {tensor.name!r}, byte {offset}: expected bytes with XXH3 "
                f"{expected:016x}, found {digest:016x}: the disk does not give back what was "
                "written; the destination was not touched"
            )
        with self._verified.lock:
            self._verified.n_bytes += tensor.bytes_of(chunk.n_elements)

    def _one(
        self, step: Step, chunk: Chunk, buffers: Buffers, sources: Files, targets: Files
    ) -> int:
        """One chunk from end to end; the bytes read."""
        source, target, policy = step.inputs[0], step.outputs[0], step.policy
        path, out = self._sources[chunk.step], self._targets[chunk.step]
        state = self.states[chunk.step]
        n_bytes = source.bytes_of(chunk.n_elements)
        if policy is None:
            if self.failed:
                return 0
            digest = copy_through(sources, path, source, out, targets, target, chunk, buffers)
        else:
            loss, digest = cast_through(
                sources,
                path,
                source,
                None if self.failed else out,
                targets,
                target,
                policy,
                chunk,
                buffers,
                report=self.report,
                collapses=may_collapse(step),
            )
            with self._done.lock:
                state.add(chunk.number, loss)
                collapses = state.is_whole and self._collapses(state)
            if collapses or fails(policy, loss):
                self.failed = True
        _put(state.digests, chunk.number, digest)
        return n_bytes

    def failures(self) -> list[int]:
        """The steps whose policy refuses their values, or that collapse."""
        return [
            index
            for index, state in sorted(self.states.items())
            if state.loss is not None
            and (policy := self.job.steps[index].policy) is not None
            and (fails(policy, state.loss) or self._collapses(state))
        ]

    def _collapses(self, state: TensorState) -> bool:
        return not self.job.request.raw and state.loss is not None and bool(state.loss.collapses)


def _put(digests: bytearray, number: int, digest: int) -> None:
    digests[8 * number : 8 * number + 8] = digest.to_bytes(8, "little")


def _get(digests: bytearray, number: int) -> int:
    return int.from_bytes(digests[8 * number : 8 * number + 8], "little")


class _Counter:
    """Bytes done, under the lock that guards the other shared numbers too."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.n_bytes = 0
