"""Where lines go: what a stream can show, and printing lines to it.

A terminal gets colours and its width; a pipe or a file gets the plain text, not cut to a width.
NO_COLOR turns colours off, FORCE_COLOR turns them on where there is no terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final, TextIO

from ..words.text import ASCII_GLYPHS, Line, Style, fold, plain

_AT_ONCE: Final = 2000  # lines
_ANSI: Final[dict[Style, str]] = {
    "title": "1",
    "head": "4",
    "dim": "2",
    "name": "36",
    "good": "32",
    "warn": "33",
    "bad": "1;31",
}


@dataclass(frozen=True)
class Screen:
    """What a stream can show.

    Attributes:
        is_terminal: whether a person looks at it (a dumb terminal is not one).
        width: columns, or None when there is no end to a line.
        color: whether styles are drawn.
        unicode: whether the stream takes every character.
    """

    is_terminal: bool
    width: int | None
    color: bool
    unicode: bool


def screen(stream: TextIO) -> Screen:
    """What `stream` can show, from the stream and the environment."""
    try:
        is_terminal = stream.isatty()
    except ValueError:  # closed
        is_terminal = False
    clever = is_terminal and os.environ.get("TERM") != "dumb"
    color = clever
    if os.environ.get("NO_COLOR"):
        color = False
    elif os.environ.get("FORCE_COLOR"):
        color = True
    encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "")
    return Screen(clever, _width(stream) if is_terminal else None, color, encoding == "utf8")


def _width(stream: TextIO) -> int:
    wished = os.environ.get("COLUMNS", "")
    if wished.isdecimal() and int(wished) > 0:
        return int(wished)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def draw(lines: Iterable[Line], target: Screen) -> str:
    """The lines as one text for the target, each ended by a line feed. A line that is wider than a
    terminal goes on in the next one, further to the right."""
    text = "".join(_drawn(part, target) + "\n" for row in lines for part in _fitted(row, target))
    return text if target.unicode else text.translate(ASCII_GLYPHS)


def _fitted(row: Line, target: Screen) -> list[Line]:
    if target.width is None:
        return [row]
    text = plain(row)
    return fold(row, target.width, indent=" " * (len(text) - len(text.lstrip(" ")) + 2))


def _drawn(row: Line, target: Screen) -> str:
    if not target.color:
        return plain(row)
    return "".join(
        f"\x1b[{_ANSI[span.style]}m{span.text}\x1b[0m" if span.style else span.text for span in row
    )


def show(lines: Iterable[Line], stream: TextIO | None = None) -> None:
    """Prints lines to a stream (default: stdout)."""
    stream = sys.stdout if stream is None else stream
    target, rest = screen(stream), iter(lines)
    while some := list(islice(rest, _AT_ONCE)):
        write(draw(some, target), stream)


def write(text: str, stream: TextIO | None = None) -> None:
    """Writes text; a reader that went away (`| head`) is no error and ends the output.

    Characters that the stream's encoding lacks are written as backslash escapes.

    Raises:
        OSError: a full disk, say; nothing more is written then, at exit either.
    """
    stream = sys.stdout if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _discard(stream)
    except OSError as error:
        error.filename = "standard error" if stream is sys.stderr else "standard output"
        _discard(stream)  # what is left in the buffer would fail again at exit, with another code
        raise


def _discard(stream: TextIO) -> None:
    """Lets everything written from now on vanish, also at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass
