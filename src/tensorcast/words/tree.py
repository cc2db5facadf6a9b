"""Dotted names as a tree, repeated parts folded: `encoder.layer.{0..5}` stands for six layers.

Siblings whose names differ only in a trailing number and whose insides are the same (names,
cells and sizes, all the way down) become one row. A row knows which entries it stands for, so a
caller can add up anything else over them.

    >>> entries = [Entry(f"layer.{i}.{n}", ("F32", "[4]"), (16,)) for i in (0, 1) for n in "bw"]
    >>> for row in grow(entries):
    ...     print(row.label, row.copies, row.sizes, row.members)
    layer.{0..1} 2 (32,) ()
    ├─ b 1 (16,) (0, 2)
    └─ w 1 (16,) (1, 3)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from .text import safe

# A name with thousands of dots is somebody's joke; its tail stays in one piece.
_DEEPEST: Final = 24
_NUMBERED: Final = re.compile(r"(.*?)(\d+)", re.DOTALL)


class Entry(NamedTuple):
    """One named thing.

    Attributes:
        name: with dots between its parts.
        cells: what is shown beside it; rows fold only when these are equal.
        sizes: numbers that add up along the tree.
    """

    name: str
    cells: tuple[str, ...]
    sizes: tuple[int, ...]


class Row(NamedTuple):
    """One line of the tree.

    Attributes:
        label: with its branches drawn, safe to print.
        cells: of the entry, or None for a group.
        sizes: of one copy of this row (itself and what lies under it) within one copy of its
            parents.
        copies: how many are folded into the row, within one copy of its parents.
        members: indices of the entries it shows, over all copies of its parents too; none for a
            group.
    """

    label: str
    cells: tuple[str, ...] | None
    sizes: tuple[int, ...]
    copies: int
    members: tuple[int, ...]


_Group = tuple[str, list[tuple[int, ...]]]


class _Node:
    """A part of a name; `entry` is the index of the entry whose name ends here."""

    __slots__ = ("children", "entry", "ordered", "signature", "sizes")

    def __init__(self) -> None:
        self.entry: int | None = None
        self.children: dict[str, _Node] = {}
        self.ordered: list[tuple[str, _Node]] = []
        self.signature = 0
        self.sizes: tuple[int, ...] = ()


def grow(entries: Sequence[Entry], *, full: bool = False) -> list[Row]:
    """The rows of the tree, top down, siblings in natural order (2 before 10).

    A chain of single children is one row, and a group of at most two tensors (a weight and its
    bias) has no row of its own.

    Args:
        entries: their names differ; any string is a name.
        full: no tree, but one row per entry with its whole name.
    """
    if full:
        return _flat(entries)
    root = _Node()
    for i, entry in enumerate(entries):
        node = root
        for part in entry.name.split(".", _DEEPEST):
            node = node.children.setdefault(part, _Node())
        node.entry = i
    _measure(root, entries, {})
    plot = _Plot(entries)
    plot.emit_under([root], trunk=None)
    return plot.rows


def _flat(entries: Sequence[Entry]) -> list[Row]:
    parts = [tuple(_natural(part) for part in entry.name.split(".")) for entry in entries]
    return [
        Row(safe(entries[i].name), entries[i].cells, entries[i].sizes, 1, (i,))
        for i in sorted(range(len(entries)), key=parts.__getitem__)
    ]


def _measure(node: _Node, entries: Sequence[Entry], known: dict[object, int]) -> None:
    """Sets order, sizes and signature: equal signatures mean equal insides."""
    if len(node.children) > 1:
        node.ordered = sorted(node.children.items(), key=lambda item: _natural(item[0]))
    else:
        node.ordered = list(node.children.items())
    total = [0] * (len(entries[0].sizes) if entries else 0)
    own: object = None
    if node.entry is not None:
        entry = entries[node.entry]
        own = (entry.cells, entry.sizes)
        total[:] = entry.sizes
    for _, child in node.ordered:
        _measure(child, entries, known)
        for i, size in enumerate(child.sizes):
            total[i] += size
    node.sizes = tuple(total)
    inside = (own, tuple((part, child.signature) for part, child in node.ordered))
    node.signature = known.setdefault(inside, len(known))


@lru_cache(4096)
def _natural(part: str) -> tuple[tuple[int, int | str], ...]:
    pieces = re.split(r"(\d+)", part)
    return tuple(
        (0, int(piece)) if i % 2 and len(piece) < 20 else (1, piece)
        for i, piece in enumerate(pieces)
        if piece
    )


class _Plot:
    """The rows while they are made."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.rows: list[Row] = []
        self.known: dict[int, list[_Group]] = {}

    def emit_under(self, copies: list[_Node], *, trunk: str | None) -> None:
        """Adds the rows under nodes that are alike inside.

        Args:
            copies: all the nodes that the row above stands for.
            trunk: what is drawn before the branches; None at the top, which has none.
        """
        groups = self.groups(copies[0])
        for i, (label, paths) in enumerate(groups):
            last = i == len(groups) - 1
            alike = [_at(node, path) for node in copies for path in paths]
            first = alike[0]
            if trunk is None:
                branch = inner = ""
            else:
                branch = trunk + ("\u2514\u2500 " if last else "\u251c\u2500 ")
                inner = trunk + ("   " if last else "\u2502  ")
            cells = None if first.entry is None else self.entries[first.entry].cells
            members = tuple(sorted(node.entry for node in alike if node.entry is not None))
            self.rows.append(Row(branch + label, cells, first.sizes, len(paths), members))
            if first.ordered:
                self.emit_under(alike, trunk=inner)

    def groups(self, node: _Node) -> list[_Group]:
        """What lies under the node: label, and the paths of what the label stands for."""
        if node.signature not in self.known:
            found: list[_Group] = []
            for label, places in self.folded(node):
                child = node.ordered[places[0]][1]
                under = self.groups(child) if child.entry is None else []
                pair = len(places) == 1 and len(under) == 2
                if len(under) == 1 or (
                    pair and not any(_at(child, paths[0]).ordered for _, paths in under)
                ):
                    for step, paths in under:
                        joined = [(place, *path) for place in places for path in paths]
                        found.append((f"{label}.{step}", joined))
                else:
                    found.append((label, [(place,) for place in places]))
            self.known[node.signature] = found
        return self.known[node.signature]

    def folded(self, node: _Node) -> list[tuple[str, list[int]]]:
        """The direct children, those alike but for a trailing number together."""
        together: dict[tuple[str, int | None], list[tuple[str, int]]] = {}
        for place, (part, child) in enumerate(node.ordered):
            numbered = _NUMBERED.fullmatch(part)
            if numbered and len(numbered[2]) < 19 and str(int(numbered[2])) == numbered[2]:
                key = (numbered[1], child.signature)
                together.setdefault(key, []).append((numbered[2], place))
            else:
                together[part, None] = [("", place)]
        found: list[tuple[str, list[int]]] = []
        for (prefix, _), siblings in together.items():
            numbers = siblings[0][0]
            if len(siblings) > 1:
                numbers = f"{{{_ranges(int(number) for number, _ in siblings)}}}"
            found.append((safe(f"{prefix}{numbers}"), [place for _, place in siblings]))
        return found


def _at(node: _Node, path: tuple[int, ...]) -> _Node:
    for place in path:
        node = node.ordered[place][1]
    return node


def _ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as ranges: 0..5,8,10..11."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][-1] + 1:
            runs[-1][1:] = [n]
        else:
            runs.append([n])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}..{run[1]}" for run in runs]
    if len(texts) > 6:  # every other layer of a large model: the ends tell enough
        texts = [*texts[:3], "...", *texts[-2:]]
    return ",".join(texts)
