"""What to say of a shell pattern that matches no name: the names it may have meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

from .text import safe, shorten

_SHOWN: Final = 3
_WIDTH: Final = 80
_COMPARED: Final = 1000  # names; those of a model's layers count once
_BRACKET: Final = "[ begins a set of characters: write [[] for the character itself"
_LENGTH: Final = 200  # of a name, in the comparison


def unmatched(rule: str, glob: str, names: Iterable[str]) -> str:
    """The message for a rule whose pattern matches none of the names, with the nearest ones.

    Args:
        rule: the rule as the user knows it, for the message.
        glob: its pattern.
        names: of all tensors.

    Example:
        >>> unmatched("keep *norm*", "*norm*", ["layer.0.LayerNorm.bias", "layer.0.dense.bias"])
        "the rule 'keep *norm*' matches no tensor. Nearest: 'layer.0.LayerNorm.bias' (upper and \
lower case differ)"
    """
    near, why = nearest(glob, names)
    if not near:
        return f"the rule {rule!r} matches no tensor: there are no tensors"
    shown = ", ".join(repr(shorten(safe(name), _WIDTH)) for name in near)
    return f"the rule {rule!r} matches no tensor. Nearest: {shown}{f' ({why})' if why else ''}"


def nearest(glob: str, names: Iterable[str]) -> tuple[list[str], str]:
    """Up to three names near the pattern, and why it does not match them where that is plain."""
    distinct: dict[str, str] = {}  # layers that are alike inside count once
    for name in names:
        distinct.setdefault(re.sub(r"\d+", "0", name), name)
    pool = list(distinct.values())
    whole = "the pattern has to match the whole name: put * around it"
    literal = glob.replace("[", "[[]")
    for pattern, flags, why in (
        (literal, 0, _BRACKET),
        (glob, re.IGNORECASE, "upper and lower case differ"),
        (f"*{glob}*", 0, whole),
        (f"*{glob}*", re.IGNORECASE, f"upper and lower case differ, and {whole}"),
    ):
        compiled = re.compile(translate(pattern), flags)
        found = [name for name in pool if compiled.match(name)]
        if found:
            return found[:_SHOWN], why
    return _alike(glob, pool), _BRACKET if "[" in glob else ""


def _alike(glob: str, pool: list[str]) -> list[str]:
    """The names whose parts are spelled most like those of the pattern."""
    from difflib import SequenceMatcher

    wanted = [part for part in re.split(r"[*?.\[\]]+", glob.lower()[:_LENGTH]) if part]
    matcher = SequenceMatcher(autojunk=False)
    scores: list[tuple[float, int]] = []
    for index, name in enumerate(pool[:_COMPARED]):
        parts = [part for part in name.lower()[:_LENGTH].split(".") if part]
        score = 0.0
        for one in wanted:
            matcher.set_seq2(one)
            best = 0.0
            for part in parts:
                matcher.set_seq1(part)
                best = max(best, matcher.ratio())
            score += best
        scores.append((-score, index))
    return [pool[index] for _, index in sorted(scores)[:_SHOWN]]
