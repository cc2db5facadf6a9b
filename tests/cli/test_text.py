"""Names made safe, widths, shortening."""

from __future__ import annotations

import pytest

from tensorcast.words.text import (
    ASCII_GLYPHS,
    ELLIPSIS,
    Span,
    columns,
    fold,
    pad,
    plain,
    safe,
    shorten,
    shorten_name,
    wrap,
)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("encoder.layer.0.weight", "encoder.layer.0.weight"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb\rc\td", "a\\x0ab\\x0dc\\x09d"),
        ("\x9b31m", "\\x9b31m"),  # the one-byte CSI
        ("\x7f", "\\x7f"),
        ("abc\u202etxt", "abc\\u202etxt"),  # right-to-left override
        ("a\u200bb\u2028c", "a\\u200bb\\u2028c"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),  # a file name that is not UTF-8
        ("\u5c42.\u00fc", "\u5c42.\u00fc"),
        ("back\\slash", "back\\slash"),
        ("back\\x1b\x1b", "back\\\\x1b\\x1b"),
    ],
)
def test_safe(name: str, printed: str) -> None:
    assert safe(name) == printed
    assert safe(name).isprintable()


def test_every_character_is_printable_afterwards() -> None:
    for code in (*range(0x3000), *range(0xD800, 0xE010), *range(0xFE00, 0x10000), 0x10FFFF):
        assert safe("x" + chr(code)).isprintable(), hex(code)


@pytest.mark.parametrize("width", range(12))
def test_shorten_keeps_to_the_width(width: int) -> None:
    for name in ("abcdefghijkl", "\u5c42\u5c42\u5c42\u5c42\u5c42\u5c42", "ab"):
        short = shorten(name, width)
        assert columns(short) <= width
        if columns(name) > width > 2:
            assert ELLIPSIS in short


def test_shorten_keeps_both_ends() -> None:
    assert shorten("encoder.layer.0.weight", 11) == "encod\u2026eight"


def test_pad_counts_columns_not_characters() -> None:
    assert pad("\u5c42", 4) == "\u5c42  "
    assert pad("x", 3, "right") == "  x"


def test_ascii_glyphs_keep_columns_aligned() -> None:
    for glyph, stand_in in ASCII_GLYPHS.items():
        assert columns(chr(glyph)) == 1
        assert isinstance(stand_in, str)
        assert len(stand_in) == 1
        assert stand_in.isascii()


@pytest.mark.parametrize("width", range(3, 40))
def test_wrapped_text_fits_and_loses_nothing(width: int) -> None:
    for text in (
        "one two  three",
        "  see /a/very/long/path/to.file and encoder.layer.3.attention.output.LayerNorm.bias",
        "\u5c42\u5c42\u5c42 \u5c42\u5c42 at 68.4 dB",
        "x" * 100,
    ):
        found = wrap(text, width)
        assert max(map(columns, found)) <= width
        assert "".join("".join(found).split()) == "".join(text.split())


def test_long_words_are_cut_behind_a_dot_and_numbers_keep_their_unit() -> None:
    assert wrap("worst layer.0.attention.bias at 68.4 dB", 18) == [
        "worst",
        "layer.0.attention.",
        "bias at 68.4 dB",
    ]
    assert wrap("the worst at 68.4 dB", 17) == ["the worst at", "68.4 dB"]


def test_folded_lines_keep_their_styles() -> None:
    row = (Span("error: ", "bad"), Span("there is no such file"))
    found = fold(row, 16, indent="  ")
    assert [plain(part) for part in found] == ["error: there is", "  no such file"]
    assert found[0][0] == Span("error: ", "bad")


@pytest.mark.parametrize("width", range(12))
def test_shorten_name_keeps_to_the_width(width: int) -> None:
    for name in (
        "abcdefghijkl",
        "\u5c42\u5c42\u5c42\u5c42\u5c42\u5c42",
        "\u2502  \u2514\u2500 a.bcdef",
    ):
        assert columns(shorten_name(name, width)) <= width
