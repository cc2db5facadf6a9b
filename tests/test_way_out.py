"""to_numpy, to_jax, to_tensorflow, to_arrow, to_pil, to_cupy: what explain says is what they do.

Every source of sharing_matrix.py goes to every library. Sharing is proven by writing to the source
and reading the result by its own library. A library that is not installed is skipped by name.
"""

from __future__ import annotations

import gc
import mmap
import os
import re
import subprocess
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import sharing_matrix
from sharing_matrix import LIBRARIES, dtype_of, installed, jax_x64

import tensorcast as tc
from tensorcast.errors import CastError, MissingLibraryError
from tensorcast.share.verdict import Verdict

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
torch = pytest.importorskip("torch", reason="no torch")

CALLS: dict[str, Callable[..., Any]] = {
    "torch": tc.as_tensor,
    "numpy": tc.to_numpy,
    "jax": tc.to_jax,
    "tensorflow": tc.to_tensorflow,
    "arrow": tc.to_arrow,
    "pil": tc.to_pil,
    "cupy": tc.to_cupy,
}
PACKAGES = {"arrow": "pyarrow", "pil": "PIL", "protocols": "numpy", "buffers": "numpy"}
TARGETS = tuple(name for name in CALLS if name != "cupy")


def needs(*names: str) -> None:
    for name in names:
        package = PACKAGES.get(name, name)
        if not installed(package):
            pytest.skip(f"no {package}")


@pytest.fixture(autouse=True)
def x64() -> Iterator[None]:
    """JAX as it is where nobody loses 64 bits."""
    with jax_x64(True):
        yield


def elements(x: Any, target: str) -> bytes:
    """What a result holds, read by its own library, as codes in C order."""
    if target == "torch":
        x = x.detach()
        if str(x.dtype) == "torch.float4_e2m1fn_x2":
            x = tc.to_numpy(x)
        elif x.numel():
            x = x.view(torch.uint8) if x.itemsize == 1 else x
            x = x.contiguous().reshape(-1).view(torch.uint8).numpy()
        else:
            x = ()
    elif target == "tensorflow":
        x = x.numpy()
    elif target == "arrow":
        import pyarrow as pa

        while not isinstance(x, pa.NumericArray | pa.BooleanArray):
            x = x.storage if isinstance(x, pa.ExtensionArray) else x.flatten()
        x = x.to_numpy(zero_copy_only=False)
    x = np.asarray(x)
    if not x.size:
        return b""
    x = x != 0 if x.dtype == bool else x  # Pillow's true is 255
    return x.astype(x.dtype.newbyteorder("=")).tobytes()


def codes(x: np.ndarray, row: tc.formats.Format) -> bytes:
    return (x != 0).tobytes() if row.kind == "bool" else x.astype(dtype_of(row)).tobytes()


def shape_of(x: Any, target: str) -> tuple[int, ...]:
    if target == "arrow":
        return (len(x), *getattr(x.type, "shape", ()))
    if target == "pil":
        bands = len(x.getbands())
        return (x.height, x.width, bands) if bands > 1 else (x.height, x.width)
    if str(getattr(x, "dtype", "")) == "torch.float4_e2m1fn_x2":
        return (*x.shape[:-1], 2 * x.shape[-1])
    return tuple(x.shape)


def n_bytes_of(x: Any, target: str) -> int:
    """Bytes of a result's memory, as its own library counts them."""
    if target == "tensorflow":
        return x.numpy().nbytes
    return x.on_device_size_in_bytes() if target == "jax" else x.nbytes


def agreed(x: Any, target: str, *arguments: Any, **options: Any) -> tuple[Verdict, Any]:
    """The verdict and the result, or None where both refuse, with the same words."""
    policy = {"overflow": options.pop("overflow", "raise")}
    try:
        said = tc.explain(x, *arguments, to=target, **options)
    except (tc.errors.TensorcastError, ValueError) as error:
        kind, message = type(error), str(error)
        with pytest.raises(kind, match=f"^{re.escape(message)}$"):
            CALLS[target](x, *arguments, **options)
        return Verdict("", "", "refuses", (message,)), None
    assert str(said)
    assert bool(said.refusal) == (said.action == "refuses")
    if said.action == "refuses":
        with pytest.raises(CastError) as refused:
            CALLS[target](x, *arguments, **options)
        assert str(refused.value) == said.refusal
        return said, None
    return said, CALLS[target](x, *arguments, **options, **policy)


def aligned(x: np.ndarray) -> np.ndarray:
    """A copy at a multiple of 64 bytes."""
    room = np.zeros(x.nbytes + 64, np.uint8)
    begin = -room.ctypes.data % 64
    made = room[begin : begin + x.nbytes].view(x.dtype).reshape(x.shape)
    made[...] = x
    return made


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_source(library: str, target: str) -> None:
    needs(library, target)
    actions = set()
    for source in LIBRARIES[library]():
        where = f"{source.library} {source.format.name} {source.layout} to {target}"
        try:
            actions.add(held_to(source, target))
        except Exception as error:
            raise AssertionError(f"{where}: {error!r}") from error
    assert actions


def held_to(source: sharing_matrix.Source, target: str) -> str:
    x = source.make()
    before = source.read(x)
    expected = codes(before, source.format)
    said, result = agreed(x, target)
    if result is None:
        return said.action
    assert shape_of(result, target) == before.shape
    assert elements(result, target) == expected
    if said.action == "returns the same object":
        assert result is x
    if before.size:
        assert said.shares == (said.n_bytes_allocated == said.n_bytes_moved == 0), said
    if source.write is not None:
        source.write(x)
        assert (elements(result, target) != expected) == said.shares, said
    assert source.read(x).shape == before.shape
    refused, alias = agreed(x, target, copy=False)
    assert (alias is not None) == said.shares
    if not said.shares:
        assert refused.refusal.startswith("copy=False, but ")
    copied, copy = agreed(x, target, copy=True)
    assert copied.action == "copies"
    if target != "pil":
        assert copied.n_bytes_allocated == n_bytes_of(copy, target), copied
    if source.write is not None:
        now = codes(source.read(x), source.format)
        source.write(x)
        assert elements(copy, target) == now, copied
    return said.action


@pytest.mark.parametrize("to", ["float16", "int8", "complex64", "bool", "float8_e4m3fn", "int64"])
@pytest.mark.parametrize("target", TARGETS)
def test_casts(target: str, to: str) -> None:
    needs(target)
    for source in sharing_matrix.numpy_sources():
        if source.layout not in ("contiguous", "strided", "empty"):
            continue
        x = source.make()
        said, result = agreed(x, target, to, overflow="saturate")
        if result is None:
            continue
        wanted = np.asarray(tc.cast(x, to, overflow="saturate"))
        assert elements(result, target) == wanted.tobytes(), said
        same = source.format.name == to
        alone = agreed(x, target, to, copy=False, overflow="saturate")[0]
        assert (alone.action == "refuses") == (not said.shares)
        assert (said.action == "casts") == (not same)
        assert bool(said.cast_on) == (not same)


