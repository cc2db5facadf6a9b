"""JSON documents: an envelope, and no literal that JSON does not have."""

from __future__ import annotations

import json
from math import inf, nan

import pytest

from tensorcast.report.document import SCHEMA, document, dump, finite


def test_the_envelope_comes_first() -> None:
    made = document("inspect", {"path": "x"}, version="1.2.3")
    assert list(made) == ["tensorcast", "path"]
    assert made["tensorcast"] == {"version": "1.2.3", "schema": SCHEMA, "command": "inspect"}


def test_numbers_that_json_lacks_are_strings() -> None:
    value = {"a": inf, "b": [-inf, (nan, 1.5)], "c": {"d": None, "e": 1 << 63}}
    assert finite(value) == {
        "a": "inf",
        "b": ["-inf", ["nan", 1.5]],
        "c": {"d": None, "e": 1 << 63},
    }


def refuse(literal: str) -> float:
    raise AssertionError(literal)


@pytest.mark.parametrize("width", [1, 50, 500])
def test_what_is_dumped_reads_back(width: int) -> None:
    value = {
        "tensors": [{"name": "x" * width, "shape": [1, 2], "empty": {}} for _ in range(5)],
        "none": [],
        "text": "\x1b[31m\u5c42\u202e\U0001f600",
        "inf": inf,
    }
    text = dump(value)
    assert text.isascii()
    assert text.isprintable() or set(text) - {"\n"} <= set(map(chr, range(32, 127)))
    assert json.loads(text, parse_constant=refuse) == finite(value)


def test_a_long_document_has_a_line_per_item() -> None:
    text = dump({"tensors": [{"name": "a" * 100}, {"name": "b" * 150}]})
    assert [line.strip()[:11] for line in text.splitlines()] == [
        "{",
        '"tensors": ',
        '{"name": "a',
        '{"name": "b',
        "]",
        "}",
    ]
