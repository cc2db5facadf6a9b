"""Every cast, promotion, transfer and synchronisation of the code that runs inside, by line."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from contextlib import ExitStack
from typing import Any

from ...words.summary import brief
from ...words.units import duration, plural
from .findings import Finding, findings_of
from .modes import modes
from .recorder import Recorder, received
from .sites import Kind, Site
from .wording import NOTHING, as_html, as_text


def trace(model: Any = None, *, values: bool = True) -> Trace:
    """Records what happens to dtypes while the code inside the block runs.

    What this thread runs is seen, its backward passes and the worker processes that it forks
    (a `DataLoader`'s) too; each event with the user's line, the module and the parameter. Torch
    runs a compiled function operation by operation inside, so that its casts are seen as well,
    those that the compiler would have fused away included. `tensorcast.cast` and `tensorcast.cast_`
    of torch tensors are seen too.

    Args:
        model: whose modules and parameters are named as `named_parameters` does; None: the
            outermost module that runs is taken.
        values: whether casts to a narrower range look for values beyond it (one more reading of
            their source).

    Example:
        >>> import torch, tensorcast
        >>> x = torch.ones(1000)
        >>> with tensorcast.trace() as t:
        ...     y = x.half().float()
        >>> [(site.what.source, site.what.target, site.n_bytes_written) for site in t.sites]
        [('float32', 'float16', 2000), ('float16', 'float32', 4000)]
        >>> t.findings[0].what
        'float32 -> float16 -> float32 with nothing in between'
    """
    return Trace(model, values=values)


class Trace:
    """What happened to dtypes while a block ran: `tensorcast.trace` makes one.

    Attributes:
        sites: what happened, one `Site` for all that is alike at a line, in the order seen; there
            when the block has ended, also when it raised.
        timeline: the events of this process in order, of more than 20,000 an even sample: seconds
            from the start, seconds in the operation, index of the site in `sites`.
        seconds: in the block.
        n_operations: torch's operations seen.
        failures: what tensorcast could not look at, and why, each once; it ran all the same.
    """

    def __init__(self, model: Any = None, *, values: bool = True) -> None:
        self.sites: tuple[Site, ...] = ()
        self.timeline: tuple[tuple[float, float, int], ...] = ()
        self.seconds = 0.0
        self.n_operations = 0
        self.failures: tuple[str, ...] = ()
        self._model = model
        self._values = values
        self._stack: ExitStack | None = None
        self._findings: tuple[Finding, ...] | None = None

    def __enter__(self) -> Trace:
        if self._stack is not None or self.n_operations:
            raise RuntimeError("a trace records one block; make a new one")
        self._recorder = Recorder(self._model, values=self._values)
        operations, methods = modes(self._recorder)
        name = f"tensorcast-trace-{secrets.token_hex(16)}"
        self._spool = self._recorder.spool = os.path.join(tempfile.gettempdir(), name)
        self._stack = ExitStack()
        self._stack.callback(self._collect)
        self._stack.enter_context(methods)
        self._stack.enter_context(operations)
        self._begin = self._recorder.start = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._stack is not None
        self.seconds = time.perf_counter() - self._begin
        self._stack.close()

    def _collect(self) -> None:
        recorder = self._recorder
        self.n_operations = recorder.n_operations
        self.failures = tuple(f"{text} ({n:,} times)" for text, n in recorder.failures.items())
        for event in received(self._spool):
            site = recorder.sites.setdefault(event.what, event)
            if site is not event:
                site.add(event)
        if os.path.isdir(self._spool):
            shutil.rmtree(self._spool, ignore_errors=True)
        self.sites = tuple(recorder.sites.values())
        index = {what: i for i, what in enumerate(recorder.sites)}
        events = ((at, took, index[what]) for at, took, what in recorder.timeline)
        self.timeline = tuple(sorted(events))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What of it is worth a change, the most expensive first."""
        if self._findings is None:
            self._findings = findings_of(self.sites)
        return self._findings

    def of(self, kind: Kind) -> tuple[Site, ...]:
        """The sites of one kind."""
        return tuple(site for site in self.sites if site.what.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON's own types."""
        return {
            "seconds": self.seconds,
            "n_operations": self.n_operations,
            "failures": list(self.failures),
            "findings": [finding.to_dict() for finding in self.findings],
            "sites": [site.to_dict() for site in self.sites],
        }

    def __repr__(self) -> str:
        if not self.n_operations and not self.sites:
            return brief(self, "nothing recorded")
        n = plural(self.n_operations, "operation")
        found = plural(len(self.findings), "finding") if self.findings else NOTHING
        return brief(self, found, f"{n} in {duration(self.seconds)}")

    def __str__(self) -> str:
        failures = [f"not looked at: {text}" for text in self.failures]
        return "\n".join([as_text(self.findings, self.sites), *failures])

    def _repr_html_(self) -> str:
        return as_html(self.findings, self.sites)
