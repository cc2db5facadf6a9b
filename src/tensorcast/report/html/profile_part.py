"""A profile as data for the page: sizes by module, ranges by tensor, limits of the candidates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import log1p, log2
from typing import TYPE_CHECKING, Any, Final

from ...formats import lookup
from ...words.units import number
from .embedding import MAX_SENTENCE, Texts, short_path, shown, within

if TYPE_CHECKING:
    from ...core.loss import Loss
    from ...model.profile.data import Candidate, Size, TensorProfile
    from ...model.profile.result import Profile
    from ...model.profile.value_ranges import Values
    from ...model.trace.findings import Finding

SIZES_BYTES: Final = 60_000
TENSORS_BYTES: Final = 100_000

SIZES: Final = ("role", "module", "kind", "format", "device", "n", "bytes")
TENSORS: Final = (
    "name", "role", "kind", "format", "shape", "bytes", "times", "place", "note", "values",
    "losses",
)  # fmt: skip
VALUES: Final = (
    "n", "zeros", "infinite", "nan", "min", "max", "largest", "smallest", "first", "levels", "peak",
    "peakShare",
)  # fmt: skip
LOSSES: Final = ("over", "under", "nanLost", "sqnr", "error", "verdict")

LEVELS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""How tall a bar is, 0 for none; the others are logarithms of counts, up to the tallest's."""


def profile_part(profile: Profile, found: Sequence[tuple[int, Finding]]) -> dict[str, Any]:
    """What the page draws of a profile; what did not fit is counted under `left`.

    Args:
        found: its findings, each with its number in the page.
    """
    texts = Texts()
    sizes, smaller = _sizes(profile.sizes, texts)
    targets = list(dict.fromkeys(target for one in profile.tensors for target in one.losses))
    order = sorted(profile.tensors, key=_interest, reverse=True)
    kept = within((_tensor(one, targets, texts) for one in order), texts, TENSORS_BYTES)
    peak = profile.peak
    row_of = {one.name: row for row, one in enumerate(order[: len(kept)]) if one.values}
    named = (
        (n, name)
        for n, finding in found
        for name in (finding.parameter or finding.module).split(", ")
    )
    return {
        "model": shown(profile.model),
        "seconds": profile.seconds,
        "inputs": profile.has_inputs,
        "columns": {"sizes": SIZES, "tensors": TENSORS, "values": VALUES, "losses": LOSSES},
        "texts": texts.all,
        "sizes": sizes,
        "smaller": smaller,
        "tensors": kept,
        "found": [[n, row_of[name]] for n, name in named if name in row_of],
        "left": len(order) - len(kept),
        "targets": [_limits(target) for target in targets],
        "levels": LEVELS,
        "candidates": [_candidate(each) for each in profile.candidates],
        "peak": None if peak is None else {
            "bytes": peak.n_bytes, "n": peak.n_tensors, "module": shown(peak.module),
            "op": shown(peak.op), "saved": peak.saved, "after": peak.after,
            "allocator": peak.allocator, "allocatorOp": shown(peak.allocator_op),
        },
        "notes": [shown(note, MAX_SENTENCE) for note in profile.notes[:20]],
        "error": _error(profile.error),
    }  # fmt: skip


def _error(error: Exception | None) -> str:
    return shown(f"{type(error).__name__}: {error}", MAX_SENTENCE) if error else ""


