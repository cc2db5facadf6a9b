"""Tensors in chunks of a fixed size, worked off by a few threads with buffers of their own.

Chunks are the same whatever the number of threads, so digests, reports and bytes are too.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import lcm
from pathlib import Path
from typing import Final, TypeVar

from ...errors import CheckpointError
from ..protocol import TensorInfo
from ..store import syscalls
from ..store.regular_files import open_regular

CHUNK_BYTES: Final = 1 << 21
"""Bytes of a chunk in its wider format: few calls, and work for every thread of small models."""

BLOCK_BYTES: Final = 1 << 18
"""Bytes of a chunk that stream through a thread at a time, in its wider format: they are still in
the core's own cache when they are cast, digested and written."""

WRITE_BYTES: Final = 1 << 20
"""Bytes written at a time: a call of the system, and a place in its memory, for each."""

MAX_THREADS: Final = 16
"""Threads taken without being asked: past these the file system is the limit."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive elements of one tensor.

    Attributes:
        step: index of the tensor's step.
        number: of the chunk in the tensor, from 0.
        first: flat index of its first element.
        n_elements: its elements.
    """

    step: int
    number: int
    first: int
    n_elements: int


def chunk_elements(*tensors: TensorInfo) -> int:
    """Elements per chunk of tensors that are read and written side by side: a multiple of 8, so
    chunks of sub-byte formats end on whole bytes, and whole blocks of every one."""
    least = lcm(8, *(tensor.block_elements for tensor in tensors))
    return min(max(1, CHUNK_BYTES // tensor.bytes_of(least)) for tensor in tensors) * least


def n_chunks(n_elements: int, per_chunk: int) -> int:
    """Chunks of a tensor; an empty tensor has one, of no elements."""
    return max(1, -(-n_elements // per_chunk))


def chunks(step: int, n_elements: int, per_chunk: int) -> Iterator[Chunk]:
    """The chunks of one tensor, in order."""
    for number in range(n_chunks(n_elements, per_chunk)):
        first = number * per_chunk
        yield Chunk(step, number, first, min(per_chunk, n_elements - first))


@dataclass(frozen=True)
class Buffers:
    """What one thread works in, touched once and used for every chunk."""

    source: memoryview
    target: memoryview

    @staticmethod
    def chunk() -> Buffers:
        """Page-aligned buffers of one chunk each."""
        return Buffers._of(CHUNK_BYTES, CHUNK_BYTES)

    @staticmethod
    def block() -> Buffers:
        """Page-aligned buffers for `stream`: a block to read, and as much as is written at once."""
        return Buffers._of(BLOCK_BYTES, WRITE_BYTES)

    @staticmethod
    def _of(source_bytes: int, target_bytes: int) -> Buffers:
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        return Buffers(
            memoryview(mmap.mmap(-1, source_bytes, private)),
            memoryview(mmap.mmap(-1, target_bytes, private)),
        )


def n_threads(asked: int | None = None) -> int:
    """Threads to use: what is asked, else TENSORCAST_NUM_THREADS, else a thread per CPU of the
    affinity mask, at most `MAX_THREADS`.

    Raises:
        CheckpointError: the number is not a positive integer.
    """
    if asked is None:
        text = os.environ.get("TENSORCAST_NUM_THREADS")
        if text is None:
            return min(MAX_THREADS, _n_cpus())
        if not text.isdecimal():
            raise CheckpointError(f"TENSORCAST_NUM_THREADS={text!r} is not a positive integer")
        asked = int(text)
    if asked < 1:
        raise CheckpointError(f"the number of threads is 1 or more, not {asked}")
    return asked


def _n_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Files:
    """Open descriptors by path, shared by the threads, each closed when it is done with."""

    def __init__(self, uses: Iterable[tuple[Path, int]] = (), *, flags: int | None = None) -> None:
        """
        Args:
            uses: path and number of uses; after so many in all, `release` closes the file.
            flags: of `os.open`; None reads regular files only.
        """
        self._uses: Counter[Path] = Counter()
        for path, n in uses:
            self._uses[path] += n
        self._flags = flags
        self._open: dict[Path, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        for path in list(self._open):
            self._close(path)

    def __getitem__(self, path: Path) -> int:
        """The descriptor, opened at its first use."""
        descriptor = self._open.get(path)
        if descriptor is None:
            with self._lock:
                descriptor = self._open.get(path)
                if descriptor is None:
                    descriptor = (
                        open_regular(path)
                        if self._flags is None
                        else os.open(path, self._flags | os.O_CLOEXEC)
                    )
                    self._open[path] = descriptor
        return descriptor

    def start_writing(self) -> None:
        """Have what is written so far go to the disk, without waiting for it."""
        with self._lock:
            copies = [os.dup(descriptor) for descriptor in self._open.values()]
        for copy in copies:
            try:
                syscalls.start_writing(copy)
            finally:
                os.close(copy)

    def release(self, path: Path) -> bool:
        """One use less; whether it was the last, which closes the file."""
        with self._lock:
            self._uses[path] -= 1
            last = self._uses[path] == 0
        if last:
            self._close(path)
        return last

    def _close(self, path: Path) -> None:
        with self._lock:
            descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


T = TypeVar("T")


def work_off(
    work: Callable[[T, Buffers], None],
    todo: Iterable[T],
    *,
    buffers: Callable[[], Buffers],
    threads: int,
    tick: Callable[[], None],
    wake: threading.Event,
    interval: float = 0.05,
) -> None:
    """Call `work` on every piece of work, from `threads` threads, starting them in order.

    Args:
        work: reads, casts, writes; must not call Python code that blocks for long.
        todo: chunks, mostly.
        buffers: makes those of one thread.
        threads: how many threads.
        tick: called in the calling thread whenever `wake` is set, every `interval` seconds, and
            at the end.
        wake: set by `work` to have `tick` called soon.
        interval: seconds.

    Raises:
        Exception: what `work` raised first; pieces under way are finished, no more are begun.
        KeyboardInterrupt: likewise.
    """
    pending = iter(todo)
    taking = threading.Lock()
    stop = threading.Event()
    errors: list[BaseException] = []
    running = 0
    exhausted = False
    late: KeyboardInterrupt | None = None

    def loop() -> None:
        nonlocal running, exhausted
        with taking:
            if stop.is_set():
                return
            running += 1
        try:
            mine = buffers()
            while not stop.is_set():
                with taking:
                    piece = next(pending, None)
                if piece is None:
                    break
                work(piece, mine)
        except BaseException as error:
            errors.append(error)
            stop.set()
        finally:
            with taking:
                exhausted = True
                running -= 1
            wake.set()

    try:
        for _ in range(threads):
            threading.Thread(target=loop, daemon=True).start()
        while running or not exhausted:
            wake.wait(interval)
            wake.clear()
            if errors:
                break
            tick()
    finally:
        with taking:
            stop.set()
        # Whatever comes, the workers use files that are closed next. Not Thread.join: once
        # interrupted, Python 3.11 takes the thread for stopped.
        while running:
            try:
                wake.clear()
                wake.wait(interval)
            except KeyboardInterrupt as error:
                late = error
    if errors:
        raise errors[0]
    if late is not None:
        raise late
    tick()
