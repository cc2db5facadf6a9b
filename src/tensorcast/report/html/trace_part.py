"""A trace as data for the page: what happened by line, the most expensive first, and when."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .embedding import Texts, short_path, within

if TYPE_CHECKING:
    from ...model.trace.findings import Finding
    from ...model.trace.sites import Site
    from ...model.trace.tracing import Trace

LINES_BYTES: Final = 110_000
TIMELINE_BYTES: Final = 60_000
_MOST_MEMBERS: Final = 30
_FINEST: Final = 1 << 16
"""Moments told apart in a timeline that fits."""

COLUMNS: Final = (
    "kind", "op", "source", "target", "from", "to", "file", "line", "function", "code",
    "callerFile", "callerLine", "phase", "worker", "count", "read", "written", "seconds", "first",
    "findings", "n", "members",
)  # fmt: skip
MEMBERS: Final = ("module", "parameter", "shape", "count", "moved", "seconds")


@dataclass(slots=True)
class _Line:
    """Sites of one line that differ in module, parameter, shape or operation alone."""

    sites: list[Site] = field(default_factory=list)
    indices: list[int] = field(default_factory=list)

    def sum(self, name: str) -> Any:
        return sum(getattr(site, name) for site in self.sites)

    @property
    def cost(self) -> tuple[bool, float, int, int]:
        n_bytes = self.sum("n_bytes_read") + self.sum("n_bytes_written")
        seconds = self.sum("seconds")
        return self.sum("n_overflow") > 0, n_bytes / 1e10 + seconds, n_bytes, self.sum("count")


def trace_part(trace: Trace, found: Sequence[tuple[int, Finding]]) -> dict[str, Any]:
    """What the page draws of a trace; what did not fit is counted under `left`.

    Args:
        found: its findings, each with its number in the page.
    """
    texts = Texts()
    lines = sorted(_lines(trace.sites), key=lambda line: line.cost, reverse=True)
    rows = within((_row(line, texts, found) for line in lines), texts, LINES_BYTES)
    left = lines[len(rows) :]
    number = {site: row for row, line in enumerate(lines[: len(rows)]) for site in line.indices}
    return {
        "seconds": trace.seconds,
        "operations": trace.n_operations,
        "columns": COLUMNS,
        "members": MEMBERS,
        "texts": texts.all,
        "rows": rows,
        "left": {
            "lines": len(left),
            "count": sum(line.sum("count") for line in left),
            "seconds": _rounded(sum(line.sum("seconds") for line in left)),
            "bytes": sum(
                line.sum("n_bytes_read") + line.sum("n_bytes_written") for line in left
            ),
        },
        "timeline": _timeline(trace, number),
    }  # fmt: skip


def _lines(sites: Sequence[Site]) -> list[_Line]:
    found: dict[tuple[object, ...], _Line] = {}
    for index, site in enumerate(sites):
        what = site.what
        key = (
            what.kind, what.source, what.target, what.source_device, what.target_device, what.place,
            what.called_from, what.phase, what.worker,
        )  # fmt: skip
        line = found.setdefault(key, _Line())
        line.sites.append(site)
        line.indices.append(index)
    return list(found.values())


def _row(line: _Line, texts: Texts, findings: Sequence[tuple[int, Finding]]) -> list[Any]:
    members = sorted(line.sites, key=lambda site: site.n_bytes_read, reverse=True)
    what = members[0].what
    place, caller = what.place, what.called_from
    here = os.getcwd()
    return [
        texts(what.kind),
        texts(what.op),
        texts(what.source),
        texts(what.target),
        texts(what.source_device),
        texts(what.target_device),
        texts(short_path(place.file, here) if place else ""),
        place.line if place else 0,
        texts(place.function if place else ""),
        texts(place.text if place else ""),
        texts(short_path(caller.file, here) if caller else ""),
        caller.line if caller else 0,
        texts(what.phase),
        int(what.worker),
        line.sum("count"),
        line.sum("n_bytes_read"),
        line.sum("n_bytes_written"),
        _rounded(line.sum("seconds")),
        _rounded(min(site.first_at for site in line.sites)),
        [n for n, f in findings if any(_belongs(site, f) for site in line.sites)],
        len(members),
        [_member(site, texts) for site in members[:_MOST_MEMBERS]],
    ]  # fmt: skip


def _member(site: Site, texts: Texts) -> list[Any]:
    return [
        texts(site.what.module),
        texts(site.what.parameter),
        texts("[" + ", ".join(map(str, site.shape)) + "]"),
        site.count,
        site.n_bytes_read + site.n_bytes_written,
        _rounded(site.seconds),
    ]


def _belongs(site: Site, finding: Finding) -> bool:
    """Whether a finding counts a site; `findings_of` joins sites by rule and line."""
    what = site.what
    of = {
        "overflow": site.n_overflow,
        "underflow": site.n_underflow,
        "round-trip": site.n_returned,
        "built-wide": site.n_new,
        "index-cast": site.n_indexing,
        "repeated-cast": site.n_repeated,
        "moved-wide": site.n_moved_wide,
        "transfer": what.kind == "transfer",
        "synchronisation": what.kind == "synchronisation",
        "new-float64": what.target == "float64" and what.source != "float64",
    }.get(finding.rule, False)
    if not of:
        return False
    if finding.rule == "repeated-cast" and finding.parameter:
        lines = (what.called_from or what.place, finding.called_from or finding.where)
        return bool(what.parameter) and lines[0] == lines[1]
    return (what.place, what.called_from) == (finding.where, finding.called_from)


def _timeline(trace: Trace, number: dict[int, int]) -> dict[str, Any]:
    """Events as numbers one after the other: microseconds since the last one, microseconds in it,
    its row (-1: one that was left out) and how many it stands for."""
    here = sum(site.count for site in trace.sites if not site.what.worker)
    moments = _FINEST
    flat = list(_flat(trace, number, moments))
    while len(flat) > 4 and sum(len(str(n)) + 1 for n in flat) > TIMELINE_BYTES:
        moments //= 2
        flat = list(_flat(trace, number, moments))
    begin = trace.timeline[0][0] if trace.timeline else 0.0
    last = max((at + took for at, took, _ in trace.timeline), default=0.0)
    return {
        "begin": _rounded(begin),
        "end": _rounded(last),
        "kept": len(trace.timeline),
        "events": here,
        "moments": moments if moments < _FINEST else 0,
        "flat": flat,
    }


def _flat(trace: Trace, number: dict[int, int], moments: int) -> Iterator[int]:
    """The timeline with events of one row in one moment made one."""
    begin, end = (trace.timeline[0][0], trace.timeline[-1][0]) if trace.timeline else (0.0, 0.0)
    width = max((end - begin) / moments, 1e-6)
    joined: dict[tuple[int, int], list[float]] = {}
    for at, took, site in trace.timeline:
        row = number.get(site, -1)
        event = joined.setdefault((int((at - begin) / width), row), [at, 0.0, 0])
        event[1] += took
        event[2] += 1
    before = 0
    for (_, row), (at, took, n) in sorted(joined.items(), key=lambda item: item[1][0]):
        now = round(at * 1e6)
        yield from (now - before, round(took * 1e6), row, int(n))
        before = now


def _rounded(seconds: float) -> float:
    return round(seconds, 7)
