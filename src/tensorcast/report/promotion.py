"""The answers of the frameworks to mixed formats, as a table."""

from __future__ import annotations

from typing import Final

from ..core.promotion import Answer, Promotion
from ..words.table import Column, layout
from ..words.text import Line, Span, line

_TITLES: Final = {
    "torch": "torch",
    "numpy": "NumPy",
    "jax": "JAX",
    "jax-x64": "JAX, x64",
    "tensorflow": "TensorFlow",
}


def table(promotion: Promotion, width: int | None) -> list[Line]:
    """One line per framework: what it gives, why, and what is lost."""
    heads = [Column("library"), Column("gives"), Column("because", wrap=True)]
    rows: list[list[str | Span]] = []
    for answer in promotion.answers:
        rows.append([_TITLES[answer.framework], _result(answer), answer.reason])
        rows.extend(["", "", Span(loss, "warn")] for loss in answer.losses)
    title = line(Span(" with ".join(map(str, promotion.operands)), "title"))
    return [title, *layout(heads, rows, width=width), *_verdict(promotion)]


def _result(answer: Answer) -> Span:
    if answer.format is None:
        return Span("refused", "bad")
    return Span(answer.format.name, "good" if answer.is_lossless else "warn")


def _verdict(promotion: Promotion) -> list[Line]:
    if promotion.agree:
        return []
    found = {answer.format for answer in promotion.answers if answer.format is not None}
    safe = sorted(
        {answer.format.name for answer in promotion.answers if answer.format and answer.is_lossless}
    )
    text = "The libraries differ" if len(found) > 1 else "Not every library accepts it"
    holds = f"; {' and '.join(safe)} holds every value" if safe else ". Cast before you mix them"
    return [line(""), line(f"{text}{holds}.")]
