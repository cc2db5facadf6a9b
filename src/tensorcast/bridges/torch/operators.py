"""The casts as torch operators: what torch.compile, torch.export, vmap and autograd see.

`torch.ops.tensorcast.cast`, `cast_out`, `cast_report` and `measure` are registered on first need,
never at import; importing this module does not import torch. torch.compile traces `traced_cast` in
place of `tensorcast.cast`, whose first step is a C function that reads memory, and
`traced_measure` in place of `tensorcast.measure`; a Loss leaves the graph as `torch_loss` has it.

Stochastic rounding draws by an element's index in C order of the tensor the operator receives.
Under vmap that tensor is the whole batch, its batch dimension first.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final, Unpack

from ...core.loss import Loss, nothing_lost
from ...core.pairs import loses_nothing
from ...errors import CastError
from ...formats import FORMATS, Format, lookup, lookup_target
from ...policy import (
    POLICY_DEFAULTS,
    Overflow,
    Policy,
    PolicyOptions,
    ResolvedPolicy,
    changes_nothing,
)
from .batched import over_batch
from .derivatives import differentiable, refusing_tangents
from .loss import SIZE, PendingLoss, numbers_of
from .pairs import is_pairs, logical_shape, pairs_shape
from .plain import cast_plain, measure
from .tensor import check_layout, dtype_of, empty_like, n_elements

if TYPE_CHECKING:
    import torch

_POLICY_SCHEMA: Final = (
    'str overflow, str? rounding, str nan, bool exact, SymInt seed, str inf="keep"'
)
_LOCK: Final = threading.Lock()
_library: torch.library.Library | None = None


def cast_op(x: torch.Tensor, target: Format, policy: Policy) -> torch.Tensor:
    """The cast through the dispatcher: fake, meta, batched and tracing tensors, and gradients.

    Returns:
        A new tensor, never sharing memory with `x`; strides as `Tensor.to` preserves them.

    Raises:
        CastError, PolicyError: as `tensorcast.cast`.
    """
    import torch

    register()
    result: torch.Tensor = torch.ops.tensorcast.cast.default(x, target.name, *_arguments(policy))
    return result


def register() -> None:
    """Register the operators with torch; does nothing the second time."""
    global _library
    if _library is not None:
        return
    with _LOCK:
        if _library is None:
            _library = _registered()


def _registered() -> torch.library.Library:
    import torch

    untyped: Any = torch.library
    library = untyped.Library("tensorcast", "DEF")
    tags = (torch.Tag.pt2_compliant_tag,)
    library.define(f"cast(Tensor x, str to, {_POLICY_SCHEMA}) -> Tensor", tags=tags)
    library.define(f"cast_out(Tensor x, Tensor(a!) out, {_POLICY_SCHEMA}) -> ()", tags=tags)
    library.impl("cast", _run_cast, "CompositeExplicitAutograd")
    library.impl("cast_out", _run_cast_out, "CompositeExplicitAutograd")
    library.define(
        f"cast_report(Tensor x, str to, {_POLICY_SCHEMA}) -> (Tensor, Tensor)", tags=tags
    )
    library.define(f"measure(Tensor x, str to, {_POLICY_SCHEMA}) -> Tensor", tags=tags)
    library.impl("cast_report", _run_cast_report, "CompositeExplicitAutograd")
    library.impl("measure", _run_measure, "CompositeExplicitAutograd")
    torch.library.register_fake("tensorcast::cast_report", _fake_cast_report, lib=library)
    torch.library.register_fake("tensorcast::measure", _fake_measure, lib=library)
    torch.library.register_fake("tensorcast::cast", _fake_cast, lib=library)
    torch.library.register_fake("tensorcast::cast_out", _fake_cast_out, lib=library)
    _differentiate(library)
    torch.library.register_vmap("tensorcast::cast", _batched, lib=library)
    library.impl("cast", _batched_of_old, "Batched")
    for name in ("cast_out", "cast_report", "measure"):
        torch.library.register_vmap(f"tensorcast::{name}", _not_batched, lib=library)
    for name in ("cast", "cast_out", "cast_report", "measure"):
        for key in ("Negative", "Conjugate"):  # settled by bits, not by torch's arithmetic
            library.impl(name, untyped.fallthrough_kernel, key)
    defined: torch.library.Library = library
    return defined


def _differentiate(library: Any) -> None:
    """Give the operators their derivatives."""
    import torch

    ops: Any = torch.ops.tensorcast
    kernels = {"cast_out": refusing_tangents(ops.cast_out.default)}
    for name in ("cast", "cast_report"):
        kernels[name] = differentiable(getattr(ops, name).default, _cast_back)
    for name, kernel in kernels.items():
        library.impl(name, kernel, "Autograd", with_keyset=True)


def _run_cast(
    x: torch.Tensor,
    to: str,
    *policy: Any,
) -> torch.Tensor:
    target, resolved = _plan(x.dtype, to, *policy)
    return cast_plain(x, target, resolved)[0]


def _run_cast_out(
    x: torch.Tensor,
    out: torch.Tensor,
    *policy: Any,
) -> None:
    target, resolved = _plan(x.dtype, out.dtype, *policy)
    cast_plain(x, target, resolved, out=out)


def _fake_cast(
    x: torch.Tensor,
    to: str,
    *policy: Any,
) -> torch.Tensor:
    target, _ = _plan(x.dtype, to, *_without_seed(policy))
    return empty_like(x, target)


def _fake_cast_out(
    x: torch.Tensor,
    out: torch.Tensor,
    *policy: Any,
) -> None:
    _plan(x.dtype, out.dtype, *_without_seed(policy))
    if logical_shape(x) != logical_shape(out):
        raise CastError(f"the source has shape {list(x.shape)}, the target {list(out.shape)}")


def _run_cast_report(
    x: torch.Tensor,
    to: str,
    *policy: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    target, resolved = _plan(x.dtype, to, *policy)
    result, loss = cast_plain(x, target, resolved, report=True)
    return result, _numbers_tensor(loss)


def _run_measure(
    x: torch.Tensor,
    to: str,
    *policy: Any,
) -> torch.Tensor:
    source, target = lookup(x.dtype), FORMATS[to]
    rules = _policy_of(policy)
    if loses_nothing(source, target):
        rules.resolve(source, target)
        return _numbers_tensor(nothing_lost(source, target, n_elements(x)))
    return _numbers_tensor(measure(x, target, rules))


def _numbers_tensor(loss: Loss) -> torch.Tensor:
    import torch

    return torch.tensor(numbers_of(loss), dtype=torch.int64)


def _fake_cast_report(x: torch.Tensor, to: str, *policy: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return _fake_cast(x, to, *policy), _fake_measure(x, to, *policy)


def _fake_measure(
    x: torch.Tensor,
    to: str,
    *policy: Any,
) -> torch.Tensor:
    import torch

    _plan(x.dtype, to, *_without_seed(policy))
    return torch.empty(SIZE, dtype=torch.int64)


def _cast_back(tangent: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A gradient in the source's format, or a tangent in the result's, as `Tensor.to` gives it; it
    never raises for a value."""
    if tangent.is_complex() and not dtype.is_complex:
        tangent = tangent.real
    target = lookup(dtype)
    if lookup(tangent.dtype) == target:
        return tangent
    row = target.component
    overflow: Overflow = "ieee" if row.infinity or row.has_nan else "saturate"
    return cast_op(tangent, target, Policy(overflow=overflow, nan="zero"))


