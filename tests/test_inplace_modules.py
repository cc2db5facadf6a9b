"""`cast_` of modules, state dicts and optimizers: by rule, tied, with gradients, a step after."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8)
        self.inner = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
        self.head = torch.nn.Linear(8, 50, bias=False)
        self.head.weight = self.embedding.weight  # tied
        self.register_buffer("ids", torch.arange(50))
        self.register_buffer("scale", torch.rand(3))
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))

    def forward(self, x: Any) -> Any:
        return self.head(self.inner(self.embedding(x)))


def trained(net: Any, optimizer: Any = None) -> Any:
    torch.manual_seed(3)
    loss = net(torch.randint(0, 50, (16,))).float().square().mean()
    loss.backward()
    if optimizer is not None:
        optimizer.step()
    return loss.detach()


def snapshot(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: (x, x.detach().clone()) for name, x in tensors.items()}


def expect_untouched(before: dict[str, Any]) -> None:
    for name, (x, values) in before.items():
        assert x.dtype == values.dtype, name
        assert torch.equal(x, values), name


def test_a_module_by_rule() -> None:
    net = Net()
    trained(net)
    expected = {name: x.detach().clone() for name, x in net.state_dict().items()}
    objects = dict(net.named_parameters())
    gradients = {name: tc.cast(p.grad, "bfloat16") for name, p in objects.items()}
    assert tc.cast_(net, "bfloat16", rules={"inner.1.*": None, "ids": "int32"}) is net
    for name, x in net.state_dict().items():
        to = torch.bfloat16
        if name.startswith("inner.1."):
            to = expected[name].dtype
        elif name in ("ids", "mask"):
            to = {"ids": torch.int32, "mask": torch.bool}[name]
        assert x.dtype == to, name
        assert torch.equal(x, expected[name].to(to)), name
    assert net.inner[1].num_batches_tracked.dtype == torch.int64
    assert net.head.weight is net.embedding.weight
    for name, p in net.named_parameters():
        assert p is objects[name], name
        kept = name.startswith("inner.1.")
        assert p.grad.dtype == p.dtype == (torch.float32 if kept else torch.bfloat16), name
        if not kept:
            assert torch.equal(p.grad, gradients[name]), name
    tc.cast_(net, "bfloat16")
    net.zero_grad()
    assert trained(net).isfinite()


def test_the_losses_by_name() -> None:
    net = Net()
    expected = {
        name: tc.measure(p, "float32" if name.startswith("inner.1.") else "float16")
        for name, p in [*net.named_parameters(), ("scale", net.scale)]
    }
    result, losses = tc.cast_(net, "float16", report=True)
    assert result is net
    for name, loss in expected.items():
        assert losses[name] == loss, name
    assert losses["ids"].source == losses["ids"].target == "int64"


def test_one_refused_value_leaves_the_module() -> None:
    net = Net()
    with torch.no_grad():
        net.inner[0].weight[3, 4] = 1e6
    before = snapshot(dict(net.named_parameters()) | dict(net.named_buffers()))
    with pytest.raises(
        tc.errors.CastOverflowError, match=r"'inner\.0\.weight': 1 of 64 .* at \[3, 4\]"
    ):
        tc.cast_(net, "float16")
    expect_untouched(before)


def test_one_shared_tensor_leaves_the_module() -> None:
    net = Net()
    view = net.inner[0].bias.detach()
    before = snapshot(dict(net.named_parameters()) | dict(net.named_buffers()) | {"view": view})
    with pytest.raises(
        tc.errors.InPlaceError, match=r"'inner\.0\.bias': the tensor shares its memory"
    ):
        tc.cast_(net, "float16")
    expect_untouched(before)
    with pytest.warns(
        tc.errors.InPlaceWarning, match=r"'inner\.0\.bias': not in place, but copied"
    ):
        tc.cast_(net, "float16", others="copy")
    assert torch.equal(view, before["view"][1])
    assert net.inner[0].bias.dtype == torch.float16


def test_a_live_graph_refuses() -> None:
    net = Net()
    loss = net(torch.randint(0, 50, (16,))).sum()
    with pytest.raises(tc.errors.InPlaceError, match="held by torch or a library") as caught:
        tc.cast_(net, "bfloat16")
    assert caught.value.kind == "held by torch"
    loss.backward()
    del loss
    tc.cast_(net, "bfloat16")


def test_parameters_on_one_storage_stay_on_one() -> None:
    flat = torch.randn(100)
    net = torch.nn.Module()
    net.a = torch.nn.Parameter(flat[:60].view(6, 10))
    net.b = torch.nn.Parameter(flat[60:])
    net.c = torch.nn.Parameter(flat[50:70])
    expected = flat.half()
    del flat
    tc.cast_(net, "float16")
    assert torch.equal(net.a.detach().flatten(), expected[:60])
    assert torch.equal(net.c.detach(), expected[50:70])
    with torch.no_grad():
        net.b[0] = 7
    assert net.c[10] == 7
    storages = {p.untyped_storage().data_ptr() for p in net.parameters()}
    assert len(storages) == 1
    tc.cast_(net, "bfloat16", overflow="saturate")  # in the same memory
    assert {p.untyped_storage().data_ptr() for p in net.parameters()} == storages
    with pytest.raises(
        tc.errors.InPlaceError, match="'b': the tensor shares its memory with 'a', and"
    ):
        tc.cast_(net, "float32", rules={"b": "float64"})
    with pytest.raises(tc.errors.InPlaceError, match="shares its memory"):
        tc.cast_(net, "float32", rules={"b": None})
    assert {p.dtype for p in net.parameters()} == {torch.bfloat16}


def test_rules_have_to_match() -> None:
    net = Net()
    with pytest.raises(
        tc.errors.CastError, match=r"the rule 'inner\.9\.\*' matches no tensor\. Nearest: 'inner"
    ):
        tc.cast_(net, "float16", rules={"inner.9.*": None})
    with pytest.raises(
        tc.errors.CastError, match=r"'embedding\.weight' and 'head\.weight' are one"
    ):
        tc.cast_(net, "float16", rules={"head.*": None})
    with pytest.raises(tc.errors.CastError, match="a tensor has none"):
        tc.cast_(torch.zeros(3), "float16", rules={"*": None})
    assert net.scale.dtype == torch.float32


def test_integers_need_a_parameter_without_gradient() -> None:
    net = torch.nn.Linear(3, 3)
    with pytest.raises(
        tc.errors.InPlaceError, match="'weight': the tensor requires grad, which int8"
    ):
        tc.cast_(net, "int8")
    net.requires_grad_(False)
    tc.cast_(net, "int8", raw=True)
    assert net.weight.dtype == torch.int8


def test_parametrizations_compute_from_the_new_format() -> None:
    net = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 4))
    tc.cast_(net, "bfloat16")
    assert net.weight.dtype == torch.bfloat16
    net(torch.ones(2, 4, dtype=torch.bfloat16)).sum().backward()
    with (
        torch.nn.utils.parametrize.cached(),
        pytest.raises(tc.errors.InPlaceError, match="parametrizations are cached"),
    ):
        tc.cast_(net, "float32")


def test_hooks_stay() -> None:
    net = torch.nn.Linear(4, 4)
    seen: list[Any] = []
    net.register_forward_hook(lambda m, a, out: seen.append(("forward", out.dtype)))
    net.weight.register_hook(lambda g: seen.append(("gradient", g.dtype)))
    net.weight.register_post_accumulate_grad_hook(lambda p: seen.append(("after", p.grad.dtype)))
    net(torch.ones(2, 4)).sum().backward()
    seen.clear()
    net.zero_grad()
    tc.cast_(net, "bfloat16")
    net(torch.ones(2, 4, dtype=torch.bfloat16)).sum().backward()
    assert seen == [(when, torch.bfloat16) for when in ("forward", "gradient", "after")]


def test_a_recurrent_module_runs_on() -> None:
    net = torch.nn.LSTM(4, 5)
    tc.cast_(net, "bfloat16")
    out, _ = net(torch.ones(3, 2, 4, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16


def test_a_meta_module_is_told() -> None:
    net = torch.nn.Linear(4, 4, device="meta")
    with pytest.raises(tc.errors.InPlaceError, match="'weight': the tensor has no memory"):
        tc.cast_(net, "float16")


OPTIMIZERS = {
    "SGD": lambda ps: torch.optim.SGD(ps, 0.01),
    "SGD momentum": lambda ps: torch.optim.SGD(ps, 0.01, momentum=0.9),
    "SGD foreach": lambda ps: torch.optim.SGD(ps, 0.01, momentum=0.9, foreach=True),
    "SGD fused": lambda ps: torch.optim.SGD(ps, 0.01, momentum=0.9, fused=True),
    "Adam": lambda ps: torch.optim.Adam(ps, foreach=False),
    "Adam foreach": lambda ps: torch.optim.Adam(ps, foreach=True, amsgrad=True),
    "Adam fused": lambda ps: torch.optim.Adam(ps, fused=True),
    "AdamW fused": lambda ps: torch.optim.AdamW(ps, fused=True),
    "Adagrad": lambda ps: torch.optim.Adagrad(ps),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_trains_on(name: str) -> None:
    """As well as after torch's own way: a new optimizer with the state loaded."""
    torch.manual_seed(1)
    net = Net()
    optimizer = OPTIMIZERS[name](net.parameters())
    for _ in range(3):
        trained(net, optimizer)
        optimizer.zero_grad()
    trained(net)

    torch.manual_seed(1)
    other = Net().bfloat16()
    other.inner[1].float()  # stays with its statistics
    other.load_state_dict(net.state_dict())
    for p, q in zip(other.parameters(), net.parameters(), strict=True):
        p.grad = q.grad.to(p.dtype)
    reference = OPTIMIZERS[name](other.parameters())
    reference.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    tc.cast_(net, "bfloat16", optimizer=optimizer)
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        state, expected = optimizer.state[p], reference.state[q]
        assert state.keys() == expected.keys()
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                assert value.dtype == expected[key].dtype, key
                assert torch.equal(value, expected[key]), key
    before = [p.detach().clone() for p in net.parameters()]
    optimizer.step()
    reference.step()
    assert any(not torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
    optimizer.zero_grad()
    trained(net, optimizer)


def test_refused_state_leaves_everything() -> None:
    net = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    net(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    optimizer.state[net.weight]["momentum_buffer"][0, 0] = 1e6
    with pytest.raises(tc.errors.CastOverflowError, match="'weight: momentum_buffer'"):
        tc.cast_(net, "float16", optimizer=optimizer)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert optimizer.state[net.bias]["momentum_buffer"].dtype == torch.float32


def test_an_optimizer_of_others() -> None:
    net, other = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    with pytest.raises(tc.errors.CastError, match="has none of the parameters"):
        tc.cast_(net, "float16", optimizer=torch.optim.SGD(other.parameters()))
    with pytest.raises(tc.errors.CastError, match="optimizer is a str"):
        tc.cast_(net, "float16", optimizer="sgd")
    assert net.weight.dtype == torch.float32


def test_a_state_dict() -> None:
    net = Net()
    mine = {name: x.detach().clone() for name, x in net.state_dict().items()}
    mine["head.weight"] = mine["embedding.weight"]
    expected = {name: x.clone() for name, x in mine.items()}
    objects = dict(mine)
    assert tc.cast_(mine, "bfloat16") is mine
    for name, x in mine.items():
        assert x is objects[name]
        to = torch.bfloat16 if expected[name].is_floating_point() else expected[name].dtype
        assert x.dtype == to
        assert torch.equal(x, expected[name].to(to))
    with pytest.raises(tc.errors.InPlaceError, match="shares its memory"):
        tc.cast_(net.state_dict(), "bfloat16")
    nested = {"model": {"w": torch.ones(3)}, "more": [torch.ones(2), (torch.ones(4),)], "epoch": 7}
    tc.cast_(nested, "float16", rules={"model.w": "float64"})
    assert nested["model"]["w"].dtype == torch.float64
    assert nested["more"][0].dtype == nested["more"][1][0].dtype == torch.float16
    with pytest.raises(tc.errors.CastError, match="'model' is a Linear, whose tensors are no part"):
        tc.cast_({"model": torch.nn.Linear(2, 2), "w": torch.ones(3)}, "float16")
    with pytest.raises(tc.errors.CastError, match="holds no tensor"):
        tc.cast_({"epoch": 7}, "float16")


@pytest.mark.parametrize("kind", ["safetensors", "torch.load"])
def test_a_mapped_state_dict_is_read_through(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    generator = torch.Generator().manual_seed(1)
    tensors = {f"w{i}": torch.randn(300, 301, generator=generator) for i in range(3)}
    if kind == "safetensors":
        safetensors = pytest.importorskip("safetensors.torch")
        safetensors.save_file(tensors, path)
        loaded = safetensors.load_file(path)
    else:
        torch.save(tensors, path)
        loaded = torch.load(path, mmap=True)
    content = path.read_bytes()
    view, objects = loaded["w1"].detach()[5:], dict(loaded)
    tc.cast_(loaded, "float16")
    for name, x in loaded.items():
        assert x is objects[name]
        assert torch.equal(x, tensors[name].half())
    assert torch.equal(view, tensors["w1"][5:])
    assert path.read_bytes() == content
    tc.cast_(loaded, "bfloat16")  # memory of their own by now, which stays where it is


def small_net() -> torch.nn.Module:
    """Weights as models have them, and one bias that int8 can hold."""
    net = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.Linear(8, 4)).requires_grad_(False)
    torch.nn.init.normal_(net[0].weight, std=0.05, generator=torch.Generator().manual_seed(0))
    torch.nn.init.uniform_(net[1].weight, 5, 90, generator=torch.Generator().manual_seed(0))
    net[0].bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.0, -0.0, 9.0, 8.0, 7.0]))
    net[1].bias.copy_(torch.tensor([0.1, 0.2, 1e-40, 9.0]))
    return net


