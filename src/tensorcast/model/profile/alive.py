"""Which memory the forward of a model makes, and when each piece of it is freed again."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from ..watch.holdings import parts_of, storage_of
from .data import Peak, Size

_WORTH: Final = 0.01


@dataclass(slots=True)
class Piece:
    """One storage that the forward made.

    Attributes:
        n_bytes: of it.
        path, kind: the innermost module that ran, and its class.
        format, device: of the first tensor in it.
        op: that made it.
        born: how many pieces had come or gone before it.
        died: the same of its end; None: it is alive.
        n_writes: how often an operation has written into it since.
        ref: tells of its end.
    """

    n_bytes: int
    path: str
    kind: str
    format: str
    device: str
    op: str
    born: int
    died: int | None = None
    n_writes: int = 0
    ref: Any = field(default=None, repr=False)


class Alive:
    """What is alive, by storage. `known` are identities of storages that are not the forward's:
    parameters, buffers, inputs."""

    def __init__(self, known: Iterable[int]) -> None:
        self.pieces: list[Piece] = []
        self._by_storage: dict[int, int] = {}
        self._known = set(known)
        self._foreign: dict[int, Any] = {}
        self.n_bytes = 0
        self.peak_bytes = 0
        self.peak_at = 0
        self._moment = 0

    def read(self, tensor: Any) -> None:
        """A tensor that an operation takes: what was not made here was there before."""
        for part in parts_of(tensor):
            storage = storage_of(part)
            if storage is None or storage._cdata in self._by_storage:
                continue
            key = storage._cdata
            if key not in self._known:
                self._known.add(key)
                self._foreign[key] = weakref.ref(storage, self._end_of_foreign(key))

    def see(self, tensor: Any, path: str, kind: str, op: str, format: str) -> None:
        """A tensor that an operation gives."""
        for part in parts_of(tensor):
            storage = storage_of(part)
            if storage is None:
                continue
            key = storage._cdata
            if key in self._known:
                continue
            index = self._by_storage.get(key)
            if index is not None:
                self._grown(self.pieces[index], storage.nbytes())
                continue
            index = len(self.pieces)
            piece = Piece(storage.nbytes(), path, kind, format, str(part.device), op, self._moment)
            piece.ref = weakref.ref(storage, self._end_of(index, key))
            self.pieces.append(piece)
            self._by_storage[key] = index
            self._moment += 1
            self._add(piece.n_bytes)

    def written(self, tensor: Any) -> None:
        """An operation has written into a tensor."""
        for part in parts_of(tensor):
            storage = storage_of(part)
            index = None if storage is None else self._by_storage.get(storage._cdata)
            if index is not None:
                self.pieces[index].n_writes += 1

    def number(self, tensor: Any) -> tuple[int, int] | None:
        """(which piece a strided tensor stands in, how often that was written)."""
        storage = storage_of(tensor)
        index = None if storage is None else self._by_storage.get(storage._cdata)
        return None if index is None else (index, self.pieces[index].n_writes)

    def now(self) -> set[int]:
        """Indices of the pieces that are alive now."""
        return {i for i, piece in enumerate(self.pieces) if piece.died is None}

    def at_peak(self) -> list[int]:
        """Indices of the pieces that were alive at the peak."""
        return [
            i
            for i, piece in enumerate(self.pieces)
            if piece.born <= self.peak_at and (piece.died is None or piece.died > self.peak_at)
        ]

    def forget(self, known: set[int]) -> int:
        """Leaves out what has turned out to be a parameter or a buffer (a lazy module's); how many
        bytes that is."""
        before = self.n_bytes
        for key in known & self._by_storage.keys():
            piece = self.pieces[self._by_storage.pop(key)]
            self.n_bytes -= piece.n_bytes
            if piece.born <= self.peak_at:
                self.peak_bytes -= piece.n_bytes
            piece.n_bytes = 0
        return before - self.n_bytes

    def _add(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        if self.n_bytes > self.peak_bytes:
            self.peak_bytes = self.n_bytes
            self.peak_at = self._moment - 1

    def _grown(self, piece: Piece, n_bytes: int) -> None:
        """A storage that was resized since."""
        if n_bytes != piece.n_bytes:
            grown, piece.n_bytes = n_bytes - piece.n_bytes, n_bytes
            self._add(grown)

    def _end_of_foreign(self, key: int) -> Callable[[object], None]:
        def end(_: object) -> None:
            self._foreign.pop(key, None)
            self._known.discard(key)

        return end

    def _end_of(self, index: int, key: int) -> Callable[[object], None]:
        return lambda _: self._gone(index, key)

    def _gone(self, index: int, key: int) -> None:
        piece = self.pieces[index]
        piece.died = self._moment
        self._moment += 1
        self.n_bytes -= piece.n_bytes
        if self._by_storage.get(key) == index:
            del self._by_storage[key]


def sizes_at_peak(alive: Alive) -> list[Size]:
    """Bytes alive at the peak by module, format and device, the largest first."""
    found: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for i in alive.at_peak():
        piece = alive.pieces[i]
        key = (piece.path, piece.kind, piece.format, piece.device)
        n, n_bytes = found.get(key, (0, 0))
        found[key] = n + 1, n_bytes + piece.n_bytes
    return [
        Size("activation", path, kind, format, device, n, n_bytes)
        for (path, kind, format, device), (n, n_bytes) in sorted(
            found.items(), key=lambda item: -item[1][1]
        )
        if n_bytes
    ]


def work_space(peak: Peak) -> list[Size]:
    """What the allocator says beyond the tensors: operations take it within themselves."""
    more = (peak.allocator or 0) - peak.n_bytes
    if more < peak.n_bytes * _WORTH:
        return []
    return [Size("activation", "", "", "workspace", "", 0, more)]
