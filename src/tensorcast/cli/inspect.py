"""`tensorcast inspect`: what a checkpoint holds, and what a cast would do to it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import click

from ..checkpoint.kinds import kinds_in_words
from ..checkpoint.opening import open_checkpoint
from ..checkpoint.protocol import Checkpoint
from ..formats import Format
from ..report import inspection
from ..report.document import Json
from ..words.text import Line
from .emitting import emit
from .options import FormatType, SourceType, output_options


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

    Layers that hold the same are one row, like encoder.layer.{0..5}; its sizes are those of one
    layer. Without --stats only the headers of the files are read.
    """
    gc.disable()  # a header may list very many tensors, and none of them is garbage
    source = open_checkpoint(path)
    losses: inspection.Losses | None = None
    if stats or candidates:
        from ..checkpoint.work.losses import CANDIDATES, measure
        from .progress import progress

        with progress() as tracker:
            losses = measure(source, candidates or CANDIDATES, progress=tracker)
    emit(
        "inspect",
        as_json=as_json,
        body=lambda: _body(source, losses),
        lines=lambda width: _lines(source, losses, width, full),
    )


def _body(source: Checkpoint, losses: inspection.Losses | None) -> Json:
    body = inspection.describe(source, losses)
    if losses is not None:
        from ..report import candidates

        body["candidates"] = candidates.describe(source, losses)
    return body


def _lines(
    source: Checkpoint, losses: inspection.Losses | None, width: int | None, full: bool
) -> Iterator[Line]:
    yield from inspection.lines(source, width=width, full=full, losses=losses)
    if losses is not None:
        from ..report import candidates

        yield ()
        yield from candidates.lines(source, losses, width=width)


command.help = (command.help or "").replace("{kinds}", kinds_in_words())
