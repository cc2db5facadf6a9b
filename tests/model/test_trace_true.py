"""What a trace says is so: unchanged weights are, advice can be followed, torch's own steps are no
finding, and tensorcast's own casts are seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402


def rules(t: Any) -> list[str]:
    return [finding.rule for finding in t.findings]


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    f"{name} {options}": lambda ps, name=name, options=options: getattr(torch.optim, name)(
        ps, lr=0.1, **options
    )
    for name in ("SGD", "AdamW", "Adam", "Adagrad")
    for options in ({}, {"foreach": True}, {"fused": True})
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_that_an_optimizer_changes_are_not_unchanged(name: str) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 64)
    optimizer = OPTIMIZERS[name](model.parameters())
    with tc.trace(model) as t:
        for _ in range(3):
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(torch.ones(8, 64)).float().square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    assert any(site.what.parameter == "weight" for site in t.of("cast"))
    assert rules(t) == [], str(t)


def add_to_data(x: Any) -> None:
    x.data.add_(1)


def add_by_numpy(x: Any) -> None:
    array = x.detach().numpy()
    array += 1


def one_element_by_numpy(x: Any) -> None:
    x.detach().numpy()[777, 1] += 5


def by_another_view(x: Any) -> None:
    x.detach().view(-1)[3:9].fill_(4)


def by_dlpack(x: Any) -> None:
    torch.from_dlpack(x.detach()).mul_(2)


def by_a_cast_into_it(x: Any) -> None:
    tc.cast(torch.rand(1000, 3, dtype=torch.float64), "float32", out=x.detach())


WRITES = (
    add_to_data, add_by_numpy, one_element_by_numpy, by_another_view, by_dlpack, by_a_cast_into_it,
)  # fmt: skip


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_data_that_was_written_is_not_unchanged(write: Callable[[Any], None]) -> None:
    x = torch.nn.Parameter(torch.rand(1000, 3))
    with tc.trace() as t:
        for _ in range(3):
            x.detach().half()
            write(x)
    assert "repeated-cast" not in rules(t), str(t)
    with tc.trace() as t:
        for _ in range(3):
            x.detach().half()
    assert [(f.rule, f.count, f.what) for f in t.findings] == [
        ("repeated-cast", 2, "the same float32 data is cast to float16 again, unchanged")
    ]


@pytest.mark.parametrize("write", WRITES[:5], ids=lambda write: write.__name__)
def test_a_way_and_back_with_a_write_in_between_is_no_round_trip(
    write: Callable[[Any], None],
) -> None:
    x = torch.rand(1000, 3).half()
    with tc.trace() as t:
        y = x.float()
        write(y)
        y.half()
    assert "round-trip" not in rules(t), str(t)
    with tc.trace() as t:
        x.float().half()
    assert rules(t) == ["round-trip"]
    assert t.findings[0].what == "float16 -> float32 -> float16 with nothing in between"


def test_a_large_way_and_back_is_held_against_the_cast_made_again() -> None:
    x = torch.rand(400, 300)  # more than is digested when it is made
    with tc.trace() as t:
        y = x.half()
        y.numpy()[399, 299] += 1
        y.float()
    assert "round-trip" not in rules(t), str(t)
    with tc.trace() as t:
        x.half().float()
    assert t.findings[0].what == "float32 -> float16 -> float32 with nothing in between"
    with tc.trace() as t:
        torch.rand(400, 300).half().float()  # of which nobody knows any more what it was
    assert t.findings[0].what == "float32 -> float16 -> float32 with nothing seen in between"


def test_what_is_not_read_is_not_said_to_be_unchanged() -> None:
    x = torch.rand(4000, 64)[:, 0]  # a column: what lies between is not worth a reading
    with tc.trace() as t:
        x.half()
        x.half()
    (finding,) = t.findings
    assert finding.what == (
        "float32 data is cast to float16 again; whether the values changed was not checked"
    )
    assert finding.instead.startswith("if nothing writes to them in between, cast it once")


def test_a_graph_of_compiled_code_has_no_values_to_check() -> None:
    model = torch.nn.Linear(4, 4)

    def step(x: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    with torch.no_grad():
        found = tc.model.trace_graph(step, torch.ones(2, 4))
    assert found.findings[0].rule == "repeated-cast"
    assert found.findings[0].what.endswith("whether the values changed was not checked")


class Scaled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(16))

    def forward(self, x: Any) -> Any:
        return x * self.scale.to(x.dtype)


def test_a_buffer_is_called_one() -> None:
    model = Scaled()
    with tc.trace(model) as t:
        for _ in range(2):
            model(torch.ones(16, dtype=torch.float16))
    (finding,) = t.findings
    assert finding.parameter == "scale"
    assert finding.what == "buffers are cast to float16 again, unchanged since the last time"
    assert "model.to" not in finding.instead
    found = tc.model.trace_graph(model, torch.ones(16, dtype=torch.float16))
    (site,) = found.of("cast")
    assert (site.what.parameter, site.what.is_buffer) == ("scale", True)


def scaled_steps() -> None:
    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu")
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.randn(4, 8)).float().square().mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()


def test_a_scalers_own_step_is_no_finding() -> None:
    with tc.trace() as t:
        scaled_steps()
    assert rules(t) == [], str(t)
    assert any(site.what.target == "float64" for site in t.sites)  # seen all the same
    with tc.model.forbid("float64", "promotion"):
        scaled_steps()


@pytest.mark.parametrize("n", [1, 3])
def test_a_users_float64_is_found(n: int) -> None:
    x = torch.ones(n)
    double = torch.ones(n, dtype=torch.float64)
    for way in (
        lambda: x.double(),
        lambda: x * double,
        lambda: torch.nn.functional.threshold(x * double, 0.0, 0.0),
        lambda: torch.nn.PReLU(n).double(),
    ):
        with tc.trace() as t:
            way()
        assert "new-float64" in rules(t), str(t)
        with pytest.raises(tc.errors.ForbiddenError), tc.model.forbid("float64"):
            way()


def test_integers_are_not_advised_to_stay_with_fractions() -> None:
    with tc.trace() as t:
        torch.arange(3) * torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
        torch.arange(3).double()
        torch.ones(3) * torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    assert {f.instead for f in t.findings} == {
        "make the float64 operand float32, where 24 bits are enough for the integers",
        "cast to float32, where 24 bits are enough for the integers",
        "make the float64 operand float32",
    }
    assert not any("int64" in f.instead for f in t.findings)


def test_cutting_off_and_asking_for_zero_are_no_round_trips() -> None:
    x = torch.tensor([0.0, 1.5, 2.0])
    with tc.trace() as t:
        x.int().float()
        x.bool().float()
        torch.arange(3).bool().long()
        torch.tensor([1.5], dtype=torch.float64).int()
    assert rules(t) == [], str(t)
    with tc.trace() as t:
        torch.arange(3).float().long()
    assert rules(t) == ["round-trip"]


class Asks(torch.nn.Module):
    def __init__(self, ask: Callable[[Any], object]) -> None:
        super().__init__()
        self.ask = ask

    def forward(self, y: Any) -> Any:
        self.ask(y)
        return y + 1


ASKS: dict[str, tuple[Callable[[Any], object], str]] = {
    "item": (lambda y: y[0].item(), ".item() hands values"),
    "if": (lambda y: 1 if (y > 5).any() else 0, "a truth value (if, while, and, not) hands"),
    "int": (lambda y: int(y[0]), "int() hands"),
    "float": (lambda y: float(y[0]), "float() hands"),
    "index": (lambda y: [7, 8, 9][y[0].long()], "an index hands"),
    "tolist": (lambda y: y.tolist(), ".tolist() hands"),
    "numpy": (lambda y: y.numpy(), ".numpy() hands"),
    "equal": (lambda y: torch.equal(y, y), ".equal() hands"),
    "nonzero": (lambda y: y.nonzero(), "nonzero() has a shape that depends on values"),
    "mask": (lambda y: y[y > 0], "a mask as an index has a shape that depends on values"),
    "masked_select": (lambda y: y.masked_select(y > 0), "masked_select() has a shape"),
    "unique": (lambda y: y.unique(), "unique2() has a shape"),
}


@pytest.mark.parametrize("name", ASKS)
def test_values_handed_to_python_in_a_forward_are_found(name: str) -> None:
    ask, what = ASKS[name]
    model, y = Asks(ask), torch.arange(3.0) * 0 + 2
    with tc.trace() as t:
        model(y)
    (finding,) = t.findings
    assert finding.rule == "synchronisation"
    assert finding.what.startswith(what), finding.what
    assert "inside forward" in finding.what
    assert finding.module == "Asks"
    with tc.trace() as t:
        ask(y)  # outside of a forward it costs nothing here
    assert rules(t) == []
    with (
        pytest.raises(tc.errors.ForbiddenError, match="synchronisation"),
        tc.model.forbid("synchronisation"),
    ):
        model(y)


def test_what_torchs_own_modules_read_is_no_finding() -> None:
    model = torch.nn.BatchNorm1d(3, momentum=None)
    with tc.trace(model) as t:
        model(torch.rand(4, 3))
    assert any(site.what.kind == "synchronisation" for site in t.sites)
    assert rules(t) == [], str(t)


def test_what_becomes_0_is_found() -> None:
    x = torch.full((100,), 1e-9)
    with tc.trace() as t:
        x.half()
    (finding,) = t.findings
    assert (finding.rule, finding.what) == ("underflow", "100 of 100 values become 0 in float16")
    x = torch.ones(1000)
    x[:10] = 1e-9
    with tc.trace() as t:
        x.half()  # 1% and no more
        torch.rand(100).int()  # fractions are meant to go, but not all of what there is
        torch.arange(100).float().div(40).to(torch.int8)
    assert [f.rule for f in t.findings] == ["underflow"]
    assert t.findings[0].what.endswith("become 0 in int32")


def test_gradients_that_become_0_are_found() -> None:
    x = torch.ones(4, dtype=torch.float16, requires_grad=True)
    with tc.trace() as t:
        (x.float() * 1e-9).sum().backward()
    (finding,) = t.findings
    assert finding.rule == "underflow"
    assert finding.instead.startswith("scale the loss")


def test_our_casts_are_seen() -> None:
    x = torch.rand(8, 8)
    out = torch.empty(8, 8, dtype=torch.float16)
    with tc.trace() as t:
        tc.cast(x, "float16")
        tc.cast(x, "bfloat16", report=True)
        assert tc.cast(x, "float16", out=out) is out
        tc.cast(x, "float6_e2m3fn", packed=True, overflow="saturate")
        tc.cast(x, "float32")
        tc.cast(x.double(), "float32")
    seen = [(s.what.op, s.what.source, s.what.target, s.count) for s in t.of("cast")]
    assert seen == [
        ("tensorcast::cast", "float32", "float16", 1),
        ("tensorcast::cast", "float32", "bfloat16", 1),
        ("tensorcast::cast", "float32", "float16", 1),
        ("tensorcast::cast", "float32", "float6_e2m3fn", 1),
        ("aten::_to_copy", "float32", "float64", 1),
        ("tensorcast::cast", "float64", "float32", 1),
    ]
    assert torch.equal(out, x.half())
    assert t.failures == ()
    site = t.of("cast")[0]
    assert (site.n_bytes_read, site.n_bytes_written) == (256, 128)
    assert site.what.place is not None
    assert site.what.place.text == 'tc.cast(x, "float16")'


def test_our_casts_are_judged_as_torchs() -> None:
    x = torch.rand(8, 8).half()
    with tc.trace() as t:
        tc.cast(tc.cast(x, "float32"), "float16")
    assert rules(t) == ["round-trip"]
    with tc.trace() as t:
        tc.cast(torch.full((9,), 1e-9), "float8_e4m3fn", overflow="saturate")
        tc.cast(torch.full((9,), 1e9), "float8_e4m3fn", overflow="saturate")  # as was said
    assert rules(t) == ["underflow"]
    with (
        pytest.raises(tc.errors.ForbiddenError, match="cast float32 -> float64"),
        tc.model.forbid("float64"),
    ):
        tc.cast(torch.ones(3), "float64")
    with pytest.raises(tc.errors.CastOverflowError), tc.trace():
        tc.cast(torch.full((9,), 1e9), "float16")


def test_a_gradient_goes_through_our_cast_in_a_trace() -> None:
    x = torch.rand(8, requires_grad=True)
    with tc.trace() as t:
        (tc.cast(x, "bfloat16") * 2).sum().backward()
    assert torch.equal(x.grad, torch.full((8,), 2.0))
    assert {(s.what.source, s.what.phase) for s in t.of("cast")} == {
        ("float32", "forward"),
        ("bfloat16", "backward"),
    }


@pytest.mark.parametrize("values", [True, False])
def test_our_casts_in_place_are_seen(values: bool) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), Scaled())
    with torch.no_grad():
        model[0].bias.fill_(1e-9)
    x = torch.ones(5)
    with tc.trace(model, values=values) as t:
        assert tc.cast_(model, "float16", raw=True) is model  # the bias becomes 0, and is traced
        assert tc.cast_(x, "bfloat16", report=True)[1].n_elements == 5
        assert model[0].weight.dtype == torch.float16
        model[0].weight.float()
    assert t.failures == ()
    seen = {(s.what.op, s.what.parameter, s.what.source, s.what.target) for s in t.of("cast")}
    assert seen == {
        ("tensorcast::cast_", "0.weight", "float32", "float16"),
        ("tensorcast::cast_", "0.bias", "float32", "float16"),
        ("tensorcast::cast_", "1.scale", "float32", "float16"),
        ("tensorcast::cast_", "", "float32", "bfloat16"),
        ("aten::_to_copy", "0.weight", "float16", "float32"),
    }
    assert ("underflow" in rules(t)) == values
    y = x.detach()
    with tc.trace(), pytest.raises(tc.errors.InPlaceError, match="a detached tensor"):
        tc.cast_(x, "float32")
    del y
    with torch.device("cpu"):
        assert tc.cast_(x, "float32").dtype == torch.float32


def test_inside_another_mode_a_cast_in_place_is_refused_as_ever() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Other(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            return func(*args, **(kwargs or {}))

    x = torch.ones(5)
    with tc.trace(), Other(), pytest.raises(tc.errors.InPlaceError, match="a dispatch mode"):
        tc.cast_(x, "float16")


def test_an_overflow_hides_no_underflow_of_its_line() -> None:
    x = torch.full((100,), 1e-9)
    x[0] = 1e6
    with tc.trace() as t:
        x.half()
    assert [(f.rule, f.what.split(" ")[0]) for f in t.findings] == [
        ("overflow", "1"), ("underflow", "99"),
    ]  # fmt: skip


def test_casts_by_other_policies_are_no_repetition() -> None:
    x = torch.rand(64)
    with tc.trace() as t:
        tc.cast(x, "bfloat16", rounding="up")
        tc.cast(x, "bfloat16", rounding="down")
        tc.cast(x, "bfloat16", rounding="stochastic", seed=1)
        tc.cast(x, "bfloat16", rounding="stochastic", seed=2)
    assert rules(t) == []
    with tc.trace() as t:
        tc.cast(x, "bfloat16", rounding="up")
        tc.cast(x, "bfloat16", rounding="up")
    assert rules(t) == ["repeated-cast"]


def test_a_way_that_loses_values_is_not_said_to_round_only() -> None:
    with tc.trace() as t:
        tc.cast(tc.cast(torch.full((9,), 1e5), "float16", overflow="saturate"), "float32")
    (finding,) = (f for f in t.findings if f.rule == "round-trip")
    assert "only rounds" not in finding.instead
    assert "end them at its range or make them 0" in finding.instead
