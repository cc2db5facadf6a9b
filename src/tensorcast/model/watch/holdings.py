"""Which memory a tensor stands in, counted once however many tensors share it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

_DEEPEST: Final = 8  # subclasses of tensors that hold others that hold others


@dataclass(slots=True)
class _Storage:
    first: int  # the index of the entry that saw it first
    name: str
    n_bytes: int
    seen: list[tuple[int, int]] = field(default_factory=list)  # disjoint, ascending


class Holdings:
    """Memory by the tensors that stand in it."""

    def __init__(self) -> None:
        self._storages: dict[int, _Storage] = {}
        self._kept: list[Any] = []  # so that no identity is another's later
        self.hidden: dict[int, int] = {}
        """Index of a tensor -> bytes of its storage that no tensor shows (of a slice of a larger
        one); complete when all tensors are added."""

    def add(self, tensor: Any, name: str, index: int) -> tuple[int, str]:
        """(bytes that nobody had before, the name of the first whose memory this is, or "")."""
        n_bytes = 0
        shared = ""
        for part in parts_of(tensor):
            storage = storage_of(part)
            if storage is None:
                n_bytes += part.numel() * part.element_size()
                continue
            self._kept.append(storage)
            known = self._storages.get(storage._cdata)
            if known is None:
                known = _Storage(index, name, storage.nbytes())
                self._storages[storage._cdata] = known
            fresh = _cover(known.seen, extent_of(part))
            if known.first != index and not fresh:
                shared = known.name
            n_bytes += fresh
            hidden = known.n_bytes - sum(end - begin for begin, end in known.seen)
            self.hidden[known.first] = max(0, hidden)
        return n_bytes, shared

    def __contains__(self, storage: Any) -> bool:
        return storage._cdata in self._storages

    def name_of(self, identity: int) -> str:
        """Of the first tensor seen in a storage; "" of another's storage."""
        known = self._storages.get(identity)
        return known.name if known else ""


def storages_of(tensors: Iterable[Any]) -> set[int]:
    """Identities of the storages that tensors stand in."""
    found = set()
    for tensor in tensors:
        for part in parts_of(tensor):
            storage = storage_of(part)
            if storage is not None:
                found.add(storage._cdata)
    return found


def storage_of(tensor: Any) -> Any:
    """The storage of a strided tensor; None where there is none to see."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None


def weakly(storage: Any) -> Any:
    """A reference that lets the memory go, and keeps its identity from being another's."""
    from torch.multiprocessing import reductions

    return cast(Any, reductions).StorageWeakRef(storage)


def parts_of(tensor: Any, depth: int = 0) -> Iterator[Any]:
    """The plain tensors whose memory a tensor is: indices and values of a sparse one, what a
    subclass wraps; of most, itself."""
    import torch

    if is_lazy(tensor):
        return
    layout = tensor.layout
    if layout is torch.sparse_coo:
        yield from (tensor._indices(), tensor._values())
    elif layout in (torch.sparse_csr, torch.sparse_bsr):
        yield from (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    elif layout in (torch.sparse_csc, torch.sparse_bsc):
        yield from (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    elif hasattr(tensor, "__tensor_flatten__") and depth < _DEEPEST:
        for name in tensor.__tensor_flatten__()[0]:
            yield from parts_of(getattr(tensor, name), depth + 1)
    else:
        yield tensor


def extent_of(tensor: Any) -> tuple[int, int]:
    """First and last byte, within its storage, of a strided tensor's elements."""
    if tensor.is_nested:
        return 0, tensor.untyped_storage().nbytes()
    if not tensor.numel():
        return 0, 0
    size = tensor.element_size()
    begin = tensor.storage_offset() * size
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + (last + 1) * size


def _cover(seen: list[tuple[int, int]], extent: tuple[int, int]) -> int:
    """Adds an extent to disjoint ones; how many bytes were new."""
    begin, end = extent
    if begin == end:
        return 0
    before = sum(b - a for a, b in seen)
    merged: list[tuple[int, int]] = []
    for a, b in sorted([*seen, extent]):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    seen[:] = merged
    return sum(b - a for a, b in merged) - before


def is_lazy(tensor: Any) -> bool:
    """Whether a parameter has no shape before the first forward."""
    return type(tensor).__name__ in ("UninitializedParameter", "UninitializedBuffer")
