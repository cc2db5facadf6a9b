"""A profile in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from tensorcast.words.text import plain

from .profile_text import lines

if TYPE_CHECKING:
    from .profile_data import Profile


def as_html(profile: Profile) -> str:
    """The text, escaped."""
    text = "\n".join(plain(line) for line in lines(profile, width=None))
    return f"<pre>{escape(text)}</pre>"
