"""`cast_` converts all or none: what it cannot convert is refused by name, and who holds a tensor
is named."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402

KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "coo": (lambda: torch.eye(4).to_sparse(), "is laid out as torch.sparse_coo"),
    "csr": (lambda: torch.eye(4).to_sparse_csr(), "is laid out as torch.sparse_csr"),
    "csc": (lambda: torch.eye(4).to_sparse_csc(), "is laid out as torch.sparse_csc"),
    "bsr": (lambda: torch.eye(4).to_sparse_bsr((2, 2)), "is laid out as torch.sparse_bsr"),
    "bsc": (lambda: torch.eye(4).to_sparse_bsc((2, 2)), "is laid out as torch.sparse_bsc"),
    "mkldnn": (lambda: torch.eye(4).to_mkldnn(), "is laid out as torch._mkldnn"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), "is nested"),
    "jagged": (
        lambda: torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged),
        "is a torch.nested._internal.nested_tensor.NestedTensor",
    ),
    "quantized": (
        lambda: torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8),
        "is quantized",
    ),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Holds(torch.nn.Module):
    def __init__(self, x: Any, as_parameter: bool) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        if as_parameter:
            self.odd = torch.nn.Parameter(x, requires_grad=False)
        else:
            self.register_buffer("odd", x)


@pytest.mark.parametrize("as_parameter", [True, False], ids=["parameter", "buffer"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_converted_is_refused_by_name(kind: str, as_parameter: bool) -> None:
    make, reason = KINDS[kind]
    if as_parameter and kind in ("mkldnn", "quantized"):
        pytest.skip(f"torch makes no Parameter of a tensor that is {kind}")
    model = Holds(make(), as_parameter)
    with pytest.raises(tc.errors.InPlaceError) as caught:
        tc.cast_(model, "bfloat16")
    assert str(caught.value).startswith(f"'odd': the tensor {reason}")
    assert "rules={'odd': None}" in str(caught.value)
    assert model.linear.weight.dtype == torch.float32
    tc.cast_(model, "bfloat16", rules={"odd": None})
    assert model.linear.weight.dtype == torch.bfloat16
    for data in ({"a": {"odd": make()}}, {"a": [torch.ones(3), make()]}):
        with pytest.raises(tc.errors.InPlaceError, match=r"'a\.(odd|1)': the tensor is"):
            tc.cast_(data, "bfloat16")


def test_what_has_the_format_already_is_no_obstacle() -> None:
    model = Holds(torch.eye(4).to_sparse().bfloat16(), False)
    tc.cast_(model, "bfloat16")
    assert model.linear.weight.dtype == torch.bfloat16
    model = Holds(torch.ones(3, dtype=torch.int64).to_sparse(), False)  # integers stay
    tc.cast_(model, "bfloat16")
    assert model.odd.dtype == torch.int64


def lbfgs(dtype: Any = torch.float32) -> tuple[Any, Any, Callable[[], Any]]:
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1)
    x, y = torch.randn(16, 8), torch.randn(16, 1)

    def step() -> Any:
        def closure() -> Any:
            dtype = model.weight.dtype
            optimizer.zero_grad()
            loss = ((model(x.to(dtype)) - y.to(dtype)) ** 2).mean()
            loss.backward()
            return loss

        return optimizer.step(closure)

    return model, optimizer, step


@pytest.mark.parametrize("to", ["float64", "bfloat16"])
def test_an_optimizers_lists_come_along(to: str) -> None:
    model, optimizer, step = lbfgs()
    step()
    tc.cast_(model, to, optimizer=optimizer)
    state = optimizer.state[model.weight]
    dtype = getattr(torch, to)
    for key in ("d", "prev_flat_grad"):
        assert state[key].dtype == dtype, key
    for key in ("old_dirs", "old_stps", "ro", "al"):
        assert {x.dtype for x in state[key] if x is not None} == {dtype}, key
    if to == "float64":
        step()


def test_state_in_any_container_comes_along_or_nothing_does() -> None:
    from collections import deque

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1), momentum=0.9)
    made = [torch.rand(2) for _ in range(5)]
    optimizer.state[model.weight] = {
        "list": [made[0], None, 3],
        "nested": {"tuple": (made[1], [made[2]]), "step": torch.ones(())},
        "deque": deque([made[3]]),
        "set": {made[4]},
        "counts": [torch.arange(3)],
        "step": torch.ones(()),
    }
    made[2][1] = 1e30
    with pytest.raises(tc.errors.CastOverflowError, match=r"'weight: nested\.tuple\[1\]\[0\]'"):
        tc.cast_(model, "float16", optimizer=optimizer)
    assert {x.dtype for x in (*made, model.weight)} == {torch.float32}
    made[2][1] = 1
    tc.cast_(model, "float16", optimizer=optimizer)
    assert {x.dtype for x in (*made, model.weight)} == {torch.float16}
    state = optimizer.state[model.weight]
    assert state["step"].dtype == state["nested"]["step"].dtype == torch.float32
    assert state["counts"][0].dtype == torch.int64
    assert optimizer.param_groups[0]["lr"].dtype == torch.float32  # as load_state_dict leaves it
    other = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(other.parameters(), momentum=0.9)
    optimizer.state[other.weight] = {"list": [torch.eye(2).to_sparse()]}
    with pytest.raises(
        tc.errors.InPlaceError, match=r"'weight: list\[0\]': the tensor is laid out"
    ):
        tc.cast_(other, "float16", optimizer=optimizer)
    assert other.weight.dtype == torch.float32


def refusal(x: Any, **options: Any) -> str:
    with pytest.raises(tc.errors.InPlaceError) as caught:
        tc.cast_(x, "bfloat16", **options)
    return str(caught.value)


@pytest.mark.parametrize("way", ["script", "trace"])
def test_torchscript_is_named(way: str) -> None:
    model = torch.nn.Linear(3, 3)
    x = torch.ones(1, 3)
    held = torch.jit.script(model) if way == "script" else torch.jit.trace(model, x)
    expected = "'weight': the tensor is held by TorchScript (torch.jit). Cast the module before"
    assert refusal(held).startswith(expected)
    assert refusal(held, others="copy").startswith(expected)
    assert "loss" not in refusal(held)


def test_ddp_is_named(tmp_path: Path) -> None:
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        model = torch.nn.Linear(3, 3)
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
        for x, name in ((wrapped, "module.weight"), (model, "weight")):
            expected = f"'{name}': the tensor is held by DistributedDataParallel. Cast the module"
            assert refusal(x).startswith(expected)
        del wrapped, x
        gc.collect()
    finally:
        dist.destroy_process_group()
    tc.cast_(model, "bfloat16")


def test_fsdp_is_named(tmp_path: Path) -> None:
    import torch.distributed as dist

    fsdp = pytest.importorskip("torch.distributed.fsdp")
    if not dist.is_gloo_available() or not hasattr(fsdp, "fully_shard"):
        pytest.skip("this torch has no gloo or no fully_shard")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
        model = torch.nn.Linear(3, 3)
        fsdp.fully_shard(model, mesh=mesh)
        expected = "'weight': the tensor is held by fully_shard (FSDP). Cast the module before"
        assert refusal(model).startswith(expected)
    finally:
        dist.destroy_process_group()


def test_offloading_is_named() -> None:
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    model = torch.nn.Sequential(torch.nn.Linear(3, 3))
    model = accelerate.cpu_offload(model, execution_device=torch.device("cpu"))
    assert refusal(model).startswith("'0.weight': the tensor is offloaded by accelerate")


def test_a_gradient_is_named() -> None:
    p = torch.nn.Parameter(torch.ones(3))
    (p * 2).sum().backward()
    text = refusal(p.grad)
    assert text.startswith("the tensor is the .grad of another tensor. Convert that one")
    assert "backward" not in text
    tc.cast_(p, "bfloat16")
    assert p.grad.dtype == torch.bfloat16


def test_a_loaded_dict_is_told_of_mmap(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"w": torch.ones(300)}, path)
    text = refusal(torch.load(path))
    assert "torch.load(path, mmap=True), which is converted" in text
    assert 'others="copy"' in text
    assert tc.cast_(torch.load(path, mmap=True), "bfloat16")["w"].dtype == torch.bfloat16
    with pytest.warns(tc.errors.InPlaceWarning):
        assert tc.cast_(torch.load(path), "bfloat16", others="copy")["w"].dtype == torch.bfloat16


def test_a_kept_exception_is_named() -> None:
    model, other = torch.nn.Linear(3, 3), torch.nn.Parameter(torch.ones(2))

    def fails() -> None:
        y = model(torch.ones(1, 3)).exp()
        raise ValueError(y.shape)

    with pytest.raises(ValueError, match=r"torch\.Size") as caught:
        fails()
    assert "traceback of an exception that is kept (ValueError)" in refusal(model)
    live = other.exp()  # a graph of its own, of which the exception knows nothing
    assert refusal(other).startswith("the tensor is itself held by torch or a library")
    del live, caught
    tc.cast_(model, "bfloat16")


def test_what_a_profile_and_a_trace_saw_fail_can_be_converted() -> None:
    class Fails(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            y = self.linear(x).exp()
            try:
                raise KeyError("a")
            except KeyError as error:
                raise ValueError(f"b {y.shape}") from error

    model, x = Fails(), torch.ones(2, 4)
    p = tc.profile(model, x)
    assert isinstance(p.error, ValueError)
    assert isinstance(p.error.__cause__, KeyError)
    assert 'raise KeyError("a")' in p.error.__notes__[0]  # where it was is not lost
    tc.cast_(model, "bfloat16")
    model = Fails()
    t = tc.trace(model)
    with pytest.raises(ValueError, match="b "), t:
        model(x)
    tc.cast_(model, "bfloat16")
