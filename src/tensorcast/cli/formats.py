"""`tensorcast formats`: the table of number formats, or one of them."""

from __future__ import annotations

import click

from ..formats import FORMATS, Format
from ..report import format_table
from .emitting import emit
from .options import FormatType, output_options
from .terminal import write


@click.command("formats")
@click.argument("name", required=False, type=FormatType())
@click.option("--markdown", is_flag=True, help="Print the page docs/formats.md.")
@output_options
def command(name: Format | None, markdown: bool, as_json: bool) -> None:
    """List the number formats, or show NAME in detail.

    NAME is any spelling: bfloat16, BF16, torch.bfloat16, F8_E4M3, half.
    """
    if markdown and not as_json:
        write(format_table.markdown())
        return
    emit(
        "formats",
        as_json=as_json,
        body=lambda: {
            "formats": [
                format_table.describe(row) for row in (FORMATS.values() if name is None else [name])
            ]
        },
        lines=lambda width: (
            format_table.table(width) if name is None else format_table.detail(name)
        ),
    )
