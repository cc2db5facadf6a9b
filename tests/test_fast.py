"""The fast entry: what it takes, it does as the general way does; the rest it declines."""

from __future__ import annotations

import copy
import gc
import inspect
import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.kernels.fast import tried_first

torch = pytest.importorskip("torch")
ml_dtypes = pytest.importorskip("ml_dtypes")

FORMATS = ("float32", "float16", "bfloat16", "float64", "int32", "int8", "uint8", "bool",
           "float8_e4m3fn", "complex64")  # fmt: skip


def declines(*arguments: object, **options: object) -> Any:
    """What C makes of a cast, or NotImplemented."""
    return NotImplemented


def signed_as(like: Any, function: Any) -> Any:
    function.__signature__ = inspect.signature(like)
    return function


fast: Any = tried_first("cast")(signed_as(tc.cast, declines))
general: Any = tc.cast.__wrapped__


needs_exchange = pytest.mark.skipif(
    fast(torch.ones(1), "float16") is NotImplemented, reason="this torch has no exchange API"
)


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert tuple(found.shape) == tuple(expected.shape)
    if isinstance(found, np.ndarray):
        assert found.strides == expected.strides
        assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()
    else:
        assert found.stride() == expected.stride()
        raw = [t.contiguous().reshape(-1).view(torch.uint8) for t in (found, expected)]
        assert torch.equal(*raw)


def layouts(x: Any) -> list[Any]:
    """x of shape (2, 3, 40): whole, transposed, with gaps, reversed, empty, one element, 0-d."""
    flipped = [x[:, ::-1]] if isinstance(x, np.ndarray) else []
    swapped = x.transpose(2, 0, 1) if isinstance(x, np.ndarray) else x.permute(2, 0, 1)
    return [x, swapped, x[:, 1:, ::2], x[:0], x[:1, :1, :1], x[0, 0, 0:1].reshape(()), *flipped]


@needs_exchange
@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_results_are_those_of_the_general_way(library: str, source: str) -> None:
    numbers = np.random.default_rng(1).integers(0, 2, (2, 3, 40)).astype(np.float32)
    x: Any = general(numbers, source) if source != "float32" else numbers
    if library == "torch":
        x = torch.from_numpy(x.view(np.uint8)).view(getattr(torch, source)).reshape(2, 3, 40)
    for target in FORMATS:
        if source == "complex64" and target not in ("complex64", "bool"):
            assert fast(x, target) is NotImplemented
            continue
        for view in layouts(x):
            for options in ({}, {"overflow": "saturate", "rounding": "stochastic", "seed": 5}):
                expected = general(view, target, **options)
                if source == target:
                    assert fast(view, target, **options) is NotImplemented
                else:
                    same(fast(view, target, **options), expected)
                if isinstance(view, np.ndarray) and view.ndim == 0:
                    continue
                out = expected.copy() if library == "numpy" else torch.empty_like(expected)
                assert fast(view, target, out=out, **options) is out
                same(out, general(view, target, out=out.copy() if library == "numpy"
                                  else torch.empty_like(out), **options))  # fmt: skip


@needs_exchange
@pytest.mark.parametrize("n", [4, 3000, 100_000])
def test_a_refusal_writes_nothing_and_is_declined(n: int) -> None:
    for x, out in (
        (torch.full((n,), 300.0), torch.full((n,), 7, dtype=torch.int8)),
        (np.full(n, np.nan, np.float32), np.full(n, 7, np.int8)),
    ):
        assert fast(x, "int8") is NotImplemented
        assert fast(x, "int8", out=out) is NotImplemented
        assert (out == 7).all()
        with pytest.raises(tc.errors.CastError):
            tc.cast(x, "int8", out=out)
        assert (out == 7).all()
    infinite = torch.tensor([np.inf])
    assert fast(infinite, "int8", overflow="wrap") is NotImplemented


