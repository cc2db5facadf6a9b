"""What casts to several formats would lose, as a table with a verdict on each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from ..judgement import Verdict
from ..words.table import Column, layout
from ..words.text import Line, Span, Style, columns, line, pad, wrap
from ..words.units import count, decibels, human_bytes
from .totals import Total

STYLES: Final[dict[Verdict, Style]] = {
    "exact": "good",
    "fits": "good",
    "coarse": "warn",
    "loses": "bad",
    "collapses": "bad",
    "overflows": "bad",
}


def table(
    sums: Mapping[str, Total], n_bytes: Mapping[str, int], *, width: int | None
) -> list[Line]:
    """A row per format.

    Args:
        sums: name of the row -> losses; a name says where a scale is meant.
        n_bytes: name of the row -> bytes after the cast.
        width: of the terminal; None: as wide as it takes.
    """
    heads = [
        Column("to"),
        Column("bytes", "right"),
        Column("overflow", "right"),
        Column("underflow", "right"),
        Column("SQNR", "right"),
        Column("worst", "right"),
    ]
    rows: list[list[str | Span]] = [
        [
            Span(name, "name"),
            human_bytes(n_bytes[name]),
            Span(count(one.n_overflow), "bad" if one.n_overflow else ""),
            "-" if one.n_underflow is None else count(one.n_underflow),
            decibels(one.sqnr_db),
            decibels(one.worst_db) if one.worst else "",
        ]
        for name, one in sums.items()
    ]
    return layout(heads, rows, width=width)


def verdicts(sentences: Mapping[str, tuple[Verdict, str]], *, width: int | None) -> list[Line]:
    """A line or more for each format's (verdict, sentence); a sentence that begins with the
    verdict has it coloured."""
    found: list[Line] = []
    indent = max(map(columns, sentences), default=0) + 2
    for target, (verdict, sentence) in sentences.items():
        first, *rest = wrap(sentence, max(20, width - indent) if width else sys.maxsize)
        word, colon, reasons = first.partition(":")
        style = STYLES[verdict]
        told = [Span(word, style), colon + reasons] if word == verdict else [Span(first, style)]
        found.append(line(Span(pad(target, indent), "name"), *told))
        found += [
            line(" " * indent, text if word == verdict else Span(text, style)) for text in rest
        ]
    return found
