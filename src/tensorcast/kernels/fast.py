"""The fast ways of plain torch tensors and NumPy arrays: set up here, run in C++.

A function decorated with `tried_first` is called by C, which reads and makes tensors through
torch's DLPack exchange API and arrays through `__array_struct__`. To everything that is not plain -
other types, subclasses, other devices, gradients, modes, packed formats, refused values - C writes
nothing and calls the Python function, which does it, or says what is wrong.

Looked at: torch 2.13, whose `Tensor.__dlpack_c_exchange_api__` is probed on a tensor; absent (torch
before 2.10), or with TENSORCAST_WITHOUT=torch-exchange, everything goes the general way.

Neither torch nor NumPy is imported here: an object of theirs can only come from a program that has.
"""

from __future__ import annotations

import functools
import inspect
import sys
from array import array
from collections.abc import Callable
from typing import Any, Final, TypeVar

from .. import _core
from ..errors import CastError, FormatError, PolicyError
from ..formats import FORMATS, Format, lookup
from ..policy import INFS, NANS, OVERFLOWS, POLICY_DEFAULTS, ROUNDINGS, Policy, can_refuse
from .cpu import default_threads
from .private import without

_ROWS: Final = tuple(FORMATS.values())
_DECLINED, _NEVER_REFUSES, _MAY_REFUSE = 1, 2, 3

# the place of each function in entry.cpp, and the order of the arguments that C reads there
_WAYS: Final = {
    "cast": (
        0,
        (
            *("x", "to", *POLICY_DEFAULTS),
            *("out", "memory_format", "device", "report", "packed", "pin_memory"),
        ),
    ),
    "as_tensor": (
        1,
        ("data", "dtype", "device", "copy", "on_read_only", *POLICY_DEFAULTS, "null"),
    ),
}

_F = TypeVar("_F", bound=Callable[..., Any])


def tried_first(kind: str, **attributes: object) -> Callable[[_F], _F]:
    """A decorator: C's way of that kind is tried before the function; it has the function's
    signature, docstring and name, its defaults and the attributes given.

    Raises:
        TypeError: the function's arguments are not those that C reads.
    """
    place, names = _WAYS[kind]

    def decorate(function: _F) -> _F:
        arguments = inspect.signature(function).parameters
        if arguments.keys() != set(names):
            differ = ", ".join(sorted(arguments.keys() ^ set(names)))
            raise TypeError(f"the fast way of {kind} and {function.__name__}() differ in {differ}")
        positional = [one.name for one in arguments.values() if one.kind is not one.KEYWORD_ONLY]
        assert positional == list(names[: len(positional)])
        every = [arguments[name].default for name in names]
        defaults = tuple(one for one in every if one is not inspect.Parameter.empty)
        entry: Any = _core.entry(place, function, names, defaults, len(positional))
        entry.__dict__.update(attributes)
        functools.update_wrapper(entry, function)
        return entry  # type: ignore[no-any-return]

    return decorate


def _resolve(spelling: object) -> int | None:
    """The index of a format whose codes have a byte or more."""
    if getattr(spelling, "isnative", True) is False:  # a NumPy dtype of the other byte order
        return None
    try:
        row = lookup(spelling)
    except FormatError:
        return None
    return None if row.is_packed else _ROWS.index(row)


def _decide(source: int, target: int, overflow: int, nan: int, inf: int) -> int:
    policy = Policy(overflow=OVERFLOWS[overflow], nan=NANS[nan], inf=INFS[inf])
    try:
        resolved = policy.resolve(_ROWS[source], _ROWS[target])
    except (CastError, PolicyError):
        return _DECLINED
    return _MAY_REFUSE if can_refuse(_ROWS[source], _ROWS[target], resolved) else _NEVER_REFUSES


def _options(library: int, target: int) -> dict[str, object] | None:
    """The keywords of `empty_like` for a result; None where the library has no such dtype."""
    row = _ROWS[target]
    if library == 0:
        torch: Any = sys.modules["torch"]
        dtype = getattr(torch, row.spellings.get("torch", ""), None)
        return {"dtype": dtype} if isinstance(dtype, torch.dtype) else None
    numpy_dtype = _numpy_dtype(row)
    return None if numpy_dtype is None else {"dtype": numpy_dtype, "subok": False}


def _numpy_dtype(row: Format) -> object:
    numpy: Any = sys.modules["numpy"]
    if "numpy" in row.spellings:
        return numpy.dtype(row.spellings["numpy"])
    import ml_dtypes

    scalar = getattr(ml_dtypes, row.spellings.get("ml_dtypes", ""), None)
    return None if scalar is None else numpy.dtype(scalar)


def _learn(x: object) -> None:
    """Tell the C side of torch or NumPy when a first tensor of exactly their type comes; of torch,
    if it is there, for None too.
    """
    torch: Any = sys.modules.get("torch")
    numpy: Any = sys.modules.get("numpy")
    if torch is not None and (x is None or type(x) is getattr(torch, "Tensor", None)):
        _learn_torch(torch)
    elif numpy is not None and type(x) is getattr(numpy, "ndarray", None):
        _core.fast_numpy(x, numpy.empty_like, default_threads())


def _learn_torch(torch: Any) -> None:
    if without("torch-exchange"):
        return
    capsule = getattr(getattr(torch, "Tensor", None), "__dlpack_c_exchange_api__", None)
    if type(capsule).__name__ != "PyCapsule":  # torch before 2.10, or not imported to its end yet
        return
    if torch.utils._python_dispatch._is_in_torch_dispatch_mode:  # the next time then
        return
    with torch.inference_mode(False), torch._C.DisableTorchFunction():
        ones = torch.ones(4, dtype=torch.float32, device="cpu")
        names = (row.spellings.get("torch", "") for row in _ROWS)
        dtypes = [getattr(torch, name, None) for name in names]
        _core.fast_torch(
            ones,
            capsule,
            torch.empty_like,
            torch._C._increment_version,
            torch._C._get_tracing_state,
            (torch.autograd.forward_ad.__dict__, "_current_level"),
            (torch.utils._python_dispatch.__dict__, "_is_in_torch_dispatch_mode"),
            default_threads(),
            torch._neg_view(ones),
            ones.clone().requires_grad_(),
            int(torch._C._dispatch_key_parse("Tracer")),
            tuple(torch.empty(0, dtype=d, device="cpu") for d in dtypes if type(d) is torch.dtype),
        )


_core.fast_set_up(_resolve, _decide, _options, _learn, OVERFLOWS, ROUNDINGS, NANS, INFS, array)
