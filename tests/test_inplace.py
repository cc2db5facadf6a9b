"""`cast_` of single tensors: the values of `cast`, the same object, memory that never doubles."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402
from tensorcast.formats import FORMATS  # noqa: E402
from tensorcast.policy import ROUNDINGS  # noqa: E402


def torch_dtypes() -> dict[str, Any]:
    found = {}
    for name, row in FORMATS.items():
        dtype = getattr(torch, row.spellings.get("torch", ""), None)
        if isinstance(dtype, torch.dtype):
            found[name] = dtype
    return found


DTYPES = torch_dtypes()


def bits(x: Any) -> bytes:
    """The codes of a tensor in C order."""
    x = x.detach()
    if x.numel() == 0:
        return b""
    if not x.is_contiguous():
        x = tensor_on(x.untyped_storage(), x.element_size(), x)
    return ctypes.string_at(x.data_ptr(), x.numel() * x.element_size())


def tensor_on(storage: Any, size: int, like: Any) -> Any:
    """The elements as unsigned integers, contiguous: torch copies no exotic dtypes."""
    plain = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
    view = torch.empty(0, dtype=plain[size])
    view.set_(storage, like.storage_offset(), like.shape, like.stride())
    return view.contiguous()


def values(name: str, n: int, seed: int = 1) -> Any:
    """n elements of a format, from normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=generator, dtype=torch.float32) * 3
    return tc.cast(x, name, overflow="saturate")


def policy_for(source: str, target: str) -> dict[str, Any]:
    return {"overflow": "saturate", "nan": "zero"}


@pytest.mark.parametrize("source", DTYPES)
def test_the_values_of_cast(source: str) -> None:
    for target in DTYPES:
        for n in (0, 2, 40_002):
            x = values(source, n)
            if FORMATS[source].is_complex and not FORMATS[target].is_complex and target != "bool":
                with pytest.raises(tc.errors.CastError, match="imaginary"):
                    tc.cast_(x, target)
                continue
            options = policy_for(source, target)
            expected = tc.cast(x, target, **options)
            wanted = bits(expected)
            del expected
            address, pairs = x.data_ptr(), "float4_e2m1fn" in (source, target)
            same_width = DTYPES[source].itemsize == DTYPES[target].itemsize and not pairs
            held = x
            assert tc.cast_(x, target, **options) is held
            assert held.dtype == DTYPES[target]
            assert bits(x) == wanted, (source, target, n)
            if same_width:
                assert x.data_ptr() == address, (source, target)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("target", ["float16", "int8", "int32", "float64"])
def test_every_rounding_in_every_layout(rounding: Any, target: str) -> None:
    for shape in ((70_000,), (300, 301), (3, 40, 50)):
        for layout in ("dense", "transposed", "gaps", "offset"):
            x = torch.randn(shape) * 50
            if layout == "transposed":
                x = x.transpose(0, -1).data
            elif layout == "gaps":
                block = torch.randn(*shape, 3)
                x = torch.empty(0).set_(block.untyped_storage(), 1, shape, block.stride()[:-1])
                del block
            elif layout == "offset":
                x = x[1:].data
            options = {"rounding": rounding, "overflow": "saturate", "seed": 7}
            expected = tc.cast(x, target, **options)
            strides, shape_then = x.stride(), x.shape
            tc.cast_(x, target, **options)
            assert torch.equal(x, expected), (shape, layout)
            assert (x.stride(), x.shape) == (strides, shape_then)


