"""A trace as plain lines and as a table for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .findings import Finding
from .sites import Kind, Site

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


def place_of(finding: Finding) -> str:
    """Where, in the user's terms: the line, who called it, the module."""
    parts = [str(finding.where)] if finding.where is not None else []
    if finding.called_from is not None:
        parts.append(f"called from {finding.called_from}")
    if finding.module:
        parts.append(f"in {finding.module}")
    return ", ".join(parts)


def names_of(finding: Finding) -> str:
    """The parameters, the first three by name."""
    names = finding.parameter.split(", ") if finding.parameter else []
    if len(names) <= 3:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def headline(finding: Finding) -> str:
    """What, and how often where that is more than once."""
    return finding.what if finding.count == 1 else f"{finding.what} ({finding.count:,} times)"


def details(finding: Finding) -> list[tuple[str, str]]:
    """(head, text) of each line below the headline: where, the code, whose, the way out."""
    code = finding.where.text if finding.where is not None else ""
    lines = [
        ("at", place_of(finding)),
        ("", code),
        ("of", names_of(finding)),
        ("instead", finding.instead),
        ("saves", finding.saves),
    ]
    return [(head, text) for head, text in lines if text]


def as_text(findings: Sequence[Finding], sites: Iterable[Site]) -> str:
    """Findings first, then the totals."""
    lines = []
    for finding in findings:
        lines.append(headline(finding))
        lines += [f"  {head:8}{text}" for head, text in details(finding)]
    if not findings:
        lines.append("nothing to change")
    counted = [
        f"{count:,} {name}" + (f", {n_bytes:,} bytes" if n_bytes else "")
        for name, count, n_bytes in totals(sites)
    ]
    return "\n".join([*lines, "; ".join(counted) or "no casts"])


def as_html(findings: Sequence[Finding], sites: Iterable[Site]) -> str:
    """A table of the findings and a line of totals."""
    heads = ("what", "where", "times", "bytes", "instead", "saves")
    rows = [
        (
            finding.what,
            place_of(finding),
            f"{finding.count:,}",
            f"{finding.n_bytes:,}",
            finding.instead,
            finding.saves,
        )
        for finding in findings
    ]
    head = "".join(f"<th style='text-align:left'>{name}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )  # fmt: skip
    counted = "; ".join(f"{count:,} {name}" for name, count, _ in totals(sites)) or "no casts"
    table = f"<table><tr>{head}</tr>{body}</table>" if rows else "<p>nothing to change</p>"
    return f"{table}<p>{escape(counted)}</p>"
