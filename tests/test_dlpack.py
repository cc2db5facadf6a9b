"""DLPack capsules that say what cannot be, that nobody has taken over yet, and of pairs."""

from __future__ import annotations

import ctypes
import datetime
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.bridges.dlpack import _Managed, _Tensor, _Versioned

torch = pytest.importorskip("torch", reason="torch is not installed")

DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class Producer:
    """An object with `__dlpack__` whose capsule says whatever is asked for.

    Attributes:
        deleted: how often the capsule's deleter was called.
    """

    def __init__(self, versioned: bool = True, **said: Any) -> None:
        self.said = {"shape": (2, 3), "strides": (3, 1), "code": 2, "bits": 32, "lanes": 1,
                     "device_type": 1, "byte_offset": 0, "major": 1, "flags": 0} | said  # fmt: skip
        self.memory = (ctypes.c_float * 64)(*map(float, range(64)))
        self.deleted = 0
        self.versioned = versioned
        self.kept: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def __dlpack__(self, **_options: object) -> Any:
        said = self.said
        kind = _Versioned if self.versioned else _Managed
        managed = kind()
        if self.versioned:
            managed.major, managed.flags = said["major"], said["flags"]
        tensor: _Tensor = managed.tensor
        tensor.data = said.get("data", ctypes.addressof(self.memory))
        tensor.device_type = said["device_type"]
        tensor.code, tensor.bits, tensor.lanes = said["code"], said["bits"], said["lanes"]
        tensor.byte_offset = said["byte_offset"]
        arrays = {}
        for name in ("shape", "strides"):
            if said[name] is not None:
                arrays[name] = (ctypes.c_int64 * max(1, len(said[name])))(*said[name])
                setattr(tensor, name, arrays[name])
        tensor.ndim = said.get("ndim", len(said["shape"] or ()))

        def delete(_address: int) -> None:
            self.deleted += 1

        deleter = DELETER(delete)
        managed.deleter = ctypes.cast(deleter, ctypes.c_void_p)
        self.kept.append((managed, arrays, deleter))
        new = ctypes.pythonapi.PyCapsule_New
        new.restype = ctypes.py_object
        new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        name = b"dltensor_versioned" if self.versioned else b"dltensor"
        self.kept.append(name)
        return new(ctypes.addressof(managed), name, None)


