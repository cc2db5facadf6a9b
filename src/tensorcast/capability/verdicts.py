"""What the numbers say to somebody who chooses a format; silent where noise could say it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import TYPE_CHECKING, Final, Literal

from ..words.units import relative
from .data import BASELINE, CastMeasurement, Measurement, Ratio, ratio_of

if TYPE_CHECKING:
    from .result import Capability

State = Literal["faster", "slower", "alike", "unclear"]

TITLES: Final = {"numpy": "NumPy", "tensorflow": "TensorFlow", "jax": "JAX"}

_WORTH: Final = 1.1  # a smaller difference is not worth a word
_ALIKE: Final = 1.25  # the whole interval within it: as fast
_TOLD: Final = ("bfloat16", "float16", "tf32", "float8_e4m3fn", "int8", "float64")  # in this order
# what a model is moved to without further thought, the first of equals first
_ADVISED: Final = (BASELINE, "bfloat16", "float16", "tf32")


@dataclass(frozen=True)
class FormatComparison:
    """A format beside float32 at one size."""

    case: str
    ratio: Ratio

    @property
    def state(self) -> State:
        """What may be said of it."""
        r = self.ratio
        if r.low > 1 and r.median >= _WORTH:
            return "faster"
        if r.high < 1 and r.median <= 1 / _WORTH:
            return "slower"
        return "alike" if r.low > 1 / _ALIKE and r.high < _ALIKE else "unclear"


def verdicts_of(capability: Capability) -> tuple[str, ...]:
    """What to use, a sentence per operation, one per library of casts."""
    device = "GPU" if capability.machine.device == "cuda" else "CPU"
    operations = dict.fromkeys(m.operation for m in capability.measurements)
    found = [operation_verdict(capability.find(name), device) for name in operations]
    found = [_summary(capability, device), *found, *_cast_verdicts(capability)]
    return tuple(text for text in found if text)


def _summary(capability: Capability, device: str) -> str:
    """What to use for what, at the largest sizes; empty for a single operation."""
    uses: dict[str, list[str]] = {}
    for operation in dict.fromkeys(m.operation for m in capability.measurements):
        measurements = capability.find(operation)
        if any(m.format == BASELINE for m in measurements):
            uses.setdefault(_best(measurements, measurements[-1].case), []).append(operation)
    if sum(map(len, uses.values())) < 2:
        return ""
    if len(uses) == 1:
        return f"on this {device} use {next(iter(uses))}"
    ranked = sorted(uses.items(), key=lambda item: _ADVISED.index(item[0]) or len(_ADVISED))
    texts = [f"{name} for {_listed(operations)}" for name, operations in ranked]
    return f"on this {device} use {', '.join(texts)}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def operation_verdict(measurements: Sequence[Measurement], device: str) -> str:
    """One operation's sentence; empty without float32 to compare with."""
    if not any(m.format == BASELINE for m in measurements):
        return ""
    operation = measurements[0].operation
    told, silent = [], []
    for name, way in sorted({(m.format, m.way): None for m in measurements}, key=_rank):
        compared = comparisons(measurements, name, way)
        if (name, way) == (BASELINE, "") or not compared:
            continue
        label = label_of(name, way)
        phrases = phrases_of(compared)
        if phrases:
            told.append((label, phrases))
        else:
            silent.append(label)
    clauses = [_clause(label, phrases) for label, phrases in told]
    if told:
        (label, ((amount, where), *others)), *_ = told
        than = "as" if amount == "as fast" else "than"
        compared_with = f"{amount} {than} {BASELINE} on this {device}"
        clauses[0] = _clause(f"{label} {operation} is", [(compared_with, where), *others])
        if silent:
            clauses.append(f"{', '.join(silent)} within the noise")
    else:
        clauses = [f"{operation}: no format differs from {BASELINE} by more than the noise"]
    return "; ".join([*clauses, _advice(measurements)])


def label_of(format: str, way: str) -> str:
    """The format, and the way in brackets."""
    return f"{format} ({way})" if way else format


def _rank(way: tuple[str, str]) -> int:
    return _TOLD.index(way[0]) if way[0] in _TOLD else len(_TOLD)


def _clause(label: str, phrases: Sequence[tuple[str, str]]) -> str:
    return f"{label} {', '.join(' '.join(filter(None, phrase)) for phrase in phrases)}"


def comparisons(
    measurements: Sequence[Measurement], format: str, way: str
) -> list[FormatComparison]:
    """The format's way beside plain float32, at each size that has both."""
    found = []
    for case in dict.fromkeys(m.case for m in measurements):
        at = [m for m in measurements if m.case == case]
        ours = next((m for m in at if (m.format, m.way) == (format, way)), None)
        base = next((m for m in at if (m.format, m.way) == (BASELINE, "")), None)
        if ours is not None and base is not None:
            found.append(FormatComparison(case, ours.speedup(base)))
    return found


