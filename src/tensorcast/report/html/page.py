"""The page: what Python writes as HTML, and what it hands to the script as data."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from ... import __version__
from ...model.profile.result import Profile
from ...model.trace.tracing import Trace
from .embedding import as_json, shown
from .finding_list import finding_list, is_cost
from .profile_part import profile_part
from .trace_part import trace_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...model.trace.findings import Finding

MAX_BYTES: Final = 500_000
BEGIN: Final = "<!doctype html>\n<!-- tensorcast report -->\n"
"""What every report begins with."""

_STYLES: Final = ("page.css", "parts.css", "pictures.css", "print.css")
_SCRIPTS: Final = (
    "elements.js", "theme.js", "tables.js", "timeline.js", "lines.js", "treemap.js", "sizes.js",
    "formats.js", "histogram.js", "ranges.js", "main.js",
)  # fmt: skip


def page(*seen: Trace | Profile, title: str = "") -> str:
    """A trace, a profile, or one of each as one HTML page that needs nothing else and asks no
    network.

    Raises:
        TypeError: it is of something else, or of nothing.
    """
    if not seen:
        raise TypeError("a report is of a trace, a profile or one of each; none was given")
    kinds = [Trace if isinstance(each, Trace) else type(each) for each in seen]
    if not set(kinds) <= {Trace, Profile} or len(set(kinds)) < len(kinds):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"a report is of a trace, a profile or one of each, not of {names}")
    found = [(finding, each) for each in seen for finding in each.findings]
    found.sort(key=lambda item: is_cost(item[0]))
    parts: dict[str, Any] = {"findings": len(found)}
    for each in seen:
        own = [(n, finding) for n, (finding, of) in enumerate(found) if of is each]
        if isinstance(each, Trace):
            parts["trace"] = trace_part(each, own)
        else:
            parts["profile"] = profile_part(each, own)
    title = shown(title or _title(parts))
    return _document(
        title,
        _body(title, [(finding, isinstance(of, Trace)) for finding, of in found], parts),
        as_json(parts),
    )


def _title(parts: dict[str, Any]) -> str:
    if "profile" in parts:
        return str(parts["profile"]["model"])
    return "trace" if "trace" in parts else "nothing"


def _body(title: str, findings: Sequence[tuple[Finding, bool]], parts: dict[str, Any]) -> str:
    sections = [("findings", "Findings", finding_list(findings))]
    if "profile" in parts:
        sections += [("sizes", "Sizes", ""), ("formats", "Formats", ""), ("ranges", "Ranges", "")]
    if "trace" in parts:
        sections += [("timeline", "Timeline", ""), ("lines", "By source line", "")]
    links = "".join(f'<a href="#{name}">{head}</a>' for name, head, _ in sections)
    drawn = "".join(
        f'<section id="{name}" aria-labelledby="{name}-head"><h2 id="{name}-head">{head}</h2>'
        f'{inner}</section>'
        for name, head, inner in sections
    )  # fmt: skip
    return (
        '<a class="skip" href="#main">Skip to the findings</a>'
        f'<header><div class="bar"><p class="made">tensorcast</p><nav aria-label="Sections">{links}'
        '</nav><div id="switch"></div></div>'
        f'<h1>{escape(title)}</h1><div id="figures"></div></header>'
        '<main id="main"><noscript><p class="note">Pictures and tables are drawn by the script in '
        "this file, which this browser does not run. The findings are complete.</p></noscript>"
        f"{drawn}</main>"
        f"<footer><p>Made by tensorcast {__version__}. Sizes are decimal: 1 kB is 1000 bytes. "
        "This file is complete in itself and asks no network.</p></footer>"
    )


def _document(title: str, body: str, data: str) -> str:
    style, script = _style(), _script()
    # scripts and styles run by their hashes alone; nothing is fetched and nothing is sent
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        f'{BEGIN}<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)} - tensorcast</title>\n<style>{style}</style>\n</head>\n"
        f'<body>{body}\n<script type="application/json" id="data">{data}</script>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _style() -> str:
    return "\n".join(_asset(name) for name in _STYLES)


@cache
def _script() -> str:
    body = "\n".join(_asset(name) for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{body}\n}})();\n'


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
