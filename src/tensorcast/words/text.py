"""Lines of styled text, and names made safe to print.

A `Line` is a tuple of `Span`s; a `Span` is text and the name of a style. How a style looks (or
that it does not show at all) is decided where the line is printed, so the same lines serve a
terminal, a pipe and a file.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Style = Literal["", "title", "head", "dim", "name", "good", "warn", "bad"]

ELLIPSIS: Final = "\u2026"
_LONGEST: Final = 4000

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
    """The text cut at spaces to lines of `width` columns, all but the first indented.

    Example:
        >>> wrap("one two three", 9, indent="  ")
        ['one two', '  three']
    """
    if columns(text) <= width:
        return [text]
    import textwrap

    parts = textwrap.wrap(
        text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return parts or [text]
