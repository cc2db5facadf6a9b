"""What `tensorcast diff` shows: the tensors that differ, and by how much."""

from __future__ import annotations

from typing import Final

from ..checkpoint.wording import worst_first
from ..checkpoint.work.difference import Difference, TensorDifference
from ..words.table import Column, layout
from ..words.text import Line, Span, line, safe
from ..words.units import count, decibels, number, percent, plural, shape
from .document import Json

_MANY: Final = 10


def acceptable(found: Difference, min_sqnr: float | None) -> bool:
    """Whether nothing differs, or everything that does is at `min_sqnr` decibels or above."""
    if found.missing or found.extra:
        return False
    for row in found.tensors:
        if row.equal:
            continue
        if min_sqnr is None or not _close(row, min_sqnr):
            return False
    return True


def _close(row: TensorDifference, min_sqnr: float) -> bool:
    """A NaN or infinity on one side only is never close, and does not show in the SQNR."""
    return row.sqnr_db is not None and row.sqnr_db >= min_sqnr and not row.n_special


def lines(
    found: Difference,
    *,
    width: int | None,
    full: bool,
    min_sqnr: float | None,
    scaled: tuple[str | None, str | None] = (None, None),
) -> list[Line]:
    """Tensors that differ, the worst first; then the missing and the extra ones; then a verdict.

    Args:
        width: of the terminal; None: as wide as it takes.
        full: every tensor, not only the worst, and those with equal bits too.
        min_sqnr: of `acceptable`.
        scaled: why the weights of A and of B mean something only with their scales, or None.
    """
    differing = sorted((row for row in found.tensors if not row.equal), key=worst_first)
    shown = [*differing, *(row for row in found.tensors if row.equal)] if full else differing
    result: list[Line] = []
    if shown:
        result += _table(shown if full else shown[:_MANY], width, min_sqnr)
        if not full and len(shown) > _MANY:
            more = f"and {count(len(shown) - _MANY)} more that differ less (--full lists them)"
            result.append(line(Span(more, "dim")))
    for label, names in (("only in A", found.missing), ("only in B", found.extra)):
        for name in names if full else names[:_MANY]:
            result.append(line(Span(f"{label}: ", "bad"), safe(name)))
        if not full and len(names) > _MANY:
            result.append(line(Span(f"{label}: {count(len(names) - _MANY)} more", "dim")))
    if result:
        result.append(())
    for label, reason in zip("AB", scaled, strict=True):
        if reason is not None:
            raw = "the weights need scales: the stored numbers are compared without them"
            result.append(line(Span(f"{label}: ", "warn"), raw))
    result.append(_verdict(found, len(differing), min_sqnr))
    return result


def _table(rows: list[TensorDifference], width: int | None, min_sqnr: float | None) -> list[Line]:
    heads = [
        Column("tensor", elastic=True, tall=True),
        Column("A"),
        Column("B"),
        Column("shape", drop=1),
        Column("differ", "right"),
        Column("NaN, inf" if any(row.n_special for row in rows) else "", "right"),
        Column("max error", "right"),
        Column("SQNR", "right"),
    ]
    cells: list[list[str | Span]] = []
    for row in rows:
        dimensions = shape(row.shape_a)
        if row.equal:
            differ, sqnr = Span("-", "dim"), Span("equal bits", "good")
        elif row.n_different is None:
            if row.shape_a != row.shape_b:
                dimensions += f" / {shape(row.shape_b)}"
            differ, sqnr = Span("-"), Span("not comparable", "bad")
        else:
            close = min_sqnr is not None and _close(row, min_sqnr)
            n_different = row.n_different or 0
            differ = Span(percent(n_different, row.n_elements or 1, column=True))
            sqnr = Span(decibels(row.sqnr_db), "" if close else "warn")
        cells.append(
            [
                safe(row.name),
                row.format_a.name,
                row.format_b.name,
                dimensions,
                differ,
                Span(count(row.n_special), "bad") if row.n_special else "",
                number(row.max_abs_error) if not row.equal else "",
                sqnr,
            ]
        )
    return layout(heads, cells, width=width)


def _verdict(found: Difference, n_differing: int, min_sqnr: float | None) -> Line:
    n_equal = len(found.tensors) - n_differing
    if not n_differing and not found.missing and not found.extra:
        return line(Span("equal", "good"), f": all {plural(n_equal, 'tensor')}, bit by bit")
    facts = [f"{plural(n_differing, 'tensor')} differ" + ("s" if n_differing == 1 else "")]
    known = [row.sqnr_db for row in found.tensors if not row.equal and row.sqnr_db is not None]
    if known:
        facts[0] += f" (worst {decibels(min(known))})"
    facts.append(f"{count(n_equal)} equal")
    if found.missing:
        facts.append(f"{count(len(found.missing))} only in A")
    if found.extra:
        facts.append(f"{count(len(found.extra))} only in B")
    if acceptable(found, min_sqnr):
        return line(Span("close", "good"), f": {', '.join(facts)}, all at {min_sqnr:g} dB or above")
    return line(Span("different", "bad"), f": {', '.join(facts)}")


def describe(found: Difference, *, min_sqnr: float | None) -> Json:
    """The comparison, JSON-ready."""
    return {
        "equal": acceptable(found, None),
        "acceptable": acceptable(found, min_sqnr),
        "min_sqnr_db": min_sqnr,
        "missing": list(found.missing),
        "extra": list(found.extra),
        "tensors": [
            {
                "name": row.name,
                "equal": row.equal,
                "format_a": row.format_a.name,
                "format_b": row.format_b.name,
                "shape_a": list(row.shape_a),
                "shape_b": list(row.shape_b),
                "n_elements": row.n_elements,
                "n_different": row.n_different,
                "n_special": row.n_special,
                "max_abs_error": row.max_abs_error,
                "sqnr_db": row.sqnr_db,
            }
            for row in found.tensors
        ],
    }
