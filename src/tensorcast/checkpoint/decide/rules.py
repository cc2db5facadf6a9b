"""Which tensor gets which format: the first rule that matches decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate

from ...errors import CheckpointError, PolicyError
from ...formats import Format, lookup
from ...words.globs import unmatched
from ...words.units import plural
from ..files.strict_json import shortened
from ..protocol import Stored, TensorInfo


@dataclass(frozen=True)
class Rule:
    """Tensors whose name matches `glob` become `format`.

    Attributes:
        glob: a shell pattern over the whole name, case-sensitive; `*` spans dots too.
        format: the target, or None to keep the source's format.
    """

    glob: str
    format: Format | None

    def __str__(self) -> str:
        return f"{self.glob}={self.format}" if self.format else f"keep {self.glob}"


def parse_rule(text: str) -> Rule:
    """The rule that `GLOB=FORMAT` spells; the last "=" divides.

    Raises:
        CheckpointError: there is no "=", or nothing on one side of it.
        FormatError: no format has that name; the nearest are listed.

    Example:
        >>> parse_rule("*.norm.weight=float32")
        Rule(glob='*.norm.weight', format=Format('float32'))
    """
    glob, _, format = text.rpartition("=")
    if not glob or not format:
        raise CheckpointError(f"a rule is GLOB=FORMAT, as in '*[Nn]orm*=float32', not {text!r}")
    return Rule(glob, lookup(format, "files"))


Rules = Mapping[str, Format | str | None] | Sequence[Rule | str]
"""Globs and formats (None: the source's), or rules, or "GLOB=FORMAT" each."""


def as_rules(rules: Rules) -> list[Rule]:
    """The rules in their order.

    Raises:
        CheckpointError: one is none.
        FormatError: no format has that name.

    Example:
        >>> [str(rule) for rule in as_rules({"*norm*": "f32", "head": None})]
        ['*norm*=float32', 'keep head']
    """
    if isinstance(rules, Mapping):
        return [
            Rule(glob, None if format is None else lookup(format, "files"))
            for glob, format in rules.items()
        ]
    if isinstance(rules, str):
        rules = [rules]
    return [rule if isinstance(rule, Rule) else parse_rule(rule) for rule in rules]


@dataclass(frozen=True)
class Choice:
    """What the rules say of one tensor: what it shall be stored as, and the rule, if one did."""

    format: Stored
    rule: Rule | None


def choose(
    tensors: Sequence[TensorInfo], to: Format, rules: Sequence[Rule]
) -> tuple[dict[str, Choice], list[str]]:
    """The format of every tensor, and a warning for each rule that earlier ones make needless.

    The first rule in the list that matches a tensor's name decides, whatever the tensor's
    format: rules can change integers, bool and complex too. With no rule, floating tensors
    become `to` and all others stay.

    Raises:
        PolicyError: a rule matches no tensor, or earlier rules take all that it matches and make
            something else of them.
    """
    patterns = [(rule, re.compile(translate(rule.glob))) for rule in rules]
    matched = [0] * len(patterns)
    used = [0] * len(patterns)
    against: list[tuple[TensorInfo, Choice] | None] = [None] * len(patterns)
    choices: dict[str, Choice] = {}
    for tensor in tensors:
        chosen: Choice | None = None
        for index, (rule, pattern) in enumerate(patterns):
            if pattern.match(tensor.name) is None:
                continue
            matched[index] += 1
            wanted = rule.format or tensor.format
            if chosen is None:
                chosen = Choice(wanted, rule)
                used[index] += 1
            elif chosen.format != wanted and against[index] is None:
                against[index] = (tensor, chosen)
        if chosen is None:
            chosen = Choice(to if tensor.numbers.is_float else tensor.format, None)
        choices[tensor.name] = chosen
    warnings = []
    for index, (rule, _) in enumerate(patterns):
        if not matched[index]:
            raise PolicyError(unmatched(str(rule), rule.glob, (tensor.name for tensor in tensors)))
        if used[index]:
            continue
        conflict = against[index]
        if conflict is not None:
            tensor, first = conflict
            raise PolicyError(
                f"the rule {str(rule)!r} decides nothing: earlier rules take every tensor that it "
                f"matches, as {str(first.rule)!r} takes {shortened(tensor.name)}. The first rule "
                "that matches decides (keep= comes before rules=): put the narrower one first, or "
                "leave one out"
            )
        warnings.append(
            f"the rule {str(rule)!r} is not needed: earlier rules give its "
            f"{plural(matched[index], 'tensor')} the same format"
        )
    return choices, warnings
