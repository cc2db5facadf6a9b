# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, import-untyped, import-not-found"
# mypy: disable-error-code="untyped-decorator, attr-defined, no-any-return"
"""The cast as one Triton kernel: decode, round, encode and count, in integers.

`triton_ops` imports this module when a tensor is on a CUDA device. `WORD` is uint32, or uint64
where the source or the target has 64 bits; every branch on a capital name is gone from what is
compiled. The interpreter (TRITON_INTERPRET=1) runs the same functions on CPU tensors.
"""

from __future__ import annotations

import triton
import triton.language as tl

BOOL, INTEGER, FLOAT = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
NO_NAN, IEEE, ALL_ONES, NEGATIVE_ZERO = (tl.constexpr(i) for i in range(4))
RAISE, SATURATE, WRAP, TO_INFINITY = (tl.constexpr(i) for i in range(4))
NEAREST, TOWARD_ZERO, DOWN, UP, STOCHASTIC = (tl.constexpr(i) for i in range(5))
GENERAL, EMBEDS, NARROWS = (tl.constexpr(i) for i in range(3))  # ways to round
NO_INDEX = tl.constexpr((1 << 63) - 1)
N_INTEGERS, N_FLOATS = tl.constexpr(17), tl.constexpr(6)  # of a program's row of statistics


@triton.jit
def bit_length(x, BITS: tl.constexpr):
    """`int.bit_length` of an unsigned x below 2^BITS."""
    n = tl.zeros(x.shape, tl.int32)
    n, x = halved(n, x, 32, BITS)
    n, x = halved(n, x, 16, BITS)
    n, x = halved(n, x, 8, BITS)
    n, x = halved(n, x, 4, BITS)
    n, x = halved(n, x, 2, BITS)
    n, x = halved(n, x, 1, BITS)
    return n + (x != 0).to(tl.int32)


@triton.jit
def halved(n, x, HALF: tl.constexpr, BITS: tl.constexpr):
    """Drop the low HALF bits where higher ones are set, and count them."""
    if HALF < BITS:
        high = x >> HALF
        n = tl.where(high != 0, n + HALF, n)
        x = tl.where(high != 0, high, x)
    return n, x


@triton.jit
def decode(
    codes, KIND: tl.constexpr, BITS: tl.constexpr, E: tl.constexpr, M: tl.constexpr,
    BIAS: tl.constexpr, SIGNED: tl.constexpr, INFINITY: tl.constexpr, NAN: tl.constexpr,
    SUBNORMALS: tl.constexpr, NORMALIZE: tl.constexpr, WORD: tl.constexpr,
):  # fmt: skip
    """(negative, nan, infinite, significand, exponent, length) of codes with no bits above BITS.

    Without NORMALIZE a subnormal has the length of a normal number.
    """
    never = codes != codes
    negative, nan, infinite = never, never, never
    exponent = tl.zeros(codes.shape, tl.int32)
    if KIND == BOOL:
        significand = (codes != 0).to(WORD)
        length = (codes != 0).to(tl.int32)
    elif KIND == INTEGER:
        significand = codes
        if SIGNED:
            negative = (codes >> (BITS - 1)) != 0
            significand = tl.where(negative, (~codes + 1) & ((1 << BITS) - 1), codes)
        length = bit_length(significand, BITS)
    else:
        magnitude = codes & ((1 << (E + M)) - 1)
        mantissa = magnitude & ((1 << M) - 1)
        field = (magnitude >> M).to(tl.int32)
        if SIGNED:
            negative = (codes >> (E + M)) != 0
        highest = field == (1 << E) - 1
        if NAN == IEEE:
            nan = highest & (mantissa != 0)
        elif NAN == ALL_ONES:
            nan = magnitude == (1 << (E + M)) - 1
        elif NAN == NEGATIVE_ZERO:
            nan = negative & (magnitude == 0)
            negative = negative & (magnitude != 0)
        if INFINITY:
            infinite = highest & (mantissa == 0)
        length = tl.full(codes.shape, M + 1, tl.int32)
        if SUBNORMALS:
            normal = field != 0
            significand = tl.where(normal, mantissa | (1 << M), mantissa)
            if NORMALIZE:
                length = tl.where(normal, length, bit_length(mantissa, M))
            field = tl.maximum(field, 1)
        else:
            significand = mantissa | (1 << M)
        exponent = field - (BIAS + M)
    return negative, nan, infinite, significand, exponent, length


