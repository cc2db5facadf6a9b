"""The casts of compiled code, read off torch's graphs: lines, names, bytes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import tensorcast as tc

torch = pytest.importorskip("torch", reason="torch is not installed")


def _line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(8, 8) for _ in range(2)])

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = torch.relu(block(x))
        return x


def test_parameters_cast_at_every_call_by_name() -> None:
    model = Model()

    def step(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    with torch.no_grad():
        t = tc.model.trace_graph(step, torch.ones(2, 8))
    names = {site.what.parameter: site for site in t.sites if site.what.parameter}
    assert set(names) == {f"blocks.{i}.{kind}" for i in range(2) for kind in ("weight", "bias")}
    weight = names["blocks.1.weight"]
    assert (weight.what.kind, weight.what.source, weight.what.target) == (
        "cast", "float32", "bfloat16",
    )  # fmt: skip
    assert (weight.n_bytes_read, weight.n_bytes_written) == (256, 128)
    assert weight.what.module.endswith("blocks.1")
    assert [f.rule for f in t.findings] == ["repeated-cast"]
    assert t.findings[0].n_bytes == 2 * (256 + 128 + 32 + 16)
    assert (t.n_graphs, t.breaks) == (1, ())


def test_what_the_compiler_fuses_costs_no_bytes() -> None:
    def fused(x: Any) -> Any:
        return (x * 2).to(torch.bfloat16).float() + 1

    t = tc.model.trace_graph(fused, torch.ones(4, 4))
    assert [(s.what.source, s.what.target) for s in t.sites] == [
        ("float32", "bfloat16"), ("bfloat16", "float32"),
    ]  # fmt: skip
    assert t.n_fused == 2
    assert all(s.n_bytes_read + s.n_bytes_written == 0 for s in t.sites)
    assert t.sites[1].n_returned == 1
    assert t.sites[1].through == "bfloat16"
    assert t.sites[0].what.place is not None
    assert t.sites[0].what.place.file == __file__
    assert t.sites[0].what.place.line == _line_of(fused, "bfloat16")


def test_a_cast_between_library_calls_is_a_pass_of_its_own() -> None:
    def apart(x: Any, w: Any) -> Any:
        return (x @ w).double() @ w.double()

    t = tc.model.trace_graph(apart, torch.ones(4, 8), torch.ones(8, 8))
    assert sum(s.n_bytes_written for s in t.of("cast")) == 4 * 8 * 8 + 8 * 8 * 8
    assert t.n_fused == 0


def test_the_backward_graph_is_read_and_leaves_no_gradient() -> None:
    model = Model()

    def loss(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x).float().sum()

    t = tc.model.trace_graph(loss, torch.ones(2, 8))
    phases = {site.what.phase for site in t.sites}
    assert phases == {"forward", "backward"}
    assert t.n_graphs == 2
    assert any(s.what.phase == "backward" and s.what.target == "float32" for s in t.sites)
    assert all(p.grad is None for p in model.parameters())
    assert not [f for f in t.findings if f.rule == "repeated-cast"]  # the weights change


def test_indices_promotions_and_breaks() -> None:
    table = torch.ones(10, 4)

    def lookup(i: Any, x: Any) -> Any:
        rows = table[i.long()]
        torch._dynamo.graph_break()
        return rows * x

    t = tc.model.trace_graph(
        lookup, torch.tensor([1, 2], dtype=torch.int32), torch.ones(2, 4).double()
    )
    casts, promotions = t.of("cast"), t.of("promotion")
    assert [(s.what.source, s.what.target, s.n_indexing) for s in casts] == [("int32", "int64", 1)]
    assert [(s.what.source, s.what.target) for s in promotions] == [("float32", "float64")]
    assert [f.rule for f in t.findings if f.rule == "new-float64"] == ["new-float64"]
    assert t.n_graphs == 2
    assert len(t.breaks) == 1
    assert str(t).splitlines()[-2].startswith("2 graphs; ")
    assert str(t).splitlines()[-1].startswith("a graph ends: ")
    assert t.to_dict()["n_graphs"] == 2


def test_compiled_code_may_be_given_and_stays() -> None:
    calls = 0

    def backend(module: Any, inputs: Any) -> Any:
        nonlocal calls
        calls += 1
        return module.forward

    model = Model()
    compiled = torch.compile(model, backend=backend)
    with torch.no_grad():
        compiled(torch.ones(2, 8))
        for _ in range(12):  # more than torch recompiles one code before it gives up
            assert tc.model.trace_graph(compiled, torch.ones(2, 8)).n_graphs == 1
        compiled(torch.ones(2, 8))
    assert calls == 1


def test_what_the_code_raises_comes_out() -> None:
    def bad(x: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        tc.model.trace_graph(bad, torch.ones(2))


def test_real_weights_compiled_under_autocast(minilm: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model = transformers.AutoModel.from_pretrained(minilm).eval()
    ids = torch.tensor([[101, 2023, 2003, 1037, 3231, 102]])

    def embed(ids: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state

    with torch.inference_mode():
        t = tc.model.trace_graph(embed, ids)
    names = {s.what.parameter for s in t.of("cast") if s.what.parameter.startswith("encoder.")}
    assert len(names) == 72
    written = sum(s.n_bytes_written for s in t.sites if s.what.parameter in names)
    assert written == sum(2 * p.numel() for n, p in model.named_parameters() if n in names)
    assert t.n_fused > 0
