"""The page as a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DestinationError
from .page import BEGIN, page

if TYPE_CHECKING:
    from ...model.profile.result import Profile
    from ...model.trace.tracing import Trace


def write_report(path: str | os.PathLike[str], *seen: Trace | Profile, title: str = "") -> Path:
    """Writes what was seen as one HTML file that opens anywhere, without a network, and gives its
    path.

    The file is under 500 kB however long the trace was; what was left out is counted in it. It is
    written beside its place and renamed when it is complete.

    Args:
        path: the file. One that is there is replaced if it is such a report.
        *seen: a trace, a profile, or one of each.
        title: what the page is called; "": by what was seen.

    Raises:
        DestinationError: another file is there.
        TypeError: nothing is given, or something else than a trace or a profile.
        OSError: it cannot be written.

    Example:
        >>> import torch, tensorcast
        >>> with tensorcast.trace() as t:
        ...     y = torch.ones(1000).half().float()
        >>> tensorcast.write_report("report.html", t, title="a round trip").name
        'report.html'
    """
    path = Path(path)
    check_destination(path)
    text = page(*seen, title=title)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(file.fileno(), 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def check_destination(path: Path) -> None:
    """Refuses a path where something else stands, before there is work.

    Raises:
        DestinationError: another file or a directory is there, or the directory is not.
    """
    if path.is_dir():
        raise DestinationError(f"{path} is a directory; name a file in it: {path / 'report.html'}")
    if not path.parent.is_dir():
        raise DestinationError(f"{path}: there is no directory {path.parent}; make it first")
    if os.path.lexists(path):
        if not path.is_file():
            raise DestinationError(f"{path} is no regular file and is not replaced; name another")
        with open(path, "rb") as file:
            if file.read(len(BEGIN)) != BEGIN.encode():
                raise DestinationError(
                    f"{path} is no report of tensorcast and is not replaced; name another file"
                )
