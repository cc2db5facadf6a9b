"""Many shares and releases, from several threads at once: reference counts and memory return to
where they were. `--exhaustive` makes a million calls of each kind.
"""

from __future__ import annotations

import array
import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sharing_matrix import OnlyArrow, OnlyDlpack, OnlyInterface, installed

import tensorcast as tc

torch = pytest.importorskip("torch", reason="no torch")

N_THREADS = 4
SIZE = 4096  # bytes of each source: a leaked copy shows
SLACK = 6 << 20  # of resident memory: what allocators keep


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(work: Callable[[], None], n: int) -> None:
    """Runs it n times in all, the threads starting together."""
    failures: list[BaseException] = []
    start = threading.Barrier(N_THREADS)

    def run() -> None:
        start.wait()
        try:
            for _ in range(n // N_THREADS):
                work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(N_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def held_flat(owners: list[Any], work: Callable[[], None], n: int) -> None:
    """Counts are the same to the last one, and memory to what allocators keep."""
    soak(work, max(400, n // 10))  # caches fill, arenas grow
    gc.collect()
    counts, before = [sys.getrefcount(owner) for owner in owners], resident()
    soak(work, n)
    gc.collect()
    assert [sys.getrefcount(owner) for owner in owners] == counts
    grown = resident() - before
    assert grown < SLACK, f"{grown / n:.0f} bytes a call"


def numpy_work() -> tuple[list[Any], Callable[[], None]]:
    x = np.zeros(SIZE // 4, np.float32)
    other, frozen = np.zeros((32, 32), ">i4"), np.zeros(SIZE, np.uint8)
    frozen.flags.writeable = False

    def work() -> None:
        tensor = tc.as_tensor(x)
        view = tensor[3:]
        del tensor
        tc.to_numpy(view)
        tc.as_tensor(x[::-1])
        tc.as_tensor(other)
        tc.as_tensor(frozen)
        tc.to_numpy(x, "bfloat16")
        tc.explain(x, "float16")

    return [x, other, frozen], work


def buffer_work() -> tuple[list[Any], Callable[[], None]]:
    held, numbers = bytearray(SIZE), array.array("d", bytes(SIZE))

    def work() -> None:
        tc.as_tensor(held)
        tc.to_numpy(numbers)
        tc.as_tensor(memoryview(numbers)[::2])
        tc.as_tensor(bytes(16))

    return [held, numbers], work


def protocol_work() -> tuple[list[Any], Callable[[], None]]:
    x = np.zeros(SIZE // 4, np.float32)
    dlpack, interface = OnlyDlpack(x), OnlyInterface(x)

    def work() -> None:
        tc.as_tensor(dlpack)
        tc.to_numpy(interface)
        tc.to_numpy(dlpack)

    return [x, dlpack, interface], work


def torch_work() -> tuple[list[Any], Callable[[], None]]:
    x = torch.zeros(SIZE // 4)

    def work() -> None:
        held = tc.to_numpy(x)
        tc.as_tensor(held)
        tc.to_numpy(x[::2])
        tc.as_tensor(x, "float16", copy=True)

    return [x], work


def refused_work() -> tuple[list[Any], Callable[[], None]]:
    x, frozen = np.full(SIZE // 8, 1e300), bytes(SIZE)

    def work() -> None:
        for call in (
            lambda: tc.as_tensor(x, "float16"),
            lambda: tc.as_tensor(frozen, copy=False),
            lambda: tc.to_numpy(x, "float16"),
            lambda: tc.as_tensor([1, object()]),
        ):
            with pytest.raises(tc.errors.TensorcastError):
                call()

    return [x, frozen], work


def sequence_work() -> tuple[list[Any], Callable[[], None]]:
    numbers = [[1.5] * 16] * 16
    arrays = [np.zeros(64, np.float32)] * 8

    def work() -> None:
        tc.as_tensor(numbers)
        tc.to_numpy(numbers, "bfloat16")
        tc.as_tensor(arrays)

    return [numbers, numbers[0], arrays, arrays[0]], work


def pil_work() -> tuple[list[Any], Callable[[], None]]:
    from PIL import Image

    images = [Image.new(mode, (32, 32)) for mode in ("RGB", "L", "1", "LAB")]

    def work() -> None:
        for image in images:
            tc.as_tensor(image)
            tc.to_numpy(image)
        tc.image_to_tensor(images[0])
        tc.to_pil(np.zeros((8, 8), np.uint8))

    return images, work


def jax_work() -> tuple[list[Any], Callable[[], None]]:
    import jax.numpy as jnp

    x, plain = jnp.zeros(SIZE // 4, jnp.float32), np.zeros(SIZE // 4, np.float32)

    def work() -> None:
        tc.to_numpy(x)
        tc.as_tensor(x)
        tc.to_jax(plain)
        tc.to_jax(plain, "bfloat16")

    return [x, plain], work


def tensorflow_work() -> tuple[list[Any], Callable[[], None]]:
    import tensorflow as tf

    x, plain = tf.zeros(SIZE // 4), np.zeros(SIZE // 4, np.float32)

    def work() -> None:
        tc.to_numpy(x)
        tc.as_tensor(x)
        tc.to_tensorflow(plain)

    return [x, plain], work


def pyarrow_work() -> tuple[list[Any], Callable[[], None]]:
    import pyarrow as pa

    x, plain = pa.array(np.zeros(SIZE // 4, np.float32)), np.zeros(SIZE // 4, np.float32)
    only = OnlyArrow(x)

    def work() -> None:
        tc.to_numpy(x)
        tc.as_tensor(x)
        tc.to_numpy(only)
        tc.to_arrow(plain)

    return [x, plain], work


WORK = {
    "numpy": numpy_work,
    "buffers": buffer_work,
    "protocols": protocol_work,
    "torch": torch_work,
    "refusals": refused_work,
    "sequences": sequence_work,
    "PIL": pil_work,
    "jax": jax_work,
    "tensorflow": tensorflow_work,
    "pyarrow": pyarrow_work,
}


@pytest.mark.parametrize("library", WORK)
def test_nothing_leaks(library: str, exhaustive: bool) -> None:
    if library in ("PIL", "jax", "tensorflow", "pyarrow") and not installed(library):
        pytest.skip(f"no {library}")
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("no /proc to read resident memory from")
    owners, work = WORK[library]()
    held_flat(owners, work, 1_000_000 if exhaustive else 1500)


def test_a_leak_is_found() -> None:
    x = np.zeros(SIZE // 4, np.float32)
    kept = []
    with pytest.raises(AssertionError):
        held_flat([x], lambda: kept.append(tc.as_tensor(x)), 800)
    kept.clear()
    large = np.zeros(1 << 20, np.uint8)  # more in all than what was freed before can hold
    with pytest.raises(AssertionError, match="bytes a call"):
        held_flat([], lambda: kept.append(tc.as_tensor(large, copy=True)), 400)
