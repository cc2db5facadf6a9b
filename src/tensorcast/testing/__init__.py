"""What a test of a cast needs, for NumPy and torch, without pytest: values at which casts go wrong,
the result that is right, and a comparison that says where they differ.

For kernels of your own as well: `assert_matches_reference` holds any function to the exact
reference codec.

    >>> import numpy as np
    >>> from tensorcast.testing import assert_cast_close, assert_matches_reference
    >>> assert_cast_close(np.float16([1, 2]), np.float16([1, 2]))
    >>> assert_matches_reference(lambda x: x.astype(np.float32), "float16", "float32")
"""

from __future__ import annotations

from .codes import as_array, codes_of
from .comparison import assert_cast_close
from .matching import assert_matches_reference, reference_cast
from .values import all_codes, edge_values, midpoints

__all__ = [
    "all_codes",
    "as_array",
    "assert_cast_close",
    "assert_matches_reference",
    "codes_of",
    "edge_values",
    "midpoints",
    "reference_cast",
]