@triton.jit
def mix(x):
    x = x ^ (x >> 16)
    x = x * 0x21F0AAAD
    x = x ^ (x >> 15)
    x = x * 0xD35A2D97
    return x ^ (x >> 15)


@triton.jit
def random_bits(index, first_key, second_key):
    """The 32 random bits of int64 indexes, as `reference.rand32` draws them."""
    low = (index & 0xFFFFFFFF).to(tl.uint32)
    high = (index >> 32).to(tl.uint32) * 0x9E3779B9
    return mix(mix(low ^ first_key.to(tl.uint32)) ^ second_key.to(tl.uint32) ^ high)


@triton.jit
def rounded(
    negative, significand, exponent, place, index, first_key, second_key,
    ROUNDING: tl.constexpr, MAY_LEFT: tl.constexpr, MAY_RIGHT: tl.constexpr,
    WORD: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """(kept, inexact): the magnitude rounded to kept * 2^place, the one place that rounds."""
    shift = place - exponent
    kept = significand
    inexact = significand != significand
    if MAY_RIGHT:
        # WIDTH - 1 is as good as more: then the significand is that much shorter than a word
        right = tl.minimum(tl.maximum(shift, 0), WIDTH - 1).to(WORD)
        one = tl.full(significand.shape, 1, WORD)
        kept = significand >> right
        rest = significand & ((one << right) - one)
        inexact = rest != 0
        grows = inexact
        if ROUNDING == NEAREST:
            grows = inexact & (rest + (kept & 1) > ((one << right) >> 1))
        elif ROUNDING == TOWARD_ZERO:
            grows = inexact & (rest == 0)
        elif ROUNDING == DOWN:
            grows = inexact & negative
        elif ROUNDING == UP:
            grows = inexact & (negative == 0)
        else:
            up = tl.minimum(tl.maximum(32 - shift, 0), 31).to(WORD)  # shift 0: the rest is 0
            down = tl.minimum(tl.maximum(shift - 32, 0), WIDTH - 1).to(WORD)
            fraction = ((rest << up) >> down).to(tl.uint32)
            drawn = random_bits(index, first_key, second_key)
            grows = inexact & (fraction + drawn < drawn)  # their sum reaches 2^32
        kept = kept + grows.to(WORD)
    if MAY_LEFT:
        left = significand << tl.minimum(tl.maximum(-shift, 0), WIDTH - 1).to(WORD)
        left = tl.where(shift > -WIDTH, left, 0)
        if MAY_RIGHT:
            kept = tl.where(shift > 0, kept, left)
        else:
            kept = left
    return kept, inexact


@triton.jit
def float32_magnitude(codes, E: tl.constexpr, M: tl.constexpr, BIAS: tl.constexpr):
    """The codes of |x| in float32, which holds every finite x of the source.

    | 0 | exponent | mantissa | in float32's places is 2^(bias - 127) of the value, subnormals too,
    and the product is exact. Infinities and NaNs come out as numbers.
    """
    magnitude = (codes & ((1 << (E + M)) - 1)).to(tl.uint32) << (23 - M)
    if BIAS != 127:
        SCALE: tl.constexpr = 2.0 ** (127 - BIAS)
        scaled = magnitude.to(tl.float32, bitcast=True) * SCALE
        magnitude = scaled.to(tl.uint32, bitcast=True)
    return magnitude


@triton.jit
def nearest_code(magnitude, FAST: tl.constexpr, M: tl.constexpr, BIAS: tl.constexpr):
    """The code of |x|, with an unbounded exponent, from its float32 code: rounded to nearest even.

    FAST: EMBEDS where the target holds every finite x of the source, else NARROWS.
    """
    DROPPED: tl.constexpr = 23 - M
    if FAST == EMBEDS and BIAS == 127:
        return magnitude >> DROPPED
    value = magnitude.to(tl.float32, bitcast=True)
    if FAST == EMBEDS:  # float16: the device's conversion rounds nothing here
        return value.to(tl.float16).to(tl.uint16, bitcast=True).to(tl.uint32)
    half = (1 << (DROPPED - 1)) - 1 + ((magnitude >> DROPPED) & 1)
    code = ((magnitude + half) >> DROPPED) - ((127 - BIAS) << M)
    if BIAS != 127:
        # in the sum, the last place is that of the target's subnormals: the addition rounds
        MAGIC: tl.constexpr = 2.0 ** (24 - BIAS - M)
        MAGIC_CODE: tl.constexpr = (24 - BIAS - M + 127) << 23
        subnormal = (value + MAGIC).to(tl.uint32, bitcast=True) - MAGIC_CODE
        code = tl.where(magnitude < ((128 - BIAS) << 23), subnormal, code)
    return code


@triton.jit
def encode(
    magnitude, negative, nan, infinite, significand, exponent, length, index, first_key, second_key,
    FAST: tl.constexpr, MAY_OVERFLOW: tl.constexpr,
    OVERFLOW: tl.constexpr, ROUNDING: tl.constexpr, ENDS: tl.constexpr, PAYLOAD: tl.constexpr,
    KIND: tl.constexpr, BITS: tl.constexpr, M: tl.constexpr,
    BIAS: tl.constexpr, SIGNED: tl.constexpr, INFINITY: tl.constexpr, NAN: tl.constexpr,
    SUBNORMALS: tl.constexpr, SIGNED_ZERO: tl.constexpr, MAX_CODE: tl.constexpr,
    LOWEST: tl.constexpr, NAN_CODE: tl.constexpr, INFINITY_CODE: tl.constexpr,
    MAY_LEFT: tl.constexpr, MAY_RIGHT: tl.constexpr, WORD: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """(codes, overflow, nan_lost, inexact, underflow) by the rules of `tensorcast.reference`.

    Where FAST is not GENERAL, `magnitude` is that of `float32_magnitude`, and neither inexact nor
    underflow is told. PAYLOAD: mantissa bits of a source whose NaNs have a payload, else 0. LOWEST:
    the code that what lies below the range saturates to. ENDS: infinities that the target has
    become its largest finite value.
    """
    never = significand != significand
    finite = (nan | infinite) == 0
    zero = significand == 0
    if KIND == BOOL:
        true = (finite & zero) == 0
        is_one = finite & (negative == 0) & (length + exponent == 1)
        is_one = is_one & ((significand & (significand - 1)) == 0)
        inexact = true & (is_one == 0) & (nan == 0)
        return true.to(WORD), never, never, inexact, never
    SIGN: tl.constexpr = (1 << (BITS - 1)) if SIGNED else 0
    signs = tl.where(negative, tl.full(significand.shape, SIGN, WORD), 0)
    if FAST != GENERAL:
        unbounded = nearest_code(magnitude, FAST, M, BIAS)
        low = negative
        overflow, inexact = never, never
        kept = unbounded
        if MAY_OVERFLOW:
            overflow = unbounded > MAX_CODE
    elif KIND == FLOAT:
        LEAST: tl.constexpr = 1 - BIAS - M
        place = exponent + length - (M + 1)
        if SUBNORMALS:
            place = tl.maximum(place, LEAST)
        kept, inexact = rounded(
            negative, significand, exponent, place, index, first_key, second_key,
            ROUNDING, MAY_LEFT, MAY_RIGHT, WORD, WIDTH,
        )  # fmt: skip
        SIGNED_WORD: tl.constexpr = tl.int32 if WIDTH == 32 else tl.int64
        unbounded = ((place - LEAST).to(SIGNED_WORD) << M) + kept.to(SIGNED_WORD)
        unbounded = tl.where(zero, 0, unbounded)
        low = unbounded < 0
        if not SIGNED:
            low = low | negative
        if not SUBNORMALS:  # no zero either
            low = low | zero
        overflow = low | (unbounded > MAX_CODE)
        if SUBNORMALS:
            overflow = overflow & (zero == 0)
        low = low | negative
    else:
        kept, inexact = rounded(
            negative, significand, exponent, tl.zeros(exponent.shape, tl.int32), index,
            first_key, second_key, ROUNDING, MAY_LEFT, MAY_RIGHT, WORD, WIDTH,
        )  # fmt: skip
        overflow = tl.where(negative, kept > SIGN, kept > MAX_CODE)
        if MAY_LEFT:
            overflow = overflow | (length + tl.maximum(exponent, 0) > WIDTH)
        low = negative
        codes = tl.where(negative, ~kept + 1, kept) & ((1 << BITS) - 1)
    inexact = inexact & finite
    if KIND == FLOAT:
        codes = unbounded.to(WORD)
        if SIGNED_ZERO:
            codes = codes | signs
        else:
            codes = tl.where(codes == 0, codes, codes | signs)
    overflow = overflow & finite
    if ENDS or not INFINITY:
        overflow = overflow | infinite
    replaced = overflow
    if OVERFLOW == WRAP:
        replaced = overflow & infinite
    largest = tl.full(codes.shape, MAX_CODE, WORD)
    largest = tl.where(low, tl.full(codes.shape, LOWEST, WORD), largest)
    ends = largest
    if OVERFLOW == TO_INFINITY:  # IEEE 754-2019, 7.4
        BEYOND: tl.constexpr = INFINITY_CODE if INFINITY else NAN_CODE
        ends = tl.full(codes.shape, BEYOND, WORD)
        if NAN != NEGATIVE_ZERO:
            ends = tl.where(low, ends | SIGN, ends)
        if ROUNDING == DOWN or (ROUNDING == TOWARD_ZERO and not SIGNED):
            ends = tl.where(low | infinite, ends, largest)
        elif ROUNDING == TOWARD_ZERO:
            ends = tl.where(infinite, ends, largest)
        elif ROUNDING == UP and SIGNED:  # unsigned: no finite value lies below
            ends = tl.where(low & (infinite == 0), largest, ends)
    codes = tl.where(replaced, ends, codes)
    underflow = finite & (overflow == 0) & (zero == 0) & (kept == 0)
    if ENDS:
        codes = tl.where(infinite, largest, codes)
    elif INFINITY:
        codes = tl.where(infinite, signs | INFINITY_CODE, codes)
    nan_lost = never
    if NAN == NO_NAN:
        codes = tl.where(nan, 0, codes)
        nan_lost = nan
    else:
        quiet = tl.full(codes.shape, NAN_CODE, WORD)
        if NAN == IEEE and PAYLOAD > 0:
            payload = significand & ((1 << PAYLOAD) - 1)
            if PAYLOAD > M:
                quiet = quiet | (payload >> (PAYLOAD - M))
            else:
                quiet = quiet | (payload << (M - PAYLOAD))
        if NAN != NEGATIVE_ZERO:
            quiet = quiet | signs
        codes = tl.where(nan, quiet, codes)
    return codes, overflow, nan_lost, inexact | overflow, underflow


@triton.jit
def value_of(negative, infinite, significand, exponent, IS_WIDE_INTEGER: tl.constexpr):
    """The values in float64: exact, but for integers of more than 53 bits, which round once."""
    value = significand.to(tl.float64)
    if not IS_WIDE_INTEGER:
        # in two steps: float64's smallest power of two has no code as a normal number
        half = exponent >> 1
        value = value * power_of_two(half) * power_of_two(exponent - half)
    value = tl.where(infinite, float("inf"), value)
    return tl.where(negative, -value, value)


@triton.jit
def power_of_two(exponent):
    return ((exponent + 1023).to(tl.int64) << 52).to(tl.float64, bitcast=True)


@triton.jit
def error_of(
    value, result, overflow, results,
    negative, significand, after_negative, after_significand, after_exponent,
    S_WIDE_INTEGER: tl.constexpr, T_WIDE_INTEGER: tl.constexpr, T_MAX_CODE: tl.constexpr,
):  # fmt: skip
    """source - result, or its magnitude, without the loss float64 has on 64-bit integers."""
    if S_WIDE_INTEGER:
        left = tl.minimum(tl.maximum(after_exponent, 0), 63).to(tl.uint64)
        right = tl.minimum(tl.maximum(-after_exponent, 0), 63).to(tl.uint64)
        magnitude = tl.where(
            after_exponent < 0, after_significand >> right, after_significand << left
        )
        magnitude = tl.where(after_exponent < 64, magnitude, 0)
        # a result of 2^64 comes out as 0 here, and 0 - source is right modulo 2^64
        larger = (significand > magnitude) & (tl.abs(result) < 18446744073709551616.0)
        difference = tl.where(larger, significand - magnitude, magnitude - significand)
        apart = (negative != after_negative) | ((magnitude == 0) & (tl.abs(result) < 1))
        return tl.where(apart, tl.abs(value) + tl.abs(result), difference.to(tl.float64))
    error = value - result
    if T_WIDE_INTEGER:  # its largest value has no float64: it was read as one more
        error = tl.where(overflow & (results == T_MAX_CODE), error + 1, error)
    return error


@triton.jit(do_not_specialize=["n", "first_key", "second_key"])
def cast_kernel(
    x_pointer, out_pointer, integers_pointer, floats_pointer, n, first_key, second_key,
    S_KIND: tl.constexpr, S_BITS: tl.constexpr, S_E: tl.constexpr, S_M: tl.constexpr,
    S_BIAS: tl.constexpr, S_SIGNED: tl.constexpr, S_INFINITY: tl.constexpr, S_NAN: tl.constexpr,
    S_SUBNORMALS: tl.constexpr,
    T_KIND: tl.constexpr, T_BITS: tl.constexpr, T_E: tl.constexpr, T_M: tl.constexpr,
    T_BIAS: tl.constexpr, T_SIGNED: tl.constexpr, T_INFINITY: tl.constexpr, T_NAN: tl.constexpr,
    T_SUBNORMALS: tl.constexpr, T_SIGNED_ZERO: tl.constexpr, T_MAX_CODE: tl.constexpr,
    T_LOWEST: tl.constexpr, T_NAN_CODE: tl.constexpr, T_INFINITY_CODE: tl.constexpr,
    OVERFLOW: tl.constexpr, ROUNDING: tl.constexpr, ENDS: tl.constexpr, SAME: tl.constexpr,
    FAST: tl.constexpr, MAY_OVERFLOW: tl.constexpr,
    NORMALIZE: tl.constexpr, PAYLOAD: tl.constexpr, MAY_LEFT: tl.constexpr,
    MAY_RIGHT: tl.constexpr, WIDTH: tl.constexpr, STEP: tl.constexpr,
    WRITE: tl.constexpr, COUNT: tl.constexpr, REPORT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One block of values. STEP: values of the target to one of the source (2 to complex).

    A program writes its statistics into a row of its own, so that no order of programs shows.
    """
    WORD: tl.constexpr = tl.uint32 if WIDTH == 32 else tl.uint64
    program = tl.program_id(0).to(tl.int64)
    index = program * BLOCK + tl.arange(0, BLOCK)
    inside = index < n
    codes = tl.load(x_pointer + index, mask=inside, other=0).to(WORD)
    if S_KIND != BOOL or SAME:
        codes = codes & ((1 << S_BITS) - 1)
    negative, nan, infinite, significand, exponent, length = decode(
        codes, S_KIND, S_BITS, S_E, S_M, S_BIAS, S_SIGNED, S_INFINITY, S_NAN, S_SUBNORMALS,
        NORMALIZE, WORD,
    )  # fmt: skip
    magnitude = codes
    if FAST != GENERAL:
        magnitude = float32_magnitude(codes, S_E, S_M, S_BIAS)
    if SAME:
        results = codes
        overflow = codes != codes
        nan_lost, inexact, underflow = overflow, overflow, overflow
        if ENDS:
            lowest = tl.full(codes.shape, T_LOWEST, WORD)
            results = tl.where(infinite, tl.where(negative, lowest, T_MAX_CODE), codes)
            overflow, inexact = infinite, infinite
    else:
        results, overflow, nan_lost, inexact, underflow = encode(
            magnitude, negative, nan, infinite, significand, exponent, length, index * STEP,
            first_key, second_key, FAST, MAY_OVERFLOW, OVERFLOW, ROUNDING, ENDS, PAYLOAD,
            T_KIND, T_BITS, T_M, T_BIAS, T_SIGNED, T_INFINITY, T_NAN, T_SUBNORMALS,
            T_SIGNED_ZERO, T_MAX_CODE, T_LOWEST, T_NAN_CODE, T_INFINITY_CODE,
            MAY_LEFT, MAY_RIGHT, WORD, WIDTH,
        )  # fmt: skip
    if WRITE:
        narrow = results.to(out_pointer.dtype.element_ty)
        tl.store(out_pointer + index * STEP, narrow, mask=inside)
    if COUNT:
        S_WIDE_INTEGER: tl.constexpr = S_KIND == INTEGER and S_BITS == 64
        T_WIDE_INTEGER: tl.constexpr = T_KIND == INTEGER and T_BITS == 64
        row = integers_pointer + program * N_INTEGERS
        floats = floats_pointer + program * N_FLOATS
        overflow = overflow & inside
        n_overflow = tl.sum(overflow.to(tl.int32), 0)
        tl.store(row, n_overflow)
        if FAST == GENERAL:
            value = value_of(negative, infinite, significand, exponent, S_WIDE_INTEGER)
        else:
            value = float64_of(magnitude, negative)
            value = tl.where(infinite, float("inf"), value)
        if n_overflow > 0:  # rare: what follows is for the blocks that need it
            tl.store(row + 7, tl.min(tl.where(overflow, index, NO_INDEX), 0))
            counted = overflow
            if ENDS:
                counted = overflow & (infinite == 0)
            size = tl.where(counted, tl.abs(value), -1.0)
            largest = tl.max(size, 0)
            where = tl.min(tl.where(counted & (size == largest), index, NO_INDEX), 0)
            tl.store(row + 8, where)
            tl.store(floats, largest)
        else:
            tl.store(row + 7, NO_INDEX)
            tl.store(row + 8, NO_INDEX)
            tl.store(floats, -1.0)
        n_lost = 0
        if T_NAN == NO_NAN and T_KIND != BOOL and S_NAN != NO_NAN:
            n_lost = tl.sum((nan_lost & inside).to(tl.int32), 0)
        tl.store(row + 1, n_lost)
        if S_INFINITY and (OVERFLOW == WRAP or REPORT or ENDS):
            tl.store(row + 5, tl.sum((infinite & inside).to(tl.int32), 0))
        else:
            tl.store(row + 5, 0)
        if REPORT:
            finite = inside & ((nan | infinite) == 0)
            if FAST == GENERAL:
                after_negative, after_nan, after_infinite, after_significand, after_exponent, _ = (
                    decode(
                        results, T_KIND, T_BITS, T_E, T_M, T_BIAS, T_SIGNED, T_INFINITY, T_NAN,
                        T_SUBNORMALS, False, WORD,
                    )
                )  # fmt: skip
                result = value_of(
                    after_negative, after_infinite, after_significand, after_exponent,
                    T_WIDE_INTEGER,
                )  # fmt: skip
                kept = finite & ((after_nan | after_infinite) == 0)
                error = error_of(
                    value, result, overflow, results, negative, significand, after_negative,
                    after_significand, after_exponent, S_WIDE_INTEGER, T_WIDE_INTEGER, T_MAX_CODE,
                )  # fmt: skip
            else:
                after = float32_magnitude(results, T_E, T_M, T_BIAS)
                error = value - float64_of(after, negative)
                inexact = overflow | (finite & (after != magnitude))
                underflow = finite & (overflow == 0) & (after == 0) & (magnitude != 0)
                kept = finite
                if OVERFLOW == TO_INFINITY:
                    kept = finite & (overflow == 0)
            n_nan = 0
            if S_NAN != NO_NAN:
                n_nan = tl.sum((nan & inside).to(tl.int32), 0)
            tl.store(row + 2, tl.sum((inexact & inside).to(tl.int32), 0))
            tl.store(row + 3, tl.sum((underflow & inside).to(tl.int32), 0))
            tl.store(row + 4, n_nan)
            tl.store(row + 6, tl.sum(finite.to(tl.int32), 0))
            if FAST == GENERAL:
                result_zero = ((after_nan | after_infinite) == 0) & (after_significand == 0)
            else:
                result_zero = after == 0
            zero = finite & (significand == 0)
            to_zero = inside & result_zero & (zero == 0) & (nan == 0)
            tl.store(row + 11, tl.sum(zero.to(tl.int32), 0))
            tl.store(row + 12, tl.sum(to_zero.to(tl.int32), 0))
            if T_BITS <= 8:  # whether all are one value
                _, result_nan, result_infinite, result_significand, _, _ = decode(
                    results, T_KIND, T_BITS, T_E, T_M, T_BIAS, T_SIGNED, T_INFINITY, T_NAN,
                    T_SUBNORMALS, False, WORD,
                )  # fmt: skip
                nothing = ((result_nan | result_infinite) == 0) & (result_significand == 0)
                plain = plain_code(results, result_nan, nothing)
                tl.store(row + 15, tl.min(tl.where(inside, plain, NO_INDEX), 0))
                tl.store(row + 16, tl.max(tl.where(inside, plain, -NO_INDEX - 1), 0))
                plain = plain_code(codes, nan, zero)
                if S_KIND == BOOL:
                    plain = significand.to(tl.int64)
                tl.store(row + 13, tl.min(tl.where(inside, plain, NO_INDEX), 0))
                tl.store(row + 14, tl.max(tl.where(inside, plain, -NO_INDEX - 1), 0))
            if S_WIDE_INTEGER:
                key = codes
                if not S_SIGNED:
                    key = codes ^ (1 << 63)
                key = key.to(tl.int64, bitcast=True)
                tl.store(row + 9, tl.min(tl.where(inside, key, NO_INDEX), 0))
                tl.store(row + 10, tl.max(tl.where(inside, key, -NO_INDEX - 1), 0))
            error = tl.where(kept, error, 0.0)
            held = tl.where(kept, value, 0.0)
            tl.store(floats + 1, tl.min(tl.where(finite, value, float("inf")), 0))
            tl.store(floats + 2, tl.max(tl.where(finite, value, float("-inf")), 0))
            tl.store(floats + 3, tl.max(tl.abs(error), 0))
            tl.store(floats + 4, tl.sum(error * error, 0))
            tl.store(floats + 5, tl.sum(held * held, 0))


@triton.jit
def plain_code(codes, nan, zero):
    """A code that equal values share, as int64: both zeros have that of +0, all NaNs -1."""
    plain = codes.to(tl.uint64).to(tl.int64, bitcast=True)
    return tl.where(nan, -1, tl.where(zero, 0, plain))


@triton.jit
def float64_of(magnitude, negative):
    """The value of a float32 code without its sign, in float64."""
    value = magnitude.to(tl.float32, bitcast=True).to(tl.float64)
    return tl.where(negative, -value, value)
