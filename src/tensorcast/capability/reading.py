"""Capability files: written whole, read as files that nobody vouches for."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeVar

from ..checkpoint.files.strict_json import corrupt, is_count, is_text, parse_object, shortened
from ..errors import CorruptFileError, DestinationError
from ..formats import FORMATS
from .data import (
    SCHEMA,
    CastMeasurement,
    Machine,
    Measurement,
    Misfit,
    Missing,
    Ratio,
    Spread,
)

_MAX_BYTES: Final = 16 << 20
_MAX_ITEMS: Final = 20_000
_MAX_TEXT: Final = 1000
_LIBRARIES: Final = ("tensorcast", "torch", "numpy", "tensorflow", "jax", "copy")

_T = TypeVar("_T")


def read(path: Path) -> dict[str, Any]:
    """The members of the capability in a file, as `members_of` gives them.

    Raises:
        CorruptFileError: it is too large, not JSON, or not such a document.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise corrupt(path, expected=f"at most {_MAX_BYTES:,} bytes", found="more")
    return members_of(parse_object(data, path), path)


def write(text: str, path: Path) -> None:
    """Writes a temporary sibling and renames it.

    Raises:
        DestinationError: something stands there that is no regular file.
    """
    if os.path.lexists(path) and not path.is_file():
        raise DestinationError(f"{str(path)!r} is no regular file and is not replaced")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def dump(document: dict[str, Any]) -> str:
    """JSON, ASCII only; items of lists on a line each."""
    members = []
    for key, value in document.items():
        if isinstance(value, list | tuple) and value:
            rows = ",\n".join(f"    {json.dumps(item, allow_nan=False)}" for item in value)
            members.append(f"  {json.dumps(key)}: [\n{rows}\n  ]")
        else:
            members.append(f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(members) + "\n}"


def members_of(document: object, path: Path | str) -> dict[str, Any]:
    """The members of the document's capability by name, each checked. Those it does not know are
    ignored, as a later version may add some.

    Raises:
        CorruptFileError: what is expected where, and what was found.
    """
    top = _Members(document, path, "")
    head = top.inner("tensorcast")
    schema = head.take("schema", is_count, "a schema number")
    if schema != SCHEMA or head.text("command") != "bench":
        found = f"schema {schema}, command {shortened(head.text('command'))}"
        raise corrupt(path, expected=f"schema {SCHEMA} of command 'bench'", found=found)
    machine = top.inner("machine")
    return {
        "machine": Machine(
            machine.choice("device", ("cpu", "cuda")),
            machine.text("name"),
            tuple(machine.texts("flags")),
            machine.count("n_cpus"),
            machine.take(
                "n_bytes_memory", lambda x: x is None or is_count(x), "a number of bytes or null"
            ),
            machine.text("compute_capability"),
            machine.text("system"),
        ),
        "versions": dict(top.inner("versions").all(_is_text, "a version")),
        "n_threads": top.count("n_threads"),
        "date": top.text("date"),
        "seconds": top.number("seconds"),
        "n_cpus_others": top.take(
            "n_cpus_others", lambda x: x is None or _is_number(x), "a number from 0 on or null"
        ),
        "measurements": tuple(_measurement(m) for m in top.items("measurements")),
        "casts": tuple(_cast(m) for m in top.items("casts")),
        "misfits": tuple(
            Misfit(
                m.choice("source", FORMATS),
                m.choice("target", FORMATS),
                m.choice("library", _LIBRARIES),
                m.text("value"),
                m.text("result"),
            )
            for m in top.items("misfits")
        ),
        "missing": tuple(
            Missing(*(m.text(key) for key in ("operation", "case", "format", "way", "reason")))
            for m in top.items("missing")
        ),
    }


def _measurement(m: _Members) -> Measurement:
    return Measurement(
        m.text("operation"),
        m.text("case"),
        dict(m.inner("sizes").all(is_count, "a count")),
        m.choice("format", (*FORMATS, "tf32")),
        m.text("way"),
        _spread(m.inner("seconds")),
        m.count("n_bytes"),
        m.count("n_operations"),
        m.number("relative_error"),
        _ratio(m, "beside_float32"),
    )


def _cast(m: _Members) -> CastMeasurement:
    return CastMeasurement(
        m.choice("source", FORMATS),
        m.choice("target", FORMATS),
        m.choice("library", _LIBRARIES),
        m.choice("into", ("new", "given")),
        m.count("n_elements"),
        m.count("n_bytes"),
        _spread(m.inner("seconds")),
        m.count("n_different"),
        m.text("difference"),
        _ratio(m, "beside_ours"),
    )


def _spread(m: _Members) -> Spread:
    found = Spread(m.count("n"), *(m.number(key) for key in ("least", "median", "low", "high")))
    if not (found.n > 0 and 0 < found.least <= found.median and found.low > 0):
        raise m.wrong("", "samples, and seconds above zero", found)
    if not found.low <= found.median <= found.high:
        raise m.wrong("", "low <= median <= high", found)
    return found


def _ratio(m: _Members, key: str) -> Ratio | None:
    if (
        m.take(key, lambda value: value is None or isinstance(value, dict), "an object or null")
        is None
    ):
        return None
    inner = m.inner(key)
    found = Ratio(*(inner.number(name) for name in ("median", "low", "high")))
    if not 0 < found.low <= found.median <= found.high:
        raise m.wrong(key, "0 < low <= median <= high", found)
    return found


def _is_text(value: object) -> bool:
    return is_text(value) and isinstance(value, str) and len(value) <= _MAX_TEXT


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1e300 and isfinite(value)


class _Members:
    """An object of the document, and where it stands."""

    def __init__(self, value: object, path: Path | str, where: str) -> None:
        self._path, self._where = path, where
        if not isinstance(value, dict):
            raise self.wrong("", "an object", value)
        self._value: dict[str, object] = value

    def wrong(self, key: str, expected: str, found: object) -> CorruptFileError:
        """The error for a member."""
        return self._wrong(key, expected, shortened(found))

    def _wrong(self, key: str, expected: str, found: str) -> CorruptFileError:
        where = ".".join(part for part in (self._where, key) if part) or "the document"
        return corrupt(self._path, expected=f"{expected} as {where}", found=found)

    def take(self, key: str, holds: Callable[[Any], bool], expected: str) -> Any:
        """A member that `holds`."""
        if key not in self._value:
            raise self._wrong(key, expected, "nothing")
        if not holds(self._value[key]):
            raise self.wrong(key, expected, self._value[key])
        return self._value[key]

    def text(self, key: str) -> str:
        found: str = self.take(key, _is_text, f"text of at most {_MAX_TEXT} characters")
        return found

    def texts(self, key: str) -> list[str]:
        def holds(value: object) -> bool:
            return isinstance(value, list) and len(value) < 1000 and all(map(_is_text, value))

        found: list[str] = self.take(key, holds, "a list of texts")
        return found

    def choice(self, key: str, of: Iterable[str]) -> str:
        names = tuple(of)
        listed = "one of " + ", ".join(names) if len(names) < 10 else "a known name"
        found: str = self.take(key, lambda value: isinstance(value, str) and value in names, listed)
        return found

    def count(self, key: str) -> int:
        found: int = self.take(key, is_count, "a count")
        return found

    def number(self, key: str) -> float:
        return float(self.take(key, _is_number, "a number from 0 on"))

    def inner(self, key: str) -> _Members:
        where = f"{self._where}.{key}" if self._where else key
        return _Members(self._value.get(key), self._path, where)

    def all(self, holds: Callable[[object], bool], expected: str) -> list[tuple[str, Any]]:
        """Every member."""
        if len(self._value) > 100:
            raise self.wrong("", "at most 100 members", self._value)
        for key in self._value:
            if not _is_text(key):
                raise self.wrong("", "names of at most 1000 characters", key)
            self.take(key, holds, expected)
        return list(self._value.items())

    def items(self, key: str) -> list[_Members]:
        found = self.take(
            key,
            lambda value: isinstance(value, list | tuple) and len(value) <= _MAX_ITEMS,
            f"a list of at most {_MAX_ITEMS:,} items",
        )
        return [_Members(x, self._path, f"{key}[{i}]") for i, x in enumerate(found)]
