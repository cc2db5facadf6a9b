"""Aligned columns: a table as data, laid out to a width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from .text import Line, Span, columns, pad, shorten, wrap

_GAP: Final = "  "
_NARROWEST: Final = 12


@dataclass(frozen=True)
class Column:
    """One column: its heading, its side, and what may happen to it when space is short.

    Attributes:
        elastic: its cells may be shortened in the middle.
        wrap: of the last column: its cells may go on in further lines.
        drop: above 0, the column may be left out, 1 first.
    """

    heading: str
    align: Literal["left", "right"] = "left"
    elastic: bool = False
    wrap: bool = False
    drop: int = 0


def layout(
    heads: Sequence[Column], rows: Iterable[Sequence[str | Span]], *, width: int | None
) -> list[Line]:
    """The lines of a table: headings, then rows. Columns with neither heading nor text go.

    Args:
        heads: the columns; no headings line is made when all headings are empty. At most one is
            elastic: it is shortened in the middle when the table is wider than `width`.
        rows: cells, one per column; None of them holds a line break.
        width: columns of the terminal; None: as wide as it takes.
    """
    cells = [[_span(cell) for cell in row] for row in rows]
    widths = [
        max([columns(head.heading), *(columns(row[i].text) for row in cells)])
        for i, head in enumerate(heads)
    ]
    shown = [i for i, n in enumerate(widths) if n]
    if width is not None:
        for i in sorted((i for i in shown if heads[i].drop), key=lambda i: heads[i].drop):
            if _excess(shown, widths, width) > 0:
                shown.remove(i)
        for i in shown:
            if heads[i].elastic:
                excess = max(0, _excess(shown, widths, width))
                widths[i] = max(min(_NARROWEST, widths[i]), widths[i] - excess)
    heads = [heads[i] for i in shown]
    cells = [[row[i] for i in shown] for row in cells]
    widths = [widths[i] for i in shown]
    if width is not None and heads and heads[-1].wrap:
        cells = [part for row in cells for part in _wrapped(row, widths, width)]
    lines: list[Line] = []
    if any(head.heading for head in heads):
        lines.append(_line(heads, widths, [Span(head.heading, "head") for head in heads]))
    lines.extend(_line(heads, widths, row) for row in cells)
    return lines


def _excess(shown: Sequence[int], widths: Sequence[int], width: int) -> int:
    return sum(widths[i] for i in shown) + len(_GAP) * (len(shown) - 1) - width


def _wrapped(row: list[Span], widths: Sequence[int], width: int) -> list[list[Span]]:
    """The row, its last cell cut into as many rows as it needs."""
    room = max(_NARROWEST, width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1))
    first, *rest = wrap(row[-1].text, room)
    empty = [Span("")] * (len(row) - 1)
    style = row[-1].style
    return [[*row[:-1], Span(first, style)], *([*empty, Span(text, style)] for text in rest)]


def _span(cell: str | Span) -> Span:
    return cell if isinstance(cell, Span) else Span(cell)


def _line(heads: Sequence[Column], widths: Sequence[int], row: Sequence[Span]) -> Line:
    spans: list[Span] = []
    last = max((i for i, cell in enumerate(row) if cell.text), default=-1)
    for i in range(last + 1):
        head, cell = heads[i], row[i]
        text = shorten(cell.text, widths[i]) if head.elastic else cell.text
        if i:
            spans.append(Span(_GAP))
        if i == last and head.align == "left":  # no spaces at the end of a line
            spans.append(Span(text, cell.style))
        else:
            spans.append(Span(pad(text, widths[i], head.align), cell.style))
    return tuple(spans)
