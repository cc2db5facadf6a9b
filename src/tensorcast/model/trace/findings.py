"""What of a trace is worth a change: a rule each, with what to write instead and what it saves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Final

from ...core.refusal import format_that_holds
from ...formats import FORMATS
from ...words.summary import brief
from ...words.units import human_bytes, plural, short_time
from ..watch.places import Place
from .sites import Site

WRONG: Final = ("raised", "nan", "infinite", "overflow", "underflow")
"""The rules of findings whose values are wrong, the worst first; the others cost."""

_TOLD_BYTES: Final = 1000


@dataclass(frozen=True)
class Finding:
    """One thing to change.

    Attributes:
        rule: its name; of a trace: repeated-cast, round-trip, new-float64, transfer,
            synchronisation, index-cast, overflow, underflow, built-wide, moved-wide; of a profile:
            raised, nan, infinite, overflow, float64, wide, kept, unread.
        what: what happens, in a phrase.
        where, called_from: the line, and the user's own where that one is a package's.
        module, parameter: see `sites.What`.
        count: how many times.
        n_bytes: read and written by it; of a profile, the memory it takes.
        seconds: measured in it; 0.0 where it is not apart from other work.
        instead: what to write.
        saves: what that saves.
    """

    rule: str
    what: str
    where: Place | None
    called_from: Place | None
    module: str
    parameter: str
    count: int
    n_bytes: int
    seconds: float
    instead: str
    saves: str

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON's own types."""
        return asdict(self)

    def __repr__(self) -> str:
        return brief(self, self.headline, self.place)

    def __str__(self) -> str:
        """The headline, then the lines below it."""
        lines = [f"  {head:8}{text}" for head, text in self.details]
        return "\n".join([self.headline, *lines])

    @property
    def headline(self) -> str:
        """What, and how often where that is more than once."""
        return self.what if self.count == 1 else f"{self.what} ({self.count:,} times)"

    @property
    def place(self) -> str:
        """Where, in the user's terms: the line, who called it, the module."""
        parts = [str(self.where)] if self.where is not None else []
        if self.called_from is not None:
            parts.append(f"called from {self.called_from}")
        if self.module:
            parts.append(f"in {self.module}")
        return ", ".join(parts)

    @property
    def names(self) -> str:
        """The parameters, the first three by name."""
        names = self.parameter.split(", ") if self.parameter else []
        if len(names) <= 3:
            return ", ".join(names)
        return f"{', '.join(names[:3])} and {len(names) - 3} more"

    @property
    def details(self) -> tuple[tuple[str, str], ...]:
        """(head, text) of each line below the headline: where, the code, whose, the way out."""
        lines = [
            ("at", self.place),
            ("", self.where.text if self.where is not None else ""),
            ("of", self.names),
            ("instead", self.instead),
            ("saves", self.saves),
        ]
        return tuple((head, text) for head, text in lines if text)


def findings_of(sites: Iterable[Site]) -> tuple[Finding, ...]:
    """The findings: wrong values first, then the most expensive, by seconds and bytes.

    What is alike but for the parameter is one finding; parameters cast again one for all the lines
    under the user's one. The conversions of a backward pass follow
    from those of the forward: of them, and of what torch's own optimizers and scalers do with a
    single number, only values that are lost are reported.
    """
    found: dict[tuple[object, ...], Finding] = {}
    for site in sites:
        follows = site.what.phase != "forward" or site.is_torchs_own
        overflows = False
        for rule in _LOST if follows else _RULES:
            finding = rule(site)
            if finding is None:
                continue
            if overflows and rule not in _LOST:
                break
            where: object = (finding.where, finding.called_from)
            if finding.rule == "repeated-cast" and finding.parameter:
                where = finding.called_from or finding.where  # one for all the lines of a model
            key = (finding.rule, finding.what, where, finding.instead)
            before = found.get(key)
            found[key] = finding if before is None else _joined(before, finding)
            if rule is not _overflow:  # values may become 0 there as well
                break
            overflows = True
    return tuple(sorted(found.values(), key=_order))


def _order(finding: Finding) -> tuple[bool, float, int]:
    return finding.rule not in WRONG, -finding.seconds, -finding.n_bytes


def _joined(a: Finding, b: Finding) -> Finding:
    count, n_bytes, seconds = a.count + b.count, a.n_bytes + b.n_bytes, a.seconds + b.seconds
    module = a.module if a.module == b.module else _common(a.module, b.module)
    parameters = dict.fromkeys(name for each in (a, b) for name in each.parameter.split(", "))
    names = ", ".join(name for name in parameters if name)
    saves = _saved(a.rule, seconds, n_bytes) if n_bytes else a.saves
    return replace(
        a, module=module, parameter=names, count=count, n_bytes=n_bytes, seconds=seconds,
        saves=saves,
    )  # fmt: skip


