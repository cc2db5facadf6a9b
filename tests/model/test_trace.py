"""Traces of real code with faults planted in it: each is found at its line, and clean code has
none."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402
from tensorcast.model.trace import recorder  # noqa: E402
from tensorcast.model.watch.places import Place  # noqa: E402


def line_of(mark: str) -> int:
    """The number of the line of this file that ends with a mark."""
    lines = Path(__file__).read_text().splitlines()
    (found,) = (i for i, text in enumerate(lines, 1) if text.endswith(f"# {mark}"))
    return found


class Faulty(torch.nn.Module):
    """A layer with one fault of each kind."""

    def __init__(self, *faults: str) -> None:
        super().__init__()
        self.faults = faults
        self.embedding = torch.nn.Embedding(10, 16)
        self.linear = torch.nn.Linear(16, 16)
        self.register_buffer("scale", torch.ones(16, dtype=torch.float64))

    def forward(self, ids: Any) -> Any:
        if "index" in self.faults:
            ids = ids.long()  # FAULT index
        x = self.linear(self.embedding(ids))
        if "cpu" in self.faults:
            x = x.cpu()  # FAULT cpu
        if "float64" in self.faults:
            x = (x * self.scale).to(torch.float32)  # FAULT float64
        if "round-trip" in self.faults:
            x = x.half()
            x = x.float().half()  # FAULT round-trip
            x = x * 2
        if "overflow" in self.faults:
            x = (x.float() * 1e8).half()  # FAULT overflow
            x = x * 1
        if "values" in self.faults:
            x.detach().float().numpy()  # FAULT values
        return x.float().sum()


EXPECTED = {
    "index": "index-cast",
    "cpu": "transfer",
    "float64": "new-float64",
    "round-trip": "round-trip",
    "overflow": "overflow",
    "values": "synchronisation",
}
IDS = torch.arange(5, dtype=torch.int32)


def eager(model: Any) -> None:
    model(IDS)


def training(model: Any) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(2):
        model(IDS).backward()
        optimizer.step()
        optimizer.zero_grad()


def inference(model: Any) -> None:
    with torch.inference_mode():
        model(IDS)


def under_autocast(model: Any) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(IDS)


RUNS = (eager, training, inference, under_autocast)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
@pytest.mark.parametrize("fault", EXPECTED)
def test_a_planted_fault_is_found_at_its_line(fault: str, run: Callable[[Any], None]) -> None:
    model = Faulty(fault)
    with tc.trace(model) as t:
        run(model)
    found = {f.rule: f for f in t.findings}
    assert EXPECTED[fault] in found, str(t)
    finding = found[EXPECTED[fault]]
    assert finding.where == Place(__file__, line_of(f"FAULT {fault}"), "Faulty.forward")
    assert finding.module == "Faulty"
    assert {f.where.line for f in t.findings if f.where} == {finding.where.line}, str(t)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_nothing_is_found_in_clean_code(run: Callable[[Any], None]) -> None:
    model = Faulty()
    with tc.trace() as t:
        run(model)
    assert t.findings == (), str(t)
    assert str(t).startswith("no findings")


def test_casts_of_parameters_under_autocast_are_found_by_name() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x = torch.ones(3, 8)
    with tc.trace(model) as t, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for _ in range(3):
            model(x)
    (finding,) = (f for f in t.findings if f.parameter)
    assert set(finding.parameter.split(", ")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert finding.rule == "repeated-cast"
    assert finding.count == 8  # the first time is no repetition
    # each: read float32, write bfloat16, twice too often
    assert finding.n_bytes == 2 * sum(p.numel() for p in model.parameters()) * 6


def test_a_changed_parameter_is_no_repetition() -> None:
    weight = torch.ones(8)
    with tc.trace() as t:
        for _ in range(3):
            weight.half()
            weight += 1
    assert t.findings == ()
    with tc.trace() as t:
        for _ in range(3):
            weight.half()
    assert [(f.rule, f.count) for f in t.findings] == [("repeated-cast", 2)]


def test_a_gradient_scaled_out_of_range_is_found_in_the_backward_pass() -> None:
    x = torch.ones(4, dtype=torch.float16, requires_grad=True)
    with tc.trace() as t:
        y = x.float()
        (y * 1e6).sum().backward()
    (site,) = (site for site in t.sites if site.what.phase == "backward")
    assert (site.what.source, site.what.target) == ("float32", "float16")
    assert site.what.place is not None
    assert site.what.place.text == "y = x.float()"  # where the cast stands whose backward it is
    assert [f.rule for f in t.findings] == ["overflow"]


class Loads(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(np.full(10, float(index))).float()  # FAULT loader


def test_the_workers_of_a_loader_are_seen() -> None:
    loader = torch.utils.data.DataLoader(
        Loads(), batch_size=2, num_workers=2, multiprocessing_context="fork"
    )
    with tc.trace() as t:
        batches = [batch.shape for batch in loader]
    assert batches == [(2, 10)] * 3
    (finding,) = t.findings
    assert (finding.rule, finding.count) == ("built-wide", 6)
    assert finding.where is not None
    assert finding.where.line == line_of("FAULT loader")
    assert any(site.what.worker for site in t.sites)
    assert not os.path.exists(t._spool)


def test_what_was_seen_is_kept_when_the_code_raises() -> None:
    t = tc.trace()
    with pytest.raises(ZeroDivisionError), t:
        torch.ones(3).half().reshape(1 // 0)
    assert [site.what.kind for site in t.sites] == ["cast"]
    torch.ones(3).half()  # and nothing after
    assert t.sites[0].count == 1
    with pytest.raises(RuntimeError, match="records one block"), t:
        pass


def test_an_error_of_the_trace_is_no_error_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorcast.model.trace import recorder

    def broken(tensor: Any) -> int:
        raise LookupError("on purpose")

    monkeypatch.setattr(recorder, "_n_bytes", broken)
    with tc.trace() as t:
        assert torch.ones(3).half().dtype is torch.float16
        assert torch.ones(3).tolist() == [1.0, 1.0, 1.0]
        torch.ones(3, dtype=torch.float64)
    assert t.failures == ("LookupError: on purpose (3 times)",)
    assert "not looked at: LookupError: on purpose" in str(t)
    assert t.to_dict()["failures"] == list(t.failures)


def test_what_is_no_model_is_refused() -> None:
    for block in (tc.trace(5), tc.model.forbid(model=5)):
        with pytest.raises(
            tc.errors.CastError, match=r"model is of type int, not a torch\.nn\.Module"
        ):
            block.__enter__()


def test_long_traces_keep_an_even_sample_of_their_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_TIMELINE", 200)
    x = torch.ones(2)
    with tc.trace(values=False) as t:
        for _ in range(500):
            x.half()  # two lines in turns: every second event is the same line's
            x.double()
        for _ in range(1000):
            x.bfloat16()  # and what comes late is kept as well
    assert [site.count for site in t.sites] == [500, 500, 1000]
    assert len(t.timeline) == 200
    assert list(t.timeline) == sorted(t.timeline)
    of = [sum(index == i for _, _, index in t.timeline) for i in range(3)]
    assert 30 < of[0] < 70, of
    assert 30 < of[1] < 70, of
    assert 75 < of[2] < 125, of


def test_long_traces_forget_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_MAX_KNOWN", 8)
    monkeypatch.setattr(recorder, "_MAX_FORWARD", 8)
    kept = [torch.ones(2) for _ in range(20)]
    with tc.trace() as t:
        for _ in range(2):
            for x in kept:
                x.half()  # its result goes at once; the source stays
        for _ in range(50):
            torch.ones(2, requires_grad=True).half().float()
        seen = t._recorder
    assert sum(site.n_repeated for site in t.sites) == 20
    assert len(seen._made) <= 16
    assert len(seen._forward) <= 9


def test_every_kind_of_event() -> None:
    x = torch.ones(4)
    double = torch.ones(4, dtype=torch.float64)
    with tc.trace() as t:
        x.to(torch.int32)
        x.copy_(double)
        x.half() + x
        torch.cat([x, double])
        x.tolist()
        x.sum().item()
        torch.zeros(3, dtype=torch.float64)
        x.to("meta")
    seen = [(s.what.kind, s.what.op, s.what.source, s.what.target, s.count) for s in t.sites]
    assert seen == [
        ("cast", "aten::_to_copy", "float32", "int32", 1),
        ("cast", "aten::copy_", "float64", "float32", 1),
        ("cast", "aten::_to_copy", "float32", "float16", 1),
        ("promotion", "aten::add.Tensor", "float16", "float32", 1),
        ("promotion", "aten::cat", "float32", "float64", 1),
        ("synchronisation", "Tensor.tolist", "float32", "list", 1),
        ("synchronisation", "Tensor.item", "float32", "float", 1),
        ("float64", "aten::zeros", "float64", "float64", 1),
        ("transfer", "aten::_to_copy", "float32", "float32", 1),
    ]
    assert [s.n_bytes_written for s in t.sites[:4]] == [16, 16, 8, 16]
    json.dumps(t.to_dict())
    assert t.timeline[0][2] == 0
    assert len(t.timeline) == len(t.sites)


def test_compiled_code_is_seen_operation_by_operation() -> None:
    def twice(x: Any) -> Any:
        return x.half().float() + 1

    compiled = torch.compile(twice, backend="aot_eager")
    x = torch.ones(3)
    compiled(x)
    with tc.trace() as t:
        compiled(x)
    assert [f.rule for f in t.findings] == ["round-trip"]


def test_quantized_and_sparse_tensors_do_not_stop_a_trace() -> None:
    with tc.trace() as t:
        torch.eye(3).to_sparse().to(torch.float64)
        torch.ones(3).view(1, 3).expand(4, 3).half()
    assert [s.what.kind for s in t.sites if s.what.kind == "cast"]


def test_forbidding() -> None:
    model = Faulty("float64")
    with pytest.raises(tc.errors.ForbiddenError) as caught, tc.model.forbid("float64", model=model):
        model(IDS)
    assert caught.value.what.place == Place(__file__, line_of("FAULT float64"), "Faulty.forward")
    assert "promotion float32 -> float64 [5, 16] at" in str(caught.value)
    with tc.model.forbid("transfer", "synchronisation"):
        Faulty("float64", "index")(IDS)
    with pytest.raises(tc.errors.ForbiddenError, match="synchronisation"), tc.model.forbid():
        torch.ones(3).tolist()
    with (
        pytest.raises(ValueError, match="'casts' is not one of cast, promotion"),
        tc.model.forbid("casts"),
    ):
        pass


def test_the_fixture(pytester_like: Callable[[str], str]) -> None:
    out = pytester_like(
        """
        import torch
        from tensorcast.testing.fixtures import no_hidden_casts

        def test_clean(no_hidden_casts):
            torch.ones(3) + 1

        def test_faulty(no_hidden_casts):
            torch.ones(3).half().float()
        """
    )
    assert "2 passed, 1 error" in out  # the faulty test itself runs through
    assert "float32 -> float16 -> float32 with nothing in between" in out


@pytest.fixture
def pytester_like(tmp_path: Path) -> Callable[[str], str]:
    """Runs a test file in a process of its own and gives what it printed."""
    import subprocess
    import sys

    def run(text: str) -> str:
        (tmp_path / "test_it.py").write_text(inspect.cleandoc(text))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    return run


def test_real_weights_under_autocast(minilm: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModel.from_pretrained(minilm, local_files_only=True).eval()
    ids = torch.randint(0, 30000, (1, 8), generator=torch.Generator().manual_seed(0))
    with tc.trace(model) as t, torch.inference_mode():
        model(ids)
    assert t.findings == (), str(t)
    with tc.trace(model) as t, torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        model(ids)
        model(ids)
    (finding,) = (f for f in t.findings if f.parameter)
    encoder = [name for name in finding.parameter.split(", ") if name.startswith("encoder.")]
    assert len(encoder) == 72
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    assert sum(sizes[name] for name in encoder) * 6 == 63_825_408  # the 63.8 MB of one forward
    assert finding.n_bytes == sum(sizes[name] for name in finding.parameter.split(", ")) * 6
