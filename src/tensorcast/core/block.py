"""The cast itself: check, choose, run.

`cast_chunk` serves streams and never raises for values; `cast_buffer` serves whole tensors and
holds them to the policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..buffer import Buffer
from ..errors import CastError
from ..formats import Format
from ..kernels import cpu
from ..policy import ResolvedPolicy
from .loss import Loss, loss_of
from .pairs import may_refuse
from .refusal import Look, refuse, would_refuse

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
    collapses: bool = False,
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
        collapses: count what `Loss.collapses` needs; `report` does too.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses; nothing was
            written.
        CastError: the buffers do not fit each other.
    """
    if target is not None:
        _check_pair(source, target, target_format)
    refusable = target is not None and may_refuse(source.format, target_format, policy)
    full = report or (refusable and policy.exact)
    written = None if refusable and not fresh else target
    raw = cpu.cast_buffer(
        source, written, target_format, policy, full, n_threads=n_threads, collapses=collapses
    )
    loss = loss_of(raw, source.format, target_format, policy, source.n_elements, full, collapses)
    if refusable:
        # what no policy refuses needs no words
        if loss.n_overflow or loss.n_nan_lost or loss.n_inf or policy.exact:
            look = look_at(target_format, policy)
            refuse(loss, policy, source.shape, name, source=source, look=look)
        if not fresh:
            cpu.cast_buffer(source, target, target_format, policy, n_threads=n_threads)
    return loss


def look_at(target: Format, policy: ResolvedPolicy) -> Look:
    """What measures parts of a buffer, for a refusal that is to name a value."""

    def look(part: Buffer, full: bool) -> Loss:
        return cast_buffer(part, None, target, policy, report=full)

    return look


_FIRST_LOOK = 1 << 16  # elements; each further look is at twice as many


def survives(source: Buffer, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether the policy allows every value of a CPU buffer. Stops soon after one it refuses.

    Example:
        >>> import numpy as np
        >>> from tensorcast.buffer import numpy_buffer
        >>> from tensorcast.formats import lookup
        >>> from tensorcast.policy import Policy
        >>> buffer, int8 = numpy_buffer(np.array([1, 300])), lookup("int8")
        >>> survives(buffer, int8, Policy().resolve(buffer.format, int8))
        False
    """
    if not may_refuse(source.format, target, policy):
        return True
    if source.packed or source.n_elements <= _FIRST_LOOK:
        parts = iter([source])
    else:
        parts = _growing_parts(source)
    for part in parts:
        loss = cast_buffer(part, None, target, policy, report=policy.exact)
        if would_refuse(loss, policy):
            return False
    return True


def _growing_parts(buffer: Buffer) -> Iterator[Buffer]:
    if buffer.is_contiguous:
        buffer = replace(buffer, shape=(buffer.n_elements,), strides=(buffer.itemsize,))
    n, longest = max((n, d) for d, n in enumerate(buffer.shape))
    per_index = buffer.n_elements // n
    begin, look = 0, _FIRST_LOOK
    while begin < n:
        end = min(n, begin + max(1, look // per_index))
        yield buffer.part(longest, begin, end)
        begin, look = end, look * 2


def _check_pair(source: Buffer, target: Buffer, target_format: Format) -> None:
    if source.shape != target.shape:
        raise CastError(
            f"the source has shape {list(source.shape)}, the target {list(target.shape)}"
        )
    if target.format.name != target_format.name:
        raise CastError(f"the target holds {target.format.name}, not {target_format.name}")
    if not target.writable:
        raise CastError("the target is read-only; write into a copy of it")
    for buffer, role in ((source, "source"), (target, "target")):
        if buffer.device != "cpu":
            raise CastError(
                f"the {role} is on {buffer.device}; these kernels read the CPU's memory"
            )
    if not target.is_contiguous and target.overlaps_itself:
        raise CastError(
            "several elements of the target share memory (a broadcast dimension); write into "
            "memory of its own"
        )
    (low, high), (begin, end) = source.extent, target.extent
    if low < end and begin < high and source.overlaps(target):
        raise CastError(
            "source and target overlap in memory; cast into memory of its own (a cast in place "
            "is another operation)"
        )