PICTURES = {
    "1": np.eye(3, 4, dtype=bool),
    "L": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "LA": np.arange(24, dtype=np.uint8).reshape(3, 4, 2),
    "RGB": np.arange(36, dtype=np.uint8).reshape(3, 4, 3),
    "RGBA": np.arange(48, dtype=np.uint8).reshape(3, 4, 4),
    "I;16": np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000,
    "I": np.arange(12, dtype=np.int32).reshape(3, 4) * -70000,
    "F": np.arange(12, dtype=np.float32).reshape(3, 4) / 7,
}
SPECIAL = {"P": "L", "La": "LA", "PA": "LA", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB"}
SPECIAL |= {"RGBX": "RGBA", "RGBa": "RGBA", "CMYK": "RGBA"}


@pytest.mark.parametrize("mode", [*PICTURES, *SPECIAL])
def test_images(mode: str) -> None:
    needs("pil")
    x = PICTURES[SPECIAL.get(mode, mode)].copy()
    options = {"mode": mode} if mode in SPECIAL else {}
    for layout in (x, x[::-1, ::-1], torch.from_numpy(x.copy()), x[:0]):
        said, image = agreed(layout, "pil", **options)
        assert image.mode == mode
        assert np.array_equal(np.asarray(image), np.asarray(layout))
        assert np.array_equal(tc.to_numpy(image), np.asarray(layout))
        assert agreed(image, "pil", **options)[1] is image
        assert agreed(image, "pil", copy=True, **options)[1] is not image
    said, image = agreed(x, "pil", **options)
    assert said.shares == (mode in ("L", "RGBA", "I;16", "P", "RGBX", "CMYK"))
    first = np.asarray(image).ravel()[0]
    x.view(np.uint8)[(0,) * x.ndim] ^= 1
    assert (np.asarray(image).ravel()[0] != first) == said.shares
    before = x.copy()
    image.putpixel((1, 1), image.getpixel((0, 0)))
    image.paste(image.getpixel((0, 0)), (0, 0, 4, 3))
    assert np.array_equal(x, before), "a write to the image reached the array"


def test_what_is_no_image() -> None:
    needs("pil")
    with pytest.raises(CastError, match='in front: pass layout="CHW"'):
        tc.to_pil(np.zeros((3, 20, 30), np.uint8))
    with pytest.raises(CastError, match=r"Pillow has no image of float32 \[4, 5, 3\]; it has"):
        tc.to_pil(np.zeros((4, 5, 3), np.float32))
    with pytest.raises(CastError, match="image of mode CMYK is height x width x 4 of uint8"):
        tc.to_pil(np.zeros((4, 5, 3), np.uint8), mode="CMYK")
    with pytest.raises(CastError, match="mode='XYZ' is not one of 1, L, LA"):
        tc.to_pil(np.zeros((4, 5), np.uint8), mode="XYZ")
    image = tc.to_pil(np.full((4, 5, 3), 300.7), "uint8", overflow="saturate")
    assert image.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("target", ["numpy", "jax", "tensorflow", "arrow", "pil"])
def test_no_gradient_is_lost_without_a_word(target: str) -> None:
    needs(target)
    x = torch.ones(4, 4, requires_grad=True)
    refused = "requires grad, which no other library records; pass x.detach"
    for lost in (x, torch.nn.Parameter(torch.ones(2, 2)), x * 2):
        for options in ({}, {"copy": True}, {"dtype": "float32"}):
            with pytest.raises(CastError, match=refused):
                CALLS[target](lost, **options)
        with pytest.raises(CastError, match=refused):
            tc.to_numpy(lost)
    assert tc.explain(x, to=target).action == "refuses"
    ones = np.ones(16, np.float32).tobytes()
    assert elements(agreed(x.detach(), target)[1], target) == ones
    with torch.no_grad():  # nothing is recorded anyhow
        said, result = agreed(x, target)
    assert said.notes[0] == "the tensor requires grad; what is done to the result is not recorded"
    assert elements(result, target) == ones
    whole = CALLS[target](x, dtype="int32")  # integers have no gradient
    assert elements(whole, target) == np.ones(16, np.int32).tobytes()


def test_no_tangent_is_lost_without_a_word() -> None:
    forward = torch.autograd.forward_ad
    with forward.dual_level():
        dual = forward.make_dual(torch.ones(3), torch.ones(3))
        with pytest.raises(CastError, match="carries a forward-mode tangent"):
            tc.to_numpy(dual)
        assert tc.to_numpy(dual.detach()).tolist() == [1, 1, 1]
        assert tc.to_numpy(torch.ones(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("target", ["numpy", "jax", "tensorflow", "arrow"])
def test_pending_conjugation_and_negation(target: str) -> None:
    needs(target)
    x = torch.tensor([1 + 2j, 3 - 4j])
    for lazy in (x.conj(), torch._neg_view(x), x.conj().imag):
        said, result = agreed(lazy, target)
        assert said.because[0] == "its conjugation or negation is pending"
        assert elements(result, target) == lazy.resolve_conj().resolve_neg().numpy().tobytes()
        with pytest.raises(CastError, match="copy=False, but its conjugation or negation"):
            CALLS[target](lazy, copy=False)
    assert tc.as_tensor(x.conj(), copy=False).is_conj()


@pytest.mark.parametrize("target", ["torch", "numpy", "jax", "tensorflow", "arrow"])
def test_expanded(target: str) -> None:
    needs(target)
    x = torch.arange(3.0).expand(4, 3)
    said, result = agreed(x, target)
    assert elements(result, target) == np.broadcast_to(np.arange(3, dtype="f4"), (4, 3)).tobytes()
    if target == "numpy":
        assert said.shares
        assert said.writes == "it is read-only: several of its elements share memory"
        assert not result.flags.writeable
    elif target != "torch":
        assert said.because[0] == "elements share memory (a stride of 0)"
    strided = np.lib.stride_tricks.as_strided(np.arange(3.0), (4, 3), (0, 8), writeable=True)
    if target == "torch":
        said, result = agreed(strided, target)
        assert said.notes == ("several of its elements share memory: a write reaches them all",)
        result[0, 0] = 9
        assert strided[3, 0] == 9


def test_sequences() -> None:
    assert tc.to_numpy([[1, 2], [3, 4]], "bfloat16").dtype == ml_dtypes.bfloat16
    said, result = agreed([1, 2.5], "numpy", copy=False)
    assert said.refusal == "copy=False, but a list of numbers is no memory"
    assert result is None
    with pytest.raises(tc.errors.CastOverflowError, match=r"data\[1\]: 300 lies outside int8"):
        tc.to_numpy([1, 300], "int8")
    assert tc.explain([1, 300], "int8", to="numpy").n_bytes_allocated == 2
    stacked = tc.to_numpy([np.zeros(3, np.float32), torch.ones(3)])
    assert stacked.shape == (2, 3)


def test_numbers_become_what_the_library_infers() -> None:
    needs("tensorflow")
    import tensorflow as tf

    for data in ([1, 2], [1.5], [2**40], [True], [1j], 3, [1, 2.5], [np.float64(1.5)]):
        assert tc.to_tensorflow(data).dtype == tf.constant(data).dtype, data


@pytest.mark.parametrize("target", ["torch", "numpy", "arrow"])
def test_tensors_without_memory(target: str) -> None:
    needs(target)
    from torch._subclasses.fake_tensor import FakeTensorMode

    def inside(x: Any) -> Any:
        said, result = agreed(x, target)
        if target == "torch":
            assert result is x
        else:
            assert said.refusal.startswith("the tensor is being traced or transformed")
        return x

    with FakeTensorMode():
        inside(torch.zeros(3))
    torch.func.vmap(inside)(torch.zeros(2, 3))
    for odd in (torch.zeros(3).to_sparse(), torch.nested.nested_tensor([torch.zeros(2)])):
        assert agreed(odd, target)[1] is None


def test_inside_of_a_trace() -> None:
    """What has values is a constant there; what is traced is refused."""
    if installed("jax"):
        import jax

        x = aligned(np.ones(4, np.float32))
        assert jax.jit(lambda a: a + tc.to_jax(x) + tc.to_jax(x, "int8"))(x).tolist() == [3] * 4
        with pytest.raises(CastError, match="a JAX array that is being traced has no values"):
            jax.jit(tc.to_jax)(x)
    if installed("tensorflow"):
        import tensorflow as tf

        y = tf.ones(4)
        add = tf.autograph.experimental.do_not_convert(lambda a: a + tc.to_tensorflow(np.ones(4)))
        with pytest.raises(CastError, match="a symbolic TensorFlow tensor has no values"):
            tf.function(tf.autograph.experimental.do_not_convert(tc.to_tensorflow))(y)
        assert tf.function(add)(tf.ones(4, tf.float64)).numpy().tolist() == [2] * 4


@pytest.mark.parametrize("target", TARGETS)
def test_formats_that_only_torch_has(target: str) -> None:
    needs(target)
    for name in ("int3", "uint7", "float4_e2m1fn_x2"):
        dtype = getattr(torch, name, None)
        if dtype is None:
            continue
        x = torch.zeros(2, 4, dtype=torch.uint8).view(dtype)
        said, result = agreed(x, target)
        assert str(said)
        agreed(np.zeros((2, 4)), target, name.removesuffix("_x2"))
        if target == "torch":
            assert result is x
        elif name != "float4_e2m1fn_x2":
            assert name in said.refusal or target == "pil"


def test_jax_without_x64_is_never_cut() -> None:
    needs("jax")
    import jax

    jax.config.update("jax_enable_x64", False)
    for name in ("int64", "uint64", "float64", "complex128"):
        x = np.array([2**40 + 1]).astype(name)
        said, result = agreed(x, "jax")
        assert result is None
        assert "while jax_enable_x64 is off: call jax.config.update" in said.refusal
        narrow = said.refusal.rpartition('dtype="')[2].rstrip('"')
        assert tc.to_jax(np.zeros(2, name), narrow).dtype == narrow
    with pytest.raises(tc.errors.CastOverflowError, match="1 of 1 values lie outside int32"):
        tc.to_jax(np.array([2**40 + 1]), "int32")
    assert tc.to_jax(np.array([2**40 + 1]), "int32", overflow="saturate")[0] == 2**31 - 1
    for data in ([1, 2], [1.5], [1j], [True], 7):
        made = agreed(data, "jax")[1]
        assert made.dtype == jax.numpy.asarray(data).dtype
    with pytest.raises(
        tc.errors.CastOverflowError, match=r"data\[0\]: 1099511627777 lies outside int32"
    ):
        tc.to_jax([2**40 + 1])
    jax.config.update("jax_enable_x64", True)
    assert int(tc.to_jax([2**40 + 1])[0]) == 2**40 + 1


def protected() -> np.ndarray:
    """Memory that the operating system ends the process for writing to."""
    return np.frombuffer(mmap.mmap(-1, 4096, prot=mmap.PROT_READ), np.float32)


def test_protected_memory_is_never_written() -> None:
    x = protected()
    assert tc.explain(x, to="numpy").read_only
    if installed("jax"):
        import jax

        given = tc.to_jax(x)
        assert given.unsafe_buffer_pointer() == x.ctypes.data
        donated = jax.jit(lambda a: a + 1, donate_argnums=0)(given)
        assert float(donated[0]) == 1
        assert float(jax.jit(lambda a: a.at[0].set(5))(tc.to_jax(x))[0]) == 5
    if installed("tensorflow"):
        import tensorflow as tf

        assert float((tc.to_tensorflow(x) + 1)[0]) == 1
        assert float(tf.nn.relu(tf.exp(tc.to_tensorflow(x)))[0]) == 1
        assert float(tf.function(lambda a: tf.nn.relu(a + 1) * 2)(tc.to_tensorflow(x))[0]) == 2
        variable = tf.Variable(tc.to_tensorflow(x))
        variable.assign_add(tf.ones_like(variable))
        assert float(variable[0]) == 1
    if installed("pyarrow"):
        import pyarrow.compute

        assert not tc.to_arrow(x).buffers()[1].is_mutable
        assert pyarrow.compute.sum(tc.to_arrow(x)).as_py() == 0
    if installed("PIL"):
        image = tc.to_pil(x.view(np.uint8)[:400].reshape(10, 10, 4))
        image.putpixel((1, 1), (1, 2, 3, 4))
    assert not x.any()


class Owner(np.ndarray):
    """An array that a weak reference tells of."""


@pytest.mark.parametrize("target", ["torch", "numpy", "jax", "tensorflow", "arrow", "pil"])
def test_the_owner_lives_as_long_as_the_result(target: str) -> None:
    needs(target)
    room = np.zeros(4 * 4096 + 64, np.uint8).view(Owner)
    begin = -room.ctypes.data % 64
    x = np.asarray(room[begin : begin + 4 * 4096]).reshape(64, 64, 4)
    x[...] = 7
    alive = weakref.ref(room)
    said, result = agreed(x, target)
    assert said.shares
    view = result if target in ("pil", "jax") else result[1:]  # a slice of JAX's is a copy
    if target == "numpy":  # the object itself, here
        result = tc.to_numpy(memoryview(x))
        view = result[1:]
    del x, room, result
    gc.collect()
    junk = [np.full(4 * 4096, 9, np.uint8) for _ in range(50)]
    assert alive() is not None
    assert set(elements(view, target)) == {7}
    del view, junk
    gc.collect()
    assert alive() is None, "the result is gone, and the memory is kept"


@pytest.mark.parametrize("target", ["jax", "tensorflow", "arrow", "pil"])
def test_results_come_back_and_outlive_what_they_went_through(target: str) -> None:
    needs(target)
    x = aligned(np.full((64, 64, 4), 7, np.uint8))
    there = CALLS[target](x)
    back = tc.to_numpy(there)
    address = x.ctypes.data
    assert back.ctypes.data == address
    assert not back.flags.writeable
    del x, there
    gc.collect()
    junk = [np.full(4 * 4096, 9, np.uint8) for _ in range(50)]
    assert (back == 7).all()
    del junk


def test_nothing_leaks() -> None:
    x = aligned(np.zeros((8, 8, 4), np.uint8))
    for target in ("torch", "numpy", "jax", "tensorflow", "arrow", "pil"):
        if not installed(PACKAGES.get(target, target)):
            continue
        before = sys.getrefcount(x)
        for _ in range(100):
            CALLS[target](x)
        gc.collect()
        assert sys.getrefcount(x) == before, target


def test_a_resize_is_refused_while_anyone_stands_on_the_memory() -> None:
    for target in ("jax", "tensorflow", "arrow"):
        if not installed(PACKAGES.get(target, target)):
            continue
        x = np.zeros(4096, np.uint8)  # on no 64 bytes, perhaps: then nobody stands on it
        said, result = agreed(x, target)
        if said.shares:
            with pytest.raises(ValueError, match="cannot resize"):
                x.resize(1 << 20, refcheck=False)
        del result


@pytest.mark.parametrize("target", TARGETS)
def test_meta_tensors(target: str) -> None:
    needs(target)
    x = torch.zeros(2, 3, device="meta")
    said, result = agreed(x, target)
    if target == "torch":
        assert result is x
        said, result = agreed(x, target, "float16")
        assert (said.action, said.cast_on, result.dtype) == ("casts", "meta", torch.float16)
        said, result = agreed(x, target, device="cpu")
    assert said.refusal == "a tensor on meta has no values"


def test_a_device_that_is_not_there() -> None:
    said, _ = agreed(np.zeros(3), "numpy", device="cuda")
    assert said.refusal == "NumPy has no device cuda, only cpu"
    assert agreed(np.zeros(3), "numpy", device="cpu")[0].shares
    if installed("jax"):
        with pytest.raises(CastError, match="device='tpu' cannot be used"):
            tc.to_jax(np.zeros(3), device="tpu")
        with pytest.raises(CastError, match=r"is not a jax\.Device or the name of one"):
            tc.to_jax(np.zeros(3), device=3)
        assert agreed(aligned(np.zeros(3)), "jax", device="cpu")[0].shares
    if installed("tensorflow"):
        with pytest.raises(CastError, match="device='GPU:7' is not there"):
            tc.to_tensorflow(np.zeros(3), device="GPU:7")
        with pytest.raises(CastError, match="device='moon' is none of TensorFlow's"):
            tc.to_tensorflow(np.zeros(3), device="moon")
        assert agreed(aligned(np.zeros(3)), "tensorflow", device="CPU:0")[0].shares


DEVICES = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import numpy as np, tensorcast as tc
from importlib.util import find_spec
x = np.zeros(64 + 16, np.float32)
x = x[-x.ctypes.data % 64 // 4:][:64]
if find_spec("jax"):
    import jax
    said = tc.explain(x, "float16", to="jax", device="cpu:1")
    assert said.transfers == ("128 bytes travel to cpu:1 after the cast",), said
    y = tc.to_jax(x, "float16", device=jax.devices("cpu")[1])
    assert y.device.id == 1 and y.dtype == "float16"
    y = tc.to_jax(x, device="cpu:1")
    x[0] = 5
    assert y[0] == 0 and tc.explain(x, to="jax", device="cpu:1").action == "copies"
    assert tc.explain(y, to="jax").action == "returns the same object" and tc.to_jax(y) is y
    assert tc.to_jax(y, device="cpu").device.id == 0
if find_spec("tensorflow"):
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    y = tc.to_tensorflow(x, device="CPU:1")
    assert y.device.endswith("CPU:1"), y.device
    assert tc.explain(y, to="tensorflow").action == "returns the same object"
    x[1] = 5
    assert y[1] == 0
print("done")
"""


def test_devices_that_were_asked_for() -> None:
    if not installed("jax") and not installed("tensorflow"):
        pytest.skip("no jax, no tensorflow")
    done = subprocess.run(
        [sys.executable, "-c", DEVICES], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.strip() == "done", done.stderr


@pytest.mark.parametrize(
    ("target", "package", "extra"),
    [
        ("jax", "jax", "interop"),
        ("tensorflow", "tensorflow", "interop"),
        ("arrow", "pyarrow", "interop"),
        ("pil", "PIL", "interop"),
        ("cupy", "cupy", "cupy"),
        ("torch", "torch", "torch"),
    ],
)
def test_a_missing_library(
    target: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"^{package} is not installed: pip install 'tensorcast\[{extra}\]'$"
    with pytest.raises(MissingLibraryError, match=message):
        CALLS[target](memoryview(b"abc"))  # arrays are answered in C, by the torch found before
    with pytest.raises(MissingLibraryError, match=message):
        CALLS[target]([1, 2])
    with pytest.raises(ImportError, match=message):
        tc.explain(np.zeros(3), to=target)


def test_an_unknown_target() -> None:
    with pytest.raises(CastError, match="to='mxnet' is not one of torch, numpy, jax, tensorflow"):
        tc.explain(np.zeros(3), to="mxnet")


def test_no_library_loads_unasked() -> None:
    code = (
        "import sys, array, numpy as np, tensorcast as tc\n"
        "tc.to_numpy(array.array('f', [1])); tc.to_numpy([1, 2], 'bfloat16'); tc.to_numpy(b'a')\n"
        "tc.explain(np.zeros(3), to='numpy')\n"
        "assert not {'torch', 'jax', 'tensorflow', 'pyarrow', 'PIL', 'cupy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


class Gpu:
    """A stand-in for CuPy, whose memory is NumPy's."""

    class ndarray:
        def __init__(self, held: np.ndarray, number: int = 0) -> None:
            self.held, self.dtype, self.shape = held, held.dtype, held.shape
            self.device = types.SimpleNamespace(id=number)

        def view(self, dtype: Any) -> Gpu.ndarray:
            return Gpu.ndarray(self.held.view(dtype), self.device.id)

    __version__ = "0"
    current = 0

    def __init__(self) -> None:
        gpu = self

        class Device:
            def __init__(self, number: int) -> None:
                self.id = number

            def __enter__(self) -> None:
                gpu.current = self.id

            def __exit__(self, *_: object) -> None:
                gpu.current = 0

        self.cuda = types.SimpleNamespace(Device=Device)

    def is_available(self) -> bool:
        return True

    def asarray(self, x: Any) -> Gpu.ndarray:
        held = x.held if isinstance(x, Gpu.ndarray) else x
        return Gpu.ndarray(np.array(held), self.current)

    def from_dlpack(self, x: Any) -> Gpu.ndarray:
        return Gpu.ndarray(np.from_dlpack(x))

    def empty(self, shape: Any, dtype: Any) -> None:
        if np.dtype(dtype).name != "bfloat16":
            raise TypeError


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    from tensorcast.bridges import cupy

    made = Gpu()
    monkeypatch.setattr(cupy, "load", lambda: made)
    cupy._has.cache_clear()
    return made


def test_cupy_moves_only_where_told(gpu: Gpu) -> None:
    said, result = agreed(np.zeros(3), "cupy")
    assert said.refusal == 'CuPy has GPU memory only; pass device="cuda" to send the elements there'
    said, result = agreed(np.arange(3.0), "cupy", "float16", device="cuda:1")
    assert said.transfers == ("6 bytes travel to cuda:1 after the cast",)
    assert (result.device.id, result.held.tolist()) == (1, [0, 1, 2])
    assert agreed(result, "cupy")[1] is result
    said, other = agreed(result, "cupy", device=1)
    assert other is result
    said, _ = agreed(np.zeros(3), "cupy", device="cuda", copy=False)
    assert said.refusal == "copy=False, but device=cuda:0"
    bf16 = agreed(torch.ones(3, dtype=torch.bfloat16), "cupy", device=0)[1]
    assert bf16.dtype == ml_dtypes.bfloat16
    said, _ = agreed(torch.ones(3, dtype=torch.float8_e5m2), "cupy", device=0)
    assert said.refusal == "CuPy 0 has no float8_e5m2; cast to float32 or float16"
    with pytest.raises(CastError, match="device='cpu' is none of CuPy's"):
        tc.to_cupy(np.zeros(3), device="cpu")


def test_cupy_without_a_device(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "is_available", lambda: False)
    assert agreed(np.zeros(3), "cupy", device=0)[0].refusal == "CuPy finds no CUDA device"


def test_cupy_stands_on_a_tensor(gpu: Gpu) -> None:
    from tensorcast.bridges import cupy

    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(3, dtype=dtype)  # as one on a GPU
        made = cupy.from_torch(x)
        x[1] = 3
        assert made.held[1] == 3


def test_cupy_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("cupy: no CUDA")
    cupy = pytest.importorskip("cupy", reason="no cupy")
    x = torch.zeros(3, device="cuda")
    said, result = agreed(x, "cupy")
    assert said.shares
    result[1] = 5
    assert x[1].item() == 5
    back = tc.as_tensor(result)
    assert back.data_ptr() == x.data_ptr()
    assert agreed(x, "numpy")[0].refusal.endswith('pass device="cpu" to bring them over')
    assert tc.to_numpy(x, device="cpu").tolist() == [0, 5, 0]
    assert isinstance(tc.to_cupy(np.zeros(3), device="cuda"), cupy.ndarray)


@pytest.mark.parametrize("target", ["jax", "tensorflow"])
def test_what_a_gpu_tensor_becomes(target: str) -> None:
    """The function that takes a tensor where it lies, with one on the CPU."""
    needs(target)
    from importlib import import_module

    x = torch.from_numpy(aligned(np.zeros(16, np.float32)))
    result = import_module(f"tensorcast.bridges.{target}").from_torch(x)
    x[1] = 3
    assert float(result[1]) == 3


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (2, 4)])
def test_float4_keeps_its_logical_shape(shape: tuple[int, ...]) -> None:
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no float4_e2m1fn_x2")
    x = np.zeros(shape, ml_dtypes.float4_e2m1fn)
    said, result = agreed(x, "torch")
    assert tuple(result.shape) == (shape[0], shape[1] // 2)
    assert tc.to_numpy(result).shape == shape
    assert said.n_bytes_allocated == result.nbytes
    assert agreed(x, "torch", copy=False)[1] is None
    said, result = agreed(np.zeros(shape, np.float32), "torch", "float4_e2m1fn")
    assert said.n_bytes_allocated == result.nbytes
    said, result = agreed(np.zeros((2, 3), np.float32), "torch", "float4_e2m1fn")
    assert said.refusal.endswith("shape [2, 3] has no even one. tensorcast.to_numpy keeps a byte "
                                 "for each")  # fmt: skip


def test_nothing_stands_in_the_way_of_no_elements() -> None:
    x = np.zeros((0, 4), ">f4")[:, ::-1]
    assert agreed(x, "torch", copy=False)[1].shape == (0, 4)


def test_explain_of_complex_to_real() -> None:
    said, _ = agreed(np.zeros(2, complex), "numpy", "float32")
    assert said.refusal.startswith("complex128 to float32 would drop the imaginary part")
