"""What two formats are to each other: whether values can be lost, or refused, from one to the
other."""

from __future__ import annotations

from functools import lru_cache

from ..formats import FORMATS, Format
from ..policy import ResolvedPolicy, can_refuse, ends_infinities


def is_lossless_pair(source: Format, target: Format) -> bool:
    """Whether every value of one format is a value of the other, by the formats alone: infinity
    and NaN too, but a zero may lose its sign and a NaN its payload.

    Example:
        >>> int32, int64, float32 = (FORMATS[name] for name in ("int32", "int64", "float32"))
        >>> is_lossless_pair(int32, int64), is_lossless_pair(int32, float32)
        (True, False)
    """
    return source.name == target.name or _is_lossless(source.name, target.name)


@lru_cache(maxsize=2048)
def _is_lossless(source_name: str, target_name: str) -> bool:
    source, target = FORMATS[source_name], FORMATS[target_name]
    if source.is_complex and not target.is_complex:
        return False
    source, target = source.component, target.component
    if (source.infinity and not target.infinity) or (source.has_nan and not target.has_nan):
        return False
    if source.max_exact > target.max_exact or source.min_exact < target.min_exact:
        return False
    if not target.subnormals:  # no zero
        return not source.subnormals
    if source.is_float and not target.is_float:
        return False
    if not target.is_float:
        return True
    if not source.is_float:  # the end -2^n is a power of two
        return source.max_exact.numerator.bit_length() <= target.mantissa_bits + 1
    finer = source.mantissa_bits <= target.mantissa_bits
    return finer and target.smallest_exact <= source.smallest_exact


def loses_nothing(source: Format, target: Format) -> bool:
    """Whether a cast has nothing to count: of integers that the target holds whatever they are."""
    return not (source.is_float or source.is_complex) and is_lossless_pair(source, target)


@lru_cache(maxsize=1024)
def may_refuse(source: Format, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether some value of the source could make the policy refuse."""
    if policy.exact:
        ends = ends_infinities(source, target, policy)
        return ends or not is_lossless_pair(source, target)
    return can_refuse(source, target, policy)
