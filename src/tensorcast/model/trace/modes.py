"""The modes of torch in which a recorder stands: it sees operations, methods and our own casts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ...api.casts import cast as cast_of_one
from ...bridges.protocol import load
from ...inplace import cast_

if TYPE_CHECKING:
    from .recorder import Recorder


class Watching:
    """A mode that changes nothing, and may be left while tensorcast itself works."""


def modes(recorder: Recorder) -> tuple[Any, Any]:
    """The two modes of torch that a recorder stands in: of operations, and of methods.

    Raises:
        MissingLibraryError: torch is not installed.
    """
    load("torch")
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils import _python_dispatch as dispatch
    from torch.utils._python_dispatch import TorchDispatchMode

    stack: Any = cast(Any, dispatch)._get_current_dispatch_mode_stack
    watched: dict[Any, str] = {
        torch.Tensor.numpy: "numpy",
        torch.Tensor.__array__: "numpy",
        torch.Tensor.tolist: "tolist",
        torch.Tensor.cpu: "cpu",
    }
    ours = {cast_of_one: recorder.own_cast, cast_: recorder.own_cast_}

    class Operations(Watching, cast(Any, TorchDispatchMode)):  # type: ignore[misc]
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
                run = ours.get(func)
                if run is not None and all(isinstance(mode, Watching) for mode in stack()):
                    with dispatch._disable_current_modes():
                        return run(func, args, kwargs or {})
                recorder.calling = func
                return func(*args, **(kwargs or {}))
            return recorder.method(name, func, args, kwargs or {})

    return Operations(), Methods()
