"""The other files of a directory: what is copied as it is, and what is left out and why.

A file is left out only where its name says that it holds the same weights once more: beside
converted ones, the old ones would be loaded by some and not by others. Everything else is
copied; of what holds weights, it is said that they are not converted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import CheckpointError, CorruptFileError
from ..files.strict_json import parse_object, shortened
from ..files.weight_names import ADAPTER, WHOLE_MODELS, index_of, weight_name
from .links import inside, read_small

_PARTS: Final = r"([.-][^/]*)?"  # a variant, a shard
_INDEX: Final = r"(\.index(\.[^./]+)?\.json)?"
# stem -> names of the same weights in other programs' formats
_SAME: Final = {
    stem: re.compile("|".join(patterns))
    for stem, patterns in {
        "model": (
            rf"pytorch_model{_PARTS}\.bin{_INDEX}",
            rf"tf_model{_PARTS}\.h5{_INDEX}",
            rf"flax_model{_PARTS}\.msgpack{_INDEX}",
            r"rust_model\.ot",
            rf"(original/)?consolidated{_PARTS}\.(pth|pt|safetensors){_INDEX}",
        ),
        "diffusion_pytorch_model": (
            rf"diffusion_pytorch_model{_PARTS}\.bin{_INDEX}",
            rf"diffusion_flax_model{_PARTS}\.msgpack{_INDEX}",
        ),
        "consolidated": (rf"consolidated{_PARTS}\.(pth|pt)",),
        "adapter_model": (r"adapter_model\.bin",),
    }.items()
}
# in any folder: exports of a whole model
_EXPORTS: Final = {
    re.compile(pattern): reason
    for pattern, reason in {
        r"(.*/)?onnx/[^/]*\.onnx([._]data[^/]*)?": "an ONNX export",
        r"(.*/)?([^/]*[_-])?model([._-][^/]*)?\.onnx([._]data[^/]*)?": "an ONNX export",
        r"(.*/)?openvino_[^/]*\.(xml|bin)": "part of an OpenVINO export",
        r"(.*/)?([^/]*[_-])?model([._-][^/]*)?\.tflite": "a TensorFlow Lite export",
        r".*\.gguf": "a GGUF file, for llama.cpp",
        r"(.*/)?ggml[_-][^/]*\.bin|.*\.ggml": "a GGML file, for llama.cpp",
        r".*\.(mlmodel|mlpackage/|mlmodelc/)": "a Core ML export",
    }.items()
}
_LEFT_FOLDERS: Final = {".git": "version control", ".cache": "a download cache"}
_SAME_REASON: Final = "the same weights in another format, as its name says; not converted"
# endings of files that hold tensors, though not in a format that is read
_OTHER_TENSORS: Final = (
    ".bin .pt .pth .ckpt .h5 .msgpack .onnx .onnx_data .npz .npy .ot .tflite .distcp .gguf .ggml "
    ".mlmodel .pdparams"
).split()


@dataclass(frozen=True)
class Beside:
    """Names are relative, with forward slashes; a folder's ends in one.

    Attributes:
        copied: files that come along as they are.
        skipped: files and folders that are left out, and why.
        unconverted: those of `copied` that hold tensors, and why they stay as they are.
    """

    copied: tuple[str, ...]
    skipped: dict[str, str]
    unconverted: dict[str, str]


def files_beside(
    root: Path, taken: Collection[str | None], stem: str, variant: str | None
) -> Beside:
    """What becomes of every file of the directory that is not one of `taken`.

    Args:
        root: the directory.
        taken: the weights that are converted, their index, config.json.
        stem, variant: of the weights; see `weight_names`.

    Raises:
        CorruptFileError: something is neither a file nor a folder.
        UnsupportedCheckpointError: a link leads out of the directory.
    """
    copied: list[str] = []
    skipped: dict[str, str] = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
            name = f"{folder}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                reason = _LEFT_FOLDERS.get(entry.name) or _export(f"{name}/", stem)
                if reason:
                    skipped[f"{name}/"] = reason
                else:
                    pending.append(f"{name}/")
                continue
            if name in taken:
                continue
            if reason := _why_skipped(name, stem, variant):
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
                copied.append(name)
    copied.sort()
    unconverted = {name: why for name in copied if (why := _why_unconverted(root, name))}
    return Beside(tuple(copied), dict(sorted(skipped.items())), unconverted)


def _why_skipped(name: str, stem: str, variant: str | None) -> str | None:
    same = _SAME.get(stem)
    if same is not None and same.fullmatch(name) and f".{variant or ''}" in name:
        return _SAME_REASON
    said = index_of(name) or weight_name(name)
    if said is not None and said.stem == stem:
        if said.variant != variant:
            of = f"the variant {said.variant!r}" if said.variant else "without a variant"
            return f"another set of weights ({of}), not converted"
        kind = "a shard that no index names" if said.is_shard else "weights that are not used"
        return f"{kind}, not converted"
    return _export(name, stem)


def _export(name: str, stem: str) -> str | None:
    """Why a file of another program is left out: exports of a whole model, beside its weights."""
    if stem in WHOLE_MODELS:
        for pattern, reason in _EXPORTS.items():
            if pattern.fullmatch(name):
                return f"{reason}, not converted"
    return None


def _why_unconverted(root: Path, name: str) -> str | None:
    folder, _, file = name.rpartition("/")
    if file.endswith(".safetensors"):
        if weight_name(file) == (ADAPTER, None, False):
            return f"an adapter; give its own path to convert it{_base(root, folder)}"
        if folder:
            return "weights of a sub-module; give its own path to convert it"
        return "not among the model's weights; give its own path to convert it"
    if file.endswith(tuple(_OTHER_TENSORS)):
        return "only safetensors files are converted"
    return None


def _base(root: Path, folder: str) -> str:
    """Where the adapter's own configuration says that its base model is."""
    name = f"{folder}/adapter_config.json" if folder else "adapter_config.json"
    try:
        config = parse_object(read_small(root, name), root / name)
    except (OSError, CheckpointError):
        return ""
    base = config.get("base_model_name_or_path")
    return f" (peft loads its base model from {shortened(base)}, not from here)" if base else ""
