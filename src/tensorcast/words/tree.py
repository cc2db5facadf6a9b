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
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from .text import safe

# A name with thousands of dots is somebody's joke; its tail stays in one piece.
_DEEPEST: Final = 24
_DIGITS: Final = "0123456789"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz_"  # no digit among them: nothing to do
_NUMBER: Final = re.compile("[0-9]+")


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
    """A part of a name. There may be very many, so they are small.

    Attributes:
        entry: the index of the entry whose name ends here.
        children: until they are in order; an only child without a dictionary.
        parts, under: the children in order, their parts of the name apart: many nodes share them.
    """

    __slots__ = ("children", "entry", "parts", "signature", "sizes", "under")

    def __init__(self) -> None:
        self.entry: int | None = None
        self.children: dict[str, _Node] | tuple[str, _Node] | None = None
        self.parts: tuple[str, ...] = ()
        self.under: tuple[_Node, ...] = ()
        self.signature = 0
        self.sizes: tuple[int, ...] = ()

    def child(self, part: str) -> _Node:
        """The child of that name, which is made if there is none."""
        children = self.children
        if children is None:
            found = _Node()
            self.children = (part, found)
            return found
        if isinstance(children, tuple):
            if children[0] == part:
                return children[1]
            children = self.children = dict([children])
        found_one = children.get(part)
        if found_one is None:
            found_one = children[part] = _Node()
        return found_one


def grow(entries: Sequence[Entry], *, full: bool = False) -> list[Row]:
    """The rows of the tree, top down, siblings in natural order (2 before 10).

    A chain of single children is one row, and a group of at most two tensors (a weight and its
    bias) has no row of its own.

    Args:
        entries: their names differ; any string is a name.
        full: no tree, but one row per entry with its whole name.
    """
    if full:
        return list(_flat(entries))
    root = _Node()
    one_of: dict[str, str] = {}  # one string for every "weight"
    for i, entry in enumerate(entries):
        node = root
        for part in entry.name.split(".", _DEEPEST):
            node = node.child(one_of.setdefault(part, part))
        node.entry = i
    del one_of
    _measure(root, entries, {}, {})
    return list(_Plot(entries).under([root], trunk=None))


def _flat(entries: Sequence[Entry]) -> Iterator[Row]:
    parts = [tuple(_natural(part) for part in entry.name.split(".")) for entry in entries]
    for i in sorted(range(len(entries)), key=parts.__getitem__):
        yield Row(safe(entries[i].name), entries[i].cells, entries[i].sizes, 1, (i,))


def _measure(
    node: _Node,
    entries: Sequence[Entry],
    known: dict[object, int],
    shared: dict[tuple[str, ...], tuple[str, ...]],
) -> None:
    """Sets order, sizes and signature: equal signatures mean equal insides."""
    own: object = None
    if node.entry is not None:
        entry = entries[node.entry]
        own = (entry.cells, entry.sizes)
        node.sizes = entry.sizes
    children = node.children
    if children is None:
        node.signature = known.setdefault(own, len(known))
        return
    if isinstance(children, tuple):
        node.parts, node.under = children[:1], children[1:]
    else:
        parts = tuple(sorted(children, key=_natural))
        node.parts = shared.setdefault(parts, parts)
        node.under = tuple(children[part] for part in parts)
    node.children = None
    for child in node.under:
        _measure(child, entries, known, shared)
    if node.entry is None and len(node.under) == 1:
        node.sizes = node.under[0].sizes
    else:
        sizes = [child.sizes for child in node.under]
        if node.entry is not None:
            sizes.append(node.sizes)
        node.sizes = tuple(map(sum, zip(*sizes, strict=True)))
    inside = (own, node.parts, *(child.signature for child in node.under))
    node.signature = known.setdefault(inside, len(known))


@lru_cache(4096)
def _natural(part: str) -> str:
    """What sorts as the part shall: numbers by their value, before text. A number is written as
    NUL, how many digits it has, and the digits; one of 20 digits and more is text."""
    return _NUMBER.sub(_in_order, part) if part.strip(_LETTERS) else part


def _in_order(found: re.Match[str]) -> str:
    digits = found[0].lstrip("0")
    return f"\0{chr(1 + len(digits))}{digits}" if len(found[0]) < 20 else found[0]


class _Plot:
    """The rows while they are made."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.known: dict[int, list[_Group]] = {}

    def under(self, copies: list[_Node], *, trunk: str | None) -> Iterator[Row]:
        """The rows under nodes that are alike inside.

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
            yield Row(branch + label, cells, first.sizes, len(paths), members)
            if first.under:
                yield from self.under(alike, trunk=inner)

    def groups(self, node: _Node) -> list[_Group]:
        """What lies under the node: label, and the paths of what the label stands for."""
        if len(node.under) == 1:  # not worth keeping
            return self.found(node)
        if node.signature not in self.known:
            self.known[node.signature] = self.found(node)
        return self.known[node.signature]

    def found(self, node: _Node) -> list[_Group]:
        """`groups`, made anew."""
        found: list[_Group] = []
        for label, places in self.folded(node):
            child = node.under[places[0]]
            under = self.groups(child) if child.entry is None else []
            pair = len(places) == 1 and len(under) == 2
            if len(under) == 1 or (
                pair and not any(_at(child, paths[0]).under for _, paths in under)
            ):
                for step, paths in under:
                    joined = [(place, *path) for place in places for path in paths]
                    found.append((f"{label}.{step}", joined))
            else:
                found.append((label, [(place,) for place in places]))
        return found

    def folded(self, node: _Node) -> list[tuple[str, list[int]]]:
        """The direct children, those alike but for a trailing number together."""
        together: dict[tuple[str, int | None], list[tuple[str, int]]] = {}
        for place, (part, child) in enumerate(zip(node.parts, node.under, strict=True)):
            prefix = part.rstrip(_DIGITS)
            digits = part[len(prefix) :]
            if 0 < len(digits) < 19 and (digits[0] != "0" or digits == "0"):
                together.setdefault((prefix, child.signature), []).append((digits, place))
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
        node = node.under[place]
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
