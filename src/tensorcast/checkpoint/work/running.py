"""Execute a job: the thin shell around decisions made elsewhere."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field

from ...core.loss import Loss
from ...core.refusal import n_ended_infinities, n_out_of_range
from ...errors import CorruptFileError
from ...policy import ends_infinities
from ...words.summary import brief
from ..decide.derivation import derive
from ..decide.destination import check_place, check_replaceable
from ..decide.job import Job, Step
from ..decide.preparing import prepare_again
from ..errors import Interrupted, TensorCollapseError, TensorNanError, TensorOverflowError
from ..opening import open_checkpoint
from ..store.regular_files import open_regular, reading
from ..store.workspace import Workspace
from ..wording import casts_of, of_result
from .chunking import n_threads
from .running_job import RunningJob
from .worker import Report, fails, measure_steps


@dataclass(frozen=True)
class Result:
    """What a run did.

    Attributes:
        job: the job that was executed; under overflow="keep", with its kept tensors.
        losses: by tensor that was cast; the full `Loss` with report=True, else its counts.
        kept: tensors left in their source format because the target does not hold them, with
            the reason.
        skipped: files of the source directory left behind, with the reason.
        warnings: of the job and of the run.
        n_bytes_read, n_bytes_written: tensor data read, and bytes of the files written, in
            this run.
        seconds: it took.
        verified: whether the written files were read back and compared.
        resumed: shards an earlier, stopped run had finished.
    """

    job: Job
    losses: dict[str, Loss] = field(hash=False)
    kept: dict[str, str] = field(hash=False)
    skipped: dict[str, str] = field(hash=False)
    warnings: tuple[str, ...]
    n_bytes_read: int
    n_bytes_written: int
    seconds: float
    verified: bool
    resumed: tuple[str, ...]

    def __repr__(self) -> str:
        job = self.job
        return brief(self, job.destination, casts_of(job))

    def __str__(self) -> str:
        return str(of_result(self))

    def _repr_html_(self) -> str:
        return of_result(self)._repr_html_()


def run(
    job: Job,
    *,
    force: bool = False,
    verify: bool = False,
    report: bool = False,
    threads: int | None = None,
    progress: Report | None = None,
) -> Result:
    """Convert the job's source; the destination appears complete, in one step, or not at all.

    Args:
        job: from `prepare`, or read with `Job.from_json`. It is made again from its
            source and its request, and has to be equal.
        force: replace an existing destination; it lives until the new one is complete.
        verify: read the written files back and compare them with what the casts gave.
        report: the full `Loss` of every tensor, not only its counts.
        threads: see `chunking.n_threads`.
        progress: called in this thread with a `Progress`, some times a second.

    Raises:
        TensorOverflowError, TensorNanError: the policy refuses values; every tensor concerned
            is named, with the format that would hold it.
        TensorCollapseError: next to nothing would be left of a tensor (`Loss.collapses`), and the
            job is not raw.
        DestinationError: the destination exists, lies in the source, lacks space, or a write
            failed; or it is complete, and what it replaced could not be removed.
        CorruptFileError: the source changed since it was prepared, or a written file does not
            read back.
        CheckpointError: the job is not what its request gives, or the source cannot be read.
        Interrupted: SIGINT; finished shards stay for the next run.
    """
    began = time.perf_counter()
    threads = n_threads(threads)
    job = derive(job)
    _check_readable(job)
    check_place(job)
    with Workspace(job.destination) as workspace:
        try:
            check_replaceable(job, force=force)
            kept: dict[str, str] = {}
            if job.request.overflow == "keep":
                job, kept = _settle(job, threads, progress)
            running = RunningJob(job, workspace, report=report, threads=threads, progress=progress)
            running.resume()
            running.convert(verify=verify)
            if verify:
                running.verify_headers()
            running.write_others()
            _check_unchanged(job)
            workspace.commit(
                running.product, check=lambda place: check_replaceable(job, place, force=force)
            )
        except BaseException as error:
            finished = _leave(workspace, error)
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
                shards = "shard stays" if finished == 1 else "shards stay"
                again = f"run again to resume ({finished} finished {shards})"
                raise Interrupted(
                    f"interrupted; {again if finished else 'nothing was left behind'}"
                ) from None
            raise
        _sweep(workspace)
    return Result(
        job=job,
        losses=running.losses,
        kept=kept,
        skipped=job.skipped,
        warnings=job.warnings,
        n_bytes_read=running.n_bytes_read,
        n_bytes_written=running.n_bytes_written,
        seconds=time.perf_counter() - began,
        verified=verify,
        resumed=tuple(running.resumed),
    )


def _check_readable(job: Job) -> None:
    """The files that are copied last can be opened, found before the first byte is written."""
    for name in job.extra_files:
        with reading(job.root / name):
            os.close(open_regular(job.root / name))


def _sweep(workspace: Workspace) -> None:
    """Remove what the destination replaced, and the workspace."""
    try:
        workspace.sweep_after()
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted when {workspace.destination!r} was complete; of what it replaced, some "
            f"may be left: remove {str(workspace.path)!r} by hand"
        ) from None


def _check_unchanged(job: Job) -> None:
    """Nobody wrote to the source's files while they were read."""
    for file in job.files:
        status = os.stat(job.root / file.name)
        found = (status.st_size, status.st_mtime_ns, status.st_ino)
        if found != (file.n_bytes, file.mtime_ns, file.inode):
            raise CorruptFileError(
                f"{str(job.root / file.name)!r}: expected a file that stays as it is, found it "
                "changed during the run; nothing was written"
            )


