"""Lines of styled text, and names made safe to print.

A `Line` is a tuple of `Span`s; a `Span` is text and the name of a style. How a style looks (or
that it does not show at all) is decided where the line is printed, so the same lines serve a
terminal, a pipe and a file.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Style = Literal["", "title", "head", "dim", "name", "good", "warn", "bad"]

ELLIPSIS: Final = "\u2026"
_LONGEST: Final = 4000
_WORD: Final = re.compile(r"(?:\S*\d (?=(?:d|[kMGT])?B\b|m?s\b))?\S+")  # a number keeps its unit
_BRANCHES: Final = "\u2502\u251c\u2514\u2500 "
_TELLING: Final = 6  # columns: of less no end is worth having

# One character for one character, so columns stay aligned on a stream that cannot show these.
ASCII_GLYPHS: Final = str.maketrans(
    {
        "\u251c": "|",  # tree: a branch
        "\u2514": "`",  # tree: the last branch
        "\u2502": "|",  # tree: a trunk
        "\u2500": "-",  # rule
        ELLIPSIS: "~",
        "\u2588": "#",  # bar: done
        "\u2591": ".",  # bar: to do
    }
)


class Span(NamedTuple):
    """A run of text in one style."""

    text: str
    style: Style = ""


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """A line of the parts, plain strings in the plain style.

    Example:
        >>> plain(line("total ", Span("3", "good")))
        'total 3'
    """
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(row: Line) -> str:
    """The line's text without styles."""
    return "".join(span.text for span in row)


def safe(text: str) -> str:
    r"""The text with everything that could steer a terminal written as an escape.

    Names come from files that anybody may have made: control characters, bidirectional
    overrides, zero-width and private characters and lone surrogates become ``\x1b``,
    ``\u202e``. Of a text of more than 4,000 characters the ends are kept, and how many are left
    out. Any other text is given back as it is.

    Example:
        >>> safe("a\x1b[31mb"), safe("layer.0")
        ('a\\x1b[31mb', 'layer.0')
    """
    if len(text) > _LONGEST:
        head, tail = safe(text[: _LONGEST // 2]), safe(text[-_LONGEST // 4 :])
        left = len(text) - _LONGEST // 2 - _LONGEST // 4
        return f"{head}{ELLIPSIS}({left:,} more characters){ELLIPSIS}{tail}"
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character == "\\":  # so that an escape cannot be mistaken for the name's own text
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns(text: str) -> int:
    """Columns the text takes on a terminal: wide characters take two, combining ones none.

    Example:
        >>> columns("abc"), columns("\u6f22")
        (3, 2)
    """
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )


def shorten(text: str, width: int) -> str:
    """The text cut in its middle to at most `width` columns; both ends of a name tell most.

    Example:
        >>> shorten("encoder.layer.0.attention.weight", 16) == "encoder." + ELLIPSIS + ".weight"
        True
    """
    if columns(text) <= width:
        return text
    if width <= 1:
        return ELLIPSIS[:width]
    tail = _fitting(text[::-1], (width - 1) // 2)[::-1]
    head = _fitting(text, width - 1 - columns(tail))
    return head + ELLIPSIS + tail


def shorten_name(text: str, width: int) -> str:
    """A dotted name or a path cut at its beginning to at most `width` columns: many begin alike,
    the end tells them apart. A tree's branches before it stay.

    Example:
        >>> shorten_name("encoder.layer.3.dense.bias", 13) == ELLIPSIS + "3.dense.bias"
        True
    """
    if columns(text) <= width:
        return text
    name = text.lstrip(_BRANCHES)
    branches = text[: len(text) - len(name)]
    room = width - len(branches)
    if room < _TELLING:
        return shorten(text, width)
    return branches + ELLIPSIS + _fitting(name[::-1], room - 1)[::-1]


def _fitting(text: str, width: int) -> str:
    """The longest beginning of at most `width` columns."""
    used = 0
    for i, character in enumerate(text):
        used += columns(character)
        if used > width:
            return text[:i]
    return text


def pad(text: str, width: int, align: Literal["left", "right"] = "left") -> str:
    """The text filled with spaces to `width` columns."""
    if text.isascii():
        return text.rjust(width) if align == "right" else text.ljust(width)
    gap = " " * max(0, width - columns(text))
    return gap + text if align == "right" else text + gap


def wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """The text cut at spaces to lines of `width` columns, all but the first indented. A word that
    is longer than a line is cut too: behind a dot or a slash where it has some.

    Example:
        >>> wrap("one two three", 9, indent="  ")
        ['one two', '  three']
        >>> wrap("see layer.0.attention.bias", 16)
        ['see', 'layer.0.', 'attention.bias']
    """
    return [plain(row) for row in fold((Span(text),), width, indent=indent)]


def fold(row: Line, width: int, *, indent: str = "") -> list[Line]:
    """The line cut as by `wrap`, each part in its style."""
    text = plain(row)
    if columns(text) <= width:
        return [row]
    pieces: list[tuple[int, int]] = []
    start = end = 0  # of the line that is being filled
    room = width
    for word in _WORD.finditer(text):
        begin, stop = word.span()
        if columns(text[start:stop]) > room and text[start:end].strip():
            pieces.append((start, end))
            start, room = begin, max(1, width - len(indent))
        while columns(text[start:stop]) > room:  # longer than a line
            begin = _cut(text, start, max(start, begin), room)
            pieces.append((start, begin))
            start, room = begin, max(1, width - len(indent))
        end = stop
    pieces.append((start, end))
    first, *rest = (_part(row, *piece) for piece in pieces)
    return [first, *((Span(indent), *part) if indent else part for part in rest)]


def _cut(text: str, start: int, begin: int, room: int) -> int:
    """Where the word at `begin` is cut, of a line that starts at `start`."""
    end = max(begin + 1, start + len(_fitting(text[start:], room)))
    behind = max(text.rfind(mark, begin, end) + 1 for mark in "./")
    return behind if 2 * (behind - begin) >= end - begin else end


def _part(row: Line, start: int, end: int) -> Line:
    """The characters from `start` to `end`."""
    spans, at = [], 0
    for text, style in row:
        piece = text[max(0, start - at) : max(0, end - at)]
        if piece:
            spans.append(Span(piece, style))
        at += len(text)
    return tuple(spans)
