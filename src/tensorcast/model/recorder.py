"""Sees every operation torch runs, and counts those that convert, move or wait."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from tensorcast.bridges.outward import load

from .holdings import storage_of
from .operators import Role, converts, dtype_name, role
from .owners import Owners
from .places import Place, Stack, look
from .sites import Kind, Phase, Site, What

if TYPE_CHECKING:
    import torch

MAX_TIMELINE: Final = 20_000
"""Events kept one by one, of more an even sample; the counts of `Site` go on without end."""
_MAX_KNOWN: Final = 4096
_MAX_FORWARD: Final = 100_000
_MAX_FAILURES: Final = 20


@dataclass(slots=True)
class _Made:
    """Where the values in a storage came from: the last conversion, and the storage's version."""

    alive: Any  # a StorageWeakRef: while it is kept, no other storage has this identity
    version: int | None
    source: torch.dtype
    device: torch.device
    by: str  # "cast", "transfer" or "fresh"
    what: What


class Recorder:
    """Counts events by `What`.

    Args:
        model: whose parameters and modules are named; None: each outermost module that runs.
        values: whether casts to a narrower range look for values beyond it.
        on_event: called with each event before it is counted.
        lets_out: the errors of `on_event` that come out of the operation.

    Attributes:
        spool: a directory in which forked processes leave what they saw; "": they leave nothing.
        start: the moment that times count from.
        failures: errors of the recorder's own, and how often: what it could not look at ran all
            the same, and is not counted.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        values: bool = True,
        on_event: Callable[[What, Site], None] | None = None,
        lets_out: tuple[type[Exception], ...] = (),
    ) -> None:
        self.sites: dict[What, Site] = {}
        self.timeline: list[tuple[float, float, What]] = []
        self.n_operations = 0
        self._n_events = 0
        self._random = random.Random(0)  # so that a run gives the same sample again
        self._owners = Owners(model)
        self._values = values
        self.spool = ""
        self._on_event = on_event
        self._lets_out = lets_out
        self.failures: dict[str, int] = {}
        self._process = os.getpid()
        self.start = time.perf_counter()
        self._made: dict[int, _Made] = {}
        self._cast: dict[tuple[Any, ...], tuple[Any, int]] = {}
        self._room_made = self._room_cast = _MAX_KNOWN  # beyond it, what is gone is forgotten
        self._forward: dict[int, tuple[Stack, str]] = {}
        self._quiet = False

    # what the modes call

    def operation(self, operator: Any, args: Any, kwargs: Any) -> Any:
        """Runs one operation below autograd."""
        self.n_operations += 1
        its = role(operator)
        start = time.perf_counter()
        result = operator(*args, **kwargs)
        if its == "none":
            return result
        seconds = time.perf_counter() - start
        if its == "convert" or its == "copy":
            self._safely(self._converted, operator, its, args, result, seconds)
        else:
            self._safely(self._after, operator, its, args, kwargs, result)
        return result

    def method(self, name: str, function: Any, args: Any, kwargs: Any) -> Any:
        """Runs a method of Tensor that hands values to Python: numpy, tolist, cpu."""
        tensor = args[0]
        device = str(tensor.device)
        if name == "cpu":
            result = function(*args, **kwargs)
            if device == "cpu":  # costs nothing here
                self._safely(
                    self._record, "transfer", "Tensor.cpu", tensor, tensor.dtype, "cpu", 0.0, 0, 0
                )
            return result
        self._quiet, before = True, self._quiet
        start = time.perf_counter()
        try:
            result = function(*args, **kwargs)
        finally:
            self._quiet = before
        seconds = time.perf_counter() - start
        self._safely(self._handed_over, name, tensor, seconds)
        return result

    # what happened

    def _safely(self, look: Callable[..., object], *args: Any) -> None:
        """The code that is watched must not fail for the watching."""
        try:
            look(*args)
        except self._lets_out:
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            if text in self.failures or len(self.failures) < _MAX_FAILURES:
                self.failures[text] = self.failures.get(text, 0) + 1

    def _handed_over(self, name: str, tensor: Any, seconds: float) -> None:
        python = "ndarray" if name == "numpy" else "list"
        n_bytes = _n_bytes(tensor) if name == "tolist" or tensor.device.type != "cpu" else 0
        self._record(
            "synchronisation", f"Tensor.{name}", tensor, python, "cpu", seconds, n_bytes, 0
        )

    def _converted(self, operator: Any, its: Role, args: Any, result: Any, seconds: float) -> None:
        source = args[its == "copy"]
        moves = result.device != source.device
        if result.dtype is source.dtype and not moves:
            return
        kind: Kind = "transfer" if moves else "cast"
        read, written = _n_bytes(source), _n_bytes(result)
        facts = self._trace_back(kind, source, result)
        if self._values and kind == "cast":
            facts.update(_overflow(source, result.dtype))
        what = self._record(
            kind, operator.name(), source, result.dtype, str(result.device), seconds, read,
            written, **facts,
        )  # fmt: skip
        self._remember(result, source, kind, what)

    def _after(self, operator: Any, its: Role, args: Any, kwargs: Any, result: Any) -> None:
        import torch

        if its == "wait":
            if not self._quiet:
                tensor = args[0]
                self._record(
                    "synchronisation", "Tensor.item", tensor, type(result).__name__, "cpu", 0.0,
                    tensor.itemsize, 0,
                )  # fmt: skip
            return
        made = result[0] if isinstance(result, (tuple, list)) and result else result
        if not isinstance(made, torch.Tensor):
            return
        target = made.dtype
        if its == "index":
            self._look_for_indices(args)
        elif its == "promote":
            for operand in _tensors(args):
                dtype = operand.dtype
                if operand.dim() and converts(dtype, target):
                    self._record(
                        "promotion", operator.name(), operand, target, str(made.device), 0.0,
                        _n_bytes(operand), operand.numel() * made.itemsize,
                    )  # fmt: skip
                    return
        if target is torch.float64 and made.numel() > 1:
            operands = list(_tensors((*args, *kwargs.values())))
            if its != "fresh" and any(operand.dtype is target for operand in operands):
                return
            source = operands[0] if operands and its != "fresh" else made
            what = self._record(
                "float64", operator.name(), source, target, str(made.device), 0.0, 0, _n_bytes(made)
            )
            self._remember(made, made, "fresh", what)

    def _record(
        self,
        kind: Kind,
        op: str,
        source: Any,
        target: Any,
        target_device: str,
        seconds: float,
        n_read: int,
        n_written: int,
        **facts: Any,
    ) -> What:
        """Counts one event, with what more is known of it: fields of `Site`."""
        import torch

        now = time.perf_counter() - self.start
        node = torch._C._current_autograd_node()
        phase: Phase = "forward"
        known = None
        if node is not None:
            phase = "backward"
            known = self._forward.get(node._sequence_nr())
        if known is None:
            stack = look(sys._getframe(2))
            known = stack, self._owners.path(stack.modules)
            if node is None and torch.is_grad_enabled():
                self._forward[torch._C._autograd._get_sequence_nr() - 1] = known
                if len(self._forward) > _MAX_FORWARD:  # of passes long gone: the oldest goes
                    del self._forward[next(iter(self._forward))]
        stack, module = known
        what = What(
            kind,
            op,
            dtype_name(source.dtype),
            target if isinstance(target, str) else dtype_name(target),
            str(source.device),
            target_device,
            stack.place,
            stack.called_from,
            module,
            self._owners.name(source),
            phase,
        )
        at = now - seconds
        event = Site(what, tuple(source.shape), 1, n_read, n_written, seconds, first_at=at, **facts)
        if self._on_event is not None:
            self._on_event(what, event)
        self._count(event)
        self._keep(at, seconds, what)
        return what

    def _keep(self, at: float, seconds: float, what: What) -> None:
        """Keeps an event, or of too many an even sample of all (reservoir sampling, Vitter 1985):
        every n-th would see the same few of a loop's body."""
        self._n_events += 1
        if len(self.timeline) < MAX_TIMELINE:
            self.timeline.append((at, seconds, what))
            return
        place = int(self._random.random() * self._n_events)
        if place < MAX_TIMELINE:
            self.timeline[place] = at, seconds, what

    def _count(self, event: Site) -> None:
        if os.getpid() != self._process:
            self._send(event)
            return
        site = self.sites.setdefault(event.what, event)
        if site is not event:
            site.add(event)

    def _send(self, event: Site) -> None:
        """Leaves an event of a forked process, a DataLoader's worker, for the traced one."""
        if self.spool:
            line = json.dumps(event.to_dict())
            with open(os.path.join(self.spool, f"{os.getpid()}.jsonl"), "a") as file:
                file.write(line + "\n")

    # what is known of tensors

    def _remember(self, made: Any, source: Any, by: str, what: What) -> None:
        storage = storage_of(made)
        if storage is None:
            return
        if len(self._made) >= self._room_made:
            self._made = {k: m for k, m in self._made.items() if not m.alive.expired()}
            self._room_made = max(_MAX_KNOWN, 2 * len(self._made))
        self._made[storage._cdata] = _Made(
            _weakly(storage), _version(made), source.dtype, source.device, by, what
        )

    def _origin(self, tensor: Any) -> _Made | None:
        """The conversion that made the values of a tensor, where nothing wrote to it since."""
        storage = storage_of(tensor)
        made = self._made.get(storage._cdata) if storage is not None else None
        if made is None or made.alive.expired() or made.version != _version(tensor):
            return None
        return made

    def _trace_back(self, kind: str, source: Any, result: Any) -> dict[str, Any]:
        """Compares a conversion with those before it on the same data."""
        facts: dict[str, Any] = {"n_repeated": int(self._is_repeated(source, result))}
        origin = self._origin(source)
        if origin is None:
            return facts
        narrows = result.itemsize < source.itemsize
        if kind == "cast" and origin.by == "cast" and result.dtype is origin.source:
            facts.update(n_returned=1, through=dtype_name(source.dtype))
        elif kind == "transfer" and origin.by == "transfer" and result.device == origin.device:
            facts.update(n_returned=1, through=str(source.device))
        elif origin.by == "fresh" and narrows:
            facts["n_new"] = 1
        elif kind == "cast" and origin.by == "transfer" and narrows:
            facts["n_moved_wide"] = 1
        return facts

    def _is_repeated(self, source: Any, result: Any) -> bool:
        storage, version = storage_of(source), _version(source)
        if storage is None or version is None:
            return False
        key = (
            storage._cdata,
            source.storage_offset(),
            tuple(source.shape),
            source.stride(),
            result.dtype,
            result.device,
        )
        before = self._cast.get(key)
        if before is not None and before[1] == version and not before[0].expired():
            return True
        if len(self._cast) >= self._room_cast:
            self._cast = {k: v for k, v in self._cast.items() if not v[0].expired()}
            self._room_cast = max(_MAX_KNOWN, 2 * len(self._cast))
        self._cast[key] = _weakly(storage), version
        return False

    def _look_for_indices(self, args: Any) -> None:
        import torch

        for operand in _tensors(args[1:]):
            origin = self._origin(operand) if operand.dtype is torch.int64 else None
            if origin is None or origin.by != "cast" or origin.source.is_floating_point:
                continue
            self._count(Site(origin.what, n_indexing=1))


