"""What a raw conversion leaves out: everything that says the numbers were codes with scales."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from ...errors import CheckpointError
from ..conventions.configuration import config_paths, describes, header_keys
from ..conventions.scale_names import CONFIG_KEYS
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
    """A header's metadata without what describes a quantization."""
    if metadata is None:
        return None
    gone = set(header_keys(metadata))
    if any('"_type"' in metadata[key] for key in gone):  # torchao describes every tensor
        gone |= {key for key, text in metadata.items() if '"_type"' in text}
        gone.add("tensor_names")
    return {key: text for key, text in metadata.items() if key not in gone} or None


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
    return {
        key: _kept(value)
        for key, value in node.items()
        if not (key in CONFIG_KEYS and describes(value))
    }


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
        kept = raw_metadata(file.metadata) or {}
        gone |= {key: None for key in file.metadata or {} if key not in kept}
    for place, keys in (
        ("config.json", config_paths(source.config or {})),
        ("the header's metadata", list(gone)),
    ):
        if keys:
            warnings.append(f"{place} is written without {_some(keys)}")
    warnings += [f"{name!r} is not copied: {_REASON}" for name in source.quantizer_files]
    return warnings
