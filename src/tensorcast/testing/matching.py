"""A cast function held to the exact reference codec."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import reference
from ..bridges import Kind, kind_of
from ..errors import CastError
from ..formats import Format, lookup
from ..policy import Policy, ResolvedPolicy
from .codes import as_array, codes_of, logical
from .comparison import Nan, assert_cast_close
from .values import edge_codes, midpoint_codes

if TYPE_CHECKING:
    import numpy as np

_SATURATE = Policy(overflow="saturate", nan="zero")

# around those of vectors
_LENGTHS = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129)


def reference_cast(x: Any, target: Format | str, policy: Policy = _SATURATE) -> Any:
    """What the cast of an array is, by the exact reference codec: slow, some 100 000 elements a
    second, and right for every format and policy.

    Returns:
        An array or tensor of the target, of x's kind and shape.

    Raises:
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.

    Example:
        >>> import numpy as np
        >>> reference_cast(np.float32([300, -1.5]), "int8").tolist()
        [127, -1]
    """
    row, codes = codes_of(x)
    wanted = lookup(target)
    results, _ = reference.cast_codes(_joined(codes, row), row, wanted, policy.resolve(row, wanted))
    return as_array(_parted(results, wanted, logical(codes.shape, row)), wanted, kind=kind_of(x))


def _joined(codes: np.ndarray, row: Format) -> list[int]:
    """One Python integer per element, C order."""
    if not row.is_complex:
        return [int(code) for code in codes.reshape(-1).tolist()]
    return [real | imag << (row.bits // 2) for real, imag in codes.reshape(-1, 2).tolist()]


def _parted(codes: list[int], row: Format, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    if not row.is_complex:
        return np.array(codes, np.uint64).reshape(shape)
    half = row.bits // 2
    pairs = [(code & ((1 << half) - 1), code >> half) for code in codes]
    return np.array(pairs, np.uint64).reshape(*shape, 2)


def assert_matches_reference(
    cast_function: Callable[[Any], Any],
    source: Format | str,
    target: Format | str,
    policy: Policy = _SATURATE,
    *,
    kind: Kind = "numpy",
    nan: Nan = "any",
    n_random: int = 1000,
) -> None:
    """Raise unless a function casts as the exact reference does.

    It is called with every code of a source of at most 16 bits, with the edges, midpoints and
    random codes of a wider one; all of them at once, then the last of them in lengths around those
    of vectors, then every other one and in reverse, which must not change a result.

    Args:
        cast_function: takes an array of the source, gives an array of the target.
        policy: what the function does; it is given no value that this refuses. Stochastic
            rounding depends on the index of an element, and is given whole arrays only.
        kind: "numpy" or "torch": what the function takes and gives.
        nan: as in `assert_cast_close`.
        n_random: random codes of a wide source.

    Raises:
        AssertionError: a result differs; the message shows the source's value.

    Example:
        >>> import numpy as np
        >>> assert_matches_reference(lambda x: x.astype(np.int8), "int16", "int8")
        Traceback (most recent call last):
        ...
        AssertionError: int16 to int8, 65536 elements: 65026 of 65536 values of int8 differ. First \
at [128]: from 128 (0x0080), actual -128 (0x80), expected 127 (0x7f), 255 ulps apart
    """
    row, wanted = lookup(source), lookup(target)
    resolved = policy.resolve(row, wanted)
    codes, results = _accepted(_codes_to_try(row, wanted, n_random), row, wanted, resolved)

    def compare(part: slice, what: str) -> None:
        if kind == "numpy":
            x = as_array(codes, row)[part]
        else:  # torch has no negative strides
            backwards = part.step == -1
            x = as_array(codes[part] if backwards else codes, row, kind=kind)
            x = x if backwards else x[part]
        expected = as_array(results[part], wanted, kind=kind)
        try:
            assert_cast_close(cast_function(x), expected, nan=nan, source=x)
        except AssertionError as error:
            raise AssertionError(f"{row.name} to {wanted.name}, {what}: {error}") from None

    n = len(codes)
    compare(slice(None), f"{n} elements")
    if resolved.rounding == "stochastic":
        return
    for length in _LENGTHS:  # of the end, where the specials are
        if length <= n:
            compare(slice(n - length, n), f"the last {length} elements")
    compare(slice(None, None, 2), "every other element")
    compare(slice(None, None, -1), "in reverse")


def _codes_to_try(source: Format, target: Format, n_random: int) -> np.ndarray:
    import numpy as np

    component = source.component
    size = component.container_bits // 8
    if component.bits <= 16:
        n = 2 if component.kind == "bool" else 1 << component.bits
        return np.arange(n).astype(f"u{size}")
    draw = np.random.default_rng([n_random, source.bits, target.bits])
    random = draw.integers(0, 1 << 64, n_random, np.uint64, endpoint=False)
    random &= np.uint64((1 << component.bits) - 1)
    near = midpoint_codes(component, target.component, 1000)
    codes = np.concatenate([np.array((*near, *edge_codes(component)), np.uint64), random])
    codes = codes.astype(f"u{size}")
    if not source.is_complex:
        return codes
    return np.stack([codes, draw.permutation(codes)], axis=-1)


def _accepted(
    codes: np.ndarray, source: Format, target: Format, policy: ResolvedPolicy
) -> tuple[np.ndarray, np.ndarray]:
    """The codes and their results. A code that the policy refuses is replaced by one that every
    policy takes, so that the others keep their indexes."""
    import numpy as np

    outcomes = [
        reference.cast_code(code, source, target, policy, index)
        for index, code in enumerate(_joined(codes, source))
    ]
    refused = np.zeros(len(codes), bool)
    plain = None
    for index, (code, outcome) in enumerate(zip(_joined(codes, source), outcomes, strict=True)):
        suspect = outcome.overflow or outcome.nan_lost or (policy.exact and outcome.inexact)
        refused[index] = suspect and _is_refused(code, source, target, policy, index)
        if plain is None and not (outcome.inexact or outcome.nan_lost):
            plain = index
    results = _parted([outcome.code for outcome in outcomes], target, (len(codes),))
    if refused.any():
        if plain is None:
            return codes[~refused], results[~refused]
        codes, results = codes.copy(), results.copy()
        codes[refused], results[refused] = codes[plain], results[plain]
    return codes, results


def _is_refused(
    code: int, source: Format, target: Format, policy: ResolvedPolicy, index: int
) -> bool:
    try:
        reference.cast_codes([code], source, target, policy, first_index=index)
    except CastError:
        return True
    return False
