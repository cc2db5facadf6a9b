"""One forward of a model, watched: what is alive, what each module gives, what is never read."""

from __future__ import annotations

import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ..watch.holdings import storage_of, storages_of
from ..watch.places import Place
from ..watch.places import look as look_at_stack
from .alive import Alive
from .allocators import AllocatorPeak, Reading, allocator_peak
from .data import Peak, TensorProfile
from .inventory import tensors_in
from .judging import format_name, look

if TYPE_CHECKING:
    from ...formats import Format


@dataclass(slots=True)
class Outcome:
    """What a forward showed.

    Attributes:
        outputs: of each module, in the order in which they first came.
        alive: all that it made.
        peak: None where no operation ran.
        error: what the forward raised.
        failed_in: the path of the innermost module that it raised in.
        place, called_from: the line that raised.
        unread: identities of known storages that no operation read.
    """

    outputs: list[TensorProfile]
    alive: Alive
    peak: Peak | None
    error: Exception | None
    failed_in: str
    place: Place | None
    called_from: Place | None
    unread: set[int]


class Forward:
    """Runs a model once.

    Args:
        known: identities of the storages of its parameters, buffers and inputs.
        rows: formats to judge outputs by.
    """

    def __init__(self, model: Any, known: set[int], rows: Sequence[Format]) -> None:
        self._model = model
        self._rows = rows
        self._alive = Alive(known)
        self._known = known
        self._read: set[int] = set()
        self._running: list[tuple[str, str]] = []
        self._outputs: dict[str, TensorProfile] = {}
        self._first: dict[tuple[Any, ...], str] = {}
        self._allocator: AllocatorPeak | None = None
        self._quiet = False
        self._failed_in: str | None = None

    def run(self, inputs: tuple[Any, ...], keywords: dict[str, Any]) -> Outcome:
        """The forward; an Exception of it is kept, others come out."""
        error: Exception | None = None
        result: Any = None
        allocated: Reading | None = None
        removers = self._hook()
        self._allocator = allocator_peak()
        try:
            with _mode(self._operation):
                result = self._model(*inputs, **keywords)
        except Exception as raised:
            error = raised
        finally:
            if self._allocator is not None:
                allocated = self._allocator.finish()
            for remove in removers:
                remove()
        # a lazy module's parameters were made here; they are no activations
        kept = storages_of([*self._model.parameters(), *self._model.buffers()])
        forgotten = self._alive.forget(kept)
        if allocated is not None:
            allocated = replace(allocated, n_bytes=allocated.n_bytes - forgotten)
        after = self._alive.n_bytes
        # without the result, what is left is what the graph behind it keeps
        graph = [x.grad_fn for _, x in tensors_in(result) if x.grad_fn is not None]
        del result
        saved = self._alive.now() if graph else set()
        place, called_from = _raised_at(error)
        if error is not None:
            _let_go(error)
        return Outcome(
            outputs=list(self._outputs.values()),
            alive=self._alive,
            peak=self._peak(saved, after, allocated),
            error=error,
            failed_in=self._failed_in or "",
            place=place,
            called_from=called_from,
            unread=self._known - self._read,
        )

    def _peak(self, saved: set[int], after: int, allocated: Reading | None) -> Peak | None:
        alive = self._alive
        if not alive.pieces:
            return None
        present = alive.at_peak()
        last = max(present, key=lambda i: alive.pieces[i].born)
        kept = sum(alive.pieces[i].n_bytes for i in saved & set(present))
        return Peak(
            n_bytes=alive.peak_bytes,
            n_tensors=len(present),
            module=alive.pieces[last].path,
            op=alive.pieces[last].op,
            saved=kept,
            after=after,
            allocator=allocated.n_bytes if allocated else None,
            allocator_op=allocated.op if allocated else "",
        )

    # operations

    def _operation(self, operator: Any, args: Any, kwargs: Any) -> Any:
        """Runs one operation below autograd, and looks at what it reads and gives."""
        if self._quiet:
            return operator(*args, **kwargs)
        for _, tensor in tensors_in((args, kwargs)):
            self._alive.read(tensor)
            storage = storage_of(tensor)
            if storage is not None:
                self._read.add(storage._cdata)
        result = operator(*args, **kwargs)
        path, kind = self._running[-1] if self._running else ("", "")
        schema = getattr(operator, "_schema", None)  # higher-order operators have none
        name = schema.name if schema else str(operator)
        for _, tensor in tensors_in(result):
            self._alive.see(tensor, path, kind, name, format_name(tensor))
            if schema and schema.is_mutable:
                self._alive.written(tensor)
        return result

    # modules

    def _hook(self) -> list[Callable[[], None]]:
        """Hooks on every module, and what removes them.

        They are torch's global ones: some modules take another way where hooks of their own are on
        them. Where there are such hooks already, ours comes last, to see what they make of it.
        """
        from torch.nn.modules import module as torch_module

        thread = threading.get_ident()
        paths = {id(module): path for path, module in reversed([*self._model.named_modules()])}
        own: set[int] = set()

        def enter(module: Any, _inputs: Any) -> None:
            path = paths.get(id(module))
            if path is not None and threading.get_ident() == thread:
                self._running.append((path, type(module).__name__))

        def leave(module: Any, _inputs: Any, output: Any) -> None:
            if id(module) not in own:
                leave_last(module, _inputs, output)

        def leave_last(module: Any, _inputs: Any, output: Any) -> None:
            path = paths.get(id(module))
            if path is not None and threading.get_ident() == thread:
                self._leave(path, type(module).__name__, output)

        handles = [
            torch_module.register_module_forward_pre_hook(enter),
            torch_module.register_module_forward_hook(leave, always_call=True),
        ]
        for module in self._model.modules():
            if getattr(module, "_forward_hooks", None):
                handles.append(module.register_forward_hook(leave_last, always_call=True))
                own.add(id(module))
        return [handle.remove for handle in handles]

    def _leave(self, path: str, kind: str, output: Any) -> None:
        if self._running and self._running[-1] == (path, kind):
            self._running.pop()
        if output is None and self._failed_in is None and sys.exc_info()[0] is not None:
            self._failed_in = path or kind
        self._quiet = True
        if self._allocator:
            self._allocator.pause()
        try:
            self._look(path, kind, output)
        finally:
            self._quiet = False
            if self._allocator:
                self._allocator.go_on()

    def _look(self, path: str, kind: str, output: Any) -> None:
        """What a module gives."""
        for key, tensor in tensors_in(output):
            name = (path or kind) + "".join(f"[{part!r}]" for part in key)
            before = self._outputs.get(name)
            which = self._alive.number(tensor)
            shared = ""
            if which is not None:
                own = (*which, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
                shared = self._first.setdefault(own, name)
            if shared in ("", name):
                values, losses, note = look(tensor.detach(), "activation", self._rows)
                shared = ""
            else:
                values, losses, note = None, {}, ""
            n_bytes = tensor.numel() * tensor.element_size()
            if before is None:
                stack = look_at_stack(sys._getframe(1))
                self._outputs[name] = TensorProfile(
                    name, "activation", path, kind, format_name(tensor), tuple(tensor.shape),
                    tensor.numel(), n_bytes, str(tensor.device), shared, 1, stack.place,
                    stack.called_from, note, values, losses,
                )  # fmt: skip
                continue
            if n_bytes > before.n_bytes:
                before = replace(
                    before, shape=tuple(tensor.shape), n_elements=tensor.numel(), n_bytes=n_bytes
                )
            if values is not None and before.values is not None:
                values = before.values.merge(values)
                losses = {
                    target: before.losses[target].merge(loss)
                    for target, loss in losses.items()
                    if target in before.losses and before.losses[target].source == loss.source
                }
            self._outputs[name] = replace(
                before,
                count=before.count + 1,
                values=values or before.values,
                losses=losses or before.losses,
                shared_with=before.shared_with and shared,
            )


def _let_go(error: BaseException) -> None:
    """Keeps an exception without its frames, which hold tensors, graphs and their callers' frames;
    where it was raised stays as text, in a note."""
    first = error.__traceback__
    if first is not None and first.tb_next is not None:  # ours, that called the model
        first = first.tb_next
    text = "".join(traceback.format_exception(type(error), error, first)).rstrip()
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        one.__traceback__ = None
        waiting += [x for x in (one.__cause__, one.__context__) if x is not None]
        waiting += getattr(one, "exceptions", ())
    error.add_note(f"In the profiled forward:\n{text}")


def _raised_at(error: Exception | None) -> tuple[Place | None, Place | None]:
    """The line that an exception comes from, and the user's own above it."""
    if error is None or error.__traceback__ is None:
        return None, None
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    stack = look_at_stack(trace.tb_frame)
    return stack.place, stack.called_from


def _mode(operation: Callable[[Any, Any, Any], Any]) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Operations(cast(Any, TorchDispatchMode)):  # type: ignore[misc]
        supports_higher_order_operators = True

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Whether to keep compiled code out of here, at the price of importing the compiler:
            not where nothing is compiled."""
            return "torch._dynamo" in sys.modules

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            return operation(func, args, kwargs or {})

    return Operations()
