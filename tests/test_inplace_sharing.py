"""Each kind of sharing against each action: converted, copied, or refused with nothing changed."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch")

import inplace_sharing  # noqa: E402
from inplace_sharing import KINDS, VALUES, Kind, act  # noqa: E402

import tensorcast as tc  # noqa: E402
from tensorcast.inplace import exclusivity  # noqa: E402


def read(reader: Any) -> list[float]:
    values = reader()
    return [v for row in values for v in row] if isinstance(values[0], list) else list(values)


def error_kind(kind: Kind) -> bool:
    return kind.refusal in ("layout", "transformed")


@pytest.mark.parametrize("to", ["float16", "int32", "float64"])
@pytest.mark.parametrize("others", ["refuse", "copy"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.words)
def test_an_action(kind: Kind, others: str, to: str, tmp_path: Path) -> None:
    if kind.needs and not importlib.util.find_spec(kind.needs):
        pytest.skip(f"{kind.needs} is not here")
    with kind.make(tmp_path) as case:
        x = case.tensor
        if x.requires_grad and to == "int32":
            to = "bfloat16"
        dtype, strides = x.dtype, None if error_kind(kind) else x.stride()
        action, error = act(case, others, to)
        assert action == (kind.by_default if others == "refuse" else kind.with_copy), error
        for reader in case.readers:
            assert read(reader) == VALUES
        if action == "refused":
            assert isinstance(error, tc.errors.InPlaceError)
            # torch 2.6 exports a view of the tensor by DLPack, and 2.13 the tensor itself
            same = {"view", "held by torch"}
            assert error.kind == kind.refusal or {error.kind, kind.refusal} == same, error
            assert case.tensor.dtype == dtype
            assert re.search(r"\.$", str(error))
        else:
            assert x is case.tensor
            assert str(x.dtype) == f"torch.{to}"
            assert x.stride() == strides
            assert x.detach().flatten().tolist() == VALUES
        # whoever comes later still reads the same
        other = torch.full((len(VALUES),), 5.0)
        for reader in case.readers:
            assert read(reader) == VALUES
        del other


def test_the_table_of_the_document() -> None:
    assert inplace_sharing.table() in (ROOT / "docs" / "inplace.md").read_text()


def test_the_old_memory_stays_until_its_last_party_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an array stands on the tensor object itself, the object keeps the memory."""
    monkeypatch.setattr("tensorcast.inplace.convert.numpy_is_counted", lambda: False)
    x = torch.tensor(VALUES)
    array = x.numpy()
    with pytest.warns(tc.errors.InPlaceWarning):
        tc.cast_(x, "float16", others="copy")
    assert array.tolist() == VALUES
    assert x._tensorcast_kept.data_ptr() == array.ctypes.data


def test_a_pinned_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    if torch.cuda.is_available():
        x = torch.ones(10, pin_memory=True)
    else:
        print("no CUDA: the answer of is_pinned is made up")
        x = torch.ones(10)
        monkeypatch.setattr(torch.Tensor, "is_pinned", lambda self: True)
    with pytest.raises(tc.errors.InPlaceError, match="pinned memory") as caught:
        tc.cast_(x, "float16")
    assert caught.value.kind == "pinned"
    assert x.tolist() == [1.0] * 10


def test_inside_a_compiled_function() -> None:
    """Refused, or done outside of the graph; never traced."""
    x = torch.arange(10.0)

    @torch.compile(backend="eager")
    def work(y: Any) -> Any:
        tc.cast_(y, "float16")
        return y * 2

    try:
        work(x)
    except Exception:
        assert x.dtype == torch.float32
    assert x.tolist() == list(range(10))


def test_under_a_device_context() -> None:
    x = torch.arange(10.0)
    with torch.device("meta"):
        tc.cast_(x, "float16")
    assert (x.device.type, x.dtype) == ("cpu", torch.float16)
    assert x.tolist() == list(range(10))


def test_this_torch_tells() -> None:
    assert not isinstance(exclusivity.find_interface(), str)