def test_a_value_with_several_indices() -> None:
    one = torch.full((1,), 0.3)
    x = torch.empty(0).set_(one.untyped_storage(), 0, (5,), (0,))
    del one
    with pytest.raises(tc.errors.InPlaceError, match="several indices"):
        tc.cast_(x, "bfloat16", rounding="stochastic")
    assert tc.cast_(x, "float16").tolist() == [torch.tensor(0.3).half().item()] * 5
    assert x.stride() == (0,)


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="torch has no float4_e2m1fn_x2")
def test_pairs_to_a_byte() -> None:
    x = values("float32", 40).reshape(5, 8).data
    expected = tc.cast(x, "float4_e2m1fn", overflow="saturate")
    tc.cast_(x, "float4_e2m1fn", overflow="saturate")
    assert x.shape == (5, 4)
    assert bits(x) == bits(expected)
    tc.cast_(x, "float32")
    assert x.shape == (5, 8)
    assert torch.equal(x, tc.cast(expected, "float32"))
    x = torch.zeros(5, 7)
    with pytest.raises(tc.errors.CastError, match="two elements to a byte"):
        tc.cast_(x, "float4_e2m1fn")
    assert x.dtype == torch.float32
    x = torch.zeros(4, 6).t().data
    with pytest.raises(tc.errors.CastError, match="contiguous"):
        tc.cast_(x, "float4_e2m1fn")


@pytest.mark.parametrize(
    ("value", "to", "options", "error"),
    [
        (1e6, "float16", {}, tc.errors.CastOverflowError),
        (float("nan"), "int8", {"overflow": "saturate"}, tc.errors.CastNanError),
        (float("inf"), "int8", {"overflow": "wrap"}, tc.errors.CastOverflowError),
        (0.1, "float16", {"exact": True}, tc.errors.InexactCastError),
        (0.1, "int32", {"exact": True}, tc.errors.InexactCastError),  # of the same width
        (0.0, "float16", {"overflow": "wrap"}, tc.errors.PolicyError),
        (0.0, "nonsense", {}, tc.errors.FormatError),
    ],
)
def test_a_refused_value_leaves_the_tensor(value: float, to: str, options: Any, error: Any) -> None:
    x = torch.arange(100_000.0) % 7
    x[99_999] = value
    before, address, held = bits(x), x.data_ptr(), x
    with pytest.raises(error):
        tc.cast_(x, to, **options)
    assert x is held
    assert (x.dtype, x.data_ptr()) == (torch.float32, address)
    assert bits(x) == before


def test_the_first_refused_value_is_shown() -> None:
    x = torch.zeros(3, 4)
    x[2, 1] = 70_000
    with pytest.raises(tc.errors.CastOverflowError, match=r"it is 70000 at \[2, 1\]"):
        tc.cast_(x, "float16")


def test_the_loss() -> None:
    for n in (0, 5, 100_000):
        x = torch.randn(n) * 1000
        for to in ("float16", "int32", "float64", "float32"):
            expected = tc.measure(x, to, overflow="saturate")
            y = x.clone()
            result, loss = tc.cast_(y, to, overflow="saturate", report=True)
            assert result is y
            assert loss == expected


def test_every_reference_sees_it() -> None:
    x = torch.randn(5)
    holder = {"a": [x]}
    tc.cast_(x, "bfloat16")
    assert holder["a"][0].dtype == torch.bfloat16
    for to in ("int16", "float16", "float32", "int32", "float64"):  # again and again
        assert tc.cast_(x, to, overflow="saturate") is x
    assert x.dtype == torch.float64


def test_nothing_to_do_is_nothing_done() -> None:
    x = torch.randn(5)
    view = x[1:]  # of no matter
    address = x.data_ptr()
    assert tc.cast_(x, "float32") is x
    assert (x.data_ptr(), view.data_ptr()) == (address, address + 4)


def test_a_parameter_stays_one() -> None:
    p = torch.nn.Parameter(torch.randn(10))
    calls = []
    p.register_hook(lambda g: calls.append(g.dtype))
    tc.cast_(p, "bfloat16")
    assert isinstance(p, torch.nn.Parameter)
    assert (p.dtype, p.requires_grad, p.is_leaf) == (torch.bfloat16, True, True)
    (p * 2).sum().backward()
    assert p.grad.dtype == torch.bfloat16
    assert calls == [torch.bfloat16]


def test_the_gradient_comes_along() -> None:
    p = torch.nn.Parameter(torch.randn(10))
    (p * p).sum().backward()
    gradient = p.grad
    expected = tc.cast(gradient, "float16")
    tc.cast_(p, "float16")
    assert p.grad is gradient
    assert torch.equal(gradient, expected)
    (p * p).sum().backward()
    assert p.grad.dtype == torch.float16


