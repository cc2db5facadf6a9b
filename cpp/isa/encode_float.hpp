// A carrier block to the codes of a floating format: one rounding, every policy.
//
// A finite magnitude is significand * 2^k, with the hidden bit made explicit. Shifting the
// significand right by `shift` leaves it in units of the target's spacing at that magnitude (its
// subnormal spacing below the smallest normal), so that
//
//     code = ((significand + add) >> shift) + ((target exponent - 1) << mantissa bits)
//
// where `add` decides the rounding and the hidden bit of a normal result carries into the exponent
// field. A code above max_code is the overflow: the exponent was never bounded.
#pragma once
#include "narrow_zmm_x86.hpp"

namespace tc {
namespace {

// Counts of one block that a policy needs.
struct Counts {
    uint64_t overflow = 0;
    uint64_t nan_lost = 0;
    uint64_t infinite = 0;  // counted for Overflow::Wrap only, which has no answer for them
    TC_INLINE constexpr Counts() {}
};

// Whether Overflow::Ieee gives infinity (or NaN) for a finite value beyond one end of the range, and
// not the largest finite value: IEEE 754-2019, 7.4.
TC_INLINE constexpr bool leaves_the_range(Rounding rounding, bool negative) {
    return rounding == Rounding::Down   ? negative
           : rounding == Rounding::Up   ? !negative
                                        : rounding != Rounding::TowardZero;
}

template <class U>
struct FloatTarget {
    int mantissa_bits, bias, sign_shift;
    U max_code;
    U above_code, below_code;  // magnitude codes of what overflows on either side
    U infinity_code;           // magnitude code of what infinity becomes
    U last_counted;   // magnitudes above this are NaN or an infinity the target has
    U nan_code, nan_payload_mask;
    bool unsigned_zero;

