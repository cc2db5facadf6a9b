"""Whether memory holds what it held before: known by its digest, read at the speed of memory.

torch's version counter misses writes: those of fused and foreach optimizers, of `p.data`, and
through a NumPy view. Equal samples prove nothing either, so the whole is read, or nothing is said.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import Any, Final

from ...kernels.cpu import xxh3
from .holdings import extent_of, storage_of, weakly

_Geometry = tuple[int, tuple[int, ...], tuple[int, ...]]

_FREE_SECONDS: Final = 1.0  # of reading, some 10 GB: so short a trace looks at everything
_SHARE: Final = 0.1  # of the time of a trace, from then on
_FEW_BYTES: Final = 4096
_SMALL_BYTES: Final = 1 << 16  # results up to this are digested when they are made
_WIDEST: Final = 4  # gaps between elements are read too: not where they are most of it


@dataclass(frozen=True, slots=True)
class Trail:
    """A conversion, as far as it has to be known to be held against what it made.

    Attributes:
        digest: of the result; None of a large one, which is made again when it is asked for.
        made, geometry: offset, shape and strides of the result and of the source.
        source: the source's storage, weakly; None where it cannot be read.
        dtype: the source's.
    """

    digest: int | None
    made: _Geometry
    source: Any
    geometry: _Geometry
    dtype: Any


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

    def trail(self, made: Any, source: Any) -> Trail:
        """What tells later whether the result of a conversion was written since."""
        storage = storage_of(source)
        return Trail(
            self.of(made) if _n_bytes(made) <= _SMALL_BYTES else None,
            _geometry(made),
            None if storage is None or not _is_readable(source) else weakly(storage),
            _geometry(source),
            source.dtype,
        )

    def is_as_made(self, trail: Trail, now: Any) -> bool | None:
        """Whether a tensor holds what the conversion made, by its digest or by the conversion made
        again where its source is alive; None where that cannot be told."""
        import torch

        if not _is_readable(now) or _geometry(now) != trail.made:
            return None
        if trail.digest is not None:
            digest = self.of(now)
            return None if digest is None else digest == trail.digest
        weak = trail.source
        storage = None
        if weak is not None and not weak.expired():
            storage = torch.UntypedStorage._new_with_weak_ptr(weak.cdata)
        if storage is None:
            return None
        source: Any = torch.empty(0, dtype=trail.dtype, device="cpu")
        source.set_(storage, *trail.geometry)
        again = source.to(now.dtype).contiguous().view(torch.uint8)
        return torch.equal(again, now.detach().contiguous().view(torch.uint8))

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


def _geometry(tensor: Any) -> _Geometry:
    """Offset, shape and strides; nothing of tensors that have none."""
    import torch

    if tensor.layout is not torch.strided or tensor.is_nested:
        return 0, (), ()
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _n_bytes(tensor: Any) -> int:
    return int(tensor.numel() * tensor.element_size())


def _is_readable(tensor: Any) -> bool:
    import torch

    return (
        tensor.device.type == "cpu"
        and type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and not (tensor.is_nested or tensor.is_mkldnn)
    )