@pytest.mark.parametrize(
    ("owner", "name", "told"),
    [
        (torch._C, "_storage_Use_Count", "has no torch._C._storage_Use_Count"),
    ],
)
def test_a_missing_interface_refuses(
    owner: Any, name: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(owner, name)
    exclusivity.proved_interface.cache_clear()
    try:
        x = torch.ones(10)
        for others in ("refuse", "copy"):
            with pytest.raises(tc.errors.InPlaceError, match=told) as caught:
                tc.cast_(x, "float16", others=others)  # type: ignore[arg-type]
            assert caught.value.kind == "unknown torch"
        assert x.tolist() == [1.0] * 10
    finally:
        monkeypatch.undo()
        exclusivity.proved_interface.cache_clear()


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (lambda cdata: 2, "does not tell by its use counts of a detached tensor"),
        (iter(range(2, 10**9)).__next__, "."),
    ],
)
def test_counts_that_do_not_tell_refuse(
    count: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Count:  # no Python function, which would be refused for that
        def __call__(self, cdata: int) -> int:
            return int(count(cdata) if count.__class__.__name__ == "function" else count())

    monkeypatch.setattr(torch._C, "_storage_Use_Count", Count())
    exclusivity.proved_interface.cache_clear()
    try:
        found = exclusivity.find_interface()
        assert isinstance(found, str)
        assert re.search(told, found)
    finally:
        monkeypatch.undo()
        exclusivity.proved_interface.cache_clear()


INTERRUPTED = """
import os, signal, sys, threading, time, torch
import tensorcast as tc
n, target, n_tries = 4 << 20, sys.argv[1], int(sys.argv[2])
tc.cast_(torch.ones(1 << 20), target)
begin = time.perf_counter()
tc.cast_(torch.full((n,), 3.0), target)
whole = (time.perf_counter() - begin) * 1.3
counts = {"old": 0, "new": 0}
for i in range(n_tries):
    x = torch.full((n,), 3.0)
    x[-1] = 5
    timer = threading.Timer(whole * i / n_tries, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        tc.cast_(x, target)
        timer.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        pass
    else:
        print("not interrupted")
    timer.join()
    old = x.dtype == torch.float32
    counts["old" if old else "new"] += 1
    assert old or x.dtype == getattr(torch, target), x.dtype
    assert bool((x[:-1] == 3).all()) and x[-1] == 5, "broken"
    tc.cast_(x, "bfloat16")
print(counts["old"], counts["new"])
"""


@pytest.mark.parametrize("target", ["float16", "int32", "float64"])
def test_interrupts_at_many_points(target: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, target, "30"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    old, new = map(int, done.stdout.splitlines()[-1].split())
    assert old + new == 30
    assert new > 0


def test_an_interrupt_between_tensors_of_a_module() -> None:
    """All of a module is one step too."""
    script = """
import os, signal, threading, time, torch
import tensorcast as tc
def made():
    net = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(24)])
    return net.requires_grad_(False)
begin = time.perf_counter()
tc.cast_(made(), "float16")
whole = (time.perf_counter() - begin) * 1.2
for i in range(20):
    net = made()
    total = sum(float(p.half().double().sum()) for p in net.parameters())
    timer = threading.Timer(whole * i / 20, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        tc.cast_(net, "float16")
        timer.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        pass
    timer.join()
    dtypes = {p.dtype for p in net.parameters()}
    assert len(dtypes) == 1, dtypes
    assert total == sum(float(p.half().double().sum()) for p in net.parameters())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def _hold(x: Any, ready: Any) -> None:
    assert x.sum().item() == sum(VALUES)
    ready.set()
    time.sleep(600)


def test_a_killed_worker_changes_nothing() -> None:
    """The memory that a worker shares is refused while it lives and after it was killed."""
    context = torch.multiprocessing.get_context("spawn")
    x = torch.tensor(VALUES).share_memory_()
    ready = context.Event()
    worker = context.Process(target=_hold, args=(x, ready), daemon=True)
    worker.start()
    assert ready.wait(120)
    for kill in (False, True):
        if kill:
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
        with pytest.raises(tc.errors.InPlaceError, match="another process would read") as caught:
            tc.cast_(x, "float16")
        assert caught.value.kind == "shared memory"
        assert x.tolist() == VALUES
    with pytest.warns(tc.errors.InPlaceWarning, match="shared between processes"):
        tc.cast_(x, "float16", others="copy")
    assert x.tolist() == VALUES


def test_threads_that_look_meanwhile() -> None:
    """Another thread that makes views all the time sees old values or new ones, never others."""
    stop = threading.Event()
    holder = {"x": torch.full((1 << 18,), 3.0)}
    seen: set[float] = set()

    def look() -> None:
        while not stop.is_set():
            view = holder["x"][7:]
            seen.update(view[::4096].tolist())
            del view

    thread = threading.Thread(target=look)
    thread.start()
    n_converted = 0
    try:
        for i in range(300):
            try:
                tc.cast_(holder["x"], ("float16", "float32", "int32")[i % 3])
                n_converted += 1
            except tc.errors.InPlaceError:
                continue
    finally:
        stop.set()
        thread.join()
    assert seen == {3.0}
    assert n_converted > 0


@pytest.mark.parametrize("mode", ["hooks", "on the CPU", "functions", "device"])
def test_what_a_thread_has_entered_is_no_reason_to_refuse_its_first_cast(mode: str) -> None:
    from torch.overrides import TorchFunctionMode

    calls: list[Any] = []

    class Passes(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, _: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            calls.append(function)
            return function(*args, **(kwargs or {}))

    graph = torch.autograd.graph
    modes: dict[str, Any] = {
        "hooks": lambda: graph.saved_tensors_hooks(lambda x: x + 0, lambda x: x),
        "on the CPU": graph.save_on_cpu,
        "functions": Passes,
        "device": lambda: torch.device("meta"),
    }
    x = torch.ones(4096)
    shared = torch.ones(4096)
    view = shared[1:]
    exclusivity.proved_interface.cache_clear()
    with modes[mode]():
        assert tc.cast_(x, "float16") is x
        with pytest.raises(tc.errors.InPlaceError, match="shares its memory"):
            tc.cast_(shared, "float16")
    assert x.dtype == torch.float16
    assert x.tolist() == [1.0] * 4096
    assert view.dtype == torch.float32
    assert not any("backward" in str(call) for call in calls)  # of the self-test


@pytest.mark.parametrize("transform", ["vmap", "grad", "functionalize", "make_fx", "fake"])
def test_the_first_cast_inside_a_transform_says_what_is_wrong(transform: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    outer = torch.ones(4096)

    def program(x: Any) -> Any:
        with pytest.raises(tc.errors.InPlaceError, match="is being traced or transformed"):
            tc.cast_(outer, "float16")
        return (x * 2).sum()

    exclusivity.proved_interface.cache_clear()
    x = torch.ones(2, 2)
    if transform == "fake":
        with FakeTensorMode() as mode:
            program(mode.from_tensor(x))
    elif transform == "make_fx":
        make_fx(program)(x)
    else:
        getattr(torch.func, transform)(program)(x)
    assert tc.cast_(outer, "float16") is outer
