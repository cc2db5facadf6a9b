"""A capability as lines for a terminal and as tables for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ..words.table import Column, layout
from ..words.text import Line, Span, Style, line, plain, safe, wrap
from ..words.units import duration, human_bytes
from .data import Capability, CastMeasurement, Measurement, Missing, Spread
from .verdicts import BASELINE, TITLES, Comparison, comparisons, factor

_WIDE: Final = 100


@dataclass(frozen=True)
class Table:
    """A table as data: what a terminal and a notebook show alike."""

    title: str
    heads: tuple[Column, ...]
    rows: tuple[tuple[Span, ...], ...]


def lines(capability: Capability, width: int | None) -> list[Line]:
    """What was measured on, the verdicts, the tables, what is missing."""
    width = min(width or _WIDE, _WIDE) if width else _WIDE
    found = [line(Span(row, "dim")) for row in wrap(safe(heading(capability)), width)]
    for sentence in capability.verdicts:
        found += [line(""), *_sentence(sentence, width)]
    for table in tables(capability):
        found += [line(""), line(Span(safe(table.title), "title"))]
        found += layout(table.heads, table.rows, width=width)
    missing = list(_missing(capability.missing))
    if missing:
        found += [line(""), line(Span("Not measured", "title"))]
        heads = (Column(""), Column("", wrap=True))
        found += layout(heads, missing, width=width)
    return found


def _sentence(sentence: str, width: int) -> list[Line]:
    first, *rest = sentence.split("; ")
    rows = [row for part in [first, *rest] for row in wrap(safe(part), width - 4, indent="  ")]
    return [line("" if i == 0 else "  ", row) for i, row in enumerate(rows)]


def heading(capability: Capability) -> str:
    """The machine and the versions in a line."""
    machine = capability.machine
    parts = [machine.name]
    if machine.compute_capability:
        parts.append(f"compute capability {machine.compute_capability}")
    if machine.n_bytes_memory:
        parts.append(human_bytes(machine.n_bytes_memory))
    parts.append(f"{capability.n_threads} of {machine.n_cpus} CPUs")
    if machine.flags:
        parts.append(" ".join(machine.flags))
    known = ", ".join(f"{name} {version}" for name, version in capability.versions.items())
    return f"{', '.join(parts)}; {known}; {capability.date}, {duration(capability.seconds)}"


def tables(capability: Capability) -> list[Table]:
    """One per operation, then the casts."""
    found = []
    for operation in dict.fromkeys(m.operation for m in capability.measurements):
        found.append(_operation(capability.find(operation)))
    if capability.casts:
        found.append(_casts(capability.casts))
    return found


def _operation(measurements: Sequence[Measurement]) -> Table:
    """A row per format and way; per size the time and how many times as fast as float32."""
    cases = list(dict.fromkeys(m.case for m in measurements))
    heads = [Column("format"), Column("operands", "right"), Column("error", "right"),
             Column("SQNR", "right", drop=1)]  # fmt: skip
    for case in cases:
        heads += [Column(case, "right"), Column("", "right")]
    rows = []
    for name, way in dict.fromkeys((m.format, m.way) for m in measurements):
        of = {m.case: m for m in measurements if (m.format, m.way) == (name, way)}
        last = of[list(of)[-1]]
        beside = {c.case: c for c in comparisons(measurements, name, way)}
        row = [
            Span(safe(f"{name} {way}".rstrip()), "name"),
            Span(human_bytes(last.n_bytes)),
            Span(error_text(last.relative_error)),
            Span(f"{last.sqnr_db:.0f} dB" if last.relative_error else ""),
        ]
        for case in cases:
            row.append(Span(time_text(of[case].seconds) if case in of else "-"))
            row.append(_times(beside.get(case)) if name != BASELINE or way else Span(""))
        rows.append(tuple(row))
    sizes = measurements[-1].sizes
    title = f"{measurements[0].operation}  {', '.join(f'{k}={v}' for k, v in sizes.items())}"
    return Table(title, tuple(heads), tuple(rows))


def _times(comparison: Comparison | None) -> Span:
    if comparison is None:
        return Span("")
    styles: dict[str, Style] = {"faster": "good", "slower": "bad", "alike": "", "unclear": "dim"}
    mark = "~" if comparison.state == "unclear" else ""
    return Span(f"{mark}{ratio_text(comparison.ratio.median)}", styles[comparison.state])


def ratio_text(value: float) -> str:
    """How many times as fast: "4.1x"; slower ones by their quotient: "1/160"."""
    return f"{factor(value)}x" if value >= 0.995 else f"1/{factor(1 / value)}"


def time_text(spread: Spread) -> str:
    """The median with three digits: "0.093 ms", "3.02 s"."""
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        value = spread.median * scale
        if value >= 1 or (unit == "ms" and value >= 0.0995):
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
    return f"{spread.median * 1e6:.3g} us"


def error_text(error: float) -> str:
    """A relative error: "0.31%", "2.9e-07", "exact"."""
    if error == 0:
        return "exact"
    return f"{100 * error:.2g}%" if error >= 1e-5 else f"{error:.1e}"


def _casts(casts: Sequence[CastMeasurement]) -> Table:
    """A row per pair of formats, a column per library, GB/s read and written."""
    columns = list(dict.fromkeys((c.library, c.into) for c in casts if c.library != "copy"))
    columns.sort(key=lambda column: column[1] == "given")
    heads = [Column("read and written, GB/s")]
    heads += [Column(_heading(library, into), "right") for library, into in columns]
    heads.append(Column("copy", "right"))
    rows = []
    pairs = dict.fromkeys((c.source, c.target) for c in casts if c.library == "tensorcast")
    copies = iter([c for c in casts if c.library == "copy"])
    for source, target in pairs:
        of = {(c.library, c.into): c for c in casts if (c.source, c.target) == (source, target)}
        row = [Span(f"{source} -> {target}", "name")]
        ours = of.get(("tensorcast", "new")), of.get(("tensorcast", "given"))
        for column in columns:
            row.append(_speed(of.get(column), ours[column[1] == "given"]))
        copy = next(copies, None)
        row.append(Span(f"{copy.bytes_per_second / 1e9:.1f}" if copy else "", "dim"))
        rows.append(tuple(row))
    n = casts[0].n_elements
    return Table(f"casts of {n:,} elements, into new memory and memory given", tuple(heads),
                 tuple(rows))  # fmt: skip


def _heading(library: str, into: str) -> str:
    title = "ours" if library == "tensorcast" else TITLES.get(library, library)
    return title if into == "new" else f"{title} out"


def _speed(cast: CastMeasurement | None, ours: CastMeasurement | None) -> Span:
    if cast is None:
        return Span("-", "dim")
    text = f"{cast.bytes_per_second / 1e9:.1f}" + ("*" if cast.n_different else "")
    if cast.library == "tensorcast" or ours is None:
        return Span(text)
    return Span(text, "good" if cast.seconds.high < ours.seconds.low else "")


def _missing(missing: Sequence[Missing]) -> Iterator[tuple[Span, Span]]:
    """What is missing for one reason is one row."""
    groups: dict[tuple[str, str], list[Missing]] = {}
    for m in missing:
        groups.setdefault((f"{m.format} {m.way}".strip(), m.reason), []).append(m)
    for (name, reason), members in groups.items():
        places: dict[str, list[str]] = {}
        for m in members:
            places.setdefault(m.operation, []).append(m.case)
        where = ", ".join(
            " ".join([operation, *([", ".join(filter(None, cases))] if len(cases) < 4 else [])])
            for operation, cases in places.items()
        )
        yield Span(safe(name), "name"), Span(safe(f"{where.strip()}: {reason}"))


def as_html(capability: Capability) -> str:
    """Verdicts as a list, then the tables; no script, no style sheet."""
    cell = "padding:.15em .7em;text-align"
    parts = [f"<p>{escape(heading(capability))}</p>", "<ul>"]
    parts += [f"<li>{escape(sentence)}</li>" for sentence in capability.verdicts]
    parts.append("</ul>")
    for table in tables(capability):
        parts.append('<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">')
        parts.append(
            '<caption style="caption-side:top;text-align:left;font-weight:600;color:inherit">'
            f"{escape(table.title)}</caption>"
        )
        heads = "".join(
            f'<th scope="col" style="{cell}:{head.align}">{escape(head.heading)}</th>'
            for head in table.heads
        )
        parts.append(f"<tr>{heads}</tr>")
        for row in table.rows:
            cells = "".join(
                f'<td style="{cell}:{head.align}">{escape(span.text)}</td>'
                for head, span in zip(table.heads, row, strict=True)
            )
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</table>")
    missing = list(_missing(capability.missing))
    if missing:
        parts.append("<p>Not measured</p><ul>")
        parts += [f"<li>{escape(plain(row))}</li>" for row in missing]
        parts.append("</ul>")
    return "\n".join(parts)
