"""What tests put between a conversion and the kernels' streams, which read and write its data."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tensorcast.kernels import cpu

READING, WRITING = 1, 2


@dataclass(frozen=True)
class Stream:
    """One call of `cpu.stream_cast` or `cpu.stream_copy`."""

    real: Callable[..., Any]
    arguments: tuple[Any, ...]
    at: int  # of the number of elements, or bytes

    @property
    def writes(self) -> bool:
        return self.arguments[2] is not None

    def run(self, share: float = 1) -> Any:
        """The call itself, or only the first part of it."""
        n = int(self.arguments[self.at] * share) // 8 * 8 if share < 1 else self.arguments[self.at]
        return self.real(*self.arguments[: self.at], n, *self.arguments[self.at + 1 :])

    def fail(self, stopped: int, code: int) -> Any:
        """What the call returns when the system fails it at once."""
        end = cpu.Streamed(0, 0, 0, stopped, code)
        if self.real is stream_copy:
            return end
        stats, _ = self.run(0)
        return stats, end

    def damage(self, bit: int) -> None:
        """Changes a bit of the last byte that was written."""
        _, _, target, offset = self.arguments[:4]
        if self.real is stream_copy:
            n_bytes = self.arguments[self.at]
        else:
            n_bytes = self.arguments[7].n_bytes(self.arguments[self.at])
        descriptor = os.open(f"/proc/self/fd/{target}", os.O_RDWR)
        last = os.pread(descriptor, 1, offset + n_bytes - 1)[0]
        os.pwrite(descriptor, bytes([last ^ bit]), offset + n_bytes - 1)
        os.close(descriptor)


stream_cast, stream_copy = cpu.stream_cast, cpu.stream_copy


def intercept(
    handle: Callable[[Stream], Any], put: Callable[[object, str, object], object] = setattr
) -> None:
    """Every stream from now on is what `handle` makes of it."""
    put(cpu, "stream_cast", lambda *a: handle(Stream(stream_cast, a, 9)))
    put(cpu, "stream_copy", lambda *a: handle(Stream(stream_copy, a, 5)))
