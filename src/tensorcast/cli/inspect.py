"""`tensorcast inspect`: what a checkpoint holds, and what a cast would do to it."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from .. import __version__
from ..checkpoint.kinds import kinds_in_words
from ..checkpoint.opening import open_checkpoint
from ..formats import Format
from ..report import inspection
from .options import FormatType, SourceType, output_options
from .terminal import screen, show, write


@click.command("inspect")
@click.argument("path", type=SourceType())
@click.option("--stats", is_flag=True, help="Read every value: ranges, and what casts would lose.")
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    type=FormatType(),
    help="A format to try; repeat for several. Implies --stats. "
    "[default: the usual 16-bit and 8-bit floats]",
)
@click.option(
    "--full", is_flag=True, help="List every tensor by its whole name, and all files and metadata."
)
@output_options
def command(
    path: Path, stats: bool, candidates: tuple[Format, ...], full: bool, as_json: bool
) -> None:
    """Show the tensors in PATH, {kinds}.

    Repeated layers with the same insides are one row: encoder.layer.{0..5}; sizes in the tree are
    then of one of them. Without --stats only the headers are read.
    """
    gc.disable()  # a header may list very many tensors, and none of them is garbage
    source = open_checkpoint(path)
    losses: inspection.Losses | None = None
    if stats or candidates:
        from ..checkpoint.work.losses import CANDIDATES, measure
        from .progress import progress

        with progress() as tracker:
            losses = measure(source, candidates or CANDIDATES, progress=tracker)
    if as_json:
        from ..report.document import document, dump

        body = inspection.describe(source, losses)
        if losses is not None:
            from ..report import candidates as what_if

            body["candidates"] = what_if.describe(source, losses)
        write(dump(document("inspect", body, version=__version__)) + "\n")
        return
    width = screen(sys.stdout).width
    show(inspection.lines(source, width=width, full=full, losses=losses))
    if losses is not None:
        from ..report import candidates as what_if

        show([(), *what_if.lines(source, losses, width=width)])


command.help = (command.help or "").replace("{kinds}", kinds_in_words())
