"""The fast way of as_tensor: what it takes, it does as the function does; the rest it declines."""

from __future__ import annotations

import gc
import inspect
import subprocess
import sys
import threading
from array import array as array_of
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tensorcast as tc
from tensorcast.formats import FORMATS
from tensorcast.kernels.fast import tried_first

torch = pytest.importorskip("torch")


def declines(*arguments: object, **options: object) -> Any:
    """What C makes of the data, or NotImplemented."""
    return NotImplemented


declines.__signature__ = inspect.signature(tc.as_tensor)  # type: ignore[attr-defined]
fast: Any = tried_first("as_tensor")(declines)


def general(data: object, *args: object, **options: object) -> Any:
    return tc.as_tensor.__wrapped__(data, *args, **options)


tc.as_tensor(np.ones(1))  # imports torch where nothing did
needs_torch = pytest.mark.skipif(
    fast(np.ones(1)) is NotImplemented, reason="this torch has no torch_from_blob"
)


def same(found: Any, expected: Any) -> None:
    assert type(found) is torch.Tensor
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    raw = [t.contiguous().reshape(-1).view(torch.uint8) for t in (found, expected)]
    assert torch.equal(*raw)


def unaligned(array: Any) -> Any:
    memory = np.zeros(array.nbytes + 1, np.uint8)
    memory[1:] = array.reshape(-1).view(np.uint8)
    return memory[1:].view(array.dtype).reshape(array.shape)


def frozen(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "strided": lambda a: a[:, ::2],
    "one of a dimension": lambda a: a[:, 1:2, ::3],
    "one of a dimension, backwards": lambda a: a[:, ::-9],
    "0-d": lambda a: a[1, 2, 3, ...],
    "repeated": lambda a: np.ndarray(a.shape, a.dtype, a, 0, (0, *a.strides[1:])),
    "negative strides": lambda a: a[::-1],
    "unaligned": unaligned,
    "read-only": frozen,
}


def dtype_of(name: str) -> np.dtype[Any]:
    row = FORMATS[name]
    return np.dtype(row.spellings.get("numpy") or getattr(ml_dtypes, name))


OF_TORCH = [
    row.name
    for row in FORMATS.values()
    if not row.is_packed and hasattr(torch, row.spellings.get("torch", ""))
]


@needs_torch
@pytest.mark.parametrize("source", OF_TORCH)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays(source: str, layout: str) -> None:
    made = np.random.default_rng(1).integers(1, 3, (3, 4, 5)).astype(dtype_of(source))
    array = LAYOUTS[layout](made)
    shares = tc.explain(array).shares
    for copy in (None, False, True):
        if copy is False and not shares:
            assert fast(array, copy=False) is NotImplemented
            continue
        tensor, expected = fast(array, copy=copy), general(array.copy(), copy=copy)
        same(tensor, expected)
        assert (tensor.data_ptr() == array.ctypes.data) == (shares and copy is not True)
        if shares and copy is not True:
            steps = [s // array.itemsize for s in array.strides]
            assert 1 in array.shape or list(tensor.stride()) == steps
            ones = general(np.ones(array.shape, array.dtype))
            before = array.copy()
            array[...] = 1
            same(tensor, ones)
            if layout != "repeated":  # torch refuses to write to one place several times
                tensor.copy_(expected)
                assert array.tobytes() == before.tobytes()
    if layout == "one of a dimension, backwards":
        assert general(array, copy=False).data_ptr() == array.ctypes.data
    for target in ("float16", "int64", source):
        if FORMATS[source].is_complex and target != source:
            assert fast(array, target) is NotImplemented
        else:
            same(fast(array, target), general(array.copy(), target))


@needs_torch
def test_a_refusal_is_the_functions() -> None:
    assert fast(np.full(3, 300.0), "int8") is NotImplemented
    with pytest.raises(tc.errors.CastOverflowError, match="3 of 3 values"):
        tc.as_tensor(np.full(3, 300.0), "int8")
    assert fast(np.full(3, 300.0), "int8", overflow="saturate").tolist() == [127] * 3


@needs_torch
def test_tensors() -> None:
    for x in (torch.ones(3), torch.ones(3, requires_grad=True), torch.ones(2, 3).t(),
              torch.ones(2, dtype=torch.complex64).conj(), torch.empty(0)):  # fmt: skip
        assert fast(x) is fast(x, x.dtype, copy=False) is x
        assert fast(x, copy=True) is NotImplemented
        assert tc.as_tensor(x, copy=True) is not x
    x = torch.ones(3)
    same(fast(x, "float16"), x.half())
    assert fast(x, "float16", copy=False) is NotImplemented
    assert fast(x.requires_grad_(), "float16") is NotImplemented
    assert tc.as_tensor(x, "float16").requires_grad


BUFFERS: dict[str, Callable[[], Any]] = {
    **{code: lambda code=code: array_of(code, [1, 2, 3]) for code in "bBhHiIlLqQfd"},
    "bytearray": lambda: bytearray(b"abc"),
    "a memoryview": lambda: memoryview(bytearray(24)).cast("d", (3, 1)),
    "of bools": lambda: memoryview(bytearray(b"\1\0")).cast("?"),
    "of halves": lambda: memoryview(np.ones((2, 3), np.float16)),
    "0-d": lambda: memoryview(np.ones((), np.int16)),
    "with an offset": lambda: memoryview(bytearray(24))[8:],
}


@needs_torch
@pytest.mark.parametrize("name", BUFFERS)
def test_buffers(name: str) -> None:
    data = BUFFERS[name]()
    tensor = fast(data)
    same(tensor, general(data))
    assert tensor.data_ptr() == general(data).data_ptr()
    assert fast(data, tensor.dtype, copy=False).data_ptr() == tensor.data_ptr()
    assert fast(data, copy=True) is fast(data, "complex64") is NotImplemented
    tensor.zero_()
    assert not any(memoryview(data).cast("B"))
    if isinstance(data, (bytearray, array_of)):
        with pytest.raises(BufferError):
            data.append(1)
        del tensor
        data.append(1)
    else:
        data.release()
        assert not tensor.any()


UNUSUAL_BUFFERS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: memoryview(b"abc"),
    "empty": lambda: bytearray(),
    "unaligned": lambda: memoryview(bytearray(17))[1:].cast("d"),
    "strided": lambda: memoryview(bytearray(8))[::2],
    "backwards": lambda: memoryview(bytearray(8))[::-1],
    "released": lambda: released(),
    "characters": lambda: memoryview(bytearray(8)).cast("c"),
    "Unicode": lambda: array_of("u", "abc"),
    "records": lambda: memoryview(np.zeros(2, "f4,f4")),
    "complex": lambda: memoryview(np.zeros(2, np.complex64)),
    "the other byte order": lambda: memoryview(np.zeros(2, np.dtype("f4").newbyteorder())),
}


