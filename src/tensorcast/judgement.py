"""What a cast makes of a tensor, in one word: the thresholds stand here and nowhere else.

`Loss`, the sums over many tensors, `profile`, `inspect --stats`, `convert` and `cast_` all ask
here, so they say the same thing of the same cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

from .formats import FORMATS, Format, lookup
from .policy import ResolvedPolicy

Verdict = Literal["exact", "fits", "coarse", "loses", "collapses", "overflows"]

# A cast whose error is 1.8% of the signal (35 dB) or more is called coarse: every 8-bit float
# is. At 15 dB (18%), or with every hundredth value flushed to zero, values are plainly lost.
COARSE_DB: Final = 35.0
LOST_DB: Final = 15.0
LOST_SHARE: Final = 0.01

# What a tensor said is gone where most of it became 0. In the formats of few values one value for
# all is the same, as where everything becomes True; wider ones tell values apart that differ.
COLLAPSED_SHARE: Final = 0.5
FEW_BITS: Final = 8


def collapsed(n_non_zero: int, n_to_zero: int, *, several_become_one: bool) -> bool:
    """Whether a cast leaves next to nothing of a tensor: more than half of its non-zero values
    become 0, or several values become one (which is counted of targets of few bits only).

    Example:
        >>> collapsed(100, 50, several_become_one=False)
        False
        >>> collapsed(100, 51, several_become_one=False)
        True
    """
    return several_become_one or n_to_zero > n_non_zero * COLLAPSED_SHARE


def verdict(
    target: str,
    *,
    overflows: bool,
    collapses: bool,
    n_inexact: int | None,
    underflow_share: float,
    sqnr_db: float | None,
) -> Verdict:
    """The word for a cast, or for many to one format.

    Args:
        overflows: values leave the range, or NaNs are lost.
        collapses: of one tensor at least `collapsed` is true.
        n_inexact: values that change; None when not counted.
        underflow_share: of the values, what becomes 0 by rounding.
        sqnr_db: None when not counted.
    """
    if collapses:
        return "collapses"
    if overflows:
        return "overflows"
    if n_inexact == 0:
        return "exact"
    if not lookup(target).is_float:  # evenly spaced: the error says it all
        underflow_share = 0.0
    if underflow_share > LOST_SHARE or (sqnr_db is not None and sqnr_db < LOST_DB):
        return "loses"
    return "coarse" if sqnr_db is not None and sqnr_db < COARSE_DB else "fits"


def can_collapse(source: Format, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether the formats and the policy let a cast collapse a tensor: if not, there is nothing to
    count.

    Example:
        >>> from tensorcast.policy import Policy
        >>> for names in (("float32", "int8"), ("float32", "bfloat16"), ("bfloat16", "float32")):
        ...     source, target = (FORMATS[name] for name in names)
        ...     print(*names, can_collapse(source, target, Policy().resolve(source, target)))
        float32 int8 True
        float32 bfloat16 True
        bfloat16 float32 False
    """
    return _can_collapse(source.name, target.name, policy.overflow)


@lru_cache(maxsize=1024)
def _can_collapse(source_name: str, target_name: str, overflow: str) -> bool:
    if source_name == target_name:
        return False
    source, target = FORMATS[source_name].component, FORMATS[target_name].component
    if target.bits <= FEW_BITS:
        return True
    if source.is_float and target.is_float:  # below the least one there is 0: subnormals too
        return target.smallest_exact > source.smallest_exact
    if source.is_float:
        return True
    if target.is_float or source.kind == "bool":
        return False  # every integer but 0 is 1 or more
    lower, upper = source.min_exact < target.min_exact, source.max_exact > target.max_exact
    if overflow == "wrap":
        return lower or upper
    return overflow == "saturate" and lower and target.min_exact == 0


def collapse_headline(texts: Sequence[str], targets: Sequence[str]) -> str:
    """What is wrong with casts that collapse, in a line.

    Args:
        texts: `Loss.collapse_text` of each tensor.
        targets: the format of each.

    Example:
        >>> collapse_headline(["9 of 10 non-zero values become 0"] * 2, ["int8", "int8"])
        '2 tensors become mostly zero in int8'
    """
    zero = any("non-zero" in text for text in texts)
    one = any("non-zero" not in text for text in texts)
    what = " or ".join(["mostly zero"] * zero + ["one value"] * one)
    count = f"{len(texts):,} tensors become" if len(texts) > 1 else "1 tensor becomes"
    return f"{count} {what} in {', '.join(dict.fromkeys(targets))}"
