"""A report as an HTML file, and a line on stderr that says where it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..words.text import line, safe
from ..words.units import human_bytes
from .terminal import show

if TYPE_CHECKING:
    from ..model.profile.result import Profile
    from ..model.trace.tracing import Trace


def refuse_others(path: Path | None) -> None:
    """Refuses a path where something else than a report stands, before the user's code runs."""
    if path is not None:
        from ..report.html.writing import check_destination

        check_destination(path)


def write_html(path: Path | None, seen: Trace | Profile, *, title: str) -> None:
    """Writes what was seen, as `tensorcast.write_report` does; no path: nothing."""
    if path is None:
        return
    from ..report.html.writing import write_report

    size = write_report(path, seen, title=title).stat().st_size
    show([line(f"report  {safe(str(path))} ({human_bytes(size)})")], sys.stderr)
