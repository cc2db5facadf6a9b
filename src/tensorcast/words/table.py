"""Aligned columns: a table as data, laid out to a width.

Where space is short, columns that may go are left out, then names are cut at their beginning. Where
a name could not be told from others any more, names stand on lines of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from .text import Line, Span, columns, pad, safe, shorten_name, wrap

_GAP: Final = "  "
_NARROWEST: Final = 12
_TELLING: Final = 24  # columns of a name that tell it from others
_INDENT: Final = "    "


@dataclass(frozen=True)
class Column:
    """One column: its heading, its side, and what may happen to it when space is short.

    Attributes:
        elastic: its cells are names, which may be cut at their beginning.
        tall: of an elastic first column: where little of its cells would be left, each stands on a
            line of its own, above the other cells of its row.
        wrap: of the last column: its cells may go on in further lines.
        drop: above 0, the column may be left out, 1 first.
    """

    heading: str
    align: Literal["left", "right"] = "left"
    elastic: bool = False
    tall: bool = False
    wrap: bool = False
    drop: int = 0


@dataclass(frozen=True)
class Table:
    """A table as data: what a terminal and a notebook show alike.

    Attributes:
        title: above it; "" for none.
        heads, rows: as in `layout`.
        notes: below it.
        faint: in a notebook rows that only say 0 are faint.
    """

    title: str
    heads: tuple[Column, ...]
    rows: tuple[tuple[str | Span, ...], ...]
    notes: tuple[str, ...] = ()
    faint: bool = False

    def lines(self, width: int | None) -> list[Line]:
        """Title, table and notes, laid out to `width` columns."""
        found: list[Line] = [(Span(safe(self.title), "title"),)] if self.title else []
        found += layout(self.heads, self.rows, width=width)
        for note in self.notes:
            parts = [note] if width is None else wrap(safe(note), width, indent="  ")
            found += [(Span(part, "dim"),) for part in parts]
        return found


def layout(
    heads: Sequence[Column], rows: Iterable[Sequence[str | Span]], *, width: int | None
) -> list[Line]:
    """The lines of a table: headings, then rows. Columns with neither heading nor text go.

    Args:
        heads: the columns; no headings line is made when all headings are empty. At most one is
            elastic: it is cut when the table is wider than `width`.
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
    everything = [i for i, n in enumerate(widths) if n]
    shown = _staying(heads, widths, everything, width)
    if width is not None:
        for i in shown:
            if not heads[i].elastic:
                continue
            room = widths[i] - max(0, _excess(shown, widths, width))
            if heads[i].tall and room < widths[i] and not _tells([row[i] for row in rows], room):
                yield from _tall(heads, rows, widths, everything, width)
                return
            widths[i] = max(min(_NARROWEST, widths[i]), room)
        if heads[shown[-1]].wrap if shown else False:
            below = _below(rows, widths, shown, width)
            if below:
                yield from below
                return
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


def _staying(
    heads: Sequence[Column], widths: Sequence[int], shown: Sequence[int], width: int | None
) -> list[int]:
    """The columns that stay when those that may go went as far as they have to."""
    left = list(shown)
    if width is not None:
        for i in sorted((i for i in shown if heads[i].drop), key=lambda i: heads[i].drop):
            if _excess(left, widths, width) > 0:
                left.remove(i)
    return left


def _tells(names: Sequence[str | Span], room: int) -> bool:
    """Whether names that are cut to `room` columns can be told from each other."""
    cut = (shorten_name(_span(name).text, room) for name in names)
    return room >= _TELLING and len(set(cut)) == len(set(names))


def _tall(
    heads: Sequence[Column],
    rows: Sequence[Sequence[str | Span]],
    widths: Sequence[int],
    shown: Sequence[int],
    width: int,
) -> Iterator[Line]:
    """Each row as two lines: the name, then the other cells, under headings of two lines."""
    first, *others = shown
    room = width - len(_INDENT)
    others = _staying(heads, widths, others, room)
    below = [heads[i] for i in others]
    sizes = [widths[i] for i in others]
    indent = Span(_INDENT)
    if any(heads[i].heading for i in shown):
        yield (Span(heads[first].heading, "head"),)
        yield (indent, *_line(below, sizes, [Span(head.heading, "head") for head in below]))
    for row in rows:
        text, style = _span(row[first])
        yield (Span(shorten_name(text, width), style),)
        yield (indent, *_line(below, sizes, [row[i] for i in others]))


def _below(
    rows: Sequence[Sequence[str | Span]], widths: Sequence[int], shown: Sequence[int], width: int
) -> list[Line]:
    """The rows with the text of the last column below the other cells; empty where beside them is
    room for its longest word."""
    left = width - sum(widths[i] for i in shown[:-1]) - len(_GAP) * (len(shown) - 1)
    texts = [_span(row[shown[-1]]) for row in rows]
    longest = max((columns(word) for text in texts for word in text.text.split()), default=0)
    if len(shown) != 2 or longest <= left or left >= width - len(_INDENT):
        return []
    found: list[Line] = []
    for row, (text, style) in zip(rows, texts, strict=True):
        head = _span(row[shown[0]])
        if columns(text) <= left:
            gap = " " * (widths[shown[0]] - columns(head.text)) + _GAP
            found.append((head, Span(gap), Span(text, style)))
            continue
        if head.text:
            found.append((head,))
        room = width - len(_INDENT)
        found += [(Span(_INDENT), Span(part, style)) for part in wrap(text, room)]
    return found


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
            text = shorten_name(text, widths[i])
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
