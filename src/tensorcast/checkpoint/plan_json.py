"""The plan as JSON, version 1."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

from ..errors import CheckpointError, FormatError
from ..formats import lookup
from ..policy import ResolvedPolicy
from .plan import Plan, Request, Shard, Step
from .protocol import DataFile, TensorInfo
from .rules import Rule

VERSION: Final = 1


def dump(plan: Plan) -> str:
    """See `Plan.to_json`."""
    return json.dumps(as_dict(plan), indent=1) + "\n"


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


def load(text: str) -> Plan:
    """See `Plan.from_json`."""
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
