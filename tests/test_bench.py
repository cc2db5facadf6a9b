"""The committed results: tables say what the JSON says."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest
from conftest import ROOT

from tensorcast import cast
from tensorcast.testing import assert_cast_close

RESULTS = sorted((ROOT / "bench" / "results").glob("*.json"))
RESULTS = [path for path in RESULTS if path.stem != "capability"]  # `tensorcast bench` wrote it


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_table_is_made_of_its_json(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    tables = importlib.import_module("bench.tables")
    result = json.loads(path.read_text())
    assert path.with_suffix(".md").read_text() == tables.markdown(result)
    assert {"machine", "versions", "commit", "command", "load_before", "load_after"} <= set(result)


def test_a_missed_bar_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    cast_tables = importlib.import_module("bench.cast_tables")

    def ratio(value: float) -> dict[str, float]:
        return {"median": value, "min": value - 0.5, "max": value + 0.5}

    def pair(source: str, target: str, value: float) -> dict[str, object]:
        against = {name: ratio(value) for name in ("torch", "numpy", "memcpy")}
        return {"source": source, "target": target, "n_elements": 64, "ratio": against}

    pairs = [
        pair("float8_e4m3fn", "float16", 25.0),
        pair("float16", "float8_e4m3fn", 14.0),
        pair("float32", "float16", 0.89),
    ]
    hot = {
        "what": "float32 -> float16",
        "against": "memcpy",
        "bar": 1.2,
        "ratio": {"memcpy": ratio(1.25)},
        "seconds": {"tensorcast": ratio(1e-3), "memcpy": ratio(1.25e-3)},
        "stores": "non-temporal",
    }
    result = {
        "n_threads": 1,
        "pages": "huge",
        "quick": False,
        "clock": "wall",
        "seconds": {"pairs_64m": 1.0, "hot": 1.0, "cuda": 0.0},
        "pairs_64m": pairs,
        "hot": [hot],
        "cuda": [{"skipped": "no NVIDIA GPU"}],
    }
    text = cast_tables.cast_markdown(result, lambda _: "")
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    assert (
        "0.89 | 0.9 | **no** | float32 -> float16; 1 of 3 under"
        in (lines["every pair, large, times torch's copy_: least"])
    )
    assert "25.00 | 20 | yes | float8_e4m3fn -> float16" in text
    assert "14.00 | 15 | **no** | float16 -> float8_e4m3fn" in text
    assert "6.78 | 2 | yes" in text  # (25 x 14 x 0.89) ^ (1 / 3)
    assert "against memcpy | 1.25 | 1.2 | yes" in text
    assert "Skipped: no NVIDIA GPU" in text


def test_the_careful_torch_version_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT))
    careful = importlib.import_module("bench.careful")
    values = [1.0, -0.0, 3e38, -1e5, 464.0, 465.0, 65519.0, 65520.0, 1e-9, 1e-40, 0.1]
    x = torch.tensor([*values, float("inf"), float("nan"), -float("inf")])
    for dtype in (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        ours, loss = cast(x, dtype, overflow="saturate", report=True)
        theirs, found = careful.cast_and_measure(x, dtype)
        assert_cast_close(ours, theirs)
        for name, value in found.items():
            ours_too = getattr(loss, name)
            assert ours_too == value or math.isclose(ours_too, value, rel_tol=1e-12), (dtype, name)
