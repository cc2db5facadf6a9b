"""Hugging Face directories: an index and its shards, or one file, and everything beside them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Final

from ...errors import UnsupportedCheckpointError
from ..conventions.beside import configs_in, unread_in
from ..conventions.configuration import config_paths, side_files
from ..conventions.detection import has_codes, scaled_reason
from ..conventions.siblings import scales_beside
from ..files.safetensors import read_header
from ..files.strict_json import corrupt, is_text, parse_object, shortened
from ..protocol import Checkpoint, DataFile, TensorInfo
from .links import inside, read_small
from .other_files import files_beside
from .weight_sets import find_weights

_SAVE_AGAIN: Final = (
    "Load the model with the program that is right about it and save it again (in transformers: "
    "save_pretrained)"
)


class HuggingFaceReader:
    """The `Reader` of directories."""

    kind = "huggingface"
    label = "Hugging Face directory"
    says = "a directory with model.safetensors or model.safetensors.index.json"

    def recognizes(self, path: Path) -> bool:
        """Whether it is a directory."""
        return path.is_dir()

    def open(self, path: Path) -> Checkpoint:
        """See `open_directory`."""
        return open_directory(path)


def open_directory(path: Path) -> Checkpoint:
    """The checkpoint in a directory; every header is read and checked, no tensor data.

    The weights are those that `weight_sets.find_weights` chooses.

    Raises:
        CorruptFileError: a file breaks its format's rules, or the index names what is not there.
        UnsupportedCheckpointError: there are no safetensors weights, or two sets of them, or the
            index and its files leave open which tensors count, or a link leads out.
    """
    config_bytes = (
        read_small(path, "config.json") if os.path.lexists(path / "config.json") else None
    )
    config = None  # NaN and Infinity are no JSON, and transformers writes them
    if config_bytes is not None:
        config = parse_object(config_bytes, path / "config.json", constants=True)
    weights = find_weights(path, config)
    index_name = weights.index
    index_bytes: bytes | None = None
    index: dict[str, object] | None = None
    if index_name is None:
        names, wanted = weights.files, None
    else:
        index_bytes = read_small(path, index_name)
        index = parse_object(index_bytes, path / index_name)
        wanted = _weight_map(index, path / index_name)
        names = sorted(set(wanted.values()))
    files: list[DataFile] = []
    tensors: list[TensorInfo] = []
    home: dict[str, str] = {}
    for name in names:
        inside(path, name)
        data_file, found = read_header(path / name, name)
        for tensor in found:
            if tensor.name in home:
                raise _in_two_files(path, str(index_name), tensor.name, home[tensor.name], name)
            home[tensor.name] = name
        files.append(data_file)
        tensors += found
    if wanted is not None:
        _agree(path, str(index_name), wanted, home)
    taken = {*names, index_name, "config.json"}
    others = files_beside(path, taken, weights.stem, weights.variant)
    metadata = index.get("metadata") if index else files[0].metadata
    # config.json is read strictly, and others where they can be
    coded = has_codes(tensors)
    configs = {**configs_in(path, coded), **({} if config is None else {"config.json": config})}
    quantizers = [
        name
        for name, each in configs.items()
        if name in others.copied and config_paths(each, coded)
    ]
    scaled = scaled_reason(
        tensors,
        configs,
        others.copied,
        [file.metadata for file in files],
        unread=unread_in(path),
    )
    if scaled is None and coded:
        present = [*others.copied, *(name for name in others.skipped if not name.endswith("/"))]
        scaled = scales_beside(tensors, [path], present, names, read_header)
    return Checkpoint(
        path=path,
        kind=HuggingFaceReader.kind,
        label=HuggingFaceReader.label,
        directory=True,
        tensors=tuple(tensors),
        files=tuple(files),
        metadata=dict(metadata) if isinstance(metadata, dict) else {},
        extra_files=others.copied,
        skipped=others.skipped,
        unconverted=others.unconverted,
        config=config,
        config_text=None if config_bytes is None else config_bytes.decode("utf-8"),
        index=index,
        index_name=index_name,
        index_text=None if index_bytes is None else index_bytes.decode("utf-8"),
        stem=weights.stem,
        variant=weights.variant,
        scaled=scaled,
        quantizer_files=(*side_files(others.copied), *quantizers),
        remarks=tuple(remark for file in files for remark in file.remarks),
    )


def _weight_map(index: dict[str, object], path: Path) -> dict[str, str]:
    """tensor -> file, every name checked to be a plain relative path."""
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict):
        raise corrupt(path, expected="weight_map to be an object", found=shortened(weight_map))
    if not weight_map:
        raise corrupt(path, expected="a tensor in weight_map", found="none")
    for tensor, file in weight_map.items():
        if not is_text(tensor) or not is_text(file):
            raise corrupt(
                path,
                tensor=str(tensor),
                expected="weight_map to map strings to strings",
                found=shortened(file),
            )
        parts = PurePosixPath(file).parts
        plain = parts and str(PurePosixPath(*parts)) == file and "\\" not in file
        if not plain or file.startswith("/") or ".." in parts or "\0" in file or file == ".":
            raise corrupt(
                path,
                tensor=tensor,
                expected="a file name inside the directory",
                found=shortened(file),
            )
        if not file.endswith(".safetensors"):
            raise corrupt(
                path, tensor=tensor, expected="a .safetensors file", found=shortened(file)
            )
    return weight_map


def _agree(path: Path, index_name: str, wanted: dict[str, str], home: dict[str, str]) -> None:
    """Every tensor of the index in its file, every tensor of the files in the index."""
    for tensor, file in wanted.items():
        if home.get(tensor) != file:
            elsewhere = f"it in {home[tensor]!r}" if tensor in home else "no such tensor"
            raise corrupt(
                path / index_name,
                tensor=tensor,
                expected=f"the tensor in {file!r}, as weight_map says",
                found=elsewhere,
            )
    unlisted = [tensor for tensor in home if tensor not in wanted]
    if unlisted:
        first = unlisted[0]
        raise UnsupportedCheckpointError(
            f"{str(path / home[first])!r} holds {shortened(first)}, which {index_name} does not "
            f"list ({len(unlisted)} of {len(home)} tensors are not listed). Programs differ in "
            f"whether such a tensor counts: transformers loads it. {_SAVE_AGAIN}, or list every "
            "tensor in the index"
        )


def _in_two_files(
    path: Path, index_name: str, tensor: str, first: str, second: str
) -> UnsupportedCheckpointError:
    return UnsupportedCheckpointError(
        f"{str(path)!r}: the tensor {shortened(tensor)} is in {first!r} and in {second!r}. "
        f"Programs differ in which one they take: {index_name} names one, transformers takes that "
        f"of the last file. {_SAVE_AGAIN}, or convert one file by its own path"
    )
