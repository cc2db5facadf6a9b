"""How much memory this process took at its highest."""

from __future__ import annotations

import sys
from pathlib import Path


def n_bytes_peak() -> int | None:
    """Peak resident memory in bytes; None where the system does not say.

    On Linux from /proc (VmHWM), as the value of getrusage is inherited from the parent process
    that started this one.
    """
    try:
        for row in Path("/proc/self/status").read_text().splitlines():
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
