"""A conversion as data, and that data as JSON, version 1."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ...errors import CheckpointError, CorruptFileError
from ...formats import Format
from ...policy import Inf, Nan, ResolvedPolicy, Rounding
from ...words.summary import brief
from ..files.strict_json import parse_object, shortened
from ..kinds import is_directory, writer_of
from ..protocol import DataFile, Layout, TensorInfo, TensorSpec
from ..wording import casts_of, of_job
from .rules import Rule
from .typed_json import MismatchError, from_json, to_json

SCHEMA: Final = 1

Overflow = Literal["raise", "saturate", "ieee", "keep"]


@dataclass(frozen=True)
class Request:
    """What the caller asked for; see `prepare`."""

    to: Format
    rules: tuple[Rule, ...]
    overflow: Overflow
    rounding: Rounding | None
    nan: Nan
    inf: Inf
    seed: int
    max_shard_size: int | None
    raw: bool = False


@dataclass(frozen=True)
class Step:
    """One unit of work: source tensors in, destination tensors out.

    Attributes:
        inputs: the tensors to read; more than one when a weight comes with its scales, which
            may lie in other files.
        outputs: the tensors to write.
        policy: of the cast, or None to copy the bytes.
        decoder: how `inputs` become numbers; None: they are plain.
        kept: why the format stays, for a copy.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    policy: ResolvedPolicy | None
    decoder: str | None = None
    kept: str | None = None

    @property
    def n_bytes_read(self) -> int:
        """Of all inputs."""
        return sum(tensor.n_bytes for tensor in self.inputs)


@dataclass(frozen=True)
class Shard:
    """One file to write.

    Attributes:
        file: relative to the destination directory; a single file's own name.
        n_bytes: of the whole file.
        metadata: the strings in its header.
    """

    file: str
    n_bytes: int
    metadata: dict[str, str] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class Job:
    """Everything `run` does, decided.

    Attributes:
        source, destination: absolute paths.
        source_kind: the source's kind, as in `Checkpoint`.
        directory: whether the destination is a directory or one file.
        request: what was asked.
        files: the source's data files as they were when the job was made.
        shards: files of tensors to write, in order.
        steps: in the order of their bytes in the shards.
        texts: other files to write, with their text: config.json, the index.
        extra_files: files to copy as they are.
        skipped: files left behind, with the reason.
        unconverted: those of `extra_files` that hold tensors, with the reason they stay.
        warnings: what the caller should hear.
    """

    source: str
    destination: str
    source_kind: str
    directory: bool
    request: Request
    files: tuple[DataFile, ...]
    shards: tuple[Shard, ...]
    steps: tuple[Step, ...]
    texts: dict[str, str] = field(default_factory=dict, hash=False)
    extra_files: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict, hash=False)
    unconverted: dict[str, str] = field(default_factory=dict, hash=False)
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, f"{self.source} -> {self.destination}", casts_of(self))

    def __str__(self) -> str:
        return str(of_job(self))

    def _repr_html_(self) -> str:
        return of_job(self)._repr_html_()

    @property
    def root(self) -> Path:
        """The directory that names of source files are relative to."""
        source = Path(self.source)
        return source if is_directory(self.source_kind) else source.parent

    @property
    def n_bytes_read(self) -> int:
        """Bytes of source tensors."""
        return sum(step.n_bytes_read for step in self.steps)

    @property
    def n_bytes_written(self) -> int:
        """Bytes of the files of tensors, headers included."""
        return sum(shard.n_bytes for shard in self.shards)

    def layout(self, shard: Shard) -> Layout:
        """Header and offsets of one shard, laid out again from its outputs.

        Raises:
            CheckpointError: the job was changed and no longer fits together.
        """
        outputs = [t for step in self.steps for t in step.outputs if t.file == shard.file]
        specs = [TensorSpec(t.name, t.format, t.shape) for t in outputs]
        layout = writer_of(shard.file).lay_out(shard.file, specs, shard.metadata)
        if layout.tensors != tuple(outputs) or layout.n_bytes != shard.n_bytes:
            raise CheckpointError(
                f"the job's offsets for {shard.file!r} are not those of its tensors; prepare it "
                "again"
            )
        return layout

    def to_json(self) -> str:
        """The job as versioned JSON; `Job.from_json` gives back an equal job."""
        return json.dumps(as_dict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> Job:
        """The job that `to_json` wrote. `run` makes it again from its source and refuses it if
        anything differs.

        Raises:
            CheckpointError: the text is no job, or one of a version this tensorcast does not
                know.
        """
        return _load(text)


def as_dict(job: Job) -> dict[str, Any]:
    """The job in JSON's own types."""
    members: dict[str, Any] = to_json(job)
    sums = {name: getattr(job, name) for name in _SUMS}
    return {"kind": "job", "schema": SCHEMA, **members, **sums}


_SUMS: Final = ("n_bytes_read", "n_bytes_written")


def _load(text: str | bytes) -> Job:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        members = parse_object(data.lstrip(b" \t\r\n"), "the job")
    except CorruptFileError as error:
        raise CheckpointError(f"this is no job: {error}") from None
    for key, wanted in (("kind", "job"), ("schema", SCHEMA)):
        found = members.pop(key, None)
        if type(found) is not type(wanted) or found != wanted:
            raise CheckpointError(
                f"expected a job with {json.dumps(key)}: {json.dumps(wanted)}, found "
                f"{'none' if found is None else shortened(found)}; prepare it again with this "
                "tensorcast"
            )
    for name in _SUMS:  # of the steps, for those who read the document
        members.pop(name, None)
    try:
        job: Job = from_json(Job, members)
    except MismatchError as error:
        raise CheckpointError(f"the job is damaged: {error}; prepare it again") from None
    return job
