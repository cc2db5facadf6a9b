"""Any strides, offset, shape, byte order and format, through every bridge and back: the elements
are the same bits, what is said to be shared is, and nothing else.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sharing_matrix import (
    OnlyDlpack,
    OnlyInterface,
    aligned,
    dtype_of,
    installed,
    jax_x64,
    possible,
)

import tensorcast as tc
from tensorcast.formats import FORMATS, Format

torch = pytest.importorskip("torch", reason="no torch")

ROWS = [row for row in FORMATS.values() if possible(row, "contiguous")]
WAYS_OUT = {
    "torch": tc.as_tensor,
    "numpy": tc.to_numpy,
    "jax": tc.to_jax,
    "tensorflow": tc.to_tensorflow,
    "arrow": tc.to_arrow,
}


def codes(row: Format, n: int, seed: int) -> np.ndarray:
    """n random elements: any bits, but of bool and the narrow formats those that they have."""
    rng = np.random.default_rng(seed)
    dtype = dtype_of(row)
    if row.kind == "bool":
        return rng.integers(0, 2, n).astype(bool)
    if row.bits < 8:
        if row.is_float:
            return rng.integers(0, 1 << row.bits, n).astype(np.uint8).view(dtype)
        return rng.integers(int(row.min), int(row.max) + 1, n).astype(dtype)
    return np.frombuffer(rng.bytes(n * dtype.itemsize), dtype).copy()


@st.composite
def arrays(draw: Any) -> tuple[np.ndarray, Format]:
    """An array somewhere in a block of memory that is its own."""
    row = draw(st.sampled_from(ROWS))
    dtype = dtype_of(row)
    size = dtype.itemsize
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    steps = st.integers(-3, 3).map(lambda x: x * size)
    if draw(st.integers(0, 4)) == 0:
        steps = st.integers(-3 * size, 3 * size)
    wild = tuple(draw(steps) for _ in shape)
    kind = draw(st.sampled_from(["C", "F", "wild"]))
    if kind == "wild":
        strides = wild
    else:
        order = shape if kind == "F" else shape[::-1]
        found, step = [], size
        for n in order:
            found.append(step)
            step *= max(n, 1)
        strides = tuple(found if kind == "F" else found[::-1])
    reach = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True) if n]
    low, high = sum(min(0, x) for x in reach), sum(max(0, x) for x in reach)
    shift = draw(st.sampled_from([0, 0, 1, size, 64]))
    room = aligned(np.zeros(high - low + size + shift + 64, np.uint8))
    data = codes(row, room.size // size, draw(st.integers(0, 2**16)))
    room[: data.nbytes] = data.view(np.uint8)
    at = shift - low
    if row.bits < 8 or row.kind == "bool":
        strides = tuple(strides)
    elif draw(st.booleans()) and "numpy" in row.spellings and size > 1:
        dtype = dtype.newbyteorder()
    array = np.ndarray(shape, dtype, room.data, at, strides)
    if draw(st.integers(0, 3)) == 0:
        array.flags.writeable = False
    return array, row


def bits(x: Any) -> bytes:
    """Elements in C order, in the machine's byte order."""
    x = np.asarray(x)
    if x.size == 0:
        return b""
    native = np.array(x, order="C", copy=True)
    native = native if native.dtype.isnative else native.byteswap().view(x.dtype.newbyteorder("="))
    if native.dtype == bool:
        native = native.view(np.uint8) != 0
    return native.tobytes()


def back(x: Any) -> np.ndarray:
    """A result as NumPy's array, by the way in."""
    array: np.ndarray = tc.to_numpy(x)
    return array


@pytest.mark.parametrize("through", ["itself", "interface", "dlpack", "buffer"])
@pytest.mark.parametrize("target", WAYS_OUT)
@given(made=arrays())
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
def test_there_and_back(target: str, through: str, made: tuple[np.ndarray, Format]) -> None:
    if target not in ("torch", "numpy"):
        package = "pyarrow" if target == "arrow" else target
        if not installed(package):
            pytest.skip(f"no {package}")
    x, row = made
    source: Any = x
    try:
        if through == "interface":
            if "numpy" not in row.spellings:
                return
            source = OnlyInterface(x)
        elif through == "dlpack":
            source = OnlyDlpack(x)
            source.__dlpack__(max_version=(1, 0))
        elif through == "buffer":
            source = memoryview(x)
    except (BufferError, ValueError, TypeError, RuntimeError):
        return  # NumPy does not export it so
    before = bits(x)
    said = tc.explain(source, to=target)
    call = WAYS_OUT[target]
    if said.action == "refuses":
        with pytest.raises(tc.errors.CastError):
            call(source)
        return
    result = call(source)
    if str(getattr(result, "dtype", "")) == "torch.float4_e2m1fn_x2":
        return  # packed; test_packed.py
    assert bits(back(result)) == before
    assert back(result).shape == x.shape or target == "arrow"
    held = back(result)
    by_value = target == "tensorflow" and x.ndim == 0  # as TensorFlow gives its scalars out
    if x.size and np.shares_memory(held, x):
        assert said.shares
        if not x.flags.writeable:
            assert not tc.explain(source, to=target).writes.startswith("a write reaches the")
    elif x.size and not by_value:
        assert said.action in ("copies", "refuses"), said
    if said.shares:
        call(source, copy=False)
    else:
        with pytest.raises(tc.errors.CastError, match=r"^copy=False, but "):
            call(source, copy=False)
    other = call(source, copy=True)
    if x.size:
        assert not np.shares_memory(back(other), x)
    assert bits(back(other)) == before
    assert bits(x) == before


@given(made=arrays(), to=st.sampled_from([row.name for row in ROWS if not row.is_complex]))
@settings(deadline=None, max_examples=200, derandomize=True)
def test_casts_on_the_way(made: tuple[np.ndarray, Format], to: str) -> None:
    """to_numpy(x, format) is cast(x, format), wherever x lies."""
    x, row = made
    if row.is_complex:
        return
    try:
        expected = tc.cast(np.array(x), to, overflow="saturate", nan="zero")
    except (tc.errors.CastError, ValueError) as error:
        with pytest.raises(type(error)):
            tc.to_numpy(x, to, overflow="saturate", nan="zero")
        return
    found = tc.to_numpy(x, to, overflow="saturate", nan="zero")
    assert found.dtype == np.asarray(expected).dtype or row.name == to
    assert bits(found) == bits(expected)


@pytest.fixture(autouse=True)
def x64() -> Any:
    """JAX with 64 bits."""
    if "jax" not in sys.modules:
        yield
        return
    with jax_x64(True):
        yield
