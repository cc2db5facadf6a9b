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


class Two(torch.nn.Module):
    """Two layers, the second's output scaled."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.first = torch.nn.Linear(16, 64)
        self.act = torch.nn.ReLU()
        self.second = torch.nn.Linear(64, 16)
        self.factor = factor

    def forward(self, x: Any, *, twice: bool = False) -> Any:
        x = self.act(self.first(x)) * self.factor
        y = self.second(x)  # CALL
        if twice:
            y = self.second(x)
        return {"out": y, "hidden": x}


def by_name(p: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in p.tensors}


def test_outputs_of_modules() -> None:
    model, x = Two(), torch.randn(5, 16)
    with torch.no_grad():
        expected = model(x, twice=True)
        p = tc.profile(model, x, twice=True)
    found = by_name(p)
    assert [t.name for t in p.tensors if t.role == "activation"] == [
        "first", "act", "second", "Two['out']", "Two['hidden']",
    ]  # fmt: skip
    assert found["second"].count == 2
    out = Values.of_numbers(expected["out"].flatten().tolist())
    assert found["second"].values == out.merge(out)
    assert found["Two['out']"].values is None
    assert found["Two['out']"].shared_with == "second"
    assert found["second"].place.text.endswith("# CALL")
    assert found["second"].losses["bfloat16"].n_elements == 2 * 5 * 16
    assert found["input0"].role == "input"


def test_the_peak_is_what_is_alive() -> None:
    model, x = Two(), torch.randn(5, 16)
    with torch.no_grad():
        p = tc.profile(model, x)
    # the scaled hidden, and relu's or the product's source beside it
    assert p.peak.n_bytes == 2 * 5 * 64 * 4
    assert p.n_bytes_of("activation") == p.peak.n_bytes
    assert p.peak.saved == 0
    assert p.peak.after == 5 * (64 + 16) * 4
    p = tc.profile(model, x)
    # relu's result is kept for its backward; the product is the second's input
    assert p.peak.saved == 2 * 5 * 64 * 4
    assert p.with_grad


def test_an_overflowing_activation_is_named() -> None:
    p = tc.profile(Two(1e8), torch.ones(5, 16))
    finding = p.findings[0]
    assert (finding.rule, finding.module) == ("overflow", "second")
    assert finding.what.startswith("float16: second's output reaches ")
    assert finding.instead.startswith("bfloat16 holds it")
    assert finding.where.text.endswith("# CALL")
    (sentence,) = (
        c.sentence for c in p.candidates if (c.of, c.total.target) == ("activations", "float16")
    )
    assert sentence.endswith("overflows; bfloat16 holds it")


def test_what_was_seen_before_an_error_is_kept() -> None:
    model = Two()
    model.second = torch.nn.Linear(63, 16)
    p = tc.profile(model, torch.ones(5, 16))
    assert isinstance(p.error, RuntimeError)
    assert p.findings[0].rule == "raised"
    assert p.findings[0].module == "second"
    assert [t.name for t in p.tensors if t.role == "activation"] == ["first", "act"]
    assert not model.second._forward_hooks
    assert not model.second._forward_pre_hooks
