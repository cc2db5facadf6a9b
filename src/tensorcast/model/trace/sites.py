"""What a trace records: one `Site` for all that is alike at one line of code."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from ...words.summary import brief
from ..watch.places import Place

Kind = Literal["cast", "promotion", "transfer", "synchronisation", "float64"]
"""cast: an operation whose work is another dtype, `copy_` between dtypes too. promotion: a
conversion inside another operation. transfer: the bytes go to another device. synchronisation:
Python waits for values (`.item()`, `.tolist()`, `.numpy()`, a truth value) or for a shape that
depends on them (`nonzero()`, `x[mask]`). float64: a new float64 tensor out of operands that were
none."""

_STEPS: Final = ("amp/", "optim/", "nn/utils/", "distributed/", "ao/")
"""Where torch computes by itself; elsewhere its Python passes on what it was called with."""

Phase = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class What:
    """The part of a site by which events are alike.

    Attributes:
        kind: see `Kind`.
        op: torch's name of the operation, "aten::mul".
        source, target: dtypes' names without "torch."; of a synchronisation, what Python gets.
        source_device, target_device: "cpu", "cuda:0".
        place, called_from: see `places.Stack`; in a backward pass those of the forward operation,
            where it is known.
        module: the path of the innermost module, "encoder.layer.0.attention"; "" outside.
        parameter: the name of the parameter or buffer that is read; "" for another tensor.
        phase: forward (and whatever runs outside a backward pass) or backward.
        worker: whether it happened in another process, a DataLoader's worker.
        is_buffer: whether `parameter` is the name of a buffer.
        within: the file of torch's own, "amp/grad_scaler.py", that did it; "" of other code.
    """

    kind: Kind
    op: str
    source: str
    target: str
    source_device: str
    target_device: str
    place: Place | None
    called_from: Place | None
    module: str
    parameter: str
    phase: Phase = "forward"
    worker: bool = False
    is_buffer: bool = False
    within: str = ""


@dataclass(slots=True)
class Site:
    """Everything alike that happened at one line.

    Attributes:
        what: kind, operation, dtypes, place, module.
        shape: of the largest tensor.
        count: how many times.
        n_bytes_read, n_bytes_written: over all times.
        seconds: in the operation, over all times; 0.0 for a promotion, whose conversion is not
            apart from the operation's own work.
        n_repeated: how many times the same data, unchanged since, was cast to the same dtype.
        n_unchecked: how many of those that are said of unchanged data (repeated, returned) could
            not be held against what the memory held: torch's operations did not write to it.
        n_returned: how many times it gave back the dtype, or the device, that the data had before
            the last cast or transfer.
        through: the dtype, or the device, that the data was in between.
        n_new: how many times a narrowing cast read what had been made in the wider dtype right
            before, by no arithmetic.
        n_indexing: how many times the result was used as an index.
        n_moved_wide: how many times a narrowing cast read what had been moved wide right before.
        n_overflow: finite values that the target could not hold.
        largest: the largest magnitude of those.
        n_underflow: values that were not zero and became it.
        n_looked_at: values that were looked at for both.
        first_at: seconds from the start of the trace to the first time.
    """

    what: What
    shape: tuple[int, ...] = ()
    count: int = 0
    n_bytes_read: int = 0
    n_bytes_written: int = 0
    seconds: float = 0.0
    n_repeated: int = 0
    n_returned: int = 0
    through: str = ""
    n_new: int = 0
    n_indexing: int = 0
    n_moved_wide: int = 0
    n_overflow: int = 0
    largest: float = 0.0
    n_underflow: int = 0
    n_looked_at: int = 0
    n_unchecked: int = 0
    first_at: float = field(default=0.0, compare=False)

    def __repr__(self) -> str:
        at = self.what
        formats = " -> ".join(dict.fromkeys(filter(None, (at.source, at.target))))
        times = f"{self.count:,} times" if self.count > 1 else ""
        return brief(self, at.kind, formats, times, str(at.place or ""))

    @property
    def is_torchs_own(self) -> bool:
        """Whether it is a step of torch's own on a single number: of GradScaler, an optimizer."""
        return self.what.within.startswith(_STEPS) and math.prod(self.shape) <= 1

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON's own types, those of `what` beside the counts."""
        flat = asdict(self)
        what = flat.pop("what")
        return {**what, **flat, "shape": list(self.shape)}

    def add(self, other: Site) -> None:
        """Counts what another process saw at the same line."""
        if other.n_bytes_read > self.n_bytes_read:
            self.shape = other.shape
        for name in (
            "count", "n_bytes_read", "n_bytes_written", "seconds", "n_repeated", "n_returned",
            "n_new", "n_indexing", "n_moved_wide", "n_overflow", "n_underflow", "n_looked_at",
            "n_unchecked",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.through = self.through or other.through
        self.largest = max(self.largest, other.largest)
