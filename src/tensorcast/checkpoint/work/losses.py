"""What each tensor of a checkpoint would lose in each of some formats: nothing is written."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from ...core.block import cast_chunk
from ...core.loss import Loss
from ...formats import Format, lookup
from ...policy import Policy
from ..opening import as_checkpoint
from ..protocol import Checkpoint
from .chunking import Buffers, Chunk, Files, chunk_elements, chunks, n_chunks, n_threads, work_off
from .stream import read_chunk
from .worker import Progress, Report, TensorState

CANDIDATES = ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")


def measure(
    checkpoint: Checkpoint | str | os.PathLike[str],
    candidates: Sequence[Format | str] = CANDIDATES,
    *,
    threads: int | None = None,
    progress: Report | None = None,
) -> dict[str, dict[str, Loss]]:
    """The full `Loss` of every floating tensor for every candidate format.

    Each chunk is read once and measured for all candidates, as a saturating cast with rounding
    to nearest even.

    Args:
        checkpoint: from `open_checkpoint`, or its path.
        candidates: formats, by any spelling.
        threads: see `chunking.n_threads`.
        progress: called in this thread with a `Progress` of phase "measure".

    Returns:
        tensor name -> format name -> loss, in the checkpoint's and the candidates' order.
    """
    checkpoint = as_checkpoint(checkpoint)
    rows = [lookup(candidate) for candidate in candidates]
    tensors = [
        tensor for tensor in checkpoint.tensors if tensor.is_plain and tensor.numbers.is_float
    ]
    paths = [checkpoint.root / tensor.file for tensor in tensors]
    states = [{row.name: TensorState(bytearray()) for row in rows} for _ in tensors]
    policy = Policy(overflow="saturate", nan="zero")
    total = sum(tensor.n_bytes for tensor in tensors)
    lock = threading.Lock()
    done = 0

    uses = (
        (path, n_chunks(tensor.n_elements, chunk_elements(tensor)))
        for path, tensor in zip(paths, tensors, strict=True)
    )
    with Files(uses) as files:

        def work(chunk: Chunk, buffers: Buffers) -> None:
            nonlocal done
            tensor = tensors[chunk.step]
            view = read_chunk(files, paths[chunk.step], tensor, chunk, buffers.source)
            for row in rows:
                loss = cast_chunk(
                    view,
                    None,
                    tensor.numbers,
                    row,
                    policy.resolve(tensor.numbers, row),
                    n_elements=chunk.n_elements,
                    first_index=chunk.first,
                    report=True,
                )
                with lock:
                    states[chunk.step][row.name].add(chunk.number, loss)
            with lock:
                done += len(view)

        def tick() -> None:
            if progress is not None:
                progress(Progress("measure", done, total))

        work_off(
            work,
            (
                chunk
                for index, tensor in enumerate(tensors)
                for chunk in chunks(index, tensor.n_elements, chunk_elements(tensor))
            ),
            buffers=Buffers.chunk,
            threads=n_threads(threads),
            tick=tick,
            wake=threading.Event(),
        )
    return {
        tensor.name: {name: each.loss for name, each in state.items() if each.loss is not None}
        for tensor, state in zip(tensors, states, strict=True)
    }
