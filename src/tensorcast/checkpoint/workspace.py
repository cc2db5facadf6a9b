"""The temporary sibling of a destination: one writer, receipts, and the last rename.

Beside the destination `D` stands `.D.tensorcast-<hash>/` while a run is under way or can be
resumed: `new/` (the directory that becomes `D`, or that holds the file that does), `receipts`
(one JSON line per finished shard), and for a moment `old` where two names cannot be swapped in
one step.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from ..errors import CheckpointError, DestinationError
from . import syscalls

VERSION: Final = 2
# what flock says where the file system has no locks: two runs there are the caller's to avoid
_NO_LOCKS: Final = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


def workspace_path(destination: str) -> Path:
    """Where the workspace of a destination stands: the same for every run to it."""
    path = Path(destination)
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    return path.parent / f".{path.name[:40]}.tensorcast-{digest}"


class Workspace:
    """An open, locked workspace."""

    def __init__(self, destination: str) -> None:
        """Open it, created if need be, and mend what a killed commit left.

        Raises:
            DestinationError: another run holds it, or something else stands there.
        """
        self.destination = destination
        self.path = workspace_path(destination)
        self.new = self.path / "new"
        self._old = self.path / "old"
        self._receipts = self.path / "receipts"
        self._descriptor = self._lock()
        self._recover()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)  # and with it the lock

    def _lock(self) -> int:
        for _ in range(100):
            try:
                with writing(self.path):
                    os.mkdir(self.path)
            except DestinationError as error:
                if error.errno != errno.EEXIST:
                    raise
                if self.path.is_symlink() or not self.path.is_dir():
                    raise DestinationError(
                        f"{str(self.path)!r} is in the way: it is no directory; remove it"
                    ) from None
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # the run before this one has just finished
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise DestinationError(
                    f"another run is writing {self.destination!r}; wait for it, or name another "
                    "destination"
                ) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(descriptor)
                    raise
            try:
                if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                    return descriptor
            except FileNotFoundError:
                pass
            os.close(descriptor)
        raise DestinationError(f"{str(self.path)!r} comes and goes; is another run at work?")

    # -- receipts ------------------------------------------------------------------------------

    def resume(self, job: str) -> list[dict[str, Any]]:
        """The receipts of an earlier run of the same job; of another job nothing is left.

        Args:
            job: the digest of everything that decides the bytes to write.
        """
        lines = self._lines()
        if lines and lines[0] == {"tensorcast_receipts": VERSION, "job": job}:
            return self.receipts()
        self.clear()
        self._append({"tensorcast_receipts": VERSION, "job": job})
        return []

    def receipts(self) -> list[dict[str, Any]]:
        """The receipts there are, of whatever job."""
        return [line for line in self._lines() if "file" in line]

    def add_receipt(self, receipt: dict[str, Any]) -> None:
        """Record a finished shard; on disk when this returns."""
        self._append(receipt)

    def _append(self, line: dict[str, Any]) -> None:
        with writing(self._receipts):
            descriptor = os.open(
                self._receipts, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
            )
            try:
                write_all(descriptor, b"\n" + json.dumps(line).encode(), None)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _lines(self) -> list[dict[str, Any]]:
        """What the receipts say, without a last line that was cut off."""
        try:
            text = self._receipts.read_bytes()
        except FileNotFoundError:
            return []
        lines = []
        for line in text.split(b"\n"):
            try:
                members = json.loads(line)
            except ValueError:
                continue
            if isinstance(members, dict):
                lines.append(members)
        return lines

    # -- the last rename -----------------------------------------------------------------------

    def commit(self, product: Path, *, force: bool) -> list[str]:
        """Make `product` the destination in one step, then remove the workspace.

        Args:
            product: `new`, or the file in it.
            force: replace what stands at the destination.

        Returns:
            Warnings: the destination is complete, but something could not be tidied up.

        Raises:
            DestinationError: something came to stand at the destination, and no `force`; or the
                rename failed.
        """
        with writing(Path(self.destination)):
            self._append({"commit": os.stat(product).st_ino})
            sync_directory(self.path)
            self._publish(str(product), force=force)
        try:
            sync_directory(self.path.parent)
            self.sweep()
        except OSError as error:
            return [f"{str(self.path)!r} could not be removed: {error}; remove it by hand"]
        return []

    def _publish(self, new: str, *, force: bool) -> None:
        destination = self.destination
        exists = os.path.lexists(destination)
        if exists and not force:
            raise self._appeared()
        if not exists:
            self._rename_new(new)
        elif not os.path.isdir(new):
            os.replace(new, destination)
        elif not syscalls.exchange(new, destination):
            os.rename(destination, self._old)  # a kill between these two: see _recover
            os.rename(new, destination)

    def _rename_new(self, new: str) -> None:
        try:
            if syscalls.rename_new(new, self.destination):
                return
            if os.path.isdir(new):
                os.rename(new, self.destination)
            else:
                os.link(new, self.destination)
                os.unlink(new)
        except FileExistsError:
            raise self._appeared() from None

    def _appeared(self) -> DestinationError:
        return DestinationError(
            f"{self.destination!r} came into being during the run; run again with --force to "
            "replace it (force=True): what is finished is kept"
        )

    def _recover(self) -> None:
        """Finish or take back a commit that was killed."""
        marks = [line["commit"] for line in self._lines() if "commit" in line]
        if not marks:
            return
        if self._old.exists() and not os.path.lexists(self.destination):
            os.rename(self._old, self.destination)
            return
        try:
            committed = os.lstat(self.destination).st_ino == marks[-1]
        except FileNotFoundError:
            committed = False
        if committed:  # only the old data and the receipts are left here
            self.clear()

    # -- sweeping ------------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove everything in the workspace."""
        for name in os.listdir(self.path):
            _remove(self.path / name)

    def keep_only(self, files: set[str]) -> None:
        """Remove everything in `new` but the named files."""
        if not self.new.is_dir():
            return
        for name in os.listdir(self.new):
            if name not in files:
                _remove(self.new / name)

    def sweep(self) -> None:
        """Remove the workspace."""
        self.clear()
        os.rmdir(self.path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path)
    else:
        path.unlink()


