"""What casts to several formats would lose, as a table with a verdict on each."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from ..judgement import Verdict
from ..words.table import Column, layout
from ..words.text import Line, Span, Style, columns, fold, line, pad
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
        Column("bytes", "right", drop=2),
        Column("overflow", "right"),
        Column("underflow", "right"),
        Column("SQNR", "right"),
        Column("worst", "right", drop=1),
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
    beside = max(map(columns, sentences), default=0) + 2
    room = sys.maxsize if width is None else width - beside
    words = [word for _, sentence in sentences.values() for word in sentence.split()]
    below = max(map(columns, words), default=0) > room  # a name would be cut
    for target, (verdict, sentence) in sentences.items():
        word, colon, reasons = sentence.partition(":")
        style = STYLES[verdict]
        told = line(Span(word, style), colon + reasons)
        if word != verdict:
            told = line(Span(sentence, style))
        head = Span(target if below else pad(target, beside), "name")
        rows = fold(told, width - 4 if below and width else room)
        if below:
            found += [line(head), *(line("    ", *row) for row in rows)]
        else:
            found.append(line(head, *rows[0]))
            found += [line(" " * beside, *row) for row in rows[1:]]
    return found
