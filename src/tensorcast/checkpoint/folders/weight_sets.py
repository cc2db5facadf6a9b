"""Which files of a directory are the weights that a conversion is about."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...errors import UnsupportedCheckpointError
from ..files.strict_json import parse_object, shortened
from ..files.weight_names import WHOLE_MODELS, index_file, index_of, weight_name
from .links import read_small

NAMED_WEIGHTS: Final = "transformers_weights"  # config.json's key for weights of another name
_LEVELS: Final = 3
_FOLDERS: Final = 500
_SHOWN: Final = 6
_NOT_SEARCHED: Final = {".git", ".cache", "blobs"}
_OTHER_KINDS: Final = ".bin .pt .pth .ckpt .h5 .msgpack .onnx .gguf .ot .npz".split()


@dataclass
class WeightSet:
    """Weights of one stem and variant.

    Attributes:
        stem, variant: see `weight_names`.
        files: weights in one file: one name, or none.
        indexes: names of indexes of shards.
    """

    stem: str
    variant: str | None
    files: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)

    @property
    def index(self) -> str | None:
        """The index, where the weights are in shards."""
        return self.indexes[0] if self.indexes else None

    @property
    def names(self) -> list[str]:
        """Of its files and indexes."""
        return self.indexes + self.files


def find_weights(path: Path, config: Mapping[str, object] | None) -> WeightSet:
    """The weights of the directory: what config.json names, else the whole model's, else the only
    ones there.

    A whole model's are `model` (transformers) or `diffusion_pytorch_model` (diffusers), in one
    file or as an index with shards; a variant of them only where the plain ones are not there.

    Raises:
        UnsupportedCheckpointError: there are no safetensors weights, two sets of them, or it is
            a folder of models (a pipeline, the Hub's cache).
    """
    names = sorted(entry.name for entry in os.scandir(path) if not entry.is_dir())
    if "model_index.json" in names:
        raise UnsupportedCheckpointError(_pipeline(path, names))
    sets = _sets(names)
    named = (config or {}).get(NAMED_WEIGHTS)
    for each in sets:
        if isinstance(named, str) and named in each.names:
            return each if len(each.names) == 1 else _only(each, named)
    whole = [each for each in sets if each.stem in WHOLE_MODELS]
    for stem in WHOLE_MODELS:
        for each in whole:
            if each.stem == stem and each.variant is None:
                return _one_way(path, each)
    if len(whole) == 1:
        return _one_way(path, whole[0])
    if whole:
        raise UnsupportedCheckpointError(
            f"{str(path)!r} holds several variants of its weights and no plain ones: "
            f"{_listed([name for each in whole for name in each.names])}. Convert one file by its "
            "own path, or a directory that holds one variant"
        )
    indexed = [each for each in sets if each.indexes]
    singles = [each for each in sets if each.files]
    if len(indexed) == 1:
        return _one_way(path, indexed[0])
    if not indexed and len(singles) == 1:
        return singles[0]
    if sets:
        raise UnsupportedCheckpointError(
            f"{str(path)!r} has no model.safetensors and no model.safetensors.index.json, but "
            f"{_listed([name for each in sets for name in each.names])}; convert one file by its "
            "own path"
        )
    raise UnsupportedCheckpointError(_no_weights(path, names))


def _sets(names: list[str]) -> list[WeightSet]:
    found: dict[tuple[str, str | None], WeightSet] = {}
    for name in names:
        index, weights = index_of(name), weight_name(name)
        said = index or weights
        if said is None or (said.is_shard and not _is_whole(name)):
            continue
        each = found.setdefault(said[:2], WeightSet(said.stem, said.variant))
        (each.indexes if index else each.files).append(name)
    return list(found.values())


def _is_whole(name: str) -> bool:
    """Whether a shard is the only one: -00001-of-00001."""
    return re.search(r"-0*1-of-0*1\.", name) is not None


def _only(each: WeightSet, name: str) -> WeightSet:
    return WeightSet(each.stem, each.variant, *(([], [name]) if index_of(name) else ([name], [])))


def _one_way(path: Path, each: WeightSet) -> WeightSet:
    """The set, whose weights are there once: in one file, or in shards."""
    if len(each.names) == 1:
        return each
    if len(each.indexes) == 1 and len(each.files) == 1:
        if each.files[0] in _shards(path, each.indexes[0]):
            return WeightSet(each.stem, each.variant, [], each.indexes)
        raise UnsupportedCheckpointError(
            f"{str(path)!r} holds two sets of weights, {each.files[0]} and {each.indexes[0]} with "
            f"its shards; remove the stale one, or convert {each.files[0]} by its own path"
        )
    if not each.indexes:  # one file, and one that calls itself the only shard
        standard = [name for name in each.files if not _is_whole(name)]
        return WeightSet(each.stem, each.variant, standard[:1])
    raise UnsupportedCheckpointError(
        f"{str(path)!r} holds {len(each.names)} sets of weights, {_listed(each.names)}; leave one, "
        f"as {index_file(each.stem, each.variant)!r}"
    )


def _shards(path: Path, index: str) -> list[object]:
    weight_map = parse_object(read_small(path, index), path / index).get("weight_map")
    return list(weight_map.values()) if isinstance(weight_map, dict) else []


def _pipeline(path: Path, names: list[str]) -> str:
    below = _folders_with_weights(path)
    said = (
        f"{str(path)!r} is a diffusers pipeline (model_index.json): its models lie in folders, and "
        "it is not converted as a whole. "
    )
    if below:
        said += (
            f"Copy it (cp -rL {shlex.quote(str(path))} COPY), and convert each folder into its "
            f"place in the copy: {_listed(below)} "
            f"(tensorcast convert {shlex.quote(str(path / below[0]))} "
            f"COPY/{shlex.quote(below[0])} --force --to FORMAT)"
        )
    else:
        said += "None of its folders holds safetensors weights"
    singles = [name for name in names if name.endswith(".safetensors")]
    return said + (f". {_listed(singles)}: by its own path" if singles else "")


def _no_weights(path: Path, names: list[str]) -> str:
    if snapshots := _snapshots(path):
        return (
            f"{str(path)!r} is the folder of a repository in the Hub's cache; its files are in a "
            f"snapshot. Convert a snapshot by its path: {_listed(snapshots)}"
        )
    shards = [name for name in names if name.endswith(".safetensors")]
    if shards:
        return (
            f"{str(path)!r} holds shards without an index that names them, {_listed(shards)}; "
            "fetch the index (it ends in .safetensors.index.json), or convert one file by its own "
            "path"
        )
    if below := _folders_with_weights(path):
        return (
            f"{str(path)!r} holds no safetensors weights itself, but folders below it do: "
            f"{_listed(below)}. Convert each by its own path"
        )
    others = [name for name in names if name.endswith(tuple(_OTHER_KINDS))]
    hint = f" (it has {', '.join(others[:3])}; only safetensors is read)" if others else ""
    return f"{str(path)!r} holds no safetensors weights{hint}"


def _snapshots(path: Path) -> list[str]:
    """The snapshots of a repository's folder in the Hub's cache, that of "main" first."""
    folder = path / "snapshots"
    if not (folder.is_dir() and ((path / "blobs").is_dir() or (path / "refs").is_dir())):
        return []
    main = ""
    if (path / "refs" / "main").is_file():
        main = (path / "refs" / "main").read_bytes()[:200].decode("utf-8", "replace").strip()
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    names.sort(key=lambda name: name != main)
    return [str(folder / name) for name in names]


def _folders_with_weights(path: Path) -> list[str]:
    """Folders below, relative, with safetensors files in them; not all of a very large tree."""
    found: list[str] = []
    pending = [(path, 0)]
    for folder, level in pending:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        if level and any(entry.name.endswith(".safetensors") for entry in entries):
            found.append(str(folder.relative_to(path)))
        for entry in entries:
            if entry.name in _NOT_SEARCHED or not entry.is_dir(follow_symlinks=False):
                continue
            if level < _LEVELS and len(pending) < _FOLDERS:
                pending.append((Path(entry.path), level + 1))
    return sorted(found)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(shortened(name) for name in names[:_SHOWN]) + more
