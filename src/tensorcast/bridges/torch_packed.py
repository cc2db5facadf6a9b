"""The bytes of torch's sub-byte tensors, which torch itself converts to nothing.

torch.int2, int4, uint2 and uint4 keep one code to a byte, in its low bits;
torch.float4_e2m1fn_x2 keeps two, the first in the low bits, and its last dimension is half the
number of elements. Both can be seen as uint8 and made from it, sharing memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CastError
from ..formats import Format

if TYPE_CHECKING:
    import torch


def is_pairs(tensor: torch.Tensor) -> bool:
    """Whether each byte of the tensor holds two float4_e2m1fn."""
    return str(tensor.dtype) == "torch.float4_e2m1fn_x2"


def codes_of(tensor: torch.Tensor, row: Format) -> torch.Tensor | None:
    """The bytes of a tensor that keeps one code of `row` to a byte, sharing memory: uint8 of the
    same shape and strides; None for a tensor of another dtype."""
    import torch

    if is_pairs(tensor):
        return None
    if tensor.dtype == torch.uint8:
        return tensor
    name = str(tensor.dtype).removeprefix("torch.")
    return tensor.view(torch.uint8) if row.spellings.get("torch") == name else None


def bytes_of_pairs(tensor: torch.Tensor) -> tuple[tuple[int, ...], torch.Tensor]:
    """The logical shape of a float4_e2m1fn_x2 tensor, last dimension doubled, and its bytes:
    uint8, one dimension, sharing memory where the tensor is contiguous.

    Raises:
        CastError: the tensor has no dimension to double.
    """
    import torch

    if tensor.ndim == 0:
        raise CastError(
            "a float4_e2m1fn_x2 tensor of no dimensions does not say whether it holds one "
            "element or two; give it a dimension with .reshape(1)"
        )
    shape = (*tensor.shape[:-1], 2 * tensor.shape[-1])
    return shape, tensor.view(torch.uint8).reshape(-1)


def pairs_of_bytes(data: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The bytes as a float4_e2m1fn_x2 tensor of a logical shape, sharing memory: the inverse of
    `bytes_of_pairs`.

    Raises:
        CastError: the last dimension is odd, so that rows share bytes; or this torch has no such
            dtype.
    """
    import torch

    dtype = getattr(torch, "float4_e2m1fn_x2", None)
    if dtype is None:
        raise CastError(f"torch {torch.__version__} has no float4_e2m1fn_x2")
    if not shape or shape[-1] % 2:
        raise CastError(
            f"float4_e2m1fn_x2 holds two elements to a byte: shape {list(shape)} has a last "
            "dimension that is not even. Keep it as a PackedTensor."
        )
    return data.view(dtype).reshape(*shape[:-1], shape[-1] // 2)


def elements_of_codes(codes: torch.Tensor, row: Format) -> torch.Tensor:
    """uint8 codes as a tensor of torch's own dtype for `row`, sharing memory.

    Raises:
        CastError: torch has no dtype that keeps one code of `row` to a byte.
    """
    import torch

    dtype = getattr(torch, row.spellings.get("torch", ""), None)
    if dtype is None or row.name == "float4_e2m1fn":
        raise CastError(
            f"torch has no dtype with one {row.name} to a byte; take the codes, or cast to a "
            "wider format"
        )
    return codes.view(dtype)


def empty_bytes(n_bytes: int) -> torch.Tensor:
    """A new CPU tensor of bytes."""
    import torch

    return torch.empty(n_bytes, dtype=torch.uint8)


def empty(shape: tuple[int, ...], row: Format) -> torch.Tensor:
    """A new CPU tensor of a format of whole bytes.

    Raises:
        CastError: torch has no dtype for it.
    """
    import torch

    from .torch import dtype_of

    return torch.empty(shape, dtype=dtype_of(row))
