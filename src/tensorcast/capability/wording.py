"""A capability as lines for a terminal, and the tables that a notebook shows too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..words.table import Column, Table, layout
from ..words.text import Line, Span, Style, line, safe, wrap
from ..words.units import duration, human_bytes, plural, relative
from .data import BASELINE, CastMeasurement, Measurement, Misfit, Missing, Spread
from .verdicts import TITLES, FormatComparison, comparisons, factor, label_of

if TYPE_CHECKING:
    from .result import Capability

_WIDE: Final = 100
_LEGEND: Final = (
    "Memory is that of operands and result. Memory and error are those of the largest size. Beside "
    "each time: how many times as fast as float32 it is; ~ marks what is within the noise"
)


def lines(capability: Capability, width: int | None) -> list[Line]:
    """What was measured on, the verdicts, the tables, what is missing."""
    width = min(width or _WIDE, _WIDE)
    found: list[Line] = []
    for name, text in heading(capability):
        rows = wrap(safe(text), width - 10)
        found += [line(Span(f"{'' if i else name:10}", "dim"), row) for i, row in enumerate(rows)]
    if capability.was_busy:
        found.append(line(""))
    if capability.was_busy:
        found += [line(Span(row, "warn")) for row in wrap(busy(capability), width)]
    for sentence in capability.verdicts:
        found += [line(""), *_sentence(sentence, width)]
    for table in tables(capability):
        found += [line(""), *table.lines(width)]
    missing = list(missing_of(capability))
    if missing:
        found += [line(""), line(Span("Not measured", "title"))]
        heads = (Column(""), Column("", wrap=True))
        found += layout(heads, missing, width=width)
    return found


def _sentence(sentence: str, width: int) -> list[Line]:
    """Its clauses on lines of their own; what to use stands out."""
    found = []
    for i, clause in enumerate(sentence.split("; ")):
        style: Style = "title" if clause.startswith(("use ", "on this ")) else ""
        for row in wrap(safe(clause), width - 2, indent="  "):
            found.append(line("  " if i else "", Span(row, style)))
    return found


def heading(capability: Capability) -> list[tuple[str, str]]:
    """What was measured on, the versions, when: (name, text)."""
    machine = capability.machine
    parts = [machine.name]
    if machine.compute_capability:
        parts.append(f"compute capability {machine.compute_capability}")
    if machine.n_bytes_memory:
        parts.append(human_bytes(machine.n_bytes_memory))
    if machine.flags:
        parts.append(" ".join(machine.flags))
    known = ", ".join(f"{name} {version}" for name, version in capability.versions.items())
    date = capability.date.replace("T", " ").replace("+00:00", " UTC")
    threads = f"{plural(capability.n_threads, 'thread')}, {plural(machine.n_cpus, 'CPU')}"
    return [
        ("GPU" if machine.device == "cuda" else "CPU", ", ".join(parts)),
        ("threads", threads),
        ("versions", known),
        ("measured", f"{date}, in {duration(capability.seconds)}"),
    ]


def busy(capability: Capability) -> str:
    """The warning of a machine that others used."""
    return (
        f"No verdict: other programs used {capability.n_cpus_others:.1f} CPUs during the "
        "measurement, so the times may be wrong. Stop them and repeat, or measure with fewer "
        "threads."
    )


def tables(capability: Capability) -> list[Table]:
    """One per operation, then the casts."""
    found = []
    for operation in dict.fromkeys(m.operation for m in capability.measurements):
        found.append(_operation(capability.find(operation)))
    if found:
        found[-1] = replace(found[-1], notes=(_LEGEND,))
    if capability.casts:
        found.append(_casts(capability.casts))
    if capability.misfits:
        found.append(_misfits(capability.misfits))
    return found


def _operation(measurements: Sequence[Measurement]) -> Table:
    """A row per format and way; per size the time and how many times as fast as float32."""
    cases = list(dict.fromkeys(m.case for m in measurements))
    heads = [  # in a narrow terminal the last of these go first
        Column("format", elastic=True, tall=True),
        Column("memory", "right", drop=2),
        Column("error", "right", drop=3),
        Column("SQNR", "right", drop=1),
    ]
    for case in cases:
        heads += [Column(case, "right"), Column("", "right")]
    rows = []
    for name, way in dict.fromkeys((m.format, m.way) for m in measurements):
        of = {m.case: m for m in measurements if (m.format, m.way) == (name, way)}
        last = of[list(of)[-1]]
        beside = {c.case: c for c in comparisons(measurements, name, way)}
        row = [
            Span(safe(label_of(name, way)), "name"),
            Span(human_bytes(last.n_bytes)),
            Span(error_text(last.relative_error)),
            Span(f"{last.sqnr_db:.0f} dB" if last.relative_error else ""),
        ]
        for case in cases:
            row.append(Span(time_text(of[case].seconds) if case in of else "-"))
            row.append(_times(beside.get(case)) if name != BASELINE or way else Span(""))
        rows.append(tuple(row))
    last_sizes = measurements[-1].sizes
    same = [k for k in last_sizes if len({m.sizes.get(k) for m in measurements}) == 1]
    sizes = ", ".join(f"{k} {last_sizes[k]}" for k in same) if len(cases) > 1 else ""
    title = "  ".join(filter(None, [measurements[0].operation, sizes]))
    return Table(title, tuple(heads), tuple(rows))


def _times(comparison: FormatComparison | None) -> Span:
    if comparison is None:
        return Span("")
    styles: dict[str, Style] = {"faster": "good", "slower": "bad", "alike": "", "unclear": "dim"}
    mark = "~" if comparison.state == "unclear" else ""
    return Span(f"{mark}{ratio_text(comparison.ratio.median)}", styles[comparison.state])


def ratio_text(value: float) -> str:
    """How many times as fast: "4.1x"; slower ones by their quotient: "1/160"."""
    if 0.95 <= value < 1.05:
        return "1x"
    return f"{factor(value)}x" if value > 1 else f"1/{factor(1 / value)}"


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
    return relative(error) if error >= 1e-5 else f"{error:.1e}"


def _casts(casts: Sequence[CastMeasurement]) -> Table:
    """A row per pair of formats, a column per library, GB/s read and written."""
    columns = list(dict.fromkeys((c.library, c.into) for c in casts if c.library != "copy"))
    columns.sort(key=lambda column: column[1] == "given")
    heads = [Column("GB/s, read and written")]
    for library, into in columns:  # in a narrow terminal the others' memory given goes
        drop = 0 if into == "new" or library == "tensorcast" else 1 + (library == "torch")
        heads.append(Column(_heading(library, into), "right", drop=drop))
    heads.append(Column("copy", "right"))
    rows = []
    pairs = dict.fromkeys((c.source, c.target) for c in casts if c.library != "copy")
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
    notes = [
        f"* {_heading(c.library, c.into)}, {c.source} -> {c.target}: {c.n_different:,} of "
        f"{c.n_elements:,} results differ from ours, the first {c.difference}"
        for c in casts
        if c.n_different
    ]
    title = f"cast  {casts[0].n_elements:,} elements into new memory; out: into memory given"
    return Table(title, tuple(heads), tuple(rows), tuple(notes))


def _misfits(misfits: Sequence[Misfit]) -> Table:
    """A row per value, a column per library."""
    libraries = list(dict.fromkeys(m.library for m in misfits))
    heads = [Column("cast"), Column("value", "right"), Column("ours", "right")]
    heads += [Column(_heading(library, "new"), "right") for library in libraries]
    made = {(m.source, m.target, m.value, m.library): m.result for m in misfits}
    rows = []
    for source, target, value in dict.fromkeys((m.source, m.target, m.value) for m in misfits):
        results = [made.get((source, target, value, library), "-") for library in libraries]
        style: Style = "warn" if len(set(results)) > 1 else ""
        cells = [Span(safe(result), style) for result in results]
        head = (Span(f"{source} -> {target}", "name"), Span(safe(value)), Span("refused", "dim"))
        rows.append((*head, *cells))
    return Table("values that do not fit", tuple(heads), tuple(rows))


def _heading(library: str, into: str) -> str:
    title = "ours" if library == "tensorcast" else TITLES.get(library, library)
    return title if into == "new" else f"{title} out"


def _speed(cast: CastMeasurement | None, ours: CastMeasurement | None) -> Span:
    if cast is None:
        return Span("-", "dim")
    text = f"{cast.bytes_per_second / 1e9:.1f}" + ("*" if cast.n_different else "")
    if cast.library == "tensorcast" or ours is None:
        return Span(text)
    faster = cast.beside_ours is not None and cast.beside_ours.low > 1
    return Span(text, "good" if faster else "")


def missing_of(capability: Capability) -> Iterator[tuple[Span, Span]]:
    """What is missing for one reason is one row; of an operation that is missing in all its cases
    only the name."""
    cases: dict[str, set[str]] = {}
    measured: tuple[Measurement | Missing, ...] = (*capability.measurements, *capability.missing)
    for known in measured:
        cases.setdefault(known.operation, set()).add(known.case)
    groups: dict[tuple[str, str], list[Missing]] = {}
    for m in capability.missing:
        groups.setdefault((label_of(m.format, m.way), m.reason), []).append(m)
    for (name, reason), members in groups.items():
        places: dict[str, list[str]] = {}
        for m in members:
            places.setdefault(m.operation, []).append(m.case)
        where = [
            operation if set(of) == cases[operation] else f"{operation} {', '.join(of)}".rstrip()
            for operation, of in places.items()
        ]
        yield Span(safe(name), "name"), Span(safe(f"{', '.join(where)}: {reason}"))
