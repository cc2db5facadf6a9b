"""Dotted names as a tree, repeated parts folded."""

from __future__ import annotations

from itertools import permutations

from tensorcast.words.tree import Entry, grow


def tree(*names: str, full: bool = False) -> list[str]:
    rows = grow([Entry(name, ("F32",), (1,)) for name in names], full=full)
    return [row.label for row in rows]


def test_a_chain_is_one_row() -> None:
    assert tree("a.b.c.d") == ["a.b.c.d"]


def test_two_tensors_need_no_group_three_have_one() -> None:
    assert tree("a.norm.weight", "a.norm.bias") == ["a.norm.bias", "a.norm.weight"]
    assert tree("n.x", "n.y", "n.z") == ["n", "├─ x", "├─ y", "└─ z"]


def test_like_layers_fold_in_natural_order() -> None:
    names = [f"h.{i}.{n}" for i in range(12) for n in ("w", "b", "norm")]
    assert tree(*names) == ["h.{0..11}", "├─ b", "├─ norm", "└─ w"]


def test_folding_does_not_depend_on_the_order() -> None:
    names = ["h.0.a", "h.1.a", "h.2.b", "x"]
    expected = ["h.{0..1}.a", "h.2.b", "x"]
    for order in permutations(names):
        assert tree(*order) == expected


def test_unlike_layers_do_not_fold() -> None:
    entries = [
        Entry("h.0.w", ("F32", "[2]"), (8,)),
        Entry("h.1.w", ("F32", "[2]"), (8,)),
        Entry("h.2.w", ("BF16", "[2]"), (4,)),
        Entry("h.3.w", ("F32", "[2]"), (8,)),
    ]
    rows = grow(entries)
    assert [(row.label, row.copies, row.members) for row in rows] == [
        ("h.{0..1,3}.w", 3, (0, 1, 3)),
        ("h.2.w", 1, (2,)),
    ]


def test_experts_fold_within_layers() -> None:
    names = [f"m.{i}.e.{j}.{n}" for i in range(3) for j in range(4) for n in ("u", "v", "w")]
    rows = grow([Entry(name, ("F32",), (10,)) for name in names])
    assert [row.label for row in rows] == ["m.{0..2}.e.{0..3}", "├─ u", "├─ v", "└─ w"]
    experts, u = rows[:2]
    assert (experts.copies, experts.sizes, experts.members) == (12, (30,), ())
    assert (u.copies, u.sizes) == (1, (10,))
    assert u.members == tuple(range(0, 36, 3))


def test_experts_beside_something_else_keep_their_own_row() -> None:
    names = [f"m.{i}.e.{j}.{n}" for i in range(3) for j in range(4) for n in ("u", "v", "w")]
    names += [f"m.{i}.gate" for i in range(3)]
    layers, experts, *_, gate = grow([Entry(name, ("F32",), (10,)) for name in names])
    assert (layers.label, layers.copies, layers.sizes) == ("m.{0..2}", 3, (130,))
    assert (experts.label, experts.copies, experts.sizes) == ("├─ e.{0..3}", 4, (30,))
    assert (gate.label, gate.copies, gate.members) == ("└─ gate", 1, (36, 37, 38))


def test_numbers_at_the_end_of_a_word_fold() -> None:
    assert tree("block1.w", "block2.w", "block10.w") == ["block{1..2,10}.w"]


def test_leading_zeros_are_names_not_numbers() -> None:
    assert tree("h.00.w", "h.01.w") == ["h.00.w", "h.01.w"]


def test_long_lists_of_layers_are_cut() -> None:
    assert tree(*(f"h.{i}.w" for i in range(0, 40, 2))) == ["h.{0,2,4,...,36,38}.w"]


def test_full_folds_nothing() -> None:
    names = ["h.10.w", "h.2.w", "a\x07", "h.2", ""]
    assert tree(*names, full=True) == ["", "a\\x07", "h.2", "h.2.w", "h.10.w"]


def test_a_name_that_is_also_a_prefix() -> None:
    rows = grow([Entry("a", ("F32",), (1,)), Entry("a.b", ("F32",), (2,))])
    assert [(row.label, row.cells, row.sizes) for row in rows] == [
        ("a", ("F32",), (3,)),
        ("└─ b", ("F32",), (2,)),
    ]


def test_strange_names() -> None:
    deep = ".".join("x" * 5000)
    rows = grow([Entry(name, ("F32",), (1,)) for name in ("", ".", "..", "a..b", deep)])
    assert sum(row.cells is not None for row in rows) == 5
    assert tree("a\x1b[2J") == ["a\\x1b[2J"]


def test_every_entry_is_in_exactly_one_row() -> None:
    names = [f"m.{i}.a{j}.w" for i in range(5) for j in range(i + 1)] + ["m.w", "z9", "z10"]
    for full in (False, True):
        rows = grow([Entry(name, ("F32",), (1,)) for name in names], full=full)
        members = [i for row in rows if row.cells is not None for i in row.members]
        assert sorted(members) == list(range(len(names)))


def test_no_entries() -> None:
    assert grow([]) == []
