"""`tensorcast inspect`: what a checkpoint holds, and what a cast would do to it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from tensorcast import __version__
from tensorcast.checkpoint import open_checkpoint
from tensorcast.formats import Format
from tensorcast.report import inspection

from .options import FormatType, output_options
from .terminal import screen, show, write

CANDIDATES: Final = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@click.command("inspect")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--stats", is_flag=True, help="Read every value: ranges, and what casts would lose.")
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    type=FormatType(),
    help="A format to try; repeat for several. Implies --stats. "
    f"[default: {', '.join(CANDIDATES)}]",
)
@click.option("--full", is_flag=True, help="Fold no repeated layers, list all files and metadata.")
@output_options
def command(
    path: Path, stats: bool, candidates: tuple[Format, ...], full: bool, as_json: bool
) -> None:
    """Show the tensors in PATH, a safetensors file or a Hugging Face directory.

    Repeated layers with the same insides are one row: encoder.layer.{0..5}; sizes in the tree are
    then of one of them. Without --stats only the headers are read.
    """
    source = open_checkpoint(path)
    losses: inspection.Losses | None = None
    if stats or candidates:
        from tensorcast.checkpoint.stats import measure

        from .progress import progress

        names = tuple(row.name for row in candidates) or CANDIDATES
        with progress() as tracker:
            losses = measure(source, names, progress=tracker)
    if as_json:
        from tensorcast.report.document import document, dump

        body = inspection.describe(source, losses)
        if losses is not None:
            from tensorcast.report import candidates as what_if

            body["candidates"] = what_if.describe(source, losses)
        write(dump(document("inspect", body, version=__version__)) + "\n")
        return
    width = screen(sys.stdout).width
    show(inspection.lines(source, width=width, full=full, losses=losses))
    if losses is not None:
        from tensorcast.report import candidates as what_if

        show([(), *what_if.lines(source, losses, width=width)])
