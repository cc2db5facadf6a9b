"""What `tensorcast convert --dry-run` shows: the job, and what it would take."""

from __future__ import annotations

from collections import Counter

from ..checkpoint.decide.job import Job, Step
from ..checkpoint.decide.raw import SHORT
from ..words.table import Column, layout
from ..words.text import Line, Span, line, safe
from ..words.tree import Entry, grow
from ..words.units import count, human_bytes, percent, plural, shape
from .other_files import rows_of_files

_MANY = 8
_NAMED = 4


def lines(
    job: Job,
    *,
    width: int | None,
    full: bool,
    n_bytes_needed: int,
    n_bytes_free: int | None,
) -> list[Line]:
    """Which tensor becomes what, where it goes, and the bytes before and after.

    Args:
        width: of the terminal; None: as wide as it takes.
        full: every tensor by its whole name and with its file.
        n_bytes_needed: what the destination takes.
        n_bytes_free: on its file system; None: not known.
    """
    return [
        line(Span("job", "title"), "  ", safe(job.source)),
        line("   -> ", safe(job.destination)),
        (),
        *_tree(job, width, full),
        (),
        *_files(job, width, full),
        (),
        *_summary(job, width, full, n_bytes_needed, n_bytes_free),
        *(line(Span("warning: ", "warn"), safe(text)) for text in job.warnings),
        line(Span("nothing was written: this is a dry run", "dim")),
    ]


def _tree(job: Job, width: int | None, full: bool) -> list[Line]:
    entries: list[Entry] = []
    for step in job.steps:
        before = sum(tensor.n_bytes for tensor in step.inputs)
        for output in step.outputs:
            source = step.inputs[0].format.name
            target = "kept" if step.policy is None else output.format.name
            where = (output.file,) if full else ()
            cells = (source, target, shape(output.shape), *where)
            entries.append(Entry(output.name, cells, (before, output.n_bytes)))
            before = 0
    heads = [
        Column("tensor", elastic=True, tall=full),
        Column("from", drop=4),
        Column("to"),
        Column("shape", drop=2),
        Column("before", "right", drop=3),
        Column("after", "right"),
        Column("file" if full else "", drop=1),
    ]
    rows: list[list[str | Span]] = []
    for row in grow(entries, full=full):
        origin, target, dimensions, where_to = (*(row.cells or ("", "", "")), "")[:4]
        sizes = [human_bytes(size) for size in row.sizes]
        if row.copies > 1:
            sizes = [f"{row.copies} x {size}" for size in sizes]
        rows.append(
            [
                row.label if row.cells else Span(row.label, "name"),
                origin,
                Span(target, "dim" if target == "kept" else ""),
                dimensions,
                *(Span(size, "" if row.cells else "dim") for size in sizes),
                safe(where_to),
            ]
        )
    return layout(heads, rows, width=width)


def _files(job: Job, width: int | None, full: bool) -> list[Line]:
    if len(job.shards) > _MANY and not full:
        sizes = sorted(shard.n_bytes for shard in job.shards)
        least, most = human_bytes(sizes[0]), human_bytes(sizes[-1])
        return [line(f"{len(job.shards)} files of {least} to {most} (--full lists them)")]
    tensors = Counter(output.file for step in job.steps for output in step.outputs)
    heads = [
        Column("file", elastic=True, tall=True),
        Column("tensors", "right"),
        Column("bytes", "right"),
    ]
    rows = [
        [safe(shard.file), count(tensors[shard.file]), human_bytes(shard.n_bytes)]
        for shard in job.shards
    ]
    return layout(heads, rows, width=width)


def _is_bare(step: Step) -> bool:
    """Whether floats become a format that elsewhere comes with a scale."""
    source, target = step.inputs[0].numbers, step.outputs[0].numbers
    return source.is_float and (target.bits < 8 or not target.is_float)


def _summary(
    job: Job, width: int | None, full: bool, n_bytes_needed: int, n_bytes_free: int | None
) -> list[Line]:
    rows: list[list[str | Span]] = []

    def say(head: str, text: str) -> None:
        rows.append([Span(head, "dim"), text])

    casts = [step for step in job.steps if step.policy is not None]
    n_before = sum(tensor.n_bytes for step in casts for tensor in step.inputs)
    n_after = sum(tensor.n_bytes for step in casts for tensor in step.outputs)
    share = percent(n_after, n_before)
    sizes = f"{human_bytes(n_before)} -> {human_bytes(n_after)} ({share})"
    say("cast", f"{plural(len(casts), 'tensor')}, {sizes}")
    kept: dict[str, tuple[int, int]] = {}
    for step in job.steps:
        if step.policy is None:
            n, n_bytes = kept.get(step.kept or "", (0, 0))
            size = sum(tensor.n_bytes for tensor in step.outputs)
            kept[step.kept or ""] = (n + 1, n_bytes + size)
    for reason, (n, n_bytes) in kept.items():
        say("kept", f"{plural(n, 'tensor')}, {human_bytes(n_bytes)}: {safe(reason)}")
    bare = sorted({step.outputs[0].format.name for step in casts if _is_bare(step)})
    for name in bare:
        ask = f"tensorcast inspect --stats --candidate {name}"
        say(f"to {name}", f"a plain cast without a scale; {ask} shows what would be lost")
    if job.texts:
        say("rewritten", safe(", ".join(job.texts)))
    if job.extra_files:
        say("copied", _some([safe(name) for name in job.extra_files]))
    rows += rows_of_files(job.unconverted, job.skipped, full=full)
    request = job.request
    if request.raw:
        say("raw", SHORT)
    policy = f"overflow {request.overflow}, rounding {request.rounding or 'nearest-even'}"
    if request.rounding == "stochastic":
        policy += f" (seed {request.seed})"
    say("policy", f"{policy}, nan {request.nan}, inf {request.inf}")
    space = f"{human_bytes(n_bytes_needed)} needed"
    if n_bytes_free is not None:
        space += f", {human_bytes(n_bytes_free)} free there"
        if n_bytes_free < n_bytes_needed:
            space += ": too little"
    say("space", space)
    return layout([Column(""), Column("", wrap=True)], rows, width=width)


def _some(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more"
