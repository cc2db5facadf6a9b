"""`tensorcast run`: a job that was saved, executed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from ..checkpoint.decide.job import Job
from ..errors import CheckpointError
from .execution import execute
from .options import SourceType, output_options, run_options

_MAX_BYTES: Final = 1 << 30


@click.command("run")
@click.argument("job", type=SourceType(allow_dash=True))
@run_options
@output_options
def command(
    job: Path,
    force: bool,
    verify: bool,
    report: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Execute JOB, a file that convert --dry-run --json printed ("-": stdin).

    The job says everything that will be done. It is made again from the source first, and refused
    if anything differs: when the source changed since, or when the job was edited.

    \b
    tensorcast convert model out --to bfloat16 \\
        --dry-run --json > job.json
    tensorcast run job.json --verify
    """
    execute(
        Job.from_json(_content(job)),
        force=force,
        verify=verify,
        report=report,
        threads=threads,
        as_json=as_json,
        command="run",
    )


def _content(path: Path) -> bytes:
    if str(path) == "-":
        data = sys.stdin.buffer.read(_MAX_BYTES + 1)
    else:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise CheckpointError(f"this is no job: {str(path)!r} has more than {_MAX_BYTES} bytes")
    return data
