"""Between tensorcast's buffers and the arrays of others: a view in, a wrap out.

One module per library. A bridge never imports its library before an object of it has been seen.
"""

from __future__ import annotations

import sys
from typing import Literal

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
    if isinstance(x, (bool, int, float, complex, list, tuple)):
        raise CastError(
            f"{type(x).__name__} is not a tensor; tensorcast.tensor(data, format) and "
            "tensorcast.array(data, format) make one of numbers and sequences"
        )
    raise CastError(
        f"{type(x).__module__}.{type(x).__qualname__} is not a tensor that tensorcast knows: pass "
        "a torch.Tensor or a numpy.ndarray"
    )


def is_torch(x: object) -> bool:
    """Whether an object is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, getattr(torch, "Tensor", ()))


def is_numpy(x: object) -> bool:
    """Whether an object is a NumPy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.ndarray)


def is_numpy_scalar(x: object) -> bool:
    """Whether an object is one number of NumPy's or ml_dtypes'."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.generic)
