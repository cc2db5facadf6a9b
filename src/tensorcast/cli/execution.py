"""Runs a job and says how it went: what `convert` and `run` share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..checkpoint.decide.job import Job
from ..words.text import Span, line, safe
from .emitting import emit
from .memory import n_bytes_peak
from .terminal import show


def execute(
    job: Job,
    *,
    force: bool,
    verify: bool,
    report: bool,
    threads: int | None,
    as_json: bool,
    command: str,
) -> None:
    """Runs the job with progress on stderr, prints the result on stdout."""
    from ..checkpoint.work.running import run
    from .progress import progress

    show([line(Span("warning: ", "warn"), safe(text)) for text in job.warnings], sys.stderr)
    with _termination_interrupts(), progress() as tracker:
        result = run(
            job, force=force, verify=verify, report=report, threads=threads, progress=tracker
        )
    from ..report import outcome

    peak = n_bytes_peak()
    emit(
        command,
        as_json=as_json,
        body=lambda: outcome.describe(result, n_bytes_peak=peak),
        lines=lambda width: outcome.lines(result, width=width, n_bytes_peak=peak, report=report),
    )


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM (a batch scheduler's time limit) and SIGHUP (a closed terminal) stop the job as
    cleanly as Ctrl-C; one that is ignored, as under nohup, stays ignored."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, interrupt)
    except ValueError:  # not the main thread: somebody else's process
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
