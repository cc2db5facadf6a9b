"""Objects that are no arrays, or claim to be some: what every public call has to refuse with an
error of its own."""

from __future__ import annotations

import array
import ctypes
import datetime
import decimal
import enum
import pathlib
import sys
from collections import OrderedDict, UserList, deque, namedtuple
from typing import Any

import numpy as np


class Thing:
    """An object with the attributes it is made with; an exception among them is raised."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__["own"] = attributes

    def __getattr__(self, name: str) -> Any:
        own = self.__dict__["own"]
        if name not in own:
            raise AttributeError(name)
        if isinstance(own[name], Exception):
            raise own[name]
        return own[name]


class Making:
    """Makes something of itself that is no array."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def __array__(self, *_: Any, **__: Any) -> Any:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made


class EvilLength(list[Any]):
    def __len__(self) -> int:
        raise RuntimeError("no length")


class EvilInt(int):
    def __index__(self) -> int:
        raise RuntimeError("no index")


class EvilAttributes:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class AnyAttribute:
    def __getattr__(self, name: str) -> Any:
        return None


class Color(enum.Enum):
    RED = 1


def call(result: Any) -> Any:
    def called(*_: Any, **__: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    return called


MEMORY = np.zeros(4, np.float32)


def interface(**changed: Any) -> Thing:
    """An array interface with some entries changed; Ellipsis leaves one out."""
    entries = {**MEMORY.__array_interface__, **changed}
    return Thing(
        __array_interface__={name: value for name, value in entries.items() if value is not ...}
    )


def dlpack(device: Any = (1, 0), capsule: Any = None) -> Thing:
    return Thing(__dlpack_device__=call(device), __dlpack__=call(capsule))


GPU = {"shape": (2,), "typestr": "<f4", "data": (4096, False), "version": 3}


def interfaces() -> dict[str, Any]:
    """Array interfaces, DLPack and Arrow, broken in one place each."""
    return {
        "interface without shape": interface(shape=...),
        "interface without typestr": interface(typestr=...),
        "interface without data": interface(data=...),
        "interface of negative length": interface(shape=(-1,)),
        "interface with a text for shape": interface(shape="ab"),
        "interface of fractions": interface(shape=(1.5,)),
        "interface without a shape": interface(shape=None),
        "interface of a huge shape": interface(shape=(2**62, 2**10)),
        "interface of 100 dimensions": interface(shape=(1,) * 100),
        "interface of huge strides": interface(strides=(2**62,)),
        "interface of huge negative strides": interface(strides=(-(2**60),)),
        "interface of too many strides": interface(strides=(4, 4)),
        "interface with a text for strides": interface(strides="x"),
        "interface of an unknown type": interface(typestr="<zz9"),
        "interface with a number for type": interface(typestr=5),
        "interface of objects": interface(typestr="|O8"),
        "interface of texts": interface(typestr="<U1"),
        "interface of dates": interface(typestr="<M8[s]", shape=(2,)),
        "interface at null": interface(data=(0, False)),
        "interface on the first page": interface(data=(64, False)),
        "interface at a text": interface(data=("x", False)),
        "interface at -1": interface(data=(-1, False)),
        "interface beyond all memory": interface(data=(2**70, False)),
        "interface with a mask": interface(mask=np.array([True, False, False, False])),
        "interface that is none": Thing(__array_interface__=5),
        "interface that raises": Thing(__array_interface__=RuntimeError("no interface")),
        "array struct that is none": Thing(__array_struct__=42),
        "DLPack without a capsule": dlpack(),
        "DLPack of a number": dlpack(capsule=5),
        "DLPack on a text": dlpack("x"),
        "DLPack on no device": dlpack(None),
        "DLPack that has no device": Thing(__dlpack__=call(None)),
        "DLPack whose device raises": dlpack(RuntimeError("deleted")),
        "DLPack that raises": dlpack(capsule=BufferError("not now")),
        "DLPack on CUDA": dlpack((2, 0)),
        "DLPack on Metal": dlpack((8, 0)),
        "DLPack on an unknown device": dlpack((99, 0)),
        "CUDA interface": Thing(__cuda_array_interface__=GPU),
        "CUDA interface with a mask": Thing(__cuda_array_interface__={**GPU, "mask": MEMORY}),
        "CUDA interface that is none": Thing(__cuda_array_interface__=5),
        "CUDA interface that raises": Thing(__cuda_array_interface__=RuntimeError("gone")),
        "Arrow of nothing": Thing(__arrow_c_array__=call(None)),
        "Arrow of numbers": Thing(__arrow_c_array__=call((1, 2))),
        "Arrow of too little": Thing(__arrow_c_array__=call(())),
        "Arrow that raises": Thing(__arrow_c_array__=call(RuntimeError("released"))),
        "makes a text of itself": Making("text"),
        "makes nothing of itself": Making(None),
        "cannot make an array": Making(KeyError("boom")),
        "dtype and shape only": Thing(dtype=np.dtype("f4"), shape=(2,)),
        "dtype without dimensions": Thing(dtype=np.dtype("f4"), shape=()),
        "item is a text": Thing(dtype="float32", shape=(), item=call("x")),
    }


def arrays_of_no_numbers() -> dict[str, Any]:
    released = memoryview(bytearray(4))
    released.release()
    fields = np.zeros(2, [("a", "f4")])
    return {
        "objects": np.array([1, None], object),
        "fields": fields,
        "a record": fields[0],
        "raw bytes": np.zeros(2, "V4"),
        "dates": np.zeros(2, "M8[s]"),
        "durations": np.zeros(2, "m8[s]"),
        "texts": np.array(["a", "b"]),
        "byte texts": np.array([b"a"]),
        "a text": np.str_("x"),
        "a date": np.datetime64("2020-01-01"),
        "masked fields": np.ma.zeros(2, dtype=[("a", "f4")]),
        "released memory": released,
        "chars": memoryview((ctypes.c_char * 4)()),
        "array of chars": array.array("u", "ab"),
    }


def plain_objects() -> dict[str, Any]:
    itself: list[Any] = []
    itself.append(itself)
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    return {
        "None": None,
        "text": "abc",
        "path": pathlib.Path("x.png"),
        "dict": {},
        "dict of arrays": {"a": MEMORY},
        "set": {1},
        "generator": (i for i in [1]),
        "iterator": iter([1]),
        "class": int,
        "function": len,
        "module": sys,
        "object": object(),
        "enum": Color.RED,
        "date": datetime.date(2020, 1, 1),
        "decimal": decimal.Decimal(1),
        "deque": deque([1]),
        "UserList": UserList([1]),
        "OrderedDict": OrderedDict(a=1),
        "named tuple of texts": namedtuple("Pair", "a b")("x", "y"),
        "list in itself": itself,
        "list too deep": deep,
        "list of unequal lists": [[1], [1, 2]],
        "list of None": [None],
        "list of dicts": [{}],
        "list of texts": ["a"],
        "list of all": [1, "a"],
        "list of objects": [np.array([None], object)],
        "list of an array and a number": [MEMORY, 1.0],
        "list of a number and an array": [1.0, MEMORY],
        "evil length": EvilLength([1]),
        "evil length inside": [EvilLength([1])],
        "evil int": [1, EvilInt(3)],
        "evil attributes": EvilAttributes(),
        "any attribute": AnyAttribute(),
        "any attribute inside": [1, AnyAttribute()],
    }


def all_of_them() -> dict[str, Any]:
    """Every one by name; lists of the broken interfaces too."""
    broken = interfaces()
    inside = {f"list of {name}": [x] for name, x in (broken | arrays_of_no_numbers()).items()}
    second = {f"second: {name}": [MEMORY, x] for name, x in broken.items()}
    return {**plain_objects(), **arrays_of_no_numbers(), **broken, **inside, **second}
