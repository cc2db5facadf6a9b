"""What a command says: lines for a person, or one JSON document for a program."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from .. import __version__
from ..report.document import Json, document, dump
from ..words.text import Line
from .terminal import screen, show, write


def emit(
    command: str,
    *,
    as_json: bool,
    body: Callable[[], Json],
    lines: Callable[[int | None], Iterable[Line]],
) -> None:
    """Prints one of the two to stdout; only that one is made.

    Args:
        command: its name, for the document.
        body: gives the document's members.
        lines: gives the lines for so many columns (None: as wide as it takes).
    """
    sys.stdout.flush()  # what the user's code printed stands before it
    if as_json:
        write(dump(document(command, body(), version=__version__)) + "\n")
    else:
        show(lines(screen(sys.stdout).width))
