"""`tensorcast run`: a plan that was saved, executed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from ..checkpoint.decide.planning import Plan
from ..errors import CheckpointError
from .execution import execute
from .options import SourceType, output_options, run_options

_MAX_BYTES: Final = 1 << 30


@click.command("run")
@click.argument("plan", type=SourceType(allow_dash=True))
@run_options
@output_options
def command(
    plan: Path,
    force: bool,
    verify: bool,
    report: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Execute PLAN, a file that convert --dry-run --json printed ("-": stdin).

    The plan says everything that will be done. It is made again from the source first, and refused
    if anything differs: when the source changed since, or when the plan was edited.

    \b
    tensorcast convert model out --to bfloat16 \\
        --dry-run --json > plan.json
    tensorcast run plan.json --verify
    """
    execute(
        Plan.from_json(_content(plan)),
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
        raise CheckpointError(f"this is no plan: {str(path)!r} has more than {_MAX_BYTES} bytes")
    return data