def _leave(workspace: Workspace, error: BaseException) -> int:
    """Tidy up after a failure: finished shards stay where the next run can use them."""
    useless = (TensorOverflowError, TensorNanError, TensorCollapseError, CorruptFileError)
    receipts = set() if isinstance(error, useless) else workspace.receipts()
    with suppress(OSError):  # the error under way says more than one of tidying up
        if receipts:
            workspace.keep_only(receipts)
        else:
            workspace.sweep()
    return len(receipts)


def _settle(job: Job, threads: int, progress: Report | None) -> tuple[Job, dict[str, str]]:
    """The job with the tensors kept that its policy would refuse, found by measuring."""
    wanted = [index for index, step in enumerate(job.steps) if _can_fail(step)]
    losses = measure_steps(job, wanted, report=False, threads=threads, progress=progress)
    kept: dict[str, str] = {}
    for index, loss in losses.items():
        step = job.steps[index]
        if step.policy is not None and fails(step.policy, loss):
            n, target = loss.n_elements, step.outputs[0].numbers
            beyond, ended = n_out_of_range(loss, step.policy), n_ended_infinities(loss, step.policy)
            what = [f"{beyond} of {n} values exceed {target}"] * bool(beyond)
            what += [f"{ended} of {n} are infinite"] * bool(ended and step.policy.inf == "raise")
            what += [f"{loss.n_nan_lost} of {n} are NaN"] * bool(loss.n_nan_lost)
            kept[step.inputs[0].name] = " and ".join(what)
    if not kept:
        return job, kept
    settled = prepare_again(job, open_checkpoint(job.source), kept)
    if settled.files != job.files:
        raise CorruptFileError(f"{job.source!r} changed while it was measured; prepare it again")
    return settled, kept


def _can_fail(step: Step) -> bool:
    """Whether a value of the source's format can be refused."""
    if step.policy is None:
        return False
    source, target = step.inputs[0].numbers, step.outputs[0].numbers
    over = source.max_exact > target.max_exact or source.min_exact < target.min_exact
    over = over or (source.component.infinity and not target.component.infinity)
    zero = not target.has_zero
    nan = step.policy.nan == "raise" and source.component.has_nan and not target.has_nan
    inf = step.policy.inf == "raise" and ends_infinities(source, target, step.policy)
    return over or zero or nan or inf
