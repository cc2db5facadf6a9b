"""The findings as HTML: they stand in the page itself, for readers without scripts too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from ...model.trace.findings import WRONG
from ...words.units import count, human_bytes, plural, short_time
from .embedding import MAX_SENTENCE, short_path, shown

if TYPE_CHECKING:
    from ...model.trace.findings import Finding
    from ...model.watch.places import Place

MAX_BYTES: Final = 70_000
_LABELS: Final = {
    "raised": "failed",
    "nan": "not a number",
    "infinite": "infinite values",
    "wide": "wider than needed",
    "kept": "kept alive",
    "unread": "never read",
}
_OPEN: Final = 12
"""Findings that are not folded away."""


def is_cost(finding: Finding) -> bool:
    """Whether a finding is of cost; those of wrong values come first."""
    return finding.rule not in WRONG


def finding_list(findings: Sequence[tuple[Finding, bool]]) -> str:
    """Each with what, where, what it costs, what to write instead and what that saves.

    Args:
        findings: each with whether it is a trace's, whose bytes were moved; a profile's are held.
    """
    if not findings:
        return '<p class="clean">No findings.</p>'
    items: list[str] = []
    used = 0
    for number, (finding, traced) in enumerate(findings, 1):
        item = _item(number, finding, traced)
        used += len(item.encode())
        if used > MAX_BYTES:
            break
        items.append(item)
    left = len(findings) - len(items)
    note = f'<p class="note">{plural(left, "cheaper finding")} left out; --json has all.</p>'
    first, more = "".join(items[:_OPEN]), "".join(items[_OPEN:])
    folded = (
        f"<details><summary>{plural(len(items) - _OPEN, 'more finding')}</summary>"
        f'<ol class="findings" start="{_OPEN + 1}">{more}</ol></details>'
    )
    return f'<ol class="findings">{first}</ol>{folded if more else ""}{note if left else ""}'


def _item(number: int, finding: Finding, traced: bool) -> str:
    wrong = not is_cost(finding)
    figures = []
    if traced:
        figures.append((count(finding.count), "time" if finding.count == 1 else "times"))
    if finding.n_bytes:
        figures.append((human_bytes(finding.n_bytes), "moved" if traced else "held"))
    if finding.seconds:
        figures.append((short_time(finding.seconds), "measured"))
    advice = [("Instead", finding.instead), ("Saves", finding.saves)]
    rows = "".join(
        f"<dt>{head}</dt><dd>{escape(shown(text, MAX_SENTENCE))}</dd>"
        for head, text in advice
        if text
    )
    return (
        f'<li class="finding{" wrong" if wrong else ""}" id="finding-{number}" tabindex="-1">'
        f'<div class="what"><h3><span class="rule"><a href="#finding-{number}">{number}</a> '
        f"{escape(_label(finding.rule, traced))}</span> "
        f"{escape(shown(finding.what, MAX_SENTENCE))}</h3>"
        f"{_places(finding)}</div>"
        f'<dl class="cost">{"".join(_figure(*each) for each in figures)}</dl>'
        f'<dl class="advice">{rows}</dl></li>'
    )


def _label(rule: str, traced: bool) -> str:
    """What kind of finding it is, in words."""
    if rule == "overflow":
        return "wrong values" if traced else "would overflow"
    if rule == "underflow":
        return "lost values"
    return _LABELS.get(rule, rule.replace("-", " "))


def _figure(value: str, name: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _places(finding: Finding) -> str:
    parts: list[str] = []
    # the user's own line first: that is where the change goes
    own = finding.called_from or finding.where
    if own is not None:
        code = f" <code>{escape(shown(own.text))}</code>" if own.text else ""
        parts.append(f'<p class="at">{_place(own)}{code}</p>')
    if finding.called_from is not None and finding.where is not None:
        parts.append(f'<p class="within">reaches {_place(finding.where)}</p>')
    names = finding.parameter.split(", ") if finding.parameter else []
    if finding.module and not all(name.startswith(f"{finding.module}.") for name in names or [""]):
        parts.append(f'<p class="within">in <b>{escape(shown(finding.module))}</b></p>')
    if names:
        parts.append(_names(names, "buffer" if "buffers are" in finding.what else "parameter"))
    return "".join(parts)


def _place(place: Place) -> str:
    path = shown(short_path(place.file, os.getcwd()))
    return f'<span class="place">{escape(path)}:{place.line}</span>'


def _names(names: Sequence[str], noun: str, most: int = 200) -> str:
    if len(names) <= 2:
        return f'<p class="within">of {_listed(names)}</p>'
    left = f" and {len(names) - most:,} more" if len(names) > most else ""
    return (
        f"<details><summary>of {plural(len(names), noun)}</summary>"
        f'<p class="names">{_listed(names[:most])}{left}</p></details>'
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"<b>{escape(shown(name))}</b>" for name in names)
