"""A job made again from its source. What a job says may come from a file that anybody edited;
nothing of it is carried out that does not follow from its request and the source's headers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any, Final

from ...errors import CastError, CheckpointError, CorruptFileError, FormatError, PolicyError
from ..files.strict_json import shortened
from ..opening import open_checkpoint
from ..protocol import DataFile
from .job import Job, as_dict
from .preparing import prepare_again

_MOST: Final = 5
_AROUND: Final = 24


def derive(job: Job) -> Job:
    """The job that its request gives for its source, which is equal to it.

    Raises:
        FileNotFoundError: the source is not there any more.
        CorruptFileError: a file of the source is another one than was prepared.
        CheckpointError: anything else in the job is not what its request gives; the first
            differences are named.
    """
    if not isinstance(job, Job):
        raise CheckpointError(
            f"expected a job from `prepare` or `Job.from_json`, found a value of type "
            f"{type(job).__name__}"
        )
    for name in ("source", "destination"):
        _check_path(name, getattr(job, name))
    source = open_checkpoint(job.source)
    found = {file.name: file for file in source.files}
    for file in job.files:
        if file.name in found:
            _check_file(os.path.join(source.root, file.name), file, found[file.name])
    try:
        made = prepare_again(job, source)
    except (FormatError, PolicyError, CastError, CheckpointError) as error:
        raise CheckpointError(
            f"the job's request cannot be prepared for {job.source!r}: {error}. Prepare it again: "
            "a job is not for editing"
        ) from None
    if made != job:
        raise _differs(job, made)
    return made


def _check_path(name: str, path: str) -> None:
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded or not os.path.isabs(path) or os.path.abspath(path) != path:
        raise CheckpointError(
            f"the job is damaged: {name}: expected an absolute path, found {shortened(path)}; "
            "prepare it again"
        )


def _check_file(path: str, prepared: DataFile, found: DataFile) -> None:
    changed = [
        each.name
        for each in dataclasses.fields(prepared)
        if getattr(found, each.name) != getattr(prepared, each.name)
    ]
    if changed:
        raise CorruptFileError(
            f"{path!r}: expected the file as it was prepared, found another {', '.join(changed)}; "
            "prepare it again"
        )


def _differs(job: Job, made: Job) -> CheckpointError:
    differences = _differences(as_dict(job), as_dict(made), "")
    lines = [f"the job is not what its request gives for {made.source!r}"]
    for said, _ in zip(differences, range(_MOST), strict=False):
        lines.append(f"  {said}")
    lines.append(
        "Prepare it again: the source has changed, or the job was edited, and a job is not for "
        "editing"
    )
    return CheckpointError("\n".join(lines))


def _differences(said: Any, true: Any, where: str) -> Iterator[str]:
    """Where two documents differ, the first differences first."""
    if isinstance(said, dict) and isinstance(true, dict):
        for key in [*true, *(key for key in said if key not in true)]:
            place = f"{where}.{key}" if where else str(key)
            if key not in said:
                yield f"{_short(place)}: the job lacks it"
            elif key not in true:
                yield f"{_short(place)}: the job has it, the source gives no such entry"
            elif said[key] != true[key]:
                yield from _differences(said[key], true[key], place)
    elif isinstance(said, list) and isinstance(true, list):
        if len(said) != len(true):
            yield f"{where}: the job has {len(said)} entries, the source gives {len(true)}"
        for index, (one, other) in enumerate(zip(said, true, strict=False)):
            if one != other:
                label = "" if "[" in where else _label(other)
                yield from _differences(one, other, f"{where}[{index}]{label}")
    else:
        a, b = (_excerpt(each, said, true) for each in (said, true))
        yield f"{where}: the job says {a}, the source gives {b}"


def _label(entry: Any) -> str:
    """Whose entry of a list it is: of a tensor, of a file."""
    if not isinstance(entry, dict):
        return ""
    outputs = entry.get("outputs")
    named = outputs[0] if isinstance(outputs, list) and outputs else entry
    name = named.get("name", named.get("file"))
    return "" if name is None else f" ({shortened(name)})"


def _short(place: str) -> str:
    return place if len(place) <= 160 else f"{place[:160]}... ({len(place)} characters)"


def _excerpt(value: Any, said: Any, true: Any) -> str:
    """The value; of long texts, where they begin to differ."""
    if not (isinstance(said, str) and isinstance(true, str)) or max(len(said), len(true)) <= 80:
        return shortened(value)
    pairs = enumerate(zip(said, true, strict=False))
    first = next((at for at, (a, b) in pairs if a != b), min(len(said), len(true)))
    begin, end = max(0, first - _AROUND), first + _AROUND
    return f"{'...' if begin else ''}{value[begin:end]!r}{'...' if end < len(value) else ''}"
