"""Every kind of sharing, each made anew: a tensor, and how its other parties read its values.

`python -m inplace_sharing` (in tests/) prints the table of docs/inplace.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorcast as tc

VALUES = [float(i % 97) for i in range(4096)]  # every format below holds them


@dataclass
class Case:
    """A tensor of float32 VALUES, and everybody else who sees them.

    Attributes:
        readers: give the values as each party sees them.
        keep: what has to stay alive.
    """

    tensor: Any
    readers: list[Callable[[], Any]]
    keep: Any = None


@dataclass(frozen=True)
class Kind:
    """How a tensor is shared, in words, and how that is made.

    Attributes:
        by_default, with_copy: "converted", "copied", "refused".
        needs: what has to be installed.
    """

    words: str
    make: Callable[[Path], contextlib.AbstractContextManager[Case]]
    refusal: str
    by_default: str
    with_copy: str
    needs: str = ""


KINDS: list[Kind] = []


def kind(
    words: str, refusal: str = "", by_default: str = "refused", with_copy: str = "", needs: str = ""
) -> Callable[[Callable[[Path], Any]], Callable[[Path], Any]]:
    def add(make: Callable[[Path], Any]) -> Callable[[Path], Any]:
        made = contextlib.contextmanager(make) if _yields(make) else _plain(make)
        KINDS.append(Kind(words, made, refusal, by_default, with_copy or by_default, needs))
        return make

    return add


def _yields(make: Any) -> bool:
    return bool(make.__code__.co_flags & 0x20)


def _plain(make: Callable[[Path], Case]) -> Any:
    @contextlib.contextmanager
    def made(folder: Path) -> Iterator[Case]:
        yield make(folder)

    return made


def fresh() -> Any:
    import torch

    return torch.tensor(VALUES)


def of(x: Any) -> Callable[[], Any]:
    return lambda: x.detach().tolist()


@kind("nobody", by_default="converted")
def _alone(_: Path) -> Case:
    return Case(fresh(), [])


@kind("other names of the same object", by_default="converted")
def _names(_: Path) -> Case:
    x = fresh()
    return Case(x, [], keep=[x, {"x": x}])


@kind("a gap of the storage after a slice: `x = big[1:].data`", by_default="converted")
def _slice(_: Path) -> Case:
    import torch

    return Case(torch.tensor([0.0, *VALUES])[1:].data, [])


@kind("a view of it: `x[1:]`", "view")
def _view(_: Path) -> Case:
    x = fresh()
    v = x[:]
    return Case(x, [of(v)])


@kind("its base: it is a view itself", "view", with_copy="copied")
def _base(_: Path) -> Case:
    base = fresh()
    return Case(base.view(64, 64), [of(base)])


@kind("a detached tensor: `x.detach()`, `x.data`", "view", with_copy="copied")
def _detached(_: Path) -> Case:
    x = fresh()
    return Case(x, [of(x.detach()), of(x.data)])


@kind("a parameter made of it", "view", with_copy="copied")
def _parameter(_: Path) -> Case:
    import torch

    x = fresh()
    return Case(x, [of(torch.nn.Parameter(x))])


@kind("a lazy conjugate or negative of it", "held by torch")
def _neg_of(_: Path) -> Case:
    import torch

    x = fresh()
    n = torch._neg_view(x)
    return Case(x, [lambda: [-v for v in n.tolist()]])


@kind("its storage object: `x.untyped_storage()`", "storage held", with_copy="copied")
def _storage(_: Path) -> Case:
    x = fresh()
    s = x.untyped_storage()
    return Case(x, [lambda: list((ctypes.c_float * len(VALUES)).from_address(s.data_ptr()))])


@kind("a slice of its storage", "view", with_copy="copied")
def _storage_slice(_: Path) -> Case:
    x = fresh()
    s = x.untyped_storage()[: 4 * len(VALUES)]
    return Case(x, [lambda: list((ctypes.c_float * len(VALUES)).from_address(s.data_ptr()))])


@kind("a NumPy array: `x.numpy()`", "view", with_copy="copied")
def _numpy(_: Path) -> Case:
    x = fresh()
    return Case(x, [x.numpy().tolist])


@kind("a NumPy array that is gone", "not resizable", with_copy="copied")
def _numpy_gone(_: Path) -> Case:
    x = fresh()
    x.numpy()
    return Case(x, [])


@kind("an array by `tc.to_numpy(x)`", "view", with_copy="copied")
def _as_array(_: Path) -> Case:
    x = fresh()
    return Case(x, [tc.to_numpy(x).tolist])


@kind("an array by `tc.to_numpy(x)` of bfloat16", "view", with_copy="copied")
def _as_array_bfloat16(_: Path) -> Case:
    x = tc.cast(fresh(), "bfloat16")
    a = tc.to_numpy(x)
    return Case(x, [lambda: a.astype("float32").tolist()])


@kind("a NumPy array by DLPack: `np.from_dlpack(x)`", "held by torch")
def _numpy_dlpack(_: Path) -> Case:
    import numpy as np

    x = fresh()
    return Case(x, [np.from_dlpack(x).tolist])


@kind("a DLPack capsule", "held by torch")
def _capsule(_: Path) -> Case:
    x = fresh()
    return Case(x, [], keep=x.__dlpack__())


@kind("a torch tensor by DLPack", "held by torch")
def _torch_dlpack(_: Path) -> Case:
    import torch

    x = fresh()
    return Case(x, [of(torch.from_dlpack(x.__dlpack__()))])


@kind("a JAX array: `jax.dlpack.from_dlpack(x)`", "held by torch", needs="jax")
def _jax(_: Path) -> Case:
    import jax

    x = fresh()
    return Case(x, [jax.dlpack.from_dlpack(x).tolist])


@kind("a graph that saved it for a backward pass", "held by torch")
def _saved(_: Path) -> Case:
    import torch

    x = fresh()
    w = torch.ones(len(VALUES), requires_grad=True)
    y = w * x

    def gradient() -> Any:
        w.grad = None
        y.sum().backward(retain_graph=True)
        return w.grad.tolist()

    return Case(x, [gradient])


@kind("a graph it is a leaf of", "held by torch")
def _leaf(_: Path) -> Case:
    x = fresh().requires_grad_()
    y = x * 1
    return Case(x, [of(y)], keep=y)


@kind("a graph it is a result of", "recorded")
def _result(_: Path) -> Case:
    w = fresh().requires_grad_()
    return Case(w * 1, [of(w)])


@kind("NumPy, whose memory it is: `torch.from_numpy(a)`", "not resizable", with_copy="copied")
def _from_numpy(_: Path) -> Case:
    import numpy as np
    import torch

    a = np.array(VALUES, np.float32)
    return Case(torch.from_numpy(a), [a.tolist])


@kind("bytes: `torch.frombuffer(b)`", "not resizable", with_copy="copied")
def _frombuffer(_: Path) -> Case:
    import numpy as np
    import torch

    b = bytearray(np.array(VALUES, np.float32).tobytes())
    return Case(
        torch.frombuffer(b, dtype=torch.float32), [lambda: np.frombuffer(b, np.float32).tolist()]
    )


@kind("an array by `tc.as_tensor(a)`", "not resizable", with_copy="copied")
def _as_tensor(_: Path) -> Case:
    import numpy as np

    a = np.array(VALUES, np.float32)
    return Case(tc.as_tensor(a), [a.tolist])


@kind("nobody, after `torch.load`", "not resizable", with_copy="copied")
def _loaded(folder: Path) -> Case:
    import torch

    torch.save(fresh(), folder / "x.pt")
    return Case(torch.load(folder / "x.pt"), [])


@kind("the file, after `torch.load(mmap=True)`", by_default="converted")
def _mapped(folder: Path) -> Case:
    import torch

    path = folder / "x.pt"
    torch.save(fresh(), path)
    return Case(torch.load(path, mmap=True), [lambda: torch.load(path).tolist()])


@kind("the file and other tensors, after safetensors' `load_file`", by_default="converted",
      needs="safetensors")  # fmt: skip
def _safetensors(folder: Path) -> Case:
    from safetensors.torch import load_file, save_file

    path = folder / "x.safetensors"
    save_file({"x": fresh(), "y": fresh()}, path)
    loaded = load_file(path)
    view = loaded["x"][:]
    return Case(loaded["x"], [of(view), of(loaded["y"]), lambda: load_file(path)["x"].tolist()])


@kind("a file mapped to be written: `np.memmap`", "mapped file", with_copy="copied")
def _memmap(folder: Path) -> Case:
    import numpy as np
    import torch

    m = np.memmap(folder / "m", np.float32, "w+", shape=len(VALUES))
    m[:] = VALUES
    return Case(torch.from_numpy(m), [m.tolist])


@kind("a file: `torch.from_file(shared=True)`", "mapped file", with_copy="copied")
def _from_file(folder: Path) -> Case:
    import numpy as np
    import torch

    path = folder / "f"
    path.write_bytes(np.array(VALUES, np.float32).tobytes())
    x = torch.from_file(str(path), shared=True, size=len(VALUES))
    return Case(x, [lambda: np.fromfile(path, np.float32).tolist()])


@kind("processes: `x.share_memory_()`", "shared memory", with_copy="copied")
def _shared(_: Path) -> Case:
    return Case(fresh().share_memory_(), [])


@kind("a sparse tensor", "layout")
def _sparse(_: Path) -> Case:
    x = fresh().to_sparse()
    return Case(x, [lambda: x.to_dense().tolist()])


@kind("a quantized tensor", "layout")
def _quantized(_: Path) -> Case:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.quantize_per_tensor(fresh(), 1.0, 0, torch.qint8)
    return Case(x, [lambda: x.dequantize().tolist()])


@kind("a nested tensor", "layout")
def _nested(_: Path) -> Case:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.nested.nested_tensor([fresh()])
    return Case(x, [lambda: x.unbind()[0].tolist()])


@kind("a subclass", "subclass")
def _subclass(_: Path) -> Case:
    import torch

    class Mine(torch.Tensor):
        pass

    x = fresh().as_subclass(Mine)
    return Case(x, [of(x)])


@kind("a lazy negative itself", "lazy")
def _neg(_: Path) -> Case:
    import torch

    x = torch._neg_view(fresh())
    return Case(x, [lambda: [-v for v in x.tolist()]])


@kind("a tensor of inference mode", "inference")
def _inference(_: Path) -> Case:
    import torch

    with torch.inference_mode():
        x = fresh()
    return Case(x, [of(x)])


@kind("a tensor inside torch.func", "transformed")
def _functorch(_: Path) -> Any:
    import torch
    from torch._C._functorch import _add_batch_dim, _vmap_decrement_nesting, _vmap_increment_nesting

    x = fresh()
    level = _vmap_increment_nesting(1, "error")
    try:
        yield Case(_add_batch_dim(x.view(1, -1), 0, level), [])
    finally:
        _vmap_decrement_nesting()
    assert x.tolist() == VALUES
    assert torch is not None


@kind("a fake tensor", "subclass")
def _fake(_: Path) -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    yield Case(FakeTensorMode().from_tensor(fresh()), [])


@kind("a meta tensor", "device")
def _meta(_: Path) -> Case:
    return Case(fresh().to("meta"), [])


@kind("a forward gradient", "recorded")
def _dual(_: Path) -> Any:
    import torch

    forward = torch.autograd.forward_ad
    x = fresh()
    with forward.dual_level():
        yield Case(forward.make_dual(x, torch.ones_like(x)), [of(x)])


def act(case: Case, others: str, to: str = "float16") -> tuple[str, Any]:
    """("converted" | "copied" | "refused", the error or None)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            tc.cast_(case.tensor, to, others=others)  # type: ignore[arg-type]
        except tc.errors.CastError as error:
            return "refused", error
    copied = any(issubclass(w.category, tc.errors.InPlaceWarning) for w in caught)
    return ("copied" if copied else "converted"), None


def table() -> str:
    """The table of docs/inplace.md."""
    lines = ['| who else sees it | `cast_` | with `others="copy"` |', "|---|---|---|"]
    for each in KINDS:
        first = each.by_default + (f" ({each.refusal})" if each.by_default == "refused" else "")
        lines.append(f"| {each.words} | {first} | {each.with_copy} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory():
        print(table())
