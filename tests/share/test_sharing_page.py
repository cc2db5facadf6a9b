"""docs/matrix.md says what runs: each library to each, where both are installed."""

from __future__ import annotations

import importlib
import os
import re

import pytest
import sharing_page
from sharing_matrix import LIBRARIES, installed
from sharing_page import BEGIN, END, MODULES, PAGE, TARGETS, cells_of, rows_of, title_of, wide_jax

pytest.importorskip("torch", reason="no torch")


def sections() -> dict[str, list[str]]:
    """The page's tables: title -> lines."""
    text = PAGE.read_text()
    found: dict[str, list[str]] = {}
    title = ""
    for line in text[text.index(BEGIN) + len(BEGIN) : text.index(END)].splitlines():
        if line.startswith("## "):
            title = line
        elif line:
            found.setdefault(title, []).append(line)
    return found


def reasons() -> dict[str, int]:
    found = {}
    for line in sections()["## The reasons"]:
        match = re.fullmatch(r'(\d+)\. <a id="r(\d+)"></a>(.+)', line)
        assert match is not None, line
        assert match[1] == match[2]
        found[match[3]] = int(match[1])
    return found


def load(name: str) -> None:
    module = MODULES.get(name, name)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not installed(module):
        pytest.skip(f"no {module}")
    importlib.import_module("PIL.Image" if module == "PIL" else module)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_page_says_what_runs(library: str, target: str) -> None:
    load(library)
    load(target)
    known, page = reasons(), sections()

    def number(why: str) -> int:
        assert why in known, f"a new reason: {why}; run python docs/made/sharing_page.py"
        return known[why]

    with wide_jax():
        found = cells_of(library, target)
    assert found
    for section, names in found.items():
        written = [x for x in page[title_of(section)] if x.startswith(f"| {TARGETS[target]} |")]
        assert rows_of(section, names, target, number) == written, (
            f"{section} to {target}: run python docs/made/sharing_page.py"
        )


def test_no_table_is_left_over() -> None:
    titles = set(sections()) - {"## The reasons"}
    assert {sharing_page.title_of(section) for section in sharing_page.TITLES} <= titles
    assert len(titles) == len(sharing_page.TITLES) + 4  # the buffers, by their own names


def test_every_reason_is_used() -> None:
    text = PAGE.read_text()
    for number in reasons().values():
        assert f"[{number}](#r{number})" in text
