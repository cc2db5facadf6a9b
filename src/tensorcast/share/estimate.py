"""What a call will take on this machine: free memory, and a time from a measured rate.

The rate is that of a small cast, measured once for a pair of formats; the time is an estimate.
"""

from __future__ import annotations

import time
from contextvars import Context
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from ..bridges.memory import empty_numpy
from ..bridges.room import free_memory
from ..buffer import Buffer, contiguous_strides
from ..core.block import cast_buffer
from ..errors import TensorcastError
from ..formats import FORMATS, Format
from ..policy import Policy
from .verdict import ESTIMATED_FROM, Verdict

_SAMPLE_BYTES: Final = 8 << 20
_ROUNDS: Final = 3


def estimated(verdict: Verdict, source: Format, target: Format) -> Verdict:
    """The verdict with the free memory, and with the expected time where the work is large and the
    CPU's."""
    if verdict.action not in ("copies", "casts"):
        return verdict
    free, _ = free_memory()
    seconds = None
    here = not verdict.transfers and verdict.cast_on in (None, "cpu")
    if here and verdict.n_bytes_moved >= ESTIMATED_FROM:
        # in a context of its own, where no pool of the caller's is open
        rate = Context().run(_seconds_per_byte, source.name, target.name)
        seconds = None if rate is None else rate * verdict.n_bytes_moved
    return replace(verdict, n_bytes_free=free, seconds=seconds)


@lru_cache(maxsize=256)
def _seconds_per_byte(source_name: str, target_name: str) -> float | None:
    """Of bytes read and written by a cast into new memory; None where it cannot be measured."""
    source, target = FORMATS[source_name], FORMATS[target_name]
    sizes = [row.container_bits // 8 for row in (source, target)]
    n = _SAMPLE_BYTES // sum(sizes)
    try:
        given, begin = _memory(n, source)
        given.view("uint8")[:] = 0
        policy = Policy(overflow="saturate", nan="zero").resolve(source, target)
        taken = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            made, written = _memory(n, target)
            cast_buffer(begin, written, target, policy, fresh=True)
            taken.append(time.perf_counter() - start)
            del made, written
    except (TensorcastError, TypeError, ValueError):
        return None
    return sorted(taken)[_ROUNDS // 2] / (n * sum(sizes))


def _memory(n: int, row: Format) -> tuple[Any, Buffer]:
    made, address = empty_numpy((n,), row)
    steps = contiguous_strides((n,), row.container_bits // 8)
    return made, Buffer(address, (n,), steps, row, owner=made)
