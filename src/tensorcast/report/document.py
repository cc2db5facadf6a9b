"""JSON documents: versioned, and valid for every reader.

Every document starts with ``{"tensorcast": {"version": ..., "schema": 1, "command": ...}``.
Within one schema number keys are only added. JSON has no literal for infinities and NaN: they
are the strings "inf", "-inf" and "nan"; what is not known is null.
"""

from __future__ import annotations

from math import isinf, isnan
from typing import Any, Final

SCHEMA: Final = 1

Json = dict[str, Any]


def document(command: str, body: Json, *, version: str) -> Json:
    """The body in its envelope."""
    return {"tensorcast": {"version": version, "schema": SCHEMA, "command": command}, **body}


def dump(value: object) -> str:
    """The JSON text, two spaces deep, ASCII only, so that it survives any stream.

    Example:
        >>> print(dump({"sqnr_db": float("inf")}))
        {
          "sqnr_db": "inf"
        }
    """
    import json

    return json.dumps(finite(value), indent=2, allow_nan=False)


def finite(value: object) -> object:
    """The same value with infinities and NaN as strings, all the way down."""
    if isinstance(value, float) and (isinf(value) or isnan(value)):
        return "nan" if isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
