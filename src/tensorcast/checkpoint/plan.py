"""Decides a conversion: which tensor, from what, to what, where, how many bytes.

>>> from tensorcast.checkpoint import open_checkpoint
>>> from tensorcast.checkpoint.plan import plan
>>> steps = plan(open_checkpoint("model"), "model-bf16", "bfloat16").steps  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from ..errors import (
    CastError,
    CheckpointError,
    FormatError,
    PolicyError,
    UnsupportedCheckpointError,
)
from ..formats import FORMATS, Format, lookup
from ..policy import Inf, Nan, Policy, ResolvedPolicy, Rounding, changes_nothing
from .config_text import retyped_config
from .plan_data import Overflow, Plan, Request, Shard, Step
from .protocol import Checkpoint, TensorInfo, TensorSpec
from .rules import Choice, Rule, choose
from .safetensors import SafetensorsWriter, holds
from .sharding import group, index_text

__all__ = ["Overflow", "Plan", "Request", "Shard", "Step", "plan", "tensor_seed"]


def plan(
    source: Checkpoint,
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
    kept: Mapping[str, str] | None = None,
) -> Plan:
    """The conversion of `source` to `to`, decided without reading a tensor or touching a file.

    Args:
        source: from `open_checkpoint`.
        destination: a directory for a directory, a file for a file (a directory when a file is
            split by `max_shard_size`).
        to: the format of floating tensors; integers, bool and complex stay.
        rules: the first one that matches a tensor's name decides, whatever the tensor's format.
        overflow: "raise", "saturate" and "ieee" as in a cast; "keep" leaves a tensor that
            would overflow (or lose NaNs under nan="raise", or
            has infinities under inf="raise") in its source format.
        rounding, nan, inf: as in a cast; tensors that have their format already are cast too where
            `inf` does not keep infinities.
        seed: of stochastic rounding; each tensor's own seed follows from it and its name.
        max_shard_size: bytes of data per file; None keeps the source's files.
        kept: tensors to leave in their source format, with the reason.

    Raises:
        UnsupportedCheckpointError: the weights come with scales.
        FormatError: a format is unknown, or safetensors cannot hold it.
        PolicyError, CastError: the policy does not fit a tensor's formats.
        CheckpointError: a tensor's bits would not fill whole bytes.
    """
    to = lookup(to, "files")
    if source.scaled:
        raise UnsupportedCheckpointError(
            f"{str(source.path)!r} holds scaled weights: {source.scaled}. Cast without their "
            "scales, the raw codes would load and be wrong, and scales are not applied yet; "
            "convert the unquantized checkpoint instead"
        )
    if overflow not in get_args(Overflow):
        raise PolicyError(f"overflow={overflow!r} is not one of {', '.join(get_args(Overflow))}")
    if max_shard_size is not None and max_shard_size <= 0:
        raise CheckpointError(f"max_shard_size is in bytes and above 0, not {max_shard_size}")
    _check_storable(to, rules)
    request = Request(to, tuple(rules), overflow, rounding, nan, inf, seed, max_shard_size)
    kept = dict(kept or {})
    choices, warnings = choose(source.tensors, to, rules)
    reasons: dict[str, str | None] = {}
    specs: list[TensorSpec] = []
    for tensor in source.tensors:
        target, reason = _decide(tensor, choices[tensor.name], kept.get(tensor.name))
        reasons[tensor.name] = reason
        specs.append(TensorSpec(tensor.name, target, tensor.shape))
    directory = source.kind == "huggingface" or max_shard_size is not None
    groups, more = group(source, specs, max_shard_size)
    if not directory:
        groups = [replace(groups[0], file=Path(destination).name)]
    warnings += more
    shards: list[Shard] = []
    steps: list[Step] = []
    written: dict[str, TensorInfo] = {}
    for each in groups:
        layout = SafetensorsWriter().lay_out(each.file, each.specs, each.metadata)
        shards.append(Shard(each.file, layout.n_bytes, each.metadata))
        for output in layout.tensors:
            origin = source.by_name[output.name]
            policy = _policy(request, origin, output, choices[output.name], output.name in kept)
            reason = None if policy is not None else reasons[output.name]
            steps.append(Step((origin,), (output,), policy, None, reason))
            written[output.name] = output
    pairs = ((step.inputs[0].format, step.outputs[0].format) for step in steps)
    changed = {source_format for source_format, target in pairs if source_format != target}
    if not changed:
        warnings.append("no tensor changes its format")
    texts: dict[str, str] = {}
    if source.config is not None and source.config_text is not None:
        texts["config.json"] = retyped_config(source.config, source.config_text, to, changed)
    if len(shards) > 1 or (source.index is not None and max_shard_size is None):
        name = source.index_name or f"{source.stem}.safetensors.index.json"
        texts[name] = index_text(source, written)
    return Plan(
        source=os.path.abspath(source.path),
        destination=os.path.abspath(destination),
        kind=source.kind,
        directory=directory,
        request=request,
        files=source.files,
        shards=tuple(shards),
        steps=tuple(steps),
        texts=texts,
        extra_files=source.extra_files,
        skipped=source.skipped,
        warnings=tuple(warnings),
    )


def _check_storable(to: Format, rules: Sequence[Rule]) -> None:
    for format in (to, *(rule.format for rule in rules)):
        if format is not None and not holds(format):
            storable = ", ".join(row.name for row in FORMATS.values() if holds(row))
            raise FormatError(f"safetensors cannot hold {format}; it holds {storable}")


def _decide(tensor: TensorInfo, choice: Choice, kept: str | None) -> tuple[Format, str | None]:
    """The format to write, and why it is the source's when it is."""
    if kept is not None:
        return tensor.format, kept
    if choice.format != tensor.format:
        return choice.format, None
    if choice.rule is not None:
        return tensor.format, f"the rule {str(choice.rule)!r}"
    return tensor.format, "already" if tensor.format.is_float else "not a floating format"


def _policy(
    request: Request, origin: TensorInfo, output: TensorInfo, choice: Choice, kept: bool
) -> ResolvedPolicy | None:
    """The policy of a tensor's cast; None where its bytes are copied."""
    left_alone = kept or (choice.rule is not None and choice.rule.format is None)
    if origin.format == output.format and (left_alone or request.inf == "keep"):
        return None
    overflow = "raise" if request.overflow == "keep" else request.overflow
    policy = Policy(
        overflow,
        request.rounding,
        request.nan,
        seed=tensor_seed(request.seed, origin.name),
        inf=request.inf,
    )
    if changes_nothing(origin.format, output.format, policy):
        return None
    try:
        return policy.resolve(origin.format, output.format)
    except PolicyError as error:
        raise PolicyError(f"{origin.name!r}: {error}") from None
    except CastError as error:
        raise CastError(f"{origin.name!r}: {error}") from None


def tensor_seed(seed: int, name: str) -> int:
    """The seed of one tensor's stochastic rounding: the same wherever and however it runs."""
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return seed ^ int.from_bytes(digest[:8], "little")
