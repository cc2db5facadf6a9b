"""The temporary sibling of a destination: one writer, receipts, and the last rename.

Beside the destination `D` stands `.D.tensorcast-<hash>/` while a run is under way or can be
resumed: `new/` (the directory that becomes `D`, or that holds the file that does), `receipts`
(one JSON line per finished shard, believed by nobody: the shard is compared with its source), and
for a moment `old` where two names cannot be swapped in one step.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, Final

from ...errors import CheckpointError, CorruptFileError, DestinationError
from . import syscalls
from .regular_files import open_regular

VERSION: Final = 3
_MAX_RECEIPTS: Final = 1 << 26
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
        try:
            self._recover()
        except BaseException:
            os.close(self._descriptor)
            raise

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
                    os.mkdir(self.path, 0o700)  # nobody else may put files in the destination's way
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

    def resume(self, job: str) -> set[str]:
        """The files that an earlier run of the same job says it finished; of another job nothing
        is left.

        Args:
            job: the digest of everything that decides the bytes to write.
        """
        lines = self._lines()
        same = bool(lines) and lines[0] == {"tensorcast_receipts": VERSION, "job": job}
        if same and self.new.is_dir() and not self.new.is_symlink():
            return self.receipts()
        self.clear()
        self._append({"tensorcast_receipts": VERSION, "job": job})
        return set()

    def receipts(self) -> set[str]:
        """The files that there are receipts for, of whatever job."""
        files = (line.get("file") for line in self._lines())
        return {file for file in files if isinstance(file, str)}

    def add_receipt(self, file: str) -> None:
        """Record a finished shard; on disk when this returns."""
        self._append({"file": file})

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
        """What the receipts say, without a last line that was cut off. Nothing in them is sure."""
        try:
            descriptor = open_regular(self._receipts)
        except (OSError, CorruptFileError):
            return []
        with os.fdopen(descriptor, "rb") as file:
            text = file.read(_MAX_RECEIPTS)
        lines = []
        for line in text.split(b"\n"):
            try:
                members = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(members, dict):
                lines.append(members)
        return lines

    def commit(self, product: Path, *, check: Callable[[str], None]) -> None:
        """Make `product` the destination in one step.

        Args:
            product: `new`, or the file in it.
            check: raises a DestinationError if what stands at a path may not be replaced. It is
                asked about the destination at the last moment, and once more about what was
                there when the two were exchanged.

        Raises:
            DestinationError: something came to stand at the destination that may not be replaced,
                or the rename failed.
        """
        with writing(Path(self.destination)):
            self._append({"commit": os.stat(product).st_ino})
            sync_directory(self.path)
            self._publish(str(product), check)

    def sweep_after(self) -> None:
        """Remove what the destination replaced, and the workspace, when all is published.

        Raises:
            DestinationError: not all could be removed, or the system does not say that the new
                name is on disk.
        """
        try:
            sync_directory(self.path.parent)
        except OSError as error:
            raise DestinationError(
                f"{self.destination!r} is complete, but its directory could not be synced: "
                f"{error.strerror}; it may not outlive a power failure"
            ) from error
        try:
            self.sweep()
        except OSError as error:
            raise DestinationError(f"{self.destination!r} is complete, but {error}") from error

    def _publish(self, new: str, check: Callable[[str], None]) -> None:
        destination = self.destination
        if not os.path.lexists(destination):
            self._rename_new(new)
            return
        try:
            check(destination)
        except DestinationError as error:
            raise self._appeared(error) from None
        if syscalls.exchange(new, destination):
            try:
                if not os.path.islink(new):  # of a link only the link is lost
                    check(new)  # what the exchange took away, whoever put it there
            except DestinationError as error:
                syscalls.exchange(new, destination)
                raise self._appeared(error) from None
        elif os.path.isdir(new):
            os.rename(destination, self._old)  # a kill between these two: see _recover
            os.rename(new, destination)
        else:
            os.replace(new, destination)

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
            raise self._appeared(None) from None

    def _appeared(self, why: DestinationError | None) -> DestinationError:
        reason = why or "run again with force=True to replace it"
        return DestinationError(
            f"{self.destination!r} came into being during the run, or changed: {reason}; what is "
            "finished is kept"
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

    def clear(self) -> None:
        """Remove everything in the workspace.

        Raises:
            DestinationError: not all of it could be removed; says what is left.
        """
        self._remove(self.path / name for name in os.listdir(self.path))

    def keep_only(self, files: set[str]) -> None:
        """Remove everything in `new` but the named files and their folders."""
        if self.new.is_symlink() or not self.new.is_dir():
            return
        folders = {str(folder) for file in files for folder in PurePath(file).parents}
        useless: list[Path] = []
        for place, names, others in os.walk(self.new):
            where = Path(place).relative_to(self.new)
            kept = [name for name in names if str(where / name) in folders]
            links = [name for name in kept if Path(place, name).is_symlink()]
            names[:] = [name for name in kept if name not in links]
            useless += [Path(place, name) for name in {*os.listdir(place)} - {*names, *others}]
            useless += [Path(place, name) for name in others if str(where / name) not in files]
        self._remove(useless)

    def sweep(self) -> None:
        """Remove the workspace.

        Raises:
            DestinationError: as `clear`.
        """
        self.clear()
        os.rmdir(self.path)

    def _remove(self, paths: Iterable[Path]) -> None:
        failed: list[OSError] = []
        for path in paths:
            _remove(path, failed)
        if failed:
            shown = [f"{error.filename!r}: {error.strerror}" for error in failed[:3]]
            more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
            raise DestinationError(
                f"old data could not be removed ({', '.join(shown)}{more}); remove "
                f"{str(self.path)!r} by hand"
            )


def _remove(path: Path, failed: list[OSError]) -> None:
    """Remove a file, or a directory with all that can be removed in it."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        names = os.listdir(path)
    except OSError as error:
        failed.append(error)
        return
    before = len(failed)
    for name in names:
        _remove(path / name, failed)
    if len(failed) == before:  # else it is not empty, which says nothing new
        try:
            path.rmdir()
        except OSError as error:
            failed.append(error)


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
