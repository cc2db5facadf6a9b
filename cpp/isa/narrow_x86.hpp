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

// Around the caches, where the caller knows that out is aligned to 32 bytes.
template <bool STREAM>
TC_INLINE void store32(void* out, __m256i x) {
    if constexpr (STREAM)
        _mm256_stream_si256((__m256i*)out, x);
    else
        _mm256_storeu_si256((__m256i*)out, x);
}

// bfloat16: integer arithmetic, since the hardware's own instruction flushes subnormals.
template <bool STREAM>
struct ToBf16 {
    static constexpr int WIDTH = 16;
    const __m256i abs = _mm256_set1_epi32(0x7fffffff), last = _mm256_set1_epi32(0x7f7f7fff);
    const __m256i half = _mm256_set1_epi32(0x7fff), one = _mm256_set1_epi32(1);

    TC_INLINE __m256i round(__m256i u) const {
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), one);
        return _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, half), odd), 16);
    }
    TC_INLINE __m256i special(__m256i u) const {
        return _mm256_cmpgt_epi32(_mm256_and_si256(u, abs), last);
    }
    // False, and nothing stored, if one of the sixteen is special.
    TC_INLINE bool operator()(const float* in, uint16_t* out) const {
        const __m256i u = load8(in), v = load8(in + 8);
        if (__builtin_expect(any_set(_mm256_or_si256(special(u), special(v))), 0)) return false;
        store32<STREAM>(out, pack32(round(u), round(v)));
        return true;
    }
    // Sixteen values known not to be special, and their results as float32.
    TC_INLINE void convert(const float* in, uint16_t* out, __m256* y, __m256* z) const {
        const __m256i r = round(load8(in)), t = round(load8(in + 8));
        store32<STREAM>(out, pack32(r, t));
        *y = _mm256_castsi256_ps(_mm256_slli_epi32(r, 16));
        *z = _mm256_castsi256_ps(_mm256_slli_epi32(t, 16));
    }
};

// float16 by F16C; from 65520 on, values round beyond the range.
template <bool STREAM>
struct ToF16 {
    static constexpr int WIDTH = 16;
    const __m256i abs = _mm256_set1_epi32(0x7fffffff), last = _mm256_set1_epi32(0x477fefff);

    TC_INLINE __m256i special(__m256i u) const {
        return _mm256_cmpgt_epi32(_mm256_and_si256(u, abs), last);
    }
    TC_INLINE bool operator()(const float* in, uint16_t* out) const {
        const __m256i u = load8(in), v = load8(in + 8);
        if (__builtin_expect(any_set(_mm256_or_si256(special(u), special(v))), 0)) return false;
        __m256 y, z;
        convert(in, out, &y, &z);
        return true;
    }
    TC_INLINE void convert(const float* in, uint16_t* out, __m256* y, __m256* z) const {
        const __m128i lo = _mm256_cvtps_ph(_mm256_loadu_ps(in), _MM_FROUND_TO_NEAREST_INT);
        const __m128i hi = _mm256_cvtps_ph(_mm256_loadu_ps(in + 8), _MM_FROUND_TO_NEAREST_INT);
        store32<STREAM>(out, _mm256_set_m128i(hi, lo));
        *y = _mm256_cvtph_ps(lo);
        *z = _mm256_cvtph_ps(hi);
    }
};

// A float of 8 bits or fewer, from float32, float16 or bfloat16 (SOURCE is its container).
//
// Magnitudes are rounded in lanes of 16 bits. float32 gives its upper half with the lowest bit
// sticky: 7 bits of significand are kept, no target has more than 4 and a rounding bit. Subnormal
// results come from float32: adding 2^(23 + exponent of the spacing) leaves a mantissa that counts
// in units of the spacing.
template <class SOURCE, bool UNSIGNED_ZERO, bool STREAM>
struct ToSmall {
    static constexpr int WIDTH = 32;
    const __m256i abs = _mm256_set1_epi32(0x7fffffff), low16 = _mm256_set1_epi32(0xffff);
    const __m256i abs16 = _mm256_set1_epi16(0x7fff), one = _mm256_set1_epi16(1);
    __m256i magic, half, rebias, first_normal, last_code, sign_bit;
    __m128i shift, sign_shift;
    bool from_half;

