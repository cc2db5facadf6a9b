"""What is to be a picture: its dimensions in Pillow's order, and its numbers multiplied.

>>> import numpy as np
>>> picture_in(np.zeros((3, 4, 5)), "CHW").shape
(4, 5, 3)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.product import rounds_as_product
from ..errors import CastError
from ..formats import FORMATS, lookup
from ..policy import Policy
from .handover import hand_over
from .planning import Asked

if TYPE_CHECKING:
    import numpy as np


def picture_in(data: Any, layout: object) -> np.ndarray[Any, Any]:
    """The data as height x width x channels, or height x width where that is all: a view where the
    memory can be seen.

    Raises:
        CastError: the layout is none, or the data have other dimensions.
    """
    letters = str(layout)
    if sorted(letters) not in (["C", "H", "W"], ["H", "W"]):
        raise CastError(
            f'layout={layout!r} is none of a picture: it is "CHW", "HWC", "HW" or another order'
        )
    array = _array_of(data)
    if array.ndim != len(letters):
        raise CastError(
            f"the picture has shape {list(array.shape)}, the layout {letters!r} {len(letters)} "
            "dimensions"
        )
    array = array.transpose([letters.index(letter) for letter in "HWC" if letter in letters])
    one_channel = array.ndim == 3 and array.shape[2] == 1
    return array[:, :, 0] if one_channel else array


def multiplied(data: Any, factor: Any) -> np.ndarray[Any, Any]:
    """The data times a number, as float64 that rounds to a whole number as the exact product.

    Raises:
        CastError: the factor is no number that a float64 holds, or the data are complex.
        InexactCastError: a value of the data is none.
    """
    import numpy as np

    try:
        number = float(factor)
        fits = number == factor and np.isfinite(number)
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or isinstance(factor, bool):
        raise CastError(f"multiply={factor!r} is no finite number of 64 bits")
    array = _array_of(data)
    if lookup(array.dtype).is_complex:
        raise CastError(
            f"a picture has no complex numbers, and these are {array.dtype}; take .real"
        )
    exactly = Asked("numpy", FORMATS["float64"])
    return rounds_as_product(hand_over(array, exactly, Policy(exact=True)), number)


def _array_of(data: Any) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = hand_over(data, Asked("numpy"), Policy())
    return array