def grown() -> Any:
    x = torch.ones(4)
    x.untyped_storage().resize_(0)
    return x


UNUSUAL: dict[str, Callable[[], Any]] = {
    "a list": lambda: [1.0],
    "requires_grad": lambda: torch.ones(3, requires_grad=True),
    "with a gradient function": lambda: torch.ones(3, requires_grad=True) * 2,
    "a parameter": lambda: torch.nn.Parameter(torch.ones(3)),
    "a conjugate": lambda: torch.ones(3, dtype=torch.complex64).conj(),
    "negated lazily": lambda: torch.ones(3, dtype=torch.complex64).conj().imag,
    "negated lazily, contiguous": lambda: torch._neg_view(torch.ones(3)),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "meta": lambda: torch.ones(3, device="meta"),
    "mkldnn": lambda: torch.ones(3).to_mkldnn(),
    "all zeros without memory": lambda: torch._efficientzerotensor(3),
    "memory given back": grown,
    "int4": lambda: torch.empty(4, dtype=torch.uint8).view(torch.int4),
    "packed float4": lambda: torch.empty(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
    "many dimensions": lambda: torch.ones((1,) * 20),
    "an array of the other byte order": lambda: np.ones(3, np.dtype(np.float32).newbyteorder()),
    "a masked array": lambda: np.ma.masked_array([1.0]),
    "objects": lambda: np.array([1.0], object),
    "a NumPy scalar": lambda: np.float32(1),
    "records": lambda: np.zeros(2, "f4,f4"),
    "NumPy int4": lambda: np.zeros(2, ml_dtypes.int4),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_not_plain_is_declined(name: str) -> None:
    x = UNUSUAL[name]()
    references = sys.getrefcount(x)
    assert fast(x, "float64") is NotImplemented
    assert fast(torch.ones(3, dtype=torch.float64), "float32", out=x) is NotImplemented
    assert sys.getrefcount(x) == references


@needs_exchange
def test_modes_and_transforms_are_declined() -> None:
    from torch.autograd import forward_ad
    from torch.utils.flop_counter import FlopCounterMode

    seen = []

    def look(v: Any) -> Any:
        seen.append(fast(v, "float64"))
        return v

    torch.func.vmap(look)(torch.ones(2, 3))
    torch.func.jvp(look, (torch.ones(3),), (torch.ones(3),))
    torch.func.functionalize(look)(torch.ones(3))
    with FlopCounterMode(display=False):
        look(torch.ones(3))
    with forward_ad.dual_level():
        look(forward_ad.make_dual(torch.ones(3), torch.ones(3)))
    torch.jit.trace(lambda v: look(v) * 2, torch.ones(3), check_trace=False)
    assert seen
    assert all(result is NotImplemented for result in seen)
    with torch.inference_mode():
        assert fast(torch.ones(3), "float64").is_inference()


@needs_exchange
def test_function_modes_see_the_cast_itself() -> None:
    seen = []

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (),
                               kwargs: Any = None) -> Any:  # fmt: skip
            seen.append(function)
            return function(*args, **(kwargs or {}))

    x = torch.ones(3)
    with Mode():
        made = tc.cast(x, "float16")
    assert seen == [tc.cast]
    assert made.equal(x.half())
    with torch.device("meta"):
        assert tc.cast(x, "float16").device.type == "cpu"


WITHOUT_C_FUNCTIONS = """
import torch, tensorcast as tc
if {without}:
    torch._C._dispatch_key_parse = lambda name: -1
x = torch.randn(3, 4)
for view in (x, x.t(), x[:, ::2], x[:0], x[0, 0]):
    for target in (torch.float16, torch.int8, torch.complex64, torch.float64):
        if target is not torch.float64 and target is not torch.int8:
            assert torch.equal(tc.cast(view, target), view.to(target))
        made, expected = tc.cast(view, target, overflow="saturate"), view.to(target)
        assert made.stride() == expected.stride() and made.dtype == target
        out = torch.empty_like(expected)
        version = out._version
        assert tc.cast(view, target, overflow="saturate", out=out) is out
        assert torch.equal(out, made) and out._version == version + 1
assert tc.cast(torch._neg_view(x), torch.float16).equal((-x).half())
z = torch.complex(x, x).conj()
assert tc.cast(z.imag, torch.float16).equal((-x).half())
assert tc.cast(z, torch.complex128).equal(z.to(torch.complex128))
try:
    tc.cast(x.double(), torch.float32, out=torch._neg_view(torch.zeros(3, 4)))
except tc.errors.CastError as error:
    assert "out is a lazy conjugate or negative" in str(error)
else:
    raise AssertionError("written into a negated tensor")
leaf = x.clone().requires_grad_()
tc.cast(leaf, torch.float64).sum().backward()
assert leaf.grad.equal(torch.ones(3, 4))
with torch.inference_mode():
    made, out = tc.cast(x, torch.float16), torch.zeros(3, 4).half()
    assert made.is_inference() and tc.cast(x, torch.float16, out=out).equal(x.half())
assert tc.cast(-x, torch.float16, out=out).equal(-x.half())  # has no version to count
traced = torch.jit.trace(lambda v: tc.cast(v, torch.float16) * 2, x, check_trace=False)
assert traced(x + 1).equal((x + 1).half() * 2)
print("fine")
"""


@needs_exchange
@pytest.mark.parametrize("without", [False, True])
def test_with_and_without_the_c_functions_of_torch(without: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_C_FUNCTIONS.format(without=without)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout == "fine\n", done.stderr


@needs_exchange
def test_outputs_that_do_not_fit_are_declined() -> None:
    x = torch.arange(8.0)
    both = torch.zeros(8)
    for out in (
        torch.empty(7, dtype=torch.float16),
        torch.empty(8, dtype=torch.float32),
        torch.empty(1, dtype=torch.float16).expand(8),
        torch.empty(16, dtype=torch.float16)[::2],
        x.view(torch.float16)[:8],
        np.empty(8, np.float16),
        "text",
    ):
        assert fast(x, "float16", out=out) is NotImplemented
    assert fast(both, "float32", out=both) is NotImplemented
    locked = np.empty(8, np.float16)
    locked.flags.writeable = False
    assert fast(np.ones(8), "float16", out=locked) is NotImplemented


@pytest.mark.parametrize(
    "options",
    [
        {"overflow": "nothing"},
        {"overflow": 3},
        {"rounding": "upward"},
        {"nan": None},
        {"exact": True},
        {"exact": 0},
        {"seed": -1},
        {"seed": 1 << 64},
        {"seed": "1"},
        {"overflow": "wrap"},
        {"memory_format": torch.contiguous_format},
        {"device": "cpu"},
        {"report": True},
        {"packed": True},
        {"pin_memory": True},
    ],
    ids=str,
)
def test_other_arguments_are_declined(options: dict[str, object]) -> None:
    assert fast(torch.ones(3), "float16", **options) is NotImplemented


@pytest.mark.parametrize("to", ["float17", "int4", 5, [], None, object(), "", "torch"])
def test_targets_that_are_no_format_are_declined(to: object) -> None:
    assert fast(torch.ones(3), to) is NotImplemented
    assert fast(np.ones(3), to) is NotImplemented


def test_cast_is_what_its_function_is() -> None:
    function = tc.cast.__wrapped__
    assert inspect.signature(tc.cast) == inspect.signature(function)
    assert inspect.isroutine(tc.cast)
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(tc.cast, name) == getattr(function, name)
    assert pickle.loads(pickle.dumps(tc.cast)) is tc.cast
    assert copy.copy(tc.cast) is copy.deepcopy(tc.cast) is tc.cast
    assert weakref.ref(tc.cast)() is tc.cast
    assert "cast" in repr(tc.cast)


@pytest.mark.parametrize("arguments", [
    ((), {}),
    ((np.ones(2),), {}),
    ((np.ones(2), "float16", "raise"), {}),
    ((np.ones(2), "float16"), {"to": "int8"}),
    ((), {"x": np.ones(2)}),
    ((np.ones(2), "float16"), {"overflows": "raise"}),
    ((np.ones(2), "float16"), {"o": "raise"}),
], ids=str)  # fmt: skip
def test_wrong_arguments_raise_what_the_function_raises(arguments: Any) -> None:
    positional, keywords = arguments
    with pytest.raises(TypeError) as expected:
        tc.cast.__wrapped__(*positional, **keywords)
    with pytest.raises(TypeError) as found:
        tc.cast(*positional, **keywords)
    assert str(found.value) == str(expected.value)


@needs_exchange
def test_arguments_may_have_names_in_any_order() -> None:
    x, out = torch.tensor([1e9, 1.9]), torch.empty(2, dtype=torch.int8)
    call: dict[str, Any] = {"nan": "zero", "out": out, "to": "int8", "x": x}
    call |= {"overflow": "saturate", "rounding": "up"}
    assert fast(**call) is out
    assert out.tolist() == [127, 2]
    built = {"".join([name[:1], name[1:]]): value for name, value in call.items()}
    assert fast(**built) is out
    assert fast.__call__(x, to="float64") is NotImplemented  # the slot goes to the function


def test_as_an_attribute_it_binds() -> None:
    class Holder:
        method = tried_first("cast")(signed_as(tc.cast, lambda self, to="int8": (self, to)))

    holder = Holder()
    assert holder.method("x") == (holder, "x")
    assert Holder.method is Holder.__dict__["method"]


def test_an_entry_in_a_cycle_is_collected() -> None:
    def function(x: object, to: object) -> object:
        return x

    entry = tried_first("cast")(signed_as(tc.cast, function))
    function.__dict__["itself"] = entry
    gone = weakref.ref(entry)
    del entry, function
    gc.collect()
    assert gone() is None


def test_a_function_without_an_argument_that_c_reads_is_refused() -> None:
    """Its own way would otherwise be all that is ever called."""
    with pytest.raises(TypeError, match="differ in device, exact"):
        tried_first("cast")(lambda x, to: (x, to))
    with pytest.raises(TypeError, match="differ in copy, data"):
        tried_first("as_tensor")(signed_as(tc.cast, declines))


def test_entries_refuse_what_is_no_signature() -> None:
    from tensorcast import _core

    for arguments in (
        (0, len, ("a",) * 13, (), 1),
        (9, len, ("a",), (), 1),
        (0, len, ("a",), (1, 2), 1),
    ):
        with pytest.raises(ValueError, match="out of range"):
            _core.entry(*arguments)


@needs_exchange
def test_a_policy_built_at_run_time_is_understood() -> None:
    overflow, rounding = "-".join(["saturate"]), "".join(["toward", "-zero"])
    result = fast(torch.tensor([1e9, 1.9]), "int8", overflow=overflow, rounding=rounding)
    assert result.tolist() == [127, 1]


@needs_exchange
def test_writing_into_a_tensor_that_backward_needs_is_noticed() -> None:
    saved, factor = torch.ones(3), torch.ones(3, requires_grad=True)
    product = (factor * saved).sum()
    assert fast(torch.zeros(3, dtype=torch.float64), "float32", out=saved) is saved
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


@needs_exchange
def test_results_are_ordinary_tensors() -> None:
    result = fast(torch.ones(2, 3), torch.float16)
    assert result.untyped_storage().resizable()
    result.resize_(100)
    assert result._base is None
    assert not result.requires_grad


@needs_exchange
def test_references_are_exact() -> None:
    x, out, to = torch.arange(4.0), torch.empty(4, dtype=torch.float16), torch.float16
    a, b = np.arange(4.0), np.empty(4, np.float16)
    bad = torch.full((4,), 1e9)
    objects = (x, out, to, a, b, bad)
    for _ in range(3):  # whatever is remembered is remembered
        fast(x, to), fast(a, to)
    before = [sys.getrefcount(o) for o in objects]
    for _ in range(100):
        fast(x, to), fast(x, to, out=out), fast(a, to), fast(a, to, out=b)
        fast(bad, to), fast(bad, to, out=out), fast(x, to, out=b), fast(x, to, exact=True)
    # torch.float16 is everyone's: what else runs may hold it once more, and not once a call
    after = [sys.getrefcount(o) for o in objects]
    assert abs(after.pop(2) - before.pop(2)) < 50
    assert after == before


@needs_exchange
@pytest.mark.parametrize("n", [20_000, pytest.param(1_000_000, marks=pytest.mark.exhaustive)])
def test_memory_stays_flat(n: int) -> None:
    def resident() -> int:
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc/self/statm here")
    x, out = torch.arange(16.0), torch.empty(16, dtype=torch.float16)
    a, bad = np.arange(16.0), torch.full((4,), 1e9)

    def soak(rounds: int) -> None:
        for _ in range(rounds):
            fast(x, "float16"), fast(x, "float16", out=out), fast(a, "int8"), fast(bad, "int8")

    soak(2000)
    before = resident()
    soak(n // 4)
    assert resident() - before < 2 << 20


@needs_exchange
def test_many_threads_cast_one_tensor() -> None:
    x = torch.randn(200_000)
    expected = general(x, "float16")
    wrong = []

    def work() -> None:
        for n in (4, 5000, 200_000):
            for _ in range(5):
                if not torch.equal(fast(x[:n], "float16"), expected[:n]):
                    wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@needs_exchange
def test_large_results_with_and_without_huge_pages() -> None:
    x = torch.randn(5_000_000)
    before = tc.memory.huge_pages(False)
    try:
        expected = fast(x, "float16")
        assert tc.memory.huge_pages(True) is False
        assert tc.memory.huge_pages() is True
        same(fast(x, "float16"), expected)
        same(fast(x.numpy(), "float16"), expected.numpy())
    finally:
        tc.memory.huge_pages(before)


def test_huge_pages_are_switched_off_by_the_environment() -> None:
    code = "import tensorcast as tc; print(tc.memory.huge_pages())"
    for value, printed in (("0", "False"), ("1", "True")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TENSORCAST_HUGE_PAGES": value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == printed


SUBINTERPRETERS = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
from tensorcast.kernels import cpu
from tensorcast.formats import FORMATS
from tensorcast.policy import Policy
from tensorcast.api.casts import cast
source, target = FORMATS["float32"], FORMATS["float16"]
policy = Policy(overflow="saturate").resolve(source, target)
for n in (4, 1 << 18):  # alone, and on the threads of the pool, which all interpreters share
    out = bytearray(b"x") * (2 * n)
    cpu.cast_chunk(bytes(4 * n), out, source, target, policy, n)
    assert not any(out)
try:
    cast(1, "float16")
except Exception as error:
    assert type(error).__name__ == "CastError", error
else:
    raise AssertionError
'''
import threading
def work():
    for _ in range(3):
        interpreter = interpreters.create()
        failed = interpreters.run_string(interpreter, code)
        assert failed is None, failed
        interpreters.destroy(interpreter)
exec(code)  # first: CPython 3.12 itself crashes where a subinterpreter is first to import decimal
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
exec(code)
print("done")
"""


def test_subinterpreters() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SUBINTERPRETERS],
        env={**os.environ, "TENSORCAST_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "No module named" in done.stderr and "interpreters" in done.stderr:
        pytest.skip("this Python has no module for subinterpreters")
    assert done.stdout.strip() == "done", done.stderr