IMPOSSIBLE = {
    "a null pointer": ({"data": None}, "6 elements and a null pointer"),
    "a null pointer and an offset": ({"data": None, "byte_offset": 64}, "and a null pointer"),
    "another device": ({"device_type": 2}, "device of DLPack type 2"),
    "no dimensions below 0": ({"ndim": -1}, "of -1 dimensions"),
    "many dimensions": ({"ndim": 1 << 30}, "of 1073741824 dimensions"),
    "no shape": ({"shape": None, "ndim": 2}, "dimensions and no shape"),
    "a negative size": ({"shape": (2, -3)}, "negative size"),
    "a shape beyond all memory": ({"shape": (1 << 40, 1 << 40), "strides": None}, "beyond all"),
    "empty and beyond": ({"shape": (0, 1 << 62), "strides": None}, "beyond all memory"),
    "a stride beyond all memory": ({"strides": (1 << 61, 1)}, "beyond all memory"),
    "a stride below all memory": ({"strides": (-(1 << 61), 1)}, "beyond all memory"),
    "an offset beyond all memory": ({"byte_offset": (1 << 64) - 4}, "beyond all memory"),
    "lanes": ({"lanes": 4}, "32 bits and 4 lanes is none"),
    "no lanes": ({"lanes": 0}, "0 lanes is none"),
    "odd bits": ({"bits": 33}, "of 33 bits"),
    "a code of no type": ({"code": 99}, "type code 99"),
    "complex32": ({"code": 5}, "none of tensorcast's formats; make it complex64 first"),
    "another version": ({"major": 2}, "the capsule is of DLPack 2; 1 is known"),
    "pairs out of order": (
        {"code": 17, "bits": 4, "lanes": 2, "strides": (1, 2)}, "float4_e2m1fn elements is not in"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_is_refused(name: str) -> None:
    said, message = IMPOSSIBLE[name]
    for options in ({}, {"copy": True}, {"dtype": "float64"}):
        with pytest.raises(tc.errors.CastError, match=message):
            tc.as_tensor(Producer(**said), **options)
        with pytest.raises(tc.errors.CastError, match=message):
            tc.to_numpy(Producer(**said), **options)
    with pytest.raises(tc.errors.CastError, match=message):
        tc.as_tensor(Producer(**said).__dlpack__())
    if said.get("major", 1) == 1:
        with pytest.raises(tc.errors.CastError, match=message):
            tc.as_tensor(Producer(versioned=False, **said), "float64")


def test_what_can_be() -> None:
    assert tc.to_numpy(Producer()).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tc.to_numpy(Producer(strides=None)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tc.to_numpy(Producer(strides=(1, -1), byte_offset=8)).tolist() == [[2, 1, 0], [3, 2, 1]]
    assert tc.to_numpy(Producer(shape=(0, 3), data=None)).shape == (0, 3)
    assert tc.to_numpy(Producer(shape=(), strides=())).tolist() == 0
    assert tc.to_numpy(Producer(byte_offset=2), copy=True).shape == (2, 3)
    assert tc.as_tensor(Producer(byte_offset=2)).shape == (2, 3)  # not aligned: a copy
    assert not tc.to_numpy(Producer(flags=1)).flags.writeable
    assert not tc.explain(Producer(flags=1)).shares
    assert tc.explain(Producer()).shares


@pytest.mark.parametrize("make", [tc.as_tensor, tc.to_numpy])
@pytest.mark.parametrize("versioned", [True, False])
def test_a_bare_capsule_is_taken_over_once(make: Any, versioned: bool) -> None:
    producer = Producer(versioned)
    capsule = producer.__dlpack__()
    assert tc.explain(capsule).target.startswith("torch.Tensor float32 [2, 3]")
    assert tc.explain(capsule).action in ("shares", "copies")  # looking takes nothing
    result = make(capsule)
    assert result.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(tc.errors.CastError, match="one that was used already"):
        make(capsule)
    with pytest.raises(Exception):  # noqa: B017, PT011 - torch's own
        torch.utils.dlpack.from_dlpack(capsule)
    shares = versioned or make is tc.to_numpy
    del capsule
    gc.collect()
    assert producer.deleted == (0 if shares else 1)
    part = result[1:]
    del result
    gc.collect()
    assert part.tolist() == [[3, 4, 5]]
    del part
    gc.collect()
    assert producer.deleted == 1


def test_bare_capsules_of_others() -> None:
    x = torch.arange(6.0).view(2, 3)
    t = tc.as_tensor(x.__dlpack__(max_version=(1, 0)))
    t[0, 0] = 9
    assert x[0, 0] == 9
    assert tc.as_tensor(x.__dlpack__(), "bfloat16").tolist() == x.tolist()
    array = np.arange(4, dtype=np.int16)
    assert tc.as_tensor(array.__dlpack__()).tolist() == [0, 1, 2, 3]
    other = datetime.datetime_CAPI  # a capsule of something else
    with pytest.raises(tc.errors.CastError, match="this is no DLPack capsule"):
        tc.as_tensor(other)


def test_pairs_come_through_dlpack() -> None:
    pairs = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(2, 128)
    x = pairs.view(torch.float4_e2m1fn_x2)
    want = tc.cast(x, "float32")
    assert torch.equal(tc.as_tensor(x.__dlpack__(), "float32"), want)

    class Holder:
        __dlpack__ = x.__dlpack__
        __dlpack_device__ = x.__dlpack_device__

    assert np.array_equal(tc.to_numpy(Holder(), "float32"), want.numpy())
    assert tc.as_tensor(Holder()).dtype == torch.float4_e2m1fn_x2
    assert torch.equal(tc.as_tensor(Holder()).view(torch.uint8), pairs)
    one_each = Producer(code=17, bits=4, shape=(4,), strides=(1,), flags=4)
    ctypes.memmove(one_each.memory, bytes([0, 1, 2, 15]), 4)
    assert tc.to_numpy(one_each, "float32").tolist() == [0, 0.5, 1, -6]
    packed = Producer(code=17, bits=4, shape=(3,), strides=None)
    ctypes.memmove(packed.memory, bytes([0x21, 0x0F]), 2)
    assert tc.to_numpy(packed, "float32").tolist() == [0.5, 1, -6]


def test_nothing_ends_the_process() -> None:
    code = (
        "import torch, tensorcast as tc\n"
        "import test_dlpack as t\n"
        "for said, _ in t.IMPOSSIBLE.values():\n"
        "    for call in (tc.as_tensor, tc.to_numpy, tc.explain, lambda p: tc.as_tensor([p])):\n"
        "        try: call(t.Producer(**said))\n"
        "        except tc.errors.CastError: pass\n"
        "print('fine')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr
