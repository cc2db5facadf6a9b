"""Whether anybody else sees a tensor's memory, proved or not.

torch counts who holds a tensor and its storage. The counts are private interfaces, so they are
tried first, on tensors of our own in every kind of sharing they have to show; where one is missing
or answers otherwise, nothing is proved and every cast in place is refused. That is done in a thread
of its own: modes, hooks and transforms change what the counts say, and torch has them per thread.
With
TENSORCAST_WITHOUT=torch-use-counts nothing is proved. Looked at: torch 2.6 and 2.13.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from ..kernels.private import without
from ..kernels.replacing import Uses, uses_of

if TYPE_CHECKING:
    import torch

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Obstacle:
    """Why a tensor cannot be converted in its memory.

    Attributes:
        kind: as `InPlaceError.kind`.
        reason: a sentence's end, after "the tensor".
        way_out: what to do instead, a sentence.
        copies: whether the tensor can be given new memory, with the old left to the others.
    """

    kind: str
    reason: str
    way_out: str
    copies: bool = False


@dataclass(frozen=True)
class Interface:
    """torch's private counts, tried out.

    Attributes:
        functions: Tensor._use_count, _storage_Use_Count, Tensor.untyped_storage.
        setter: what `tensor.data = other` calls.
        alone: the uses of a tensor that nobody else sees.
        gradient: uses of a tensor more, when it is another's `.grad`.
    """

    functions: tuple[Any, ...]
    setter: Callable[[Any, Any], None]
    alone: Uses
    gradient: int

    def uses(self, tensor: torch.Tensor) -> Uses:
        return uses_of(self.functions, tensor)


class _SilentError(Exception):
    """The counts do not tell of this kind of sharing."""


class _UnprovedError(Exception):
    """The counts prove nothing here and now."""


def find_interface() -> Interface | str:
    """torch's counts, or why they prove nothing here and now."""
    try:
        return proved_interface()
    except _UnprovedError as error:
        return str(error)


@cache
def proved_interface() -> Interface:
    """torch's counts, tried out; only a success is kept.

    Raises:
        _UnprovedError: they prove nothing.
    """
    found = _outside_of_modes(_tried_interface)
    if isinstance(found, str):
        raise _UnprovedError(found)
    return found


