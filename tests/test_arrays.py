"""as_tensor, to_numpy, explain: what is shared is shared, what is copied is not, and both are said.

The matrix of sources is in sharing_matrix.py. Sharing is proven by writing through one side and
reading the other; a library that is not installed is skipped by name.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import sharing_matrix
from sharing_matrix import LIBRARIES, Source, installed

import tensorcast as tc
from tensorcast.errors import CastError

torch = pytest.importorskip("torch", reason="no torch")

Target = Literal["torch", "numpy"]


def numbers(x: Any) -> np.ndarray:
    """A result's elements as codes, whatever it is."""
    if isinstance(x, np.ndarray):
        native = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
        return np.frombuffer((native != 0 if native.dtype == bool else native).tobytes(), np.uint8)
    x = x.detach()
    if x.dtype == torch.bool:
        x = x.to(torch.uint8)
    elif x.itemsize == 1:
        x = x.view(torch.uint8)
    flat = x.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().copy() if flat.numel() else np.zeros(0, np.uint8)


def held_to(source: Source, target: Target) -> tuple[str, tuple[str, ...]]:
    """Hands a source over, and checks that what is said is so."""
    x = source.make()
    before = source.read(x)
    said = tc.explain(x, to=target)
    result = tc.as_tensor(x) if target == "torch" else tc.to_numpy(x)
    expected = numbers(before.astype(sharing_matrix.dtype_of(source.format)))
    assert tuple(result.shape) == before.shape
    assert np.array_equal(numbers(result), expected)
    assert said.shares == (not said.n_bytes_allocated) or before.size == 0
    if before.size == 0:
        return said.action, said.because
    if source.write is not None:
        source.write(x)
        reached = not np.array_equal(numbers(result), expected)
        assert reached == said.shares, said
        before = source.read(x)
    if target == "numpy" and said.read_only:
        assert not result.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            result[(0,) * result.ndim] = 1
    else:
        if target == "torch":
            bits = (
                result.view(
                    {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}.get(
                        result.itemsize, torch.complex128
                    )
                )
                if result.dtype != torch.complex128
                else result
            )
            bits[(0,) * bits.dim()] = 1 - bits[(0,) * bits.dim()]
        else:
            sharing_matrix.change(result)
        reached = source.read(x).tobytes() != before.tobytes()
        assert reached == said.shares, said
        assert not (reached and source.layout == "read-only"), "a write reached read-only memory"
    if said.action == "copies":
        with pytest.raises(CastError, match=r"^copy=False, but "):
            tc.as_tensor(x, copy=False) if target == "torch" else tc.to_numpy(x, copy=False)
    return said.action, said.because


