"""The ways to one cast, measured: which is quickest, and which needs least memory.

>>> ways = Way("a", 0.002, 300, False, True), Way("b", 0.001, 400, False, True)
>>> print(Comparison("float32", "float16", (50,), ways, 0.0))
float32 -> float16, [50]
      time   memory  bits
a  2.00 ms    300 B  equal
b  1.00 ms    400 B  equal
quickest: b
least memory: a
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Final

from ..words.table import Column, layout
from ..words.text import plain
from ..words.units import human_bytes, shape, short_time

_CLOSE: Final = 1.05
"""Times within this factor are not told apart."""
_BUSY: Final = 0.2
"""Cores that other programs use, from which times are not compared."""


@dataclass(frozen=True)
class Way:
    """One way to the cast.

    Attributes:
        name: what is called.
        seconds: of a call, the median; None: it failed.
        n_bytes: the most memory there was while it ran, source and result included; None: it
            failed.
        is_measured: whether the system told `n_bytes`; else it is counted from the sizes.
        same_bits: whether the result has the bits of `tensorcast.cast`'s; None: one of them failed.
        failure: what it raised, or "".
    """

    name: str
    seconds: float | None
    n_bytes: int | None
    is_measured: bool = False
    same_bits: bool | None = None
    failure: str = ""


@dataclass(frozen=True)
class Comparison:
    """What `tensorcast.compare` found. Prints as a table.

    Attributes:
        source: the format of the source.
        target: the format of the results.
        shape: of the source.
        ways: in the order that they took turns.
        cores_of_others: how many cores other programs used meanwhile; None: not known.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    ways: tuple[Way, ...]
    cores_of_others: float | None = None

    def way(self, name: str) -> Way:
        """The way of that name.

        Raises:
            KeyError: there is none.
        """
        for one in self.ways:
            if one.name == name:
                return one
        raise KeyError(name)

    @property
    def was_busy(self) -> bool:
        """Whether other programs were at work, so that the times say little."""
        return self.cores_of_others is not None and self.cores_of_others > _BUSY

    @property
    def quickest(self) -> tuple[str, ...]:
        """The quickest way, and those that took about as long."""
        times = {one.name: one.seconds for one in self.ways if one.seconds is not None}
        least = min(times.values(), default=0.0)
        return tuple(name for name, seconds in times.items() if seconds <= _CLOSE * least)

    @property
    def least_memory(self) -> tuple[str, ...]:
        """The ways that need least memory."""
        sizes = {one.name: one.n_bytes for one in self.ways if one.n_bytes is not None}
        least = min(sizes.values(), default=0)
        return tuple(name for name, n_bytes in sizes.items() if n_bytes <= _CLOSE * least)

    def to_dict(self) -> dict[str, object]:
        """The fields as plain Python values."""
        ways = [asdict(one) for one in self.ways]
        return {**asdict(self), "shape": list(self.shape), "ways": ways}

    def __repr__(self) -> str:
        quick = " and ".join(self.quickest) or "none"
        busy = ", the machine was busy" if self.was_busy else ""
        return f"Comparison({self.source} -> {self.target}, quickest: {quick}{busy})"

    def __str__(self) -> str:
        heads = [Column(""), Column("time", "right"), Column("memory", "right"), Column("bits")]
        table = layout(heads, [self._cells(one) for one in self.ways], width=None)
        lines = [self._title(), *(plain(line).rstrip() for line in table), *self._sentences()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The table for a notebook: no script, no style sheet, colours of the page around it."""
        cell = "padding:.15em .8em;border-top:1px solid rgba(128,128,128,.35);text-align"
        caption = "caption-side:top;text-align:left;padding:.3em .8em;color:inherit;font-weight:600"
        lines = [
            '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">',
            f'<caption style="{caption}">{escape(self._title())}</caption>',
        ]
        heads = ("", "time", "memory", "bits")
        for tag, row in [("th", heads), *(("td", self._cells(one)) for one in self.ways)]:
            sides = ("left", "right", "right", "left")
            cells = [
                f'<{tag} style="{cell}:{side}">{escape(text)}</{tag}>'
                for side, text in zip(sides, row, strict=True)
            ]
            lines.append(f'<tr style="background:none">{"".join(cells)}</tr>')
        lines.append("</table>")
        return "\n".join([*lines, *(f"<div>{escape(text)}</div>" for text in self._sentences())])

    def _title(self) -> str:
        return f"{self.source} -> {self.target}, {shape(self.shape)}"

    def _cells(self, one: Way) -> tuple[str, str, str, str]:
        if one.seconds is None or one.n_bytes is None:
            return one.name, "-", "-", "refuses"
        bits = {True: "equal", False: "differ", None: "-"}[one.same_bits]
        return one.name, short_time(one.seconds), human_bytes(one.n_bytes), bits

    def _sentences(self) -> list[str]:
        names: dict[str, list[str]] = {}
        for one in self.ways:
            if one.failure:
                names.setdefault(one.failure, []).append(one.name)
        found = [f"{', '.join(same)}: {failure}" for failure, same in names.items()]
        if any(one.same_bits is False for one in self.ways):
            found.append("bits: beside those of tensorcast.cast")
        if self.was_busy:
            found.append(
                f"The machine was busy: other programs used {self.cores_of_others:.1f} cores. "
                "The times say little; run it again when the machine is idle."
            )
        elif self.quickest:
            found.append(f"quickest: {', '.join(self.quickest)}")
        if self.least_memory:
            found.append(f"least memory: {', '.join(self.least_memory)}")
        return found
