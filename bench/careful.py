"""The statistics of a `Loss` by torch operations, as one writes them who takes care.

What it costs to know what a cast loses without a kernel that counts: a dozen passes over memory,
and float64 copies of both sides.
"""

from __future__ import annotations

import math
from typing import Any

import torch


def cast_and_measure(x: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, dict[str, Any]]:
    """A float tensor in a narrower float format, saturated, and what that lost.

    The keys are those of `tensorcast.core.loss.Loss`.
    """
    info = torch.finfo(dtype)
    finite, infinite, nan = torch.isfinite(x), torch.isinf(x), torch.isnan(x)
    wide = x.double()
    # half a step above the largest value is where overflow begins
    step = 2.0 ** math.floor(math.log2(info.max)) * info.eps
    beyond = wide.abs() - (info.max + step / 2)
    # float8_e4m3fn's largest value is even, so that a tie belongs to it
    overflow = finite & (beyond > 0 if dtype == torch.float8_e4m3fn else beyond >= 0)
    clamped = x.clamp(info.min, info.max)
    if math.isinf(torch.tensor(math.inf).to(dtype).item()):
        clamped = torch.where(infinite, x, clamped)
    else:
        overflow |= infinite
    y = clamped.to(dtype)
    back = y.double()
    error = (back - wide)[finite]
    numbers = wide[finite]
    first = torch.nonzero(overflow.reshape(-1))[:1]
    loss = {
        "n_elements": x.numel(),
        "n_overflow": int(overflow.sum()),
        "n_nan": int(nan.sum()),
        "n_inf": int(infinite.sum()),
        "n_inexact": int(((back != wide) & ~nan).sum()),
        "n_underflow": int(((back == 0) & (wide != 0)).sum()),
        "min": float(numbers.min()),
        "max": float(numbers.max()),
        "amax": float(numbers.abs().max()),
        "max_abs_error": float(error.abs().max()),
        "sum_squared_error": float((error * error).sum()),
        "sum_squared": float((numbers * numbers).sum()),
        "first_overflow": int(first) if len(first) else None,
    }
    return y, loss
