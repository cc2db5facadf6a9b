"""Whatever is handed over, the error is tensorcast's own, and the original is its cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import odd_objects
import pytest

import tensorcast as tc
from tensorcast.errors import CastError, TensorcastError

PIXELS = np.zeros((1, 1, 1), np.uint8)
WITHOUT_TORCH: dict[str, Callable[[Any], Any]] = {
    "cast": lambda x: tc.cast(x, "float16"),
    "cast, reported": lambda x: tc.cast(x, "float16", report=True),
    "cast, packed": lambda x: tc.cast(x, "int4", packed=True),
    "cast into": lambda x: tc.cast(np.ones(4, np.float32), "float16", out=x),
    "measure": lambda x: tc.measure(x, "float16"),
    "array": tc.to_numpy,
    "array of float16": lambda x: tc.to_numpy(x, "float16"),
    "image into": lambda x: tc.image_to_tensor(PIXELS, out=x),
    "pack": lambda x: tc.pack(x, "int4"),
    "unpack": tc.unpack,
    "PackedTensor of": lambda x: tc.packed.PackedTensor("int4", (2,), x),
}
WITH_TORCH: dict[str, Callable[[Any], Any]] = {
    "as_tensor": tc.as_tensor,
    "as_tensor of float16": lambda x: tc.as_tensor(x, "float16"),
    "as_tensor, shared": lambda x: tc.as_tensor(x, copy=False),
    "to_numpy": tc.to_numpy,
    "to_numpy of float16": lambda x: tc.to_numpy(x, "float16"),
    "explain": tc.explain,
    "cast_": lambda x: tc.cast_(x, "float16") if not isinstance(x, dict) else refuse(),
    "image_to_tensor": tc.image_to_tensor,
}
TAKEN = {"evil int"}  # an int of CPython's, whatever its methods say
NO_OUT = ("cast into", "image into")  # of None


def refuse() -> None:
    raise CastError("an empty dict is nothing to convert")


@pytest.mark.parametrize("verb", [*WITHOUT_TORCH, *WITH_TORCH])
def test_every_refusal_is_an_error_of_tensorcast(verb: str) -> None:
    if verb in WITH_TORCH:
        pytest.importorskip("torch")
    function = WITHOUT_TORCH.get(verb) or WITH_TORCH[verb]
    for name, x in odd_objects.all_of_them().items():
        if name in TAKEN or (x is None and verb in NO_OUT):
            continue
        try:
            function(x)
        except TensorcastError:
            continue
        raise AssertionError(f"{verb} took {name}")


@pytest.mark.parametrize("option", ["mean", "std", "divide", "layout"])
def test_options_of_images(option: str) -> None:
    for name, x in odd_objects.all_of_them().items():
        if x is None or (isinstance(x, (str, np.str_)) and option == "layout"):
            continue
        try:
            tc.image_to_tensor(PIXELS, **{option: x})
        except TensorcastError:
            continue
        assert name in ("decimal", "evil length", "a record"), name


@pytest.mark.parametrize("shape", [None, "12", (1.5,), 3, ("a",), object(), {"a": 1}, (-1,)])
def test_shapes_of_packed_tensors(shape: Any) -> None:
    with pytest.raises(CastError, match="shape"):
        tc.packed.PackedTensor("int4", shape, np.zeros(1, np.uint8))


def test_the_original_error_is_the_cause() -> None:
    pytest.importorskip("torch")
    broken = odd_objects.interfaces()
    for name, cause, text in (
        ("interface that raises", RuntimeError, "no interface"),
        ("interface without typestr", ValueError, "typestr"),
        ("interface of negative length", ValueError, "negative"),
        ("cannot make an array", KeyError, "boom"),
        ("DLPack that raises", BufferError, "not now"),
        ("Arrow that raises", RuntimeError, "released"),
        ("CUDA interface that raises", RuntimeError, "gone"),
    ):
        with pytest.raises(CastError, match=text) as caught:
            tc.to_numpy(broken[name])
        assert isinstance(caught.value.__cause__, cause), name


def test_where_no_memory_can_be() -> None:
    pytest.importorskip("torch")
    broken = odd_objects.interfaces()
    for name in ("huge strides", "huge negative strides"):
        with pytest.raises(CastError, match=r"where no memory can be.*strides \[-?\d+\]"):
            tc.as_tensor(broken[f"interface of {name}"])
    with pytest.raises(CastError, match="has a mask"):
        tc.as_tensor(broken["interface with a mask"])


def test_what_lies_on_a_gpu_and_torch_has_none() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this torch reaches a GPU")
    broken = odd_objects.interfaces()
    with pytest.raises(CastError, match=r"lies on a GPU, and this torch \(.*\) cannot take it"):
        tc.as_tensor(broken["CUDA interface"])
    with pytest.raises(CastError, match=r"DLPack's type 2, and this torch \(.*\) cannot take it"):
        tc.to_numpy(broken["DLPack on CUDA"], device="cpu")


def test_more_dimensions_than_64() -> None:
    torch = pytest.importorskip("torch")
    x = torch.zeros((1,) * 70)
    for call in (
        lambda: tc.cast(x, "float16"),
        lambda: tc.cast(x, "float16", report=True),
        lambda: tc.cast(x, "int4", packed=True),
        lambda: tc.measure(x, "float16"),
        lambda: tc.can_cast(x, "float16"),
        lambda: tc.to_numpy(x),
        lambda: tc.as_tensor(x, "float16"),
        lambda: tc.as_tensor([x]),
        lambda: tc.pack(x.to(torch.uint8), "int4"),
        lambda: tc.packed.PackedTensor("int4", (1,) * 70, np.zeros(1, np.uint8)),
        lambda: tc.testing.assert_cast_close(x, x),
    ):
        with pytest.raises(CastError, match=r"7[01] dimensions; at most 64"):
            call()


@pytest.mark.parametrize("device", ["nowhere", 3.5, object(), 2**200])
def test_devices_that_are_none(device: Any) -> None:
    torch = pytest.importorskip("torch")
    for call in (
        lambda: tc.as_tensor([1.0], device=device),
        lambda: tc.as_tensor([1.0], device=device),
        lambda: tc.cast(torch.ones(2), "float16", device=device),
        lambda: tc.cast(np.ones(2), "float16", device=device),
    ):
        with pytest.raises(CastError):
            call()


def test_arrays_of_other_libraries_are_told_the_way_in() -> None:
    pil = pytest.importorskip("PIL.Image")
    for x in (pil.new("L", (1, 1)), memoryview(b"ab"), odd_objects.interface(), bytearray(2)):
        with pytest.raises(CastError, match=r"tensorcast\.as_tensor\(x\)"):
            tc.cast(x, "float16")
        with pytest.raises(CastError, match=r"tensorcast\.as_tensor\(x\)"):
            tc.measure(x, "float16")


def test_paths_are_told_what_reads_files(tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    for path in ("x.png", tmp_path / "x.safetensors"):
        for call in (
            tc.image_to_tensor,
            tc.as_tensor,
            tc.to_numpy,
            tc.as_tensor,
            lambda x: tc.as_tensor([x]),
            lambda x: tc.cast(x, "float16"),
            lambda x: tc.measure(x, "float16"),
            lambda x: tc.cast(torch.zeros(1), "float16", out=x),
        ):
            with pytest.raises(CastError) as caught:
                call(path)
            if "out is of type" not in str(caught.value):
                assert "PIL.Image.open(path)" in str(caught.value)
                assert "tensorcast.inspect(path)" in str(caught.value)


def test_functionalize() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.0, 1e-9, 2.5, -3.1])

    def cast(x: Any) -> Any:
        return tc.cast(x, "float16")

    assert torch.equal(torch.func.functionalize(cast)(x), cast(x))
    with pytest.raises(CastError, match="outside of"):
        torch.func.functionalize(lambda x: tc.cast(x, "float16", report=True))(x)
    with pytest.raises(CastError, match="traced or transformed"):
        torch.func.functionalize(lambda x: tc.pack(x, "int4"))(x.to(torch.uint8))

    def total(x: Any) -> Any:
        return cast(x).float().sum()

    # never a zero for a derivative
    one = torch.ones(4)
    assert torch.equal(torch.func.functionalize(torch.func.grad(total))(x), one)
    assert torch.equal(torch.func.grad(torch.func.functionalize(total))(x), one)
    value, tangent = torch.func.jvp(torch.func.functionalize(cast), (x,), (x,))
    assert torch.equal(value, cast(x))
    assert torch.equal(tangent, cast(x))


def test_export_with_report() -> None:
    torch = pytest.importorskip("torch")

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            result, _ = tc.cast(x, "float16", report=True)
            return result

    with pytest.raises(CastError, match=r"report=True.*outside of torch\.export"):
        torch.export.export(Model(), (torch.ones(4),), strict=False)
