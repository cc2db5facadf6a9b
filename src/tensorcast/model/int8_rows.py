"""What int8 makes of weights: symmetric, one scale for each row (the first dimension)."""

from __future__ import annotations

from typing import Any, Final

from tensorcast.loss import Loss

_CHUNK: Final = 1 << 20  # elements at a time


def scale_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of the scales, float32."""
    return 4 * (shape[0] if shape else 1)


def measure_rows(weights: Any) -> Loss:
    """The loss of round(x / scale) * scale with scale = amax of the row / 127.

    Nothing overflows by construction; NaN and infinities, which no scale helps, count as lost.
    """
    import torch

    from tensorcast.bridges.torch import format_of

    rows = weights.detach().flatten(1)
    step = max(1, _CHUNK // max(1, rows.shape[1]))
    counts = dict.fromkeys(("inexact", "underflow", "nan", "inf"), 0)
    error = squared = largest = 0.0
    low, high = float("inf"), float("-inf")
    for piece in rows.split(step):
        x = piece.to(torch.float64)
        finite = torch.isfinite(x)
        counts["nan"] += int(torch.isnan(x).sum())
        counts["inf"] += int(torch.isinf(x).sum())
        x = torch.where(finite, x, 0.0)
        amax = x.abs().amax(1, keepdim=True)
        scale = torch.where(amax > 0, amax / 127, 1.0)
        codes = torch.round(x / scale)
        off = codes * scale - x
        counts["inexact"] += int((off != 0).sum())
        counts["underflow"] += int(((codes == 0) & (x != 0)).sum())
        error += float((off * off).sum())
        squared += float((x * x).sum())
        largest = max(largest, float(off.abs().max()))
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    return Loss(
        format_of(weights).name,
        "int8",
        weights.numel(),
        n_overflow=counts["inf"],
        n_nan_lost=counts["nan"],
        n_inexact=counts["inexact"],
        n_underflow=counts["underflow"],
        n_nan=counts["nan"],
        n_inf=counts["inf"],
        min=low,
        max=high,
        amax=max(-low, high),
        max_abs_error=largest,
        sum_squared_error=error,
        sum_squared=squared,
    )
