"""Linux calls that Python's os module lacks; each says whether it could be done at all."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import ctypes

_AT_FDCWD: Final = -100
_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BYTES: Final = 256
STATX_ATTR_IMMUTABLE: Final = 0x10
STATX_ATTR_APPEND: Final = 0x20
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCHANGE: Final = 2
_RANGE_WRITE: Final = 2
_UNSUPPORTED: Final = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY)


@cache
def _libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: Any) -> bool:
    """Whether the call was made; False where system or file system has no such call.

    Raises:
        OSError: it was made and failed.
    """
    function = getattr(_libc(), name, None)
    if function is None:
        return False
    import ctypes

    while function(*arguments) != 0:
        code = ctypes.get_errno()
        if code == errno.EINTR:
            continue
        if code in _UNSUPPORTED:
            return False
        raise OSError(code, os.strerror(code))
    return True


def allocate(descriptor: int, n_bytes: int) -> None:
    """Give the file its size, with the disk's blocks reserved where the file system can.

    `os.posix_fallocate` would write a byte to every block where it cannot.
    """
    import ctypes

    done = n_bytes > 0 and _call(
        "fallocate", descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(n_bytes)
    )
    if not done:
        os.ftruncate(descriptor, n_bytes)


def start_writing(descriptor: int) -> None:
    """Have what is written so far go to the disk, without waiting for it.

    A later fsync then finds little left to do. Where there is no such call nothing happens.
    """
    import ctypes

    with suppress(OSError):  # what fails here fails again in fsync, where it is told of
        _call("sync_file_range", descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _RANGE_WRITE)


def attributes(path: str) -> int:
    """The STATX_ATTR_ bits of a path, a link itself and not what it leads to; 0 where the system
    does not say."""
    import ctypes

    found = ctypes.create_string_buffer(_STATX_BYTES)
    with suppress(OSError):
        if _call("statx", _AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, 0, found):
            return int.from_bytes(found.raw[8:16], sys.byteorder)
    return 0


def rename_new(source: str, target: str) -> bool:
    """Rename, failing with FileExistsError if `target` exists; False: cannot be done here."""
    return _rename(source, target, _RENAME_NOREPLACE)


def exchange(one: str, other: str) -> bool:
    """Swap two names in one step; False: cannot be done here."""
    return _rename(one, other, _RENAME_EXCHANGE)


def _rename(source: str, target: str, flags: int) -> bool:
    old, new = os.fsencode(source), os.fsencode(target)
    try:
        return _call("renameat2", _AT_FDCWD, old, _AT_FDCWD, new, flags)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), source, None, target) from None
