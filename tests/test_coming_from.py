"""docs/coming_from.md: each row on both sides, and the table as it runs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator

import coming_from
import pytest
from coming_from import BEGIN, END, HEADER, PAGE, ROWS, Row, cells, made, outcome
from sharing_matrix import installed, jax_x64

MODULES = {"torch": "torch", "numpy": "numpy", "tensorflow": "tensorflow", "jax": "jax.numpy"}


def load(library: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not installed(library):
        pytest.skip(f"no {library}")
    importlib.import_module(MODULES[library])


@pytest.fixture(autouse=True)
def narrow_jax() -> Iterator[None]:
    """JAX as it comes: other tests switch x64 on."""
    with jax_x64(False):
        yield


def table() -> list[str]:
    text = PAGE.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].splitlines()


@pytest.mark.parametrize(
    ("row", "line"),
    [pytest.param(row, 2 + i, id=f"{row.library}-{i}") for i, row in enumerate(ROWS)],
)
def test_row(row: Row, line: int) -> None:
    load(row.library)
    for value in row.alike:
        theirs, ours = outcome(row.theirs, made(row, value)), outcome(row.ours, made(row, value))
        assert theirs.all is not None, (value, theirs.text)
        assert theirs == ours, value
    for value in row.unlike:
        theirs, ours = outcome(row.theirs, made(row, value)), outcome(row.ours, made(row, value))
        assert theirs != ours, value
    assert cells(row) == table()[line], "run python docs/made/coming_from.py"


def test_the_page_has_every_row_and_no_more() -> None:
    found = table()
    assert "".join(f"{line}\n" for line in found[:2]) == HEADER
    assert len(found) == 2 + len(ROWS)


def test_a_wrong_row_is_found() -> None:
    wrong = Row("numpy", "float32", "x.astype(np.int8)", 'tc.cast(x, "int16")', (1,))
    assert outcome(wrong.theirs, made(wrong, 1)) != outcome(wrong.ours, made(wrong, 1))
    assert coming_from.outcome("x.nothing", 1).all is None
