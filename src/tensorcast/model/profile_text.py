"""A profile as lines: findings, then what takes the memory, then what other formats would make
of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from tensorcast.words.table import Column, layout
from tensorcast.words.text import Line, Span, Style, line, safe, wrap
from tensorcast.words.units import count, human_bytes, percent, plural

from .wording import details, headline

if TYPE_CHECKING:
    from .findings import Finding
    from .profile_data import Profile, Size

_WRONG: Final = ("raised", "nan", "infinite", "overflow")
ROLES: Final = {
    "parameter": "parameters",
    "buffer": "buffers",
    "tensor": "tensors",
    "gradient": "gradients",
    "optimizer": "optimizer state",
    "input": "inputs",
    "activation": "activations",
}


def lines(profile: Profile, width: int | None) -> list[Line]:
    """Everything that a person reads first; the rest is in `Profile.tensors`."""
    found: list[Line] = []
    for finding in profile.findings:
        found += [*_finding(finding, width), line("")]
    n = len(profile.findings)
    head = plural(n, "finding") if n else "nothing to change"
    found.append(line(Span(head, "bad" if n else "good")))
    found += [(), *_sizes(profile, width)]
    return found


def _finding(finding: Finding, width: int | None) -> list[Line]:
    style: Style = "bad" if finding.rule in _WRONG else "warn"
    room = width or sys.maxsize
    rows = [line(Span(safe(row), style)) for row in wrap(headline(finding), room)]
    for head, text in details(finding):
        for i, row in enumerate(wrap(safe(text), max(20, room - 10))):
            rows.append(line("  ", Span(f"{'' if i else head:8}", "dim"), row))
    return rows


def _sizes(profile: Profile, width: int | None) -> list[Line]:
    """Bytes by role and format."""
    whole = profile.n_bytes_of()
    groups: dict[tuple[str, str], list[Size]] = {}
    for size in profile.sizes:
        groups.setdefault((size.role, size.format), []).append(size)
    rows: list[list[str | Span]] = [
        [ROLES[role], form, *_summed(sizes, whole)] for (role, form), sizes in groups.items()
    ]
    if len(rows) > 1:
        rows.append([Span("total", "title"), "", *_summed(profile.sizes, whole)])
    heads = [
        Column(""), Column("format"), Column("tensors", "right"), Column("bytes", "right"),
        Column("", "right"),
    ]  # fmt: skip
    return layout(heads, rows, width=width)


def _summed(sizes: Iterable[Size], whole: int) -> list[str]:
    n_bytes = sum(size.n_bytes for size in sizes)
    n_tensors = sum(size.n_tensors for size in sizes)
    return [count(n_tensors), human_bytes(n_bytes), percent(n_bytes, whole)]
