// float32 to the narrow floats with AVX2, nearest even: the pairs that checkpoints are made of.
//
// Groups of ordinary values go through vector arithmetic; a group with a special value (an
// overflow, an infinity, a NaN) is left to the caller's scalar arithmetic.
#pragma once
#include "decode.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

TC_INLINE __m256i load8(const float* p) { return _mm256_loadu_si256((const __m256i*)p); }

TC_INLINE bool any_set(__m256i mask) { return !_mm256_testz_si256(mask, mask); }

// Two registers of eight 32-bit codes below 2^16 as one of sixteen, in order.
TC_INLINE __m256i pack32(__m256i a, __m256i b) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);
}

// A constant that the compiler keeps, in a register or in memory, and does not make anew in a loop.
TC_INLINE __m256i constant(__m256i x) {
    __asm__("" : "+x"(x));
    return x;
}
TC_INLINE __m256i constant8(int x) { return constant(_mm256_set1_epi8((char)x)); }
TC_INLINE __m256i constant16(int x) { return constant(_mm256_set1_epi16((short)x)); }
TC_INLINE __m256i constant32(int x) { return constant(_mm256_set1_epi32(x)); }

// Around the caches, where the caller knows that out is aligned to 32 bytes.
template <bool STREAM>
TC_INLINE void store32(void* out, __m256i x) {
    if constexpr (STREAM)
        _mm256_stream_si256((__m256i*)out, x);
    else
        _mm256_storeu_si256((__m256i*)out, x);
}

// What the loops that store around the caches read next.
template <bool STREAM, int N_BYTES>
TC_INLINE void read_ahead(const void* in) {
    if constexpr (STREAM)
        for (int at = 0; at < N_BYTES; at += 64)
            _mm_prefetch((const char*)in + READ_AHEAD + at, _MM_HINT_T0);
}

// bfloat16: integer arithmetic, since the hardware's own instruction flushes subnormals.
template <bool STREAM>
struct ToBf16 {
    static constexpr int WIDTH = 32;
    // of lanes of 16 bits: all lower halves, then all upper ones
    const __m256i halves = constant(
        _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
                         0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    const __m256i one = constant16(1), half = constant16(0x8000);
    const __m256i abs16 = constant16(0x7fff), last16 = constant16(0x7f7e);

    // Sixteen results, in order. Carries where the lower half is above the tie, or on it and the
    // upper half odd. `most` collects the upper halves, without the sign, before they are rounded.
    TC_INLINE __m256i sixteen(__m256i u, __m256i v, __m256i* most) const {
        const __m256i x = _mm256_shuffle_epi8(u, halves), y = _mm256_shuffle_epi8(v, halves);
        const __m256i low = _mm256_unpacklo_epi64(x, y), high = _mm256_unpackhi_epi64(x, y);
        *most = _mm256_max_epi16(*most, _mm256_and_si256(high, abs16));
        const __m256i tie = _mm256_or_si256(low, _mm256_and_si256(high, one));
        const __m256i carry =
            _mm256_cmpgt_epi16(_mm256_xor_si256(tie, half), _mm256_setzero_si256());
        return _mm256_permute4x64_epi64(_mm256_sub_epi16(high, carry), 0xd8);
    }
    // False, and nothing stored, if one of the thirty-two may be special: is 0x7f7f0000 or more.
    TC_INLINE bool operator()(const float* in, uint16_t* out) const {
        read_ahead<STREAM, 128>(in);
        __m256i most = _mm256_setzero_si256();
        const __m256i x = sixteen(load8(in), load8(in + 8), &most);
        const __m256i y = sixteen(load8(in + 16), load8(in + 24), &most);
        if (__builtin_expect(any_set(_mm256_cmpgt_epi16(most, last16)), 0)) return false;
        store32<STREAM>(out, x);
        store32<STREAM>(out + 16, y);
        return true;
    }
    // Eight results as 32-bit lanes, of values known not to be special.
    static TC_INLINE __m256i round(__m256i u) {
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
        const __m256i sum = _mm256_add_epi32(u, _mm256_set1_epi32(0x7fff));
        return _mm256_srli_epi32(_mm256_add_epi32(sum, odd), 16);
    }
};

// float16 by F16C; from 65520 on, values round beyond the range, and are infinities there.
template <bool STREAM>
struct ToF16 {
    static constexpr int WIDTH = 32;
    const __m256i abs16 = constant16(0x7fff), last16 = constant16(0x7bff);

