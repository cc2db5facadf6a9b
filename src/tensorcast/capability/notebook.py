"""A capability as HTML for a notebook: no script, no style sheet, the colours of the page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from ..words.text import Style
from .wording import Table, busy, heading, missing_of, tables

if TYPE_CHECKING:
    from .result import Capability

_CELL: Final = "padding:.15em .7em;border-top:1px solid rgba(128,128,128,.35);text-align"
_TABLE: Final = "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:1em 0 .3em"
_CAPTION: Final = (
    "caption-side:top;text-align:left;white-space:nowrap;font-weight:600;color:inherit;"
    "padding:.3em .7em"
)
_STYLES: Final[dict[Style, str]] = {"dim": ";opacity:.6", "good": ";font-weight:600"}


def as_html(capability: Capability) -> str:
    """What was measured on, the verdicts as a list, the tables, what is missing."""
    parts = ["<p>"]
    parts += [f"{name}: {escape(text)}<br>" for name, text in heading(capability)]
    parts.append("</p>")
    if capability.was_busy:
        parts.append(f"<p><strong>{escape(busy(capability))}</strong></p>")
    parts.append(_listed([escape(sentence) for sentence in capability.verdicts]))
    for table in tables(capability):
        parts += _table(table)
    missing = [f"{escape(name.text)} {escape(text.text)}" for name, text in missing_of(capability)]
    if missing:
        parts += ["<p><strong>Not measured</strong></p>", _listed(missing)]
    return "\n".join(parts)


def _listed(items: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _table(table: Table) -> list[str]:
    parts = [f'<table style="{_TABLE}">']
    parts.append(f'<caption style="{_CAPTION}">{escape(table.title)}</caption>')
    heads = "".join(
        f'<th scope="col" style="{_CELL}:{head.align}">{escape(head.heading)}</th>'
        for head in table.heads
    )
    parts.append(f'<tr style="background:none">{heads}</tr>')
    for first, *rest in table.rows:
        row_head = f'<th scope="row" style="{_CELL}:left;font-weight:400">{escape(first.text)}</th>'
        cells = "".join(
            f'<td style="{_CELL}:{head.align}{_STYLES.get(cell.style, "")}">'
            f"{escape(cell.text)}</td>"
            for head, cell in zip(table.heads[1:], rest, strict=True)
        )
        parts.append(f'<tr style="background:none">{row_head}{cells}</tr>')
    return [*parts, "</table>", *(f"<p>{escape(note)}</p>" for note in table.notes)]
