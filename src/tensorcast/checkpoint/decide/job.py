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
from ...words.units import plural
from ..files.safetensors import SafetensorsWriter
from ..files.strict_json import parse_object, shortened
from ..protocol import DataFile, Layout, TensorInfo, TensorSpec
from ..wording import of_job
from .rules import Rule
from .typed_json import MismatchError, from_json, to_json

VERSION: Final = 1

Overflow = Literal["raise", "saturate", "ieee", "keep"]


@dataclass(frozen=True)
class Request:
    """What the caller asked for; see `plan`."""

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
class Plan:
    """Everything `run` does, decided.

    Attributes:
        source, destination: absolute paths.
        kind: of the source, as in `Checkpoint`.
        directory: whether the destination is a directory or one file.
        request: what was asked.
        files: the source's data files as they were when the plan was made.
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
    kind: str
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
        n = plural(len(self.steps), "tensor")
        return brief(self, f"{self.source} -> {self.destination}", self.request.to.name, n)

    def __str__(self) -> str:
        return str(of_job(self))

    def _repr_html_(self) -> str:
        return of_job(self)._repr_html_()

    @property
    def root(self) -> Path:
        """The directory that names of source files are relative to."""
        source = Path(self.source)
        return source.parent if self.kind == "safetensors" else source

    @property
    def n_bytes_read(self) -> int:
        """Bytes of source tensors."""
        return sum(tensor.n_bytes for step in self.steps for tensor in step.inputs)

    @property
    def n_bytes_written(self) -> int:
        """Bytes of the files of tensors, headers included."""
        return sum(shard.n_bytes for shard in self.shards)

    def layout(self, shard: Shard) -> Layout:
        """Header and offsets of one shard, laid out again from its outputs.

        Raises:
            CheckpointError: the plan was changed and no longer fits together.
        """
        outputs = [t for step in self.steps for t in step.outputs if t.file == shard.file]
        specs = [TensorSpec(t.name, t.format, t.shape) for t in outputs]
        layout = SafetensorsWriter().lay_out(shard.file, specs, shard.metadata)
        if layout.tensors != tuple(outputs) or layout.n_bytes != shard.n_bytes:
            raise CheckpointError(
                f"the plan's offsets for {shard.file!r} are not those of its tensors; plan again"
            )
        return layout

    def to_json(self) -> str:
        """The plan as versioned JSON; `Plan.from_json` gives back an equal plan."""
        return json.dumps(as_dict(self), indent=1) + "\n"

    @staticmethod
    def from_json(text: str | bytes) -> Plan:
        """The plan that `to_json` wrote. `run` makes it again from its source and refuses it if
        anything differs.

        Raises:
            CheckpointError: the text is no plan, or one of a version this tensorcast does not
                know.
        """
        return _load(text)


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan in JSON's own types."""
    members: dict[str, Any] = to_json(plan)
    return {"tensorcast_plan": VERSION, **members, **{name: getattr(plan, name) for name in _SUMS}}


_SUMS: Final = ("n_bytes_read", "n_bytes_written")


def _load(text: str | bytes) -> Plan:
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        members = parse_object(data.lstrip(b" \t\r\n"), "the plan")
    except CorruptFileError as error:
        raise CheckpointError(f"this is no plan: {error}") from None
    version = members.pop("tensorcast_plan", None)
    if type(version) is not int or version != VERSION:
        raise CheckpointError(
            f'expected a plan with "tensorcast_plan": {VERSION}, found '
            f"{'none' if version is None else shortened(version)}; plan again with this tensorcast"
        )
    for name in _SUMS:  # of the steps, for those who read the document
        members.pop(name, None)
    try:
        plan: Plan = from_json(Plan, members)
    except MismatchError as error:
        raise CheckpointError(f"the plan is damaged: {error}; plan again") from None
    return plan
