"""tensorcast formats: the table, one format, the page in docs, JSON."""

from __future__ import annotations

import json
import re

import pytest
from cli.program import Run
from conftest import ROOT

from tensorcast.formats import FORMATS
from tensorcast.report import format_table
from tensorcast.words.text import columns, plain


def test_the_table_has_a_line_per_format(tensorcast: Run) -> None:
    lines = tensorcast("formats").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(FORMATS)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_table_fits(width: int) -> None:
    assert max(columns(plain(row)) for row in format_table.table(width)) <= width


@pytest.mark.parametrize("name", FORMATS)
def test_detail(tensorcast: Run, name: str) -> None:
    row = FORMATS[name]
    text = "\n".join(plain(line) for line in format_table.detail(row))
    assert text.startswith(name)
    assert f"{row.max_code:#x}" in text
    for spelling in row.spellings.values():
        assert spelling in text


def test_one_format_by_any_spelling(tensorcast: Run) -> None:
    done = tensorcast("formats", "F8_E4M3")
    assert done.returncode == 0
    assert done.stdout.startswith("float8_e4m3fn  float of 8 bits\n")
    assert "| S | EEEE | MMM |" in done.stdout
    assert "448" in done.stdout
    assert "2^-9" in done.stdout


@pytest.mark.parametrize(
    ("name", "packing"),
    [
        ("int1", "8 to a byte"),
        ("uint4", "2 to a byte"),
        ("uint3", "8 to 3 bytes"),
        ("float6_e2m3fn", "4 to 3 bytes"),
    ],
)
def test_packing(tensorcast: Run, name: str, packing: str) -> None:
    out = tensorcast("formats", name).stdout
    assert re.search(rf"^packing +{packing} +first element in the lowest bits$", out, re.MULTILINE)
    assert f" of {FORMATS[name].bits} bit{'s' if FORMATS[name].bits > 1 else ''}\n" in out


def test_json(tensorcast: Run) -> None:
    document = json.loads(tensorcast("formats", "--json").stdout)
    rows = {row["name"]: row for row in document["formats"]}
    assert list(rows) == list(FORMATS)
    assert rows["uint64"]["max"] == (1 << 64) - 1
    assert rows["float8_e5m2"]["infinity_code"] == 0x7C
    assert rows["bfloat16"]["spellings"]["safetensors"] == "BF16"
    one = json.loads(tensorcast("formats", "half", "--json").stdout)["formats"]
    assert one == [rows["float16"]]


def test_the_page_in_docs_is_up_to_date(tensorcast: Run) -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    assert tensorcast("formats", "--markdown").stdout == page, (
        "run: tensorcast formats --markdown > docs/formats.md"
    )