def _common(a: str, b: str) -> str:
    """What two paths of modules begin with."""
    parts = []
    for left, right in zip(a.split("."), b.split("."), strict=False):
        if left != right:
            break
        parts.append(left)
    return ".".join(parts)


def _finding(site: Site, rule: str, what: str, instead: str, share: float = 1.0) -> Finding:
    n_bytes = round((site.n_bytes_read + site.n_bytes_written) * share)
    seconds = site.seconds * share
    at = site.what
    return Finding(
        rule, what, at.place, at.called_from, at.module, at.parameter, round(site.count * share),
        n_bytes, seconds, instead, _saved(rule, seconds, n_bytes),
    )  # fmt: skip


def _saved(rule: str, seconds: float, n_bytes: int) -> str:
    """What a change saves: nothing where it is values that are wrong, or a few bytes alone."""
    if rule in WRONG or (not seconds and n_bytes < _TOLD_BYTES):
        return ""
    moved = f"{human_bytes(n_bytes)} of memory traffic" if n_bytes else ""
    return " and ".join(filter(None, (short_time(seconds) if seconds else "", moved)))


def _overflow(site: Site) -> Finding | None:
    if not site.n_overflow:
        return None
    at = site.what
    what = (
        f"{plural(site.n_overflow, 'value lies', 'values lie')} outside {at.target} "
        f"(largest {site.largest:.6g}), and the cast gives other values for them"
    )
    target, source = FORMATS.get(at.target), FORMATS.get(at.source)
    row = source
    if target is not None and isfinite(site.largest):
        whole = source is not None and source.is_integer
        row = format_that_holds(target, -site.largest, site.largest, whole=whole) or source
    holds = row.name if row else at.source
    return _finding(
        site, "overflow", what, f"cast to {holds}, which holds them, or scale before the cast"
    )


def _underflow(site: Site) -> Finding | None:
    """Floats that become 0: more than 1% of them, as a profile says; of what becomes integers,
    where fractions are meant to go, more than half."""
    at = site.what
    share = 0.01 if _is_float(at.target) else 0.5
    if site.n_underflow <= share * site.n_looked_at:
        return None
    what = f"{site.n_underflow:,} of {site.n_looked_at:,} values become 0 in {at.target}"
    holds = (
        "bfloat16 or float32, which hold" if at.target == "float16" else f"{at.source}, which holds"
    )
    instead = f"scale before the cast, or use {holds} them"
    if at.phase == "backward":
        instead = f"scale the loss (torch.amp.GradScaler), or use {holds} them"
    return _finding(site, "underflow", what, instead)


def _round_trip(site: Site) -> Finding | None:
    if not site.n_returned:
        return None
    at = site.what
    if at.kind == "transfer":
        seen = "was seen to change it" if site.n_unchecked else "changed"
        what = f"{at.target_device} -> {site.through} -> {at.target_device} and nothing {seen}"
        instead = f"keep the tensor on {at.target_device}; .clone() where a copy is meant"
    else:
        seen = "seen " if site.n_unchecked else ""
        what = f"{at.target} -> {site.through} -> {at.target} with nothing {seen}in between"
        instead = (
            f"keep the {at.target} tensor, unless {site.through} is meant to change the values: to "
            "round them, end them at its range or make them 0"
            if _is_narrower(site.through, at.target)
            else f"keep the {at.target} tensor: {site.through} and back changes no value"
        )
    finding = _finding(site, "round-trip", what, instead, site.n_returned / site.count)
    n_bytes = finding.n_bytes * 2  # there and back
    seconds = finding.seconds * 2
    return replace(
        finding, n_bytes=n_bytes, seconds=seconds, saves=_saved(finding.rule, seconds, n_bytes)
    )


def _repeated(site: Site) -> Finding | None:
    at = site.what
    if not site.n_repeated:
        return None
    noun = "buffers" if at.is_buffer else "parameters"
    what = f"{noun} are cast to {at.target} again, unchanged since the last time"
    instead = f"cast them once, before the loop: model.to(torch.{at.target}), or the modules that "
    instead += "take it"
    if at.is_buffer:
        instead = f"keep them in {at.target}, or keep the result"
    if not at.parameter:
        what = f"the same {at.source} data is cast to {at.target} again, unchanged"
        instead = "cast it once and keep the result"
    if site.n_unchecked:
        what = f"{noun if at.parameter else f'{at.source} data'} are cast to {at.target} again; "
        what = what.replace("data are", "data is")
        what += "whether the values changed was not checked"
        instead = f"if nothing writes to them in between, {instead}"
    return _finding(site, "repeated-cast", what, instead, site.n_repeated / site.count)


