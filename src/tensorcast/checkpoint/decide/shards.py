"""Which tensor goes into which file, and the index that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...words.units import human_bytes
from ..files.strict_json import shortened
from ..files.weight_names import shard_names
from ..kinds import writer_of
from ..protocol import Checkpoint, TensorInfo, TensorSpec, Writer

_NAMED: Final = 5


@dataclass(frozen=True)
class Group:
    """The tensors of one file to be written."""

    file: str
    specs: list[TensorSpec]
    metadata: dict[str, str] | None


def group(
    source: Checkpoint, specs: Sequence[TensorSpec], max_shard_size: int | None
) -> tuple[list[Group], list[str]]:
    """The files to write, and warnings.

    Args:
        source: where the tensors come from.
        specs: the tensors to write, in the order of `source.tensors`.
        max_shard_size: in bytes of data, or None for the source's own files.
    """
    if max_shard_size is None:
        by_file: dict[str, list[TensorSpec]] = {file.name: [] for file in source.files}
        for tensor, spec in zip(source.tensors, specs, strict=True):
            by_file[tensor.file].append(spec)
        return [Group(file.name, by_file[file.name], file.metadata) for file in source.files], []
    metadata, warnings = _merged_metadata(source)
    told = sum(len(key) + len(value) for key, value in (metadata or {}).items())
    writer = writer_of(*shard_names(source.stem, 1, source.variant))
    shards = split(specs, max_shard_size, writer, told=8 * told + 1024)
    names = shard_names(source.stem, len(shards), source.variant)
    groups = [Group(name, shard, metadata) for name, shard in zip(names, shards, strict=True)]
    return groups, warnings + _larger(groups, max_shard_size)


def _larger(groups: Sequence[Group], max_shard_size: int) -> list[str]:
    """A warning where files are larger than asked for: a tensor is never split."""
    found = [
        f"{group.file} ({human_bytes(n_bytes)}: {shortened(group.specs[0].name)})"
        for group in groups
        if (n_bytes := sum(spec.n_bytes for spec in group.specs)) > max_shard_size
    ]
    if not found:
        return []
    what = "a file is" if len(found) == 1 else f"{len(found)} files are"
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    asked = human_bytes(max_shard_size)
    return [
        f"{what} larger than {asked}, for a tensor is never split: "
        + ", ".join(found[:_NAMED])
        + more
    ]


def split(
    specs: Sequence[TensorSpec], max_shard_size: int, writer: Writer, *, told: int = 0
) -> list[list[TensorSpec]]:
    """Shards in the manner of huggingface_hub's `split_state_dict_into_shards_factory`.

    Tensors fill a shard in their order; one larger than a shard gets a shard of its own, which
    comes before the one being filled. A shard is full, too, when its header is.

    Args:
        writer: of the files.
        told: bytes of a header that tell of no tensor.
    """
    room = writer.max_header_bytes - told
    shards: list[list[TensorSpec]] = []
    current: list[TensorSpec] = []
    filled = of_tensors = 0
    for spec in specs:
        n_bytes = spec.n_bytes
        if n_bytes > max_shard_size:
            shards.append([spec])
            continue
        of_header = writer.entry_bytes(spec)
        if filled + n_bytes > max_shard_size or (current and of_tensors + of_header > room):
            shards.append(current)
            current, filled, of_tensors = [], 0, 0
        current.append(spec)
        filled += n_bytes
        of_tensors += of_header
    if current or not shards:
        shards.append(current)
    return shards


def index_text(source: Checkpoint, written: Mapping[str, TensorInfo]) -> str:
    """The index of the files written: `weight_map`, and `metadata.total_size` of their data.

    What else the source's index says (`total_parameters`, keys of other tools) stays.
    """
    index: dict[str, object] = dict(source.index or {})
    old = index.get("metadata")
    metadata: dict[str, object] = dict(old) if isinstance(old, dict) else {}
    metadata["total_size"] = sum(tensor.n_bytes for tensor in written.values())
    order = index.get("weight_map")
    names = order if isinstance(order, dict) else written
    index["metadata"] = metadata
    index["weight_map"] = {name: written[name].file for name in names}
    return json.dumps(index, indent=2, ensure_ascii=False) + "\n"


def _merged_metadata(source: Checkpoint) -> tuple[dict[str, str] | None, list[str]]:
    """Every file's strings together; where two files disagree, the first one's."""
    merged: dict[str, str] = {}
    clashes: list[str] = []
    for file in source.files:
        for key, value in (file.metadata or {}).items():
            if merged.setdefault(key, value) != value and key not in clashes:
                clashes.append(key)
    warnings = [
        f"the files' metadata differ in {key!r}; every shard gets {merged[key]!r}"
        for key in clashes
    ]
    return (merged if any(file.metadata is not None for file in source.files) else None), warnings
