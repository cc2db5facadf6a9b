"""Decides a conversion: which tensor, from what, to what, where, how many bytes.

>>> from tensorcast import checkpoint
>>> steps = checkpoint.prepare("model", "model-bf16", "bfloat16").steps  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, get_args

from ...errors import CheckpointError, FormatError, PolicyError, UnsupportedCheckpointError
from ...formats import FORMATS, Format, lookup
from ...policy import Inf, Nan, Rounding
from ...words.units import parse_bytes
from ..kinds import format_to_write
from ..opening import as_checkpoint
from ..protocol import Checkpoint
from .endings import check_ending
from .job import Job, Overflow, Request
from .raw import raw_metadata, raw_skipped, raw_warnings
from .rules import Rule, Rules, as_rules, choose
from .shards import group
from .steps import shards_and_steps, targets
from .texts import texts_beside


class Options(TypedDict, total=False):
    """What `prepare` and `convert` take besides source, destination and format; see `prepare`."""

    rules: Rules
    keep: str | Sequence[str]
    overflow: Overflow
    rounding: Rounding | None
    nan: Nan
    inf: Inf
    seed: int
    max_shard_size: int | str | None
    raw: bool


def prepare(
    source: Checkpoint | str | os.PathLike[str],
    destination: str | os.PathLike[str],
    to: Format | str,
    *,
    rules: Rules = (),
    keep: str | Sequence[str] = (),
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    inf: Inf = "keep",
    seed: int = 0,
    max_shard_size: int | str | None = None,
    raw: bool = False,
) -> Job:
    """The conversion of `source` to `to`, decided without reading a tensor or writing a file.

    Args:
        source: the path of a file or directory, or what `open` gave.
        destination: a directory for a directory, a file for a file (a directory when a file is
            split by `max_shard_size`). A file's name ends in .safetensors; into a directory that
            is there a file goes under its own name.
        to: the format of floating tensors; integers, bool and complex stay.
        rules: other formats for tensors by their names: `{"*norm*": "float32"}`, or "GLOB=FORMAT"
            each. The first one that matches a tensor's name decides, whatever the tensor's
            format; each has to match a tensor.
        keep: globs of names of tensors that keep their format; they come before every rule.
        overflow: "raise", "saturate" and "ieee" as in a cast; "keep" leaves a tensor that
            would overflow (or lose NaNs under nan="raise", or
            has infinities under inf="raise") in its source format.
        rounding, nan, inf: as in a cast; tensors that have their format already are cast too where
            `inf` does not keep infinities.
        seed: of stochastic rounding; each tensor's own seed follows from it and its name.
        max_shard_size: bytes of data per file, or a size like "5GB"; None keeps the source's
            files. A tensor is never split: a larger one has a larger file.
        raw: cast the stored numbers as they are, without their scales, whatever becomes of them.
            Scales stay as tensors; what describes a quantization is not written; a tensor that
            collapses (`Loss.collapses`) is no error.

    Raises:
        FileNotFoundError: there is no source.
        UnsupportedCheckpointError: the weights come with scales, and raw is not set.
        FormatError: a format is unknown, or safetensors cannot hold it.
        PolicyError, CastError: the policy does not fit a tensor's formats; a rule matches no
            tensor, or decides nothing.
        DestinationError: the destination's ending is not that of what would be written.
        CheckpointError: a tensor's bits would not fill whole bytes; the files by `max_shard_size`
            would not be found by those who load the source.
    """
    source = as_checkpoint(source)
    keeps = [keep] if isinstance(keep, str) else keep
    request = Request(
        lookup(to, "files"),
        (*(Rule(glob, None) for glob in keeps), *as_rules(rules)),
        overflow,
        rounding,
        nan,
        inf,
        seed,
        _in_bytes(max_shard_size),
        raw,
    )
    if not source.directory and max_shard_size is None and os.path.isdir(destination):
        destination = os.path.join(destination, source.path.name)
    return _prepare(source, destination, request, {})


def _in_bytes(size: int | str | None) -> int | None:
    if not isinstance(size, str):
        return size
    try:
        return parse_bytes(size)
    except ValueError as error:
        raise CheckpointError(f"max_shard_size: {error}") from None


def _prepare(
    source: Checkpoint,
    destination: str | os.PathLike[str],
    request: Request,
    kept: Mapping[str, str],
) -> Job:
    """The job of a request.

    Args:
        kept: tensors to leave in their source format, with the reason.
    """
    directory = source.directory or request.max_shard_size is not None
    _check(source, request, "" if directory else Path(destination).name)
    choices, warnings = choose(source.tensors, request.to, request.rules)
    check_ending(destination, source.path.name, directory=directory)
    groups, larger = group(source, targets(source, choices, kept), request.max_shard_size)
    if not directory:
        groups = [replace(groups[0], file=Path(destination).name)]
    skipped, extra_files = dict(source.skipped), source.extra_files
    if request.raw:
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
        kept: tensors to leave in their source format, with the reason.
    """
    return _prepare(source, job.destination, job.request, kept or {})


def _check(source: Checkpoint, request: Request, file: str) -> None:
    """The request by itself makes sense for the source.

    Args:
        file: the name of the one file to write; "" where it is a directory.
    """
    if source.scaled and not request.raw:
        raise UnsupportedCheckpointError(
            f"{str(source.path)!r} holds scaled weights: {source.scaled}. Cast without their "
            "scales, the raw codes would load and be wrong, and scales are not applied yet; "
            "convert the unquantized checkpoint instead, or pass raw=True to cast "
            "the stored numbers as they are, without their scales"
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
