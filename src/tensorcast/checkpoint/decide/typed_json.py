"""Frozen dataclasses as JSON and back: on the way in every field has to be there, no other, and
each of its own type."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ...formats import FORMATS, Format
from ..files.strict_json import shortened
from ..protocol import SCHEMES, Stored, stored_as

Read = Callable[[object], Any]


class MismatchError(ValueError):
    """A value in JSON is not what its field holds.

    Attributes:
        where: keys and indices that lead to it, the outermost first.
    """

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.where: list[str | int] = []

    def __str__(self) -> str:
        return f"{path_text(self.where)}{': ' if self.where else ''}{super().__str__()}"


def path_text(where: list[str | int]) -> str:
    """Keys and indices as one writes them.

    Example:
        >>> path_text(["steps", 3, "inputs", 0, "offset"])
        'steps[3].inputs[0].offset'
    """
    parts = [f"[{each}]" if isinstance(each, int) else f".{each}" for each in where]
    return "".join(parts).removeprefix(".")


def to_json(value: Any) -> Any:
    """The value in JSON's own types: a dataclass is an object of its fields, a format its name."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Format):
        return value.name
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    if isinstance(value, dict):
        return {key: to_json(each) for key, each in value.items()}
    name = getattr(value, "name", None)
    if name in SCHEMES and SCHEMES[name] is value:
        return name
    return {name: to_json(getattr(value, name)) for name in _names(value.__class__)}


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(kind))


def from_json(kind: Any, value: object) -> Any:
    """The value of the type that `to_json` made this JSON of.

    Args:
        kind: str, int, bool, a Literal, a Format, Stored, a dataclass, `X | None`, `tuple[X, ...]`
            or `dict[str, X]`.

    Raises:
        MismatchError: a field is missing, unknown or of another type; says where.
    """
    return reader(kind)(value)


@cache
def reader(kind: Any) -> Read:
    """What reads a value of the type; see `from_json`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _EXACT:
        return _exact(kind)
    if kind is Format:
        return _format
    if kind == Stored:
        return _stored
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, types.UnionType):
        (other,) = (each for each in arguments if each is not types.NoneType)
        read = reader(other)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        return _tuple(arguments[0])
    assert origin is dict, kind
    return _dict(arguments[1])


_EXACT = {str: "a string", int: "an integer", bool: "true or false"}


def _exact(kind: type) -> Read:
    expected = _EXACT[kind]

    def read(value: object) -> object:
        if type(value) is not kind:  # True is an int to isinstance
            raise MismatchError(expected, shortened(value))
        return value

    return read


def _format(value: object) -> Format:
    found = FORMATS.get(value) if isinstance(value, str) else None
    if found is None:
        raise MismatchError("the name of a number format", shortened(value))
    return found


def _stored(value: object) -> Stored:
    found = stored_as(value) if isinstance(value, str) else None
    if found is None:
        raise MismatchError("the name of a number format or scheme", shortened(value))
    return found


def _literal(choices: tuple[object, ...]) -> Read:
    def read(value: object) -> object:
        if not isinstance(value, str) or value not in choices:
            raise MismatchError(f"one of {', '.join(map(repr, choices))}", shortened(value))
        return value

    return read


def _tuple(item: Any) -> Read:
    read_item = reader(item)

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise MismatchError("a list", shortened(value))
        found = []
        for index, each in enumerate(value):
            try:
                found.append(read_item(each))
            except MismatchError as error:
                error.where.insert(0, index)
                raise
        return tuple(found)

    return read


def _dict(item: Any) -> Read:
    read_item = reader(item)

    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise MismatchError("an object", shortened(value))
        found = {}
        for key, each in value.items():
            try:
                found[key] = read_item(each)
            except MismatchError as error:
                error.where.insert(0, shortened(key))
                raise
        return found

    return read


def _dataclass(kind: Any) -> Read:
    hints = get_type_hints(kind)
    readers = {name: reader(hints[name]) for name in _names(kind)}

    def read(value: object) -> Any:
        if not isinstance(value, dict):
            raise MismatchError("an object", shortened(value))
        if value.keys() != readers.keys():
            missing = [name for name in readers if name not in value]
            if missing:
                raise MismatchError(f"the field {missing[0]!r}", "none of that name")
            unknown = next(name for name in value if name not in readers)
            raise MismatchError("no other field", shortened(unknown))
        found = {}
        for name, read_field in readers.items():
            try:
                found[name] = read_field(value[name])
            except MismatchError as error:
                error.where.insert(0, name)
                raise
        return kind(**found)

    return read