def _built_wide(site: Site) -> Finding | None:
    at = site.what
    if not site.n_new or _is_float(at.source) != _is_float(at.target):
        return None  # fractions are cut off: no other way to write that
    return _finding(
        site,
        "built-wide",
        f"made as {at.source}, then cast to {at.target}",
        f"make it {at.target} at once: dtype=torch.{at.target}, or NumPy's .astype before",
        site.n_new / site.count,
    )


def _new_float64(site: Site) -> Finding | None:
    at = site.what
    widened = at.kind in ("promotion", "cast") and at.target == "float64"
    if not widened or at.source == "float64":
        return None
    how = "an operand of float64 makes" if at.kind == "promotion" else "a cast makes"
    is_whole = not _is_float(at.source)
    instead = f"make the float64 operand {at.source}"
    if is_whole:
        instead = "make the float64 operand float32, where 24 bits are enough for the integers"
    if at.kind == "cast":
        instead = f"stay in {at.source}"
        if is_whole:
            instead = "cast to float32, where 24 bits are enough for the integers"
    return _finding(site, "new-float64", f"{how} {at.source} values float64", instead)


def _index_cast(site: Site) -> Finding | None:
    at = site.what
    if not site.n_indexing or at.kind != "cast":
        return None
    if site.count < 2 and not at.module:
        return None  # once, before the work
    return _finding(
        site,
        "index-cast",
        f"{at.source} indices are cast to {at.target} each time",
        f"store them as {at.target} once, or leave them: embedding and index take int32",
    )


def _transfer(site: Site) -> Finding | None:
    at = site.what
    if at.kind != "transfer" or not at.module:
        return None
    if at.op == "Tensor.cpu":
        what = "a .cpu() inside forward: free here, a wait and a copy on a GPU"
        finding = _finding(site, "transfer", what, "leave the tensor where the module is")
        return replace(finding, saves="a wait and a copy each time, on a GPU")
    what = f"{at.source_device} -> {at.target_device} inside forward"
    return _finding(site, "transfer", what, "move the data before the forward, or the module")


def _moved_wide(site: Site) -> Finding | None:
    if not site.n_moved_wide:
        return None
    at = site.what
    return _finding(
        site,
        "moved-wide",
        f"moved to {at.source_device} as {at.source}, then cast to {at.target}",
        f"tensorcast.cast(x, torch.{at.target}, device={at.source_device!r}) casts before the trip",
        site.n_moved_wide / site.count,
    )


def _synchronisation(site: Site) -> Finding | None:
    at = site.what
    if at.kind != "synchronisation":
        return None
    if at.source_device == "cpu" and (not at.module or at.within):
        return None  # costs nothing here, and what torch itself reads is not the user's to change
    where = f"on {at.source_device} " if at.source_device != "cpu" else ""
    inside = " inside forward" if at.module else ""
    if at.target == "shape":
        name = at.op.removeprefix("aten::").split(".")[0]
        name = "a mask as an index" if name == "index" else f"{name.strip('_')}()"
        what = f"{name} {where}has a shape that depends on values{inside}: a GPU waits for it"
        instead = "torch.where, or a product with the mask, keeps the shape"
        return _finding(site, "synchronisation", what, instead)
    name = at.op.removeprefix("Tensor.").removeprefix("aten::")
    what = f"{_HANDS_OVER.get(name, f'.{name}()')} {where}hands values to Python{inside}"
    instead = "keep the value a tensor, or read it once after the loop"
    return _finding(site, "synchronisation", what, instead)


_HANDS_OVER: Final = {
    "__bool__": "a truth value (if, while, and, not)",
    "__int__": "int()",
    "__float__": "float()",
    "__complex__": "complex()",
    "__index__": "an index",
    "__getitem__": "an index",
    "__contains__": "in",
    "is_nonzero": "a truth value (if, while, and, not)",
}
"""What code looks like that makes torch give Python a number; of all others their own name."""

_Rule = Callable[[Site], Finding | None]
_LOST: Final[tuple[_Rule, ...]] = (_overflow, _underflow)
_RULES: Final[tuple[_Rule, ...]] = (
    *_LOST,
    _round_trip,
    _built_wide,
    _new_float64,
    _index_cast,
    _repeated,
    _moved_wide,
    _transfer,
    _synchronisation,
)


def _is_float(dtype: str) -> bool:
    import torch

    found = getattr(torch, dtype, None)
    return isinstance(found, torch.dtype) and (found.is_floating_point or found.is_complex)


def _is_narrower(a: str, b: str) -> bool:
    from ...core.pairs import is_lossless_pair
    from ...formats import lookup

    return not is_lossless_pair(lookup(b), lookup(a))
