"""`tensorcast run`: a plan that was saved, executed."""

from __future__ import annotations

from typing import BinaryIO

import click

from tensorcast.checkpoint.plan import Plan

from .execution import execute
from .options import output_options, run_options


@click.command("run")
@click.argument("plan", type=click.File("rb"))
@run_options
@output_options
def command(
    plan: BinaryIO,
    force: bool,
    verify: bool,
    report: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Execute PLAN, a file that convert --dry-run --json printed ("-": stdin).

    The plan names source and destination and every tensor's format. It is refused when the source
    changed since it was made.

    \b
    tensorcast convert model model-bf16 --to bfloat16 --dry-run --json > plan.json
    tensorcast run plan.json --verify
    """
    execute(
        Plan.from_json(plan.read().decode("utf-8", "replace")),
        force=force,
        verify=verify,
        report=report,
        threads=threads,
        as_json=as_json,
        command="run",
    )