def sync_directory(path: Path) -> None:
    """Names made or changed in the directory are on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview, offset: int | None) -> None:
    """Write every byte, at `offset` or where the descriptor stands, however few go at a time."""
    rest = memoryview(data)
    while rest:
        n = os.write(descriptor, rest) if offset is None else os.pwrite(descriptor, rest, offset)
        if n == 0:
            raise OSError(errno.EIO, "a write took no bytes")
        rest = rest[n:]
        if offset is not None:
            offset += n


def read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Fill the buffer from `offset`; the bytes read, fewer only at the end of the file."""
    done = 0
    while done < len(buffer):
        n = os.preadv(descriptor, [buffer[done:]], offset + done)
        if n == 0:
            break
        done += n
    return done


@contextmanager
def writing(path: Path, *, tensor: str | None = None, offset: int | None = None) -> Iterator[None]:
    """Turns an OSError of the block into a DestinationError that says where."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        raise _write_error(error, path, tensor, offset) from error


def _write_error(
    error: OSError, path: Path, tensor: str | None, offset: int | None
) -> DestinationError:
    where = f"{str(path)!r}"
    if tensor is not None:
        where += f", tensor {tensor!r}"
    if offset is not None:
        where += f", byte {offset}"
    hint = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "; free some space and run again"
    elif error.errno == errno.EFBIG:
        hint = "; the file system or `ulimit -f` allows no file of this size"
    reason = os.strerror(error.errno) if error.errno else str(error)
    failed = DestinationError(
        f"{where}: writing failed: {reason}{hint}. The destination was not touched"
    )
    failed.errno = error.errno
    return failed
