"""What lies beside one file of weights and says how its numbers are meant."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from ..errors import TensorcastError
from .protocol import DataFile, TensorInfo
from .scale_names import CONFIG_FILES
from .strict_json import parse_object
from .weight_names import index_of

_MOST_BYTES: Final = 100_000_000
_MOST_ENTRIES: Final = 10_000

ReadHeader = Callable[[Path, str], tuple[DataFile, tuple[TensorInfo, ...]]]


@dataclass(frozen=True)
class Surroundings:
    """The rest of the model that a file belongs to, as far as it is there and can be read.

    Attributes:
        configs: configuration files by name, parsed.
        files: names of all files in the directory.
        shards: the other files of weights that an index lists with this one.
    """

    configs: dict[str, dict[str, object]] = field(default_factory=dict, hash=False)
    files: tuple[str, ...] = ()
    shards: tuple[Path, ...] = ()


def surroundings(path: Path) -> Surroundings:
    """What the directory of a file says of it, where the file is part of the model there.

    It is, if an index lists it, if it is `model.safetensors`, or if nothing there says which
    file is the model's. What cannot be read is passed over: the file itself is what was asked
    for. A link is looked at where it stands and where it leads.
    """
    here, there = _around(path), _around(Path(os.path.realpath(path)))
    return Surroundings(
        configs=there.configs | here.configs,
        files=tuple(dict.fromkeys((*here.files, *there.files))),
        shards=here.shards or there.shards,
    )


def headers_of(
    shards: Sequence[Path], read_header: ReadHeader
) -> tuple[list[TensorInfo], list[dict[str, str] | None]]:
    """The tensors and the metadata of those files that are there and sound."""
    tensors: list[TensorInfo] = []
    metadata: list[dict[str, str] | None] = []
    for path in shards:
        try:
            data_file, found = read_header(path, path.name)
        except (OSError, TensorcastError):
            continue
        tensors += found
        metadata.append(data_file.metadata)
    return tensors, metadata


def configs_in(
    directory: Path, names: tuple[str, ...] = CONFIG_FILES
) -> dict[str, dict[str, object]]:
    """The configuration files of a directory that can be read, parsed."""
    found: dict[str, dict[str, object]] = {}
    for name in names:
        parsed = _parsed(directory / name)
        if parsed is not None:
            found[name] = parsed
    return found


def _around(path: Path) -> Surroundings:
    directory, name = path.parent, path.name
    try:
        with os.scandir(directory) as entries:
            files = sorted(entry.name for entry in islice(entries, _MOST_ENTRIES))
    except OSError:
        return Surroundings()
    indexes = [file for file in files if index_of(file) is not None]
    shards = next(
        (listed for file in indexes if name in (listed := _listed(directory / file))), None
    )
    if shards is None:
        single = not indexes and (name == "model.safetensors" or "model.safetensors" not in files)
        if not single or name.startswith("adapter_"):
            return Surroundings()
    # a hostile index may name what lies elsewhere
    others = sorted(
        file for file in shards or () if file != name and os.path.basename(file) == file
    )
    return Surroundings(
        configs_in(directory), tuple(files), tuple(directory / file for file in others)
    )


def _listed(index: Path) -> set[str]:
    """The files that an index names."""
    weight_map = (_parsed(index) or {}).get("weight_map")
    if not isinstance(weight_map, dict):
        return set()
    return {file for file in weight_map.values() if isinstance(file, str)}


def _parsed(path: Path) -> dict[str, object] | None:
    """The JSON object in a file; None for one that is not there or cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        return parse_object(path.read_bytes(), path)
    except (OSError, TensorcastError):
        return None
