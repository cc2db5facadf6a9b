"""Hugging Face directories: an index and its shards, or one file, and everything beside them."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath
from typing import Final

from ..errors import CorruptFileError, UnsupportedCheckpointError
from .protocol import Checkpoint, DataFile, TensorInfo
from .reading import reading
from .safetensors import open_regular, read_header
from .scaled import scaled_reason
from .strict_json import corrupt, is_text, parse_object, shortened

_INDEX_SUFFIX: Final = ".safetensors.index.json"
_MAX_JSON_BYTES: Final = 100_000_000

# the same weights once more, in the formats of other programs: a converted checkpoint with the
# old ones beside it would load either
_OTHER_WEIGHTS: Final = (
    ".bin .pt .pth .ckpt .h5 .msgpack .onnx .onnx_data .gguf .ggml .tflite .ot .npz .safetensors "
    ".bin.index.json .h5.index.json .msgpack.index.json .safetensors.index.json"
).split()
_EXPORTS: Final = (".onnx", ".onnx_data", ".gguf", ".ggml", ".tflite", ".mlmodel")
_LEFT_FOLDERS: Final = {".git": "version control", ".cache": "a download cache"}


class HuggingFaceReader:
    """The `Reader` of directories."""

    kind = "huggingface"

    def recognizes(self, path: Path) -> bool:
        """Whether it is a directory."""
        return path.is_dir()

    def open(self, path: Path) -> Checkpoint:
        """See `open_directory`."""
        return open_directory(path)


def open_directory(path: Path) -> Checkpoint:
    """The checkpoint in a directory; every header is read and checked, no tensor data.

    The weights are `model.safetensors` or the files that `model.safetensors.index.json` names;
    with neither there, the only `*.safetensors.index.json` or the only `*.safetensors`.

    Raises:
        CorruptFileError: a file breaks its format's rules, or index and files disagree.
        UnsupportedCheckpointError: there are no safetensors weights, or two sets of them.
    """
    weights, index_name = _find_weights(path)
    index: dict[str, object] | None = None
    if index_name is None:
        names, wanted = [weights], None
    else:
        index = parse_object(read_small(path, index_name), path / index_name)
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
                raise corrupt(
                    path / name,
                    tensor=tensor.name,
                    offset=tensor.offset,
                    expected="every tensor in one file",
                    found=f"it in {home[tensor.name]!r} too",
                )
            home[tensor.name] = name
        files.append(data_file)
        tensors += found
    if wanted is not None:
        _agree(path, str(index_name), wanted, home)
    config_bytes = (
        read_small(path, "config.json") if os.path.lexists(path / "config.json") else None
    )
    config = None if config_bytes is None else parse_object(config_bytes, path / "config.json")
    extra, skipped = _other_files(path, {*names, index_name, "config.json"})
    metadata = index.get("metadata") if index else files[0].metadata
    return Checkpoint(
        path=path,
        kind="huggingface",
        tensors=tuple(tensors),
        files=tuple(files),
        metadata=dict(metadata) if isinstance(metadata, dict) else {},
        extra_files=tuple(extra),
        skipped=skipped,
        config=config,
        config_text=None if config_bytes is None else config_bytes.decode("utf-8"),
        index=index,
        index_name=index_name,
        stem=_stem(index_name or weights),
        scaled=scaled_reason(tensors, config, extra),
    )


def _stem(name: str) -> str:
    return name.removesuffix(".index.json").removesuffix(".safetensors")


def _find_weights(path: Path) -> tuple[str, str | None]:
    """The single weight file or "", and the index's name or None."""
    names = sorted(entry.name for entry in os.scandir(path))
    indexes = [name for name in names if name.endswith(_INDEX_SUFFIX)]
    singles = [name for name in names if name.endswith(".safetensors")]
    if "model.safetensors" in singles and f"model{_INDEX_SUFFIX}" in indexes:
        listed = parse_object(read_small(path, f"model{_INDEX_SUFFIX}"), path)
        weight_map = listed.get("weight_map")
        if not isinstance(weight_map, dict) or "model.safetensors" not in weight_map.values():
            raise UnsupportedCheckpointError(
                f"{str(path)!r} holds two sets of weights, model.safetensors and "
                f"model{_INDEX_SUFFIX} with its shards; remove the stale one, or convert "
                "model.safetensors by its own path"
            )
        return "", f"model{_INDEX_SUFFIX}"
    if f"model{_INDEX_SUFFIX}" in indexes:
        return "", f"model{_INDEX_SUFFIX}"
    if "model.safetensors" in singles:
        return "model.safetensors", None
    if len(indexes) == 1:
        return "", indexes[0]
    if not indexes and len(singles) == 1:
        return singles[0], None
    if singles or indexes:
        listing = ", ".join((indexes + singles)[:5])
        raise UnsupportedCheckpointError(
            f"{str(path)!r} has no model.safetensors and no model{_INDEX_SUFFIX}, but {listing}; "
            "convert one file by its own path"
        )
    others = [name for name in names if name.endswith(tuple(_OTHER_WEIGHTS))]
    hint = f" (it has {', '.join(others[:3])}; only safetensors is read)" if others else ""
    raise UnsupportedCheckpointError(f"{str(path)!r} holds no safetensors weights{hint}")


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
    for tensor, file in home.items():
        if tensor not in wanted:
            raise corrupt(
                path / file,
                tensor=tensor,
                expected=f"only tensors that {index_name} lists",
                found="one that it does not",
            )