def test_a_refused_gradient_leaves_both() -> None:
    p = torch.nn.Parameter(torch.ones(10))
    p.grad = torch.full((10,), 1e6)
    with pytest.raises(tc.errors.CastOverflowError, match=r"'\.grad'"):
        tc.cast_(p, "float16")
    assert (p.dtype, p.grad.dtype) == (torch.float32, torch.float32)
    assert p.grad[0] == 1e6


def test_no_gradient_to_integers() -> None:
    p = torch.nn.Parameter(torch.ones(10))
    with pytest.raises(tc.errors.InPlaceError, match="requires grad") as caught:
        tc.cast_(p, "int8")
    assert caught.value.kind == "requires grad"
    assert p.dtype == torch.float32


def test_only_tensors() -> None:
    import numpy as np

    with pytest.raises(
        tc.errors.CastError, match=r"numpy\.ndarray cannot change its format in place"
    ):
        tc.cast_(np.zeros(3), "float16")
    with pytest.raises(tc.errors.PolicyError, match="others='no' is not one of refuse, copy"):
        tc.cast_(torch.zeros(3), "float16", others="no")  # type: ignore[arg-type]


def test_failing_allocations_do_not_stop_it() -> None:
    """After the point of no return the kernels do without memory."""
    from tensorcast.inplace import convert

    for source, target in (("float32", "float16"), ("float16", "float64"), ("int16", "complex64")):
        x = values(source, 17_000_000)
        expected = tc.cast(x, target)
        convert.convert_all(
            [convert.Wish("", x, FORMATS[target])], tc.policy.Policy(), n_failures=3
        )
        assert torch.equal(x, expected)


@pytest.mark.parametrize("attribute", ["empty", "zeros"])
def test_no_memory_before_is_nothing_done(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every allocation of a tensor before the point of no return, failing in turn."""
    tc.cast_(torch.ones(1), "float16")  # the interface was tried
    real = getattr(torch, attribute)
    n_calls = 0
    for fails_at in range(1, 20):
        x, y = torch.arange(1000.0), torch.arange(1000.0)
        calls = iter(range(1, 100))

        def fail(*args: Any, **kw: Any) -> Any:
            if next(calls) == fails_at:  # noqa: B023
                raise MemoryError
            return real(*args, **kw)

        monkeypatch.setattr(torch, attribute, fail)
        try:
            tc.cast_(x, "float16")
        except MemoryError:
            n_calls += 1
            assert x.dtype == torch.float32
            assert torch.equal(x, y)
            monkeypatch.undo()
            tc.cast_(x, "float16")  # nothing of the failed call is in the way
        monkeypatch.undo()
        assert torch.equal(x, y.half())
    assert n_calls >= 1 or attribute != "empty"


PEAK = """
import sys, torch
import tensorcast as tc
def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1]) * 1024
source, target, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"overflow": "saturate"} if sys.argv[4] == "unchecked" else {}
tc.cast_(torch.ones(1 << 20), "float16")
before = status("VmRSS")
x = torch.empty(n, dtype=getattr(torch, source))
x.fill_(3)
x[-1] = 5
larger = max(x.nbytes, n * getattr(torch, target).itemsize)
open("/proc/self/clear_refs", "w").write("5")  # the peak starts anew
tc.cast_(x, target, **options)
assert x[0] == 3 and x[-1] == 5 and x[n // 2] == 3 and x.dtype == getattr(torch, target)
print(status("VmHWM") - before - larger, status("VmRSS") - before - x.nbytes)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="no /proc/self/clear_refs")
@pytest.mark.parametrize(
    ("source", "target", "policy"),
    [
        ("float32", "float16", "checked"),
        ("float32", "int32", "checked"),
        ("float32", "uint8", "unchecked"),
        ("int32", "int64", "unchecked"),
    ],
)
def test_the_peak_of_a_fresh_process(source: str, target: str, policy: str) -> None:
    script = [sys.executable, "-c", PEAK, source, target, str(96 << 20), policy]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    over, left = map(int, done.stdout.split())
    assert over <= 80 << 20  # a chunk, and less than the smaller of both
    assert left <= 32 << 20
