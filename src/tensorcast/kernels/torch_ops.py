"""The cast as torch operations: for every device that has no kernels of its own.

The codes are those of the CPU's kernels, bit for bit; the sums of a report are taken in float64 in
torch's order. CUDA tensors go to Triton where it is installed (`triton_ops`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..formats import Format
from ..policy import ResolvedPolicy, ends_infinities
from .cpu import RawStats
from .torch_codes import codes_of, decode, encode, encode_same, flat_codes, narrowed, widened
from .torch_lazy import check_storage, settled
from .torch_stats import Counter

if TYPE_CHECKING:
    import torch

_CHUNK: Final = 1 << 20
"""Values at a time: what lives beside the tensors is some tens of int64 tensors of this length."""


def cast_tensor(
    x: torch.Tensor,
    out: torch.Tensor | None,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    report: bool = False,
    count: bool = True,
    collapses: bool = False,
) -> RawStats:
    """Cast a tensor on its own device; values never raise.

    Args:
        x: of any strides, in `source`'s dtype; sub-byte formats with one code per byte.
        out: of the same shape and device, in `target`'s dtype, sharing no memory with `x`; None
            measures only. Under overflow="raise" it gets what "saturate" would give.
        report: all statistics, not only the counts a policy needs.
        count: False, and no report: count nothing, so that nothing waits for the device; the
            statistics are then those of no elements.
        collapses: count what becomes 0 or one value; `report` does too.

    Raises:
        CastError: a format whose tensors hold several elements to a byte; elements beyond the
            end of their storage.
    """
    for tensor in (x, out):
        if tensor is not None:
            check_storage(tensor)
    x = settled(x)
    if x.device.type == "cuda":
        from . import triton_ops

        if triton_ops.serves(source, target):
            full = report or collapses  # the kernel counts all or what the policy needs
            return triton_ops.cast_tensor(x, out, source, target, policy, full, count)
    return cast_by_operations(x, out, source, target, policy, report, count, collapses)


def cast_by_operations(
    x: torch.Tensor,
    out: torch.Tensor | None,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    report: bool = False,
    count: bool = True,
    collapses: bool = False,
) -> RawStats:
    """`cast_tensor` in torch's own operations, on any device, the CPU too."""
    import torch

    codes = flat_codes(x, source)
    direct = out is not None and out.is_contiguous()
    written = None
    if out is not None:
        fresh = out if direct else torch.empty_like(out, memory_format=torch.contiguous_format)
        written = flat_codes(fresh, target)
    counter = Counter(source, target, policy, report, collapses)
    width = 2 if source.is_complex else 1  # values of an element
    for start in range(0, codes.shape[0], _CHUNK):
        chunk = codes[start : start + _CHUNK]
        part = None if written is None else written[start : start + len(chunk)]
        counting = counter if count or report or collapses else None
        _cast_chunk(chunk, part, source, target, policy, start * width, counting)
    if out is not None and not direct:
        codes_of(out, target).copy_(codes_of(fresh, target))
    return counter.result()


def _cast_chunk(
    chunk: torch.Tensor,
    written: torch.Tensor | None,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    start: int,
    counter: Counter | None,
) -> None:
    """One run of elements; `start` is the index of its first value."""
    import torch

    values = widened(chunk, source.component).reshape(-1)
    index = torch.arange(start, start + len(values), device=values.device)
    parts = decode(values, source.component)
    if source == target:
        encoded = None
        results = values
        if ends_infinities(source, target, policy):
            encoded = encode_same(values, parts, target.component)
            results = encoded.codes
    else:
        step = 2 if target.is_complex and not source.is_complex else 1
        encoded = encode(parts, target.component, policy, index * step)
        results = encoded.codes
        if source.is_complex and not target.is_complex:  # to bool: true if either part is
            encoded = encode(parts, target, policy, index)
            either = encoded.codes.view(-1, 2).amax(dim=1)
            results = torch.stack([either, torch.zeros_like(either)], dim=1).view(-1)
            differs = encoded.inexact | (encoded.codes != results) & ~parts.nan
            encoded = encoded._replace(codes=results, inexact=differs)
    if counter is not None:
        counter.add(values, parts, results, encoded, start)
    if written is None:
        return
    if target.is_complex:
        pairs = written.view(-1, 2)
        if source.is_complex:
            pairs.copy_(narrowed(results, target.component).view(-1, 2))
        else:
            pairs[:, 0].copy_(narrowed(results, target.component))
            pairs[:, 1].zero_()
        return
    if source.is_complex:
        results = results.view(-1, 2)[:, 0]
    written.copy_(narrowed(results, target))
