"""Decides a conversion: which tensor, from what, to what, where, how many bytes.

>>> from tensorcast import checkpoint
>>> steps = checkpoint.prepare("model", "model-bf16", "bfloat16").steps  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

from ...errors import CheckpointError, FormatError, PolicyError, UnsupportedCheckpointError
from ...formats import FORMATS, Format, lookup
from ...policy import Inf, Nan, Rounding
from ..kinds import format_to_write
from ..opening import as_checkpoint
from ..protocol import Checkpoint
from .endings import check_ending
from .job import Job, Overflow, Request
from .raw import raw_metadata, raw_skipped, raw_warnings
from .rules import Rule, choose
from .shards import group
from .steps import shards_and_steps, targets
from .texts import texts_beside


def prepare(
    source: Checkpoint | str | os.PathLike[str],
    destination: str | os.PathLike[str],
    to: Format | str,
    *,
    rules: Sequence[Rule] = (),
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    inf: Inf = "keep",
    seed: int = 0,
    max_shard_size: int | None = None,
    raw: bool = False,
    kept: Mapping[str, str] | None = None,
) -> Job:
    """The conversion of `source` to `to`, decided without reading a tensor or touching a file.

    Args:
        source: from `open_checkpoint`, or its path.
        destination: a directory for a directory, a file for a file (a directory when a file is
            split by `max_shard_size`). A file's name ends in .safetensors.
        to: the format of floating tensors; integers, bool and complex stay.
        rules: the first one that matches a tensor's name decides, whatever the tensor's format;
            each has to match a tensor.
        overflow: "raise", "saturate" and "ieee" as in a cast; "keep" leaves a tensor that
            would overflow (or lose NaNs under nan="raise", or
            has infinities under inf="raise") in its source format.
        rounding, nan, inf: as in a cast; tensors that have their format already are cast too where
            `inf` does not keep infinities.
        seed: of stochastic rounding; each tensor's own seed follows from it and its name.
        max_shard_size: bytes of data per file; None keeps the source's files. A tensor is never
            split: a larger one has a larger file.
        raw: cast the stored numbers as they are, without their scales, whatever becomes of them.
            Scales stay as tensors; what describes a quantization is not written; a tensor that
            collapses (`Loss.collapses`) is no error.
        kept: tensors to leave in their source format, with the reason.

    Raises:
        UnsupportedCheckpointError: the weights come with scales, and raw is not set.
        FormatError: a format is unknown, or safetensors cannot hold it.
        PolicyError, CastError: the policy does not fit a tensor's formats; a rule matches no
            tensor, or decides nothing.
        DestinationError: the destination's ending is not that of what would be written.
        CheckpointError: a tensor's bits would not fill whole bytes; the files by `max_shard_size`
            would not be found by those who load the source.
    """
    source = as_checkpoint(source)
    to = lookup(to, "files")
    request = Request(to, tuple(rules), overflow, rounding, nan, inf, seed, max_shard_size, raw)
    directory = source.directory or max_shard_size is not None
    _check(source, request, "" if directory else os.path.basename(destination))
    kept = dict(kept or {})
    choices, warnings = choose(source.tensors, to, rules)
    check_ending(destination, source.path.name, directory=directory)
    groups, larger = group(source, targets(source, choices, kept), max_shard_size)
    if not directory:
        groups = [replace(groups[0], file=Path(destination).name)]
    skipped, extra_files = dict(source.skipped), source.extra_files
    if raw:
        if source.scaled:
            groups = [replace(each, metadata=raw_metadata(each.metadata)) for each in groups]
        larger += raw_warnings(source)
        skipped |= raw_skipped(source)
        extra_files = tuple(name for name in extra_files if name not in skipped)
    shards, steps = shards_and_steps(source, groups, request, choices, kept)
    texts, said = texts_beside(source, request, shards, steps, directory=directory, kept=bool(kept))
    before = {"config.json": source.config_text, source.index_name: source.index_text}
    same = [name for name, text in texts.items() if before.get(name) == text]
    return Job(
        source=os.path.abspath(source.path),
        destination=os.path.abspath(destination),
        source_kind=source.kind,
        directory=directory,
        request=request,
        files=source.files,
        shards=shards,
        steps=steps,
        texts={name: text for name, text in texts.items() if name not in same},
        extra_files=tuple(sorted([*extra_files, *same])),
        skipped=skipped,
        unconverted=source.unconverted,
        warnings=(*source.remarks, *warnings, *larger, *said),
    )


def prepare_again(job: Job, source: Checkpoint, kept: Mapping[str, str] | None = None) -> Job:
    """What `prepare` makes of the same request now.

    Args:
        job: its request and its destination are taken, nothing else.
        source: the job's source, opened.
        kept: as in `prepare`.
    """
    options = {each.name: getattr(job.request, each.name) for each in fields(job.request)}
    return prepare(source, job.destination, **options, kept=kept)


def _check(source: Checkpoint, request: Request, file: str) -> None:
    """The request by itself makes sense for the source.

    Args:
        file: the name of the one file to write; "" where it is a directory.
    """
    if source.scaled and not request.raw:
        raise UnsupportedCheckpointError(
            f"{str(source.path)!r} holds scaled weights: {source.scaled}. Cast without their "
            "scales, the raw codes would load and be wrong, and scales are not applied yet; "
            "convert the unquantized checkpoint instead, or pass --raw (raw=True in Python) to "
            "cast the stored numbers as they are, without their scales"
        )
    if request.overflow not in get_args(Overflow):
        choices = ", ".join(get_args(Overflow))
        raise PolicyError(f"overflow={request.overflow!r} is not one of {choices}")
    if request.max_shard_size is not None and request.max_shard_size <= 0:
        raise CheckpointError(
            f"max_shard_size is in bytes and above 0, not {request.max_shard_size}"
        )
    written = format_to_write(file)
    writer = written.writer
    assert writer is not None
    for format in (request.to, *(rule.format for rule in request.rules)):
        if format is not None and not writer.holds(format):
            storable = ", ".join(row.name for row in FORMATS.values() if writer.holds(row))
            raise FormatError(f"{written.kind} cannot hold {format}; it holds {storable}")