    TC_INLINE FloatTarget(const Row& row, const Cast& cast, U carrier_infinity)
        : mantissa_bits(row.mantissa_bits),
          bias(row.bias),
          sign_shift(row.bits - 1),
          max_code((U)row.max_code) {
        const U ieee = (U)(row.infinity ? row.infinity_code : row.nan_code);
        const bool to_ieee = cast.overflow == Overflow::Ieee;
        above_code = to_ieee && leaves_the_range(cast.rounding, false) ? ieee : max_code;
        below_code = to_ieee && leaves_the_range(cast.rounding, true) ? ieee : max_code;
        infinity_code = row.infinity ? (U)row.infinity_code : to_ieee ? ieee : max_code;
        last_counted = row.infinity ? carrier_infinity - 1 : carrier_infinity;
        nan_code = (U)row.nan_code;
        nan_payload_mask = row.nan == Nan::Ieee ? ((U)1 << row.mantissa_bits) - 1 : 0;
        unsigned_zero = row.nan == Nan::NegativeZero;
    }
};

// What is added to the significand before the shift.
template <Rounding R, class U>
TC_INLINE U rounding_add(U significand, U shift, U negative) {
    if constexpr (R == Rounding::NearestEven)
        return (((U)1 << (shift - 1)) - 1) + ((significand >> shift) & 1);
    if constexpr (R == Rounding::Down) return negative ? ((U)1 << shift) - 1 : 0;
    if constexpr (R == Rounding::Up) return negative ? 0 : ((U)1 << shift) - 1;
    return 0;
}

// The random numbers of the elements from `first` on.
struct Draw {
    uint64_t keys, first;
    int shift;
    TC_INLINE Draw(const Cast& cast, uint64_t begin)
        : keys(cast.keys), first(begin), shift(cast.index_shift) {}
    TC_INLINE uint32_t operator()(uint64_t i) const { return rand32(keys, (first + i) << shift); }
};

// The stochastic decision: away from zero iff floor(fraction * 2^32) + random >= 2^32, where
// `shift` may exceed the width of the significand.
TC_INLINE uint64_t stochastic_up(uint64_t significand, uint64_t shift, uint32_t random) {
    uint64_t t;
    if (shift <= 32)
        t = (significand & ((1ull << shift) - 1)) << (32 - shift);
    else if (shift < 64)
        t = (significand & ((1ull << shift) - 1)) >> (shift - 32);
    else
        t = shift - 32 < 64 ? significand >> (shift - 32) : 0;
    return (t + random) >> 32;
}

template <class C, Rounding R, class Out>
Counts encode_float_loop(const C* in, Out* out, uint64_t n, const FloatTarget<typename Bits<C>::U>& t,
                         Draw draw) {
    using B = Bits<C>;
    using U = typename B::U;
    using I = typename B::I;
    const U max_code = t.max_code, above_code = t.above_code, last = t.last_counted;
    const U below_code = t.below_code, infinity_code = t.infinity_code, nan_code = t.nan_code, payload = t.nan_payload_mask;
    const int m_bits = t.mantissa_bits, sign_shift = t.sign_shift;
    const I rebias = (I)t.bias - B::BIAS;
    const I base_shift = B::M - m_bits;
    const U keep_sign_of_zero = t.unsigned_zero ? 0 : 1;
    U n_overflow = 0;
    for (uint64_t i = 0; i < n; ++i) {
        const U u = bits_of(in[i]), a = u & B::ABS, negative = u >> (B::WIDTH - 1);
        const U field = a >> B::M, normal = field != 0;
        const U significand = (a & B::FRACTION) | (normal << B::M);
        const I te = (I)(field + 1 - normal) + rebias;  // exponent field in the target, unbounded
        const I te_clamped = te < 1 ? 1 : te;
        I shift = base_shift + (te_clamped - te);
        U q;
        if constexpr (R == Rounding::Stochastic) {
            q = shift < B::WIDTH ? significand >> shift : 0;
            q += (U)stochastic_up(significand, (uint64_t)shift, draw(i));
        } else {
            shift = shift > B::M + 2 ? B::M + 2 : shift;
            q = (significand + rounding_add<R, U>(significand, (U)shift, negative)) >> shift;
        }
        const U code = q + ((U)(te_clamped - 1) << m_bits);
        const bool over = (I)code > (I)max_code;
        n_overflow += (U)(over && (I)a <= (I)last);
        U beyond = above_code;  // the same on both sides where no direction rounds
        if constexpr (R == Rounding::Down || R == Rounding::Up) beyond = negative ? below_code : above_code;
        U r = over ? beyond : code;
        r = (I)a >= (I)B::INF ? infinity_code : r;
        r = (I)a > (I)B::INF ? nan_code | ((a >> base_shift) & payload) : r;
        const U sign = negative & (keep_sign_of_zero | (U)(r != 0));
        out[i] = (Out)(r | sign << sign_shift);
    }
    Counts counts;
    counts.overflow = n_overflow;
    return counts;
}

// The one layout of a float without a zero that is written here: float8_e8m0fnu's.
constexpr bool all_exponents_are_e8m0() {
    for (const Row& row : ROWS)
        if (!row.has_zero && (row.exponent_bits != 8 || row.mantissa_bits != 0 || row.bias != 127 ||
                              row.is_signed || row.nan != Nan::AllOnes))
            return false;
    return true;
}
static_assert(all_exponents_are_e8m0(), "formats.py has a float without a zero that no loop encodes");

// float8_e8m0fnu: exponents only, one bit of precision, neither zero nor sign. The code is the
// rounded exponent field. A tie goes to the larger magnitude, since with one digit of precision no
// significand is even (IEEE 754-2019, 4.3.1). What lies below the range has no finite value on its side
// of zero: Overflow::Ieee gives NaN for it in every direction.
template <class C, Rounding R>
Counts encode_e8m0_loop(const C* in, uint8_t* out, uint64_t n, Overflow overflow, Draw draw) {
    using B = Bits<C>;
    using U = typename B::U;
    using I = typename B::I;
    // Codes of float32's subnormals, which have no exponent field of their own: the magnitudes
    // from which the result is 2^-127 (code 0) and 2^-126 (code 1).
    constexpr I from_0 = R == Rounding::NearestEven ? 0x300000 : R == Rounding::Up ? 0x200001 : 0x400000;
    constexpr I from_1 = R == Rounding::NearestEven ? 0x600000 : R == Rounding::Up ? 0x400001 : 0x800000;
    const bool to_ieee = overflow == Overflow::Ieee;
    const I beyond = to_ieee && leaves_the_range(R, false) ? 255 : 254, below = to_ieee ? 255 : 0;
    const I infinite = to_ieee ? 255 : 254;
    U n_overflow = 0;
    for (uint64_t i = 0; i < n; ++i) {
        const U u = bits_of(in[i]);
        const I a = (I)(u & B::ABS);
        I rounded;
        if constexpr (R == Rounding::Stochastic)
            rounded = (a >> B::M) + (I)stochastic_up((U)a & B::FRACTION, B::M, draw(i));
        else if constexpr (R == Rounding::NearestEven)
            rounded = (I)(((U)a + ((U)1 << (B::M - 1))) >> B::M);
        else
            rounded = (I)(((U)a + rounding_add<R, U>((U)a, (U)B::M, 0)) >> B::M);
        I code = rounded - (B::BIAS - 127);
        if constexpr (B::BIAS == 127) {
            const I subnormal = (I)(a >= from_0) + (I)(a >= from_1) - 1;
            code = a < 0x00800000 ? subnormal : code;
        }
        code = (I)u <= 0 ? -1 : code;  // zero and negatives
        const I low = code < 0 ? -1 : 0, high = code > 254 ? -1 : 0, nan = a > (I)B::INF ? -1 : 0;
        n_overflow -= (U)((low | high) & ~nan);
        I r = low ? below : code;
        r = high ? beyond : r;
        if constexpr (R == Rounding::TowardZero || R == Rounding::Down)
            r = u == B::INF ? infinite : r;
        out[i] = (uint8_t)(r | nan);
    }
    Counts counts;
    counts.overflow = n_overflow;
    return counts;
}

template <class C>
uint64_t count_nan(const C* in, uint64_t n) {
    typename Bits<C>::U count = 0;
    for (uint64_t i = 0; i < n; ++i) count += (bits_of(in[i]) & Bits<C>::ABS) > Bits<C>::INF;
    return count;
}

// Where the target has no NaN, its place is code 0, without the sign it may have come with.
template <class C>
uint64_t zero_nan(const C* in, uint8_t* out, uint64_t n) {
    const uint64_t lost = count_nan(in, n);
    if (lost)
        for (uint64_t i = 0; i < n; ++i)
            if ((bits_of(in[i]) & Bits<C>::ABS) > Bits<C>::INF) out[i] = 0;
    return lost;
}

template <class C, Rounding R>
Counts encode_float_rounded(const C* in, void* out, uint64_t n, uint64_t first, const Cast& cast) {
    const Row& row = ROWS[cast.target];
    const Draw draw(cast, first);
    if (!row.has_zero) {
        if constexpr (sizeof(C) == 4 && R == Rounding::Stochastic) {  // subnormals: as float64
            double wide[BLOCK];
            for (uint64_t i = 0; i < n; ++i) wide[i] = (double)in[i];
            return encode_e8m0_loop<double, R>(wide, (uint8_t*)out, n, cast.overflow, draw);
        } else {
            return encode_e8m0_loop<C, R>(in, (uint8_t*)out, n, cast.overflow, draw);
        }
    }
    const FloatTarget<typename Bits<C>::U> t(row, cast, Bits<C>::INF);
    Counts counts;
    if (row.bits <= 8)
        counts = encode_float_loop<C, R>(in, (uint8_t*)out, n, t, draw);
    else if (row.bits == 16)
        counts = encode_float_loop<C, R>(in, (uint16_t*)out, n, t, draw);
    else if constexpr (sizeof(C) == 8)
        counts = encode_float_loop<C, R>(in, (uint32_t*)out, n, t, draw);
    if (!row.has_nan()) counts.nan_lost = zero_nan(in, (uint8_t*)out, n);
    return counts;
}

#if defined(__AVX2__)
// The groups of this instruction set.
#if defined(TC_ZMM)
template <bool STREAM> using ToBf16Group = ToBf16Zmm<STREAM>;
template <bool STREAM> using ToF16Group = ToF16Zmm<STREAM>;
template <bool STREAM> using F16ToBf16Group = F16ToBf16Zmm<STREAM>;
template <bool STREAM> using Bf16ToF16Group = Bf16ToF16Zmm<STREAM>;
template <bool ZERO, bool STREAM> using ToSmallGroup = ToSmallZmm<ZERO, STREAM>;
template <bool DIRECT, bool ZERO, bool STREAM> using HalfToSmallGroup = HalfToSmallZmm<DIRECT, ZERO, STREAM>;
#else
template <bool STREAM> using ToBf16Group = ToBf16<STREAM>;
template <bool STREAM> using ToF16Group = ToF16<STREAM>;
template <bool STREAM> using F16ToBf16Group = F16ToBf16<STREAM>;
template <bool STREAM> using Bf16ToF16Group = Bf16ToF16<STREAM>;
template <bool ZERO, bool STREAM> using ToSmallGroup = ToSmall<ZERO, STREAM>;
template <bool DIRECT, bool ZERO, bool STREAM> using HalfToSmallGroup = HalfToSmall<DIRECT, ZERO, STREAM>;
#endif

// What no group takes, special ones and the last elements: through float32. Groups have 64 at most.
template <class Source, class Out>
struct Rest {
    const Cast& cast;
    const FloatTarget<uint32_t> target;
    Counts* counts;

