"""What `repr` and `str` say of a checkpoint, a job, a result and a difference: little."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..words.table import Column, layout
from ..words.text import plain, safe, shorten
from ..words.units import decibels, duration, human_bytes, percent, plural

if TYPE_CHECKING:
    from ..core.loss import Loss
    from .decide.job import Job, Step
    from .protocol import Checkpoint
    from .work.difference import Difference, TensorDifference
    from .work.running import Result

_PATH: Final = 48
_LONG: Final = 160
_MOST: Final = 8

Rows = list[tuple[str, str]]


def of_checkpoint(source: Checkpoint) -> str:
    """A checkpoint in one line."""
    return f"<Checkpoint {_path(source.path)}: {_facts(source)}>"


def about_checkpoint(source: Checkpoint) -> str:
    """A checkpoint in a few lines: what it is, its formats, and whether it may be cast."""
    sizes: dict[str, tuple[int, int]] = {}
    for tensor in source.tensors:
        n, n_bytes = sizes.get(tensor.format.name, (0, 0))
        sizes[tensor.format.name] = n + 1, n_bytes + tensor.n_bytes
    rows: Rows = [("checkpoint", safe(str(source.path))), ("holds", _facts(source))]
    rows += [
        (name, f"{plural(n, 'tensor')}, {human_bytes(n_bytes)}")
        for name, (n, n_bytes) in sorted(sizes.items(), key=lambda item: -item[1][1])
    ]
    if source.scaled is not None:
        rows.append(("not castable", f"the weights carry scales: {_shown(source.scaled)}"))
    return _text(rows)


def of_job(job: Job) -> str:
    """A job in one line."""
    cast = _cast(job.steps)
    return f"<Job {_path(job.source)} -> {_path(job.destination)}: {cast}, {_sizes(job)}>"


def about_job(job: Job) -> str:
    """A job in a few lines: what becomes what, where, and what the caller should hear."""
    rows: Rows = [
        ("job", safe(job.source)),
        ("to", safe(job.destination)),
        ("cast", f"{_cast(job.steps)}, {_sizes(job)}"),
        *_kept(job.steps, {}),
        *(("warning", _shown(text)) for text in job.warnings[:_MOST]),
    ]
    return _text(rows)


def of_result(result: Result) -> str:
    """A result in one line."""
    job = result.job
    return f"<Result {_path(job.destination)}: {_cast(job.steps)}, {_sizes(job)}>"


def about_result(result: Result) -> str:
    """A result in a few lines: what was written, what was lost, what stayed."""
    from ..core.totals import total

    job = result.job
    rows: Rows = [
        ("wrote", safe(job.destination)),
        ("size", f"{_sizes(job)}, {plural(len(job.shards), 'file')}"),
        ("time", duration(result.seconds)),
    ]
    for target, losses in _losses(result).items():
        found = total(target, losses)
        known = all(loss.n_inexact is not None for loss in losses.values())
        told = known or found.n_overflow or found.n_nan_lost or found.collapsing
        said = found.sentence() if told else "no overflow (report=True tells what was rounded)"
        rows.append((f"to {target}", _shown(f"{plural(len(losses), 'tensor')}, {said}")))
    rows += _kept(job.steps, result.kept)
    rows += [("warning", _shown(text)) for text in result.warnings[:_MOST]]
    if result.resumed:
        rows.append(("resumed", f"{plural(len(result.resumed), 'file')} of an earlier run"))
    if result.verified:
        rows.append(("verified", "what was written reads back the same"))
    return _text(rows)


def of_difference(found: Difference) -> str:
    """A difference in one line."""
    return f"<Difference: {_verdict(found)}>"


def about_difference(found: Difference) -> str:
    """A difference in a few lines: the verdict, then the tensors that differ most."""
    rows: Rows = []
    differing = sorted((row for row in found.tensors if not row.equal), key=_worst_first)
    for row in differing[:_MOST]:
        rows.append((shorten(safe(row.name), _PATH), _how(row)))
    for where, names in (("a", found.missing), ("b", found.extra)):
        rows += [(shorten(safe(name), _PATH), f"only in {where}") for name in names[:_MOST]]
    more = len(differing) + len(found.missing) + len(found.extra) - len(rows)
    if more:
        rows.append((f"and {more:,} more", ""))
    return "\n".join(filter(None, [_verdict(found), _text(rows)]))


def _worst_first(row: TensorDifference) -> tuple[float, str]:
    return (float("-inf") if row.sqnr_db is None else row.sqnr_db, row.name)


def _how(row: TensorDifference) -> str:
    if row.shape_a != row.shape_b:
        return f"{list(row.shape_a)} in a, {list(row.shape_b)} in b"
    if row.n_different is None:
        return f"{row.format_a.name} in a, {row.format_b.name} in b: not comparable"
    special = f", {row.n_special:,} NaN or infinite" if row.n_special else ""
    share = percent(row.n_different, row.n_elements) if row.n_elements else "0%"
    formats = (
        "" if row.format_a == row.format_b else f"{row.format_a.name} and {row.format_b.name}, "
    )
    return f"{formats}{share} of the values differ{special}, SQNR {decibels(row.sqnr_db)}"


def _verdict(found: Difference) -> str:
    n = len(found.tensors)
    if found.equal:
        return f"equal: all {plural(n, 'tensor')}, bit by bit"
    differing = [row for row in found.tensors if not row.equal]
    facts = [f"{len(differing):,} of {plural(n, 'tensor')} differ"]
    known = [row.sqnr_db for row in differing if row.sqnr_db is not None]
    if known:
        facts[0] += f" (worst {decibels(min(known))})"
    facts += [
        f"{len(names):,} only in {where}"
        for where, names in (("a", found.missing), ("b", found.extra))
        if names
    ]
    return ", ".join(facts)


def _facts(source: Checkpoint) -> str:
    files = f" of {plural(len(source.files), 'file')}" if len(source.files) != 1 else ""
    scaled = ", with scales" if source.scaled is not None else ""
    sizes = f"{plural(len(source.tensors), 'tensor')}, {human_bytes(source.n_bytes)}"
    return f"{source.label}{files}, {sizes}{scaled}"


def _cast(steps: Sequence[Step]) -> str:
    """How many tensors are cast, and to what."""
    targets = Counter(
        output.format.name for step in steps if step.policy is not None for output in step.outputs
    )
    if not targets:
        return f"none of {plural(len(steps), 'tensor')} cast"
    to = " and ".join(name for name, _ in targets.most_common())
    return f"{sum(targets.values()):,} of {plural(len(steps), 'tensor')} to {to}"


def _sizes(job: Job) -> str:
    after = sum(output.n_bytes for step in job.steps for output in step.outputs)
    before = job.n_bytes_read
    return f"{human_bytes(before)} -> {human_bytes(after)} ({percent(after, before)})"


def _kept(steps: Sequence[Step], unfit: Mapping[str, str]) -> Rows:
    """The tensors that stay in their format, by the reason; those that would not fit by name."""
    rows = [("kept", _shown(f"{name}: {why}")) for name, why in list(unfit.items())[:_MOST]]
    if len(unfit) > _MOST:
        rows.append(("kept", f"{len(unfit) - _MOST:,} more that do not fit"))
    reasons = Counter(
        step.kept or "as it was"
        for step in steps
        if step.policy is None and step.outputs[0].name not in unfit
    )
    rows += [("kept", _shown(f"{plural(n, 'tensor')}: {why}")) for why, n in reasons.items()]
    return rows


def _losses(result: Result) -> dict[str, dict[str, Loss]]:
    """Target format -> tensor -> loss."""
    found: dict[str, dict[str, Loss]] = {}
    for step in result.job.steps:
        for output in step.outputs:
            if step.policy is not None and output.name in result.losses:
                of_target = found.setdefault(output.format.name, {})
                of_target[output.name] = result.losses[output.name]
    return found


def _path(path: object) -> str:
    return repr(shorten(safe(str(path)), _PATH))


def _shown(text: str) -> str:
    return shorten(safe(text), _LONG)


def _text(rows: Rows) -> str:
    lines = layout([Column(""), Column("")], rows, width=None)
    return "\n".join(plain(line).rstrip() for line in lines)
