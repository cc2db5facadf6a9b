"""A trace on the terminal: findings first, each with its line and the way out, then the totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.trace.findings import WRONG
from ..model.trace.wording import details, headline, totals
from ..words.text import Line, Span, Style, line, safe, wrap
from ..words.units import count, duration, human_bytes, plural

if TYPE_CHECKING:
    from ..model.trace.findings import Finding
    from ..model.trace.tracing import Trace

_WIDE = 100


def lines(trace: Trace, width: int | None) -> list[Line]:
    """Findings, what they cost and what to write instead; then how much there was of each kind."""
    found: list[Line] = []
    for finding in trace.findings:
        found += [*_finding(finding, width or _WIDE), line("")]
    head = plural(len(trace.findings), "finding") if trace.findings else "nothing to change"
    found.append(line(Span(head, "bad" if trace.findings else "good")))
    seen = [
        f"{count(n)} {name}" + (f" ({human_bytes(n_bytes)})" if n_bytes else "")
        for name, n, n_bytes in totals(trace.sites)
    ]
    text = f"{'; '.join(seen) or 'no casts'}; {plural(trace.n_operations, 'operation')} in "
    rows = wrap(f"{text}{duration(trace.seconds)}", width or _WIDE)
    return [*found, *(line(Span(row, "dim")) for row in rows)]


def _finding(finding: Finding, width: int) -> list[Line]:
    style: Style = "bad" if finding.rule in WRONG else "warn"
    rows = [line(Span(safe(row), style)) for row in wrap(headline(finding), width)]
    for head, text in details(finding):
        for i, row in enumerate(wrap(safe(text), width - 10)):
            rows.append(line("  ", Span(f"{'' if i else head:8}", "dim"), row))
    return rows
