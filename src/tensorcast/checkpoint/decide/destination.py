"""Whether a job may write where it wants to, found out before the first byte."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import DestinationError
from ..store.replaceable import obstacle
from .job import Job

_MARGIN_BYTES = 1 << 20


def check_place(job: Job) -> None:
    """The destination is none of the source's own places, and its parent is there.

    Raises:
        DestinationError: source and destination are the same, or one lies in the other, or
            the destination's directory is missing.
    """
    source, destination = Path(job.source), Path(job.destination)
    parent = destination.parent
    if parent.exists() and not parent.is_dir():
        raise DestinationError(
            f"{str(destination)!r}: {str(parent)!r} is no directory; name another destination"
        )
    if not parent.is_dir():
        raise DestinationError(
            f"{str(destination)!r}: its directory {str(parent)!r} does not exist; create it first"
        )
    real_source = Path(os.path.realpath(source))
    real = Path(os.path.realpath(destination))
    placed = Path(os.path.realpath(parent)) / destination.name  # a link there would be replaced
    same = real == real_source or placed == real_source
    if same or (destination.exists() and os.path.samefile(source, destination)):
        raise DestinationError(
            f"source and destination are the same, {str(real_source)!r}; name another destination"
        )
    if source.is_dir() and (real.is_relative_to(real_source) or placed.is_relative_to(real_source)):
        raise DestinationError(
            f"the destination {str(destination)!r} lies inside the source {str(source)!r}; "
            "name one outside"
        )
    for file in job.files:
        for place in (job.root / file.name, Path(os.path.realpath(job.root / file.name))):
            if place.is_relative_to(real) or place.is_relative_to(placed):
                raise DestinationError(
                    f"the source's file {str(place)!r} lies inside the destination "
                    f"{str(destination)!r}, which would be replaced; name another destination"
                )


def check_replaceable(job: Job, place: str | None = None, *, force: bool) -> None:
    """The destination is absent, or may be replaced.

    Args:
        place: where that what may be replaced stands now; None: at the destination.
        force: whether it may be replaced at all.

    Raises:
        DestinationError: it exists without `force`, or it is nothing that even a forced run
            may replace.
    """
    destination = job.destination
    place = destination if place is None else place
    if not os.path.lexists(place):
        return
    written = {*(shard.file for shard in job.shards), *job.texts, *job.extra_files}
    reason = obstacle(place, directory=job.directory, written=written)
    if reason is not None:
        raise DestinationError(
            f"{destination!r} {reason}. It is not replaced; name another destination, or remove "
            "it first"
        )
    if not force:
        raise DestinationError(f"{destination!r} exists; pass force=True to replace it")


def space(job: Job) -> tuple[int, int | None]:
    """Bytes the whole destination takes, and bytes free for it (None: the system does not say)."""
    extra = sum(os.path.getsize(job.root / name) for name in job.extra_files)
    texts = sum(len(text.encode()) for text in job.texts.values())
    n_files = len(job.shards) + len(job.extra_files) + len(job.texts)
    needed = job.n_bytes_written + extra + texts + n_files * 4096 + _MARGIN_BYTES
    status = os.statvfs(os.path.dirname(job.destination))
    return needed, status.f_bavail * status.f_frsize if status.f_blocks else None


def check_space(job: Job, *, n_bytes_there: int) -> None:
    """The file system has room for what is still to be written.

    Args:
        n_bytes_there: bytes of the job's files that stand in the workspace already.

    Raises:
        DestinationError: it has not; says how much is needed and how much is free.
    """
    needed, free = space(job)
    needed -= n_bytes_there
    if free is not None and free < needed:
        raise DestinationError(
            f"too little space for {job.destination!r}: {needed:,} bytes are needed and "
            f"{free:,} are free on the file system of {os.path.dirname(job.destination)!r}; "
            "nothing was written"
        )