def inside(root: Path, name: str) -> Path:
    """The file's real path, which must lie in the directory.

    One link out is no escape: the Hugging Face cache's own layout, where
    `<repo>/snapshots/<revision>/x` links to `<repo>/blobs/<hash>`.

    Raises:
        CorruptFileError: the file is missing, or links out.
    """
    real_root = Path(os.path.realpath(root))
    real = Path(os.path.realpath(root / name))
    try:
        os.stat(root / name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise  # it may well be there
        kind = "a broken link" if os.path.islink(root / name) else "no such file"
        raise corrupt(root / name, expected="a file of the checkpoint", found=kind) from None
    in_cache = real_root.parent.name == "snapshots" and (
        real.parent == real_root.parent.parent / "blobs"
    )
    if not real.is_relative_to(real_root) and not in_cache:
        raise corrupt(
            root / name, expected="a file inside the directory", found=f"a link to {str(real)!r}"
        )
    return real


def read_small(root: Path, name: str) -> bytes:
    """The bytes of a JSON file of the checkpoint, refused past 100 MB."""
    inside(root, name)
    descriptor = open_regular(root / name)
    with os.fdopen(descriptor, "rb") as file, reading(root / name):
        data = file.read(_MAX_JSON_BYTES + 1)
    if len(data) > _MAX_JSON_BYTES:
        size = os.path.getsize(root / name)
        raise corrupt(
            root / name, expected=f"at most {_MAX_JSON_BYTES} bytes", found=f"{size} bytes"
        )
    return data


def _other_files(root: Path, taken: set[str | None]) -> tuple[list[str], dict[str, str]]:
    """Files to copy as they are, and what is left behind with the reason."""
    extra: list[str] = []
    skipped: dict[str, str] = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
            name = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if entry.name in _LEFT_FOLDERS:
                    skipped[name + "/"] = _LEFT_FOLDERS[entry.name]
                else:
                    pending.append(name + "/")
                continue
            if name in taken:
                continue
            if reason := _why_skipped(entry.name, top=not folder):
                skipped[name] = reason
                continue
            real = inside(root, name)
            if real.is_dir():
                skipped[name] = "a link to a directory"
            elif not real.is_file():
                raise CorruptFileError(
                    f"{str(root / name)!r}: expected a regular file, found something else"
                )
            else:
                extra.append(name)
    return sorted(extra), dict(sorted(skipped.items()))


def _why_skipped(name: str, *, top: bool) -> str | None:
    """Weights of the same model in another format: at the top anything that is weights, below
    it what exporters write (`onnx/`, `openvino/`). Weight files of sub-modules stay."""
    if name.startswith("openvino_") or name.endswith(_EXPORTS):
        return "an export of the unconverted weights"
    if top and name.endswith(tuple(_OTHER_WEIGHTS)) and name != "training_args.bin":
        return "weights in another format or set, not converted"
    return None
