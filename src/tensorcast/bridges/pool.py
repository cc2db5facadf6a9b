"""A bounded pool of memory for large fresh results, open while `tensorcast.reuse` is entered.

A result stands on a lease of a block. Whatever sees its memory - views, arrays of NumPy, DLPack,
graphs that saved it - keeps the tensor's storage or the array, which keeps the lease. The lease
ends when the last of them is gone, and only then is the block given out again.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import CastError
from ..kernels.cpu import count_pools
from ..words.units import human_bytes, plural

if TYPE_CHECKING:
    import numpy as np
    import torch

LEAST: Final = 1 << 20
"""Bytes of the smallest result that is pooled: smaller ones malloc keeps itself (fast.cpp too)."""

_ALIGNMENT: Final = 64
_MOST_WASTE: Final = 2  # a block is given out for results of at least half its size
_open: ContextVar[Pool | None] = ContextVar("tensorcast_pool", default=None)


@dataclass(frozen=True, eq=False)
class _Block:
    memory: np.ndarray[Any, Any]
    address: int
    n_bytes: int


class _Lease:
    """Memory of the pool while somebody sees it: what NumPy takes for the owner of an array."""

    __slots__ = ("__array_interface__", "_block", "_pool")

    def __init__(self, pool: Pool, block: _Block, n_bytes: int) -> None:
        self._pool, self._block = pool, block
        self.__array_interface__ = {
            "data": (block.address, False),
            "shape": (n_bytes,),
            "typestr": "|u1",
            "version": 3,
        }

    def __del__(self) -> None:
        self._pool._take_back(self._block)


class Pool:
    """The memory that `tensorcast.reuse` keeps, and what came of it.

    Attributes:
        n_bytes: the most that it may hold, in use and idle.
        hits: results that stood on memory used before.
        misses: large results that had to have new memory.
        n_bytes_reused: of the hits, in all.
    """

    def __init__(self, n_bytes: int) -> None:
        self.n_bytes = n_bytes
        self.hits = self.misses = self.n_bytes_reused = 0
        self._held = 0  # bytes of all blocks, in use and idle
        self._idle: list[_Block] = []
        # leases end anywhere, also while this thread holds the lock: nothing waits there
        self._returned: deque[_Block] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._process = os.getpid()

    @property
    def n_bytes_held(self) -> int:
        """Bytes that it holds now: of results that are alive, and idle."""
        return self._held

    @property
    def n_bytes_idle(self) -> int:
        """Bytes that it holds for the next result."""
        with self._lock:
            self._collect()
            return sum(block.n_bytes for block in self._idle)

    def __repr__(self) -> str:
        return (
            f"Pool({plural(self.hits, 'hit')}, {plural(self.misses, 'miss', 'misses')}, "
            f"{human_bytes(self.n_bytes_reused)} reused, {human_bytes(self._held)} of "
            f"{human_bytes(self.n_bytes)} held)"
        )

    def array(self, n_bytes: int) -> np.ndarray[Any, Any] | None:
        """Bytes to write a result to, which its owner alone keeps; None: there is no room."""
        if self._closed or os.getpid() != self._process:
            return None
        with self._lock:
            block = self._block(n_bytes)
        if block is None:
            return None
        import numpy as np

        return np.asarray(_Lease(self, block, n_bytes))

    def close(self) -> None:
        """Give back what is idle; what is in use goes when its results do."""
        with self._lock:
            self._closed = True
            self._collect()
            self._held -= sum(block.n_bytes for block in self._idle)
            self._idle.clear()

    def _block(self, n_bytes: int) -> _Block | None:
        self._collect()
        fits = [one for one in self._idle if n_bytes <= one.n_bytes <= _MOST_WASTE * n_bytes]
        if fits:
            best = min(fits, key=lambda one: one.n_bytes)
            self._idle.remove(best)
            self.hits += 1
            self.n_bytes_reused += n_bytes
            return best
        self.misses += 1
        while self._idle and self._held + n_bytes > self.n_bytes:
            self._held -= self._idle.pop(0).n_bytes
        if self._held + n_bytes > self.n_bytes:
            return None
        import numpy as np

        try:
            memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
        except MemoryError:
            return None
        address: int = memory.__array_interface__["data"][0]
        self._held += n_bytes
        return _Block(memory, address + -address % _ALIGNMENT, n_bytes)

    def _take_back(self, block: _Block) -> None:
        self._returned.append(block)
        if self._closed:
            self._returned.clear()

    def _collect(self) -> None:
        while self._returned:
            self._idle.append(self._returned.popleft())


@contextmanager
def reuse(n_bytes: int) -> Iterator[Pool]:
    """Large fresh results of casts inside take the memory of results that are gone.

    For loops that cast again and again: the system hands out new memory page by page, and writing
    to it for the first time takes longer than the cast. Results of 1 MiB or more in the CPU's
    memory, of `cast`, `as_tensor`, `to_numpy` and the like, come from the pool. Memory is given out
    again only when nothing sees it any more: no tensor, view, array or graph. Results may outlive
    the block of code; they are ordinary tensors, but cannot be resized or changed by `cast_`,
    since the memory is not torch's own. It holds for this thread, and may be nested.

    Args:
        n_bytes: the most that the pool may hold; where it is full, results take new memory.

    Yields:
        The `Pool`, which counts hits, misses and bytes.

    Example:
        >>> import torch, tensorcast
        >>> x = torch.ones(1_000_000)
        >>> with reuse(100_000_000) as pool:
        ...     for _ in range(5):
        ...         y = tensorcast.cast(x, "float16")
        ...         del y
        >>> pool.hits, pool.misses, pool.n_bytes_reused
        (4, 1, 8000000)
    """
    if isinstance(n_bytes, bool) or not isinstance(n_bytes, int) or n_bytes < 0:
        raise CastError(f"n_bytes={n_bytes!r} is no number of bytes")
    pool = Pool(n_bytes)
    token = _open.set(pool)
    count_pools(1)
    try:
        yield pool
    finally:
        count_pools(-1)
        _open.reset(token)
        pool.close()


def pooled(n_bytes: int) -> np.ndarray[Any, Any] | None:
    """Bytes of the open pool for a result; None where there is none, or the result is small."""
    if n_bytes < LEAST:
        return None
    pool = _open.get()
    return None if pool is None else pool.array(n_bytes)


def tensor_on(
    memory: np.ndarray[Any, Any], dtype: torch.dtype, shape: Any, strides: Any
) -> torch.Tensor:
    """A tensor, and no view of another, on bytes that its storage keeps alive."""
    import torch

    storage = torch.from_numpy(memory).untyped_storage()
    made = torch.empty(0, dtype=dtype, device="cpu")
    return made.set_(storage, 0, shape, strides)
