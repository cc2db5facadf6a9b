"""The texts beside the tensors, config.json and the index, and what is to be said of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import CheckpointError, FormatError
from ...formats import Format, lookup
from ..files.strict_json import shortened
from ..files.weight_names import ONE_FILE, index_file
from ..folders.weight_sets import NAMED_WEIGHTS
from ..protocol import Checkpoint, TensorInfo
from .config import (
    completed_config,
    loading_format,
    model_format,
    narrowed_on_load,
    retyped_config,
    too_narrow,
)
from .job import Request, Shard, Step
from .raw import raw_config
from .shards import index_text

Pairs = Sequence[tuple[TensorInfo, TensorInfo]]


def texts_beside(
    source: Checkpoint,
    request: Request,
    shards: Sequence[Shard],
    steps: Sequence[Step],
    *,
    directory: bool,
    kept: bool,
) -> tuple[dict[str, str], list[str]]:
    """Name -> text of config.json and the index as they will be, and warnings.

    Args:
        directory: whether a directory is written.
        kept: whether tensors stay as they are because the target does not hold them.

    Raises:
        CheckpointError: who loads the source would not find the new files.
    """
    pairs = [(step.inputs[0], step.outputs[0]) for step in steps]
    texts: dict[str, str] = {}
    changes = any(step.policy is not None for step in steps)
    warnings = [] if changes else ["no tensor changes its format"]
    if source.config is not None and source.config_text is not None:
        texts["config.json"], said = _config(
            source.config, source.config_text, request, pairs, bool(source.scaled), kept
        )
        warnings += said
        if changes:
            stayed = (step.outputs[0] for step in steps if step.policy is None)
            narrowed = narrowed_on_load(texts["config.json"], stayed)
            warnings += [narrowed] if narrowed else []
    index = source.index_name if request.max_shard_size is None else None
    if index or len(shards) > 1:
        index = index or index_file(source.stem, source.variant)
        texts[index] = index_text(source, {output.name: output for _, output in pairs})
    if directory:
        _check_found(source, shards, index)
        if changes and _misleads(source.variant, request.to):
            warnings.append(
                f"the files keep the name of the variant {source.variant!r} and hold {request.to} "
                f"now; load them with variant={source.variant!r}"
            )
    return texts, warnings


def _config(
    config: dict[str, object],
    old: str,
    request: Request,
    pairs: Pairs,
    scaled: bool,
    kept: bool,
) -> tuple[str, list[str]]:
    """config.json for the tensors that are written, and warnings."""
    text = old
    if request.raw and scaled:
        config, text = raw_config(config, text)
    named = model_format(pairs, request.to)
    wider = loading_format(config, pairs, named, overflowed=kept)
    named = wider or named
    config, text = completed_config(config, text, pairs, named, always=wider is not None)
    changed = {before.numbers for before, after in pairs if before.format != after.format}
    if wider is not None:
        changed |= too_narrow(wider)
    text = retyped_config(config, text, named, changed)
    warnings = []
    if wider is not None and text != old:
        warnings.append(
            f"config.json's dtype is {wider}, so that tensors of {_widest(pairs)} do not "
            "overflow when the model is loaded"
        )
    return text, warnings + _unloadable(config, pairs)


def _unloadable(config: Mapping[str, object], pairs: Pairs) -> list[str]:
    """A warning of formats that transformers cannot read, in a model of its own."""
    if "model_type" not in config:
        return []
    formats = {after.numbers for _, after in pairs if after.numbers.is_float}
    narrow = sorted(format.name for format in formats if format.bits < 8)
    return [f"transformers cannot load tensors of {name}" for name in narrow]


def _widest(pairs: Pairs) -> Format:
    """Of the floating formats that are written, the one of the largest range."""
    floats = {after.numbers for _, after in pairs if after.numbers.is_float}
    return max(floats, key=lambda format: (format.max, format.name))


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


def _misleads(variant: str | None, to: Format) -> bool:
    """Whether a variant is called after a number format, and not after `to`."""
    if variant is None or not re.match(r"(b?f|fp|b?float|u?int)\d", variant):
        return False
    try:
        return lookup(variant) != to
    except FormatError:
        return True