    TC_INLINE bool store(__m256i x, __m256i y, uint16_t* out) const {
        const __m256i most =
            _mm256_max_epi16(_mm256_and_si256(x, abs16), _mm256_and_si256(y, abs16));
        if (__builtin_expect(any_set(_mm256_cmpgt_epi16(most, last16)), 0)) return false;
        store32<STREAM>(out, x);
        store32<STREAM>(out + 16, y);
        return true;
    }
    static TC_INLINE __m256i sixteen(__m256 x, __m256 y) {
        return _mm256_set_m128i(_mm256_cvtps_ph(y, _MM_FROUND_TO_NEAREST_INT),
                                _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
    TC_INLINE bool operator()(const float* in, uint16_t* out) const {
        read_ahead<STREAM, 128>(in);
        return store(sixteen(_mm256_loadu_ps(in), _mm256_loadu_ps(in + 8)),
                     sixteen(_mm256_loadu_ps(in + 16), _mm256_loadu_ps(in + 24)), out);
    }
};

// float16 and bfloat16 to each other, through float32.
template <bool STREAM>
struct F16ToBf16 : ToBf16<STREAM> {
    using To = ToBf16<STREAM>;
    TC_INLINE bool operator()(const uint16_t* in, uint16_t* out) const {
        read_ahead<STREAM, 64>(in);
        const auto eight = [&](int at) {
            return _mm256_castps_si256(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(in + at))));
        };
        __m256i most = _mm256_setzero_si256();
        const __m256i x = To::sixteen(eight(0), eight(8), &most);
        const __m256i y = To::sixteen(eight(16), eight(24), &most);
        if (__builtin_expect(any_set(_mm256_cmpgt_epi16(most, To::last16)), 0)) return false;
        store32<STREAM>(out, x);
        store32<STREAM>(out + 16, y);
        return true;
    }
};

template <bool STREAM>
struct Bf16ToF16 : ToF16<STREAM> {
    using To = ToF16<STREAM>;
    TC_INLINE bool operator()(const uint16_t* in, uint16_t* out) const {
        read_ahead<STREAM, 64>(in);
        const auto sixteen = [&](int at) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + at));
            const __m256i zero = _mm256_setzero_si256();
            const __m256i r =
                To::sixteen(_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, x)),
                            _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, x)));
            return _mm256_permute4x64_epi64(r, 0xd8);
        };
        return To::store(sixteen(0), sixteen(16), out);
    }
};

// Thirty-two codes of 8 bits or, unless BYTE, fewer, from magnitudes.
template <bool UNSIGNED_ZERO, bool BYTE = false>
struct SmallCodes {
    __m256i last, sign_bit, room;

    TC_INLINE SmallCodes(const Row& row)
        : last(constant8((int)row.max_code)), sign_bit(constant8(1 << (row.bits - 1))),
          room(constant8(0x7f - (int)row.max_code)) {}
    // Not zero in the bytes above the last code: overflow, an infinity, a NaN.
    TC_INLINE __m256i special(__m256i code) const { return _mm256_subs_epu8(code, last); }
    // Whether there is one.
    TC_INLINE bool any_special(__m256i code) const {
        return _mm256_movemask_epi8(_mm256_adds_epu8(code, room)) != 0;
    }
    // With the signs of the bytes of `negative`.
    TC_INLINE __m256i with_sign(__m256i code, __m256i negative) const {
        const __m256i zero = _mm256_setzero_si256();
        __m256i sign = _mm256_and_si256(BYTE ? negative : _mm256_cmpgt_epi8(zero, negative), sign_bit);
        if constexpr (UNSIGNED_ZERO) sign = _mm256_andnot_si256(_mm256_cmpeq_epi8(code, zero), sign);
        return _mm256_or_si256(code, sign);
    }
};

// Rounding to a float of 8 bits or fewer. With E the exponent of a magnitude's binade, or of the
// target's smallest normal where that is larger, adding 2^(E + 23 - M) leaves a sum whose last place
// is the target's spacing, and taking it away the result itself. The sum's lower half is the rounded
// significand k in units of the spacing, hidden bit and all, its upper half (E + 23 - M) * 128. One
// multiply-add makes of both
//
//     (k + (E + 23 - M << M)) << (7 - M),
//
// which is the code but for a constant.
struct SmallSums {
    const __m256i abs = constant32(0x7fffffff), field = constant32(0x7f800000);
    __m256i limit, least, up, weights, base;
    __m128i shift;

    TC_INLINE SmallSums(const Row& row) {
        const int m_bits = row.mantissa_bits, first = 127 + 1 - row.bias;
        const int beyond = first + 1 + (int)(row.max_code >> m_bits);  // a binade above the last
        limit = constant32(beyond << 23);
        least = constant32(first << 23);
        up = constant32((23 - m_bits) << 23);
        weights = constant32(1 << 16 | 1 << (7 - m_bits));
        base = constant16((first + 23 - m_bits) << 7);
        shift = _mm_cvtsi32_si128(7 - m_bits);
    }
    // Of eight floats, with those beyond the range brought to just above it.
    TC_INLINE __m256i magnitude(__m256i u) const {
        return _mm256_min_epi32(_mm256_and_si256(u, abs), limit);
    }
    // The sums of eight magnitudes, and what was added.
    TC_INLINE __m256 round(__m256i a, __m256* magic) const {
        const __m256i e = _mm256_max_epi32(_mm256_and_si256(a, field), least);
        *magic = _mm256_castsi256_ps(_mm256_add_epi32(e, up));
        return _mm256_add_ps(_mm256_castsi256_ps(a), *magic);
    }
    // Codes in the making, of eight, and the codes of sixteen.
    TC_INLINE __m256i scaled(__m256 sum) const {
        return _mm256_madd_epi16(_mm256_castps_si256(sum), weights);
    }
    TC_INLINE __m256i sixteen(__m256i k0, __m256i k1) const {
        return _mm256_srl_epi16(_mm256_sub_epi16(_mm256_packs_epi32(k0, k1), base), shift);
    }
};