def _overflow(source: Any, target: torch.dtype) -> dict[str, Any]:
    """How many finite values lie outside the target, and the largest of them."""
    if source.device.type != "cpu" or not _narrows_range(source.dtype, target):
        return {}
    from tensorcast.errors import TensorcastError
    from tensorcast.tensors import measure

    try:
        loss = measure(source.detach(), target)
    except TensorcastError:
        return {}
    if not loss.n_overflow or loss.largest_overflow == float("inf"):
        return {}
    return {"n_overflow": loss.n_overflow, "largest": loss.largest_overflow}


@cache
def _narrows_range(source: torch.dtype, target: torch.dtype) -> bool:
    """Whether values of a float may lie outside the target; by the last bits of one of as many
    exponents, float32 to bfloat16, is not worth a reading."""
    from tensorcast.errors import TensorcastError
    from tensorcast.formats import lookup

    if not source.is_floating_point:
        return False
    try:
        return lookup(target).max_exact * 256 <= lookup(source).max_exact
    except TensorcastError:
        return False


def modes(recorder: Recorder) -> tuple[Any, Any]:
    """The two modes of torch that a recorder stands in: of operations, and of methods.

    Raises:
        MissingLibraryError: torch is not installed.
    """
    load("torch")
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    watched: dict[Any, str] = {
        torch.Tensor.numpy: "numpy",
        torch.Tensor.__array__: "numpy",
        torch.Tensor.tolist: "tolist",
        torch.Tensor.cpu: "cpu",
    }

    class Operations(cast(Any, TorchDispatchMode)):  # type: ignore[misc]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return recorder.operation(func, args, kwargs or {})

    class Methods(cast(Any, TorchFunctionMode)):  # type: ignore[misc]
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = watched.get(func)
            if name is None:
                return func(*args, **(kwargs or {}))
            return recorder.method(name, func, args, kwargs or {})

    return Operations(), Methods()


