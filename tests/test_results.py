"""What a result says of itself: `repr` is a line, `str` a few lines, a notebook gets tables of one
style."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from cli.program import float32, write_safetensors

import tensorcast as tc
from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.formats import lookup

N = 200


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Conversions of so many tensors that a list of them would be long."""
    place = tmp_path_factory.mktemp("results")
    tensors = {f"layer.{i}.<b>.weight": float32(1.0, 2.0, 3.1) for i in range(N)}
    source = open_checkpoint(write_safetensors(place / "a.safetensors", tensors))
    job = prepare(source, place / "b.safetensors", lookup("bfloat16"))
    result = run(job, report=True)
    found = tc.diff(source, place / "b.safetensors")
    return {"checkpoint": source, "job": job, "result": result, "comparison": found}


@pytest.mark.parametrize("name", ["checkpoint", "job", "result", "comparison"])
def test_of_checkpoints(results: dict[str, Any], name: str) -> None:
    found = results[name]
    assert len(repr(found)) < 300
    assert "\n" not in repr(found)
    text = str(found)
    assert len(text) < 2000
    assert len(text.splitlines()) < 20
    html = found._repr_html_()
    assert len(html) < 10_000
    assert "<b>.weight" not in html


def test_the_words_of_a_conversion(results: dict[str, Any]) -> None:
    text = str(results["result"])
    assert "converted to bfloat16" in text
    assert str(results["result"].job.destination) in text
    assert f"{N} tensors, fits" in text
    assert f"{N} tensors" in repr(results["job"])
    assert f"{N} of {N} tensors differ" in repr(results["comparison"])
    assert "layer.0.<b>.weight" in str(results["comparison"])
    assert repr(results["checkpoint"].tensors[0]) == (
        "<TensorInfo: layer.0.<b>.weight, float32, [3], 12 B>"
    )


def test_of_a_cast() -> None:
    _, loss = tc.cast(np.array([1.0, 0.1], np.float32), "float16", report=True)
    assert repr(loss).startswith("<Loss: float32 -> float16, 2 elements, 0 overflow, 1 inexact")
    assert repr(lookup("half")) == "Format('float16')"
    assert len(repr(tc.explain(np.ones(3), to="torch"))) < 200


def test_of_a_model_and_a_trace() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    model = torch.nn.Sequential(*[torch.nn.Linear(8, 8) for _ in range(50)])
    profile = tc.profile(model, torch.ones(1, 8))
    _, losses = tc.cast_(torch.nn.ModuleList(model), "bfloat16", report=True)
    assert len(losses) == 100
    assert repr(losses).startswith("Losses({'0.weight': <Loss: float32 -> bfloat16, 64 elements")
    assert ", and 97 more}" in repr(losses)
    model.float()
    assert repr(profile).startswith("<Profile: Sequential, run once")
    assert len(repr(profile)) < 200
    assert max(len(repr(tensor)) for tensor in profile.tensors) < 200
    traced = tc.trace()
    assert repr(traced) == "<Trace: nothing recorded>"
    with traced:
        torch.ones(1000).half().float()
    assert repr(traced).startswith("<Trace: 1 finding, ")
    finding = traced.findings[0]
    assert str(finding).splitlines()[0] == "float32 -> float16 -> float32 with nothing in between"
    assert "instead" in str(finding)
    assert len(repr(finding)) < 300
    assert len(repr(traced.sites[0])) < 300


def test_notebooks_have_one_style(results: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with tc.trace() as traced:
        torch.ones(1000).half().float()
    _, loss = tc.cast(np.array([1.0, 0.1], np.float32), "float16", report=True)
    shown = [loss, traced, tc.profile(torch.nn.Linear(4, 4)), *results.values()]
    styles = {re.search(r'<table style="([^"]*)"', one._repr_html_()) for one in shown}
    assert None not in styles
    assert len({found[1] for found in styles if found}) == 1
    for one in shown:
        assert "<style" not in one._repr_html_()
        assert not re.search(r"[^-]color:(?!inherit)", one._repr_html_())  # the page's own


@pytest.mark.parametrize("width", [60, 80, 120])
def test_pages_of_a_model_fit_a_terminal(width: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tensorcast.cli.terminal import Screen, draw
    from tensorcast.model.profile.wording import lines
    from tensorcast.report import tracing
    from tensorcast.words.text import columns

    layers = {f"a_rather_long_name_of_layer_{i}": torch.nn.Linear(64, 64) for i in range(3)}
    model = torch.nn.Sequential(torch.nn.ModuleDict(layers), torch.nn.Identity())
    state = {name: x.detach() * 1e6 for name, x in model.state_dict().items()}
    with tc.trace() as traced:
        torch.ones(1000).half().float()
    screen = Screen(is_terminal=True, width=width, color=False, unicode=True)
    for rows in (lines(tc.profile(state), width), tracing.lines(traced, width)):
        text = draw(rows, screen)
        assert max(map(columns, text.splitlines())) <= width, text
        assert "layer_2" in text or "half" in text
