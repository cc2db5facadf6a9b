"""Another format in the same object: `cast_` on tensors, modules, state dicts and optimizers.

>>> import torch
>>> import tensorcast as tc
>>> x = torch.arange(4.0)
>>> tc.cast_(x, "float16") is x, x.dtype
(True, torch.float16)
"""

from __future__ import annotations

from typing import Any

from ..bridges import is_torch
from ..errors import CastError, PolicyError
from ..formats import lookup
from ..loss import Loss
from ..policy import Nan, Overflow, Policy, Rounding
from .blocks import Others
from .convert import convert_all
from .modules import with_gradient


def cast_(
    x: Any,
    to: object,
    *,
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    exact: bool = False,
    seed: int = 0,
    others: Others = "refuse",
    report: bool = False,
) -> Any:
    """The same object with its elements in another format: never twice the memory.

    A tensor keeps shape, strides, device and `requires_grad`; every other reference to the object
    sees the new format. Where both formats have one width, the result stands in the same memory;
    otherwise memory grows by at most 128 MB over the larger of the two (Linux; elsewhere both are
    there at once). Nothing is changed unless everything can be: values the policy refuses are
    looked for first, and an interrupt comes either before the conversion or after it.

    Nobody else may see the memory, which is proved or the call refuses: other views, arrays of
    NumPy or JAX, a graph that saved the tensor, memory of another library or process. A tensor
    mapped privately from a file (safetensors, torch.load(mmap=True)) is read from the file, which
    stays as it is. An address taken by hand (data_ptr()) is not seen.

    Args:
        x: torch.Tensor or Parameter, strided; its .grad comes along.
        to: the format, as of `tensorcast.cast`.
        overflow, rounding, nan, exact, seed: as of `tensorcast.cast`; the values are the same.
        others: of memory that others see: "refuse", or "copy": the tensor gets new memory, the
            others keep the old, both exist at once, and an InPlaceWarning says so.
        report: return (x, Loss).

    Returns: x itself.

    Raises:
        InPlaceError: it cannot be done in place; the message says why and what to do.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
        CastError, FormatError, PolicyError: as `tensorcast.cast`.

    Example:
        >>> import torch
        >>> x = torch.tensor([1.0, 2.5, 300.0])
        >>> y = x[1:]
        >>> cast_(x, "float16")
        Traceback (most recent call last):
        ...
        tensorcast.errors.InPlaceError: the tensor shares its memory: a view, a detached tensor, \
an array or another parameter stands on it. Delete those first, convert all of them in one call (a \
module, a dict), or pass others="copy" to give this one memory of its own.
        >>> del y
        >>> cast_(x, "float16")
        tensor([  1.0000,   2.5000, 300.0000], dtype=torch.float16)
    """
    target, policy = lookup(to), Policy(overflow, rounding, nan, exact, seed)
    if others not in ("refuse", "copy"):
        raise PolicyError(f"others={others!r} is not one of refuse, copy")
    if not is_torch(x):
        raise CastError(
            f"a {type(x).__module__}.{type(x).__qualname__} cannot change its format in place; "
            "make a new one with tensorcast.cast"
        )
    import torch

    with torch._C.DisableTorchFunction():
        losses = convert_all(with_gradient("", x, target), policy, others=others, report=report)
    loss: Loss | None = losses.get("")
    return (x, loss) if report else x
