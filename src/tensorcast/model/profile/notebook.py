"""A profile in a notebook: findings, then tables, in the colours of the page around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from ...words.units import count, decibels, human_bytes, percent, plural
from ..trace.wording import details, headline
from .wording import ROLES, is_news, title

if TYPE_CHECKING:
    from ..trace.findings import Finding
    from .result import Profile

_EDGE: Final = "border-top:1px solid rgba(128,128,128,.35)"
_CELL: Final = f"padding:.15em .8em;{_EDGE};text-align"
_WHOLE: Final = ";white-space:nowrap"
_CAPTION: Final = (
    "caption-side:top;text-align:left;white-space:nowrap;padding:.6em .8em .3em;color:inherit;"
    "font-weight:600"
)


def as_html(profile: Profile) -> str:
    """No script, no style sheet; everything that came from the model is escaped."""
    n = len(profile.findings)
    parts = [f"<p><b>{escape(title(profile))}</b>, {plural(n, 'finding') if n else 'no findings'}"]
    parts += map(_finding, profile.findings)
    whole = profile.n_bytes_of()
    groups: dict[tuple[str, str], tuple[int, int]] = {}
    for size in profile.sizes:
        n_tensors, n_bytes = groups.get((size.role, size.format), (0, 0))
        groups[size.role, size.format] = n_tensors + size.n_tensors, n_bytes + size.n_bytes
    parts.append(
        _table(
            f"What takes the memory: {human_bytes(whole)}",
            ("", "format", "tensors", "bytes", ""),
            [
                (ROLES[role], name, count(n), human_bytes(n_bytes), percent(n_bytes, whole))
                for (role, name), (n, n_bytes) in groups.items()
            ],
        )
    )
    for of in ("weights", "gradients", "activations"):
        here = [one for one in profile.candidates if one.of == of]
        if here:
            heads = ("to", "", "bytes", "overflow", "underflow", "SQNR", "")
            rows = [
                (
                    one.label,
                    one.total.verdict,
                    human_bytes(one.n_bytes_after),
                    count(one.total.n_overflow),
                    "-" if one.total.n_underflow is None else count(one.total.n_underflow),
                    decibels(one.total.sqnr_db),
                    one.sentence.removeprefix(f"{one.total.verdict}: "),
                )
                for one in here
            ]
            parts.append(_table(f"What if I cast the {of}?", heads, rows))
    parts += [f'<p style="opacity:.7">{escape(note)}</p>' for note in profile.notes]
    return "\n".join(parts)


def _finding(finding: Finding) -> str:
    lines = [(head, text) for head, text in details(finding) if is_news(finding, head, text)]
    rows = "".join(
        f'<tr style="background:none"><td style="padding:0 .8em;opacity:.55;text-align:left">'
        f'{escape(head)}</td><td style="padding:0;text-align:left">{escape(text)}</td></tr>'
        for head, text in lines
    )
    return f"<p><b>{escape(headline(finding))}</b></p>\n<table>{rows}</table>"


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Numbers to the right; the first columns and the last to the left."""
    numbers = range(2, len(heads) - (heads[-1] == ""))
    sides = ["right" if i in numbers else "left" for i in range(len(heads))]
    if heads[1] == "format":  # the last is a share
        sides[-1] = "right"
    head = "".join(
        f'<th style="{_CELL}:{side};font-weight:400;opacity:.7">{escape(name)}</th>'
        for name, side in zip(heads, sides, strict=True)
    )
    lines = [
        '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">',
        f'<caption style="{_CAPTION}">{escape(caption)}</caption>',
        f'<tr style="background:none">{head}</tr>',
    ]
    for row in rows:
        cells = "".join(
            f'<td style="{_CELL}:{side}{_WHOLE if side == "right" else ""}">{escape(cell)}</td>'
            for cell, side in zip(row, sides, strict=True)
        )
        lines.append(f'<tr style="background:none">{cells}</tr>')
    return "\n".join([*lines, "</table>"])
