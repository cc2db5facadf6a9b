"""A capability as HTML for a notebook: no script, no style sheet, the colours of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..words.html_table import as_html as as_table
from ..words.html_table import facts_as_html, listed, note, strong
from .wording import busy, heading, missing_of, tables

if TYPE_CHECKING:
    from .result import Capability


def as_html(capability: Capability) -> str:
    """What was measured on, the verdicts as a list, the tables, what is missing."""
    parts = [facts_as_html(heading(capability), "What each format gives on this machine")]
    if capability.was_busy:
        parts.append(strong(busy(capability)))
    parts.append(listed(capability.verdicts))
    for table in tables(capability):
        parts += [as_table(table), *map(note, table.notes)]
    missing = [(name.text, text.text) for name, text in missing_of(capability)]
    if missing:
        parts.append(facts_as_html(missing, "Not measured"))
    return "\n".join(parts)
