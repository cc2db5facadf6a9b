"""Measures in a process of its own, so that the caller's threads and libraries do not count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from .. import errors
from ..errors import TensorcastError
from .measuring import FULL_SECONDS, PARTS, QUICK_SECONDS, Plan
from .reading import members_of
from .result import Capability


def bench(
    *,
    only: Sequence[str] = (),
    device: str | None = None,
    threads: int | None = None,
    seconds: float | None = None,
    quick: bool = False,
    progress: Callable[[float, str], None] | None = None,
) -> Capability:
    """What each format gives on this machine: speed, error and memory of casts, matrix products,
    convolution, attention and more, measured in a minute or so, with the verdict in words.

    It runs in a process of its own with the threads asked for; whatever of torch, TensorFlow and
    JAX is installed is imported there. Every result is compared with float64 before it is timed.

    Args:
        only: parts of it: "cast", "matmul", "linear", "conv2d", "attention", "layer_norm",
            "embedding". Empty: all.
        device: "cpu" or "cuda"; None takes a CUDA device where there is one.
        threads: of the CPU; None takes as many as torch does, one per core.
        seconds: in all; None is 45, or 10 if quick. Formats that crawl may take longer.
        quick: smaller operands, for a first look.
        progress: called with what is done (0 to 1) and what is next.

    Raises:
        ValueError: an argument is out of its range.
        MissingLibraryError: device="cuda", and there is no CUDA device, or no torch.
        TensorcastError: the process that measures ended; the message has its last words.

    Example:
        >>> import tensorcast
        >>> found = tensorcast.bench(only=["layer_norm"], quick=True, seconds=0.2)
        >>> found.find("layer_norm", "float64")[0].relative_error
        0.0
    """
    for part in only:
        if part not in PARTS:
            raise ValueError(f"{part!r} is not a part of the bench; they are {', '.join(PARTS)}")
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"device {device!r} is neither 'cpu' nor 'cuda'")
    if threads is not None and threads < 1:
        raise ValueError(f"threads={threads}: at least one")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ValueError(f"seconds={seconds}: above zero")
    plan = Plan(
        tuple(part for part in PARTS if part in only) or PARTS,
        device or "",
        threads or 0,
        seconds or (QUICK_SECONDS if quick else FULL_SECONDS),
        quick,
    )
    return run(plan, progress or _silent)


def _silent(done: float, what: str) -> None:
    del done, what


def run(plan: Plan, progress: Callable[[float, str], None]) -> Capability:
    """The plan, carried out by `python -m tensorcast.capability`: a line of JSON for each step,
    and the last one is the result or the error."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "tensorcast.capability", json.dumps(asdict(plan))],
        env=_environment(plan),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    import threading

    said: list[bytes] = []
    assert child.stdout is not None
    assert child.stderr is not None
    listener = threading.Thread(target=lambda: said.extend(child.stderr or ()), daemon=True)
    listener.start()
    last: dict[str, Any] = {}
    try:
        for line in child.stdout:
            last = json.loads(line)
            if "step" in last:
                progress(*last["step"])
        child.wait()
        listener.join()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if "result" in last:
        return Capability(**members_of(last["result"], "the measuring process"))
    if "error" in last:
        kind, message = last["error"]
        raised = getattr(errors, kind, TensorcastError)
        raise raised(message)
    words = b"".join(said[-20:]).decode("utf-8", "replace").strip()
    raise TensorcastError(
        f"the process that measures ended with exit code {child.returncode}"
        + (f" while it was at {last['step'][1]!r}" if "step" in last else "")
        + (f": {words}" if words else "")
    )


def _environment(plan: Plan) -> dict[str, str]:
    """The caller's paths, and the same number of threads for every library."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONWARNINGS": "ignore",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
    }
    if plan.n_threads:
        for name in ("TENSORCAST_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = str(plan.n_threads)
    return environment