def _sizes(sizes: Sequence[Size], texts: Texts) -> tuple[list[Sequence[Any]], int]:
    """Rows that add up to all the bytes, and how many were too small for one of their own: those
    are counted in the module they stand in."""
    rows: dict[tuple[str, ...], list[Any]] = {}
    for size in sizes:
        rows[size.role, size.module, size.format, size.device] = [
            size.kind,
            size.n_tensors,
            size.n_bytes,
        ]
    order = sorted(rows, key=lambda key: rows[key][2], reverse=True)
    trial = Texts()
    own = len(within((_size(key, rows[key], trial) for key in order), trial, SIZES_BYTES))
    if own < len(order):
        own = own * 3 // 4
    joined = {key: rows[key] for key in order[:own]}
    deepest = max((key[1].count(".") for key in order), default=0)
    for depth in range(deepest, -1, -1):
        rest: dict[tuple[str, ...], list[Any]] = {}
        for key in order[own:]:
            role, module, format_, device = key
            above = (role, ".".join(module.split(".")[:depth]), format_, device)
            row = rest.setdefault(above, ["", 0, 0])
            row[1] += rows[key][1]
            row[2] += rows[key][2]
        if len(rest) <= max(own // 3, 1):
            break
    for key, row in rest.items():
        known = joined.setdefault(key, [row[0], 0, 0])
        joined[key] = [known[0], known[1] + row[1], known[2] + row[2]]
    return [_size(key, row, texts) for key, row in joined.items()], len(order) - own


def _size(key: tuple[str, ...], row: Sequence[Any], texts: Texts) -> list[Any]:
    role, module, format_, device = key
    kind, n_tensors, n_bytes = row
    return [
        texts(role), texts(module), texts(kind), texts(format_), texts(device), n_tensors, n_bytes,
    ]  # fmt: skip


def _interest(one: TensorProfile) -> tuple[bool, bool, int]:
    """Wrong values first, and what 16 bits do not hold; then what is largest."""
    values = one.values
    wrong = values is not None and bool(values.n_nan or values.n_inf)
    wide = [loss for loss in one.losses.values() if lookup(loss.target).bits >= 16]
    return wrong or any(loss.n_overflow for loss in wide), values is not None, one.n_elements


def _tensor(one: TensorProfile, targets: Sequence[str], texts: Texts) -> list[Any]:
    place = one.called_from or one.place
    at = f"{short_path(place.file, os.getcwd())}:{place.line}" if place else ""
    return [
        texts(one.name),
        texts(one.role),
        texts(one.kind),
        texts(one.format),
        texts("[" + ", ".join(map(str, one.shape)) + "]"),
        one.n_bytes,
        one.count,
        texts(at),
        texts(f"shares the memory of {one.shared_with}" if one.shared_with else one.note),
        _values(one.values) if one.values else None,
        [_loss(one.losses[name]) if name in one.losses else None for name in targets],
    ]


def _values(values: Values) -> list[Any]:
    counts = values.exponent_counts
    top = max(counts, default=0)
    scale = (len(LEVELS) - 1) / log1p(top) if top else 0.0
    levels = "".join(LEVELS[max(1, round(log1p(n) * scale))] if n else LEVELS[0] for n in counts)
    return [
        values.n_values, values.n_zero, values.n_inf, values.n_nan, _short(values.min),
        _short(values.max), _short(values.amax), _short(values.smallest), values.first_exponent,
        levels, values.first_exponent + counts.index(top) if top else None,
        _short(top / values.n_values) if top else None,
    ]  # fmt: skip


def _loss(loss: Loss) -> list[Any]:
    from ...model.profile.data import verdict_of

    return [
        loss.n_overflow, loss.n_underflow, loss.n_nan_lost, _short(loss.sqnr_db),
        _short(loss.max_abs_error), verdict_of(loss),
    ]  # fmt: skip


def _short(value: float | int | None) -> float | int | None:
    """Four digits: enough to read, and to draw."""
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.4g}")


def _limits(name: str) -> dict[str, Any]:
    """Where a format's range begins and ends, as exponents of 2; none where a scale decides."""
    row = lookup(name.partition(" ")[0])  # without what is said of a scale
    if not row.is_float or row.is_complex:
        ends = "" if row.name != name else f"{number(row.min)} to {number(row.max)}"
        return {"name": name, "bits": row.bits, "ends": ends}
    return {
        "name": name,
        "bits": row.bits,
        "max": round(log2(row.max), 3),
        "normal": round(log2(row.smallest_normal), 3),
        "smallest": round(log2(row.smallest), 3),
        "maxText": number(row.max),
        "smallestText": number(row.smallest),
    }


def _candidate(each: Candidate) -> dict[str, Any]:
    total = each.total
    return {
        "of": each.of,
        "target": each.label,
        "verdict": total.verdict,
        "sentence": shown(each.sentence.removeprefix(f"{total.verdict}: "), MAX_SENTENCE),
        "before": each.n_bytes_before,
        "after": each.n_bytes_after,
        "over": total.n_overflow,
        "under": total.n_underflow,
        "sqnr": _short(total.sqnr_db),
        "worst": shown(total.worst or ""),
    }
