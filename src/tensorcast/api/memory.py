"""The memory of results: huge pages, and a pool of it.

>>> import tensorcast as tc
>>> tc.memory.huge_pages() in (True, False)
True
"""

from __future__ import annotations

from ..bridges.pool import Pool, reuse
from ..kernels import cpu

__all__ = ["Pool", "huge_pages", "reuse"]


def huge_pages(enabled: bool | None = None) -> bool:
    """Whether large fresh results ask the kernel for huge pages, which halves the time of writing
    them; with an argument, switch that on or off for this process.

    Only fresh memory of 4 MiB or more is advised (`madvise(MADV_HUGEPAGE)`, Linux), before its
    first touch; it stays torch's or NumPy's memory. The environment variable
    TENSORCAST_HUGE_PAGES=0 starts a process with it off.

    Returns: what held before the call.

    Example:
        >>> before = huge_pages(False)
        >>> huge_pages(before)
        False
    """
    return cpu.huge_pages(enabled)
