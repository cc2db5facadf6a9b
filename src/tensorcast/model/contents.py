"""Whether memory holds what it held before: known by its digest, read at the speed of memory.

torch's version counter misses writes: those of fused and foreach optimizers, of `p.data`, and
through a NumPy view. Equal samples prove nothing either, so the whole is read, or nothing is said.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any, Final

from tensorcast.kernels.cpu import xxh3

from .holdings import extent_of, storage_of

_FREE_SECONDS: Final = 1.0  # of reading, some 10 GB: so short a trace looks at everything
_SHARE: Final = 0.1  # of the time of a trace, from then on
_FEW_BYTES: Final = 4096
_WIDEST: Final = 4  # gaps between elements are read too: not where they are most of it


class Contents:
    """Digests of tensors, within a budget of time."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds = 0.0

    def of(self, tensor: Any) -> int | None:
        """The digest of a tensor's memory, gaps between its elements included; None where it was
        not read: on another device, of a kind of its own, or beyond the budget."""
        if not _is_readable(tensor):
            return None
        begin, end = extent_of(tensor)
        if end - begin > max(_FEW_BYTES, _WIDEST * tensor.numel() * tensor.element_size()):
            return None
        return self._digest(storage_of(tensor), begin, end)

    def of_bytes(self, tensor: Any, begin: int, end: int) -> int | None:
        """The digest of these bytes of the storage that a tensor stands in; None as `of`."""
        return self._digest(storage_of(tensor), begin, end) if _is_readable(tensor) else None

    def _digest(self, storage: Any, begin: int, end: int) -> int | None:
        if storage is None or end > storage.nbytes():
            return None
        start = time.perf_counter()
        if self._seconds > _FREE_SECONDS + _SHARE * (start - self._start):
            return None
        if begin == end:
            return 0
        data = (ctypes.c_char * (end - begin)).from_address(storage.data_ptr() + begin)
        digest = xxh3(memoryview(data))
        self._seconds += time.perf_counter() - start
        return digest


def _is_readable(tensor: Any) -> bool:
    import torch

    return (
        tensor.device.type == "cpu"
        and type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and not (tensor.is_nested or tensor.is_mkldnn)
    )
