"""The bytes of torch's sub-byte tensors, which torch itself converts to nothing.

torch.int1 to int7 and uint1 to uint7 keep one code to a byte, in its low bits;
torch.float4_e2m1fn_x2 keeps two, the first in the low bits, and its last dimension is half the
number of elements. Both can be seen as uint8 and made from it, sharing memory.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ...errors import CastError
from ...formats import Format

if TYPE_CHECKING:
    import torch


@cache
def is_pairs(dtype: torch.dtype) -> bool:
    """Whether a dtype holds two elements to a byte, as its name says."""
    return str(dtype).endswith("_x2")


def logical_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape in elements: the last dimension twice as long where two share a byte.

    Raises:
        CastError: two elements share a byte and there is no dimension to double.
    """
    if not is_pairs(tensor.dtype):
        return tuple(tensor.shape)
    if tensor.ndim == 0:
        raise CastError(
            f"a {tensor.dtype} of no dimensions does not say whether it holds one element or two; "
            "give it a dimension with .reshape(1)"
        )
    return (*tensor.shape[:-1], 2 * tensor.shape[-1])


def pairs_shape(shape: tuple[int, ...], way_out: str) -> tuple[int, ...]:
    """The shape in bytes of a logical shape, two elements to a byte: the inverse of
    `logical_shape`.

    Args:
        shape: in elements.
        way_out: the end of the message, a sentence.

    Raises:
        CastError: there is no last dimension, or it is odd, so that rows would share bytes.
    """
    if not shape or shape[-1] % 2:
        raise CastError(
            "the format holds two elements to a byte along the last dimension; shape "
            f"{list(shape)} has no even one. {way_out}"
        )
    return (*shape[:-1], shape[-1] // 2)


def codes_of(tensor: torch.Tensor, row: Format) -> torch.Tensor | None:
    """The bytes of a tensor that keeps one code of `row` to a byte, sharing memory: uint8 of the
    same shape and strides; None for a tensor of another dtype."""
    import torch

    if is_pairs(tensor.dtype):
        return None
    if tensor.dtype == torch.uint8:
        return tensor
    name = str(tensor.dtype).removeprefix("torch.")
    return tensor.view(torch.uint8) if row.spellings.get("torch") == name else None


def bytes_of_pairs(tensor: torch.Tensor) -> tuple[tuple[int, ...], torch.Tensor]:
    """The logical shape of a tensor of pairs and its bytes: uint8, one dimension, sharing
    memory where the tensor is contiguous.

    Raises:
        CastError: the tensor has no dimension to double.
    """
    import torch

    return logical_shape(tensor), tensor.view(torch.uint8).reshape(-1)


def pairs_of_bytes(data: torch.Tensor, row: Format, shape: tuple[int, ...]) -> torch.Tensor:
    """The bytes as a tensor of torch's pairs of a format, of a logical shape, sharing memory: the
    inverse of `bytes_of_pairs`.

    Raises:
        CastError: the last dimension is odd, so that rows share bytes; or this torch has no such
            dtype.
    """
    import torch

    dtype = getattr(torch, row.torch_pairs or "", None)
    if dtype is None:
        raise CastError(f"torch {torch.__version__} has no {row.torch_pairs}")
    return data.view(dtype).reshape(pairs_shape(shape, "Keep it as a PackedTensor"))


def elements_of_codes(codes: torch.Tensor, row: Format) -> torch.Tensor:
    """uint8 codes as a tensor of torch's own dtype for `row`, sharing memory.

    Raises:
        CastError: torch has no dtype that keeps one code of `row` to a byte.
    """
    import torch

    dtype = getattr(torch, row.spellings.get("torch", ""), None)
    if dtype is None or row.torch_pairs:
        raise CastError(
            f"torch has no dtype with one {row.name} to a byte; take the codes, or cast to a "
            "wider format"
        )
    return codes.view(dtype)
