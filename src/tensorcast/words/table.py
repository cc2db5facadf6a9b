"""Aligned columns: a table as data, laid out to a width."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    return list(stream(heads, list(rows), width=width))


def stream(
    heads: Sequence[Column], rows: Sequence[Sequence[str | Span]], *, width: int | None
) -> Iterator[Line]:
    """The lines of `layout`, each made when it is asked for: a table may have very many."""
    widths = [columns(head.heading) for head in heads]
    for row in rows:
        for i, cell in enumerate(row):
            text = cell if isinstance(cell, str) else cell.text
            if len(text) > widths[i] or not text.isascii():
                widths[i] = max(widths[i], columns(text))
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
    widths = [widths[i] for i in shown]
    if any(head.heading for head in heads):
        yield _line(heads, widths, [Span(head.heading, "head") for head in heads])
    wraps = width is not None and bool(heads) and heads[-1].wrap
    for row in rows:
        cells = [row[i] for i in shown]
        if wraps and width is not None:
            for part in _wrapped([_span(cell) for cell in cells], widths, width):
                yield _line(heads, widths, part)
        else:
            yield _line(heads, widths, cells)


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


def _line(heads: Sequence[Column], widths: Sequence[int], row: Sequence[str | Span]) -> Line:
    """A row as spans; neighbours without a style are one."""
    spans: list[Span] = []
    unstyled = ""
    last = len(row) - 1
    while last >= 0 and not _span(row[last]).text:
        last -= 1
    for i in range(last + 1):
        head, cell = heads[i], row[i]
        text, style = Span(cell) if isinstance(cell, str) else cell
        if head.elastic:
            text = shorten(text, widths[i])
        if i < last or head.align != "left":  # no spaces at the end of a line
            text = pad(text, widths[i], head.align)
        if i:
            unstyled += _GAP
        if not style:
            unstyled += text
            continue
        if unstyled:
            spans.append(Span(unstyled))
            unstyled = ""
        spans.append(Span(text, style))
    if unstyled:
        spans.append(Span(unstyled))
    return tuple(spans)
