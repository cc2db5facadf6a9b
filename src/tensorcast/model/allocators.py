"""What torch's own allocators say of the memory that a stretch of code takes at its peak, work
space inside operations included; pauses do not count."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import Any, Final, Protocol

_PAUSE: Final = "tensorcast looks"


class AllocatorPeak(Protocol):
    """Counts from when it is made."""

    def pause(self) -> None:
        """What is taken from here on, and given back, does not count."""

    def go_on(self) -> None:
        """It counts again."""

    def finish(self) -> int | None:
        """Bytes at the peak above those at the begin; None where it is not known."""


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

    def finish(self) -> int | None:
        self.pause()
        return self._peak


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

    def finish(self) -> int | None:
        from torch.autograd import _disable_profiler_legacy  # type: ignore[attr-defined]

        threads = _disable_profiler_legacy()
        return max(map(_peak_of, threads), default=0) or None


def _peak_of(events: Iterable[Any]) -> int:
    """Of one thread's events: operations begin and end, blocks come and go."""
    alive = peak = depth = paused = 0
    for event in events:
        kind = event.kind()
        if kind == "push":
            depth += 1
            if event.name() == _PAUSE and not paused:
                paused = depth
        elif kind == "pop":
            if depth == paused:
                paused = 0
            depth -= 1
        elif kind == "memory_alloc" and not paused:
            alive += event.cpu_memory_usage()
            peak = max(peak, alive)
    return peak
