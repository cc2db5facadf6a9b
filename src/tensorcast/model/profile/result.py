"""A profile: what was looked at, what was found in it, and how it is said."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ...words.summary import brief
from ...words.text import plain
from ...words.units import human_bytes, plural
from ..trace.findings import Finding
from ..trace.wording import NOTHING
from .data import Candidate, Peak, Role, Size, TensorProfile
from .notebook import as_html
from .wording import lines, title

SCHEMA: Final = 1


@dataclass(frozen=True)
class Profile:
    """What a model takes and holds: `tensorcast.profile` makes one. Printed, findings come first.

    Attributes:
        model: the model's class; "state dict" or "tensor" where it is one.
        torch: the version of torch.
        has_inputs: whether the model ran.
        with_grad: whether it ran with gradients on.
        tensors: each of them, with ranges and losses.
        sizes: bytes by role, module, format and device; they add up to the memory that is taken.
        peak: of the forward; None where nothing ran.
        candidates: what other formats would make of the weights and of the activations.
        findings: what is worth a change, wrong values first, then the largest.
        notes: what could not be seen, and why.
        error: what the forward raised; None where it went through.
        seconds: the profile took.
    """

    model: str
    torch: str
    has_inputs: bool
    with_grad: bool
    tensors: tuple[TensorProfile, ...]
    sizes: tuple[Size, ...]
    peak: Peak | None
    candidates: tuple[Candidate, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    error: Exception | None = field(default=None, compare=False)
    seconds: float = field(default=0.0, compare=False)

    def n_bytes_of(self, *roles: Role) -> int:
        """Bytes of these roles, of all without any; of activations those at the peak."""
        return sum(size.n_bytes for size in self.sizes if not roles or size.role in roles)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON's own types; within one "schema" number keys are only added."""
        roles = dict.fromkeys(size.role for size in self.sizes)
        return {
            "schema": SCHEMA,
            "model": self.model,
            "torch": self.torch,
            "has_inputs": self.has_inputs,
            "with_grad": self.with_grad,
            "seconds": self.seconds,
            "n_bytes": {role: self.n_bytes_of(role) for role in roles},
            "findings": [finding.to_dict() for finding in self.findings],
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "sizes": [asdict(size) for size in self.sizes],
            "peak": asdict(self.peak) if self.peak else None,
            "tensors": [tensor.to_dict() for tensor in self.tensors],
            "notes": list(self.notes),
            "error": f"{type(self.error).__name__}: {self.error}" if self.error else None,
        }

    def __repr__(self) -> str:
        n = len(self.findings)
        memory = human_bytes(self.n_bytes_of())
        found = plural(n, "finding") if n else NOTHING
        return brief(self, title(self), plural(len(self.tensors), "tensor"), memory, found)

    def __str__(self) -> str:
        return "\n".join(plain(line) for line in lines(self, width=100))

    def _repr_html_(self) -> str:
        return as_html(self)