@pytest.mark.parametrize("target", ["torch", "numpy"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_matrix(library: str, target: Target) -> None:
    module = {"pyarrow": "pyarrow", "protocols": "numpy", "buffers": "numpy"}.get(library, library)
    if not installed(module):
        pytest.skip(f"no {module}")
    n = 0
    for source in LIBRARIES[library]():
        spelled = source.format.spellings.get("torch")
        where = f"{source.library} {source.format.name} {source.layout} to {target}"
        if target == "torch" and (spelled is None or spelled.endswith("_x2")):
            if spelled is None or source.layout == "0-d":
                with pytest.raises(CastError):
                    tc.as_tensor(source.make())
            n += 1
            continue
        try:
            held_to(source, target)
        except (CastError, AssertionError) as error:
            raise AssertionError(f"{where}: {error}") from error
        n += 1
    assert n


def test_nothing_to_do_returns_the_object() -> None:
    tensor, array = torch.zeros(3), np.zeros(3)
    assert tc.as_tensor(tensor) is tensor
    assert tc.as_tensor(tensor, "float32", "cpu", copy=False) is tensor
    assert tc.to_numpy(array) is array
    assert tc.as_tensor(tensor, copy=True) is not tensor
    assert tc.to_numpy(array, copy=True) is not array


@pytest.mark.parametrize(
    ("make", "because"),
    [
        (lambda: np.zeros(4)[::-1], "strides are negative, and torch has none"),
        (lambda: np.zeros(4, ">i4"), "the bytes are in the other order"),
        (lambda: b"ab", "it is a read-only buffer, and a tensor would be writable"),
        (lambda: [1, 2], "a list of numbers is no memory"),
        (lambda: 1.5, "a float of numbers is no memory"),
    ],
)
def test_copy_false_says_why(make: Any, because: str) -> None:
    with pytest.raises(CastError, match=f"^copy=False, but {because}$"):
        tc.as_tensor(make(), copy=False)


def test_copy_false_refuses_a_cast_and_a_trip() -> None:
    with pytest.raises(CastError, match="copy=False, but float32 to float16"):
        tc.as_tensor(torch.zeros(2), "float16", copy=False)
    with pytest.raises(CastError, match="copy=False, but int32 to int64"):
        tc.to_numpy(np.zeros(2, np.int32), "int64", copy=False)
    with pytest.raises(CastError, match="copy=False, but device=meta"):
        tc.as_tensor(torch.zeros(2), device="meta", copy=False)


def test_an_alias_of_read_only_memory_is_asked_for() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    alias = tc.as_tensor(array, copy=False, on_read_only="alias")
    assert alias.data_ptr() == array.ctypes.data
    assert tc.as_tensor(array).data_ptr() != array.ctypes.data


def test_formats_and_policies() -> None:
    assert tc.as_tensor(np.array([1.5, 300.0]), "int8", overflow="saturate").tolist() == [1, 127]
    with pytest.raises(
        tc.errors.CastOverflowError, match=r"1 of 2 values lie outside int8 .* at \[1\]"
    ):
        tc.as_tensor(np.array([1.5, 300.0]), "int8")
    assert tc.to_numpy(torch.tensor([1, 2]), "bfloat16").dtype.name == "bfloat16"
    assert tc.as_tensor([[1, 2], [3, 4]], "float16").shape == (2, 2)
    assert tc.as_tensor(memoryview(b"abcd").cast("H")).dtype == torch.uint16


def test_what_is_no_array_is_refused() -> None:
    structured = np.zeros(2, [("a", "f4"), ("b", "i4")])
    for wrong in (structured, np.array([object()]), np.array(["a"])):
        with pytest.raises((CastError, tc.errors.FormatError)):
            tc.as_tensor(wrong)
    with pytest.raises(CastError):
        tc.as_tensor("a string")
    with pytest.raises(CastError):
        tc.as_tensor(object())


def test_what_makes_an_array_of_itself() -> None:
    """As pandas, h5py and xarray do: shared if two calls give the same memory."""

    class Column:
        def __init__(self, held: np.ndarray, copies: bool = False) -> None:
            self.held, self.copies = held, copies

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return self.held.copy() if self.copies else self.held

    held = np.arange(3.0)
    tc.as_tensor(Column(held))[0] = 7
    assert held[0] == 7
    assert tc.explain(Column(held, copies=True)).because == ("a Column hands out copies",)
    tc.as_tensor(Column(held, copies=True))[0] = 9
    assert held[0] == 7
    held.flags.writeable = False
    tc.as_tensor(Column(held))[0] = 9
    assert held[0] == 7
    assert not tc.to_numpy(Column(held)).flags.writeable
    with pytest.raises(CastError, match="holds no numbers"):
        tc.as_tensor(Column(np.array(["a"])))
    with pytest.raises(CastError, match="makes no array of itself"):
        tc.as_tensor(Column(5))  # type: ignore[arg-type]


def test_the_owner_is_kept_alive() -> None:
    tensor = tc.as_tensor(bytearray(b"\x01\x02\x03" * 1000))
    array = tc.to_numpy(torch.arange(1000, dtype=torch.int16))
    gc.collect()
    junk = [np.zeros(3000, np.uint8) for _ in range(50)]
    assert tensor[:3].tolist() == [1, 2, 3]
    assert array[999] == 999
    del junk


def test_a_resize_under_a_tensor_is_refused() -> None:
    array = np.arange(1000.0)
    tensor = tc.as_tensor(array)
    part = tc.as_tensor(np.arange(1000.0)[1:])
    with pytest.raises(ValueError, match="cannot resize"):
        array.resize(10_000_000, refcheck=False)
    assert tensor.sum().item() == array.sum()
    assert part[0].item() == 1
    view = tensor[5:]
    del tensor
    gc.collect()
    with pytest.raises(ValueError, match="cannot resize"):
        array.resize(10_000_000, refcheck=False)
    assert view[0].item() == 5
    del view
    gc.collect()
    array.resize(10_000, refcheck=False)


def test_buffers_are_held(tmp_path: Path) -> None:
    data = bytearray(b"abcd")
    tensor = tc.as_tensor(data)
    with pytest.raises(BufferError):
        data.extend(b"x" * 10_000)
    view = memoryview(data)
    other = tc.as_tensor(view)
    view.release()  # the export is the tensor's own
    with pytest.raises(BufferError):
        data.clear()
    file = tmp_path / "file"
    file.write_bytes(b"\x07" * 4096)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        third = tc.as_tensor(mapped)
        with pytest.raises(BufferError):
            mapped.close()
        assert third[0].item() == 7
        del third
        gc.collect()
    assert tensor.tolist() == other.tolist() == [97, 98, 99, 100]


def test_dlpack_capsules_are_freed() -> None:
    array = np.zeros(1000)
    for _ in range(100):
        tc.to_numpy(sharing_matrix.OnlyDlpack(array))
    gc.collect()
    array.resize(10, refcheck=True)


def test_reference_counts_stay() -> None:
    import sys

    array, data = np.zeros(8), bytearray(8)
    before = sys.getrefcount(array), sys.getrefcount(data)
    for _ in range(1000):
        tc.as_tensor(array)
        tc.to_numpy(data)
    gc.collect()
    assert (sys.getrefcount(array), sys.getrefcount(data)) == before


def test_explain_says_it_in_a_few_lines() -> None:
    array = np.zeros((2, 3), np.float32)
    assert str(tc.explain(array)) == (
        "numpy float32 [2, 3] -> torch.Tensor float32 [2, 3]\n"
        "shares\n"
        "allocates and moves nothing\n"
        "owned by numpy; a write reaches the numpy object too"
    )
    assert str(tc.explain(array[:, ::-1])) == (
        "numpy float32 [2, 3] -> torch.Tensor float32 [2, 3]\n"
        "copies: strides are negative, and torch has none\n"
        "allocates 24 bytes, moves 48 bytes\n"
        "owned by torch; a write reaches the result only"
    )
    assert str(tc.explain(array, device="meta", dtype="float64")) == (
        "numpy float32 [2, 3] -> torch.Tensor float64 [2, 3] on meta\n"
        "casts: float32 to float64; device=meta\n"
        "allocates 48 bytes, moves 72 bytes, casts on meta\n"
        "24 bytes travel to meta before the cast\n"
        "owned by torch; a write reaches the result only"
    )
    assert tc.explain([1, 2]).because == ("a list of numbers is no memory",)
    assert tc.explain(b"ab", to="numpy").read_only
    assert tc.explain(b"ab", copy=False).action == "refuses"


def test_what_python_holds_is_not_touched() -> None:
    data = (ctypes.c_int32 * 3)(1, 2, 3)
    tensor = tc.as_tensor(data)
    tensor[0] = 9
    assert data[0] == 9
    assert tensor.dtype == torch.int32
