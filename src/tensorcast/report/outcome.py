"""What `tensorcast convert` says when it is done: bytes, time, and what was lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from math import inf, log10
from typing import TYPE_CHECKING, Final

from ..checkpoint.decide.raw import SHORT
from ..checkpoint.wording import loss_sentence, reasons_of, totals_of
from ..checkpoint.work.running import Result
from ..core.totals import Total
from ..words.table import Column, layout
from ..words.text import Line, Span, line, safe
from ..words.units import count, decibels, duration, human_bytes, number, percent, plural
from .document import Json
from .other_files import rows_of_files

if TYPE_CHECKING:
    from ..core.loss import Loss

WORST: Final = 10


def lines(
    result: Result, *, width: int | None, n_bytes_peak: int | None, report: bool
) -> list[Line]:
    """The summary; with `report` a table of the tensors that lost most.

    Args:
        n_bytes_peak: the process's own memory at its highest, None when not known.
    """
    job = result.job
    before = job.n_bytes_read
    after = sum(output.n_bytes for step in job.steps for output in step.outputs)
    rate = human_bytes(result.n_bytes_read / max(result.seconds, 1e-9))
    sizes = f"{human_bytes(before)} -> {human_bytes(after)} ({percent(after, before)})"
    peak = "" if n_bytes_peak is None else f", peak memory {human_bytes(n_bytes_peak)}"
    rows: list[list[str | Span]] = [
        [Span("wrote", "good"), safe(job.destination)],
        [Span("size", "dim"), f"{sizes}, {plural(len(job.shards), 'file')}"],
        [Span("time", "dim"), f"{duration(result.seconds)}, reading {rate}/s{peak}"],
    ]
    for sum_ in totals_of(result):
        rows.append([Span(f"to {sum_.target}", "dim"), _loss(sum_, report)])
    rows += [[Span("kept", "dim"), text] for text in _kept(result)]
    rows += rows_of_files(job.unconverted, job.skipped)
    if job.request.raw:
        rows.append([Span("raw", "warn"), SHORT])
    if result.resumed:
        done = plural(len(result.resumed), "file")
        rows.append([Span("resumed", "dim"), f"{done} finished by an earlier run"])
    if result.verified:
        rows.append([Span("verified", "good"), "the written files were read again and are right"])
    found = layout([Column(""), Column("", wrap=True)], rows, width=width)
    if report:
        table = worst(result, width=width)
        if table:
            found += [(), *table]
    return found


def _loss(sum_: Total, report: bool) -> str:
    """One target's tensors in a line."""
    said = loss_sentence(sum_, report=report, name_worst=False)  # the table names it
    return f"{said} (--report tells what was rounded)" if said.endswith("no overflow") else said


def _kept(result: Result) -> list[str]:
    """The tensors that stayed in their format, by the reason; those that would not fit by name."""
    reasons = reasons_of(result)
    found = [f"{safe(name)}: {safe(why)}" for name, why in result.kept.items()]
    others = Counter(why for name, why in reasons.items() if name not in result.kept)
    return found + [f"{plural(n, 'tensor')}: {safe(why)}" for why, n in others.items()]


def worst(result: Result, *, width: int | None, most: int = WORST) -> list[Line]:
    """The tensors that lost most: overflow first, then by SQNR."""
    targets = {o.name: o.format.name for step in result.job.steps for o in step.outputs}
    changed = [
        (name, loss)
        for name, loss in result.losses.items()
        if loss.n_overflow or loss.n_nan_lost or loss.n_inexact
    ]
    changed.sort(key=lambda item: (-item[1].n_overflow, _sqnr(item[1]), item[0]))
    if not changed:
        return [line("no value changed in any tensor")] if result.losses else []
    heads = [
        Column("tensor", elastic=True, tall=True),
        Column("to"),
        Column("overflow", "right"),
        Column("underflow", "right"),
        Column("largest", "right", drop=2),
        Column("max error", "right", drop=1),
        Column("SQNR", "right"),
    ]
    rows: list[list[str | Span]] = [
        [
            safe(name),
            targets.get(name, loss.target),
            Span(count(loss.n_overflow), "bad" if loss.n_overflow else ""),
            "-" if loss.n_underflow is None else count(loss.n_underflow),
            number(loss.amax),
            number(loss.max_abs_error),
            decibels(loss.sqnr_db),
        ]
        for name, loss in changed[:most]
    ]
    found = layout(heads, rows, width=width)
    if len(changed) > most:
        more = f"and {len(changed) - most:,} more tensors that lost less (--json has them all)"
        found.append(line(Span(more, "dim")))
    return found


def _sqnr(loss: Loss) -> float:
    """What to sort by: the SQNR, or where its squares have no float64 that of the largest values;
    infinite where nothing is known."""
    if loss.sqnr_db is not None:
        return loss.sqnr_db
    if not loss.amax or not loss.max_abs_error:
        return inf
    return 20 * (log10(loss.amax) - log10(loss.max_abs_error))


def describe(result: Result, *, n_bytes_peak: int | None) -> Json:
    """The outcome, JSON-ready; `losses` has one entry per cast tensor."""
    job = result.job
    return {
        "source": job.source,
        "destination": job.destination,
        "to": job.request.to.name,
        "raw": job.request.raw,
        "files": [shard.file for shard in job.shards],
        "n_bytes_before": job.n_bytes_read,
        "n_bytes_after": sum(o.n_bytes for step in job.steps for o in step.outputs),
        "n_bytes_read": result.n_bytes_read,
        "n_bytes_written": result.n_bytes_written,
        "n_bytes_peak": n_bytes_peak,
        "seconds": round(result.seconds, 6),
        "verified": result.verified,
        "resumed": list(result.resumed),
        "kept": reasons_of(result),
        "skipped": dict(result.skipped),
        "unconverted": dict(job.unconverted),
        "warnings": list(result.warnings),
        "totals": [{**asdict(sum_), "verdict": sum_.verdict} for sum_ in totals_of(result)],
        "losses": {name: loss.to_dict() for name, loss in result.losses.items()},
    }
