"""What a result says of itself: a title, facts, tables. One set of words serves `str`, `repr` and a
notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from .html_table import as_html, facts_as_html, note
from .table import Column, Table, layout
from .text import Line, Span, line, plain, safe, wrap

WIDTH = 100
"""Columns of a text that no terminal asks for."""


def brief(of: object, *facts: str) -> str:
    """A `repr`: the kind of thing and a few facts, in one line.

    Example:
        >>> brief(1, "odd", "", "small")
        '<int: odd, small>'
    """
    return f"<{type(of).__name__}: {safe(', '.join(filter(None, facts)))}>"


@dataclass(frozen=True)
class Summary:
    """What there is to say, as data.

    Attributes:
        title: the first line.
        facts: (head, text), a line each.
        tables: below them.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()

    def lines(self, width: int | None = WIDTH) -> list[Line]:
        """For a terminal of `width` columns; None: as wide as it takes."""
        title = wrap(safe(self.title), width or 1000, indent="  ")
        found = [line(Span(part, "title")) for part in title]
        rows: list[list[str | Span]] = [
            [Span(head, "dim"), safe(text)] for head, text in self.facts
        ]
        found += layout([Column(""), Column("", wrap=True)], rows, width=width)
        for table in self.tables:
            found += [(), *table.lines(width)]
        return found

    def __str__(self) -> str:
        return "\n".join(map(plain, self.lines()))

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{escape(safe(self.title))}</b></p>"]
        if self.facts:
            parts.append(facts_as_html((head, safe(text)) for head, text in self.facts))
        for table in self.tables:
            parts.append(as_html(table))
            parts += map(note, table.notes)
        return "\n".join(parts)
