"""Between arrays of a format and their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..api.packed import PackedTensor, unpack
from ..bridges import Kind, kind_of
from ..buffer import check_dims, refuse_masked
from ..errors import CastError
from ..formats import Format, lookup
from ..kernels.torch_lazy import check_storage, settled

if TYPE_CHECKING:
    import numpy as np


def codes_of(x: Any) -> tuple[Format, np.ndarray]:
    """The format of an array and its codes, unsigned, as NumPy; one more dimension of two (real,
    imaginary) for a complex format. Packed tensors are unpacked, other devices' tensors fetched.

    Example:
        >>> import numpy as np
        >>> row, codes = codes_of(np.float16([1, -2]))
        >>> row.name, [hex(code) for code in codes]
        ('float16', ['0x3c00', '0xc000'])
    """
    import numpy as np

    if isinstance(x, PackedTensor):
        codes = unpack(x)
        return x.format, codes.numpy() if x.is_torch else codes
    if kind_of(x) == "torch":
        return _codes_of_tensor(x)
    refuse_masked(x)
    array = np.asarray(x)
    row = lookup(array.dtype)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    size = row.component.container_bits // 8
    flat = np.ascontiguousarray(native).reshape(-1).view(f"u{size}")
    if row.is_packed:  # some versions of ml_dtypes keep the sign in the high bits
        flat = flat & np.uint8((1 << row.bits) - 1)
    return row, flat.reshape((*array.shape, 2) if row.is_complex else array.shape)


def _codes_of_tensor(x: Any) -> tuple[Format, np.ndarray]:
    import torch

    from ..bridges.torch.pairs import is_pairs
    from ..bridges.torch.tensor import format_of

    row = format_of(x)
    check_dims(x.dim())
    if x.device.type == "meta":
        raise CastError("the tensor is on meta: it has a shape and no values to look at")
    if is_pairs(x.dtype):
        raise CastError(f"a {x.dtype} tensor is packed: give tensorcast.pack(x, {row.name!r})")
    check_storage(x)
    x = settled(x).cpu()
    shape = tuple(x.shape)
    if row.is_complex:
        x, shape = torch.view_as_real(x), (*shape, 2)
    size = row.component.container_bits // 8
    same = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[size]
    # the view first: torch copies no element of a sub-byte dtype
    codes = x.view(same).contiguous().numpy().reshape(shape).view(f"u{size}")
    if row.is_packed:
        codes = codes & ((1 << row.bits) - 1)
    return row, codes


def as_array(codes: np.ndarray, format: Format | str, *, kind: Kind = "numpy") -> Any:
    """Codes as an array or tensor of the format: the inverse of `codes_of`.

    Raises:
        CastError: the library has no dtype with one element of the format to a container.
    """
    import numpy as np

    row = lookup(format)
    size = row.component.container_bits // 8
    codes = np.ascontiguousarray(codes, f"u{size}")
    if kind == "numpy":
        from ..bridges.dtypes import dtype_of

        shape = logical(codes.shape, row)
        return codes.reshape(-1).view(dtype_of(row)).reshape(shape)
    import torch

    from ..bridges.torch.tensor import dtype_of as torch_dtype_of

    dtype = torch_dtype_of(row)
    if row.is_packed and row.is_float:
        raise CastError(f"torch has no dtype with one {row.name} to a byte; use kind='numpy'")
    tensor = torch.from_numpy(codes.view(np.uint8 if size == 1 else f"i{size}").copy())
    return (
        torch.view_as_complex(tensor.view(dtype.to_real()))
        if row.is_complex
        else tensor.view(dtype)
    )


def logical(shape: tuple[int, ...], row: Format) -> tuple[int, ...]:
    """The shape of the elements that codes of this shape are."""
    return shape[:-1] if row.is_complex else shape
