"""JSON documents: versioned, and valid for every reader.

Every document starts with ``{"tensorcast": {"version": ..., "schema": 1, "command": ...}``.
Within one schema number keys are only added. JSON has no literal for infinities and NaN: they
are the strings "inf", "-inf" and "nan"; what is not known is null.
"""

from __future__ import annotations

from math import isinf, isnan
from typing import Any, Final

SCHEMA: Final = 1

_LINE: Final = 240

Json = dict[str, Any]


def document(command: str, body: Json, *, version: str) -> Json:
    """The body in its envelope."""
    return {"tensorcast": {"version": version, "schema": SCHEMA, "command": command}, **body}


def dump(value: object) -> str:
    """The JSON text, ASCII only, so that it survives any stream; what fits a line is on one.

    Example:
        >>> print(dump({"sqnr_db": float("inf")}))
        {"sqnr_db": "inf"}
    """
    return _dumped(finite(value), "")


def _dumped(value: object, indent: str) -> str:
    import json

    text = json.dumps(value, allow_nan=False)
    if len(text) + len(indent) <= _LINE or not isinstance(value, (dict, list)):
        return text
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_dumped(item, deeper)}" for key, item in value.items()]
    else:
        items = [_dumped(item, deeper) for item in value]
    start, end = "{}" if isinstance(value, dict) else "[]"
    return f"{start}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{end}"


def finite(value: object) -> object:
    """The same value with infinities and NaN as strings, all the way down."""
    if isinstance(value, float) and (isinf(value) or isnan(value)):
        return "nan" if isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
