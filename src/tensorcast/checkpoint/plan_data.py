"""A conversion as data, and that data as JSON, version 1."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ..errors import CheckpointError, FormatError
from ..formats import Format, lookup
from ..policy import Inf, Nan, ResolvedPolicy, Rounding
from .protocol import DataFile, Layout, TensorInfo, TensorSpec
from .rules import Rule
from .safetensors import SafetensorsWriter

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
    warnings: tuple[str, ...] = ()

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
    def from_json(text: str) -> Plan:
        """The plan that `to_json` wrote.

        Raises:
            CheckpointError: the text is no plan, or one of a version this tensorcast does not
                know.
        """
        return _load(text)


def as_dict(plan: Plan) -> dict[str, Any]:
    """The plan in JSON's own types."""
    request = plan.request
    return {
        "tensorcast_plan": VERSION,
        "source": plan.source,
        "destination": plan.destination,
        "kind": plan.kind,
        "directory": plan.directory,
        "request": {
            "to": request.to.name,
            "rules": [
                {"glob": rule.glob, "format": rule.format.name if rule.format else None}
                for rule in request.rules
            ],
            "overflow": request.overflow,
            "rounding": request.rounding,
            "nan": request.nan,
            "inf": request.inf,
            "seed": request.seed,
            "max_shard_size": request.max_shard_size,
        },
        "files": [dataclasses.asdict(file) for file in plan.files],
        "shards": [dataclasses.asdict(shard) for shard in plan.shards],
        "steps": [
            {
                "inputs": [_tensor(tensor) for tensor in step.inputs],
                "outputs": [_tensor(tensor) for tensor in step.outputs],
                "policy": dataclasses.asdict(step.policy) if step.policy else None,
                "decoder": step.decoder,
                "kept": step.kept,
            }
            for step in plan.steps
        ],
        "texts": plan.texts,
        "extra_files": list(plan.extra_files),
        "skipped": plan.skipped,
        "warnings": list(plan.warnings),
        "n_bytes_read": plan.n_bytes_read,
        "n_bytes_written": plan.n_bytes_written,
    }


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "format": tensor.format.name,
        "shape": list(tensor.shape),
        "file": tensor.file,
        "offset": tensor.offset,
        "n_bytes": tensor.n_bytes,
    }


def _load(text: str) -> Plan:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"this is no plan: {error}") from None
    version = members.get("tensorcast_plan") if isinstance(members, dict) else None
    if version != VERSION:
        raise CheckpointError(
            f'expected a plan with "tensorcast_plan": {VERSION}, found '
            f"{'none' if version is None else repr(version)}; plan again with this tensorcast"
        )
    try:
        return _plan(members)
    except (KeyError, TypeError, AttributeError, ValueError, FormatError) as error:
        raise CheckpointError(
            f"the plan is damaged: {type(error).__name__}: {error}; plan again"
        ) from None


def _plan(members: dict[str, Any]) -> Plan:
    request = members["request"]
    return Plan(
        source=members["source"],
        destination=members["destination"],
        kind=members["kind"],
        directory=members["directory"],
        request=Request(
            to=lookup(request["to"]),
            rules=tuple(
                Rule(rule["glob"], lookup(rule["format"]) if rule["format"] else None)
                for rule in request["rules"]
            ),
            overflow=request["overflow"],
            rounding=request["rounding"],
            nan=request["nan"],
            inf=request.get("inf", "keep"),
            seed=request["seed"],
            max_shard_size=request["max_shard_size"],
        ),
        files=tuple(DataFile(**file) for file in members["files"]),
        shards=tuple(Shard(**shard) for shard in members["shards"]),
        steps=tuple(
            Step(
                inputs=tuple(_info(tensor) for tensor in step["inputs"]),
                outputs=tuple(_info(tensor) for tensor in step["outputs"]),
                policy=ResolvedPolicy(**step["policy"]) if step["policy"] else None,
                decoder=step["decoder"],
                kept=step["kept"],
            )
            for step in members["steps"]
        ),
        texts=dict(members["texts"]),
        extra_files=tuple(members["extra_files"]),
        skipped=dict(members["skipped"]),
        warnings=tuple(members["warnings"]),
    )


def _info(tensor: dict[str, Any]) -> TensorInfo:
    return TensorInfo(
        name=tensor["name"],
        format=lookup(tensor["format"]),
        shape=tuple(tensor["shape"]),
        file=tensor["file"],
        offset=tensor["offset"],
        n_bytes=tensor["n_bytes"],
    )
