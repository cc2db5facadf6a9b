"""Conversions in a device's memory: their steps on CPU tensors everywhere, and on a GPU's where
there is one."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402
from tensorcast.formats import FORMATS  # noqa: E402
from tensorcast.inplace import device  # noqa: E402
from tensorcast.inplace.blocks import Wish  # noqa: E402

PAIRS = [
    ("float32", "float16"),
    ("float32", "int32"),
    ("float32", "float8_e4m3fn"),
    ("float16", "float32"),
    ("bfloat16", "float16"),
    ("int32", "int64"),
    ("int8", "float64"),
]


def jobs_of(x: Any, target: str) -> list[device.DeviceJob]:
    row = FORMATS[target]
    source = str(x.dtype).removeprefix("torch.")
    return [device.DeviceJob(Wish("", x, row), tc.policy.Policy("saturate").resolve(source, row))]


def made(source: str, layout: str) -> Any:
    x = tc.cast(torch.randn(301, 100) * 50, source, overflow="saturate")
    if layout == "transposed":
        return x.t().data
    return x[1:].data if layout == "offset" else x


@pytest.mark.parametrize("chunk_bytes", [64, 4096, 1 << 30])
@pytest.mark.parametrize("layout", ["dense", "transposed", "offset"])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_steps_on_the_cpu(source: str, target: str, layout: str, chunk_bytes: int) -> None:
    if chunk_bytes == 64 and layout != "dense":
        return
    x = made(source, layout)[:40].data if chunk_bytes == 64 else made(source, layout)
    expected = tc.cast(x, target, overflow="saturate")
    strides, held, address = x.stride(), x, x.data_ptr()
    device.convert_on_device(jobs_of(x, target), chunk_bytes)
    assert x is held
    assert x.stride() == strides
    tc.testing.assert_cast_close(x, expected)
    if expected.dtype.itemsize == torch.empty(0, dtype=getattr(torch, source)).element_size():
        assert x.data_ptr() == address


def test_no_room_for_a_wider_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source comes back from the host."""
    x = made("float16", "dense")
    expected = x.clone()
    real = torch.empty

    def full(*args: Any, **kw: Any) -> Any:
        if kw.get("dtype") == torch.float32 and args[0] == x.numel():
            raise RuntimeError("out of memory")
        return real(*args, **kw)

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(RuntimeError, match="out of memory"):
        device.convert_on_device(jobs_of(x, "float32"), 4096)
    monkeypatch.undo()
    assert torch.equal(x, expected)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage is collected: what is raised in its callbacks (hypothesis has one) is lost."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("after", [0.0, 0.05])
def test_an_interrupt_waits(after: float) -> None:
    steps: list[str] = []

    def work() -> None:
        steps.append("begun")
        threading.Event().wait(after)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.2)
        steps.append("done")

    with pytest.raises(KeyboardInterrupt):
        device._uninterrupted(work)
    assert steps == ["begun", "done"]


@pytest.mark.usefixtures("uncollected")
def test_an_interrupt_at_many_points_is_all_or_nothing() -> None:
    for i in range(60):
        steps: list[str] = []

        def work(steps: list[str] = steps) -> None:
            steps.append("begun")
            threading.Event().wait(0.001)
            steps.append("done")

        timer = threading.Timer(i * 5e-5, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            device._uninterrupted(work)
            timer.join()
            threading.Event().wait(0.1)
        except KeyboardInterrupt:
            pass
        timer.join()
        assert steps in ([], ["begun", "done"])


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")


@cuda
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_gpu_holds_the_larger_and_a_chunk(source: str, target: str) -> None:
    n = 128 << 20
    x = tc.cast(torch.full((n,), 3.0, device="cuda"), source)
    larger = max(x.nbytes, n * getattr(torch, target).itemsize)
    same, address = x.nbytes == n * getattr(torch, target).itemsize, x.data_ptr()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() - x.nbytes
    tc.cast_(x, target, overflow="saturate")
    assert torch.cuda.max_memory_allocated() - before <= larger + (256 << 20)
    assert bool((x == 3).all())
    assert x.dtype == getattr(torch, target)
    assert not same or x.data_ptr() == address


@cuda
def test_a_view_on_a_gpu_is_refused() -> None:
    x = torch.ones(10, device="cuda")
    view = x.detach()
    with pytest.raises(tc.errors.InPlaceError):
        tc.cast_(x, "float16")
    assert view.tolist() == [1.0] * 10
    del view
    tc.cast_(x, "float16")
    module = torch.nn.Linear(3, 3, device="cuda")
    tc.cast_(module, "bfloat16")
    assert module.weight.dtype == torch.bfloat16


def test_what_collapses_is_seen_on_a_device() -> None:
    """The look before the conversion, by torch's operations, as elsewhere than on the CPU."""
    for values, to, collapses in (
        ([0.1, 0.2, 3.0], "int8", True),
        ([0.1, 2.0, 3.0], "int8", False),
        ([0.5, -2.0], "bool", True),
        ([1e-9, 1e-9, 1.0], "float16", True),
    ):
        jobs = jobs_of(torch.tensor(values), to)
        assert device.look_on_device(jobs, report=False, watches=True)[""].collapses is collapses
