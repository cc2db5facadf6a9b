"""Tensors in a GPU's memory, of which no part can be handed back: chunk by chunk, all the same.

Of one width, chunks go through a bounded buffer into the same memory. Of a small tensor the result
is allocated beside it. A large one goes over pinned host memory, as the narrower of both, so that
the device holds the larger of both and a chunk at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..bridges.torch.pairs import is_pairs
from ..bridges.torch.tensor import dtype_of, format_of
from ..core.loss import Loss, loss_of
from ..core.pairs import may_refuse
from ..core.refusal import refuse
from ..errors import InPlaceError
from ..judgement import can_collapse
from ..kernels import torch_ops
from ..kernels.replacing import CHUNK_BYTES
from ..policy import Policy, ResolvedPolicy
from .blocks import Wish, refusal
from .exclusivity import Interface, Mappings, Obstacle
from .obstacles import sharing

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class DeviceJob:
    """A tensor that is alone on its memory on a device, and what it is to become."""

    wish: Wish
    policy: ResolvedPolicy


def plan_on_device(wishes: Sequence[Wish], policy: Policy, interface: Interface) -> list[DeviceJob]:
    """Prove every tensor alone.

    Raises:
        InPlaceError: one is not, or its elements have no order in memory that counts.
    """
    jobs = []
    for wish in wishes:
        x = wish.tensor
        obstacle = sharing(x, interface, Mappings(), is_gradient=wish.is_gradient)
        row = format_of(x)
        job = DeviceJob(wish, policy.resolve(row, wish.target))
        if obstacle is None and (is_pairs(x.dtype) or is_pairs(dtype_of(wish.target))):
            obstacle = Obstacle("layout", "has two elements to a byte", "Use tensorcast.cast.")
        if obstacle is None and job.policy.rounding == "stochastic":
            obstacle = Obstacle(
                "device",
                f"is on {x.device}, and stochastic rounding by chunks is not there yet",
                "Use tensorcast.cast.",
            )
        if obstacle is not None:
            raise refusal(wish, obstacle)
        jobs.append(job)
    return jobs


def look_on_device(
    jobs: Sequence[DeviceJob], report: bool, watches: bool = False
) -> dict[str, Loss]:
    """Every value against its policy, before anything is changed; the losses by name.

    Args:
        watches: also count what `Loss.collapses` needs, where the formats allow it.
    """
    losses = {}
    for job in jobs:
        x, target, policy = job.wish.tensor.detach(), job.wish.target, job.policy
        row = format_of(x)
        refusable = may_refuse(row, target, policy)
        watched = watches and can_collapse(row, target, policy)
        if refusable or report or watched:
            full = report or policy.exact
            raw = torch_ops.cast_tensor(x, None, row, target, policy, full, collapses=watched)
            loss = loss_of(raw, row, target, policy, x.numel(), full, watched)
            refuse(loss, policy, tuple(x.shape), job.wish.name)
            losses[job.wish.name] = loss
    return losses


def convert_on_device(jobs: Sequence[DeviceJob], chunk_bytes: int = CHUNK_BYTES) -> None:
    """Convert what was proved and looked at. An interrupt waits for the end."""
    if jobs:
        _uninterrupted(lambda: _convert_all(jobs, chunk_bytes))


def _uninterrupted(work: Callable[[], object]) -> None:
    """Run to the end or not at all, in another thread: Python delivers interrupts to the main one,
    which waits."""
    failure: list[BaseException] = []
    begun, given_up, finished = threading.Event(), threading.Event(), threading.Event()
    gate, done = threading.Lock(), threading.Lock()
    gate.acquire()
    done.acquire()

    def run() -> None:
        gate.acquire()
        begun.set()
        try:
            if not given_up.is_set():
                work()
        except BaseException as error:
            failure.append(error)
        finally:
            finished.set()
            done.release()

    interrupt: BaseException | None = None
    try:
        threading.Thread(target=run).start()  # an interrupt in here finds the gate closed
        gate.release()
    except BaseException as error:
        interrupt = error
        given_up.set()
        if gate.locked():
            gate.release()
    # either it sees that it was given up, or it is seen to have begun
    while interrupt is None or begun.is_set():
        try:
            if finished.is_set():
                break
            done.acquire(timeout=0.05)  # join() of Python 3.11 forgets a thread when interrupted
        except BaseException as error:
            interrupt = error
            given_up.set()
    if failure:
        raise failure[0]
    if interrupt is not None:
        raise interrupt


def _convert_all(jobs: Sequence[DeviceJob], chunk_bytes: int) -> None:
    for job in jobs:
        _convert(job, chunk_bytes)


def _convert(job: DeviceJob, chunk_bytes: int) -> None:
    import torch

    with torch.no_grad():
        x = job.wish.tensor
        size, strides, device = x.shape, x.stride(), x.device
        n = _n_spanned(x)
        source: Any = torch.empty(0, dtype=x.dtype, device=device)
        source.set_(x.untyped_storage(), x.storage_offset(), (n,), (1,))
        dtype = dtype_of(job.wish.target)
        per_chunk = max(1, chunk_bytes // max(x.dtype.itemsize, dtype.itemsize))
        chunks = [slice(i, min(n, i + per_chunk)) for i in range(0, n, per_chunk)]

        def cast_into(out: torch.Tensor, codes: torch.Tensor) -> None:
            row = format_of(codes)
            torch_ops.cast_tensor(codes, out, row, job.wish.target, job.policy, count=False)

        if x.dtype.itemsize == dtype.itemsize:
            target = source.view(dtype)
            for at in chunks:
                cast_into(target[at], source[at].clone())
        elif n * min(x.dtype.itemsize, dtype.itemsize) <= chunk_bytes:
            target = torch.empty(n, dtype=dtype, device=device)
            for at in chunks:
                cast_into(target[at], source[at])
        else:
            target = _over_the_host(source, dtype, chunks, cast_into)
        new: Any = torch.empty(0, dtype=dtype, device=target.device)
        x.data = new.set_(target.untyped_storage(), target.storage_offset(), size, strides)
        if target.device != device:
            raise InPlaceError(
                f"{job.wish.name or 'the tensor'} was converted, but is in the host's memory: "
                f"another thread took the room it had on {device}. Bring it back with "
                f"x.data = x.data.to({str(device)!r}).",
                "device",
            )


def _over_the_host(
    source: torch.Tensor,
    dtype: torch.dtype,
    chunks: Sequence[slice],
    cast_into: Callable[[torch.Tensor, torch.Tensor], None],
) -> torch.Tensor:
    """The result's memory, filled, after the source's has been freed. If there is no room for it
    then: the source as it was and an exception, or the result in the host's memory."""
    import torch

    n, device, narrows = source.numel(), source.device, dtype.itemsize < source.dtype.itemsize
    pinned = device.type == "cuda"
    host = torch.empty(n, dtype=dtype if narrows else source.dtype, pin_memory=pinned)
    if narrows:
        for at in chunks:
            narrow = torch.empty(at.stop - at.start, dtype=dtype, device=device)
            cast_into(narrow, source[at])
            host[at].copy_(narrow)
        del narrow
    else:
        for at in chunks:
            host[at].copy_(source[at])
    n_bytes = source.untyped_storage().nbytes()
    source.untyped_storage().resize_(0)
    try:
        target = torch.empty(n, dtype=dtype, device=device)
    except RuntimeError:  # out of memory: others took it meanwhile
        if narrows:
            return host
        source.untyped_storage().resize_(n_bytes)
        source.copy_(host)
        raise
    for at in chunks:
        if narrows:
            target[at].copy_(host[at])
        else:
            cast_into(target[at], host[at].to(device))
    return target


def _n_spanned(x: torch.Tensor) -> int:
    """Elements of memory from the first to the last."""
    if x.numel() == 0:
        return 0
    return 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
