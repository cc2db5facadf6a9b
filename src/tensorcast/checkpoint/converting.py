"""A checkpoint in another number format, in one call."""

from __future__ import annotations

import inspect
import os
from typing import Unpack

from ..formats import Format
from .decide.preparing import Options, prepare
from .protocol import Checkpoint
from .work.running import Result, run
from .work.worker import Report


def convert(
    source: Checkpoint | str | os.PathLike[str],
    destination: str | os.PathLike[str],
    to: Format | str,
    *,
    force: bool = False,
    verify: bool = False,
    report: bool = False,
    threads: int | None = None,
    progress: Report | None = None,
    **options: Unpack[Options],
) -> Result:
    """Convert a checkpoint and write it: `tensorcast convert` in Python.

    The destination appears complete, in one step, or not at all; the source is not touched.
    Memory does not grow with the model.

    Args:
        source: the path of a file or directory.
        destination: the new file or directory; into a directory that is there a file goes under
            its own name.
        to: the format of floating tensors; integers, bool and complex stay.
        force: replace an existing destination; it lives until the new one is complete.
        verify: read the written files back and compare them with what the casts gave.
        report: the full `Loss` of every tensor, not only its counts.
        threads: how many; None: TENSORCAST_NUM_THREADS, else one per CPU, at most 16.
        progress: called in this thread with a `Progress`, some times a second.
        options: rules, keep, overflow, rounding, nan, inf, seed, max_shard_size, raw: see
            `tensorcast.checkpoint.prepare`.

    Raises:
        TensorOverflowError, TensorNanError, TensorCollapseError: tensors do not fit; every one is
            named, with a format that holds it, and nothing was written.
        Others: as `tensorcast.checkpoint.prepare` and `tensorcast.checkpoint.run` say.
    """
    job = prepare(source, destination, to, **options)
    return run(job, force=force, verify=verify, report=report, threads=threads, progress=progress)


def _signature() -> inspect.Signature:
    """Every keyword by its name, with `prepare`'s defaults."""
    own, prepared = inspect.signature(convert), inspect.signature(prepare)
    named = [each for name, each in own.parameters.items() if name != "options"]
    named += [each for name, each in prepared.parameters.items() if name in Options.__annotations__]
    return own.replace(parameters=named)


convert.__signature__ = _signature()  # type: ignore[attr-defined]
