"""Profiles of models: sizes, values, verdicts, findings."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402
from tensorcast.model.profile.value_ranges import Values  # noqa: E402


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


def test_gradients_and_optimizer_state() -> None:
    model, x = Two(), torch.randn(5, 16)
    optimizer = torch.optim.Adam(model.parameters())
    p = tc.profile(model, x, optimizer=optimizer)
    assert p.notes == ("the optimizer has no state yet: it is made in the first step",)
    assert p.n_bytes_of("gradient", "optimizer") == 0
    model(x)["out"].sum().backward()
    optimizer.step()
    p = tc.profile(model, x, optimizer=optimizer)
    weights = p.n_bytes_of("parameter")
    assert p.n_bytes_of("gradient") == weights
    assert {c.of for c in p.candidates} == {"weights", "gradients", "activations"}
    assert "What if I cast the gradients?" in str(p)
    assert p.n_bytes_of("optimizer") == 2 * weights + 4 * 4  # two moments, and a step for each
    found = by_name(p)
    assert found["first.weight.exp_avg"].module == "first"
    assert {t.role for t in p.tensors if t.name == "first.weight"} == {"parameter", "gradient"}


def test_dicts_dataclasses_and_keywords_as_inputs() -> None:
    class Takes(torch.nn.Module):
        def forward(self, batch: Any, *, scale: Any) -> Any:
            return [batch["x"] * scale["by"][0], {"y": batch["x"]}]

    p = tc.profile(Takes(), {"x": torch.ones(3), "name": "n"}, scale={"by": [torch.ones(1)]})
    names = [(t.name, t.role) for t in p.tensors]
    assert names == [
        ("input0['x']", "input"), ("scale['by'][0]", "input"),
        ("Takes[0]", "activation"), ("Takes[1]['y']", "activation"),
    ]  # fmt: skip
    assert p.error is None


def test_hooks_of_the_models_own_run_and_stay() -> None:
    model, seen = Two(), []
    handle = model.first.register_forward_hook(lambda module, inputs, output: output * 0 + 3)
    model.second.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs)))
    p = tc.profile(model, torch.randn(5, 16))
    assert by_name(p)["first"].values.amax == 3.0
    assert seen == [1]
    assert list(model.first._forward_hooks) == [handle.id]
    assert len(model.second._forward_pre_hooks) == 1


def test_what_is_not_understood_is_counted_and_named() -> None:
    x = torch.randn(4, 8)
    data = {
        "quantized": torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        "sparse": torch.diag(torch.ones(8)).to_sparse(),
        "rows": torch.diag(torch.ones(8)).to_sparse_csr(),
        "nested": torch.nested.nested_tensor([x.clone(), x[:2].clone()]),
        "indices": torch.arange(4),
        "number": 3,
    }
    p = tc.profile(data)
    found = by_name(p)
    assert found["quantized"].n_bytes == 32
    assert found["quantized"].format == "qint8"
    assert found["quantized"].note == "not understood: quantized, torch.per_tensor_affine"
    assert found["sparse"].n_bytes == 8 * 4 + 8 * 16
    assert found["sparse"].values.n_values == 8
    assert found["rows"].n_bytes == 8 * 4 + 8 * 8 + 9 * 8
    assert found["nested"].n_bytes == 48 * 4
    assert found["indices"].values.max == 3
    assert any(note.endswith("quantized") for note in p.notes)
    assert "number" not in found


def test_weights_in_torchs_own_objects_are_counted() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 4))
    with pytest.warns(DeprecationWarning, match="torch"):
        model = torch.ao.quantization.quantize_dynamic(model, dtype=torch.qint8)
    p = tc.profile(model, torch.ones(2, 8))
    assert p.n_bytes_of("parameter") == 4 * 8 + 4 * 4
    assert p.error is None


def test_lazy_modules() -> None:
    model = torch.nn.LazyLinear(4)
    assert tc.profile(model).notes == (
        "has no shape before the model first runs: weight and 1 more",
    )
    p = tc.profile(model, torch.ones(2, 8))
    assert p.n_bytes_of("parameter") == 4 * (8 * 4 + 4)
    assert p.peak.n_bytes == 2 * 4 * 4


def test_a_slice_keeps_its_storage() -> None:
    whole = torch.ones(1000, 1000)
    p = tc.profile({"a": whole[:2], "b": whole[2:4], "c": whole[1:3]})
    assert p.n_bytes_of() == 4_000_000
    (finding,) = p.findings
    assert (finding.rule, finding.what) == ("kept", "a of 8.00 kB keeps 3.99 MB alive")
    assert by_name(p)["c"].shared_with == "a"


@pytest.mark.parametrize("way", ["scripted", "compiled"])
def test_models_that_torch_runs_by_itself(way: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 2))
    ran: Any = (
        torch.jit.script(model) if way == "scripted" else torch.compile(model, backend="eager")
    )
    with torch.no_grad():
        p = tc.profile(ran, torch.ones(4, 8))
    assert p.error is None
    assert p.n_bytes_of("parameter") == 4 * (8 * 8 + 8 + 8 * 2 + 2)
    assert p.peak.n_bytes == 4 * (4 * 8 + 4 * 2)


def test_parameters_that_nothing_reads() -> None:
    model = Two()
    model.idle = torch.nn.Linear(600, 600)
    p = tc.profile(model, torch.ones(5, 16))
    (finding,) = (f for f in p.findings if f.rule == "unread")
    assert finding.parameter == "idle.weight, idle.bias"
    assert not [f for f in tc.profile(model).findings if f.rule == "unread"]


def test_float64_is_found_once() -> None:
    p = tc.profile(torch.nn.Linear(8, 8).double(), torch.ones(2, 8, dtype=torch.float64))
    assert [(f.rule, f.what) for f in p.findings] == [
        ("float64", "2 weights of 576 B are float64, first weight"),
        ("float64", "Linear's output is float64"),
    ]


def test_nan_is_told_where_it_begins() -> None:
    class Divides(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x / (x - x)

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), Divides(), torch.nn.Linear(4, 4))
    with torch.no_grad():
        p = tc.profile(model, torch.ones(2, 4))
    (finding,) = p.findings
    assert (finding.rule, finding.module) == ("infinite", "1")
    (finding,) = tc.profile(model[0], torch.tensor([[1.0, 2.0, 3.0, float("nan")]])).findings
    assert finding.what == "1 of 4 values of input0 is NaN"
    model.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
    assert not tc.profile(model).findings


def test_arguments_that_do_not_fit() -> None:
    class Takes(torch.nn.Module):
        def forward(self, x: Any, optimizer: Any = None) -> Any:
            return x if optimizer is None else x * 2

    adam = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    with pytest.raises(tc.errors.CastError, match="optimizer is a parameter of Takes"):
        tc.profile(Takes(), torch.ones(2), optimizer=adam)
    assert tc.profile(Takes(), torch.ones(2), "mine", optimizer=adam).error is None
    with pytest.raises(tc.errors.CastError, match=r"of type str, not a torch.optim.Optimizer"):
        tc.profile(Two(), torch.ones(2, 16), optimizer="adam")
    with pytest.raises(tc.errors.CastError, match="model is of type int; pass a"):
        tc.profile(3)
    with pytest.raises(tc.errors.CastError, match="the class Linear; make one of it"):
        tc.profile(torch.nn.Linear)
    with pytest.raises(tc.errors.CastError, match="of type dict, which has no forward"):
        tc.profile({}, torch.ones(2))
    with pytest.raises(tc.errors.FormatError):
        tc.profile(Two(), candidates=["bflot16"])


def test_interruptions_come_out() -> None:
    class Stops(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise KeyboardInterrupt

    model = Stops()
    with pytest.raises(KeyboardInterrupt):
        tc.profile(model, torch.ones(1))
    assert not model._forward_hooks


def test_a_frame_of_a_failed_forward_keeps_no_memory() -> None:
    import weakref

    kept: list[Any] = []

    class Fails(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            y = x * 2
            kept.append(weakref.ref(y))
            raise ValueError("no")

    p = tc.profile(Fails(), torch.ones(1))
    assert p.error is not None
    assert kept[0]() is None
    assert p.findings[0].what == "the forward raised ValueError: no"
    assert p.findings[0].where.text == 'raise ValueError("no")'


def test_int8_by_row() -> None:
    x = torch.randn(300, 1000) * torch.logspace(-3, 3, 300)[:, None]
    loss = by_name(tc.profile({"w": x}))["w"].losses["int8 (a scale per row)"]
    scale = x.double().abs().amax(1, keepdim=True) / 127
    error = ((x.double() / scale).round() * scale - x.double()).square().sum()
    assert loss.sum_squared_error == pytest.approx(float(error), rel=1e-3)
    assert loss.sum_squared == pytest.approx(float(x.double().square().sum()), rel=1e-5)
    assert loss.sqnr_db > 40
    missing = x.clone()
    missing[0, 0], missing[1, 1] = float("nan"), float("inf")
    loss = by_name(tc.profile({"w": missing}))["w"].losses["int8 (a scale per row)"]
    assert (loss.n_nan_lost, loss.n_overflow) == (1, 1)
    zeros = by_name(tc.profile({"w": torch.zeros(2, 3)}))["w"].losses["int8 (a scale per row)"]
    assert (zeros.n_inexact, zeros.n_zero, zeros.n_non_zero, zeros.collapses) == (0, 6, 0, False)


def test_a_profile_says_of_int8_what_the_cast_does() -> None:
    """The plain cast and the one with a scale are rows of their own, and called so."""
    weights = {"w": torch.randn(64, 32) * 0.05, "b": torch.randn(32) * 0.05}
    p = tc.profile(weights)
    one = by_name(p)["w"].losses
    assert one["int8"] == tc.measure(weights["w"], "int8", overflow="saturate", nan="zero")
    assert one["int8"].collapses
    assert not one["int8 (a scale per row)"].collapses
    assert list(by_name(p)["b"].losses)[-1] == "int8"
    plain, scaled = (c for c in p.candidates if c.total.target == "int8")
    assert (plain.label, plain.total.verdict) == ("int8", "collapses")
    assert plain.sentence.startswith("collapses: 2 of 2 tensors become mostly 0 or one value, 2,0")
    assert (scaled.label, scaled.total.verdict) == ("int8 (a scale per row)", "fits")
    assert scaled.to_dict()["scale"] == "a scale per row"
    assert plain.to_dict()["scale"] == ""
    text = str(p)
    assert "int8 (a scale per row)  fits" in text
    assert "int8                    collapses" in text
    assert "int8 (a scale per row)" in p._repr_html_()
    with pytest.raises(tc.errors.CollapseError):
        tc.cast_(weights, "int8", overflow="saturate")


def test_what_a_profile_says_fits_is_what_cast_does() -> None:
    for std in (1e-9, 1e-6, 0.05, 3.0):
        weights = {"w": torch.randn(64, 32, generator=torch.Generator().manual_seed(1)) * std}
        for candidate in tc.profile(weights).candidates:
            if candidate.scale:
                continue
            state = {"w": weights["w"].clone()}
            to = candidate.total.target
            if candidate.total.verdict == "collapses":
                with pytest.raises(tc.errors.CollapseError):
                    tc.cast_(state, to, overflow="saturate", nan="zero")
            else:
                tc.cast_(state, to, overflow="saturate", nan="zero")


def test_shown_as_text_and_in_a_notebook() -> None:
    model = torch.nn.Module()
    model.register_parameter("<i>&", torch.nn.Parameter(torch.full((600, 600), 1e5)))
    p = tc.profile(model)
    assert str(p).startswith("float16: <i>& reaches 100,000, beyond 65,504\n")
    html = p._repr_html_()
    assert "<i>" not in html
    assert "&lt;i&gt;&amp;" in html


def test_seven_billion_parameters_on_meta() -> None:
    import resource
    import time

    with torch.device("meta"):
        layers = [
            torch.nn.TransformerEncoderLayer(4096, 32, 16384, batch_first=True, bias=False)
            for _ in range(34)
        ]
        model = torch.nn.Sequential(torch.nn.Embedding(32000, 4096), *layers).eval()
        ids = torch.zeros(8, 2048, dtype=torch.long)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    p = tc.profile(model, ids)
    assert time.perf_counter() - begin < 20
    assert p.n_bytes_of("parameter") > 4 * 6.9e9
    assert p.peak.n_bytes > 8 * 2048 * 4096 * 4 * 34
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert p.error is None
    assert p.notes[0].startswith("no values: on the meta device: 0.weight and ")


def test_a_tensor_changed_in_place_is_looked_at_again() -> None:
    class Clips(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.clamp_(max=0.5)

    model = torch.nn.Sequential(Two(1e8).first, torch.nn.Identity(), Clips(), torch.nn.Identity())
    with torch.no_grad():
        p = tc.profile(model, torch.ones(5, 16) * 100)
    found = by_name(p)
    assert found["1"].shared_with == "0"
    assert found["2"].shared_with == ""
    assert found["2"].values.max == 0.5
    assert found["3"].shared_with == found["Sequential"].shared_with == "2"
    assert p.peak.n_bytes == 5 * 64 * 4


def test_formats_that_gain_nothing_are_not_tried() -> None:
    data = {"half": torch.ones(4, 4).half(), "wide": torch.ones(4, 4)}
    found = by_name(tc.profile({**data, "small": data["half"].to(torch.float8_e5m2)}))
    assert list(found["wide"].losses) == [
        "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "int8 (a scale per row)",
    ]  # fmt: skip
    assert list(found["half"].losses) == [
        "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "int8 (a scale per row)",
    ]  # fmt: skip
    assert list(found["small"].losses) == ["float8_e4m3fn"]


def test_a_checkpointed_part_is_not_run_again() -> None:
    from torch.utils.checkpoint import checkpoint

    ran: list[int] = []

    class Part(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            ran.append(1)
            return x.exp().exp()

    class Checkpointed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = Part()

        def forward(self, x: Any) -> Any:
            return checkpoint(self.part, x, use_reentrant=False)

    p = tc.profile(Checkpointed(), torch.ones(100, requires_grad=True))
    assert ran == [1]
    assert p.peak.saved == 0
    assert tc.profile(Part(), torch.ones(100, requires_grad=True)).peak.saved == 800


def test_what_was_there_before_is_not_the_forwards() -> None:
    table = torch.ones(1000)

    class Closes(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * table[:10].view(2, 5).t().reshape(10)

    with torch.no_grad():
        p = tc.profile(Closes(), torch.ones(10))
    assert p.peak.n_bytes == 2 * 10 * 4  # the reshaped and the product
    model = torch.nn.Linear(64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        first = tc.profile(model, torch.ones(4, 64))
        again = tc.profile(model, torch.ones(4, 64))
    cached = 2 * (64 * 64 + 64)  # the weights' casts, which autocast keeps to its end
    assert first.peak.n_bytes - again.peak.n_bytes == cached
    # a library may take scratch memory within the product, on one CPU and not on another
    assert again.peak.n_bytes + workspace(again) == again.peak.allocator


def workspace(p: Any) -> int:
    return sum(size.n_bytes for size in p.sizes if size.format == "workspace")


def test_what_operations_take_within_themselves() -> None:
    model, x = torch.nn.LSTM(64, 128, 2, batch_first=True), torch.randn(8, 50, 64)
    with torch.no_grad():
        p = tc.profile(model, x)
    assert workspace(p) > 0
    assert p.peak.n_bytes + workspace(p) == p.peak.allocator == p.n_bytes_of("activation")
    assert f"{p.peak.allocator_op} takes" in str(p)


def test_another_profiler_is_left_alone() -> None:
    from torch.autograd.profiler import profile

    with profile() as seen:
        p = tc.profile(Two(), torch.ones(5, 16))
    assert p.peak.allocator is None
    assert any(event.name == "aten::linear" for event in seen.function_events)


def test_operators_of_a_higher_order_and_no_compiler_for_nothing() -> None:
    class Chooses(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, (x,))

    with torch.no_grad():
        p = tc.profile(Chooses(), torch.ones(4))
    assert p.error is None
    assert by_name(p)["Chooses"].values.max == 2.0
    code = (
        "import sys, torch, tensorcast as tc; tc.profile(torch.nn.Linear(2, 2), torch.ones(2, 2));"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
