"""What a capsule points to, without consuming it."""

from __future__ import annotations

import ctypes


def address_in(capsule: object, name: bytes) -> int | None:
    """The address in a capsule of a name; None for a capsule of another name, or no capsule."""
    api = ctypes.pythonapi
    valid, pointer = api.PyCapsule_IsValid, api.PyCapsule_GetPointer
    valid.argtypes, valid.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_int
    pointer.argtypes, pointer.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p
    return pointer(capsule, name) if valid(capsule, name) else None


def rename(capsule: object, name: bytes) -> None:
    """Give a capsule another name, which has to live as long as the program."""
    set_name = ctypes.pythonapi.PyCapsule_SetName
    set_name.argtypes, set_name.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_int
    set_name(capsule, name)
