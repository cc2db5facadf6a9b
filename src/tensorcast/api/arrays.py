"""Tensors out of what others hold: `as_tensor`; and `explain`, which tells what it and the ways out
of `tensorcast.api.libraries` would do.

>>> import array
>>> import tensorcast as tc
>>> tc.as_tensor(array.array("d", [1.5, 2.5]))
tensor([1.5000, 2.5000], dtype=torch.float64)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Unpack

from ..bridges import is_torch
from ..errors import CastError
from ..formats import Format, lookup_target
from ..kernels.fast import tried_first
from ..policy import DEFAULT_POLICY, PolicyOptions, policy_of, shows_policy
from ..share.handover import hand_over, verdict_on
from ..share.planning import Asked
from ..share.verdict import TARGETS, ReadOnly, Target, Verdict

if TYPE_CHECKING:
    import torch


_NUMBERS = frozenset({bool, int, float, complex, list, tuple})


@tried_first("as_tensor")
@shows_policy()
def as_tensor(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    on_read_only: ReadOnly = "copy",
    null: Any = None,
    **policy: Unpack[PolicyOptions],
) -> torch.Tensor:
    """A torch tensor of the data, sharing its memory where that can be and was not forbidden.

    Args:
        data: torch tensor; NumPy array (ml_dtypes, any byte order, strides and alignment); bytes,
            bytearray, memoryview, array.array and whatever has the buffer protocol, by its own
            element format; Pillow image (height, width, channels); JAX array; TensorFlow tensor;
            Arrow array; what has DLPack or `__array_interface__`, or on a GPU
            `__cuda_array_interface__`; series and tables of pandas, polars and Arrow; Python
            numbers and nested sequences of them.
        dtype: the format wanted, any spelling; None keeps the source's, and of Python's numbers
            infers it as `torch.tensor` does: bool, int64, torch's default dtype for floats.
        device: torch's; None never moves anything.
        copy: True: always new memory. False: never; where that cannot be, an error with the reason.
            None: new memory only where it must be.
        on_read_only: a tensor cannot be read-only. "copy": memory that may not be written counts as
            not shareable. "alias": take it; a write then reaches memory that its owner, or the
            operating system, protects.
        overflow, rounding, nan, inf, exact, seed: of the cast, as in `tensorcast.cast`.
        null: a number for what is missing: masked values of NumPy, nulls of pandas, polars and
            Arrow, None in lists. None refuses them, but among the floats of pandas and polars,
            where they are NaN, as to those libraries.

    Series and tables of pandas, polars and Arrow are read column by column, each in its own format;
    columns of several formats come in one that holds every value, or in `dtype`.

    The memory stays alive and in place while the tensor does: its owner is held, a buffer's export
    keeps it from being closed, and a NumPy array from being resized.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; torch has no such
            dtype.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.

    Example:
        >>> import numpy as np
        >>> as_tensor([[1, 2], [3, 300]], "float16")
        tensor([[  1.,   2.],
                [  3., 300.]], dtype=torch.float16)
        >>> x = np.zeros(3, np.float32)
        >>> as_tensor(x)[0] = 7
        >>> x
        array([7., 0., 0.], dtype=float32)
        >>> as_tensor(x[::-1], copy=False)
        Traceback (most recent call last):
        ...
        tensorcast.errors.CastError: copy=False, but strides are negative, and torch has none
    """
    rules = policy_of("as_tensor", policy) if policy else DEFAULT_POLICY
    quick = type(data) in _NUMBERS and sys.modules.get("torch") is not None
    if quick and device is None and copy is not False:
        from ..bridges.sequences import tensor_of  # new memory, whatever is decided

        return tensor_of(data, dtype, rules, null=null)
    to = _wanted(data, dtype)
    asked = Asked("torch", to, device, copy, on_read_only, null=null)
    result: torch.Tensor = hand_over(data, asked, rules)
    return result


def explain(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    to: Target = "torch",
    copy: bool | None = None,
    on_read_only: ReadOnly = "copy",
    mode: str | None = None,
    null: Any = None,
) -> Verdict:
    """What `as_tensor` would do, or `to_numpy`, `to_jax`, `to_tensorflow`, `to_arrow`, `to_pil` and
    `to_cupy`, without doing it.

    The calls decide by the same code, so that they do what is said: `Verdict.shares` and the rest,
    and where `action` is "refuses", a CastError of the message `Verdict.refusal`. Values are not
    looked at; what a policy makes of them shows in the call only. Where memory is needed, the
    verdict tells how much is free, an estimate of the time from the speed of a small cast that is
    measured here once for each pair of formats, and the way that needs less.

    Args:
        data, dtype, device, copy, on_read_only, mode, null: of the call.
        to: the library of the result.

    Raises:
        CastError: the data hold no numbers.
        MissingLibraryError: the library of `to` is not installed.

    Example:
        >>> import numpy as np
        >>> print(explain(np.arange(6, dtype=np.int32)[::2], "bfloat16"))
        numpy int32 [3] -> torch.Tensor bfloat16 [3]
        casts: int32 to bfloat16
        allocates 6 bytes, moves 18 bytes, casts on cpu
        may lose: int32 is rounded above 2^8
        owned by torch; a write reaches the result only
    """
    if not isinstance(to, str) or to not in TARGETS:
        raise CastError(f"to={to!r} is not one of {', '.join(TARGETS)}")
    wanted = (
        _wanted(data, dtype) if to == "torch" else None if dtype is None else lookup_target(dtype)
    )
    return verdict_on(data, Asked(to, wanted, device, copy, on_read_only, mode, null))


def _wanted(data: object, dtype: object) -> Format | None:
    """The format of a tensor; its spelling is read by torch where nobody else is there to read."""
    if dtype is None:
        return None
    return lookup_target(dtype, "torch" if is_torch(data) or type(data) in _NUMBERS else None)
