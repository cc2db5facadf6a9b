"""What lies beside one file of weights and says how its numbers are meant."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from ...errors import TensorcastError
from ..files.strict_json import any_object
from ..files.weight_names import index_of
from ..protocol import ReadHeader, TensorInfo
from .configuration import is_description
from .scale_names import CONFIG_FILES, CONFIG_KEYS

_MOST_BYTES: Final = 100_000_000
_MOST_ENTRIES: Final = 10_000
_KEY: Final = re.compile(rf'"({"|".join(CONFIG_KEYS)})"\s*:\s*(?!null|false|"none"|{{\s*}})')
_ENTRY: Final = re.compile(r'"([^"\n]+)"\s*:\s*"([^"\n]+\.safetensors)"')
_SHARD: Final = re.compile(r"(?:^|(?<=[-_.]))\d+([-_]of[-_](\d+))")
_MOST_OTHERS: Final = 500
_MOST_OTHER_BYTES: Final = 20_000_000


@dataclass(frozen=True)
class Surroundings:
    """The rest of the model that a file belongs to, as far as it is there and can be read.

    Attributes:
        configs: configuration files by name, parsed.
        files: names of all files in the directory.
        shards: the other files of weights that an index lists with this one; without an index,
            those that are numbered as it is.
        names: of the tensors that the index lists.
        absent: shards that are numbered as this file is and not there, without an index.
        unread: files that may say something and cannot be read.
    """

    configs: dict[str, dict[str, object]] = field(default_factory=dict, hash=False)
    files: tuple[str, ...] = ()
    shards: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def surroundings(path: Path, coded: bool = False) -> Surroundings:
    """What the directory of a file says of it, where the file is part of the model there.

    It is, if an index lists it, if it is `model.safetensors`, or if nothing there says which
    file is the model's. A file that holds codes (`coded`) is looked at in any case: its scales
    may be anywhere. A link is looked at where it stands and where it leads.
    """
    here, there = (_around(each, coded) for each in (path, Path(os.path.realpath(path))))
    first, second = (there, here) if here.absent and not there.absent else (here, there)
    return Surroundings(
        configs=there.configs | here.configs,
        files=tuple(dict.fromkeys((*here.files, *there.files))),
        shards=first.shards or second.shards,
        names=first.names or second.names,
        absent=() if there.shards and not there.absent else here.absent or there.absent,
        unread=tuple(dict.fromkeys((*here.unread, *there.unread))),
    )


def headers_of(
    shards: Sequence[Path], read_header: ReadHeader
) -> tuple[list[TensorInfo], list[dict[str, str] | None], list[str]]:
    """The tensors and the metadata of those files that are there and sound, and the names of those
    that are there and not sound."""
    tensors: list[TensorInfo] = []
    metadata: list[dict[str, str] | None] = []
    unread: list[str] = []
    for path in shards:
        try:
            data_file, found = read_header(path, path.name)
        except (OSError, TensorcastError):
            if os.path.lexists(path):
                unread.append(path.name)
            continue
        tensors += found
        metadata.append(data_file.metadata)
    return tensors, metadata, unread


def configs_in(directory: Path, coded: bool) -> dict[str, dict[str, object]]:
    """The configuration files of a directory that can be read, parsed.

    Beside codes (`coded`) any JSON file counts that has an object under one of the keys.
    """
    found: dict[str, dict[str, object]] = {}
    for name in CONFIG_FILES:
        parsed = _parsed(directory / name)
        if parsed is not None:
            found[name] = parsed
    if not coded:
        return found
    others = (each for each in _names_in(directory) if each.endswith(".json"))
    for name in islice((each for each in others if each not in found), _MOST_OTHERS):
        data = _bytes(directory / name, _MOST_OTHER_BYTES) or b""
        said = any(f'"{key}"'.encode() in data for key in CONFIG_KEYS)
        if said and (objects := _objects(any_object(data) or {})):
            found[name] = objects
    return found


def _objects(config: dict[str, object]) -> dict[str, object]:
    """Of a file that may be anything, the objects under the keys that count."""
    pending: list[object] = [config]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            for key in CONFIG_KEYS:
                value = node.get(key)
                if isinstance(value, dict) and is_description(key, value):
                    return {key: value}
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    return {}


def _names_in(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in islice(entries, _MOST_ENTRIES))


def _around(path: Path, coded: bool) -> Surroundings:
    directory, name = path.parent, path.name
    try:
        files = _names_in(directory)
    except OSError:
        return Surroundings(unread=(directory.name,))
    indexes = [file for file in files if index_of(file) is not None]
    maps = [_listed(directory / file) for file in indexes]
    weight_map = next((each for each in maps if name in each.values()), {})
    shards = set(weight_map.values())
    absent: tuple[str, ...] = ()
    if not shards and (number := _SHARD.search(name)):
        shards, absent = _numbered(name, number, files)
    if not weight_map and not coded:
        single = not indexes and (name == "model.safetensors" or "model.safetensors" not in files)
        if not single or name.startswith("adapter_"):
            return Surroundings()
    # a hostile index may name what lies elsewhere
    others = sorted(file for file in shards if file != name and os.path.basename(file) == file)
    return Surroundings(
        configs_in(directory, coded),
        tuple(files),
        tuple(directory / file for file in others),
        tuple(weight_map),
        absent,
        unread_in(directory, (*CONFIG_FILES, *indexes)),
    )


def _numbered(
    name: str, number: re.Match[str], files: list[str]
) -> tuple[set[str], tuple[str, ...]]:
    """The files that are numbered as this one is, and what says that some are not there."""
    front, end = name[: number.start()], name[number.start(1) :]
    there = {
        file
        for file in files
        if file.startswith(front) and file.endswith(end) and _SHARD.search(file)
    }
    of = int(number[2][:9])
    if len(there) >= of:
        return there, ()
    digits = number.start(1) - number.start()
    names = (f"{front}{i:0{digits}d}{end}" for i in range(1, min(of, _MOST_ENTRIES) + 1))
    return there, tuple(islice((each for each in names if each not in there), 1))


def unread_in(directory: Path, names: Sequence[str] = CONFIG_FILES) -> tuple[str, ...]:
    """Those of the files that are there and cannot be read as JSON."""
    there = (name for name in names if os.path.lexists(directory / name))
    return tuple(name for name in there if _parsed(directory / name) is None)


def _listed(index: Path) -> dict[str, str]:
    """Tensors and their files, as an index names them; one that is cut off as well."""
    weight_map = (_parsed(index) or {}).get("weight_map")
    if not isinstance(weight_map, dict):
        return dict(_ENTRY.findall((_bytes(index) or b"").decode("utf-8", "replace")))
    return {name: file for name, file in weight_map.items() if isinstance(file, str)}


def _parsed(path: Path) -> dict[str, object] | None:
    """The JSON object in a file, read leniently: of one that is broken, the key that counts."""
    data = _bytes(path)
    if data is None:
        return None
    found = any_object(data)
    if found is None and (key := _KEY.search(data.decode("utf-8", "replace"))):
        return {key[1]: "in broken JSON"}
    return found


def _bytes(path: Path, most: int = _MOST_BYTES) -> bytes | None:
    try:
        if not path.is_file() or path.stat().st_size > most:
            return None
        return path.read_bytes()
    except OSError:
        return None
