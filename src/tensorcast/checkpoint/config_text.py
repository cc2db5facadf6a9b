"""config.json with its dtype set, everything else as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Final

from ..errors import FormatError
from ..formats import Format, lookup

_KEYS: Final = ("dtype", "torch_dtype")


def retyped_config(
    config: dict[str, object], text: str, to: Format, sources: Collection[Format]
) -> str:
    """The text of config.json for weights that became `to`.

    `dtype` and `torch_dtype` at the top are set, whichever is there; deeper ones
    (`text_config.dtype`) where they name one of the formats that were converted. Order,
    indentation and the rest of the text stay.

    Args:
        config: the parsed text.
        text: of config.json.
        to: the new format; one that torch does not name leaves the text as it is.
        sources: formats of the tensors that change.
    """
    name = to.spellings.get("torch")
    if name is None or not to.is_float or not sources:
        return text
    wanted = _retyped(config, name, sources, top=True)
    if wanted == config:
        return text
    edited = text
    # every spelling of a changed value, replaced where it stands; the parse below is the judge
    for old in {value for value in _values(config) if isinstance(value, str)}:
        if _names_one(old, sources) or old in (config.get(key) for key in _KEYS):
            pattern = rf'("(?:torch_)?dtype"\s*:\s*)"{re.escape(old)}"'
            prefix = "torch." if old.startswith("torch.") else ""
            edited = re.sub(pattern, rf'\g<1>"{prefix}{name}"', edited)
    try:
        if json.loads(edited) == wanted:
            return edited
    except ValueError:
        pass
    return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"


def _names_one(value: object, formats: Collection[Format]) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return lookup(value, "torch") in formats
    except FormatError:
        return False


def _values(node: object) -> list[object]:
    """Everything that stands under a dtype key, at any depth."""
    if isinstance(node, list):
        return [value for item in node for value in _values(item)]
    if not isinstance(node, dict):
        return []
    found = [node[key] for key in _KEYS if key in node]
    return found + [value for item in node.values() for value in _values(item)]


def _retyped(node: object, name: str, sources: Collection[Format], *, top: bool) -> object:
    if isinstance(node, list):
        return [_retyped(item, name, sources, top=False) for item in node]
    if not isinstance(node, dict):
        return node
    changed: dict[str, object] = {}
    for key, value in node.items():
        if key in _KEYS and (top or _names_one(value, sources)):
            prefix = "torch." if isinstance(value, str) and value.startswith("torch.") else ""
            changed[key] = prefix + name
        else:
            changed[key] = _retyped(value, name, sources, top=False)
    return changed
