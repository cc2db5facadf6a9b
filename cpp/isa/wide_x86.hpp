// 64-bit sources with AVX2, which has no conversions between int64 and float64 and no 64-bit
// comparisons worth the name: everything is done through float64 and float32 arithmetic whose
// every step is exact or rounds once.
#pragma once
#include "encode_float.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// A rounding as the vector instructions take it; stochastic has none.
template <Rounding R>
constexpr int ROUND_MODE = (R == Rounding::NearestEven ? _MM_FROUND_TO_NEAREST_INT
                            : R == Rounding::Down      ? _MM_FROUND_TO_NEG_INF
                            : R == Rounding::Up        ? _MM_FROUND_TO_POS_INF
                                                       : _MM_FROUND_TO_ZERO) |
                           _MM_FROUND_NO_EXC;

// Masks of four 64-bit lanes as masks of four 32-bit lanes.
TC_INLINE __m128i narrow_mask(__m256d m) {
    const __m256 s = _mm256_castpd_ps(m);
    const __m128 lo = _mm256_castps256_ps128(s), hi = _mm256_extractf128_ps(s, 1);
    return _mm_castps_si128(_mm_shuffle_ps(lo, hi, 0x88));
}

// float64 -> float32 rounded to odd: toward zero, with the last bit set where anything was lost.
// Rounding that once more, to 22 bits or fewer, equals rounding once. Magnitudes beyond float32
// become its largest value, which is odd. Returns whether there was a finite one.
bool sticky_float(const double* in, float* out, uint64_t n) {
    const __m256d abs = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7fffffffffffffff));
    const __m256d limit = _mm256_set1_pd(0x1p128), infinity = _mm256_set1_pd(__builtin_inf());
    const __m128i one = _mm_set1_epi32(1);
    __m256d huge = _mm256_setzero_pd();
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256d x = _mm256_loadu_pd(in + i), a = _mm256_and_pd(x, abs);
        const __m128 y = _mm256_cvtpd_ps(x);
        const __m256d back = _mm256_cvtps_pd(y);
        const __m128i lost = narrow_mask(_mm256_cmp_pd(back, x, _CMP_NEQ_UQ));
        const __m128i away = narrow_mask(_mm256_cmp_pd(_mm256_and_pd(back, abs), a, _CMP_GT_OQ));
        const __m128i bits = _mm_add_epi32(_mm_castps_si128(y), away);  // away: -1
        _mm_storeu_si128((__m128i*)(out + i), _mm_or_si128(bits, _mm_and_si128(lost, one)));
        huge = _mm256_or_pd(huge, _mm256_and_pd(_mm256_cmp_pd(a, limit, _CMP_GE_OQ),
                                                _mm256_cmp_pd(a, infinity, _CMP_LT_OQ)));
    }
    bool any = _mm256_movemask_pd(huge) != 0;
    for (; i < n; ++i) {
        const double x = in[i], a = __builtin_fabs(x);
        const float y = (float)x;
        uint32_t bits = bits_of(y);
        if (__builtin_fabs((double)y) > a) --bits;
        out[i] = float_of(bits | ((double)y != x));
        any |= a >= 0x1p128 && a < __builtin_inf();
    }
    return any;
}