// Thirty-two codes that packing put in the order of its halves, in theirs.
TC_INLINE __m256i in_order(__m256i packed) {
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// A float of 8 bits or fewer from float32.
template <bool UNSIGNED_ZERO, bool STREAM>
struct ToSmall {
    static constexpr int WIDTH = 32;
    const SmallSums sums;
    const SmallCodes<UNSIGNED_ZERO> codes;

    TC_INLINE ToSmall(const Row& row) : sums(row), codes(row) {}

    TC_INLINE __m256i eight(__m256i u) const {
        __m256 magic;
        return sums.scaled(sums.round(sums.magnitude(u), &magic));
    }
    // The codes of four times eight floats, without their signs, in the order of packing.
    TC_INLINE __m256i thirty_two(const __m256i u[4]) const {
        return _mm256_packus_epi16(sums.sixteen(eight(u[0]), eight(u[1])),
                                   sums.sixteen(eight(u[2]), eight(u[3])));
    }
    // With them, in order; packing with signed saturation keeps a sign.
    TC_INLINE __m256i with_signs(__m256i code, const __m256i u[4]) const {
        const __m256i signs =
            _mm256_packs_epi16(_mm256_packs_epi32(u[0], u[1]), _mm256_packs_epi32(u[2], u[3]));
        return in_order(codes.with_sign(code, signs));
    }
    TC_INLINE bool operator()(const float* in, uint8_t* out) const {
        read_ahead<STREAM, 128>(in);
        const __m256i u[] = {load8(in), load8(in + 8), load8(in + 16), load8(in + 24)};
        const __m256i code = thirty_two(u);
        if (__builtin_expect(codes.any_special(code), 0)) return false;
        store32<STREAM>(out, with_signs(code, u));
        return true;
    }
};

// float8_e8m0fnu from float32: the rounded exponent field. LOW and HIGH are the magnitudes from which
// float32's subnormals give 2^-127 (code 0) and 2^-126 (code 1); ADD is added before the field is
// taken. Special: what is out of range, zero and negatives among it, and NaN.
template <int LOW, int HIGH, int ADD>
struct ToE8m0 {
    static constexpr int WIDTH = 32;

    TC_INLINE __m256i eight(__m256i u, __m256i* special) const {
        const __m256i field = _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(ADD)), 23);
        const __m256i above = _mm256_cmpgt_epi32(u, _mm256_set1_epi32(HIGH - 1));
        const __m256i subnormal = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800000), u);
        const __m256i code =
            _mm256_blendv_epi8(field, _mm256_sub_epi32(_mm256_setzero_si256(), above), subnormal);
        const __m256i inside = _mm256_cmpgt_epi32(u, _mm256_set1_epi32(LOW - 1));
        const __m256i over = _mm256_cmpgt_epi32(code, _mm256_set1_epi32(254));
        *special = _mm256_or_si256(*special, _mm256_or_si256(over, _mm256_xor_si256(inside, _mm256_set1_epi32(-1))));
        return code;
    }
    TC_INLINE bool operator()(const float* in, uint8_t* out) const {
        __m256i special = _mm256_setzero_si256();
        const __m256i a = eight(load8(in), &special), b = eight(load8(in + 8), &special);
        const __m256i c = eight(load8(in + 16), &special), d = eight(load8(in + 24), &special);
        if (__builtin_expect(any_set(special), 0)) return false;
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256i codes = _mm256_packus_epi16(_mm256_packus_epi32(a, b), _mm256_packus_epi32(c, d));
        _mm256_storeu_si256((__m256i*)out, _mm256_permutevar8x32_epi32(codes, order));
        return true;
    }
};

// Runs groups through `convert` and special groups, and the rest, through `other`, which returns
// the number of overflows.
template <class Convert, class In, class Out, class Other>
TC_INLINE uint64_t encode_groups(const In* in, Out* out, uint64_t n, const Convert& convert,
                                 const Other& other) {
    uint64_t i = 0, n_overflow = 0;
    for (; i + Convert::WIDTH <= n; i += Convert::WIDTH)
        if (__builtin_expect(!convert(in + i, out + i), 0))
            n_overflow += other(in + i, out + i, (uint64_t)Convert::WIDTH);
    return n_overflow + other(in + i, out + i, n - i);
}

}  // namespace
}  // namespace tc

#endif