def _batched(
    _info: Any, in_dims: tuple[int | None, ...], x: torch.Tensor, *rest: Any
) -> tuple[torch.Tensor, int]:
    """One cast of the whole batch."""
    import torch

    dimension = in_dims[0]
    assert dimension is not None  # torch calls the operator itself where nothing is batched
    refuse_scalars(x, rest[0])
    return torch.ops.tensorcast.cast.default(x.movedim(dimension, 0), *rest), 0


def _batched_of_old(x: torch.Tensor, *rest: Any) -> torch.Tensor:
    """`_batched`, for the vmap of is_grads_batched=True."""
    import torch

    n_dims = x.dim()

    def cast_whole(batch: torch.Tensor) -> torch.Tensor:
        if not n_dims:
            refuse_scalars(batch.flatten(), rest[0])
        result: torch.Tensor = torch.ops.tensorcast.cast.default(batch, *rest)
        return result

    return over_batch(x, cast_whole)


def _not_batched(_info: Any, _in_dims: Any, *_args: Any) -> Any:
    raise CastError(
        "inside vmap no Loss is counted and no out= is written: cast without report= and out=, and "
        "measure the whole batch outside"
    )


def refuse_scalars(batch: torch.Tensor, to: str) -> None:
    """Raise where samples have no dimension along which two elements share a byte: the batch's is
    not theirs.

    Raises:
        CastError: they have none.
    """
    if batch.dim() == 1:
        pairs = is_pairs(batch.dtype) or is_pairs(_dtype(to))
        pairs_shape(() if pairs else (2,), "The samples of this vmap have no dimension.")


