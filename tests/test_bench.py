"""The committed results: tables say what the JSON says."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from conftest import ROOT

RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_table_is_made_of_its_json(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    tables = importlib.import_module("bench.tables")
    result = json.loads(path.read_text())
    assert path.with_suffix(".md").read_text() == tables.markdown(result)
    assert {"machine", "versions", "commit", "command", "load_before", "load_after"} <= set(result)
