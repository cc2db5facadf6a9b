"""The cast itself: check, choose, run.

`cast_chunk` serves streams and never raises for values; `cast_buffer` serves whole tensors and
holds them to the policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .buffer import Buffer
from .errors import CastError, CastNanError, CastOverflowError, InexactCastError
from .formats import FORMATS, Format
from .kernels import cpu
from .loss import Loss, loss_of
from .policy import ResolvedPolicy

if TYPE_CHECKING:
    from typing_extensions import Buffer as BytesLike


def cast_chunk(
    source: BytesLike,
    target: BytesLike | None,
    source_format: Format,
    target_format: Format,
    policy: ResolvedPolicy,
    *,
    n_elements: int,
    first_index: int = 0,
    report: bool = False,
) -> Loss:
    """Cast contiguous elements of a stream and say what was lost; values never raise.

    Under overflow="raise" the target gets what "saturate" would give, and the caller looks at
    `n_overflow` and `n_nan_lost`. The result depends on the values and on `first_index` alone, not
    on how a tensor is cut into chunks.

    Args:
        source: bytes-like, `source_format.n_bytes(n_elements)` bytes or more: elements in the
            machine's byte order, sub-byte formats packed, first element in the lowest bits.
        target: writable bytes-like for the result, not overlapping the source; None measures only.
        policy: resolved for this pair of formats.
        n_elements: in the chunk.
        first_index: index of the chunk's first element in its tensor.
        report: count everything a `Loss` can tell, not only overflow and lost NaNs.

    Raises:
        ValueError: a buffer is too short.

    Example:
        >>> import struct
        >>> from tensorcast.formats import FORMATS
        >>> from tensorcast.policy import Policy
        >>> float32, float16 = FORMATS["float32"], FORMATS["float16"]
        >>> out = bytearray(4)
        >>> loss = cast_chunk(struct.pack("<2f", 1.5, 70000.0), out, float32, float16,
        ...                   Policy().resolve(float32, float16), n_elements=2)
        >>> loss.n_overflow, loss.first_overflow, struct.unpack("<2e", out)
        (1, 1, (1.5, 65504.0))
    """
    raw = cpu.cast_chunk(
        source, target, source_format, target_format, policy, n_elements, first_index, report
    )
    return loss_of(raw, source_format, target_format, policy, n_elements, report)


def cast_buffer(
    source: Buffer,
    target: Buffer | None,
    target_format: Format,
    policy: ResolvedPolicy,
    *,
    report: bool = False,
    fresh: bool = False,
    name: str = "",
    n_threads: int | None = None,
) -> Loss:
    """Cast a whole tensor of any strides, held to its policy.

    Where the policy can refuse and the target's old content matters to the caller, the values are
    measured first: a refusal writes nothing.

    Args:
        source: CPU buffer.
        target: CPU buffer of the same shape, writable, not overlapping; None measures only, and
            then nothing raises.
        target_format: the wanted format, the target's own.
        report: all statistics.
        fresh: the target's content does not matter: a single pass, after whose refusal it is to
            be thrown away.
        name: of the tensor, for messages.
        n_threads: at most; None takes TENSORCAST_NUM_THREADS or the CPUs at hand.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses; nothing was
            written.
        CastError: the buffers do not fit each other.
    """
    if target is not None:
        _check_pair(source, target, target_format)
    can_refuse = target is not None and _can_refuse(source.format, target_format, policy)
    full = report or (can_refuse and policy.exact)
    written = None if can_refuse and not fresh else target
    raw = cpu.cast_buffer(source, written, target_format, policy, full, n_threads=n_threads)
    loss = loss_of(raw, source.format, target_format, policy, source.n_elements, full)
    if can_refuse:
        refuse(loss, policy, source.shape, name)
        if not fresh:
            cpu.cast_buffer(source, target, target_format, policy, n_threads=n_threads)
    return loss


def refuse(
    loss: Loss, policy: ResolvedPolicy, shape: tuple[int, ...] | None = None, name: str = ""
) -> None:
    """Raise what the policy makes of a loss; return if it allows it.

    Args:
        shape: of the tensor, so that messages give an index per dimension.
        name: of the tensor, for messages.

    Raises:
        CastOverflowError: overflow under "raise", or infinities under "wrap".
        CastNanError: lost NaNs under nan="raise".
        InexactCastError: a changed value under exact=True.

    Example:
        >>> from tensorcast.policy import Policy
        >>> refuse(Loss("float32", "int8", 4, n_overflow=1, n_nan_lost=0, largest_overflow=300.0,
        ...             largest_overflow_index=2), Policy().resolve("float32", "int8"))
        Traceback (most recent call last):
        ...
        tensorcast.errors.CastOverflowError: 1 of 4 values lie outside int8 (-128 to 127, largest \
magnitude 300 at 2). Pass overflow="saturate" or "wrap", or cast to float16, which holds them.
    """
    target = FORMATS[loss.target]
    label = f"{name!r}: " if name else ""
    n_refused = {"raise": loss.n_overflow, "wrap": loss.n_inf or 0}.get(policy.overflow, 0)
    if n_refused:
        largest = ""
        if loss.largest_overflow is not None and loss.largest_overflow_index is not None:
            where = _index_text(loss.largest_overflow_index, shape)
            largest = f", largest magnitude {loss.largest_overflow:.9g} at {where}"
        raise CastOverflowError(
            f"{label}{n_refused} of {loss.n_elements} values lie outside {loss.target} "
            f"({target.min:.9g} to {target.max:.9g}{largest}). {_way_out(loss, target, policy)}"
        )
    if policy.nan == "raise" and loss.n_nan_lost:
        raise CastNanError(
            f"{label}{loss.n_nan_lost} of {loss.n_elements} values are NaN, which {loss.target} "
            'does not have. Pass nan="zero", or cast to a format with NaN.'
        )
    if policy.exact and loss.is_lossless is False:
        n_changed = (loss.n_inexact or 0) + loss.n_nan_lost
        raise InexactCastError(
            f"{label}{n_changed} of {loss.n_elements} values would change in {loss.target} "
            f"(largest error {loss.max_abs_error:.9g}). Pass exact=False to allow it."
        )


def holding_format(magnitude: float, source: str) -> str | None:
    """The narrowest everyday float format whose range holds a magnitude that `source` held.

    Example:
        >>> holding_format(70000.0, "float32"), holding_format(3.4e38, "float32")
        ('bfloat16', 'float32')
    """
    for name in ("float16", "bfloat16", "float32", "float64"):
        row = FORMATS[name]
        if magnitude == float("inf") or magnitude <= row.max:
            return name
    return None if source not in FORMATS else source


def _way_out(loss: Loss, target: Format, policy: ResolvedPolicy) -> str:
    if policy.overflow == "wrap":
        return 'An infinity does not wrap: pass overflow="saturate".'
    others = ['"saturate"']
    if target.is_integer:
        others.append('"wrap"')
    elif target.infinity or target.has_nan:
        others.append('"ieee"')
    way = f"Pass overflow={' or '.join(others)}"
    holds = None
    if loss.largest_overflow is not None and target.name != "float8_e8m0fnu":
        holds = holding_format(loss.largest_overflow, loss.source)
    return f"{way}, or cast to {holds}, which holds them." if holds else f"{way}."


def _index_text(index: int, shape: tuple[int, ...] | None) -> str:
    """A flat index as one per dimension: [3, 17]."""
    if shape is None:
        return str(index)
    indices: list[int] = []
    for n in reversed(shape):
        indices.append(index % n)
        index //= n
    return str(indices[::-1])


def _can_refuse(source: Format, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether some value of the source could make the policy refuse."""
    if policy.exact:
        return source != target
    if policy.nan == "raise" and source.component.has_nan and not _keeps_nan(target):
        return True
    if policy.overflow not in ("raise", "wrap") or source == target or target.kind == "bool":
        return False
    if policy.overflow == "wrap":
        return source.component.infinity
    inside = source.max_exact <= target.max_exact and source.min_exact >= target.min_exact
    no_zero = target.component.is_float and not target.component.subnormals
    return not inside or no_zero or (source.component.infinity and not target.component.infinity)


def _keeps_nan(target: Format) -> bool:
    return target.component.has_nan or target.kind == "bool"


def _check_pair(source: Buffer, target: Buffer, target_format: Format) -> None:
    if source.shape != target.shape:
        raise CastError(
            f"the source has shape {list(source.shape)}, the target {list(target.shape)}"
        )
    if target.format != target_format:
        raise CastError(f"the target holds {target.format.name}, not {target_format.name}")
    if not target.writable:
        raise CastError("the target is read-only; write into a copy of it")
    for buffer, role in ((source, "source"), (target, "target")):
        if buffer.device != "cpu":
            raise CastError(
                f"the {role} is on {buffer.device}; these kernels read the CPU's memory"
            )
    (low, high), (begin, end) = source.extent, target.extent
    if low < end and begin < high:
        raise CastError(
            "source and target overlap in memory; cast into memory of its own (a cast in place "
            "is another operation)"
        )
