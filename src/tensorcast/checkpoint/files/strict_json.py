"""JSON from files nobody vouches for: no duplicate keys, no NaN, bounded nesting.

`any_object` reads what others would read, too: it looks for signs and vouches for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeGuard

from ...errors import CorruptFileError


def corrupt(
    path: Path | str,
    *,
    expected: str,
    found: str,
    tensor: str | None = None,
    offset: int | None = None,
) -> CorruptFileError:
    """The error for a file that breaks the rules of its format."""
    where = f"{str(path)!r}"
    if tensor is not None:
        where += f", tensor {shortened(tensor)}"
    if offset is not None:
        where += f", byte {offset}"
    return CorruptFileError(f"{where}: expected {expected}, found {found}")


def shortened(value: object, limit: int = 120) -> str:
    """`repr(value)`, cut so that a hostile file cannot fill the terminal."""
    if isinstance(value, int) and value.bit_length() > 256:  # printing it may be refused
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str) and len(value) > limit:
        return f"{value[:limit]!r}... ({len(value)} characters)"
    if isinstance(value, list | dict) and len(value) > 16:
        return f"a {type(value).__name__} of {len(value)} items"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


class _DuplicateKeyError(ValueError):
    pass


class _ConstantError(ValueError):
    pass


_SPACE: Final = b" \t\n\r"

Convert = Callable[[dict[str, object]], object]


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKeyError(key)
            seen.add(key)
    return members


def _no_constant(text: str) -> NoReturn:
    raise _ConstantError(text)


def _integer(text: str) -> int | float:
    """-0 stays apart from 0: it is a number of JSON, but no count."""
    return -0.0 if text == "-0" else int(text)


def parse_object(
    data: bytes,
    path: Path | str,
    *,
    offset: int = 0,
    convert: Convert | None = None,
    constants: bool = False,
) -> dict[str, object]:
    """The members of the JSON object in `data`, in order.

    Args:
        data: UTF-8; white space, then "{" (no byte-order mark). "-0" reads as the float -0.0.
        path: of the file, for messages.
        offset: of `data` in the file, for messages.
        convert: gets the members of every object, inner ones first, and gives them back or
            what shall stand for them: a long file of small objects takes less memory so.
        constants: NaN, Infinity and -Infinity are numbers, as Python's json writes them.

    Raises:
        CorruptFileError: it is not valid UTF-8, not valid JSON, nested too deeply, not an
            object, or a key stands twice in one object, or a number is NaN or Infinity.
    """
    space = len(data) - len(data.lstrip(_SPACE)) if data[:1] in b" \t\n\r" else 0
    if data[space : space + 1] != b"{":
        found = "nothing" if space == len(data) else shortened(data[space : space + 8])
        expected = "JSON starting with '{'"
        raise corrupt(path, expected=expected, found=found, offset=offset + space)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise corrupt(
            path,
            expected="valid UTF-8",
            found=f"byte 0x{data[error.start]:02x} ({error.reason})",
            offset=offset + error.start,
        ) from None
    try:
        members = json.loads(
            text,
            object_pairs_hook=(
                _no_duplicates if convert is None else lambda pairs: convert(_no_duplicates(pairs))
            ),
            parse_constant=None if constants else _no_constant,
            parse_int=_integer if b"-0" in data else None,
        )
    except _DuplicateKeyError as error:
        raise corrupt(
            path,
            expected="every key once",
            found=f"the key {shortened(error.args[0])} twice in one object",
            offset=offset,
        ) from None
    except _ConstantError as error:
        raise corrupt(
            path, expected="a JSON number", found=str(error.args[0]), offset=offset
        ) from None
    except json.JSONDecodeError as error:
        raise corrupt(
            path,
            expected="valid JSON",
            found=error.msg[:1].lower() + error.msg[1:],
            offset=offset + len(text[: error.pos].encode("utf-8", "surrogatepass")),
        ) from None
    except RecursionError:
        raise corrupt(
            path, expected="JSON nested a few levels deep", found="deep nesting", offset=offset
        ) from None
    except ValueError as error:  # an integer with more digits than Python converts
        raise corrupt(
            path, expected="valid JSON", found=shortened(str(error)), offset=offset
        ) from None
    if not isinstance(members, dict):  # it starts with "{", and was converted as a whole
        raise corrupt(path, expected="objects by name", found="one of them", offset=offset)
    return members


def any_object(data: bytes) -> dict[str, object] | None:
    """The JSON object that `data` begins with, read as leniently as any program might; or None.

    A byte-order mark, NaN and what stands behind the object are passed over. The values of a key
    that stands several times are a list, the members of all of them are found so.
    """
    try:
        text = data.decode(json.detect_encoding(data), "replace").lstrip("\ufeff \t\r\n")
        found, _ = json.JSONDecoder(object_pairs_hook=_gathered, strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _gathered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    values: dict[str, list[Any]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return {key: each[0] if len(each) == 1 else each for key, each in values.items()}


def is_text(value: object) -> bool:
    """Whether `value` is a string that UTF-8 can hold (JSON can spell lone surrogates)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_count(value: object) -> TypeGuard[int]:
    """Whether `value` is an integer from 0 to 2^63 - 1, and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
