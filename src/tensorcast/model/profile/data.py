"""What a profile holds: plain data, from which text, HTML and JSON are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isinf, isnan
from typing import Any, Literal

from ...core.loss import Loss
from ...core.totals import Total
from ...words.summary import brief
from ...words.units import human_bytes, shape
from ..watch.places import Place
from .value_ranges import Values

Role = Literal["parameter", "buffer", "gradient", "optimizer", "input", "activation", "tensor"]
"""tensor: of a state dict, or given alone."""


@dataclass(frozen=True)
class TensorProfile:
    """One tensor: a parameter, buffer, gradient, part of an optimizer's state, an input, or a
    module's output.

    Attributes:
        name: "encoder.layer.0.output.dense.weight"; of an activation the module's path, with [1]
            or ['key'] where the module gives several; of a gradient the parameter's; of optimizer
            state the parameter's and the state's, "weight.exp_avg".
        role: see `Role`.
        module: the path of the module it belongs to; "" of the model itself.
        kind: the module's class, "Linear"; "" where there is none.
        format: the number format's name, or torch's dtype where it is none of ours.
        shape: of the tensor; an activation's largest.
        n_elements: of them.
        n_bytes: of memory that it adds: 0 where another tensor's is shared. Of an activation, its
            own size; what is alive at the peak stands in `Profile.sizes`.
        device: "cpu", "cuda:0", "meta".
        shared_with: the name of the tensor whose memory it stands in (tied weights, views).
        count: of an activation, how many times its module ran.
        place, called_from: of an activation, the line that called its module (see `places.Stack`).
        note: why values or sizes are not all known; "" where they are.
        values: range and exponents; None where they cannot be seen.
        losses: candidate format -> what a cast would lose; of weights in two dimensions or more
            also "int8 (a scale per row)", which is no plain cast.
    """

    name: str
    role: Role
    module: str
    kind: str
    format: str
    shape: tuple[int, ...]
    n_elements: int
    n_bytes: int
    device: str
    shared_with: str = ""
    count: int = 1
    place: Place | None = None
    called_from: Place | None = None
    note: str = ""
    values: Values | None = None
    losses: Mapping[str, Loss] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = human_bytes(self.n_bytes)
        return brief(self, self.name or self.role, self.role, self.format, shape(self.shape), size)

    def to_dict(self) -> dict[str, Any]:
        """The fields, as JSON's own types; `losses` as "candidates"."""
        return {
            "name": self.name,
            "role": self.role,
            "module": self.module,
            "kind": self.kind,
            "format": self.format,
            "shape": list(self.shape),
            "n_elements": self.n_elements,
            "n_bytes": self.n_bytes,
            "device": self.device,
            "shared_with": self.shared_with,
            "count": self.count,
            "place": asdict(self.place) if self.place else None,
            "called_from": asdict(self.called_from) if self.called_from else None,
            "note": self.note,
            "values": self.values.to_dict() if self.values else None,
            "candidates": {
                name: {**loss.to_dict(), "verdict": verdict_of(loss)}
                for name, loss in self.losses.items()
            },
        }


@dataclass(frozen=True)
class Size:
    """Bytes of one role, module, format and device.

    Attributes:
        role: see `Role`; of an activation, what is alive at the peak.
        module, kind: whose; of an activation the innermost module that made it.
        format, device: of the tensors; "workspace" is no format, but what operations take within
            themselves at the peak.
        n_tensors, n_bytes: how many, and of how much memory, shared memory once.
    """

    role: Role
    module: str
    kind: str
    format: str
    device: str
    n_tensors: int
    n_bytes: int


@dataclass(frozen=True)
class Peak:
    """The moment of the forward at which most memory is alive.

    Attributes:
        n_bytes: of activations: all that the forward made and nobody had freed.
        n_tensors: storages of them.
        module: the path of the innermost module that ran.
        op: torch's name of the operation, "aten::addmm".
        saved: of n_bytes, what is kept for the backward pass.
        after: bytes of activations alive when the forward is done, its result among them.
        allocator: what torch's allocator says of the forward's peak, what operations take within
            themselves included; None where it could not be asked (another profiler runs).
        allocator_op: the operation that ran at the allocator's peak; "" where it is not known.
    """

    n_bytes: int
    n_tensors: int
    module: str
    op: str
    saved: int
    after: int
    allocator: int | None = None
    allocator_op: str = ""


@dataclass(frozen=True)
class Candidate:
    """What all of the weights, gradients or activations would be in another format.

    Attributes:
        of: which of them.
        total: counts, SQNR, the worst tensor.
        n_bytes_before, n_bytes_after: of the measured tensors; of activations all outputs together,
            which are not all alive at once.
        sentence: the verdict with its reasons.
        scale: what comes with the numbers, "a scale per row"; "" of a plain cast.
    """

    of: Literal["weights", "gradients", "activations"]
    total: Total
    n_bytes_before: int
    n_bytes_after: int
    sentence: str
    scale: str = ""

    def __repr__(self) -> str:
        return brief(self, self.of, self.label, self.sentence)

    @property
    def label(self) -> str:
        """The format's name, with the scale: as rows and sentences call it."""
        return f"{self.total.target} ({self.scale})" if self.scale else self.total.target

    def to_dict(self) -> dict[str, Any]:
        """The fields, those of `total` beside them, as JSON's own types."""
        return {
            "of": self.of,
            "scale": self.scale,
            **{key: plain(value) for key, value in asdict(self.total).items()},
            "verdict": self.total.verdict,
            "sentence": self.sentence,
            "n_bytes_before": self.n_bytes_before,
            "n_bytes_after": self.n_bytes_after,
        }


def verdict_of(loss: Loss) -> str:
    """The verdict on one tensor, as `core.totals.Total` has it on many."""
    from ...core.totals import total

    return total(loss.target, {"": loss}).verdict


def plain(value: Any) -> Any:
    """JSON's own types: an infinity is "inf", as in `Loss.to_dict`."""
    if isinstance(value, float) and (isinf(value) or isnan(value)):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
