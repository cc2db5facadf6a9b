"""The exact, slow codec in Python integers: what every kernel must equal, bit for bit.

A code is a Python integer: the element's bits, low end first (for complex the real component
is the low half). Nothing here rounds but `_Target.finite`, which rounds once. The file is long
and stays whole, so that all there is to trust is read in one place.

    >>> from tensorcast.formats import FORMATS
    >>> from tensorcast.policy import Policy
    >>> float32, target = FORMATS["float32"], FORMATS["float8_e4m3fn"]
    >>> policy = Policy(overflow="saturate").resolve(float32, target)
    >>> outcome = cast_code(0x43E88000, float32, target, policy)  # 465.0
    >>> hex(outcome.code), outcome.overflow, decode(outcome.code, target)
    ('0x7e', True, Fraction(448, 1))

The rules, beyond the contract in docs:

- A finite value is rounded once, to the target's precision with its own subnormal spacing and
  an unbounded exponent. Only if that lies outside the finite range has it overflowed: float32
  3.4028235e38 toward zero is bfloat16's largest value, float64 1e300 toward zero overflows it.
  A format whose top binade is cut short by NaN codes follows the same rule: the value after
  float8_e4m3fn's 448 would be 480, so 464 is a tie and rounds to 448, and 465 overflows.
- A tie goes to the even significand. A format without mantissa bits, float8_e8m0fnu, has none
  that is even, so there a tie goes to the larger magnitude (IEEE 754-2019, 4.3.1, on numbers of
  one digit): 1.5 * 2^127 overflows, 1.5 * 2^-128 gives 2^-127.
- Overflow: "saturate" gives the nearest finite extreme; "wrap" the rounded integer modulo 2^bits;
  "raise" reports the code that "saturate" gives.
- "ieee" is IEEE 754-2019, 7.4. To nearest and stochastically (the rounded value lies outside the
  range either way) what overflows is infinity, or the NaN with the sign where the NaN has one.
  Toward zero, "down" above the range and "up" below it, it is the finite extreme.
- An infinity the target does not have overflows. "ieee" makes it the NaN in every direction: 7.4 is
  about finite values, and no rounding makes an infinity finite. Under "wrap" its code is that of
  "saturate" and `cast_codes` raises.
- An infinity the target has stays one under inf="keep". Under "saturate" and "raise" it overflows,
  to the finite extreme, whatever the overflow policy, and "raise" refuses it; in a cast to the same
  format too.
- float8_e8m0fnu holds neither zero nor negatives: both overflow and saturate to 2^-127. "ieee"
  makes them the NaN in every direction: no finite value lies on their side.
- NaN stays NaN and becomes quiet: sign and top payload bits are kept where the target has room.
  float8_e4m3fn's NaNs have a sign and no payload, float8_e8m0fnu's and the "fnuz" formats' only
  NaN is positive. A NaN that meets a target without NaN is lost and its code is 0. To bool it
  is True, and counts neither as lost nor as inexact.
- A cast to the same format copies the code: a signalling NaN stays one, a bool byte of 2 stays 2.
- From bool every non-zero byte is 1. To bool everything non-zero is True.
- -0 keeps its sign where the target has one; losing it is not inexact (the numbers are equal).
- inexact: a number, infinities included, whose result is another number (or a NaN).
- underflow: a non-zero number that is in range and becomes zero; overflow and underflow exclude
  each other, whatever the policy. To bool there is none.
- Stochastic rounding: f, in [0, 1), is the discarded part of the magnitude in units of the last
  kept place; the magnitude grows iff floor(f * 2^32) + rand32(seed, index) >= 2^32.
  The components of a complex element have indexes 2 * index and 2 * index + 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypedDict

from .errors import CastNanError, CastOverflowError, InexactCastError
from .formats import Format
from .policy import ResolvedPolicy, ends_infinities

_MASK32: Final = (1 << 32) - 1
_PAYLOAD_BITS: Final = 52  # of the widest NaN, float64's; payloads are kept as its mantissa

_FINITE, _INFINITE, _NAN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Special:
    """What a Fraction cannot say: an infinity, a NaN, or -0.

    Attributes:
        kind: "infinity", "nan" or "zero" (which is -0, since +0 is a plain number).
        negative: the sign.
        payload: of a NaN: its mantissa as the top bits of float64's 52, quiet bit first. A NaN
            without mantissa bits of its own has the quiet bit only, 1 << 51.
    """

    kind: Literal["infinity", "nan", "zero"]
    negative: bool
    payload: int = 0


Real = Fraction | Special
Value = Real | tuple[Real, Real]
"""A real, or for complex formats the pair (real, imaginary)."""

_Parts = tuple[int, bool, int, int]
"""(kind, negative, significand, exponent): significand * 2^exponent if finite; for a NaN the
significand is the payload."""


class Outcome(NamedTuple):
    """What became of one element; for complex, a flag is set if either component set it."""

    code: int
    overflow: bool = False
    nan_lost: bool = False
    inexact: bool = False
    underflow: bool = False


def _mix(x: int) -> int:
    """A bijection of 32 bits in which every input bit flips each output bit half the time.

    The constants are TheIronBorn's, the least biased of the two-multiply family searched by
    Chris Wellons' hash-prospector (public domain).
    """
    x ^= x >> 16
    x = x * 0x21F0AAAD & _MASK32
    x ^= x >> 15
    x = x * 0xD35A2D97 & _MASK32
    return x ^ (x >> 15)


def seed_keys(seed: int) -> tuple[int, int]:
    """The two 32-bit keys of a 64-bit seed, one pair for each seed.

    The seed is mixed before it meets the index: with `index ^ seed` alone, neighbouring seeds
    would draw the same numbers in another order.
    """
    low, high = seed & _MASK32, seed >> 32
    second = high ^ _mix(low ^ 0x9E3779B9)
    return low ^ _mix(second ^ 0x85EBCA6B), second


def rand32(seed: int, index: int) -> int:
    """The 32 random bits of one element.

    Args:
        seed: 0 to 2^64 - 1.
        index: of the element, 0 to 2^64 - 1.

    Example:
        >>> [hex(rand32(0, i)) for i in range(3)]
        ['0x19fd5c88', '0x7be81e71', '0x1f07d5fd']
    """
    first, second = seed_keys(seed)
    high = (index >> 32) * 0x9E3779B9 & _MASK32
    return _mix(_mix(index & _MASK32 ^ first) ^ second ^ high)


def decode(code: int, row: Format) -> Value:
    """The value of a code: a Fraction, a Special, or a pair of them for a complex format.

    Raises:
        ValueError: the code does not fit the format's bits.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> decode(0xFF, FORMATS["float8_e4m3fn"])
        Special(kind='nan', negative=True, payload=2251799813685248)
    """
    parts = [_value(_parts(one, row.component)) for one in _split(code, row)]
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def _split(code: int, row: Format) -> tuple[int, ...]:
    """The codes of the components: two for a complex format, else the code itself."""
    if not 0 <= code < 1 << row.bits:
        raise ValueError(f"{code:#x} is not a code of {row.name}, which has {row.bits} bits")
    if row.kind != "complex":
        return (code,)
    bits = row.bits // 2
    return code & ((1 << bits) - 1), code >> bits


def _parts(code: int, row: Format) -> _Parts:
    """Decode a code of a real format, or of one component of a complex one."""
    if row.kind == "bool":
        return _FINITE, False, int(code != 0), 0
    if row.kind == "uint":
        return _FINITE, False, code, 0
    if row.kind == "int":
        value = code - (1 << row.bits) if code >> (row.bits - 1) else code
        return _FINITE, value < 0, abs(value), 0
    m = row.mantissa_bits
    magnitude_bits = row.exponent_bits + m
    negative = bool(code >> magnitude_bits)
    magnitude = code & ((1 << magnitude_bits) - 1)
    exponent, mantissa = magnitude >> m, magnitude & ((1 << m) - 1)
    highest = exponent == (1 << row.exponent_bits) - 1
    quiet = 1 << (_PAYLOAD_BITS - 1)
    if row.nan == "negative-zero" and negative and magnitude == 0:
        return _NAN, False, quiet, 0
    if row.nan == "all-ones" and magnitude == (1 << magnitude_bits) - 1:
        return _NAN, negative, quiet, 0
    if row.nan == "ieee" and highest and mantissa:
        return _NAN, negative, mantissa << (_PAYLOAD_BITS - m), 0
    if row.infinity and highest:
        return _INFINITE, negative, 0, 0
    if not row.subnormals:
        return _FINITE, negative, (1 << m) + mantissa, exponent - row.bias - m
    if exponent:
        return _FINITE, negative, (1 << m) + mantissa, exponent - row.bias - m
    return _FINITE, negative, mantissa, 1 - row.bias - m


def _value(parts: _Parts) -> Real:
    kind, negative, significand, _ = parts
    if kind == _NAN:
        return Special("nan", negative, significand)
    if kind == _INFINITE:
        return Special("infinity", negative)
    if significand == 0 and negative:
        return Special("zero", True)
    return _fraction(parts)


def _fraction(parts: _Parts) -> Fraction:
    _, negative, significand, exponent = parts
    signed = -significand if negative else significand
    return Fraction(signed << exponent) if exponent >= 0 else Fraction(signed, 1 << -exponent)


def _parts_of_value(value: Real | int) -> _Parts:
    if isinstance(value, Special):
        kind = {"infinity": _INFINITE, "nan": _NAN, "zero": _FINITE}[value.kind]
        return kind, value.negative, value.payload, 0
    value = Fraction(value)
    exponent = value.denominator.bit_length() - 1
    if value.denominator != 1 << exponent:
        raise ValueError(f"{value} is not a binary fraction: no format's code means it")
    return _FINITE, value < 0, abs(value.numerator), -exponent


class _Target:
    """Encodes parts as one real format under one policy."""

    def __init__(self, row: Format, policy: ResolvedPolicy) -> None:
        self.row, self.policy = row, policy
        self.is_float = row.kind == "float"
        self.precision = row.mantissa_bits + 1
        # 2^least is the worth of the last bit of a subnormal
        self.least = 1 - row.bias - row.mantissa_bits
        self.sign = 1 << (row.bits - 1) if row.signed else 0
        self.max_code = row.max_code
        self.highest, self.lowest = int(row.max_code), -(int(row.max_code) + 1 if row.signed else 0)
        self.mask = (1 << row.bits) - 1
        if policy.overflow == "wrap" and not row.is_integer:
            raise ValueError(f"{row.name} cannot wrap")
        if policy.overflow == "ieee" and not (row.infinity or row.has_nan):
            raise ValueError(f"{row.name} has neither infinity nor NaN")

    def __call__(self, parts: _Parts, index: int) -> Outcome:
        kind, negative, significand, _ = parts
        if self.row.kind == "bool":
            if kind == _FINITE:
                one = significand != 0
                return Outcome(int(one), inexact=one and _fraction(parts) != 1)
            return Outcome(1, inexact=kind == _INFINITE)
        if kind == _FINITE:
            return self.finite(parts, index)
        if kind == _NAN:
            code = self.nan(negative, significand)
            return Outcome(0, nan_lost=True) if code is None else Outcome(code)
        if self.row.infinity and self.policy.inf == "keep":
            assert self.row.infinity_code is not None
            return Outcome(self.row.infinity_code | (self.sign if negative else 0))
        unbounded = self.policy.overflow == "ieee" and not self.row.infinity
        code = self.unbounded(negative) if unbounded else self.extreme(negative)
        return Outcome(code, overflow=True, inexact=True)

    def finite(self, parts: _Parts, index: int) -> Outcome:
        """The only place that rounds."""
        _, negative, significand, exponent = parts
        row = self.row
        if significand == 0:
            if not self.is_float:
                return Outcome(0)
            if not row.subnormals:  # no zero either
                return Outcome(self.overflowed(True), overflow=True, inexact=True)
            return Outcome(self.sign if negative and row.signed_zero else 0)
        if self.is_float:
            place = exponent + significand.bit_length() - self.precision
            if place < self.least and row.subnormals:
                place = self.least
        else:
            place = 0
        shift = place - exponent
        if shift <= 0:
            kept, inexact = significand << -shift, False
        else:
            kept = significand >> shift
            rest = significand - (kept << shift)
            inexact = rest != 0
            if inexact:
                kept += self.grows(kept, rest, shift, negative, index)
        if not self.is_float:
            value = -kept if negative else kept
            if self.lowest <= value <= self.highest:
                return Outcome(value & self.mask, inexact=inexact, underflow=kept == 0)
            if self.policy.overflow == "wrap":
                return Outcome(value & self.mask, overflow=True, inexact=True)
            return Outcome(self.overflowed(negative), overflow=True, inexact=True)
        # a carry into the next binade needs no case of its own
        code = ((place - self.least) << row.mantissa_bits) + kept
        if not 0 <= code <= self.max_code or (negative and not row.signed):
            return Outcome(self.overflowed(negative or code < 0), overflow=True, inexact=True)
        if kept == 0:
            zero = self.sign if negative and row.signed_zero else 0
            return Outcome(zero, inexact=True, underflow=True)
        return Outcome(code | (self.sign if negative else 0), inexact=inexact)

    def grows(self, kept: int, rest: int, shift: int, negative: bool, index: int) -> bool:
        """Whether the magnitude kept + rest / 2^shift is rounded up; `rest` is not 0."""
        rounding = self.policy.rounding
        if rounding == "nearest-even":
            twice = rest << 1
            return twice > 1 << shift or (twice == 1 << shift and kept & 1 == 1)
        if rounding == "toward-zero":
            return False
        if rounding == "stochastic":
            return ((rest << 32) >> shift) + rand32(self.policy.seed, index) > _MASK32
        return negative if rounding == "down" else not negative

    def overflowed(self, low: bool) -> int:
        """The code for a finite value beyond the low or high end, "wrap" excepted."""
        if self.policy.overflow != "ieee":
            return self.extreme(low)
        if low and not self.row.signed:
            return self.unbounded(low)
        toward_zero = {"toward-zero": True, "down": not low, "up": low}
        inside = toward_zero.get(self.policy.rounding, False)
        return self.extreme(low) if inside else self.unbounded(low)

    def unbounded(self, low: bool) -> int:
        """The code of infinity, or of NaN where there is none."""
        code = self.row.infinity_code if self.row.infinity else self.row.nan_code
        assert code is not None
        return code | self.sign if low else code  # a "fnuz" NaN has the sign bit set

    def extreme(self, low: bool) -> int:
        """The code of the lowest or highest finite value."""
        row = self.row
        if not self.is_float:
            return (self.lowest if low else self.highest) & self.mask
        if low and not row.signed:
            return 0
        return self.max_code | (self.sign if low else 0)

    def nan(self, negative: bool, payload: int) -> int | None:
        """The quiet NaN with that sign and the payload bits there is room for."""
        row = self.row
        code = row.nan_code if row.is_float else None
        if code is None:
            return None
        if row.nan == "ieee":
            code |= payload >> (_PAYLOAD_BITS - row.mantissa_bits)
        return code | (self.sign if negative else 0)


@lru_cache(maxsize=4096)
def _target(row: Format, policy: ResolvedPolicy) -> _Target:
    return _Target(row, policy)


def encode(value: Value | int, target: Format, policy: ResolvedPolicy, index: int = 0) -> Outcome:
    """The code of a value in a format.

    Args:
        value: what `decode` gives; any integer or binary fraction. A real value for a complex
            target has +0 as its imaginary component, a complex one needs a complex target.
        index: of the element, for stochastic rounding.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> from tensorcast.policy import Policy
        >>> policy = Policy().resolve("int64", "uint8")
        >>> encode(Fraction(-1, 2), FORMATS["uint8"], policy)
        Outcome(code=0, overflow=False, nan_lost=False, inexact=True, underflow=True)
    """
    values = value if isinstance(value, tuple) else (value,)
    return _join([_parts_of_value(one) for one in values], target, policy, index)


def cast_code(
    code: int, source: Format, target: Format, policy: ResolvedPolicy, index: int = 0
) -> Outcome:
    """The outcome of casting one element; never raises for its value.

    Args:
        code: of the element in the source format.
        policy: as `Policy.resolve` gives it for this pair.
        index: of the element, for stochastic rounding.

    Raises:
        ValueError: the code does not fit the source, or the policy does not fit the target.
    """
    codes = _split(code, source)
    row = source.component
    components = [_parts(one, row) for one in codes]
    if source == target:
        return _join_outcomes(_same(codes, components, target, policy), target)
    return _join(components, target, policy, index)


def _same(
    codes: Sequence[int], components: list[_Parts], target: Format, policy: ResolvedPolicy
) -> list[Outcome]:
    """The outcomes of a cast to the same format: the codes themselves, but for infinities that the
    policy does not keep."""
    keeps = policy.inf == "keep"
    convert = None if keeps else _target(target.component, policy)
    return [
        Outcome(code) if convert is None or parts[0] != _INFINITE else convert(parts, 0)
        for code, parts in zip(codes, components, strict=True)
    ]


def _join(components: list[_Parts], target: Format, policy: ResolvedPolicy, index: int) -> Outcome:
    """Encode one element, given the parts of its components."""
    return _join_outcomes(_outcomes(components, target, policy, index), target)


def _join_outcomes(outcomes: list[Outcome], target: Format) -> Outcome:
    if len(outcomes) == 1 and not target.is_complex:
        return outcomes[0]
    code, *flags = map(sum, zip(*outcomes, strict=True))
    if target.is_complex:
        code = outcomes[0].code
        if len(outcomes) == 2:
            code |= outcomes[1].code << (target.bits // 2)
    return Outcome(code, *map(bool, flags))


def _outcomes(
    components: list[_Parts], target: Format, policy: ResolvedPolicy, index: int
) -> list[Outcome]:
    """The outcome of each component of the source, which has one or two."""
    if target.kind == "bool" and len(components) == 2:
        return _complex_to_bool(components)
    convert = _target(target.component, policy)
    if not target.is_complex:
        if len(components) != 1:
            raise ValueError(f"a complex value has no code in {target.name}")
        return [convert(components[0], index)]
    return [convert(parts, 2 * index + i) for i, parts in enumerate(components)]


def _complex_to_bool(components: list[_Parts]) -> list[Outcome]:
    """True if either component is not zero: that is the real outcome, 0 the imaginary one.

    Each component is inexact if it is a number other than its outcome.
    """
    one = int(any(kind != _FINITE or significand for kind, _, significand, _ in components))
    outcomes = []
    for parts, result in zip(components, (one, 0), strict=True):
        differs = parts[0] == _FINITE and _fraction(parts) != result
        outcomes.append(Outcome(result, inexact=parts[0] == _INFINITE or differs))
    return outcomes


class Statistics(TypedDict):
    """What `tensorcast.core.loss.Loss` holds, exactly.

    Every count but n_elements is of components: two per complex element. min, max and amax are
    over the finite source values, None if there are none; the errors and sums over the finite
    source values whose results are finite too. first_overflow is the index of an element.
    """

    n_elements: int
    n_overflow: int
    n_nan: int
    n_nan_lost: int
    n_inexact: int
    n_underflow: int
    n_inf: int
    n_zero: int
    n_to_zero: int
    min: Fraction | None
    max: Fraction | None
    amax: Fraction | None
    max_abs_error: Fraction
    sum_squared_error: Fraction
    sum_squared: Fraction
    first_overflow: int | None


def measure_codes(
    codes: Iterable[int],
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    *,
    first_index: int = 0,
) -> tuple[list[int], Statistics]:
    """The codes in the target format and the statistics; never raises for a value."""
    results: list[int] = []
    count = Statistics(
        n_elements=0, n_overflow=0, n_nan=0, n_nan_lost=0, n_inexact=0, n_underflow=0, n_inf=0,
        n_zero=0, n_to_zero=0, min=None, max=None, amax=None, max_abs_error=Fraction(0),
        sum_squared_error=Fraction(0), sum_squared=Fraction(0), first_overflow=None,
    )  # fmt: skip
    for index, code in enumerate(codes, first_index):
        components = [_parts(one, source.component) for one in _split(code, source)]
        if source == target:
            outcomes = _same(_split(code, source), components, target, policy)
        else:
            outcomes = _outcomes(components, target, policy, index)
        results.append(outcomes[0].code)
        if target.is_complex and len(outcomes) == 2:
            results[-1] |= outcomes[1].code << (target.bits // 2)
        count["n_elements"] += 1
        for parts, outcome in zip(components, outcomes, strict=True):
            # a bool stands for both parts of a complex number, and is 0 where both are
            one_of_two = source.is_complex and not target.is_complex
            result = _parts(outcome.code, target.component)
            _count(count, parts, outcome, result, one_of_two)
            if outcome.overflow and count["first_overflow"] is None:
                count["first_overflow"] = index
    return results, count


def _count(
    count: Statistics, parts: _Parts, outcome: Outcome, result: _Parts, one_of_two: bool
) -> None:
    count["n_overflow"] += outcome.overflow
    count["n_nan_lost"] += outcome.nan_lost
    count["n_inexact"] += outcome.inexact
    count["n_underflow"] += outcome.underflow
    count["n_nan"] += parts[0] == _NAN
    count["n_inf"] += parts[0] == _INFINITE
    if _is_zero(parts):
        count["n_zero"] += 1
    elif _is_zero(result) and parts[0] != _NAN and not one_of_two:
        count["n_to_zero"] += 1
    if parts[0] != _FINITE:
        return
    value = _fraction(parts)
    low, high, amax = count["min"], count["max"], count["amax"]
    count["min"] = value if low is None else min(low, value)
    count["max"] = value if high is None else max(high, value)
    count["amax"] = abs(value) if amax is None else max(amax, abs(value))
    if result[0] != _FINITE:
        return
    error = _fraction(result) - value
    count["max_abs_error"] = max(count["max_abs_error"], abs(error))
    count["sum_squared_error"] += error * error
    count["sum_squared"] += value * value


def _is_zero(parts: _Parts) -> bool:
    return parts[0] == _FINITE and not _fraction(parts)


def cast_codes(
    codes: Iterable[int],
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    *,
    first_index: int = 0,
) -> tuple[list[int], Statistics]:
    """The codes in the target format and the statistics, refused as the policy says.

    Raises:
        CastOverflowError: values are out of range under overflow="raise", infinities meet an
            integer target under "wrap", or inf="raise" refuses them.
        CastNanError: NaNs are lost under nan="raise".
        InexactCastError: under exact=True a number changes or a NaN is lost.
    """
    results, count = measure_codes(codes, source, target, policy, first_index=first_index)
    n_ended = count["n_inf"] if ends_infinities(source, target, policy) else 0
    n_overflow = {"raise": count["n_overflow"] - n_ended, "wrap": count["n_inf"]}.get(
        policy.overflow, 0
    )
    what = f"of {count['n_elements']} elements of {source.name}"
    if n_overflow:
        raise CastOverflowError(
            f"{n_overflow} values {what} lie outside {target.name} ({target.min} to {target.max})"
        )
    if policy.inf == "raise" and n_ended:
        raise CastOverflowError(f"{n_ended} values {what} are infinite, which inf='raise' refuses")
    if policy.nan == "raise" and count["n_nan_lost"]:
        raise CastNanError(f"{count['n_nan_lost']} NaNs {what} have no code in {target.name}")
    n_changed = count["n_inexact"] + count["n_nan_lost"]
    if policy.exact and n_changed:
        raise InexactCastError(f"{n_changed} values {what} would change in {target.name}")
    return results, count


class Table(NamedTuple):
    """The outcome of every code of a source: entry i is that of code i, at index i.

    The flags are 0 or 1, a byte each.
    """

    codes: list[int]
    overflow: bytes
    nan_lost: bytes
    inexact: bytes
    underflow: bytes


def cast_table(source: Format, target: Format, policy: ResolvedPolicy) -> Table:
    """The outcomes of all codes of a source format of at most 16 bits.

    Raises:
        ValueError: the source is wider.
    """
    if source.bits > 16:
        raise ValueError(f"{source.name} has too many codes for a table; use measure_codes")
    outcomes = [
        cast_code(code, source, target, policy, index=code) for code in range(1 << source.bits)
    ]
    codes, *flags = zip(*outcomes, strict=True)
    overflow, nan_lost, inexact, underflow = map(bytes, flags)
    return Table(list(codes), overflow, nan_lost, inexact, underflow)


def pack(codes: Sequence[int], row: Format) -> bytes:
    """The bytes that hold the codes: a little-endian stream of bits, the first code lowest.

    Four 6-bit codes take three bytes. The bits after the last code are zero.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> pack([0x1, 0x2, 0x3], FORMATS["uint4"]).hex()
        '2103'
    """
    chunks = []
    for start in range(0, len(codes), 8):  # eight codes always end on a whole byte
        stream = 0
        group = codes[start : start + 8]
        for i, code in enumerate(group):
            if not 0 <= code < 1 << row.bits:
                raise ValueError(f"{code:#x} is not a code of {row.name}")
            stream |= code << (i * row.bits)
        chunks.append(stream.to_bytes(row.n_bytes(len(group)), "little"))
    return b"".join(chunks)


def unpack(data: bytes, row: Format, n_elements: int) -> list[int]:
    """The codes that `pack` put into the bytes; bits after the last code are not looked at.

    Raises:
        ValueError: there are fewer or more bytes than n_elements take.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> unpack(bytes([0x21, 0x03]), FORMATS["uint4"], 3)
        [1, 2, 3]
    """
    if len(data) != row.n_bytes(n_elements):
        raise ValueError(
            f"{n_elements} elements of {row.name} take {row.n_bytes(n_elements)} bytes, "
            f"found {len(data)}"
        )
    codes: list[int] = []
    mask = (1 << row.bits) - 1
    for start in range(0, len(data), row.bits):
        stream = int.from_bytes(data[start : start + row.bits], "little")
        n = min(8, n_elements - len(codes))
        codes += [stream >> (i * row.bits) & mask for i in range(n)]
    return codes
