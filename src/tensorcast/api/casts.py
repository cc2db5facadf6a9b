"""The public casts of tensors: `cast`, `measure`, `can_cast`.

>>> import numpy as np
>>> import tensorcast as tc
>>> tc.cast(np.array([1.0, 2.5]), "float16")
array([1. , 2.5], dtype=float16)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from ..bridges import is_torch, is_torch_type, kind_of
from ..bridges.room import ENDED, refuse_no_memory, tells_memory
from ..bridges.torch.operators import traced_cast, traced_measure
from ..core.block import survives
from ..core.loss import Loss, nothing_lost
from ..core.pairs import is_lossless_pair, loses_nothing
from ..core.refusal import would_refuse
from ..errors import CastError, InexactCastError
from ..formats import Format, Reader, lookup, lookup_target
from ..kernels.fast import tried_first
from ..policy import (
    DEFAULT_POLICY,
    Policy,
    PolicyOptions,
    can_refuse,
    ends_infinities,
    policy_of,
    shows_policy,
)
from .packed import PackedTensor, cast_into_packed, cast_packed, measure_packed

if TYPE_CHECKING:
    import numpy as np
    import torch

    from ..buffer import Buffer

# a torch.nn.Parameter comes out as a tensor
Kept = TypeVar("Kept", "torch.Tensor", "np.ndarray[Any, Any]")
Out = TypeVar("Out", "torch.Tensor", "np.ndarray[Any, Any]", PackedTensor)


@overload
def cast(
    x: Kept,
    to: object,
    *,
    out: Kept | None = None,
    memory_format: Any = None,
    device: Any = None,
    report: Literal[False] = False,
    packed: Literal[False] = False,
    pin_memory: bool = False,
    **policy: Unpack[PolicyOptions],
) -> Kept: ...
@overload
def cast(
    x: Kept,
    to: object,
    *,
    out: Kept | None = None,
    memory_format: Any = None,
    device: Any = None,
    report: Literal[True],
    packed: Literal[False] = False,
    pin_memory: bool = False,
    **policy: Unpack[PolicyOptions],
) -> tuple[Kept, Loss]: ...
@overload
def cast(
    x: Kept | PackedTensor,
    to: object,
    *,
    out: PackedTensor | None = None,
    report: Literal[False] = False,
    packed: Literal[True],
    **policy: Unpack[PolicyOptions],
) -> PackedTensor: ...
@overload
def cast(
    x: Kept | PackedTensor,
    to: object,
    *,
    out: PackedTensor | None = None,
    report: Literal[True],
    packed: Literal[True],
    **policy: Unpack[PolicyOptions],
) -> tuple[PackedTensor, Loss]: ...
@overload
def cast(
    x: PackedTensor,
    to: object,
    *,
    out: Out,
    report: Literal[False] = False,
    packed: Literal[False] = False,
    **policy: Unpack[PolicyOptions],
) -> Out: ...
@overload
def cast(
    x: PackedTensor,
    to: object,
    *,
    out: Any = None,
    report: Literal[True],
    packed: Literal[False] = False,
    **policy: Unpack[PolicyOptions],
) -> tuple[Any, Loss]: ...
@overload
def cast(
    x: Any,
    to: object,
    *,
    out: Any = None,
    memory_format: Any = None,
    device: Any = None,
    report: bool = False,
    packed: bool = False,
    pin_memory: bool = False,
    **policy: Unpack[PolicyOptions],
) -> Any: ...
# what torch.compile traces in place of this function stands in the attributes
@tried_first("cast", __script_if_tracing_wrapper=True, __original_fn=traced_cast)
@shows_policy()
def cast(
    x: Any,
    to: object,
    *,
    out: Any = None,
    memory_format: Any = None,
    device: Any = None,
    report: bool = False,
    packed: bool = False,
    pin_memory: bool = False,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """The tensor in another number format: one result for each value, format and policy, whatever
    the shape, strides, device, instruction set and number of threads.

    The result is of the kind that came in, with memory of its own: a torch.Tensor keeps its
    device and strides as `Tensor.to` does, a numpy.ndarray its order of dimensions as
    `astype(order="K")` does. Where there is nothing to do, it is `x` itself. A gradient is cast
    back to x's format.

    Args:
        x: torch.Tensor (any strides, device and format torch names), numpy.ndarray (ml_dtypes,
            any strides, byte order and alignment) or PackedTensor. Lists: `tensorcast.as_tensor`.
        to: the format: any library's spelling or dtype ("bfloat16", "F8_E4M3", torch.half). What
            two libraries read differently ("i8") is refused; "float" and "int" of a torch tensor
            are torch's.
        overflow: of values outside the format's range: "raise" (nothing is written), "saturate",
            "wrap" (integers) or "ieee" (as IEEE 754: infinity, or NaN where there is none; rounded
            toward zero or away from that end, the largest value; floats).
        rounding: "nearest-even", "toward-zero", "down", "up", "stochastic"; None is nearest-even
            to floats, toward zero to integers.
        nan: of NaN in a format that has none: "raise" or "zero".
        inf: of infinity in a format that has one: "keep", "saturate" (the largest finite value) or
            "raise". Where the format has none, `overflow` decides.
        exact: refuse any changed value; complex numbers become real ones where every imaginary
            part is zero.
        seed: of stochastic rounding.
        out: of x's kind and shape and of the format: written and returned, in any strides; it may
            not overlap x. On refusal it is untouched.
        memory_format: torch's, of the result.
        device: torch's, of the result: bytes travel narrow, so the cast comes before the trip or
            after it. None never moves anything.
        report: return (result, Loss), counted in the same pass.
        packed: make a PackedTensor; for formats of fewer than 8 bits.
        pin_memory: a torch result in the CPU's memory is written into pinned memory, which a GPU
            fetches by itself (`.to("cuda", non_blocking=True)`). torch has it where it has a GPU.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses; the message
            says how many values, which is the first and where, and names the way out.
        CastError: x or out cannot be used.
        NoMemoryError: there is no memory for the result.
        FormatError: no format is called so.
        PolicyError: the policy does not fit the format.

    Example:
        >>> import numpy as np
        >>> cast(np.array([1.5, -2.5, 300.0]), "int8", overflow="saturate", rounding="nearest-even")
        array([  2,  -2, 127], dtype=int8)
        >>> cast(np.array([1, 2, 3_000_000_000]), "int32")
        Traceback (most recent call last):
        ...
        tensorcast.errors.CastOverflowError: 1 of 3 values lie outside int32 (-2147483648 to \
2147483647; it is 3000000000 at [2]). Pass overflow="saturate" or "wrap", or cast to int64, which \
holds them.
    """
    rules = policy_of("cast", policy) if policy else DEFAULT_POLICY
    return cast_by(x, to, rules, out=out, memory_format=memory_format,
                   device=device, report=report, packed=packed, pin_memory=pin_memory)  # fmt: skip


def cast_by(
    x: Any,
    to: object,
    policy: Policy,
    *,
    out: Any = None,
    memory_format: Any = None,
    device: Any = None,
    report: bool = False,
    packed: bool = False,
    pin_memory: bool = False,
) -> Any:
    """What `cast` gives under a policy; arguments and errors are its own."""
    try:
        return _cast(x, to, policy, out, memory_format, device, report, packed, pin_memory)
    except ENDED as error:
        refuse_no_memory(error)
        raise


def _cast(
    x: Any,
    to: object,
    policy: Policy,
    out: Any,
    memory_format: Any,
    device: Any,
    report: bool,
    packed: bool,
    pin_memory: bool,
) -> Any:
    target = _target(to, _reader(x))
    layout = {"memory_format": memory_format, "device": device, "pin_memory": pin_memory or None}
    loss: Loss | None
    if isinstance(x, PackedTensor):
        _refuse_layout(layout)
        if packed and not target.is_packed:
            raise CastError(
                f"packed=True is for fewer than 8 bits; {target.name} has {target.bits}"
            )
        result, loss = cast_packed(x, target, policy, out=out, report=report)
        return (result, loss) if report else result
    kind = "torch" if is_torch_type(type(x)) else kind_of(x)
    bridge = _bridge(kind)
    if kind == "torch" and bridge.overridden(x, out):
        options = {**vars(policy), "out": out, "report": report, "packed": packed, **layout}
        options["pin_memory"] = pin_memory
        return bridge.handed_over(cast, x, out, to, options)
    row = None
    if policy.exact and not target.is_complex and target.kind != "bool":
        row = bridge.format_of(x)
        if row.is_complex:
            whole = x
            x, n_imaginary = bridge.real_part(x)
            if n_imaginary:
                raise InexactCastError(
                    f"{n_imaginary} of {bridge.n_elements(whole)} values have an imaginary part, "
                    f"which {target.name} does not hold. Pass exact=False after taking .real, or "
                    "cast to complex64 or complex128."
                )
            if out is None and target == row.component:
                x = bridge.copied(x)  # a result has memory of its own
    if packed or isinstance(out, PackedTensor):
        _refuse_layout(layout)
        source = bridge.visible(x)
        if source is None:
            raise CastError(f"the tensor is on {x.device}; packing works in the CPU's memory")
        result, loss = cast_into_packed(source, target, policy, like=x, out=out, report=report)
    else:
        result, loss = bridge.cast(x, target, policy, out=out, report=report, **layout)
    if row is not None and row.is_complex and loss is not None:
        loss = replace(loss, source=row.name)
    return (result, loss) if report else result


@shows_policy()
def measure(x: Any, to: object, **policy: Unpack[PolicyOptions]) -> Loss:
    """What `cast` would lose, with nothing written; no value raises.

    Integers that a format holds whatever they are (int32 in int64) are not looked at: the counts
    are zero, and min, max, amax and sum_squared, which only values tell, are None.

    Args: as of `cast`.

    Raises:
        CastError, FormatError, PolicyError: as `cast`, but for values.

    Example:
        >>> import numpy as np
        >>> loss = measure(np.array([1.0, 0.1, 1e6]), "float16")
        >>> loss.n_overflow, loss.first_overflow, loss.n_inexact
        (1, 2, 2)
        >>> measure(np.arange(3), "int64").is_lossless
        True
    """
    return measure_by(x, to, policy_of("measure", policy))


# what torch.compile traces in place of the function above
measure.__dict__["_torchdynamo_inline"] = traced_measure


def measure_by(x: Any, to: object, policy: Policy) -> Loss:
    """What `measure` gives under a policy; arguments and errors are its own."""
    target = _target(to, _reader(x))
    if isinstance(x, PackedTensor):
        return measure_packed(x, target, policy)
    bridge = _bridge(kind_of(x))
    x = bridge.held(x)
    row: Format = bridge.format_of(x)
    if loses_nothing(row, target):
        policy.resolve(row, target)
        return nothing_lost(row, target, bridge.n_elements(x))
    try:
        loss: Loss = bridge.measure(x, target, policy)
    except ENDED as error:
        refuse_no_memory(error)
        raise
    return loss


@tells_memory
@shows_policy(exact=True)
def can_cast(x: Any, to: object, **policy: Unpack[PolicyOptions]) -> bool:
    """Whether `cast` with the same arguments gives a result: by default, whether every value
    survives unchanged. Looks no further than the first value that answers, and at none where the
    formats do. -0 and 0 are one value, and all NaNs are.

    Args:
        x: what `cast` takes; or a format in any spelling, which asks it of every value that the
            format has, infinities and NaN too, as `numpy.can_cast` does.
        exact: False asks only whether the policy refuses a value, not whether one is rounded.

    Raises:
        CastError, FormatError, PolicyError: x is neither a tensor nor a format, no format is called
            so, or the policy does not fit it.

    Example:
        >>> import numpy as np
        >>> can_cast(np.array([1.0, 2.5]), "float16"), can_cast(np.array([0.1]), "float16")
        (True, False)
        >>> can_cast(np.array([0.1]), "float16", exact=False)
        True
        >>> can_cast("float16", "float32"), can_cast("float32", "float16")
        (True, False)
    """
    return _can_cast(x, to, policy_of("can_cast", {"exact": True, **policy}))


def _can_cast(x: Any, to: object, policy: Policy) -> bool:
    target = _target(to, _reader(x))
    source: Buffer | None
    by_format = _format_named(x)
    if by_format is not None:
        row = by_format
    elif isinstance(x, PackedTensor):
        row = x.format
    else:
        bridge = _bridge(kind_of(x))
        x = bridge.held(x)
        row = bridge.format_of(x)
    if row.is_complex and not target.is_complex and target.kind != "bool":
        # a format has values with an imaginary part, and exact=True alone looks for them
        looks = policy.exact and by_format is None
        real, n_imaginary = bridge.real_part(x) if looks else (x, 1)
        return not n_imaginary and _can_cast(real, target, policy)
    resolved = policy.resolve(row, target)
    if is_lossless_pair(row, target) and not ends_infinities(row, target, policy):
        return True
    if by_format is not None:
        return not policy.exact and not can_refuse(row, target, resolved)
    if isinstance(x, PackedTensor):
        source = x.buffer()
    else:
        source = bridge.visible(x)
        if source is None:
            return not would_refuse(bridge.measure(x, target, policy), resolved)
    return survives(source, target, resolved)


def _format_named(x: Any) -> Format | None:
    """The format that is asked about in place of a tensor; None for anything else."""
    numpy = sys.modules.get("numpy")
    named = isinstance(x, (str, type, Format)) or type(x).__name__ in ("dtype", "DType")
    return lookup(x) if named or (numpy and isinstance(x, numpy.dtype)) else None


def _target(to: object, reader: Reader | None) -> Format:
    """The format of a result; names are looked up once."""
    return _named(to, reader) if type(to) is str else lookup_target(to, reader)


_named = lru_cache(maxsize=512)(lookup_target)


def _reader(x: object) -> Reader | None:
    """Whose words the spelling of a format is in, beside this tensor."""
    if is_torch_type(type(x)):
        return "torch"
    torch = x.is_torch if isinstance(x, PackedTensor) else is_torch(x)
    return "torch" if torch else None


def _bridge(kind: str) -> Any:
    if kind == "torch":
        from ..bridges.torch import casting as bridge
    else:
        from ..bridges import numpy as bridge  # type: ignore[no-redef]
    return bridge


def _refuse_layout(layout: dict[str, Any]) -> None:
    for name, value in layout.items():
        if value is not None:
            raise CastError(f"{name} does not go with a packed tensor, whose bytes lie in one row")
