"""What a checkpoint, a conversion and a comparison say of themselves, in a few lines."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING, Final

from ..words.summary import Summary
from ..words.table import Column, Table
from ..words.text import safe, shorten
from ..words.units import count, decibels, duration, human_bytes, number, percent, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core.loss import Loss
    from ..core.totals import Total
    from .decide.job import Job, Step
    from .protocol import Checkpoint, TensorInfo
    from .work.difference import Difference, TensorDifference
    from .work.running import Result

WORST: Final = 5
_LONG: Final = 100


def by_format(tensors: Sequence[TensorInfo]) -> dict[str, tuple[int, int, int]]:
    """Format -> tensors, elements, bytes; the format with the most bytes first."""
    totals: dict[str, tuple[int, int, int]] = {}
    for tensor in tensors:
        n, n_elements, n_bytes = totals.get(tensor.format.name, (0, 0, 0))
        totals[tensor.format.name] = (
            n + 1,
            n_elements + tensor.n_elements,
            n_bytes + tensor.n_bytes,
        )
    return dict(sorted(totals.items(), key=lambda item: (-item[1][2], item[0])))


def facts_of(source: Checkpoint) -> tuple[str, ...]:
    """What it is and how large, a phrase each."""
    return (
        source.label,
        *((plural(len(source.files), "file"),) if len(source.files) != 1 else ()),
        plural(len(source.tensors), "tensor"),
        plural(source.n_elements, "element"),
        human_bytes(source.n_bytes),
        *(("with scales",) if source.scaled else ()),
    )


def of_checkpoint(source: Checkpoint) -> Summary:
    """A checkpoint: what it holds, by format."""
    heads = (
        Column("format"),
        Column("tensors", "right"),
        Column("elements", "right"),
        Column("bytes", "right"),
    )
    rows = tuple(
        (name, count(n), count(n_elements), human_bytes(n_bytes))
        for name, (n, n_elements, n_bytes) in by_format(source.tensors).items()
    )
    facts = [("holds", ", ".join(facts_of(source)))]
    if source.scaled:
        facts.append(("not castable", f"the weights carry scales: {source.scaled}"))
    facts += [("note", remark) for remark in source.remarks]
    return Summary(str(source.path), tuple(facts), (Table("", heads, rows),))


def of_job(job: Job) -> Summary:
    """A conversion that is decided and not done yet."""
    casts = [step for step in job.steps if step.policy is not None]
    before = sum(tensor.n_bytes for step in casts for tensor in step.inputs)
    after = sum(tensor.n_bytes for step in casts for tensor in step.outputs)
    facts = [
        ("from", job.source),
        ("to", job.destination),
        ("cast", f"{casts_of(job)}, {_sizes(before, after)}"),
        *_kept(job.steps, {}),
        ("writes", f"{plural(len(job.shards), 'file')}, {human_bytes(job.n_bytes_written)}"),
        *(("warning", text) for text in job.warnings),
    ]
    return Summary(f"conversion to {job.request.to.name}, not run yet", tuple(facts))


def casts_of(job: Job) -> str:
    """How many tensors are cast, and to what."""
    targets = Counter(
        output.format.name
        for step in job.steps
        if step.policy is not None
        for output in step.outputs
    )
    n = plural(len(job.steps), "tensor")
    if not targets:
        return f"none of {n} cast"
    to = " and ".join(name for name, _ in targets.most_common())
    return f"{sum(targets.values()):,} of {n} to {to}"


def _kept(steps: Sequence[Step], unfit: Mapping[str, str]) -> list[tuple[str, str]]:
    """The tensors that stay in their format, by the reason; those that would not fit by name."""
    rows = [
        ("kept", f"{shorten(safe(name), _LONG)}: {why}")
        for name, why in list(unfit.items())[:WORST]
    ]
    if len(unfit) > WORST:
        rows.append(("kept", f"{len(unfit) - WORST:,} more that do not fit"))
    reasons = Counter(
        step.kept or "as it was"
        for step in steps
        if step.policy is None and step.outputs[0].name not in unfit
    )
    return rows + [("kept", f"{plural(n, 'tensor')}: {why}") for why, n in reasons.items()]


def _sizes(before: int, after: int) -> str:
    return f"{human_bytes(before)} -> {human_bytes(after)} ({percent(after, before)})"


def totals_of(result: Result) -> list[Total]:
    """The losses summed per target format, the format of most tensors first."""
    from ..core.totals import total

    targets: dict[str, dict[str, Loss]] = {}
    for step in result.job.steps:
        for output in step.outputs:
            if step.policy is not None and output.name in result.losses:
                losses = targets.setdefault(output.format.name, {})
                losses[output.name] = result.losses[output.name]
    ordered = sorted(targets.items(), key=lambda item: -len(item[1]))
    return [total(target, losses) for target, losses in ordered]


def loss_sentence(sum_: Total, *, report: bool, name_worst: bool) -> str:
    """One target's tensors in a line."""
    cast = plural(sum_.n_tensors, "tensor")
    if not (report or sum_.n_overflow or sum_.n_nan_lost or sum_.collapsing):
        return f"{cast}, no overflow"
    return f"{cast}, {sum_.sentence(name_worst=name_worst)}"


def reasons_of(result: Result) -> dict[str, str]:
    """Tensor -> why its format stayed."""
    return {
        output.name: result.kept.get(output.name) or step.kept or "as it was"
        for step in result.job.steps
        if step.policy is None
        for output in step.outputs
    }


def of_result(result: Result) -> Summary:
    """A conversion that was run."""
    job = result.job
    after = sum(output.n_bytes for step in job.steps for output in step.outputs)
    facts = [
        ("from", job.source),
        ("wrote", job.destination),
        ("size", f"{_sizes(job.n_bytes_read, after)}, {plural(len(job.shards), 'file')}"),
        ("time", duration(result.seconds)),
    ]
    for sum_ in totals_of(result):
        counted = sum_.n_inexact is not None
        text = loss_sentence(sum_, report=counted, name_worst=True)
        facts.append((f"to {sum_.target}", text))
    facts += _kept(job.steps, result.kept)
    if result.verified:
        facts.append(("verified", "the written files were read again and are right"))
    facts += [("warning", text) for text in result.warnings]
    return Summary(f"converted to {job.request.to.name}", tuple(facts))


def of_difference(found: Difference) -> Summary:
    """Two checkpoints side by side, those tensors that differ most by name."""
    differing = sorted((row for row in found.tensors if not row.equal), key=worst_first)
    facts = [("equal", f"{plural(len(found.tensors) - len(differing), 'tensor')}, bit by bit")]
    facts += [("different", plural(len(differing), "tensor"))] if differing else []
    for label, names in (("only in a", found.missing), ("only in b", found.extra)):
        more = f" and {count(len(names) - WORST)} more" if len(names) > WORST else ""
        facts += [(label, ", ".join(names[:WORST]) + more)] if names else []
    heads = (
        Column("tensor", elastic=True, tall=True),
        Column("a"),
        Column("b"),
        Column("max error", "right"),
        Column("SQNR", "right"),
    )
    rows = tuple(
        (
            safe(row.name),
            row.format_a.name,
            row.format_b.name,
            number(row.max_abs_error),
            decibels(row.sqnr_db),
        )
        for row in differing[:WORST]
    )
    tables = (Table("the largest differences", heads, rows),) if rows else ()
    return Summary("equal" if found.equal else "different", tuple(facts), tables)


def worst_first(row: TensorDifference) -> tuple[float, str]:
    """The order of differences."""
    return (-inf if row.sqnr_db is None else row.sqnr_db, row.name)
