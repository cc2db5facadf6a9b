"""What `tensorcast inspect --stats` adds: "what if I cast this?", per candidate format."""

from __future__ import annotations

from dataclasses import asdict

from ..checkpoint.protocol import Checkpoint
from ..core.loss_table import table, verdicts
from ..core.totals import Total, total
from ..formats import lookup
from ..words.text import Line, Span, line
from ..words.units import number, plural
from .document import Json
from .inspection import Losses

_RAW = "the weights need scales: the stored numbers are measured without them"


def totals(losses: Losses) -> list[Total]:
    """One per candidate, in the order in which they were asked for."""
    names = dict.fromkeys(name for per_format in losses.values() for name in per_format)
    return [
        total(
            name,
            {
                tensor: per_format[name]
                for tensor, per_format in losses.items()
                if name in per_format
            },
        )
        for name in names
    ]


def lines(source: Checkpoint, losses: Losses, *, width: int | None) -> list[Line]:
    """A table of the candidates and a verdict on each."""
    sums = totals(losses)
    if not sums:
        return [line(Span("there are no floating-point tensors: nothing would be cast", "dim"))]
    seen = [loss for per_format in losses.values() for loss in list(per_format.values())[:1]]
    values = [value for loss in seen for value in (loss.min, loss.max) if value is not None]
    n_values = sum(loss.n_elements for loss in seen)
    reach = f" from {number(min(values))} to {number(max(values))}" if values else ""
    n_bytes = {one.target: n_bytes_after(source, losses, one.target) for one in sums}
    return [
        line(Span("What if I cast this?", "title")),
        line(f"{plural(len(losses), 'floating tensor')}, {plural(n_values, 'value')}{reach}"),
        *([line(Span(_RAW, "warn"))] if source.scaled else []),
        (),
        *table({one.target: one for one in sums}, n_bytes, width=width),
        (),
        *verdicts({one.target: (one.verdict, one.sentence()) for one in sums}, width=width),
    ]


def n_bytes_after(source: Checkpoint, losses: Losses, target: str) -> int:
    """Tensor bytes of the checkpoint once the measured tensors are in `target`."""
    row = lookup(target)
    return sum(
        row.n_bytes(tensor.n_elements) if tensor.name in losses else tensor.n_bytes
        for tensor in source.tensors
    )


def describe(source: Checkpoint, losses: Losses) -> Json:
    """Candidate -> its totals and verdict, JSON-ready."""
    return {
        one.target: {
            **{key: value for key, value in asdict(one).items() if key != "target"},
            "n_bytes_after": n_bytes_after(source, losses, one.target),
            "verdict": one.verdict,
            "sentence": one.sentence(),
        }
        for one in totals(losses)
    }