def released() -> memoryview:
    view = memoryview(bytearray(3))
    view.release()
    return view


@pytest.mark.parametrize("name", UNUSUAL_BUFFERS)
def test_unusual_buffers_are_declined(name: str) -> None:
    assert fast(UNUSUAL_BUFFERS[name]()) is NotImplemented


DECLINED: dict[str, Callable[[], Any]] = {
    "a list": lambda: [1.0],
    "a number": lambda: 1.5,
    "bytes": lambda: b"abc",
    "a NumPy scalar": lambda: np.float32(1),
    "an empty array": lambda: np.ones((0, 2)),
    "the other byte order": lambda: np.ones(3, np.dtype(np.float32).newbyteorder()),
    "a masked array": lambda: np.ma.masked_array([1.0]),
    "objects": lambda: np.array([1.0], object),
    "NumPy int4": lambda: np.zeros(2, ml_dtypes.int4),
    "a parameter": lambda: torch.nn.Parameter(torch.ones(3)),
    "sparse": lambda: torch.eye(3).to_sparse(),
    "meta": lambda: torch.ones(3, device="meta"),
    "quantized": lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DECLINED)
def test_what_is_not_plain_is_declined(name: str) -> None:
    assert fast(DECLINED[name]()) is NotImplemented


@pytest.mark.parametrize("options", [
    {"device": "cpu"}, {"copy": 1}, {"on_read_only": "alias"}, {"on_read_only": None},
    {"overflow": "nothing"}, {"exact": True}, {"seed": -1}, {"dtype": "float17"}, {"dtype": "int4"},
], ids=str)  # fmt: skip
def test_other_arguments_are_declined(options: dict[str, object]) -> None:
    assert fast(np.ones(3), **options) is NotImplemented
    assert fast(torch.ones(3), **options) is NotImplemented


@needs_torch
def test_modes_are_declined() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        assert fast(np.ones(3)) is NotImplemented
        assert fast(np.ones(3), "float16") is NotImplemented
    with torch.device("meta"):
        assert fast(np.ones(3)) is NotImplemented
    with torch.inference_mode():
        assert fast(np.ones(3)).is_inference()


@needs_torch
def test_the_memory_lives_and_stays_while_the_tensor_does() -> None:
    array = np.arange(1000.0)
    before = sys.getrefcount(array)
    part = fast(array[10:20])
    with pytest.raises(ValueError, match="cannot resize"):
        array.resize(100_000, refcheck=False)
    assert sys.getrefcount(array) > before
    tensor = fast(array)
    del array
    gc.collect()
    assert part.tolist() == list(range(10, 20))
    assert tensor.sum() == 499_500
    with pytest.raises(RuntimeError, match="resize"):
        tensor.untyped_storage().resize_(100_000)


@needs_torch
def test_references_are_exact_and_let_go_of_on_any_thread() -> None:
    array, frozen_array = np.arange(8.0), frozen(np.arange(8.0))
    x = torch.ones(3)
    held = (array, frozen_array, x)
    fast(array), fast(frozen_array), fast(x)
    before = [sys.getrefcount(o) for o in held]
    for _ in range(100):
        fast(array), fast(array[::2]), fast(array[::-1]), fast(frozen_array), fast(x)
        fast(array, "float16"), fast(array, "int8", overflow="x"), fast(array, copy=True)
    alone = sys.getrefcount(array)
    gone = [fast(array) for _ in range(10)]
    assert sys.getrefcount(array) == alone + 10
    thread = threading.Thread(target=gone.clear)
    thread.start()
    thread.join()
    assert [sys.getrefcount(o) for o in held] == before


AT_THE_END = """
import numpy as np, tensorcast as tc, torch
class Holder: pass
kept = tc.as_tensor(np.arange(1000.0))
kept.itself = Holder()
kept.itself.tensor = kept
from tensorcast import _core
_core.kept = tc.as_tensor(np.arange(1000.0))
(tc.as_tensor(np.ones(3, np.float32)).requires_grad_() * 2).sum().backward()
print("done")
"""


def test_tensors_may_outlive_python() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
