"""Regular files, opened for reading; a read that fails is told: which file, and where in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import CheckpointError, CorruptFileError


class ReadError(CheckpointError, OSError):
    """A file cannot be read: no permission, or the system fails the read."""


def open_regular(path: Path) -> int:
    """A descriptor for reading a regular file; anything else (FIFO, device, folder) is refused."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CorruptFileError(f"{str(path)!r}: expected a regular file, found something else")
    return descriptor


@contextmanager
def reading(path: Path, offset: int | None = None, *, tensor: str | None = None) -> Iterator[None]:
    """Turns an OSError of the block into a ReadError that says where."""
    try:
        yield
    except (CheckpointError, FileNotFoundError):
        raise
    except OSError as error:
        raise read_error(error, path, offset, tensor=tensor) from error


def read_error(
    error: OSError, path: Path, offset: int | None = None, *, tensor: str | None = None
) -> ReadError:
    """The error for a read that failed."""
    where = f"{str(path)!r}"
    if tensor is not None:
        where += f", tensor {tensor!r}"
    if offset is not None:
        where += f", byte {offset}"
    reason = os.strerror(error.errno) if error.errno else str(error)
    failed = ReadError(f"{where}: reading failed: {reason}")
    failed.errno = error.errno
    return failed
