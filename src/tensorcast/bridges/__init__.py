"""Between tensorcast's buffers and the arrays of others: a view in, a wrap out.

One module per library. A bridge never imports its library before an object of it has been seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Literal

from ..errors import CastError

Kind = Literal["torch", "numpy"]


def kind_of(x: object) -> Kind:
    """Which library's tensor an object is.

    Raises:
        CastError: it is none; the message names the way in.

    Example:
        >>> import numpy as np
        >>> kind_of(np.zeros(3))
        'numpy'
    """
    if is_torch(x):
        return "torch"
    if is_numpy(x) or is_numpy_scalar(x):
        return "numpy"
    if isinstance(x, (bool, int, float, complex, list, tuple, range)):
        raise CastError(
            f"{type(x).__name__} is not a tensor; tensorcast.as_tensor(data, format) and "
            "tensorcast.to_numpy(data, format) make one of numbers and sequences"
        )
    if _is_array_to_someone(x):
        way = (
            "this call takes a torch.Tensor or a numpy.ndarray, and tensorcast.as_tensor(x) or "
            "tensorcast.to_numpy(x) makes one of it, on the same memory where that can be"
        )
    else:
        way = about_models(x) or about_files(x) or "pass a torch.Tensor or a numpy.ndarray"
    name = f"{type(x).__module__}.{type(x).__qualname__}"
    raise CastError(f"{name} is not a tensor that tensorcast knows: {way}")


def about_files(x: object) -> str:
    """What reads files, where a path or a text was given for an array; else ""."""
    if not isinstance(x, (str, os.PathLike)):
        return ""
    return (
        "no file is opened here; PIL.Image.open(path) reads an image, "
        "tensorcast.convert(path, destination, to=format) casts a checkpoint, and "
        "tensorcast.inspect(path) looks into one"
    )


def about_models(x: object) -> str:
    """What casts a model or a dict of tensors, where one was given for an array; else ""."""
    torch = sys.modules.get("torch")
    is_module = torch is not None and isinstance(x, torch.nn.Module)
    if not is_module and not isinstance(x, Mapping):
        return ""
    what = "a module" if is_module else "a dict of tensors"
    return f"tensorcast.cast_(x, format) casts {what}, all of it in place and without a second copy"


# of the ways in which an object offers its elements
_OFFERS = (
    "__dlpack__",
    "__array__",
    "__array_interface__",
    "__array_struct__",
    "__cuda_array_interface__",
    "__arrow_c_array__",
    "__arrow_c_stream__",
)


def _is_array_to_someone(x: object) -> bool:
    """Whether `as_tensor` may know the object."""
    if isinstance(x, type):
        return False
    try:
        if any(getattr(x, name, None) is not None for name in _OFFERS):
            return True
        if type(x).__module__.partition(".")[0] == "PIL":
            return True
        memoryview(x).release()  # type: ignore[arg-type]
    except Exception:  # no buffer, or whatever the object's own attributes raise
        return False
    return True


def is_torch(x: object) -> bool:
    """Whether an object is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, getattr(torch, "Tensor", ()))


def _is_torch_type(kind: type) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(kind, getattr(torch, "Tensor", ()))


is_torch_type: Final[Callable[[type], bool]] = lru_cache(maxsize=256)(_is_torch_type)
"""Whether a type is that of torch tensors, remembered; `is_torch` also knows what only says so."""


def is_numpy(x: object) -> bool:
    """Whether an object is a NumPy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.ndarray)


def is_numpy_scalar(x: object) -> bool:
    """Whether an object is one number of NumPy's or ml_dtypes'."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.generic)
