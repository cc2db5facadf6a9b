"""What a person reads when a policy refuses values: every tensor, how many, and the ways out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..formats import lookup
from ..judgement import collapse_headline
from ..words.text import safe
from ..words.units import count, number
from .document import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..checkpoint.errors import TensorRefusal


def texts(findings: Sequence[TensorRefusal]) -> list[str]:
    """A headline, a line per tensor, and the options that would let the job through."""
    n = len(findings)
    targets = ", ".join(dict.fromkeys(finding.target for finding in findings))
    unfit = any(f.n_overflow or f.n_nan_lost or f.n_infinite for f in findings)
    gone = any(finding.collapse for finding in findings)
    found = [f"{n:,} tensor{'s do' if n > 1 else ' does'} not fit {targets}; nothing was written"]
    if not unfit:
        headline = collapse_headline([f.collapse for f in findings], [f.target for f in findings])
        found = [f"{headline}; nothing was written"]
    found += [_one(finding) for finding in findings]
    lost = [f for f in findings if f.n_overflow or f.n_nan_lost or f.collapse]
    ways = [
        f"--rule '{safe(each.tensor)}={each.holds}' gives a tensor another format"
        for each in lost[:1]
    ]
    if gone:
        named = next(finding for finding in findings if finding.collapse)
        ways.insert(
            0, f"--to {named.holds}, or another format, keeps the values: no scale is applied here"
        )
        ways.append(
            f"--keep '{safe(named.tensor)}' leaves this tensor as it is; a pattern with * matches "
            "several"
        )
    if any(finding.n_overflow for finding in findings):
        alone = "; values that become 0 are still refused" if gone else ""
        ways.append(f"--overflow saturate replaces values out of range by the nearest value{alone}")
    if any(finding.n_infinite for finding in findings):
        ways.append("--inf keep keeps infinities; --inf saturate takes the largest value instead")
    if any(finding.n_nan_lost for finding in findings):
        ways.append("--nan zero turns NaN into 0")
    if unfit:
        ways.append("--overflow keep leaves such tensors as they are")
    if gone:
        ways.append("--raw casts the stored numbers in any case")
    return [*found, "ways out:", *("  " + way for way in ways)]


def _one(finding: TensorRefusal) -> str:
    parts: list[str] = []
    of = f"of {count(finding.n_elements)}"
    if finding.n_overflow:
        row = lookup(finding.target)
        there = f" ({finding.target} holds {number(row.min)} to {number(row.max)})"
        if finding.amax is not None and finding.amax > row.max:
            there = f" (largest {number(finding.amax)})"
        parts.append(f"{count(finding.n_overflow)} {of} values out of range{there}")
    if finding.n_infinite:
        parts.append(f"{count(finding.n_infinite)} {of} values infinite")
    if finding.n_nan_lost:
        parts.append(f"{count(finding.n_nan_lost)} {of} values NaN")
    holds = f"; {finding.holds} holds them" if finding.n_overflow or finding.n_nan_lost else ""
    if finding.collapse:
        parts.append(finding.collapse)
    return f"  {safe(finding.tensor)}: {', '.join(parts)}{holds}"


def describe(findings: Sequence[TensorRefusal]) -> list[Json]:
    """The findings, JSON-ready."""
    return [
        {
            "tensor": finding.tensor,
            "source": finding.source,
            "target": finding.target,
            "n_elements": finding.n_elements,
            "n_overflow": finding.n_overflow,
            "n_infinite": finding.n_infinite,
            "n_nan_lost": finding.n_nan_lost,
            "amax": finding.amax,
            "holds": finding.holds,
            "collapse": finding.collapse,
        }
        for finding in findings
    ]
