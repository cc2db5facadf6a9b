"""Packed tensors: formats of less than 8 bits with several elements to a byte.

torch and NumPy keep such elements a byte each, or not at all; checkpoints and hardware keep them
packed. A `PackedTensor` holds the bytes and remembers how many elements they are.

    >>> import numpy as np
    >>> from tensorcast.api.packed import pack, unpack
    >>> packed = pack(np.array([1, 2, 15], np.uint8), "int4")
    >>> packed
    PackedTensor(int4, shape=(3,), 2 bytes)
    >>> packed.data.tolist(), unpack(packed).tolist()
    ([33, 15], [1, 2, 15])
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any, Literal

from ..bridges import kind_of
from ..bridges.memory import empty_numpy, empty_torch
from ..bridges.room import tells_memory
from ..buffer import Buffer, check_dims, contiguous_strides, numpy_buffer, refuse_masked
from ..core.block import cast_buffer
from ..core.loss import Loss
from ..errors import CastError, FormatError
from ..formats import FORMATS, Format, lookup, lookup_target
from ..policy import Policy

if TYPE_CHECKING:
    import numpy as np

_UINT8 = ("uint8", "torch.uint8")


@dataclass(frozen=True, eq=False, repr=False)
class PackedTensor:
    """Elements of a sub-byte format in as few bytes as hold them.

    The bytes are a little-endian stream of bits in C order, the first element in the lowest bits
    of the first byte; rows are not padded. The bits after the last element mean nothing, and are
    zero in what tensorcast makes.

    Attributes:
        format: of the elements, fewer than 8 bits each; any spelling is accepted.
        shape: in elements.
        data: uint8, one dimension, contiguous, exactly `format.n_bytes(n_elements)` long: a NumPy
            array or a torch tensor. Not copied.

    Raises:
        FormatError: elements of the format fill whole bytes.
        CastError: the bytes are not what the shape asks for.
    """

    format: Format
    shape: tuple[int, ...]
    data: Any

    def __post_init__(self) -> None:
        row = _sub_byte(self.format)
        try:
            shape = tuple(index(n) for n in self.shape)
        except Exception as error:
            raise CastError(f"shape={self.shape!r} is no tuple of lengths") from error
        object.__setattr__(self, "format", row)
        object.__setattr__(self, "shape", shape)
        check_dims(len(shape))
        if any(n < 0 for n in shape):
            raise CastError(f"shape {list(shape)} has a negative dimension")
        if not _is_bytes(self.data):
            raise CastError(
                "the data of a packed tensor are uint8 bytes, one dimension, contiguous, as a "
                f"NumPy array or a torch tensor; found {_described(self.data)}"
            )
        refuse_masked(self.data)
        n_bytes = row.n_bytes(prod(shape))
        if len(self.data) != n_bytes:
            raise CastError(
                f"{prod(shape)} elements of {row.name} (shape {list(shape)}) take {n_bytes} "
                f"bytes, found {len(self.data)}"
            )

    @property
    def n_elements(self) -> int:
        """Elements in all."""
        return prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes in all."""
        return self.format.n_bytes(self.n_elements)

    @property
    def is_torch(self) -> bool:
        """Whether the bytes are a torch tensor's."""
        return kind_of(self.data) == "torch"

    def buffer(self, *, writable: bool = False) -> Buffer:
        """The packed elements as the kernels read and write them.

        Raises:
            CastError: the bytes are not in the CPU's memory, or read-only while `writable` is
                asked for.
        """
        memory = _buffer_of(self.data)
        if writable and not memory.writable:
            raise CastError("the bytes are read-only; write into a copy of them")
        return Buffer(
            address=memory.address,
            shape=self.shape,
            strides=contiguous_strides(self.shape, 1),
            format=self.format,
            owner=self.data,
            writable=memory.writable,
            packed=True,
        )

    def to_torch(self) -> Any:
        """The elements as torch keeps them: float4_e2m1fn_x2 (last dimension halved, sharing
        memory), or torch.int1 to int7, uint1 to uint7 with a byte for each (a copy).

        Raises:
            CastError: the bytes are not torch's, torch has no such dtype, or the last dimension
                of a float4_e2m1fn is odd.
        """
        if not self.is_torch:
            raise CastError("the bytes are a NumPy array; pack a torch tensor to get one back")
        from ..bridges.torch import pairs

        if self.format.torch_pairs:
            return pairs.pairs_of_bytes(self.data, self.format, self.shape)
        return pairs.elements_of_codes(unpack(self), self.format)

    def __repr__(self) -> str:
        kind = ", torch" if self.is_torch else ""
        return f"PackedTensor({self.format.name}, shape={self.shape}, {self.n_bytes} bytes{kind})"


