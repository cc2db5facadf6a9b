"""What says in words that weights are quantized: configurations, headers, files of quantizers."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from ...errors import FormatError
from ...formats import lookup
from .scale_names import (
    CONFIG_KEYS,
    FILE_WORDS,
    HEADER_KEYS,
    SIDE_FILES,
    VECTOR_KEYS,
    VECTOR_QUANTIZERS,
    WEIGHT_KEYS,
)

# a key and the place of the object around it: a text of each would take memory without bound
_Place = tuple["_Place", str] | None
_TENSOR_FILES: Final = tuple(
    ".safetensors .npz .npy .pt .pth .bin .ckpt .json .pkl .h5 .msgpack".split()
)
_FILE_WORD: Final = re.compile(r"[a-z]+")


def config_paths(config: Mapping[str, object], coded: bool = True) -> list[str]:
    """Where a configuration describes a quantization, at any depth: "text_config.quantization".

    What may as well describe a vector quantizer of the model counts only of weights that hold
    codes (`coded`).
    """
    found: list[str] = []
    pending: deque[tuple[_Place, object]] = deque([(None, config)])
    while pending:
        where, node = pending.popleft()
        for key, value in _members(node):
            if is_description(key, value, coded):
                found.append(_spelled((where, key)))
            elif isinstance(value, dict | list):
                pending.append(((where, key), value))
    return found


def _members(node: object) -> Iterable[tuple[str, object]]:
    if isinstance(node, Mapping):
        return node.items()
    return ((str(i), item) for i, item in enumerate(node)) if isinstance(node, list) else ()


def _spelled(place: _Place) -> str:
    keys: list[str] = []
    while place is not None:
        place, key = place
        keys.append(key)
    return ".".join(reversed(keys))


def is_description(key: str, value: object, coded: bool = True) -> bool:
    """Whether a member of a configuration tells of quantized weights."""
    if key not in CONFIG_KEYS or not describes(value):
        return False
    return not (_is_vector_quantizer(value) and (key == "quantization" or not coded))


def _is_vector_quantizer(value: object) -> bool:
    """Whether a description is that of a layer with a codebook, and of no weights."""
    if not isinstance(value, dict):
        return False
    keys = [str(key).lower() for key in value]
    weights = any(re.fullmatch(WEIGHT_KEYS, key) for key in keys if "codebook" not in key)
    return not weights and any(re.fullmatch(VECTOR_KEYS, key) for key in keys)


def describes(value: object) -> bool:
    """Whether the value of one of `CONFIG_KEYS` tells of a quantization."""
    if isinstance(value, list):
        return any(describes(item) for item in value)
    if isinstance(value, dict):
        return bool(value) and not _says_none(value)
    if not isinstance(value, str):
        return bool(value)
    text = value.strip().lower()
    try:
        return lookup(text).bits <= 8  # "bf16" tells of none
    except FormatError:
        return text not in ("", "none", "null", "no", "false", "{}", "[]", *VECTOR_QUANTIZERS)


def _says_none(value: Mapping[str, object]) -> bool:
    """Whether every switch in a description is off, as bitsandbytes and TensorRT-LLM write it."""
    if value.get("enabled") is False:
        return True
    if any(value.get(key) for key in ("bits", "config_groups", "quantized_layers", "layers")):
        return False
    method = value.get("quant_method")
    loads = [value.get(key) for key in ("load_in_4bit", "load_in_8bit")]
    if method in (None, "bitsandbytes") and loads == [False, False]:
        return not value.get("_load_in_4bit") and not value.get("_load_in_8bit")
    algorithms = [value.get(key) for key in ("quant_algo", "kv_cache_quant_algo")]
    return method is None and "quant_algo" in value and algorithms == [None, None]


def header_keys(metadata: Mapping[str, str], coded: bool = True) -> list[str]:
    """Keys of a header's metadata that describe a quantization.

    Programs for images note how a file was made; of files without codes (`coded`) that says none.
    """
    return [
        key
        for key, text in metadata.items()
        if (coded or not key.startswith(("prompt", "workflow", "ss_"))) and _tells(key, text)
    ]


def _tells(key: str, text: str) -> bool:
    if key in HEADER_KEYS or key in CONFIG_KEYS:
        parsed = _parsed(text)
        if isinstance(parsed, dict) and "layers" in parsed:
            return bool(parsed["layers"])
        return describes(text if parsed is None else parsed)
    if "_type" not in text and not any(name in text for name in CONFIG_KEYS):
        return False
    parsed = _parsed(text)
    if not isinstance(parsed, dict):
        return False
    # torchao: one text per tensor, {"_type": "Int8Tensor", "_data": ...}
    torchao = isinstance(parsed.get("_type"), str) and parsed["_type"] != "Tensor"
    return (torchao and "_data" in parsed) or bool(config_paths(parsed))


def _parsed(text: str) -> object:
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def side_files(files: Iterable[str]) -> list[str]:
    """Those of the files that a quantizer left beside the weights."""
    found = []
    for name in files:
        last = name.rsplit("/", 1)[-1]
        ascend = last.startswith("quant_model_description") and last.endswith(".json")
        if "/" not in name and (last in SIDE_FILES or ascend):
            found.append(name)
    return found


def scale_files(files: Iterable[str]) -> list[str]:
    """Those of the files that are called as if they held scales: scales.npz."""
    return [
        name
        for name in files
        if name.endswith(_TENSOR_FILES) and FILE_WORDS & set(_FILE_WORD.findall(name.lower()))
    ]