@pytest.mark.parametrize("policy", [{}, {"overflow": "saturate"}, {"rules": {"*.weight": "int8"}}])
def test_a_module_does_not_collapse(policy: dict[str, object]) -> None:
    net = small_net()
    before = snapshot(dict(net.named_parameters()))
    with pytest.raises(
        tc.errors.CollapseError, match="2 tensors become mostly zero in int8"
    ) as caught:
        tc.cast_(net, "int8", **policy)
    lines = str(caught.value).splitlines()
    assert lines[1:3] == [
        "  '0.weight': 128 of 128 non-zero values become 0 in int8",
        "  '1.bias': 3 of 4 non-zero values become 0 in int8",
    ]
    assert "raw=True" in lines[-1]
    expect_untouched(before)


def test_raw_casts_a_module_all_the_same() -> None:
    net = small_net()
    result, losses = tc.cast_(net, "int8", raw=True, report=True)
    assert result is net
    assert net[0].weight.dtype == torch.int8
    assert not net[0].weight.any()
    assert {name for name, loss in losses.items() if loss.collapses} == {"0.weight", "1.bias"}


def test_a_dict_does_not_collapse() -> None:
    state = {"a": torch.full((300,), 1e-9), "inner": {"b": torch.tensor([0.5, 2.5])},
             "mask": torch.tensor([1, 2], dtype=torch.int8)}  # fmt: skip
    before = snapshot({"a": state["a"], "b": state["inner"]["b"], "mask": state["mask"]})
    with pytest.raises(
        tc.errors.CollapseError, match="'a': 300 of 300 non-zero values become 0 in float"
    ):
        tc.cast_(state, "float16", overflow="saturate")
    with pytest.raises(
        tc.errors.CollapseError, match="'mask': all 2 values, which differ, become True"
    ):
        tc.cast_(state, "bfloat16", rules={"mask": "bool"})
    with pytest.raises(
        tc.errors.CollapseError, match=r"'inner\.b': all 2 values, which differ, become Tr"
    ):
        tc.cast_(state, "bool", rules={"mask": None, "a": None})
    expect_untouched(before)
    tc.cast_(state, "bfloat16")
    assert state["a"].dtype == torch.bfloat16


