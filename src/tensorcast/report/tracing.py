"""A trace on the terminal: findings first, each with its line and the way out, then the totals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model.trace.findings import WRONG
from ..model.trace.wording import NOTHING, counted
from ..words.text import Line, Span, Style, line, safe, wrap
from ..words.units import duration, plural

if TYPE_CHECKING:
    from ..model.trace.findings import Finding
    from ..model.trace.tracing import Trace

_WIDE = 100


def lines(trace: Trace, width: int | None) -> list[Line]:
    """Findings, what they cost and what to write instead; then how much there was of each kind."""
    found: list[Line] = []
    for finding in trace.findings:
        found += [*_finding(finding, width or _WIDE), line("")]
    head = plural(len(trace.findings), "finding") if trace.findings else NOTHING
    found.append(line(Span(head, "bad" if trace.findings else "good")))
    text = f"{counted(trace.sites)}; {plural(trace.n_operations, 'operation')} in "
    rows = wrap(f"{text}{duration(trace.seconds)}", width or _WIDE)
    return [*found, *(line(Span(row, "dim")) for row in rows)]


def _finding(finding: Finding, width: int) -> list[Line]:
    style: Style = "bad" if finding.rule in WRONG else "warn"
    rows = [line(Span(safe(row), style)) for row in wrap(finding.headline, width)]
    for head, text in finding.details:
        for i, row in enumerate(wrap(safe(text), width - 10)):
            rows.append(line("  ", Span(f"{'' if i else head:8}", "dim"), row))
    return rows
