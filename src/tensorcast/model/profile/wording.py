"""A profile as lines: findings, then what takes the memory, then what other formats would make
of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from ...core.loss_table import table, verdicts
from ...words.table import Column, layout
from ...words.text import Line, Span, Style, line, safe, wrap
from ...words.tree import Entry, grow
from ...words.units import count, human_bytes, percent, plural
from ..trace.findings import WRONG
from ..trace.wording import NOTHING

if TYPE_CHECKING:
    from ..trace.findings import Finding
    from .data import Size
    from .result import Profile

_SHOWN: Final = 0.01  # of the memory: a module that takes less stands within its parent
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
    head = plural(n, "finding") if n else NOTHING
    found.append(line(Span(head, "bad" if n else "good")))
    for part in (
        [line(Span(safe(title(profile)), "title")), *_sizes(profile, width)],
        _peak(profile, width),
        _modules(profile, width),
        *(_candidates(profile, of, width) for of in ("weights", "gradients", "activations")),
        [
            line(Span(row, "dim"))
            for note in profile.notes
            for row in wrap(safe(note), width or 100)
        ],
    ):
        if part:
            found += [(), *part]
    return found


def title(profile: Profile) -> str:
    """The model, and what was done with it."""
    if not profile.has_inputs:
        return f"{profile.model}, not run"
    how = "with gradients" if profile.with_grad else "without gradients"
    return f"{profile.model}, run once {how}"


def is_news(finding: Finding, head: str, text: str) -> bool:
    """Whether a line of a finding says more than its headline, which may have named the tensor."""
    return not (head == "of" and text in finding.what)


def _finding(finding: Finding, width: int | None) -> list[Line]:
    style: Style = "bad" if finding.rule in WRONG else "warn"
    room = width or sys.maxsize
    rows = [line(Span(safe(row), style)) for row in wrap(finding.headline, room)]
    for head, text in finding.details:
        if not is_news(finding, head, text):
            continue
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
    return [count(n_tensors), human_bytes(n_bytes), percent(n_bytes, whole, column=True)]


def _peak(profile: Profile, width: int | None) -> list[Line]:
    """Where the forward needs most."""
    peak = profile.peak
    if peak is None:
        return []
    kinds = {size.module: size.kind for size in profile.sizes if size.kind}
    what = ", ".join(filter(None, (peak.module and kinds.get(peak.module), peak.op)))
    text = f"activations take most memory in {peak.module or profile.model} ({what})"
    if peak.saved:
        kept = percent(peak.saved, peak.n_bytes)
        text += f"; {human_bytes(peak.saved)} ({kept}) of them are kept for the backward pass"
    scratch = sum(size.n_bytes for size in profile.sizes if size.format == "workspace")
    if scratch and peak.allocator_op:
        text += f"; {peak.allocator_op} takes {human_bytes(scratch)} more while it runs (workspace)"
    return [line(row) for row in wrap(safe(text), width or 100)]


def _modules(profile: Profile, width: int | None) -> list[Line]:
    """The modules as a tree, small ones within their parents."""
    held: dict[str, int] = {}
    alive: dict[str, int] = {}
    for size in profile.sizes:
        of = alive if size.role == "activation" else held
        if size.role != "input":
            of[size.module] = of.get(size.module, 0) + size.n_bytes
    if len(held | alive) < 2:
        return []
    least = sum((*held.values(), *alive.values())) * _SHOWN
    for of in (held, alive):
        _raise_small(of, least)
    sizes = {path: (held.get(path, 0), alive.get(path, 0)) for path in held | alive}
    return _tree(sizes, width)


def _raise_small(sizes: dict[str, int], least: float) -> None:
    """Counts what is less within its parent, and so on upwards."""
    deepest = max((path.count(".") for path in sizes), default=0)
    for depth in range(deepest, -1, -1):
        for path in [path for path in sizes if path and path.count(".") == depth]:
            if sizes[path] < least:
                parent = path.rpartition(".")[0]
                sizes[parent] = sizes.get(parent, 0) + sizes.pop(path)


def _tree(sizes: Mapping[str, tuple[int, int]], width: int | None) -> list[Line]:
    entries = [Entry(path or "the rest", (), both) for path, both in sizes.items() if any(both)]
    whole = [sum(column) for column in zip(*sizes.values(), strict=True)]
    heads = [Column("module", elastic=True)]
    heads += [Column(name, "right") for name in ("held", "activations")]
    rows: list[list[str | Span]] = []
    for row in grow(entries):
        cells: list[str | Span] = [row.label]
        for n_bytes, total in zip(row.sizes, whole, strict=True):
            copies = f"{row.copies} x " if row.copies > 1 else ""
            cells.append(f"{copies}{human_bytes(n_bytes)}" if n_bytes and total else "")
        rows.append(cells)
    return layout(heads, rows, width=width)


def _candidates(profile: Profile, of: str, width: int | None) -> list[Line]:
    """What if I cast this?"""
    here = [candidate for candidate in profile.candidates if candidate.of == of]
    if not here:
        return []
    n_bytes = {one.label: one.n_bytes_after for one in here}
    before = human_bytes(max(one.n_bytes_before for one in here))
    among = plural(max(one.total.n_tensors for one in here), "tensor")
    return [
        line(Span(f"What if I cast the {of}?", "title"), f" {among}, {before}"),
        *table({one.label: one.total for one in here}, n_bytes, width=width),
        (),
        *verdicts({one.label: (one.total.verdict, one.sentence) for one in here}, width=width),
    ]
