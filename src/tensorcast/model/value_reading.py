"""The one reading of a tensor's values: ranges, kinds and exponents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .value_ranges import Values

_CHUNK: Final = 1 << 20  # elements that are read at a time where they have to be copied


def values_of(tensor: Any) -> Values:
    """Range, zeros, infinities, NaNs and exponents of a torch tensor that has values."""
    found: Values | None = None
    for chunk in _chunks(_real(tensor.detach())):
        values = _by_torch(chunk)
        found = values if found is None else found.merge(values)
    return found or Values.of_numbers(())


def _real(tensor: Any) -> Any:
    import torch

    tensor = tensor.resolve_conj().resolve_neg()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


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
        return _of_integers(x)
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


def _of_integers(x: Any) -> Values:
    """The kinds of integers and bool; torch has no arithmetic for the wide unsigned ones."""
    import numpy as np

    array = x.cpu().numpy()
    distinct, counts = np.unique(array, return_counts=True)
    bits: dict[int, int] = {}
    for n, count in zip(distinct.tolist(), counts.tolist(), strict=True):
        if n:
            e = abs(int(n)).bit_length() - 1
            bits[e] = bits.get(e, 0) + count
    first = min(bits, default=0)
    magnitudes = [abs(int(n)) for n in (distinct[0], distinct[-1])]
    nonzero = np.unique(np.abs(distinct[distinct != 0].astype(object)))
    return Values(
        n_values=array.size,
        n_zero=int(counts[distinct == 0].sum()),
        n_inf=0,
        n_nan=0,
        min=int(distinct[0]),
        max=int(distinct[-1]),
        amax=max(magnitudes),
        smallest=int(nonzero[0]) if nonzero.size else None,
        first_exponent=first,
        exponent_counts=tuple(bits.get(e, 0) for e in range(first, max(bits, default=-1) + 1)),
    )