# The operators take a policy as the fields of `Policy` in their order, which is their schema's.
_FIELDS: Final = tuple(field.name for field in fields(Policy))
_SEED: Final = _FIELDS.index("seed")


def _arguments(policy: Policy) -> tuple[Any, ...]:
    """The policy as the operators take it."""
    return tuple(map(_signed, _FIELDS, vars(policy).values()))


def _signed(name: str, value: Any) -> Any:
    """An argument of an operator: their integers have 64 bits and a sign."""
    return value - (1 << 64) if name == "seed" and value >= 1 << 63 else value


def _policy_of(arguments: tuple[Any, ...]) -> Policy:
    """The policy that an operator was given; torch leaves out what ends in defaults."""
    named = dict(zip(_FIELDS, arguments, strict=False))
    return Policy(**{**named, "seed": named["seed"] % (1 << 64)})


def _without_seed(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """What an operator was given, while it is traced: the seed is no number then."""
    return (*arguments[:_SEED], 0, *arguments[_SEED + 1 :])


@lru_cache(maxsize=256)
def _plan(
    source: torch.dtype, to: str | torch.dtype, *arguments: Any
) -> tuple[Format, ResolvedPolicy]:
    target = FORMATS[to] if to in FORMATS else lookup(to)
    return target, _policy_of(arguments).resolve(lookup(source), target)


def traced_cast(
    x: Any,
    to: object,
    *,
    out: Any = None,
    memory_format: Any = None,
    device: Any = None,
    report: bool = False,
    packed: bool = False,
    pin_memory: bool = False,
    **policy: Unpack[PolicyOptions],
) -> Any:
    """`tensorcast.cast` in terms a compiler can trace: one operator, no break in the graph.

    What is no such operator (`packed=True`, `pin_memory=True`, another device, `report=True` with
    `out=`, complex to real under `exact=True`, arrays) breaks the graph and runs as it always does.
    A broken graph calls `tensorcast.cast` itself; `_untraced` is only where the trace ends.
    """
    import torch

    _register_traced()
    options = {**POLICY_DEFAULTS, **policy}
    if not isinstance(x, torch.Tensor) or packed or pin_memory or (report and out is not None):
        return _untraced()
    if len(options) > len(POLICY_DEFAULTS):  # no such keyword
        return _untraced()
    if device is not None and torch.device(device) != x.device:
        return _untraced()
    if options["exact"] and x.is_complex() and _drops_imaginary(to):
        return _untraced()  # where imaginary parts are looked at
    source = _name(x.dtype)
    arguments = [_signed(name, options[name]) for name in _FIELDS]
    name = _target_name(x.dtype, to, out is not None, *_without_seed(tuple(arguments)))
    if out is not None:
        if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
            return _untraced()  # where it is refused
        if out.dtype != _dtype(name):
            raise CastError("out= holds another format than the one asked for")
        torch.ops.tensorcast.cast_out.default(x, out, *arguments)
        return out
    _check_layout(x.dtype, name or source, memory_format)
    numbers = None
    if report and name:
        x, numbers = torch.ops.tensorcast.cast_report.default(x, name, *arguments)
    elif report:
        numbers = torch.ops.tensorcast.measure.default(x.detach(), source, *arguments)
    elif name:
        x = torch.ops.tensorcast.cast.default(x, name, *arguments)
    if memory_format is not None and memory_format != torch.preserve_format:
        x = x.contiguous(memory_format=memory_format)
    return x if numbers is None else (x, PendingLoss(numbers, source, name or source))


def traced_measure(x: Any, to: object, **policy: Unpack[PolicyOptions]) -> Any:
    """`tensorcast.measure` in terms a compiler can trace: one operator, and a `PendingLoss`."""
    import torch

    _register_traced()
    options = {**POLICY_DEFAULTS, **policy}
    if not isinstance(x, torch.Tensor) or len(options) > len(POLICY_DEFAULTS):
        return _untraced()
    source = _name(x.dtype)
    arguments = [_signed(name, options[name]) for name in _FIELDS]
    name = _target_name(x.dtype, to, True, *_without_seed(tuple(arguments)))
    numbers = torch.ops.tensorcast.measure.default(x.detach(), name, *arguments)
    return PendingLoss(numbers, source, name)


def _target_name(source: torch.dtype, to: object, writes: bool, *arguments: Any) -> str:
    """The target's name, the policy checked; empty where nothing is to do."""
    row, target = lookup(source), lookup_target(to, "torch")
    policy = _policy_of(arguments)
    policy.resolve(row, target)
    return target.name if writes or not changes_nothing(row, target, policy) else ""


def _drops_imaginary(to: object) -> bool:
    target = lookup_target(to, "torch")
    return not target.is_complex and target.kind != "bool"


def _name(dtype: torch.dtype) -> str:
    return lookup(dtype).name


def _check_layout(source: torch.dtype, target: str, memory_format: Any) -> None:
    check_layout(source, _dtype(target), memory_format)


def _dtype(name: str) -> torch.dtype:
    return dtype_of(FORMATS[name])


def _register_traced() -> bool:
    """Called by the compiler while it traces."""
    global _untraced
    import torch

    register()
    if _untraced is _end_of_trace:
        compiler: Any = torch.compiler
        _untraced = compiler.disable(_end_of_trace)
        with suppress(
            ImportError, AttributeError
        ):  # private: without it a broken graph runs as well, traced
            _leave_alone(sys.modules.get("tensorcast.api.casts"))
    return True


def _leave_alone(module: ModuleType | None) -> None:
    """Have dynamo run a module's functions as they are where they stand outside a graph."""
    if module is None:
        return
    eval_frame: Any = import_module("torch._dynamo.eval_frame")
    types: Any = import_module("torch._dynamo.types")
    skip = types.FrameExecStrategy(types.FrameAction.SKIP, types.FrameAction.SKIP)
    for function in vars(module).values():
        if isinstance(function, FunctionType) and function.__module__ == module.__name__:
            eval_frame.set_code_exec_strategy(function.__code__, skip)


def _end_of_trace() -> None:
    raise AssertionError("a broken graph calls tensorcast.cast, not this")


_untraced = _end_of_trace

# dynamo calls these while it traces, and takes what they return for a constant
for _function in (_register_traced, _drops_imaginary, _target_name, _name, _dtype, _check_layout):
    _function.__dict__["_dynamo_marked_constant"] = True
