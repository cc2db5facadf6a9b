"""A profile in a notebook: findings, then tables, in the colours of the page around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...words.html_table import as_html as as_table
from ...words.html_table import facts_as_html, note, strong
from ...words.table import Column, Table
from ...words.units import count, decibels, human_bytes, percent, plural
from ..trace.wording import NOTHING
from .wording import ROLES, is_news, title

if TYPE_CHECKING:
    from .data import Candidate
    from .result import Profile

_MEMORY: Final = (
    Column(""),
    Column("format"),
    Column("tensors", "right"),
    Column("bytes", "right"),
    Column("share", "right"),
)
_CANDIDATES: Final = (
    Column("to"),
    Column("verdict"),
    Column("bytes", "right"),
    Column("overflow", "right"),
    Column("underflow", "right"),
    Column("SQNR", "right"),
    Column("in words"),
)


def as_html(profile: Profile) -> str:
    """No script, no style sheet; everything that came from the model is escaped."""
    n = len(profile.findings)
    parts = [strong(f"{title(profile)}: {plural(n, 'finding') if n else NOTHING}")]
    for finding in profile.findings:
        lines = [(head, text) for head, text in finding.details if is_news(finding, head, text)]
        parts.append(facts_as_html(lines, finding.headline))
    whole = profile.n_bytes_of()
    groups: dict[tuple[str, str], tuple[int, int]] = {}
    for size in profile.sizes:
        n_tensors, n_bytes = groups.get((size.role, size.format), (0, 0))
        groups[size.role, size.format] = n_tensors + size.n_tensors, n_bytes + size.n_bytes
    rows = tuple(
        (ROLES[role], name, count(n), human_bytes(n_bytes), percent(n_bytes, whole, column=True))
        for (role, name), (n, n_bytes) in groups.items()
    )
    parts.append(as_table(Table(f"What takes the memory: {human_bytes(whole)}", _MEMORY, rows)))
    for of in ("weights", "gradients", "activations"):
        here = [one for one in profile.candidates if one.of == of]
        if here:
            table = Table(f"What if I cast the {of}?", _CANDIDATES, tuple(map(_candidate, here)))
            parts.append(as_table(table))
    return "\n".join([*parts, *map(note, profile.notes)])


def _candidate(one: Candidate) -> tuple[str, ...]:
    total = one.total
    return (
        one.label,
        total.verdict,
        human_bytes(one.n_bytes_after),
        count(total.n_overflow),
        "-" if total.n_underflow is None else count(total.n_underflow),
        decibels(total.sqnr_db),
        one.sentence.removeprefix(f"{total.verdict}: "),
    )
