"""What a raw conversion leaves out: everything that says the numbers were codes with scales."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from ...errors import CheckpointError
from ..conventions.configuration import config_paths, header_keys, is_description
from ..conventions.scale_names import CONFIG_KEYS, HEADER_KEYS
from ..files.strict_json import shortened
from ..protocol import Checkpoint

SENTENCE: Final = (
    "the scales of the weights are not applied; scales stay as tensors, and quantization_config "
    "and what else describes a quantization is left out"
)
SHORT: Final = (
    "the stored numbers are cast as they are, without scales, even if most values are lost"
)
PLAIN: Final = (
    "no scales were found; the numbers are cast as they are, and a tensor of which next to nothing "
    "is left is no error"
)
_SHOWN: Final = 4
_REASON: Final = "it describes the quantization, which a raw conversion leaves out"


def raw_metadata(metadata: Mapping[str, str] | None) -> dict[str, str] | None:
    """A header's metadata without what describes a quantization; how a file was made stays."""
    if metadata is None:
        return None
    gone = set(header_keys(metadata, coded=False))
    kept: dict[str, str] = {}
    for key in list(gone):
        if key not in (*HEADER_KEYS, *CONFIG_KEYS) and '"_type"' not in metadata[key]:
            rest = _kept(json.loads(metadata[key]))  # a description inside of something else
            kept[key] = json.dumps(rest, ensure_ascii=False)
    if any('"_type"' in metadata[key] for key in gone):  # torchao describes every tensor
        gone |= {key for key, text in metadata.items() if '"_type"' in text}
        gone.add("tensor_names")
    return {
        key: kept.get(key, text) for key, text in metadata.items() if key in kept or key not in gone
    } or None


def raw_config(config: dict[str, object], text: str) -> tuple[dict[str, object], str]:
    """A configuration and its text without what describes a quantization, at any depth."""
    if not config_paths(config):
        return config, text
    try:
        kept = _kept(config)
    except RecursionError:
        raise CheckpointError("config.json is nested too deeply to be rewritten") from None
    assert isinstance(kept, dict)
    return kept, json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def _kept(node: object) -> object:
    if isinstance(node, list):
        return [_kept(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: _kept(value) for key, value in node.items() if not is_description(key, value)}


def _some(keys: list[str]) -> str:
    shown = ", ".join(shortened(key) for key in keys[:_SHOWN])
    return f"{shown} and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else shown


def raw_skipped(source: Checkpoint) -> dict[str, str]:
    """Files of a quantizer, which are not copied, and why."""
    return dict.fromkeys(source.quantizer_files, _REASON)


def raw_warnings(source: Checkpoint) -> list[str]:
    """What the caller of a raw conversion of this source should hear."""
    if source.scaled is None:
        return [f"raw: {PLAIN}"]
    warnings = [f"raw: {SENTENCE}"]
    gone: dict[str, None] = {}
    for file in source.files:
        before, kept = file.metadata or {}, raw_metadata(file.metadata) or {}
        gone |= {key: None for key, text in before.items() if kept.get(key) != text}
    for place, keys in (
        ("config.json", config_paths(source.config or {})),
        ("the header's metadata", list(gone)),
    ):
        if keys:
            warnings.append(f"{place} is written without {_some(keys)}")
    warnings += [f"{name!r} is not copied: {_REASON}" for name in source.quantizer_files]
    return warnings
