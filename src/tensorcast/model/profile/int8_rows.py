"""What int8 makes of weights: symmetric, one scale for each row (the first dimension)."""

from __future__ import annotations

from typing import Any, Final

from ...core.loss import Loss

SCALE: Final = "a scale per row"
BY_ROW: Final = f"int8 ({SCALE})"
"""How it is called beside "int8", which is the plain cast."""

_CHUNK: Final = 1 << 17  # elements at a time: the passes over them run in a cache


def scale_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of the scales, float32."""
    return 4 * (shape[0] if shape else 1)


def measure_rows(weights: Any) -> Loss:
    """The loss of round(x / scale) * scale with scale = amax of the row / 127, in float32 (of
    float64 weights in float64).

    Nothing overflows by construction; infinities, which no scale helps, count as overflow, and NaN
    as lost.
    """
    import torch

    from ...bridges.torch.tensor import format_of

    source = format_of(weights)
    carrier = torch.float64 if source.name == "float64" else torch.float32
    rows = weights.detach().flatten(1)
    sums = _Sums()
    for piece in rows.split(max(1, _CHUNK // max(1, rows.shape[1]))):
        sums.add(piece.to(carrier))
    return Loss(
        source.name,
        "int8",
        weights.numel(),
        n_overflow=sums.n_inf,
        n_nan_lost=sums.n_nan,
        n_inexact=sums.n_inexact,
        n_underflow=sums.n_underflow,
        n_nan=sums.n_nan,
        n_inf=sums.n_inf,
        min=sums.low,
        max=sums.high,
        amax=max(-sums.low, sums.high),
        max_abs_error=sums.largest,
        sum_squared_error=sums.error,
        sum_squared=sums.squared,
        n_zero=sums.n_zero,
        n_to_zero=sums.n_underflow,
    )


class _Sums:
    """Over the rows seen."""

    def __init__(self) -> None:
        self.n_inexact = self.n_underflow = self.n_nan = self.n_inf = self.n_zero = 0
        self.low, self.high = float("inf"), float("-inf")
        self.error = self.squared = self.largest = 0.0

    def add(self, x: Any) -> None:
        import torch

        if not x.numel():
            return None
        low, high = torch.aminmax(x, dim=1, keepdim=True)
        amax = torch.maximum(-low, high)
        if not bool(torch.isfinite(amax).all()):
            n_nan, n_inf = int(torch.isnan(x).sum()), int(torch.isinf(x).sum())
            self.n_nan += n_nan
            self.n_inf += n_inf
            self.n_zero -= n_nan + n_inf  # which are counted as zeros next
            return self.add(torch.where(torch.isfinite(x), x, 0.0))
        scale = amax / 127
        scale = torch.where(scale > 0, scale, 1.0)  # a row of zeros
        codes = torch.div(x, scale).round_()
        n_non_zero = int(torch.count_nonzero(x))
        self.n_zero += x.numel() - n_non_zero
        self.n_underflow += n_non_zero - int(torch.count_nonzero(codes))
        off = codes.mul_(scale).sub_(x)
        self.n_inexact += int(torch.count_nonzero(off))
        self.largest = max(self.largest, *(abs(float(end)) for end in torch.aminmax(off)))
        self.error += _squares(off)
        self.squared += _squares(x)
        self.low, self.high = min(self.low, float(low.min())), max(self.high, float(high.max()))
        return None


def _squares(x: Any) -> float:
    """The sum of squares, each row's by itself."""
    import torch

    norms = torch.linalg.vector_norm(x, dim=1).double()
    return float(norms.dot(norms))
