"""Decides a conversion: which tensor, from what, to what, where, how many bytes.

>>> from tensorcast.checkpoint import open_checkpoint
>>> from tensorcast.checkpoint.decide.planning import plan
>>> steps = plan(open_checkpoint("model"), "model-bf16", "bfloat16").steps  # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

from ...errors import (
    CastError,
    CheckpointError,
    FormatError,
    PolicyError,
    UnsupportedCheckpointError,
)
from ...formats import FORMATS, Format, lookup
from ...policy import Inf, Nan, Policy, ResolvedPolicy, Rounding, changes_nothing
from .. import as_checkpoint
from ..files.safetensors import SafetensorsWriter, holds
from ..files.strict_json import shortened
from ..folders.weight_names import ONE_FILE, index_file
from ..folders.weight_sets import NAMED_WEIGHTS
from ..protocol import Checkpoint, TensorInfo, TensorSpec
from .config import (
    completed_config,
    loading_format,
    model_format,
    narrowed_on_load,
    retyped_config,
    too_narrow,
)
from .endings import check_ending
from .job import Overflow, Plan, Request, Shard, Step
from .raw import raw_config, raw_metadata, raw_skipped, raw_warnings
from .rules import Choice, Rule, choose
from .shards import group, index_text

__all__ = ["Overflow", "Plan", "Request", "Shard", "Step", "plan", "plan_again", "tensor_seed"]


def plan(
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
) -> Plan:
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
        raw: cast the stored numbers as they are, without their scales, even if most values are
            lost. Scales stay as tensors; what describes a quantization is not written; a tensor
            that collapses (`Loss.collapses`) is no error.
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
    if source.scaled and not raw:
        raise UnsupportedCheckpointError(
            f"{str(source.path)!r} holds scaled weights: {source.scaled}. Cast without their "
            "scales, the raw codes would load and be wrong, and scales are not applied yet; "
            "convert the unquantized checkpoint instead, or pass --raw (raw=True in Python) to "
            "cast the stored numbers as they are, without their scales"
        )
    if overflow not in get_args(Overflow):
        raise PolicyError(f"overflow={overflow!r} is not one of {', '.join(get_args(Overflow))}")
    if max_shard_size is not None and max_shard_size <= 0:
        raise CheckpointError(f"max_shard_size is in bytes and above 0, not {max_shard_size}")
    _check_storable(to, rules)
    request = Request(to, tuple(rules), overflow, rounding, nan, inf, seed, max_shard_size, raw)
    kept = dict(kept or {})
    choices, warnings = choose(source.tensors, to, rules)
    warnings = [*source.remarks, *warnings]
    reasons: dict[str, str | None] = {}
    specs: list[TensorSpec] = []
    for tensor in source.tensors:
        target, reason = _decide(tensor, choices[tensor.name], kept.get(tensor.name))
        reasons[tensor.name] = reason
        specs.append(TensorSpec(tensor.name, target, tensor.shape))
    directory = source.kind == "huggingface" or max_shard_size is not None
    check_ending(destination, source.path.name, directory=directory)
    groups, more = group(source, specs, max_shard_size)
    if not directory:
        groups = [replace(groups[0], file=Path(destination).name)]
    warnings += more
    skipped, extra_files = dict(source.skipped), source.extra_files
    if raw:
        if source.scaled:
            groups = [replace(each, metadata=raw_metadata(each.metadata)) for each in groups]
        warnings += raw_warnings(source)
        skipped |= raw_skipped(source)
        extra_files = tuple(name for name in extra_files if name not in skipped)
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
    pairs = [(step.inputs[0], step.outputs[0]) for step in steps]
    changes = any(step.policy is not None for step in steps)
    if not changes:
        warnings.append("no tensor changes its format")
    texts: dict[str, str] = {}
    if source.config is not None and source.config_text is not None:
        config, text = source.config, source.config_text
        if raw and source.scaled:
            config, text = raw_config(config, text)
        named = model_format(pairs, to)
        wider = loading_format(config, pairs, named, overflowed=bool(kept))
        named = wider or named
        config, text = completed_config(config, text, pairs, named, always=wider is not None)
        changed = {before.format for before, after in pairs if before.format != after.format}
        if wider is not None:
            changed |= too_narrow(wider)
        texts["config.json"] = retyped_config(config, text, named, changed)
        if wider is not None and texts["config.json"] != source.config_text:
            warnings.append(
                f"config.json's dtype is {wider}, so that tensors of {_widest(pairs)} do not "
                "overflow when the model is loaded"
            )
        if changes:
            stayed = (step.outputs[0] for step in steps if step.policy is None)
            narrowed = narrowed_on_load(texts["config.json"], stayed)
            warnings += [narrowed] if narrowed else []
        warnings += _unloadable(config, pairs)
    index = source.index_name if max_shard_size is None else None
    if index or len(shards) > 1:
        index = index or index_file(source.stem, source.variant)
        texts[index] = index_text(source, written)
    if directory:
        _check_found(source, shards, index)
    if directory and changes and _misleads(source.variant, to):
        warnings.append(
            f"the files keep the name of the variant {source.variant!r} and hold {to} now; load "
            f"them with variant={source.variant!r}"
        )
    before = {"config.json": source.config_text, source.index_name: source.index_text}
    same = [name for name, text in texts.items() if before.get(name) == text]
    for name in same:
        del texts[name]
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
        extra_files=tuple(sorted([*extra_files, *same])),
        skipped=skipped,
        unconverted=source.unconverted,
        warnings=tuple(warnings),
    )


def plan_again(plan_: Plan, source: Checkpoint, kept: Mapping[str, str] | None = None) -> Plan:
    """What `plan` makes of the same request now.

    Args:
        plan_: its request and its destination are taken, nothing else.
        source: the plan's source, opened.
        kept: as in `plan`.
    """
    options = {each.name: getattr(plan_.request, each.name) for each in fields(plan_.request)}
    return plan(source, plan_.destination, **options, kept=kept)


def _misleads(variant: str | None, to: Format) -> bool:
    """Whether a variant is called after a number format, and not after `to`."""
    if variant is None or not re.match(r"(b?f|fp|b?float|u?int)\d", variant):
        return False
    try:
        return lookup(variant) != to
    except FormatError:
        return True


def _check_storable(to: Format, rules: Sequence[Rule]) -> None:
    for format in (to, *(rule.format for rule in rules)):
        if format is not None and not holds(format):
            storable = ", ".join(row.name for row in FORMATS.values() if holds(row))
            raise FormatError(f"safetensors cannot hold {format}; it holds {storable}")


def _check_found(source: Checkpoint, shards: Sequence[Shard], index: str | None) -> None:
    """Who loads the source finds the new files too.

    Raises:
        CheckpointError: they would be split, or called otherwise, where one name is looked for.
    """
    entry = index or shards[0].file
    named = (source.config or {}).get(NAMED_WEIGHTS)
    sources = [source.index_name, *(file.name for file in source.files)]
    if isinstance(named, str) and named in sources and named != entry:
        raise CheckpointError(
            f"config.json names the weights {shortened(named)} ({NAMED_WEIGHTS}), and by this "
            f"max_shard_size they would be {entry!r}, which would not be found; leave out "
            "max_shard_size"
        )
    if source.stem in ONE_FILE and index:
        raise CheckpointError(
            f"an adapter is looked for in one file, {source.files[0].name!r}, and by this "
            f"max_shard_size it would be {len(shards)}; leave out max_shard_size"
        )


def _unloadable(
    config: Mapping[str, object], pairs: Sequence[tuple[TensorInfo, TensorInfo]]
) -> list[str]:
    """A warning of formats that transformers cannot read, in a model of its own."""
    if "model_type" not in config:
        return []
    formats = {after.format for _, after in pairs if after.format.is_float}
    narrow = sorted(format.name for format in formats if format.bits < 8)
    return [f"transformers cannot load tensors of {name}" for name in narrow]


def _widest(pairs: Sequence[tuple[TensorInfo, TensorInfo]]) -> Format:
    """Of the floating formats that are written, the one of the largest range."""
    floats = {after.format for _, after in pairs if after.format.is_float}
    return max(floats, key=lambda format: (format.max, format.name))


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
    whole = output.format.is_integer or output.format.kind == "bool"
    if request.overflow == "ieee" and whole:  # "wrap" is no way out here
        raise PolicyError(
            f'{origin.name!r}: overflow="ieee" gives infinity or NaN, but {output.format.name} is '
            'not a floating format; use "saturate", "keep" or "raise"'
        )
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
