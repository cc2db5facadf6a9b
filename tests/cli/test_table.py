"""Columns stay aligned and within the width."""

from __future__ import annotations

import pytest

from tensorcast.words.table import Column, layout
from tensorcast.words.text import Span, columns, plain

HEADS = [
    Column("name", elastic=True),
    Column("first", drop=2),
    Column("second", drop=1),
    Column("bytes", "right"),
]
ROWS = [
    ["encoder.layer.0.attention.weight", "aaa", "bbbbbb", Span("1 B", "dim")],
    ["\u5c42", "a", "b", "1,000 B"],
]


def text(width: int | None) -> list[str]:
    return [plain(row) for row in layout(HEADS, ROWS, width=width)]


def test_as_wide_as_it_takes() -> None:
    assert text(None) == [
        "name                              first  second    bytes",
        "encoder.layer.0.attention.weight  aaa    bbbbbb      1 B",
        "\u5c42                                a      b       1,000 B",
    ]


def test_columns_go_before_names_are_shortened() -> None:
    assert text(50)[0].split() == ["name", "first", "bytes"]
    assert text(45)[0].split() == ["name", "bytes"]
    assert text(45)[1].startswith("encoder.layer.0.attention.weight")


@pytest.mark.parametrize("width", [22, 25, 30, 41, 60, 100])
def test_it_fits(width: int) -> None:
    lines = text(width)
    assert max(map(columns, lines)) <= width
    assert len({columns(line) for line in lines}) == 1


def test_a_column_without_content_goes() -> None:
    rows = layout([Column("a"), Column(""), Column("b")], [["1", "", "2"]], width=None)
    assert [plain(row) for row in rows] == ["a  b", "1  2"]


def test_no_spaces_at_the_end_of_a_line() -> None:
    rows = layout([Column("a"), Column("b")], [["1", ""], ["1", "22"]], width=None)
    assert [plain(row) for row in rows] == ["a  b", "1", "1  22"]


def test_without_rows() -> None:
    assert [plain(row) for row in layout([Column("a")], [], width=None)] == ["a"]
    assert layout([Column("")], [], width=None) == []


NAMES = [f"encoder.layer.{i}.attention.output.{n}" for i in (0, 1) for n in ("bias", "weight")]


def names(width: int) -> list[str]:
    heads = [Column("tensor", elastic=True, tall=True), Column("to"), Column("bytes", "right")]
    rows = [[name, "bfloat16", "1.54 kB"] for name in NAMES]
    return [plain(row) for row in layout(heads, rows, width=width)]


def test_a_name_keeps_its_end() -> None:
    for row, name in zip(names(50)[1:], NAMES, strict=True):
        shown = row.split()[0].removeprefix("\u2026")
        assert name.endswith(shown)
        assert len(shown) > 20


def test_names_that_could_not_be_told_apart_stand_on_lines_of_their_own() -> None:
    assert names(40)[:4] == [
        "tensor",
        "    to          bytes",
        NAMES[0],
        "    bfloat16  1.54 kB",
    ]


def test_the_branches_of_a_tree_stay() -> None:
    heads = [Column("tensor", elastic=True), Column("format")]
    rows = [["\u2502  \u2514\u2500 intermediate.dense.weight", "float32"]]
    assert [plain(row) for row in layout(heads, rows, width=30)][1] == (
        "\u2502  \u2514\u2500 \u2026e.dense.weight  float32"
    )


def test_a_text_with_long_words_goes_below_its_head() -> None:
    rows = [[Span("float16", "dim"), f"worst {NAMES[0]}"], ["bfloat16", "exact"]]
    found = layout([Column(""), Column("", wrap=True)], rows, width=42)
    assert [plain(row) for row in found] == [
        "float16",
        "    worst",
        f"    {NAMES[0]}",
        "bfloat16  exact",
    ]
