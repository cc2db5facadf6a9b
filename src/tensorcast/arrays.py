"""Tensors and arrays out of what others hold: `as_tensor`, `as_array`, and `explain`, which tells
what they would do.

>>> import array
>>> import tensorcast as tc
>>> tc.as_array(array.array("d", [1.5, 2.5]))
array([1.5, 2.5])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from .bridges import is_numpy, is_torch
from .bridges.seeing import Seen, on_gpu, see
from .casting import cast_buffer
from .errors import CastError
from .formats import Format, lookup
from .policy import Nan, Overflow, Policy, Rounding
from .sharing import ReadOnly, Target, Verdict, decide

if TYPE_CHECKING:
    import numpy as np


def as_tensor(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    copy: bool | None = None,
    on_read_only: ReadOnly = "copy",
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    exact: bool = False,
    seed: int = 0,
) -> Any:
    """A torch tensor of the data, sharing its memory where that can be and was not forbidden.

    Args:
        data: torch tensor; NumPy array (ml_dtypes, any byte order, strides and alignment); bytes,
            bytearray, memoryview, array.array and whatever has the buffer protocol, by its own
            element format; Pillow image (height, width, channels); JAX array; TensorFlow tensor;
            Arrow array; what has DLPack or `__array_interface__`, or on a GPU
            `__cuda_array_interface__`; Python numbers and nested sequences of them.
        dtype: the format wanted, any spelling; None keeps the source's. Sequences: as
            `tensorcast.tensor` infers.
        device: torch's; None never moves anything.
        copy: True: always new memory. False: never; where that cannot be, an error with the reason.
            None: new memory only where it must be.
        on_read_only: a tensor cannot be read-only. "copy": memory that may not be written counts as
            not shareable. "alias": take it; a write then reaches memory that its owner, or the
            operating system, protects.
        overflow, rounding, nan, exact, seed: of the cast, as in `tensorcast.cast`.

    The memory stays alive and in place while the tensor does: its owner is held, a buffer's export
    keeps it from being closed, and a NumPy array from being resized.

    Raises:
        CastError: copy=False and it cannot be shared; the data hold no numbers; torch has no such
            dtype.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.

    Example:
        >>> import numpy as np
        >>> x = np.zeros(3, np.float32)
        >>> as_tensor(x)[0] = 7
        >>> x
        array([7., 0., 0.], dtype=float32)
        >>> as_tensor(x[::-1], copy=False)
        Traceback (most recent call last):
        ...
        tensorcast.errors.CastError: copy=False, but strides are negative, and torch has none
    """
    policy = Policy(overflow, rounding, nan, exact, seed)
    to = None if dtype is None else lookup(dtype)
    if is_torch(data):
        return _from_torch(data, to, device, copy, policy)
    tensor_there = on_gpu(data)
    if tensor_there is not None:
        return _from_torch(tensor_there, to, device, copy, policy)
    seen = see(data)
    if seen is None:
        if copy is False:
            raise CastError(f"copy=False, but a {type(data).__name__} of numbers is no memory")
        from .bridges.sequences import tensor

        return tensor(data, dtype, overflow=overflow, rounding=rounding, nan=nan, exact=exact,
                      seed=seed, device=device)  # fmt: skip
    goal = _device_name(device)
    wanted = seen.buffer.format if to is None else to
    verdict = _decide(seen, wanted, "torch", copy, on_read_only, goal)
    result = _carried_out(seen, wanted, verdict, "torch", policy, goal, on_read_only)
    if goal is None or goal == "cpu":
        return result
    from .tensors import cast

    return cast(result, wanted, device=device, overflow=overflow, rounding=rounding, nan=nan,
                exact=exact, seed=seed)  # fmt: skip


def as_array(
    data: Any,
    dtype: object = None,
    *,
    copy: bool | None = None,
    overflow: Overflow = "raise",
    rounding: Rounding | None = None,
    nan: Nan = "raise",
    exact: bool = False,
    seed: int = 0,
) -> np.ndarray[Any, Any]:
    """A NumPy array of the data, sharing its memory where that can be; without torch.

    Memory that may not be written makes an array that cannot be. The formats NumPy lacks come as
    ml_dtypes'. The arguments and errors are those of `as_tensor`.

    Example:
        >>> as_array(b"abc")
        array([97, 98, 99], dtype=uint8)
        >>> as_array(b"abc").flags.writeable
        False
        >>> as_array([[1, 2], [3, 4]], "bfloat16")
        array([[1, 2],
               [3, 4]], dtype=bfloat16)
    """
    policy = Policy(overflow, rounding, nan, exact, seed)
    to = None if dtype is None else lookup(dtype)
    seen = see(data)
    if seen is None:
        if copy is False:
            raise CastError(f"copy=False, but a {type(data).__name__} of numbers is no memory")
        from .bridges.sequences import array

        return array(data, dtype, overflow=overflow, rounding=rounding, nan=nan, exact=exact,
                     seed=seed)  # fmt: skip
    wanted = seen.buffer.format if to is None else to
    verdict = _decide(seen, wanted, "numpy", copy, "copy", None)
    if verdict.action == "returns the same object" and is_numpy(data):
        return data  # type: ignore[no-any-return]
    return _carried_out(seen, wanted, verdict, "numpy", policy, None, "copy")  # type: ignore[no-any-return]


def explain(
    data: Any,
    dtype: object = None,
    device: Any = None,
    *,
    to: Literal["torch", "numpy"] = "torch",
    copy: bool | None = None,
    on_read_only: ReadOnly = "copy",
) -> Verdict:
    """What `as_tensor` (or `as_array`, with to="numpy") would do, without doing it.

    Raises:
        CastError: the data hold no numbers.

    Example:
        >>> import numpy as np
        >>> print(explain(np.arange(6, dtype=np.int32)[::2], "bfloat16"))
        numpy int32 [3] -> torch.Tensor bfloat16 [3]
        casts: int32 to bfloat16
        allocates 6 bytes, moves 18 bytes, casts on cpu
        may lose: int32 is exact to 2^8 only
        owned by torch; a write reaches the result only
    """
    wanted = None if dtype is None else lookup(dtype)
    seen = see(data)
    if seen is None:
        return _explained_sequence(data, wanted, device, to, copy)
    row = seen.buffer.format if wanted is None else wanted
    if row.is_complex is False and seen.buffer.format.is_complex:
        Policy().resolve(seen.buffer.format, row)
    return _decide(seen, row, to, copy, on_read_only, _device_name(device))


def _decide(
    seen: Seen,
    wanted: Format,
    target: Target,
    copy: bool | None,
    on_read_only: ReadOnly,
    device: str | None,
) -> Verdict:
    return decide(
        seen.buffer,
        seen.library,
        wanted,
        target,
        same_kind=seen.library == target,
        read_only=seen.read_only,
        copied=seen.copied,
        copy=copy,
        on_read_only=on_read_only,
        device=device,
    )


def _carried_out(
    seen: Seen,
    wanted: Format,
    verdict: Verdict,
    target: Target,
    policy: Policy,
    device: str | None,
    on_read_only: ReadOnly,
) -> Any:
    """The tensor or array that a verdict speaks of, still on the CPU."""
    from .bridges.memory import as_numpy, as_torch, empty
    from .sharing import obstacles

    if verdict.action == "refuses":
        raise CastError(f"copy=False, but {'; '.join(verdict.because[1:])}")
    travels = device is not None and device != "cpu"
    row = seen.buffer.format
    if travels and wanted.bits >= row.bits:
        wanted = row  # widened after the trip
    stands = not obstacles(seen.buffer, target, seen.read_only, on_read_only)
    if wanted == row and stands and (verdict.shares or seen.copied or travels):
        if target == "torch":
            return as_torch(seen.buffer)
        return as_numpy(seen.buffer, writable=bool(seen.copied) or not seen.read_only)
    result, made = empty(seen.buffer, wanted, target)
    resolved = policy.resolve(row, wanted)
    cast_buffer(seen.buffer, made, wanted, resolved, fresh=True)
    return result


def _from_torch(x: Any, to: Format | None, device: Any, copy: bool | None, policy: Policy) -> Any:
    from .bridges.torch import format_of, torch_device
    from .tensors import cast

    row = format_of(x)
    wanted = row if to is None else to
    moves = device is not None and torch_device(device) != x.device
    if copy is False and (wanted != row or moves):
        why = f"{row.name} to {wanted.name}" if wanted != row else f"device={device}"
        raise CastError(f"copy=False, but {why}")
    if wanted == row and not moves:
        return x.clone() if copy else x
    return cast(
        x,
        wanted,
        device=device,
        overflow=policy.overflow,
        rounding=policy.rounding,
        nan=policy.nan,
        exact=policy.exact,
        seed=policy.seed,
    )


def _explained_sequence(
    data: Any, wanted: Format | None, device: Any, to: Target, copy: bool | None
) -> Verdict:
    from .bridges.sequences import array, tensor

    kind = type(data).__name__
    made: Any = (tensor if to == "torch" else array)(data, wanted)
    n_bytes = made.nbytes
    shape = list(made.shape)
    row = lookup(made.dtype)
    source = f"Python {kind} {shape}"
    result = f"{'torch.Tensor' if to == 'torch' else 'numpy.ndarray'} {row.name} {shape}"
    because = ("Python's numbers are objects, one by one",)
    if copy is False:
        return Verdict(source, result, "refuses", ("copy=False", *because))
    goal = _device_name(device)
    transfers = (f"{n_bytes:,} bytes travel to {goal}",) if goal not in (None, "cpu") else ()
    return Verdict(
        source,
        result,
        "casts",
        because,
        n_bytes_allocated=n_bytes,
        n_bytes_moved=n_bytes,
        transfers=transfers,
        cast_on="cpu",
        owner=to,
        writes="a write reaches the result only",
    )


def _device_name(device: Any) -> str | None:
    if device is None:
        return None
    from .bridges.torch import torch_device

    return str(torch_device(device))
