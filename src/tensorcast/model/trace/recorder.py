"""Sees every operation torch runs, and counts those that convert, move or wait."""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..watch.contents import Contents, Trail
from ..watch.holdings import storage_of, weakly
from ..watch.lost import format_of, loses, narrows_range
from ..watch.operators import Role, converts, dtype_name, role_of
from ..watch.owners import Owners
from ..watch.places import Place, Stack, look
from .sites import Kind, Phase, Site, What

if TYPE_CHECKING:
    import torch

MAX_TIMELINE: Final = 20_000
"""Events kept one by one, of more an even sample; the counts of `Site` go on without end."""
_MAX_KNOWN: Final = 4096
_MAX_FORWARD: Final = 100_000
_MAX_FAILURES: Final = 20
_POLICY: Final = ("overflow", "rounding", "nan", "inf", "seed")


@dataclass(slots=True)
class _Made:
    """Where the values in a storage came from: the last conversion, and the storage's version."""

    alive: Any  # a StorageWeakRef: while it is kept, no other storage has this identity
    version: int | None
    trail: Trail
    source: torch.dtype
    device: torch.device
    by: str  # "cast", "transfer" or "fresh"
    what: What


@dataclass(slots=True)
class _Read:
    """The casts that read a storage, by what of it and to what: the digest of what they read."""

    alive: Any
    version: int
    digests: dict[tuple[Any, ...], int | None]


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor that is another one by now: as it was."""

    dtype: Any
    device: Any
    shape: tuple[int, ...]
    name: str = ""
    is_buffer: bool = False


class Recorder:
    """Counts events by `What`.

    Args:
        model: whose parameters and modules are named; None: each outermost module that runs.
        values: whether casts to a narrower range look for values beyond it.
        on_event: called with each event before it is counted.
        lets_out: the errors of `on_event` that come out of the operation.

    Attributes:
        spool: a directory in which forked processes leave what they saw, made when there is
            something to leave; "": they leave nothing.
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
        self._cast: dict[int, _Read] = {}
        self._contents = Contents()
        self.calling: Any = None  # the function of torch's that Python called last
        self._room_made = self._room_cast = _MAX_KNOWN  # beyond it, what is gone is forgotten
        self._forward: dict[int, tuple[Stack, str]] = {}
        self._quiet = False

    # what the modes call

    def operation(self, operator: Any, args: Any, kwargs: Any) -> Any:
        """Runs one operation below autograd."""
        self.n_operations += 1
        its, written = role_of(operator)
        start = time.perf_counter()
        result = operator(*args, **kwargs)
        if written:
            self._safely(self._wrote, written, args, kwargs)
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

    def own_cast(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Runs `tensorcast.cast`, whose operations are none of torch's."""
        start = time.perf_counter()
        result = function(*args, **kwargs)
        self._safely(self._cast_by_us, args, kwargs, result, time.perf_counter() - start)
        return result

    def own_cast_(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Runs `tensorcast.cast_`: each tensor that it changes is a cast."""
        before = dict(_described(args[0], self._owners)) if args else {}
        reports = kwargs.get("report", False)
        start = time.perf_counter()
        found = function(*args, **{**kwargs, "report": reports or self._values})
        seconds = time.perf_counter() - start
        result, losses = found if reports or self._values else (found, {})
        self._safely(self._changed_by_us, args[0] if args else None, before, losses, seconds)
        return found if reports else result

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

    def _cast_by_us(self, args: Any, kwargs: Any, found: Any, seconds: float) -> None:
        from ...formats import lookup

        source = args[0]
        result, loss = found if kwargs.get("report") else (found, None)
        if result is source:
            return
        target = lookup(args[1], "torch")
        is_tensor = hasattr(result, "device")  # a PackedTensor has none
        moves = is_tensor and result.device != source.device
        if target == lookup(source.dtype) and not moves:
            return
        kind: Kind = "transfer" if moves else "cast"
        rules = tuple(repr(kwargs.get(name)) for name in _POLICY)
        facts = self._trace_back(kind, source, result, rules) if is_tensor else {}
        if self._values and kind == "cast":
            facts.update(loses(source, target, loss=loss, is_told=True))
        what = self._record(
            kind, "tensorcast::cast", source, result.dtype if is_tensor else target.name,
            str(result.device) if is_tensor else "cpu", seconds, _n_bytes(source),
            _n_bytes(result) if is_tensor else target.n_bytes(source.numel()), **facts,
        )  # fmt: skip
        if kwargs.get("out") is not None:
            self._forget(result)
        if is_tensor:
            self._remember(result, source, kind, what)

    def _changed_by_us(self, x: Any, before: Any, losses: Any, seconds: float) -> None:
        """Records what `tensorcast.cast_` changed."""
        from ...formats import lookup

        self._owners.refresh()
        now = {name: one.dtype for name, one in _described(x, self._owners)}
        if not isinstance(losses, dict):
            losses = {"": losses}
        changed: list[tuple[Any, Any, dict[str, Any]]] = []
        for name, loss in losses.items():
            if loss.source != loss.target:
                shape = before[name].shape if name in before else (loss.n_elements,)
                is_buffer = name in before and before[name].is_buffer
                source = Described(loss.source, "cpu", tuple(shape), name, is_buffer)
                facts = loses(None, lookup(loss.target), loss=loss, is_told=True)
                changed.append((source, loss.target, facts))
        if not losses:
            changed = [(one, now[n], {}) for n, one in before.items() if now.get(n) != one.dtype]
        for source, target, facts in changed:
            n = math.prod(source.shape)
            sizes = [lookup(each).n_bytes(n) for each in (source.dtype, target)]
            self._record(
                "cast", "tensorcast::cast_", source, target, str(source.device),
                seconds / len(changed), *sizes, **facts,
            )  # fmt: skip

    def _converted(self, operator: Any, its: Role, args: Any, result: Any, seconds: float) -> None:
        source = args[its == "copy"]
        if isinstance(result, tuple):  # with its loss
            result = result[0]
        moves = result.device != source.device
        if result.dtype is source.dtype and not moves:
            return
        kind: Kind = "transfer" if moves else "cast"
        read, written = _n_bytes(source), _n_bytes(result)
        facts = self._trace_back(kind, source, result)
        if self._values and kind == "cast" and narrows_range(source.dtype, result.dtype):
            told = operator.name().startswith("tensorcast::")
            facts.update(loses(source, format_of(result.dtype), is_told=told))
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
                op = operator.name()
                op = self._asked() if op == "aten::_local_scalar_dense" else op
                self._record(
                    "synchronisation", op, tensor, type(result).__name__, "cpu", 0.0,
                    tensor.itemsize, 0,
                )  # fmt: skip
            return
        if its == "size" or (its == "index" and _has_mask(args)):
            self._record(
                "synchronisation", operator.name(), args[0], "shape", "cpu", 0.0, 0, 0
            )  # fmt: skip
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

    def _asked(self) -> str:
        """What of torch's Python called that made it wait for a value."""
        import torch

        name = getattr(self.calling, "__name__", "")
        if torch._C._current_autograd_node() is not None or not name or name == "__get__":
            return "Tensor.item"
        return f"Tensor.{name}" if hasattr(torch.Tensor, name) else f"torch.{name}"

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
        described = isinstance(source, Described)
        name = source.name if described else self._owners.name(source)
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
            name,
            phase,
            is_buffer=source.is_buffer if described else self._owners.is_buffer(name),
            within=stack.within,
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
            os.makedirs(self.spool, mode=0o700, exist_ok=True)
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
            weakly(storage),
            _version(made),
            self._contents.trail(made, source),
            source.dtype,
            source.device,
            by,
            what,
        )

    def _wrote(self, places: tuple[int | str, ...], args: Any, kwargs: Any) -> None:
        """An operation has written into some of its arguments, whatever their versions say."""
        for place in places:
            value = kwargs.get(place) if isinstance(place, str) else _at(args, place)
            for tensor in _tensors([value]):
                self._forget(tensor)

    def _forget(self, tensor: Any) -> None:
        """Nothing that is known of a tensor's memory holds any longer."""
        storage = storage_of(tensor)
        if storage is not None:
            self._made.pop(storage._cdata, None)
            self._cast.pop(storage._cdata, None)

    def _origin(self, tensor: Any) -> _Made | None:
        """The conversion that made the values of a tensor, where nothing wrote to it since."""
        storage = storage_of(tensor)
        made = self._made.get(storage._cdata) if storage is not None else None
        if made is None or made.alive.expired() or made.version != _version(tensor):
            return None
        return made

    def _trace_back(
        self, kind: str, source: Any, result: Any, rules: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Compares a conversion with those before it on the same data; rules: its policy."""
        facts: dict[str, Any] = self._repeats(source, result, rules)
        origin = self._origin(source)
        if origin is None:
            return facts
        narrows = result.itemsize < source.itemsize
        through = ""
        if kind == "cast" and origin.by == "cast" and result.dtype is origin.source:
            through = dtype_name(source.dtype) if _is_way(source.dtype, result.dtype) else ""
        elif kind == "transfer" and origin.by == "transfer" and result.device == origin.device:
            through = str(source.device)
        if through:
            is_as_made = self._contents.is_as_made(origin.trail, source)
            if is_as_made is not False:
                facts.update(n_returned=1, n_unchecked=int(is_as_made is None), through=through)
        elif origin.by == "fresh" and narrows:
            facts["n_new"] = 1
        elif kind == "cast" and origin.by == "transfer" and narrows:
            facts["n_moved_wide"] = 1
        return facts

    def _repeats(self, source: Any, result: Any, rules: tuple[str, ...]) -> dict[str, Any]:
        """Whether a cast reads what another to the same format and by the same policy read."""
        storage, version = storage_of(source), _version(source)
        if storage is None or version is None:
            return {}
        read = self._cast.get(storage._cdata)
        if read is None or read.version != version or read.alive.expired():
            if len(self._cast) >= self._room_cast:
                self._cast = {k: v for k, v in self._cast.items() if not v.alive.expired()}
                self._room_cast = max(_MAX_KNOWN, 2 * len(self._cast))
            read = self._cast[storage._cdata] = _Read(weakly(storage), version, {})
        key = (
            source.storage_offset(),
            tuple(source.shape),
            source.stride(),
            result.dtype,
            result.device,
            rules,
        )
        is_new = key not in read.digests
        before, now = read.digests.get(key), self._contents.of(source)
        read.digests[key] = now
        if is_new:
            return {}
        if before is None or now is None:
            return {"n_repeated": 1, "n_unchecked": 1}
        return {"n_repeated": int(now == before)}

    def _look_for_indices(self, args: Any) -> None:
        import torch

        for operand in _tensors(args[1:]):
            origin = self._origin(operand) if operand.dtype is torch.int64 else None
            if origin is None or origin.by != "cast" or origin.source.is_floating_point:
                continue
            self._count(Site(origin.what, n_indexing=1))


def _is_way(through: torch.dtype, target: torch.dtype) -> bool:
    """Whether a cast and the cast back may be meant for nothing: through bool, or from floats
    through integers, they compute (is it zero, the whole part)."""
    import torch

    if through is torch.bool:
        return False
    return through.is_floating_point or through.is_complex or not target.is_floating_point


def _has_mask(args: Any) -> bool:
    """Whether indices are truth values, so that the result's shape depends on them."""
    import torch

    masks = (torch.bool, torch.uint8)
    return any(operand.dtype in masks for operand in _tensors(args[1:2]))


def _at(args: Any, place: int) -> Any:
    return args[place] if place < len(args) else None


def _described(x: Any, owners: Owners) -> Iterator[tuple[str, Described]]:
    """The tensors of what `tensorcast.cast_` takes, by the names that its losses have."""
    from ..profile.inventory import tensors_in

    if hasattr(x, "named_parameters"):
        named = [(name, p, False) for name, p in x.named_parameters()]
        named += [(name, b, True) for name, b in x.named_buffers()]
    else:
        named = [(".".join(map(str, key)), one, False) for key, one in tensors_in(x)]
    for name, one, is_buffer in named:
        known = name or owners.name(one)
        shape = () if one.is_nested else tuple(one.shape)
        yield name, Described(one.dtype, one.device, shape, known, is_buffer)


def received(spool: str) -> list[Site]:
    """What other processes left, and left readable."""
    found: list[Site] = []
    if not os.path.isdir(spool):
        return found
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


def _version(tensor: Any) -> int | None:
    """How often the tensor's memory was written; None for inference tensors, which do not count."""
    if tensor.is_inference():  # an error of torch's costs 50 microseconds
        return None
    version: int = tensor._version
    return version
