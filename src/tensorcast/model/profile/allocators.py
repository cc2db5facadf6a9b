"""What torch's own allocators say of the memory that a stretch of code takes at its peak, work
space inside operations included; pauses do not count."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

_PAUSE: Final = "tensorcast looks"


@dataclass(frozen=True)
class Reading:
    """What an allocator said.

    Attributes:
        n_bytes: at the peak above those at the begin.
        op: torch's name of the innermost operation that ran at the peak, "aten::addmm"; "" where
            the allocator does not know it.
    """

    n_bytes: int
    op: str = ""


class AllocatorPeak(Protocol):
    """Counts from when it is made."""

    def pause(self) -> None:
        """What is taken from here on, and given back, does not count."""

    def go_on(self) -> None:
        """It counts again."""

    def finish(self) -> Reading | None:
        """The peak; None where it is not known."""


def allocator_peak() -> AllocatorPeak | None:
    """That of CUDA where it is in use, else the CPU's; None where another profiler runs."""
    import torch

    gc.collect()  # tensors in cycles of garbage, freed meanwhile, would count against it
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return _Gpu()
    enabled = getattr(torch._C._autograd, "_profiler_enabled", None)
    if enabled is None or enabled():
        return None
    try:
        return _Cpu()
    except (AttributeError, ImportError, RuntimeError, TypeError):  # not in this torch
        return None


class _Gpu:
    """By the counters of CUDA's allocator, which start anew here."""

    def __init__(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()
        self._before = torch.cuda.memory_allocated()
        self._peak = 0

    def pause(self) -> None:
        import torch

        self._peak = max(self._peak, torch.cuda.max_memory_allocated() - self._before)

    def go_on(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats()

    def finish(self) -> Reading | None:
        self.pause()
        return Reading(self._peak)


class _Cpu:
    """By torch's simple profiler: it writes down each block that is taken and given back, in order,
    and costs little."""

    def __init__(self) -> None:
        import torch
        from torch.autograd import _enable_profiler_legacy  # type: ignore[attr-defined]

        of = torch._C._profiler
        self._mark: Any = None
        self._marker = of._RecordFunctionFast
        _enable_profiler_legacy(
            of.ProfilerConfig(
                of.ProfilerState.CPU, False, True, False, False, False, of._ExperimentalConfig()
            )
        )

    def pause(self) -> None:
        self._mark = self._marker(_PAUSE)
        self._mark.__enter__()

    def go_on(self) -> None:
        self._mark.__exit__(None, None, None)

    def finish(self) -> Reading | None:
        from torch.autograd import _disable_profiler_legacy  # type: ignore[attr-defined]

        threads = _disable_profiler_legacy()
        found = max(map(_peak_of, threads), key=lambda reading: reading.n_bytes, default=None)
        return found if found is not None and found.n_bytes else None


def _peak_of(events: Iterable[Any]) -> Reading:
    """Of one thread's events: operations begin and end, blocks come and go."""
    alive = peak = paused = 0
    op = ""
    running: list[str] = []
    for event in events:
        kind = event.kind()
        if kind == "push":
            running.append(event.name())
            if running[-1] == _PAUSE and not paused:
                paused = len(running)
        elif kind == "pop":
            if len(running) == paused:
                paused = 0
            if running:
                running.pop()
        elif kind == "memory_alloc" and not paused:
            alive += event.cpu_memory_usage()
            if alive > peak:
                peak, op = alive, running[-1] if running else ""
    return Reading(peak, op)
