"""NumPy's dtypes of the formats, ml_dtypes' among them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import CastError
from ..formats import Format

if TYPE_CHECKING:
    import numpy as np


@cache
def dtype_of(row: Format) -> np.dtype[Any]:
    """NumPy's dtype of a format, or ml_dtypes' where NumPy has none.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> dtype_of(FORMATS["float16"]), dtype_of(FORMATS["float8_e5m2"])
        (dtype('float16'), dtype(float8_e5m2))

    Raises:
        CastError: neither has one, or only a newer ml_dtypes has.
    """
    import numpy as np

    dtype: np.dtype[Any]
    if "numpy" in row.spellings:
        dtype = np.dtype(row.spellings["numpy"])
        return dtype
    import ml_dtypes

    name = row.spellings.get("ml_dtypes")
    if name is None:
        raise CastError(
            f"NumPy has no dtype for {row.name}, nor has ml_dtypes; cast to a wider format, or "
            f'tensorcast.cast(x, "{row.name}", packed=True) makes a PackedTensor'
        )
    scalar = getattr(ml_dtypes, name, None)
    if scalar is None:
        raise CastError(f"this ml_dtypes ({ml_dtypes.__version__}) has no {name}; install a newer")
    dtype = np.dtype(scalar)
    return dtype