// int32 and uint32 to float32, rounded to nearest, or to odd where `sticky`. Halves of 16 bits are
// exact, their sum rounds once, and what it lost is exact too.
void floats_of_int32(const void* in, float* out, uint64_t n, bool is_signed, bool sticky) {
    const uint32_t* x = (const uint32_t*)in;
    const __m256i low16 = _mm256_set1_epi32(0xffff), one = _mm256_set1_epi32(1);
    const __m256 zero = _mm256_setzero_ps();
    uint32_t padded[8] = {};
    for (uint64_t i = 0; i < n; i += 8) {
        const bool whole = i + 8 <= n;
        if (!whole) __builtin_memcpy(padded, x + i, (n - i) * 4);
        const __m256i u = _mm256_loadu_si256((const __m256i*)(whole ? x + i : padded));
        const __m256i negative = is_signed ? _mm256_srai_epi32(u, 31) : _mm256_setzero_si256();
        const __m256i a = _mm256_sub_epi32(_mm256_xor_si256(u, negative), negative);
        const __m256 high = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(a, 16)),
                                          _mm256_set1_ps(65536.0f));
        const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(a, low16));
        const __m256 sum = _mm256_add_ps(high, low);
        __m256i bits = _mm256_castps_si256(sum);
        if (sticky) {
            const __m256 lost = _mm256_sub_ps(low, _mm256_sub_ps(sum, high));
            const __m256 beyond = _mm256_cmp_ps(lost, zero, _CMP_LT_OQ);  // -1: one ulp back
            const __m256 inexact = _mm256_cmp_ps(lost, zero, _CMP_NEQ_OQ);
            bits = _mm256_add_epi32(bits, _mm256_castps_si256(beyond));
            bits = _mm256_or_si256(bits, _mm256_and_si256(_mm256_castps_si256(inexact), one));
        }
        bits = _mm256_or_si256(bits, _mm256_slli_epi32(negative, 31));
        if (whole) {
            _mm256_storeu_si256((__m256i*)(out + i), bits);
        } else {
            _mm256_storeu_si256((__m256i*)padded, bits);
            __builtin_memcpy(out + i, padded, (n - i) * 4);
        }
    }
}

// The lower halves of 64-bit integers; false if 32 bits do not hold every one.
bool narrow_integers(const void* in, uint32_t* out, uint64_t n, bool is_signed) {
    const uint64_t* x = (const uint64_t*)in;
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    __m256i beyond = _mm256_setzero_si256();
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256i v = _mm256_loadu_si256((const __m256i*)(x + i));
        // the upper half must repeat the lower half's sign, or be zero
        const __m256i upper = _mm256_srli_epi64(v, 32);
        const __m256i sign = _mm256_srli_epi64(_mm256_srai_epi32(_mm256_slli_epi64(v, 32), 31), 32);
        beyond = _mm256_or_si256(beyond, is_signed ? _mm256_xor_si256(upper, sign) : upper);
        _mm_storeu_si128((__m128i*)(out + i),
                         _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(v, order)));
    }
    bool fits = !any_set(beyond);
    for (; i < n; ++i) {
        out[i] = (uint32_t)x[i];
        fits &= is_signed ? (int64_t)x[i] == (int32_t)x[i] : x[i] == out[i];
    }
    return fits;
}

// float64 -> float32, nearest even; over_code: of what rounds beyond float32.
uint64_t encode_f32_nearest(const double* in, uint32_t* out, uint64_t n, uint32_t over_code) {
    const __m256d abs = _mm256_castsi256_pd(_mm256_set1_epi64x(0x7fffffffffffffff));
    const __m256d from = _mm256_set1_pd(0x1.ffffffp127);  // the tie between the largest and 2^128
    const __m256d infinity = _mm256_set1_pd(__builtin_inf());
    const __m128i sign = _mm_set1_epi32((int)0x80000000u), replaced = _mm_set1_epi32((int)over_code);
    uint64_t i = 0, n_overflow = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256d x = _mm256_loadu_pd(in + i), a = _mm256_and_pd(x, abs);
        __m128i y = _mm_castps_si128(_mm256_cvtpd_ps(x));
        const __m256d over = _mm256_and_pd(_mm256_cmp_pd(a, from, _CMP_GE_OQ),
                                           _mm256_cmp_pd(a, infinity, _CMP_LT_OQ));
        const int mask = _mm256_movemask_pd(over);
        if (__builtin_expect(mask != 0, 0)) {
            n_overflow += (uint64_t)__builtin_popcount((unsigned)mask);
            y = _mm_blendv_epi8(y, _mm_or_si128(_mm_and_si128(y, sign), replaced), narrow_mask(over));
        }
        _mm_storeu_si128((__m128i*)(out + i), y);
    }
    for (; i < n; ++i) {
        const double a = __builtin_fabs(in[i]);
        uint32_t y = bits_of((float)in[i]);
        if (a >= 0x1.ffffffp127 && a < __builtin_inf()) {
            ++n_overflow;
            y = (y & 0x80000000u) | over_code;
        }
        out[i] = y;
    }
    return n_overflow;
}

