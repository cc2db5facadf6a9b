"""Which tensor gets which format: the first rule that matches decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate

from ..errors import CheckpointError
from ..formats import Format, lookup
from .protocol import TensorInfo


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
        Rule(glob='*.norm.weight', format=Format(name='float32', kind='float', bits=32, \
exponent_bits=8, mantissa_bits=23, bias=127, signed=True, infinity=True, nan='ieee', \
subnormals=True))
    """
    glob, _, format = text.rpartition("=")
    if not glob or not format:
        raise CheckpointError(f"a rule is GLOB=FORMAT, as in '*.norm.*=float32', not {text!r}")
    return Rule(glob, lookup(format, "files"))


@dataclass(frozen=True)
class Choice:
    """What the rules say of one tensor: the format it shall have, and the rule, if one did."""

    format: Format
    rule: Rule | None


def choose(
    tensors: Sequence[TensorInfo], to: Format, rules: Sequence[Rule]
) -> tuple[dict[str, Choice], list[str]]:
    """The format of every tensor, and a warning for each rule that decides nothing.

    The first rule in the list that matches a tensor's name decides, whatever the tensor's
    format: rules can change integers, bool and complex too. With no rule, floating tensors
    become `to` and all others stay.
    """
    patterns = [(rule, re.compile(translate(rule.glob))) for rule in rules]
    used = [0] * len(patterns)
    shadowed = [0] * len(patterns)
    choices: dict[str, Choice] = {}
    for tensor in tensors:
        chosen: Choice | None = None
        for index, (rule, pattern) in enumerate(patterns):
            if pattern.match(tensor.name) is None:
                continue
            if chosen is None:
                chosen = Choice(rule.format or tensor.format, rule)
                used[index] += 1
            else:
                shadowed[index] += 1
        if chosen is None:
            chosen = Choice(to if tensor.format.is_float else tensor.format, None)
        choices[tensor.name] = chosen
    warnings = []
    for index, (rule, _) in enumerate(patterns):
        if not used[index] and shadowed[index]:
            warnings.append(
                f"the rule {str(rule)!r} decides nothing: earlier rules match the same "
                f"{shadowed[index]} tensors first"
            )
        elif not used[index]:
            warnings.append(f"the rule {str(rule)!r} matches no tensor")
    return choices, warnings
