"""The one reading of a tensor's values: ranges, kinds and exponents."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from ...formats import Format
from ...kernels.cpu import RawRanges, read_ranges
from ...kernels.torch_lazy import check_storage, settled
from ...reference import Special, decode
from .value_ranges import Values

_CHUNK: Final = 1 << 20  # elements that are read at a time where they have to be copied
_NONE: Final = (1 << 64) - 1


def values_of(tensor: Any, *, kernel: str | None = None) -> Values:
    """Range, zeros, infinities, NaNs and exponents of a torch tensor that has values.

    Memory without gaps is read where it lies, in any order of dimensions; other strides are copied
    piece by piece, and other devices count by torch's operations.
    """
    from ...bridges.torch.pairs import is_pairs
    from ...bridges.torch.tensor import format_of

    tensor = tensor.detach()  # another thread may cast the tensor itself in place
    row = format_of(tensor)
    check_storage(tensor)
    tensor = settled(tensor)
    if row.is_complex:
        tensor, row = _components(tensor), row.component
    if tensor.device.type != "cpu":
        return _merged(_by_torch(chunk) for chunk in _chunks(tensor))
    n_codes = 2 if is_pairs(tensor.dtype) else 1
    pieces = [tensor] if _is_dense(tensor) else _chunks(tensor)
    return _merged(
        values_of_ranges(
            read_ranges(row, x.data_ptr(), x.numel(), kernel=kernel), row, n_codes * x.numel()
        )
        for x in pieces
    )


def _components(tensor: Any) -> Any:
    """Complex elements as pairs, in the same memory."""
    import torch

    return torch.view_as_real(tensor)


def values_of_ranges(raw: RawRanges, row: Format, n: int) -> Values:
    """What a kernel counted over n elements, as values."""
    if row.bits <= 8:
        return _of_codes(raw, row, n)
    n_kept = n - raw.n_inf - raw.n_nan
    low: float | int
    high: float | int
    if row.is_integer:
        shift = 1 << 63 if row.name == "uint64" else 0
        low, high = (raw.min + shift, raw.max + shift) if n else (0, 0)
        smallest: float | int | None = raw.smallest
        first = raw.first_bin
    else:
        low, high = (_float(raw.min, row), _float(raw.max, row)) if n_kept else (0.0, 0.0)
        smallest = _magnitude(raw.smallest, row) if raw.smallest != _NONE else None
        first = raw.first_bin + 1 - row.bias - row.mantissa_bits
    return Values(
        n_values=n,
        n_zero=raw.n_zero,
        n_inf=raw.n_inf,
        n_nan=raw.n_nan,
        min=low if n_kept else None,
        max=high if n_kept else None,
        amax=max(abs(low), abs(high)) if n_kept else None,
        smallest=smallest if raw.smallest != _NONE else None,
        first_exponent=first if raw.bins else 0,
        exponent_counts=raw.bins,
    )


def _float(key: int, row: Format) -> float:
    """The value of a code in its order; -0 is 0."""
    return -_magnitude(~key, row) + 0.0 if key < 0 else _magnitude(key, row)


def _magnitude(code: int, row: Format) -> float:
    value = decode(code, row)
    assert not isinstance(value, (Special, tuple))
    return float(value)


def _of_codes(raw: RawRanges, row: Format, n: int) -> Values:
    """The counts of each code of a format of 8 bits or fewer."""
    mask = (1 << row.bits) - 1  # a sub-byte code's other bits are not looked at
    counts: dict[int, int] = {}
    for byte, k in enumerate(raw.bins, raw.first_bin):
        for code in (byte & mask, byte >> 4) if sum(raw.bins) < n else (byte & mask,):
            counts[code] = counts.get(code, 0) + k
    kinds = {"nan": 0, "inf": 0}
    distinct: dict[float | int, int] = {}
    for code, k in counts.items():
        if not k:
            continue
        value = _number(row, code)
        if isinstance(value, str):
            kinds[value] += k
        else:
            distinct[value] = distinct.get(value, 0) + k
    exponents: dict[int, int] = {}
    for value, k in distinct.items():
        if value:
            e = _exponent(value)
            exponents[e] = exponents.get(e, 0) + k
    first, last = min(exponents, default=0), max(exponents, default=-1)
    return Values(
        n_values=n,
        n_zero=distinct.get(0, 0),
        n_inf=kinds["inf"],
        n_nan=kinds["nan"],
        min=min(distinct, default=None),
        max=max(distinct, default=None),
        amax=max(map(abs, distinct), default=None),
        smallest=min((abs(x) for x in distinct if x), default=None),
        first_exponent=first,
        exponent_counts=tuple(exponents.get(e, 0) for e in range(first, last + 1)),
    )


@cache
def _number(row: Format, code: int) -> float | int | str:
    """The value of a code, 0.0 for -0; "nan" or "inf"."""
    value = decode(code, row)
    if isinstance(value, Special):
        return 0.0 if value.kind == "zero" else "nan" if value.kind == "nan" else "inf"
    assert not isinstance(value, tuple)
    return float(value) if row.is_float else int(value)


def _exponent(value: float | int) -> int:
    import math

    return math.frexp(value)[1] - 1


def _merged(parts: Any) -> Values:
    found: Values | None = None
    for values in parts:
        found = values if found is None else found.merge(values)
    return found or Values.of_numbers(())


def _is_dense(tensor: Any) -> bool:
    """Whether the elements fill their memory without gaps or overlaps, in whatever order."""
    expected = 1
    for step, n in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if n == 1:
            continue
        if step != expected:
            return not tensor.numel()
        expected *= n
    return True


def _chunks(tensor: Any) -> Iterator[Any]:
    """Flat pieces, so that what is made of them is small; views where that can be."""
    if tensor.numel() <= _CHUNK:
        yield tensor.reshape(-1)
    elif tensor.is_contiguous():
        yield from tensor.view(-1).split(_CHUNK)
    else:
        longest = max(range(tensor.dim()), key=lambda d: tensor.shape[d])
        rows = max(1, tensor.shape[longest] * _CHUNK // tensor.numel())
        for piece in tensor.split(rows, longest):
            yield from _chunks(piece if piece.numel() <= _CHUNK else piece.contiguous())


def _by_torch(x: Any) -> Values:
    """By torch's operations, on any device; x is flat and small."""
    import torch

    if not x.numel():
        return Values.of_numbers(())
    if not x.is_floating_point():
        return values_of(x.cpu())  # few: indices
    wide = x.to(torch.float64)  # exact, and subnormals of all others are normal there
    infinite, missing = torch.isinf(wide), torch.isnan(wide)
    n_inf, n_nan = int(infinite.sum()), int(missing.sum())
    finite = wide[~(infinite | missing)] if n_inf or n_nan else wide
    magnitudes = finite.abs()
    magnitudes = magnitudes[magnitudes > 0]
    # 2^54 makes float64's own subnormals normal
    scaled = torch.where(magnitudes < 2.0**-1000, magnitudes * 2.0**54, magnitudes)
    exponents = (scaled.view(torch.int64) >> 52) - 1023
    exponents -= torch.where(magnitudes < 2.0**-1000, 54, 0)
    first, counts = 0, ()
    if exponents.numel():
        first = int(exponents.min())
        counts = tuple(torch.bincount(exponents - first).tolist())
    return Values(
        n_values=x.numel(),
        n_zero=finite.numel() - magnitudes.numel(),
        n_inf=n_inf,
        n_nan=n_nan,
        min=float(finite.min()) + 0.0 if finite.numel() else None,
        max=float(finite.max()) + 0.0 if finite.numel() else None,
        amax=float(finite.abs().max()) if finite.numel() else None,
        smallest=float(magnitudes.min()) if magnitudes.numel() else None,
        first_exponent=first,
        exponent_counts=counts,
    )
