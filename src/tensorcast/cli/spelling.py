"""Errors speak of Python's keywords; on the command line they name the options instead."""

from __future__ import annotations

import re
from typing import Final

_OPTIONS: Final = (
    "overflow rounding nan inf seed threads max_shard_size keep force verify report raw"
)
_FLAGS: Final = frozenset(("force", "verify", "report", "raw"))
_NAMES: Final = "|".join(_OPTIONS.split())
_BOTH: Final = re.compile(rf"(--[a-z-]+[^()]*) \((?:{_NAMES})=\w+(?: in Python)?\)")
_KEYWORD: Final = re.compile(rf"(?<![\w.-])({_NAMES})=(\"[^\"]*\"|'[^']*'|[\w.]+)")
_BARE: Final = re.compile(r"(?<![\w.-])max_shard_size(?![\w=])")
_SEVERAL: Final = re.compile(r"(?<![\w.-])(keep|rule)s?=(?=[\s,;)]|$)")


def as_options(text: str) -> str:
    """The text with keywords as options.

    Example:
        >>> as_options('pass overflow="saturate" or nan="zero"; x exists: force=True replaces it')
        'pass --overflow saturate or --nan zero; x exists: --force replaces it'
        >>> as_options("or pass --raw (raw=True in Python)")
        'or pass --raw'
        >>> as_options("pass force=True to replace it; split it with max_shard_size")
        'pass --force to replace it; split it with --max-shard-size'
        >>> as_options("leave it as it is (keep='w')")
        "leave it as it is (--keep 'w')"
        >>> as_options("keep= comes before rules=")
        '--keep comes before --rule'
    """
    text = _BOTH.sub(r"\1", text)
    text = _KEYWORD.sub(_option, text)
    text = _SEVERAL.sub(r"--\1", text)
    return _BARE.sub("--max-shard-size", text)


def _option(found: re.Match[str]) -> str:
    name, value = found[1], found[2]
    option = "--" + name.replace("_", "-")
    return option if name in _FLAGS and value == "True" else f"{option} {value.strip(chr(34))}"