@tells_memory
def pack(codes: Any, format: Format | str) -> PackedTensor:
    """The codes, packed.

    Args:
        codes: uint8 codes of any shape and strides, low bits used, as a NumPy array or a torch
            tensor; or elements of the format itself: an ml_dtypes array, a torch.int4 or such
            tensor, or a torch.float4_e2m1fn_x2 one, which is packed already (its memory is shared,
            and the last dimension of the result counts elements). The result is of the same kind.
        format: of the codes. Numbers of another format are cast:
            `tensorcast.cast(x, "int4", packed=True)`.

    Raises:
        CastError: a code has bits beyond the format's, or the array holds something else.

    Example:
        >>> import numpy as np
        >>> pack(np.array([[1, 2, 3], [4, 5, 6]], np.uint8), "uint4").data.tolist()
        [33, 67, 101]
    """
    row = _sub_byte(format)
    array: Any
    if kind_of(codes) == "torch":
        from ..bridges.torch import pairs

        if pairs.is_pairs(codes.dtype):
            held = lookup(codes.dtype)
            if row != held:
                raise CastError(f"the tensor holds {held.name}, not {row.name}")
            return PackedTensor(row, *pairs.bytes_of_pairs(codes))
        array = pairs.codes_of(codes, row)
    else:
        array = _codes_of(codes, row)
    if array is None:
        raise CastError(
            f"pack takes uint8 codes or elements of {row.name}, found {codes.dtype}; "
            f'tensorcast.cast(x, "{row.name}", packed=True) casts numbers'
        )
    memory = _buffer_of(array)
    are_codes = str(codes.dtype) in _UINT8
    if are_codes and memory.n_elements and (top := int(array.max())) >> row.bits:
        raise CastError(f"{top:#x} is not a code of {row.name}, which has {row.bits} bits")
    source = Buffer(memory.address, memory.shape, memory.strides, row, owner=array)
    result = empty_packed(memory.shape, row, like=codes)
    cast_buffer(source, result.buffer(), row, Policy().resolve(row, row))
    return result


@tells_memory
def unpack(packed: PackedTensor, *, into: Literal["codes", "elements"] = "codes") -> Any:
    """One element to a byte: what `pack` was given.

    Args:
        into: "codes", uint8, the low bits used and the high bits zero; or "elements", of the
            format's own dtype: ml_dtypes' for NumPy, torch.int1 to int7, uint1 to
            uint7 for torch.

    Returns:
        An array or tensor of shape `packed.shape`, of the kind of `packed.data`.

    Raises:
        CastError: torch has no dtype for such elements.

    Example:
        >>> import numpy as np
        >>> packed = pack(np.array([1, 15], np.uint8), "int4")
        >>> unpack(packed, into="elements")
        array([1, -1], dtype=int4)
    """
    if not isinstance(packed, PackedTensor):
        raise CastError(f"unpack takes a PackedTensor, found a {type(packed).__qualname__}")
    if not isinstance(into, str) or into not in ("codes", "elements"):
        raise CastError(f'into={into!r} is not "codes" or "elements"')
    row = packed.format
    data = _empty_bytes(packed.n_elements, packed.data)
    steps = contiguous_strides(packed.shape, 1)
    target = Buffer(_buffer_of(data).address, packed.shape, steps, row, owner=data)
    cast_buffer(packed.buffer(), target, row, Policy().resolve(row, row))
    codes = data.reshape(packed.shape)
    if into == "codes":
        return codes
    if packed.is_torch:
        from ..bridges.torch import pairs

        return pairs.elements_of_codes(codes, row)
    from ..bridges.dtypes import dtype_of

    return codes.view(dtype_of(row))


def empty_packed(shape: tuple[int, ...], format: Format | str, *, like: object) -> PackedTensor:
    """A packed tensor whose bytes are not set yet, in memory of the kind that `like` is of."""
    row = _sub_byte(format)
    return PackedTensor(row, shape, _empty_bytes(row.n_bytes(prod(shape)), like))