def received(spool: str) -> list[Site]:
    """What other processes left, and left readable."""
    found: list[Site] = []
    for name in sorted(os.listdir(spool)):
        with open(os.path.join(spool, name)) as file:
            for line in file:
                try:
                    found.append(_site_of(json.loads(line)))
                except ValueError:  # cut short when the worker was killed
                    continue
    return found


def _site_of(row: dict[str, Any]) -> Site:
    for key in ("place", "called_from"):
        row[key] = Place(**row[key]) if row[key] else None
    row["worker"] = True
    row["shape"] = tuple(row["shape"])
    names = What.__dataclass_fields__
    what = What(**{key: row.pop(key) for key in list(row) if key in names})
    return Site(what, **row)


def _tensors(args: Any) -> Any:
    import torch

    for arg in args:
        if isinstance(arg, torch.Tensor):
            yield arg
        elif isinstance(arg, (list, tuple)):
            for each in arg:
                if isinstance(each, torch.Tensor):
                    yield each


def _n_bytes(tensor: Any) -> int:
    """Of the elements in memory: none of a meta tensor's, a sparse one's values alone."""
    if tensor.device.type == "meta":
        return 0
    n_elements: int = tensor._nnz() if tensor.is_sparse else tensor.numel()
    return n_elements * int(tensor.itemsize)


def _weakly(storage: Any) -> Any:
    """A reference that lets the memory go, and keeps its identity from being another's."""
    from torch.multiprocessing import reductions

    return cast(Any, reductions).StorageWeakRef(storage)


def _version(tensor: Any) -> int | None:
    """How often the tensor's memory was written; None for inference tensors, which do not count."""
    if tensor.is_inference():  # an error of torch's costs 50 microseconds
        return None
    version: int = tensor._version
    return version