    TC_INLINE ToSmall(const Row& row, bool half_source)
        : from_half(sizeof(SOURCE) == 2 && half_source) {
        const int m_bits = from_half ? 10 : 7, bias = from_half ? 15 : 127;
        const int drop = m_bits - row.mantissa_bits, sign_at = row.bits - 1;
        const int spacing = 1 - row.bias - row.mantissa_bits;
        // the source's own subnormals have no hidden bit: they go through float32 too
        const int normal_field = bias + 1 - row.bias < 1 ? 1 : bias + 1 - row.bias;
        magic = _mm256_set1_epi32((127 + 23 + spacing) << 23);
        half = _mm256_set1_epi16((short)((1 << (drop - 1)) - 1));
        rebias = _mm256_set1_epi16((short)((bias - row.bias) * (1 << row.mantissa_bits)));
        first_normal = _mm256_set1_epi16((short)(normal_field << m_bits));
        last_code = _mm256_set1_epi16((short)row.max_code);
        sign_bit = _mm256_set1_epi16((short)(1 << sign_at));
        shift = _mm_cvtsi32_si128(drop);
        sign_shift = _mm_cvtsi32_si128(15 - sign_at);
    }

    // Sixteen elements: 16-bit lanes h, and the same as float32 in u and v, all in the lane order
    // that packing u and v gives.
    TC_INLINE void load(const float* in, __m256i* h, __m256i* u, __m256i* v) const {
        const auto sticky = [&](__m256i x) {
            const __m256i carry = _mm256_add_epi32(_mm256_and_si256(x, low16), low16);
            return _mm256_srli_epi32(_mm256_or_si256(x, carry), 16);
        };
        *u = load8(in);
        *v = load8(in + 8);
        *h = _mm256_packus_epi32(sticky(*u), sticky(*v));
    }
    TC_INLINE void load(const uint16_t* in, __m256i* h, __m256i* u, __m256i* v) const {
        const __m256i x = _mm256_loadu_si256((const __m256i*)in), zero = _mm256_setzero_si256();
        if (from_half) {
            *h = _mm256_permute4x64_epi64(x, 0xd8);
            *u = _mm256_castps_si256(_mm256_cvtph_ps(_mm256_castsi256_si128(x)));
            *v = _mm256_castps_si256(_mm256_cvtph_ps(_mm256_extracti128_si256(x, 1)));
        } else {
            *h = x;
            *u = _mm256_unpacklo_epi16(zero, x);
            *v = _mm256_unpackhi_epi16(zero, x);
        }
    }

    // Sixteen codes; special collects lanes above the range (infinities and NaNs are).
    TC_INLINE __m256i sixteen(const SOURCE* in, __m256i* special) const {
        const auto tiny = [&](__m256i x) {
            const __m256 sum = _mm256_add_ps(_mm256_castsi256_ps(_mm256_and_si256(x, abs)),
                                             _mm256_castsi256_ps(magic));
            return _mm256_sub_epi32(_mm256_castps_si256(sum), magic);
        };
        __m256i h, u, v;
        load(in, &h, &u, &v);
        const __m256i subnormal = _mm256_packus_epi32(tiny(u), tiny(v));
        const __m256i a = _mm256_and_si256(h, abs16);
        const __m256i odd = _mm256_and_si256(_mm256_srl_epi16(a, shift), one);
        const __m256i rounded =
            _mm256_srl_epi16(_mm256_add_epi16(_mm256_add_epi16(a, half), odd), shift);
        const __m256i normal = _mm256_sub_epi16(rounded, rebias);
        const __m256i code =
            _mm256_blendv_epi8(normal, subnormal, _mm256_cmpgt_epi16(first_normal, a));
        *special = _mm256_or_si256(*special, _mm256_cmpgt_epi16(code, last_code));
        __m256i sign = _mm256_and_si256(_mm256_srl_epi16(h, sign_shift), sign_bit);
        if constexpr (UNSIGNED_ZERO)
            sign = _mm256_andnot_si256(_mm256_cmpeq_epi16(code, _mm256_setzero_si256()), sign);
        return _mm256_or_si256(code, sign);
    }

    TC_INLINE bool operator()(const SOURCE* in, uint8_t* out) const {
        __m256i special = _mm256_setzero_si256();
        const __m256i x = sixteen(in, &special), y = sixteen(in + 16, &special);
        if (__builtin_expect(any_set(special), 0)) return false;
        // undo the order of the two packings; bfloat16 lanes were in order before the last
        const __m256i order = sizeof(SOURCE) == 2 && !from_half
                                  ? _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7)
                                  : _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        store32<STREAM>(out, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(x, y), order));
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