def test_state_that_float16_would_lose_is_named() -> None:
    """Second moments of small gradients are 0 in float16, and the next step divides by them."""
    net = torch.nn.Linear(4, 4)
    optimizer = torch.optim.Adam(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.full_like(parameter, 1e-6)
    optimizer.step()
    with pytest.raises(
        tc.errors.CollapseError, match="'weight: exp_avg_sq': 16 of 16 non-zero values"
    ):
        tc.cast_(net, "float16", optimizer=optimizer)
    assert net.weight.dtype == torch.float32


def test_a_tensor_is_cast_as_told() -> None:
    x = torch.full((5,), 0.25)
    x[0] = 0.5
    assert tc.cast_(x, "int8").tolist() == [0] * 5
    _, loss = tc.cast_(torch.tensor([0.25, 0.5]), "bool", report=True)
    assert loss.collapses


def test_complex_tensors_are_converted_or_refused_by_name() -> None:
    values = torch.tensor([1 + 2j, -3.5j])
    both = {"a": values.clone(), "b": torch.ones(2)}
    tc.cast_(both, "complex128")
    assert both["a"].dtype == both["b"].dtype == torch.complex128
    assert torch.equal(both["a"], values.to(torch.complex128))
    both = {"b": torch.ones(2), "a": values.clone(), "n": torch.arange(2)}
    for to in ("float16", "int8"):
        with pytest.raises(tc.errors.CastError, match="'a' is complex64"):
            tc.cast_(both, to)
    assert (both["a"].dtype, both["b"].dtype) == (torch.complex64, torch.float32)
    tc.cast_(both, "float16", rules={"a": None})
    assert (both["a"].dtype, both["b"].dtype) == (torch.complex64, torch.float16)
    assert torch.equal(both["a"], values)
    with pytest.raises(tc.errors.CastError, match="'half' is complex32"):
        tc.cast_({"half": torch.zeros(2, dtype=torch.complex32)}, "complex64")


def test_complex_parameters_take_gradient_and_optimizer_along() -> None:
    module = torch.nn.Module()
    module.p = torch.nn.Parameter(torch.tensor([1 + 2j, 3 - 1j]))
    optimizer = torch.optim.Adam(module.parameters())
    (module.p * module.p.conj()).real.sum().backward()
    optimizer.step()
    with pytest.raises(tc.errors.CastError, match="'p' is complex64"):
        tc.cast_(module, "bfloat16", optimizer=optimizer)
    tc.cast_(module, "complex128", optimizer=optimizer)
    assert module.p.dtype == module.p.grad.dtype == torch.complex128
    assert optimizer.state[module.p]["exp_avg"].dtype == torch.complex128