    TC_INLINE Rest(const Cast& c, Counts* k)
        : cast(c), target(ROWS[c.target], c, Bits<float>::INF), counts(k) {}
    __attribute__((noinline)) uint64_t operator()(const Source* in, Out* out, uint64_t n) const {
        float block[64];
        const float* x = block;
        if constexpr (sizeof(Source) == 4)
            x = in;
        else
            decode(in, block, n);
        const Draw none(cast, 0);
        const uint64_t n_overflow =
            encode_float_loop<float, Rounding::NearestEven>(x, out, n, target, none).overflow;
        if constexpr (sizeof(Out) == 1)
            if (!ROWS[cast.target].has_nan()) counts->nan_lost += zero_nan(x, out, n);
        return n_overflow;
    }
    TC_INLINE void decode(const uint16_t* in, float* block, uint64_t n) const {
        uint16_t codes[64] = {};
        __builtin_memcpy(codes, in, n * sizeof *in);
        for (uint64_t i = 0; i < n; i += 8) {
            const __m128i x = _mm_loadu_si128((const __m128i*)(codes + i));
            const __m256i brain = _mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16);
            _mm256_storeu_ps(block + i, cast.source == F_float16 ? _mm256_cvtph_ps(x)
                                                                 : _mm256_castsi256_ps(brain));
        }
    }
};

// float16 and bfloat16 to each other, nearest even.
Counts encode_half(const uint16_t* in, uint16_t* out, uint64_t n, const Cast& cast) {
    Counts counts;
    const Rest<uint16_t, uint16_t> rest(cast, &counts);
    if (cast.target == F_bfloat16)
        counts.overflow = cast.nontemporal ? encode_groups(in, out, n, F16ToBf16Group<true>(), rest)
                                           : encode_groups(in, out, n, F16ToBf16Group<false>(), rest);
    else
        counts.overflow = cast.nontemporal ? encode_groups(in, out, n, Bf16ToF16Group<true>(), rest)
                                           : encode_groups(in, out, n, Bf16ToF16Group<false>(), rest);
    return counts;
}

// To the floats of 8 bits or fewer that have a zero, nearest even, from float32 or from the
// codes of the formats that half_to_small names.
template <bool UNSIGNED_ZERO, bool STREAM, class Source>
uint64_t encode_small_groups(const Source* in, uint8_t* out, uint64_t n, const Cast& cast, Counts* counts) {
    const Row& row = ROWS[cast.target];
    const Rest<Source, uint8_t> rest(cast, counts);
    if constexpr (sizeof(Source) == 4) {
        return encode_groups(in, out, n, ToSmallGroup<UNSIGNED_ZERO, STREAM>(row), rest);
    } else {
        if constexpr (!UNSIGNED_ZERO)
            if (half_to_upper(cast.source, row))
                return encode_groups(in, out, n, HalfToUpper<STREAM>(row), rest);
        if (ROWS[cast.source].exponent_bits + row.mantissa_bits == 8 && row.bits == 8)
            return encode_groups(in, out, n, HalfToSmallGroup<true, UNSIGNED_ZERO, STREAM>(cast.source, row), rest);
        return encode_groups(in, out, n, HalfToSmallGroup<false, UNSIGNED_ZERO, STREAM>(cast.source, row), rest);
    }
}

template <class Source>
Counts encode_small(const Source* in, uint8_t* out, uint64_t n, const Cast& cast) {
    Counts counts;
    if (ROWS[cast.target].nan == Nan::NegativeZero)
        counts.overflow = cast.nontemporal ? encode_small_groups<true, true>(in, out, n, cast, &counts)
                                           : encode_small_groups<true, false>(in, out, n, cast, &counts);
    else
        counts.overflow = cast.nontemporal ? encode_small_groups<false, true>(in, out, n, cast, &counts)
                                           : encode_small_groups<false, false>(in, out, n, cast, &counts);
    return counts;
}
#endif

// Codes of the target, one per container; finite values, infinities and NaNs by the policy.
template <class C>
Counts encode_float(const C* in, void* out, uint64_t n, uint64_t first, const Cast& cast) {
    if constexpr (sizeof(C) == 4) {
#if defined(__AVX2__)
        const Row& row = ROWS[cast.target];
        if (cast.rounding == Rounding::NearestEven && row.bits <= 16 && row.has_zero) {
            if (row.bits <= 8) return encode_small(in, (uint8_t*)out, n, cast);
            Counts counts;
            const Rest<float, uint16_t> rest(cast, &counts);
            uint16_t* to = (uint16_t*)out;
            if (cast.target == F_bfloat16)
                counts.overflow = cast.nontemporal ? encode_groups(in, to, n, ToBf16Group<true>(), rest)
                                                   : encode_groups(in, to, n, ToBf16Group<false>(), rest);
            else
                counts.overflow = cast.nontemporal ? encode_groups(in, to, n, ToF16Group<true>(), rest)
                                                   : encode_groups(in, to, n, ToF16Group<false>(), rest);
            return counts;
        }
        if (cast.rounding == Rounding::NearestEven && !row.has_zero) {
            Counts counts;
            const Draw draw(cast, first);
            const auto other = [&](const float* x, uint8_t* codes, uint64_t m) {
                return encode_e8m0_loop<float, Rounding::NearestEven>(x, codes, m, cast.overflow, draw)
                    .overflow;
            };
            counts.overflow = encode_groups(in, (uint8_t*)out, n,
                                            ToE8m0<0x300000, 0x600000, 0x400000>(), other);
            return counts;
        }
#endif
        if (cast.target == F_float32) {
            if ((const void*)in != out) __builtin_memcpy(out, in, n * 4);
            return Counts();
        }
        if (cast.target == F_float64) {
            double* d = (double*)out;
            for (uint64_t i = 0; i < n; ++i) d[i] = (double)in[i];
            return Counts();
        }
    } else if (cast.target == F_float64) {
        if ((const void*)in != out) __builtin_memcpy(out, in, n * 8);
        return Counts();
    }
    switch (cast.rounding) {
        case Rounding::NearestEven:
            return encode_float_rounded<C, Rounding::NearestEven>(in, out, n, first, cast);
        case Rounding::TowardZero:
            return encode_float_rounded<C, Rounding::TowardZero>(in, out, n, first, cast);
        case Rounding::Down:
            return encode_float_rounded<C, Rounding::Down>(in, out, n, first, cast);
        case Rounding::Up:
            return encode_float_rounded<C, Rounding::Up>(in, out, n, first, cast);
        case Rounding::Stochastic:
            return encode_float_rounded<C, Rounding::Stochastic>(in, out, n, first, cast);
    }
    __builtin_unreachable();
}

}  // namespace
}  // namespace tc