def cast_into_packed(
    source: Buffer,
    to: Format | str,
    policy: Policy,
    *,
    like: object,
    out: PackedTensor | None = None,
    report: bool = False,
) -> tuple[PackedTensor, Loss]:
    """Cast elements of any format into a packed tensor.

    Args:
        source: CPU memory of any format, strides and byte order, packed or not.
        to: a sub-byte format.
        like: a NumPy array or a torch tensor: gives the kind of a new result's bytes.
        out: where to write, instead of a new result; nothing is written on refusal.
        report: count everything a `Loss` can tell.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
        CastError: `out` is of another format or shape, overlaps the source or is read-only.
    """
    row = _sub_byte(to)
    resolved = policy.resolve(source.format, row)
    result = out if out is not None else empty_packed(source.shape, row, like=like)
    target = result.buffer(writable=True)
    return result, cast_buffer(source, target, row, resolved, report=report, fresh=out is None)


def cast_packed(
    x: PackedTensor, to: Format | str, policy: Policy, *, out: Any = None, report: bool = False
) -> tuple[Any, Loss]:
    """Cast a packed tensor: to a sub-byte format as another one, to a wider one as a NumPy array
    or a torch tensor, as its bytes are, of the same shape.

    Args:
        out: where to write, instead of a new result: a `PackedTensor`, an array or a tensor;
            nothing is written on refusal.
        report: count everything a `Loss` can tell.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.
        CastError: `out` does not fit, or torch has no dtype for the format.
    """
    row, source = lookup_target(to), x.buffer()
    if row.is_packed and (out is None or isinstance(out, PackedTensor)):
        return cast_into_packed(source, row, policy, like=x.data, out=out, report=report)
    resolved = policy.resolve(x.format, row)
    if isinstance(out, PackedTensor):
        raise CastError(f"out holds {out.format.name}, not {row.name}")
    result = out if out is not None else _empty(x.shape, row, x.data)
    fresh = out is None
    loss = cast_buffer(source, _buffer_of(result), row, resolved, report=report, fresh=fresh)
    return result, loss


def measure_packed(x: PackedTensor, to: Format | str, policy: Policy) -> Loss:
    """What `cast_packed` would lose; nothing is written and nothing raises for a value."""
    row = lookup_target(to)
    return cast_buffer(x.buffer(), None, row, policy.resolve(x.format, row), report=True)


def _sub_byte(format: Format | str) -> Format:
    row = lookup(format)
    if not row.is_packed:
        raise FormatError(
            f"elements of {row.name} fill whole bytes: only formats of fewer than 8 bits pack"
        )
    return row


def _described(data: object) -> str:
    try:
        kind = getattr(data, "dtype", type(data).__name__)
        shape = getattr(data, "shape", None)
        return f"{kind} of shape {list(shape)}" if isinstance(shape, tuple) else str(kind)
    except Exception:  # of attributes that raise
        return type(data).__name__


def _is_bytes(data: Any) -> bool:
    try:
        kind = kind_of(data)
    except CastError:
        return False
    if kind == "torch":
        from ..bridges.torch.tensor import format_of

        format_of(data)  # which refuses sparse and nested ones
    contiguous = data.is_contiguous() if kind == "torch" else data.flags.c_contiguous
    return data.ndim == 1 and bool(contiguous) and str(data.dtype) in _UINT8


def _codes_of(array: Any, row: Format) -> np.ndarray | None:
    """The bytes of a NumPy array that keeps one code of `row` to a byte; None for another."""
    import numpy as np

    from ..bridges.dtypes import dtype_of

    refuse_masked(array)
    codes: np.ndarray = np.asarray(array)
    if codes.dtype == np.uint8:
        return codes
    return codes.view(np.uint8) if codes.dtype == dtype_of(row) else None


def _buffer_of(array: Any) -> Buffer:
    """The memory of a NumPy array or of a torch tensor.

    Raises:
        CastError: it is not the CPU's.
    """
    if kind_of(array) == "numpy":
        return numpy_buffer(array)
    if array.device.type != "cpu":
        raise CastError(f"the tensor is on {array.device}; packing works in the CPU's memory")
    from ..bridges.torch.tensor import buffer_of, is_plain

    if not is_plain(array):
        raise CastError("the tensor is being traced or transformed, and has no memory to read")
    return buffer_of(array.detach())


def _empty_bytes(n_bytes: int, like: object) -> Any:
    return _empty((n_bytes,), FORMATS["uint8"], like)


def _empty(shape: tuple[int, ...], row: Format, like: object) -> Any:
    made, _ = (empty_torch if kind_of(like) == "torch" else empty_numpy)(shape, row)
    return made