// float64 to integers of 32 bits or fewer, rounded, clamped and masked; the caller narrows them.
template <Rounding R>
Counts encode_int32_avx2(const double* in, uint32_t* out, uint64_t n, const Row& row) {
    constexpr int mode = ROUND_MODE<R>;
    const double low = row.is_signed ? -(double)(1ull << (row.bits - 1)) : 0.0;
    const __m256d lo = _mm256_set1_pd(low), hi = _mm256_set1_pd((double)row.max_code);
    const bool biased = !row.is_signed && row.bits == 32;  // beyond the signed conversion
    const __m256d bias = _mm256_set1_pd(biased ? 0x1p31 : 0.0);
    const __m128i flip = _mm_set1_epi32(biased ? (int)0x80000000u : 0);
    const __m128i keep = _mm_set1_epi32(row.bits == 32 ? -1 : (int)((1u << row.bits) - 1));
    __m256i n_over = _mm256_setzero_si256(), n_number = _mm256_setzero_si256();
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256d x = _mm256_loadu_pd(in + i), r = _mm256_round_pd(x, mode);
        const __m256d number = _mm256_cmp_pd(x, x, _CMP_ORD_Q);
        const __m256d clamped = _mm256_min_pd(_mm256_max_pd(r, lo), hi);
        const __m256d over = _mm256_cmp_pd(clamped, r, _CMP_NEQ_OQ);
        n_over = _mm256_sub_epi64(n_over, _mm256_castpd_si256(over));
        n_number = _mm256_sub_epi64(n_number, _mm256_castpd_si256(number));
        // a NaN takes the bias away and becomes 0 only after the flip
        const __m256d safe = _mm256_blendv_pd(_mm256_setzero_pd(), clamped, number);
        const __m128i c = _mm_xor_si128(_mm256_cvttpd_epi32(_mm256_sub_pd(safe, bias)), flip);
        _mm_storeu_si128((__m128i*)(out + i), _mm_and_si128(c, keep));
    }
    alignas(32) uint64_t over_lanes[4], number_lanes[4];
    _mm256_store_si256((__m256i*)over_lanes, n_over);
    _mm256_store_si256((__m256i*)number_lanes, n_number);
    Counts counts;
    counts.nan_lost = i;
    for (int lane = 0; lane < 4; ++lane) {
        counts.overflow += over_lanes[lane];
        counts.nan_lost -= number_lanes[lane];
    }
    return counts;  // of the elements up to the last multiple of 4
}

// float64 to int64 and uint64 where every value is a number below 2^51 in magnitude (and, for
// uint64, not negative); false, with nothing promised about out, where one is not.
template <Rounding R>
bool encode_int64_avx2(const double* in, uint64_t* out, uint64_t n, bool is_signed) {
    constexpr int mode = ROUND_MODE<R>;
    const __m256d magic = _mm256_set1_pd(0x1.8p52), limit = _mm256_set1_pd(0x1p51);
    const __m256d low = is_signed ? _mm256_set1_pd(-0x1p51) : _mm256_setzero_pd();
    const __m256i offset = _mm256_castpd_si256(magic);
    __m256d fits = _mm256_castsi256_pd(_mm256_set1_epi64x(-1));
    for (uint64_t i = 0; i + 4 <= n; i += 4) {
        const __m256d r = _mm256_round_pd(_mm256_loadu_pd(in + i), mode);
        fits = _mm256_and_pd(fits, _mm256_and_pd(_mm256_cmp_pd(r, low, _CMP_GE_OQ),
                                                 _mm256_cmp_pd(r, limit, _CMP_LT_OQ)));
        const __m256i bits = _mm256_castpd_si256(_mm256_add_pd(r, magic));
        _mm256_storeu_si256((__m256i*)(out + i), _mm256_sub_epi64(bits, offset));
    }
    return _mm256_movemask_pd(fits) == 15;
}

}  // namespace
}  // namespace tc

#endif
