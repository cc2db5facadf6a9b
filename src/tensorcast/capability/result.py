"""What each format gives on a machine: what was measured, found in it, said of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any

from ..words.summary import brief
from ..words.text import plain
from ..words.units import plural
from .data import BUSY, SCHEMA, CastMeasurement, Machine, Measurement, Misfit, Missing, Ratio
from .notebook import as_html
from .reading import dump, members_of, read, write
from .verdicts import verdicts_of
from .wording import lines


@dataclass(frozen=True)
class Capability:
    """What each format gives on a machine: `tensorcast.bench` measures it.

    Printed, and shown in a notebook, it is a verdict in words and tables.

    Attributes:
        machine: what was measured on.
        versions: of tensorcast, Python and the libraries.
        n_threads: of the CPU, the same for everyone who can be told.
        date: ISO 8601, in UTC.
        seconds: it took.
        n_cpus_others: CPUs that other processes kept busy meanwhile, of those that this one could
            use, in the mean; None if it is not known.
        measurements, casts: what was measured.
        misfits: what other libraries make of values that do not fit.
        missing: what was not measured, and why.
    """

    machine: Machine
    versions: Mapping[str, str]
    n_threads: int
    date: str
    seconds: float
    n_cpus_others: float | None = None
    measurements: tuple[Measurement, ...] = ()
    casts: tuple[CastMeasurement, ...] = ()
    misfits: tuple[Misfit, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def was_busy(self) -> bool:
        """Whether others had so much of the CPUs that the times are worth less."""
        return self.machine.device == "cpu" and (self.n_cpus_others or 0.0) > BUSY

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What follows for somebody who chooses a format, a sentence each; nothing is said where
        the difference lies within the noise, and nothing at all of a busy machine."""
        return () if self.was_busy else verdicts_of(self)

    def find(
        self, operation: str, format: str | None = None, *, case: str | None = None
    ) -> tuple[Measurement, ...]:
        """The measurements of an operation, in a format, at a size; in the order of measuring."""
        return tuple(
            m
            for m in self.measurements
            if m.operation == operation and format in (None, m.format) and case in (None, m.case)
        )

    def speedup(
        self, operation: str, format: str, *, against: str = "float32", case: str | None = None
    ) -> Ratio | None:
        """How many times as fast as `against` the operation is in a format, by its fastest way, at
        the size `case` or else the largest; None where either was not measured."""
        cases = [m.case for m in self.find(operation, case=case)]
        if not cases:
            return None
        found = [
            min(self.find(operation, name, case=cases[-1]), key=_median, default=None)
            for name in (format, against)
        ]
        ours, theirs = found
        return None if ours is None or theirs is None else ours.speedup(theirs)

    def to_dict(self) -> dict[str, Any]:
        """The document that `write` writes and `from_dict` reads, of JSON's own types."""
        head = {
            "version": self.versions.get("tensorcast", ""),
            "schema": SCHEMA,
            "command": "bench",
        }
        body: dict[str, Any] = _lists(asdict(self))
        for member, measurement in zip(body["measurements"], self.measurements, strict=True):
            sqnr = measurement.sqnr_db
            member["sqnr_db"] = "inf" if sqnr == inf else sqnr
        return {"tensorcast": head, **body, "verdicts": list(self.verdicts)}

    def to_json(self) -> str:
        """`to_dict` as text, a measurement on each line."""
        return dump(self.to_dict())

    @classmethod
    def from_dict(cls, document: object) -> Capability:
        """What `to_dict` gave. Every member is checked; verdicts are made anew.

        Raises:
            CorruptFileError: it is no such document; the message says where.
        """
        return cls(**members_of(document, "capability"))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Capability:
        """The capability file, as `tensorcast bench --out` or `write` wrote it.

        Raises:
            CorruptFileError: the file is no capability file, or breaks its rules.
            OSError: it cannot be read.

        Example:
            >>> from tensorcast.capability.data import Machine
            >>> made = Capability(Machine("cpu", "some CPU"), {"torch": "2.13.0"}, 2,
            ...                   "2026-01-31T12:00:00+00:00", 0.0)
            >>> made.write("capability.json")
            >>> Capability.read("capability.json") == made
            True
        """
        return cls(**read(Path(path)))

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the capability file, whole or not at all; an existing one is replaced."""
        write(self.to_json() + "\n", Path(path))

    def __repr__(self) -> str:
        n = len(self.measurements) + len(self.casts)
        return brief(
            self, self.machine.name, plural(n, "measurement"), plural(self.n_threads, "thread"),
            self.date[:10], "busy machine" if self.was_busy else "",
        )  # fmt: skip

    def __str__(self) -> str:
        return "\n".join(plain(row) for row in lines(self, 100))

    def _repr_html_(self) -> str:
        return as_html(self)


def _lists(value: Any) -> Any:
    """The same with lists for tuples."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, tuple) else value


def _median(measurement: Measurement) -> float:
    return measurement.seconds.median
