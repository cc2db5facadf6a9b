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