def _outside_of_modes(act: Callable[[], _Found]) -> _Found | str:
    """What `act` finds in a thread that no mode, hook or transform of this one reaches; or why it
    finds nothing."""
    found: list[_Found | str] = []

    def run() -> None:
        try:
            found.append(act())
        except Exception as error:
            found.append(f"torch's use counts cannot be tried ({error})")

    thread = threading.Thread(target=run, name="tensorcast: use counts", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the system has no more threads, or Python is ending
        return f"torch's use counts cannot be tried ({error})"
    thread.join()
    return found[0] if found else "torch's use counts cannot be tried"


def _tried_interface() -> Interface | str:
    import torch

    if without("torch-use-counts"):
        return "TENSORCAST_WITHOUT=torch-use-counts is set"
    version = f"torch {torch.__version__}"
    tensor_type: Any = torch._C.TensorBase if hasattr(torch._C, "TensorBase") else torch.Tensor
    found = {
        "Tensor._use_count": getattr(tensor_type, "_use_count", None),
        "torch._C._storage_Use_Count": getattr(torch._C, "_storage_Use_Count", None),
        "Tensor.untyped_storage": getattr(tensor_type, "untyped_storage", None),
        "Tensor.data": getattr(getattr(tensor_type, "data", None), "__set__", None),
        "UntypedStorage.resizable": getattr(torch.UntypedStorage, "resizable", None),
        "UntypedStorage.is_shared": getattr(torch.UntypedStorage, "is_shared", None),
    }
    for name, function in found.items():
        if function is None:
            return f"{version} has no {name}"
    every: list[Any] = list(found.values())
    *functions, setter, _, _ = every
    if any(isinstance(function, FunctionType) for function in (*functions, setter)):
        return f"{version} counts uses in Python"  # other threads could run meanwhile
    try:
        with torch.inference_mode(False), torch.enable_grad():
            alone, gradient = _try_out(tuple(functions))
    except _SilentError as error:
        return f"{version} does not tell by its use counts of {error}"
    except (RuntimeError, TypeError, AttributeError, AssertionError) as error:
        return f"{version}: its use counts cannot be tried ({error})"
    return Interface(tuple(functions), setter, alone, gradient)


def _try_out(functions: tuple[Any, ...]) -> tuple[Uses, int]:
    """The uses of a tensor that is alone, if every kind of sharing shows."""
    import torch

    def new() -> torch.Tensor:
        return torch.zeros(16, dtype=torch.float32, device="cpu")

    tensor = new()
    alone = uses_of(functions, tensor)
    if uses_of(functions, new()) != alone:
        raise _SilentError("a tensor that is alone")
    sharers: dict[str, tuple[Callable[[torch.Tensor], object], bool]] = {
        "a view": (lambda x: x[1:], True),
        "a detached tensor": (lambda x: x.detach(), True),
        "a tensor on its storage": (
            lambda x: torch.empty(0, device="cpu").set_(x.untyped_storage()),
            True,
        ),
        "a parameter": (lambda x: torch.nn.Parameter(x), True),
        "its storage object": (lambda x: x.untyped_storage(), True),
        "a DLPack capsule": (lambda x: x.__dlpack__(), True),
        "a NumPy array": (_to_numpy, False),
    }
    for name, (share, ends) in sharers.items():
        tensor = new()
        other = share(tensor)
        if other is not None and not _is_shared_more(functions, tensor, alone):
            raise _SilentError(name)
        del other
        if ends and uses_of(functions, tensor) != alone:
            raise _SilentError(f"the end of {name}")
    leaf = new().requires_grad_()
    if uses_of(functions, leaf) != alone:
        raise _SilentError("a leaf")
    recorded = (leaf * leaf).sum()
    if not uses_of(functions, leaf).tensor > alone.tensor:
        raise _SilentError("a recorded operation")
    recorded.backward()  # type: ignore[no-untyped-call]
    del recorded
    output = leaf.exp()
    loss = output.sum()
    if not uses_of(functions, output).storage > alone.storage:
        raise _SilentError("a recorded result")
    del loss, output
    if uses_of(functions, leaf) != alone:
        raise _SilentError("the end of a recorded operation")
    gradient = leaf.grad
    assert gradient is not None
    held = uses_of(functions, gradient)
    if held.storage != alone.storage or held.object != alone.object:
        raise _SilentError("a gradient")
    return alone, held.tensor - alone.tensor


def _to_numpy(x: torch.Tensor) -> object:
    try:
        return x.numpy()
    except RuntimeError:  # torch without NumPy exports none
        return None


def _is_shared_more(functions: tuple[Any, ...], tensor: torch.Tensor, alone: Uses) -> bool:
    uses = uses_of(functions, tensor)
    grown = any(now > then for now, then in zip(uses, alone, strict=True))
    return grown or not tensor.untyped_storage().resizable()


def numpy_is_counted() -> bool:
    """Whether the storage's count tells of a NumPy array, and not only its `resizable()`."""
    interface = find_interface()
    return not isinstance(interface, str) and _numpy_is_counted(interface)


@cache
def _numpy_is_counted(interface: Interface) -> bool:
    def counted() -> bool:
        import torch

        tensor = torch.zeros(16, device="cpu")
        other = _to_numpy(tensor)
        return other is None or interface.uses(tensor).storage > interface.alone.storage

    return _outside_of_modes(counted) is True


@dataclass(frozen=True)
class Mapping:
    """What a range of this process' memory is mapped from."""

    path: str
    is_shared: bool


class Mappings:
    """The mapped files of this process, read once (Linux; empty elsewhere)."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._entries: list[tuple[int, int, Mapping]] = []
        try:
            text = Path("/proc/self/maps").read_text()
        except OSError:
            return
        for line in text.splitlines():
            span, permissions, _, _, inode, *path = line.split(None, 5)
            begin, end = (int(x, 16) for x in span.split("-"))
            if inode != "0" and path:
                self._begins.append(begin)
                self._entries.append((begin, end, Mapping(path[0], permissions.endswith("s"))))

    def find(self, begin: int, end: int) -> Mapping | None:
        """The mapped file that holds [begin, end) whole, or None."""
        found: Mapping | None = None
        while begin < end:
            at = bisect.bisect_right(self._begins, begin) - 1
            if at < 0 or self._entries[at][1] <= begin:
                return None
            found = self._entries[at][2]
            begin = self._entries[at][1]
        return found
