"""What torch's operators are to a trace: a row each for those that convert, index or wait."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import torch

Role = Literal["convert", "copy", "index", "wait", "size", "fresh", "promote", "make", "none"]
"""convert: gives its first argument another dtype or device. copy: writes its second argument into
its first. index: its later arguments may be indices. wait: gives Python a number. size: the shape
of its result depends on values. fresh: takes over a tensor that was just made of Python's or
NumPy's numbers. promote: converts operands of other dtypes within. make: may make a tensor. none:
moves or computes nothing."""

_ROLES: Final[dict[str, Role]] = {
    "aten::_to_copy": "convert",
    "aten::to": "convert",
    "aten::type_as": "convert",
    "prims::convert_element_type": "convert",
    "tensorcast::cast": "convert",
    "tensorcast::cast_report": "convert",
    "aten::copy_": "copy",
    "aten::_local_scalar_dense": "wait",
    "aten::lift_fresh": "fresh",
    "aten::lift_fresh_copy": "fresh",
    "aten::embedding": "index",
    "aten::embedding_bag": "index",
    "aten::_embedding_bag": "index",
    "aten::index": "index",
    "aten::index_put": "index",
    "aten::index_put_": "index",
    "aten::_index_put_impl_": "index",
    "aten::index_select": "index",
    "aten::index_add": "index",
    "aten::index_add_": "index",
    "aten::gather": "index",
    "aten::scatter": "index",
    "aten::scatter_": "index",
    "aten::scatter_add": "index",
    "aten::scatter_add_": "index",
    "aten::take": "index",
    "aten::nll_loss_forward": "index",
    "aten::nll_loss": "index",
    "aten::nll_loss_nd": "index",
    "aten::cross_entropy_loss": "index",
    "aten::one_hot": "index",
    "aten::cat": "promote",
    "aten::stack": "promote",
}


@cache
def role(operator: Any) -> Role:
    """What an operator (a `torch._ops.OpOverload`) is to a trace."""
    import torch

    name = operator.name().split(".")[0]
    known = _ROLES.get(name)
    if known is not None:
        return known
    if operator.is_view or name.endswith("detach"):
        return "none"
    if torch.Tag.data_dependent_output in operator.tags:
        return "wait"
    if torch.Tag.dynamic_output_shape in operator.tags:
        return "size"
    return "promote" if torch.Tag.pointwise in operator.tags else "make"


@cache
def role_of(operator: Any) -> tuple[Role, tuple[int | str, ...]]:
    """What an operator is to a trace, and which arguments it writes."""
    return role(operator), written_by(operator)


def written_by(operator: Any) -> tuple[int | str, ...]:
    """Which arguments an operator writes: places of the positional ones, names of the others."""
    schema = getattr(operator, "_schema", None)  # higher-order operators have none
    if schema is None or not schema.is_mutable:
        return ()
    return tuple(
        argument.name if argument.kwarg_only else place
        for place, argument in enumerate(schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


def dtype_name(dtype: torch.dtype) -> str:
    """torch's name of it, "float32"."""
    return str(dtype).removeprefix("torch.")


def converts(source: torch.dtype, target: torch.dtype) -> bool:
    """Whether an operand of one dtype is converted for a result of the other: masks and answers
    are of bool by nature."""
    import torch

    return source is not target and source is not torch.bool and target is not torch.bool
