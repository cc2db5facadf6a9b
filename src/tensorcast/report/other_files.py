"""What is said of a directory's files beside the weights that are converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..words.text import Span, safe, shorten

_NAMED: Final = 20  # of one reason
_LONG: Final = 100


def rows_of_files(
    unconverted: Mapping[str, str], skipped: Mapping[str, str], *, full: bool = False
) -> list[list[str | Span]]:
    """A row per reason: files that are copied though they hold tensors, and files left out.

    Args:
        unconverted, skipped: file -> reason.
        full: every name, however many there are.
    """
    rows: list[list[str | Span]] = []
    for head, files in (("copied as it is", unconverted), ("left out", skipped)):
        reasons: dict[str, list[str]] = {}
        for name, why in files.items():
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            shown = names if full else names[:_NAMED]
            said = [safe(name) if full else shorten(safe(name), _LONG) for name in shown]
            more = f" and {len(names) - len(shown)} more (--json has them all)"
            text = ", ".join(said) + (more if len(names) > len(shown) else "")
            rows.append([Span(head, "dim"), f"{text}: {safe(why)}"])
    return rows
