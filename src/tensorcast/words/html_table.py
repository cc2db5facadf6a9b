"""Tables and paragraphs for notebooks: no script, no style sheet, the colours of the page around
them. Everything is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from .table import Column, Table
from .text import Span, Style

_EDGE: Final = "border-top:1px solid rgba(128,128,128,.35)"
_CELL: Final = f"padding:.15em .7em;{_EDGE};vertical-align:top;text-align"
_TABLE: Final = (
    "border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.6em 0;max-width:100%"
)
_CAPTION: Final = "caption-side:top;text-align:left;padding:.3em .7em;color:inherit;font-weight:600"
_WHOLE: Final = ";white-space:nowrap"
_NARROW: Final = ";overflow-wrap:anywhere;min-width:7em;max-width:32em"
_STYLES: Final[dict[Style, str]] = {"dim": ";opacity:.6", "good": ";font-weight:600"}
_LONG: Final = 24  # characters: a longer text may be broken


def as_html(table: Table) -> str:
    """The table: numbers whole and to the right, long texts broken to narrow cells. A row that is
    shorter than the headings ends in a cell that spans the rest; a row whose cells are all "0" or
    dim is faint."""
    lines = [f'<table style="{_TABLE}">']
    if table.title:
        lines.append(f'<caption style="{_CAPTION}">{escape(table.title)}</caption>')
    heads = table.heads
    if any(head.heading for head in heads):
        cells = "".join(
            f'<th scope="col" style="{_CELL}:{head.align};font-weight:400;opacity:.7">'
            f"{escape(head.heading)}</th>"
            for head in heads
        )
        lines.append(f'<tr style="background:none">{cells}</tr>')
    for row in table.rows:
        faint = ";opacity:.55" if table.faint and _is_nothing(row) else ""
        lines.append(f'<tr style="background:none{faint}">{_cells(heads, row)}</tr>')
    return "\n".join([*lines, "</table>"])


def _is_nothing(row: Sequence[str | Span]) -> bool:
    texts = [cell if isinstance(cell, str) else cell.text for cell in row[1:]]
    return next(filter(None, texts), "") == "0"


def _cells(heads: Sequence[Column], row: Sequence[str | Span]) -> str:
    parts = []
    for i, (head, cell) in enumerate(zip(heads, row, strict=False)):
        text, style = Span(cell) if isinstance(cell, str) else cell
        last = i == len(row) - 1 < len(heads) - 1
        side = "left" if last else head.align
        fit = _WHOLE if side == "right" else _NARROW if len(text) > _LONG else ""
        looks = f'style="{_CELL}:{side}{fit}{_STYLES.get(style, "")}'
        if i == 0:
            parts.append(f'<th scope="row" {looks};font-weight:400">{escape(text)}</th>')
        else:
            span = f'colspan="{len(heads) - i}" ' if last else ""
            parts.append(f'<td {span}{looks}">{escape(text)}</td>')
    return "".join(parts)


def facts_as_html(facts: Iterable[tuple[str, str]], caption: str = "") -> str:
    """(head, text) of each line, the heads faint."""
    rows = tuple((Span(head, "dim"), text) for head, text in facts)
    return as_html(Table(caption, (Column(""), Column("")), rows))


def listed(texts: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def strong(text: str) -> str:
    """A paragraph that stands out."""
    return f"<p><b>{escape(text)}</b></p>"


def note(text: str) -> str:
    """A faint paragraph."""
    return f'<p style="opacity:.7">{escape(text)}</p>'
