"""Profiles of models: sizes, values, verdicts, findings."""

from __future__ import annotations

import json
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402
from tensorcast.model.value_ranges import Values  # noqa: E402


def tied() -> Any:
    model = torch.nn.Sequential(torch.nn.Embedding(10, 4), torch.nn.Linear(4, 10, bias=False))
    model[1].weight = model[0].weight
    return model


def test_weights_alone() -> None:
    model = torch.nn.Linear(8, 4)
    p = tc.profile(model)
    assert [(t.name, t.role, t.n_bytes) for t in p.tensors] == [
        ("weight", "parameter", 128),
        ("bias", "parameter", 16),
    ]
    values = p.tensors[0].values
    assert values == Values.of_numbers(model.weight.detach().flatten().tolist())
    assert p.n_bytes_of() == 144


def test_tied_weights_are_counted_once() -> None:
    p = tc.profile(tied())
    assert p.n_bytes_of("parameter") == 160
    assert [(t.name, t.n_bytes, t.shared_with) for t in p.tensors] == [
        ("0.weight", 160, ""),
        ("1.weight", 0, "0.weight"),
    ]


def test_json_goes_through() -> None:
    model = torch.nn.Linear(4, 4)
    with torch.no_grad():
        model.weight[0, 0] = float("nan")
        model.bias.zero_()
    found = json.loads(json.dumps(tc.profile(model).to_dict(), allow_nan=False))
    assert found["schema"] == 1
    assert found["tensors"][0]["values"]["n_nan"] == 1
    assert found["findings"][0]["rule"] == "nan"
