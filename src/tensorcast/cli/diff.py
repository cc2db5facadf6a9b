"""`tensorcast diff`: two checkpoints, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import click

from ..checkpoint.opening import open_checkpoint
from .emitting import emit
from .options import SourceType, output_options


@click.command("diff")
@click.argument("a", type=SourceType())
@click.argument("b", type=SourceType())
@click.option(
    "--min-sqnr",
    type=float,
    metavar="DB",
    help="Accept tensors that differ when their SQNR is DB decibels or more.",
)
@click.option("--full", is_flag=True, help="List every tensor, those with equal bits too.")
@output_options
def command(a: Path, b: Path, min_sqnr: float | None, full: bool, as_json: bool) -> int:
    """Compare checkpoints A and B tensor by tensor.

    Tensors of different formats are compared by value: the error is that of B against A. Exit code
    0: all bits equal (with --min-sqnr also: every difference is small enough), no tensor missing
    or extra; 1: otherwise.
    """
    from ..checkpoint.work.difference import diff
    from ..report import difference
    from .progress import progress

    first, second = open_checkpoint(a), open_checkpoint(b)
    with progress() as tracker:
        found = diff(first, second, progress=tracker)
    code = 0 if difference.acceptable(found, min_sqnr) else 1
    scaled = (first.scaled, second.scaled)
    emit(
        "diff",
        as_json=as_json,
        body=lambda: {
            "a": str(a),
            "b": str(b),
            "scaled": {"a": first.scaled, "b": second.scaled},
            **difference.describe(found, min_sqnr=min_sqnr),
        },
        lines=lambda width: difference.lines(
            found, width=width, full=full, min_sqnr=min_sqnr, scaled=scaled
        ),
    )
    return code
