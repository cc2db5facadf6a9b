"""Products that are to be rounded once: numbers times a factor, as float64 that rounds to a whole
number as the exact product does.

    >>> import numpy as np
    >>> rounds_as_product(np.array([100 / 255, 1.0]), 255.0).tolist()
    [99.99999999999999, 255.0]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

_SPLITS: Final = 134217729.0  # 2^27 + 1: halves a float64's 53 bits into 26 and 27 (Veltkamp)
_SMALLEST: Final = 5e-324
_LARGEST: Final = 2.0**900  # beyond it halves would overflow


def rounds_as_product(values: np.ndarray[Any, Any], factor: float) -> np.ndarray[Any, Any]:
    """For each value, the float64 nearest to its product with the factor, or the one beside that:
    a product that is no half of a whole number never becomes one, so that it is rounded to a whole
    number in the direction of the exact product, in whatever way it is rounded.

    Args:
        values: float64, of any shape.
        factor: finite.
    """
    import numpy as np

    with np.errstate(all="ignore"):
        product: np.ndarray[Any, Any] = values * factor
        doubled = 2 * product
        suspect = (np.rint(doubled) == doubled) & (np.abs(values) < _LARGEST)
        if not suspect.any():
            return product
        x, p = values[suspect], product[suspect]
        error = _error(x, factor, p)  # exact: what the rounding of the product left out
        beside = np.nextafter(p, np.where(error > 0, np.inf, -np.inf))
        product[suspect] = np.where(error == 0, p, beside)
        if factor:  # a product too small for a float64 is no zero
            lost = (product == 0) & (values != 0)
            product[lost] = np.copysign(_SMALLEST, product[lost])
    return product


def _error(x: Any, factor: float, p: Any) -> Any:
    """x * factor - p, exactly (Dekker 1971, Mul12)."""
    high, low = _halves(x)
    factor_high, factor_low = _halves(factor)
    rest = high * factor_high - p
    rest = rest + high * factor_low
    rest = rest + low * factor_high
    return rest + low * factor_low


def _halves(x: Any) -> tuple[Any, Any]:
    high = x * _SPLITS
    high = high - (high - x)
    return high, x - high
