"""What a raw conversion leaves out: everything that says the numbers were codes with scales."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from .protocol import Checkpoint
from .quantization import config_paths, describes, header_keys
from .scale_names import CONFIG_KEYS

SENTENCE: Final = (
    "the stored numbers are cast as they are, without their scales; scales stay as tensors, "
    "and nothing that describes a quantization is written"
)
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
    kept = _kept(config)
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


def raw_skipped(source: Checkpoint) -> dict[str, str]:
    """Files of a quantizer, which are not copied, and why."""
    return dict.fromkeys(source.quantizer_files, _REASON)


def raw_warnings(source: Checkpoint) -> list[str]:
    """What the caller of a raw conversion of this source should hear."""
    if source.scaled is None:
        return []
    warnings = [f"raw: {SENTENCE}"]
    for path in config_paths(source.config or {}):
        warnings.append(f"config.json is written without {path!r}")
    gone = {
        key: None
        for file in source.files
        for key in (file.metadata or {})
        if key not in (raw_metadata(file.metadata) or {})
    }
    if gone:
        shown = ", ".join(repr(key[:60]) for key in list(gone)[:4])
        more = f" and {len(gone) - 4} more" if len(gone) > 4 else ""
        warnings.append(f"the header's metadata is written without {shown}{more}")
    warnings += [f"{name!r} is not copied: {_REASON}" for name in source.quantizer_files]
    return warnings
