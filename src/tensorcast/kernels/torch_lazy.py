"""The values of a torch tensor on which an operation is pending: conjugation, negation, zero.

torch marks a view and does the work where it is read. It does so by arithmetic, which loses the
sign and payload of a NaN, and for many dtypes not at all; here the bits are turned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import CastError, FormatError
from ..formats import Format, lookup

if TYPE_CHECKING:
    import torch


def is_pending(x: torch.Tensor) -> bool:
    """Whether the elements in memory are not the tensor's values, or there are none."""
    return x.is_neg() or x.is_conj() or x._is_zerotensor()


def settled(x: torch.Tensor) -> torch.Tensor:
    """The tensor, detached, with the values in memory: itself where nothing is pending.

    A negation turns the sign bit of floats, whatever the code, and is that of two's complement for
    integers. A conjugation turns the sign bit of the imaginary part.

    Raises:
        CastError: a negation of bool, or of a format without a sign.
    """
    x = x.detach()
    if not is_pending(x):
        return x
    check_storage(x)
    if x._is_zerotensor():
        return _zeros(x)
    check_negative(x, _row(x))
    negates, conjugates = x.is_neg(), x.is_conj()
    import torch

    if negates:
        x = torch._neg_view(x)  # which takes the mark away
    if conjugates:
        x = torch._conj(x)
    # torch copies no element of some dtypes of a byte
    made = x.view(torch.uint8).clone().view(x.dtype) if x.element_size() == 1 else x.clone()
    if negates:
        _negate(made)
    if conjugates:
        codes = _codes(made, _component_bytes(made))[..., 1]
        codes.bitwise_xor_(_sign(8 * _component_bytes(made)))
    return made


def check_negative(x: torch.Tensor, row: Format | None) -> None:
    """Raise for a pending negation of a format without a sign.

    Raises:
        CastError: of bool, or of a float that has no sign.
    """
    if row is None or row.is_integer or (row.signed and row.component.is_float):
        return
    if x.is_neg():
        raise CastError(
            f"the tensor is a lazy negative of {row.name}, which has no sign; cast the tensor it "
            "is a view of"
        )


def check_storage(x: torch.Tensor) -> None:
    """Raise where a strided tensor's elements are not all in its storage.

    Raises:
        CastError: the storage was freed or shrunk (`untyped_storage().resize_`).
    """
    if x.device.type == "meta" or x._is_zerotensor() or 0 in x.shape:
        return
    size = x.element_size()
    last = sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))
    n_bytes, left = size * (last + 1), x.untyped_storage().nbytes()
    if size * int(x.storage_offset()) + n_bytes > left:
        raise CastError(
            f"the tensor's storage has been freed or shrunk: {left} bytes are left of the "
            f"{n_bytes} its elements span"
        )


def _zeros(x: torch.Tensor) -> torch.Tensor:
    import torch

    dtype = torch.uint8 if x.element_size() == 1 else x.dtype
    return torch.zeros(x.shape, dtype=dtype, device=x.device).view(x.dtype)


def _negate(made: torch.Tensor) -> None:
    """Negate the elements in place."""
    import torch

    if str(made.dtype).endswith("_x2"):  # two codes of 4 bits, the sign on top of each
        made.view(torch.uint8).bitwise_xor_(0x88)
        return
    row = _row(made)
    size = _component_bytes(made)
    codes = _codes(made, size)
    if row is not None and row.is_integer:
        codes.neg_()
        if row.is_packed:
            codes.bitwise_and_((1 << row.bits) - 1)
        return
    if row is not None and row.component.nan == "negative-zero":
        magnitude = codes.bitwise_and(0x7F)
        codes.bitwise_xor_((magnitude != 0).to(codes.dtype) << 7)  # 0 and NaN have no sign
        return
    codes.bitwise_xor_(_sign(8 * size))


def _row(x: torch.Tensor) -> Format | None:
    try:
        return lookup(x.dtype)
    except FormatError:  # complex32
        return None


def _component_bytes(x: torch.Tensor) -> int:
    return x.element_size() // (2 if x.is_complex() else 1)


def _codes(x: torch.Tensor, size: int) -> torch.Tensor:
    """The memory as integers; of complex elements, pairs."""
    import torch

    same = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[size]
    return (torch.view_as_real(x) if x.is_complex() else x).view(same)


def _sign(bits: int) -> int:
    """The sign bit as torch's integers have it: uint8, and signed ones that are wider."""
    return 0x80 if bits == 8 else -(1 << (bits - 1))