def phrases_of(compared: Sequence[FormatComparison]) -> list[tuple[str, str]]:
    """(how much, where) of each thing to say, the largest sizes first; none if all is noise.

    Example:
        >>> phrases_of([FormatComparison("M=1", Ratio(0.5, 0.48, 0.52)),
        ...             FormatComparison("M=64", Ratio(4.0, 3.9, 4.1)),
        ...             FormatComparison("M=1024", Ratio(4.2, 4.1, 4.3))])
        [('4.1 times faster', 'from M=64'), ('2 times slower', 'at M=1')]
    """
    states: dict[State, list[FormatComparison]] = {}
    for comparison in compared:
        states.setdefault(comparison.state, []).append(comparison)
    unclear = states.pop("unclear", [])
    if len(states) == 1 and not unclear:
        ((state, members),) = states.items()
        return [(_amount(state, members), "")]
    order = list(compared)
    ranked = sorted(states.items(), key=lambda item: -order.index(item[1][-1]))
    return [(_amount(state, members), _where(members, order)) for state, members in ranked]


def _amount(state: State, members: Sequence[FormatComparison]) -> str:
    if state == "alike":
        return "as fast"
    factors = [c.ratio.median if state == "faster" else 1 / c.ratio.median for c in members]
    low, high = min(factors), max(factors)
    if high < 1.5 * low:
        mean = exp(sum(map(log, factors)) / len(factors))
        return f"{factor(mean)} times {state}"
    return f"{factor(low)} to {factor(high)} times {state}"


def factor(value: float) -> str:
    """A factor as one says it.

    Example:
        >>> factor(1.34), factor(3.98), factor(162.4)
        ('1.3', '4', '160')
    """
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.0f}" if value < 99.5 else f"{float(f'{value:.2g}'):.0f}"


def _where(members: Sequence[FormatComparison], order: Sequence[FormatComparison]) -> str:
    """ "from M=64", "up to M=64", "at M=64"."""
    if len(members) > 1 and list(members) == list(order[-len(members) :]):
        return f"from {members[0].case}"
    if len(members) > 1 and list(members) == list(order[: len(members)]):
        return f"up to {members[-1].case}"
    return "at " + " and ".join(member.case for member in members)


def _advice(measurements: Sequence[Measurement]) -> str:
    """What to use: the fastest of the formats a model is moved to without further thought, and
    what is faster still and costs more of the values."""
    cases = list(dict.fromkeys(m.case for m in measurements))
    best = {case: _best(measurements, case) for case in cases}
    last = best[cases[-1]]
    parts = [f"use {last}"]
    for name in dict.fromkeys(best.values()):
        if name != last:
            parts.append(f"{name} at {_listed([case for case in cases if best[case] == name])}")
    at_last = [m for m in measurements if m.case == cases[-1]]
    chosen = next(m for m in at_last if (m.format, m.way) == (last, ""))
    faster = [
        m
        for m in at_last
        if m.format not in (*_ADVISED, "float64")
        and FormatComparison("", m.speedup(chosen)).state == "faster"
    ]
    if faster:
        m = min(faster, key=lambda m: m.seconds.median)
        error, times = relative(m.relative_error), factor(m.speedup(chosen).median)
        label = label_of(m.format, m.way)
        parts.append(f"or {label}, {times} times faster, where an error of {error} will do")
    return ", ".join(parts)


def _best(measurements: Sequence[Measurement], case: str) -> str:
    chosen, ahead = BASELINE, 1.0
    for name in _ADVISED[1:]:
        for comparison in comparisons([m for m in measurements if m.case == case], name, ""):
            if comparison.state == "faster" and comparison.ratio.median > ahead * _WORTH:
                chosen, ahead = name, comparison.ratio.median
    return chosen


def _ours_beside(ours: CastMeasurement, theirs: CastMeasurement) -> Ratio:
    r = theirs.beside_ours
    if r is None:
        return ratio_of(ours.seconds, theirs.seconds)
    return Ratio(1 / r.median, 1 / r.high, 1 / r.low)


def _cast_verdicts(capability: Capability) -> list[str]:
    """How tensorcast's casts stand beside each library's, new memory for everyone."""
    casts = [c for c in capability.casts if c.into == "new"]
    ours = {(c.source, c.target): c for c in casts if c.library == "tensorcast"}
    texts = []
    for library in dict.fromkeys(c.library for c in casts if c.library != "tensorcast"):
        theirs = [c for c in casts if c.library == library and (c.source, c.target) in ours]
        compared = [
            FormatComparison(f"{c.source} -> {c.target}", _ours_beside(ours[c.source, c.target], c))
            for c in theirs
        ]
        states: dict[State, list[FormatComparison]] = {}
        for comparison in compared:
            states.setdefault(comparison.state, []).append(comparison)
        n = len(compared)
        parts = []
        told: tuple[State, ...] = ("faster", "slower")
        for state in told:
            members = states.get(state, [])
            if members:
                which = f" ({', '.join(c.case for c in members)})" if len(members) <= 2 else ""
                parts.append(f"{_amount(state, members)} in {len(members)} of {n}{which}")
        if "alike" in states:
            parts.append(f"as fast in {len(states['alike'])}")
        if "unclear" in states:
            parts.append(f"within the noise in {len(states['unclear'])}")
        differing = [c for c in theirs if c.n_different]
        if differing:
            names = ", ".join(f"{c.source} -> {c.target}" for c in differing)
            parts.append(f"other results in {names}")
        texts.append(
            f"casts of tensorcast beside {TITLES.get(library, library)}'s: {'; '.join(parts)}"
        )
    return texts
