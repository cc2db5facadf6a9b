"""`tensorcast formats`: the table of number formats, or one of them."""

from __future__ import annotations

import sys

import click

from .. import __version__
from ..formats import FORMATS, Format
from ..report import format_table
from .options import FormatType, output_options
from .terminal import screen, show, write


@click.command("formats")
@click.argument("name", required=False, type=FormatType())
@click.option("--markdown", is_flag=True, help="Print the page docs/formats.md.")
@output_options
def command(name: Format | None, markdown: bool, as_json: bool) -> None:
    """List the number formats, or show NAME in detail.

    NAME is any spelling: bfloat16, BF16, torch.bfloat16, F8_E4M3, half.
    """
    if as_json:
        from ..report.document import document, dump

        rows = FORMATS.values() if name is None else [name]
        body = {"formats": [format_table.describe(row) for row in rows]}
        write(dump(document("formats", body, version=__version__)) + "\n")
    elif markdown:
        write(format_table.markdown())
    elif name is None:
        show(format_table.table(screen(sys.stdout).width))
    else:
        show(format_table.detail(name))
