"""Another format in the same object: `cast_` on tensors, modules, state dicts and optimizers.

>>> import torch
>>> import tensorcast as tc
>>> x = torch.arange(4.0)
>>> tc.cast_(x, "float16") is x, x.dtype
(True, torch.float16)
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from ..bridges import is_torch
from ..bridges.room import tells_memory
from ..errors import CastError, PolicyError
from ..formats import lookup_target
from ..policy import PolicyOptions, policy_of, shows_policy
from .blocks import Others
from .convert import convert_all
from .modules import (
    Losses,
    Rules,
    wishes_of_mapping,
    wishes_of_module,
    wishes_of_optimizer,
    with_gradient,
)

if TYPE_CHECKING:
    import torch

    from ..core.loss import Loss

T = TypeVar("T")


@overload
def cast_(
    x: T,
    to: object,
    *,
    others: Others = "refuse",
    rules: Rules | None = None,
    optimizer: Any = None,
    report: Literal[False] = False,
    raw: bool = False,
    **policy: Unpack[PolicyOptions],
) -> T: ...
@overload
def cast_(  # type: ignore[overload-overlap]  # a tensor's loss is one
    x: torch.Tensor,
    to: object,
    *,
    others: Others = "refuse",
    rules: Rules | None = None,
    optimizer: Any = None,
    report: Literal[True],
    raw: bool = False,
    **policy: Unpack[PolicyOptions],
) -> tuple[torch.Tensor, Loss]: ...
@overload
def cast_(
    x: T,
    to: object,
    *,
    others: Others = "refuse",
    rules: Rules | None = None,
    optimizer: Any = None,
    report: Literal[True],
    raw: bool = False,
    **policy: Unpack[PolicyOptions],
) -> tuple[T, Losses]: ...
@overload
def cast_(
    x: T,
    to: object,
    *,
    others: Others = "refuse",
    rules: Rules | None = None,
    optimizer: Any = None,
    report: bool = False,
    raw: bool = False,
    **policy: Unpack[PolicyOptions],
) -> Any: ...
@tells_memory
@shows_policy()
def cast_(
    x: Any,
    to: object,
    *,
    others: Others = "refuse",
    rules: Rules | None = None,
    optimizer: Any = None,
    report: bool = False,
    raw: bool = False,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """The same object with its elements in another format: never twice the memory.

    Of a module, floating and complex parameters with their gradients and such buffers are
    converted, of a dict its floating and complex tensors; all of them or none. A complex tensor
    is refused where the format is real. Tied ones are converted once and stay tied. Of a
    module that becomes narrower than float32, what code keeps in float32 stays so: layers with
    running statistics, frequencies (inv_freq), single numbers that are not saved, and what the
    model says itself. See docs/inplace.md; a rule decides before.

    A tensor keeps shape, strides, device and `requires_grad`; every other reference to the object
    sees the new format. Where both formats have one width, the result stands in the same memory;
    otherwise memory grows by at most 128 MB over the larger of the two (Linux; elsewhere both are
    there at once). Nothing is changed unless everything can be: values the policy refuses are
    looked for first, and an interrupt comes either before the conversion or after it.

    Nobody else may see the memory, which is proved or the call refuses: other views, arrays of
    NumPy or JAX, a graph that saved the tensor, memory of another library or process. A tensor
    mapped privately from a file (safetensors, torch.load(mmap=True)) is read from the file, which
    stays as it is. An address taken by hand (data_ptr()) is not seen.

    Args:
        x: torch.Tensor or Parameter, strided, whose .grad comes along; torch.nn.Module; or a dict
            of tensors (dicts, lists and tuples in it too), such as a state dict that was loaded.
        to: the format, as of `tensorcast.cast`.
        overflow, rounding, nan, inf, exact, seed: as of `tensorcast.cast`; the values are the same.
        others: of memory that others see: "refuse", or "copy": the tensor gets new memory, the
            others keep the old, both exist at once, and an InPlaceWarning says so.
        rules: of a module or dict: shell patterns over names and the formats they get, None to stay
            as they are. The first that matches decides, for tensors of any format.
        optimizer: of a module's or tensor's: floating state follows its parameter, steps stay.
        report: return (x, Loss); of a module or dict, (x, losses by name), whose `kept` names what
            stayed in float32 and why.
        raw: of a module or dict: cast the numbers as they are, even if most values are lost.
            Without it the call refuses where next to nothing would be left of a tensor
            (`Loss.collapses`), as of small weights in int8. A tensor given alone is always cast
            as told.

    Returns: x itself.

    Raises:
        InPlaceError: it cannot be done in place; the message says why and what to do.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
        CollapseError: more than half of the non-zero values of a module's or dict's tensor would
            become 0, or several values one in a format of 8 bits or fewer; every such tensor is
            named.
        CastError, FormatError, PolicyError: as `tensorcast.cast`.

    Example:
        >>> import torch
        >>> x = torch.tensor([1.0, 2.5, 300.0])
        >>> y = x[1:]
        >>> cast_(x, "float16")
        Traceback (most recent call last):
        ...
        tensorcast.errors.InPlaceError: the tensor shares its memory: a view of it is alive, or a \
graph or a library holds it. Delete those first, or make a new tensor with \
tensorcast.cast(x, format).
        >>> del y
        >>> cast_(x, "float16")
        tensor([  1.0000,   2.5000, 300.0000], dtype=torch.float16)
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        >>> model = cast_(model, "bfloat16")
        >>> model[0].weight.dtype, model[1].running_mean.dtype
        (torch.bfloat16, torch.float32)
    """
    target = lookup_target(to, "torch")
    asked = policy_of("cast_", policy)
    if others not in ("refuse", "copy"):
        raise PolicyError(f"others={others!r} is not one of refuse, copy")
    single = is_torch(x)
    library: Any = sys.modules.get("torch")
    if library is None or not (single or isinstance(x, (library.nn.Module, Mapping))):
        raise CastError(
            f"a {type(x).__module__}.{type(x).__qualname__} cannot change its format in place; "
            "make a new one with tensorcast.cast"
        )
    if single and rules:
        raise CastError("rules go by name, and a tensor has none")
    if library._C._is_torch_function_mode_enabled():  # a trace, or a default device
        return library.overrides.handle_torch_function(
            cast_,
            (),
            x,
            to,
            **vars(asked),
            others=others,
            rules=rules,
            optimizer=optimizer,
            report=report,
            raw=raw,
        )
    kept: dict[str, str] = {}
    with library._C.DisableTorchFunction():
        if single:
            wishes = with_gradient("", x, target)
        elif isinstance(x, library.nn.Module):
            wishes, kept = wishes_of_module(x, target, rules or {})
        else:
            wishes = wishes_of_mapping(x, target, rules or {})
        if optimizer is not None:
            wishes += wishes_of_optimizer(optimizer, wishes)
        losses = convert_all(wishes, asked, others=others, report=report, raw=raw or single)
    if not report:
        return x
    return x, losses[""] if single else Losses(losses, kept)
