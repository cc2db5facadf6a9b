"""A trace as plain lines and as a table for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ...words.html_table import facts_as_html, note, strong
from ...words.units import human_bytes, plural
from .findings import Finding
from .sites import Kind, Site

NOTHING: Final = "no findings"

_KINDS: tuple[tuple[Kind, str], ...] = (
    ("cast", "cast"),
    ("promotion", "promotion"),
    ("transfer", "transfer"),
    ("synchronisation", "synchronisation"),
    ("float64", "new float64 tensor"),
)


def totals(sites: Iterable[Site]) -> list[tuple[str, int, int]]:
    """(kind, count, bytes read and written) of each kind that there is."""
    sites = list(sites)
    found = []
    for kind, name in _KINDS:
        of = [site for site in sites if site.what.kind == kind]
        count = sum(site.count for site in of)
        if count:
            n_bytes = sum(site.n_bytes_read + site.n_bytes_written for site in of)
            found.append((name if count == 1 else f"{name}s", count, n_bytes))
    return found


def as_text(findings: Sequence[Finding], sites: Iterable[Site]) -> str:
    """Findings first, then the totals."""
    lines = []
    for finding in findings:
        lines.append(str(finding))
    if not findings:
        lines.append(NOTHING)
    return "\n".join([*lines, counted(sites)])


def as_html(findings: Sequence[Finding], sites: Iterable[Site]) -> str:
    """For a notebook: each finding with its lines, then the totals."""
    n = len(findings)
    parts = [strong(plural(n, "finding") if n else NOTHING)]
    for finding in findings:
        parts.append(facts_as_html(finding.details, finding.headline))
    return "\n".join([*parts, note(counted(sites))])


def counted(sites: Iterable[Site]) -> str:
    """How much there was of each kind, in a line."""
    texts = [
        f"{count:,} {name}" + (f" ({human_bytes(n_bytes)})" if n_bytes else "")
        for name, count, n_bytes in totals(sites)
    ]
    return "; ".join(texts) or "no casts"
