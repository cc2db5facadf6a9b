// All statistics of one block: the source values against the decoded results.
//
// Sums run in eight float64 lanes by index modulo 8, multiply and add rounded separately, reduced
// in one fixed order: the same bits on every instruction set.
#pragma once
#include "encode_int.hpp"

namespace tc {
namespace {

typedef double v4d __attribute__((vector_size(32)));
typedef int64_t v4l __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));

// Unaligned loads that tell the compiler so.
struct __attribute__((packed, may_alias)) loose_v4f { v4f v; };
struct __attribute__((packed, may_alias)) loose_v4d { v4d v; };

TC_INLINE v4d load4(const float* p) {
#if defined(__AVX__)
    return (v4d)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    return v4d{(double)p[0], (double)p[1], (double)p[2], (double)p[3]};
#endif
}
TC_INLINE v4d load4(const double* p) { return ((const loose_v4d*)p)->v; }

TC_INLINE v4d min4(v4d a, v4d b) {
#if defined(__AVX__)
    return (v4d)_mm256_min_pd((__m256d)a, (__m256d)b);
#else
    return a < b ? a : b;
#endif
}
TC_INLINE v4d max4(v4d a, v4d b) {
#if defined(__AVX__)
    return (v4d)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
    return a > b ? a : b;
#endif
}
TC_INLINE v4d abs4(v4d a) { return (v4d)((v4l)a & 0x7fffffffffffffffll); }

// The one order in which eight lanes become a sum.
TC_INLINE double lane_sum(const double* l) {
    return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

TC_INLINE bool is_finite(double x) { return (bits_of(x) & Bits<double>::ABS) < Bits<double>::INF; }
TC_INLINE bool is_nan(double x) { return (bits_of(x) & Bits<double>::ABS) > Bits<double>::INF; }

// Element by element, for blocks that hold infinities or NaNs, and for tails.
// saturated: results equal to it are inexact although they compare equal (2^63 - 1 read as 2^63).
template <class C>
void stats_scalar(const C* x, const C* y, uint64_t begin, uint64_t n, double saturated,
                  double* error_lanes, double* value_lanes, Stats* s) {
    for (uint64_t i = begin; i < n; ++i) {
        const double a = (double)x[i], b = (double)y[i];
        if (is_nan(a)) {
            ++s->n_nan;
            continue;
        }
        s->n_inexact += a != b || b == saturated;
        s->n_underflow += a != 0 && b == 0;
        if (!is_finite(a)) {
            ++s->n_inf;
            continue;
        }
        ++s->n_finite;
        if (a < s->min) s->min = a;
        if (a > s->max) s->max = a;
        if (!is_finite(b)) continue;
        const double e = a - b, magnitude = __builtin_fabs(e);
        if (magnitude > s->max_abs_error) s->max_abs_error = magnitude;
        error_lanes[i % 8] += e * e;
        value_lanes[i % 8] += a * a;
    }
}

#if defined(__AVX2__)
// What the vector loops gather, in the lanes of stats_block; a special value makes a sum infinite or
// NaN, and then the gathering is thrown away.
//
// Errors are taken in float32: rounding to nearest without overflow leaves an error that is a
// multiple of the value's own last place and no larger than the value, so float32 holds it exactly,
// and float64 its square: a fused multiply-add rounds just as a multiplication and an addition do.
struct Gather {
    __m256d e0 = _mm256_setzero_pd(), e1 = e0, q0 = e0, q1 = e0;
    __m256 low = _mm256_set1_ps(__builtin_inff()), high = _mm256_set1_ps(-__builtin_inff());
    __m256 worst = _mm256_setzero_ps();
    __m256i changed = _mm256_setzero_si256(), vanished = changed;

    TC_INLINE void add(const float* in, __m256 y) {
        const __m256 x = _mm256_loadu_ps(in), d = _mm256_sub_ps(x, y), zero = _mm256_setzero_ps();
        const __m256 c = _mm256_cmp_ps(d, zero, _CMP_NEQ_UQ);
        changed = _mm256_sub_epi32(changed, _mm256_castps_si256(c));
        const __m256 v = _mm256_and_ps(c, _mm256_cmp_ps(y, zero, _CMP_EQ_OQ));
        vanished = _mm256_sub_epi32(vanished, _mm256_castps_si256(v));
        low = _mm256_min_ps(low, x);
        high = _mm256_max_ps(high, x);
        worst = _mm256_max_ps(worst, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), d));
        const __m256d d0 = _mm256_cvtps_pd(_mm256_castps256_ps128(d));
        const __m256d d1 = _mm256_cvtps_pd(_mm256_extractf128_ps(d, 1));
        const __m256d x0 = _mm256_cvtps_pd(_mm_loadu_ps(in));
        const __m256d x1 = _mm256_cvtps_pd(_mm_loadu_ps(in + 4));
        e0 = _mm256_fmadd_pd(d0, d0, e0);
        e1 = _mm256_fmadd_pd(d1, d1, e1);
        q0 = _mm256_fmadd_pd(x0, x0, q0);
        q1 = _mm256_fmadd_pd(x1, x1, q1);
    }

    // False if a special value was among them.
    TC_INLINE bool finish(double* error_lanes, double* value_lanes, uint64_t n, Stats* s) const {
        const __m256d all = _mm256_add_pd(_mm256_add_pd(e0, e1), _mm256_add_pd(q0, q1));
        const __m256d over = _mm256_cmp_pd(all, _mm256_set1_pd(__builtin_inf()), _CMP_NLT_UQ);
        if (_mm256_movemask_pd(over)) return false;
        _mm256_storeu_pd(error_lanes, e0);
        _mm256_storeu_pd(error_lanes + 4, e1);
        _mm256_storeu_pd(value_lanes, q0);
        _mm256_storeu_pd(value_lanes + 4, q1);
        alignas(32) float lows[8], highs[8], worsts[8];
        alignas(32) uint32_t changes[8], zeros[8];
        _mm256_store_ps(lows, low);
        _mm256_store_ps(highs, high);
        _mm256_store_ps(worsts, worst);
        _mm256_store_si256((__m256i*)changes, changed);
        _mm256_store_si256((__m256i*)zeros, vanished);
        for (int k = 0; k < 8; ++k) {
            s->n_inexact += changes[k];
            s->n_underflow += zeros[k];
            if (lows[k] < s->min) s->min = lows[k];
            if (highs[k] > s->max) s->max = highs[k];
            if (worsts[k] > s->max_abs_error) s->max_abs_error = worsts[k];
        }
        s->n_finite += n;
        return true;
    }
};

// A whole block of float32 to float16 or bfloat16, nearest even, with its statistics, in one loop.
// False, with the output half written and no statistics, if a value is special.
template <class Convert>
bool encode_with_stats(const float* in, uint16_t* out, const Convert& convert, Stats* s) {
    Gather gather;
    __m256i special = _mm256_setzero_si256();
    for (uint64_t i = 0; i < BLOCK; i += 16) {
        __m256 y, z;
        convert.convert(in + i, out + i, &y, &z);
        special = _mm256_or_si256(special, _mm256_or_si256(convert.special(load8(in + i)),
                                                           convert.special(load8(in + i + 8))));
        gather.add(in + i, y);
        gather.add(in + i + 8, z);
    }
    alignas(32) double error_lanes[8], value_lanes[8];
    if (any_set(special) || !gather.finish(error_lanes, value_lanes, BLOCK, s)) return false;
    s->sum_squared_error += lane_sum(error_lanes);
    s->sum_squared += lane_sum(value_lanes);
    return true;
}

// stats_block for results that were rounded to nearest without overflow.
void stats_nearest(const float* x, const float* y, uint64_t n, Stats* s) {
    alignas(32) double error_lanes[8] = {}, value_lanes[8] = {};
    const uint64_t whole = n / 8 * 8;
    Gather gather;
    for (uint64_t i = 0; i < whole; i += 8) gather.add(x + i, _mm256_loadu_ps(y + i));
    const uint64_t done = gather.finish(error_lanes, value_lanes, whole, s) ? whole : 0;
    stats_scalar(x, y, done, n, __builtin_nan(""), error_lanes, value_lanes, s);
    s->sum_squared_error += lane_sum(error_lanes);
    s->sum_squared += lane_sum(value_lanes);
}
#endif

template <class C>
void stats_block(const C* x, const C* y, uint64_t n, double saturated, Stats* s) {
    alignas(32) double error_lanes[8] = {}, value_lanes[8] = {};
    uint64_t i = 0;
    if (n >= 8 && saturated != saturated) {
        // Assume every value finite; a special makes a sum infinite or NaN, and the block is redone.
        v4d e0 = {}, e1 = {}, q0 = {}, q1 = {}, low = {}, high = {}, worst = {};
        v4l changed = {}, vanished = {};
        low += __builtin_inf();
        high -= __builtin_inf();
        for (; i + 8 <= n; i += 8) {
            const v4d a0 = load4(x + i), a1 = load4(x + i + 4);
            const v4d b0 = load4(y + i), b1 = load4(y + i + 4);
            const v4d d0 = a0 - b0, d1 = a1 - b1;
            const v4l c0 = (v4l)(a0 != b0), c1 = (v4l)(a1 != b1);
            changed += c0 + c1;
            vanished += (c0 & (v4l)(b0 == 0.0)) + (c1 & (v4l)(b1 == 0.0));
            low = min4(low, min4(a0, a1));
            high = max4(high, max4(a0, a1));
            worst = max4(worst, max4(abs4(d0), abs4(d1)));
            e0 += d0 * d0;
            e1 += d1 * d1;
            q0 += a0 * a0;
            q1 += a1 * a1;
        }
        const v4d all = e0 + e1 + q0 + q1;
        if (is_finite(all[0] + all[1] + all[2] + all[3])) {
            for (int k = 0; k < 4; ++k) {
                s->n_inexact -= (uint64_t)changed[k];
                s->n_underflow -= (uint64_t)vanished[k];
                if (low[k] < s->min) s->min = low[k];
                if (high[k] > s->max) s->max = high[k];
                if (worst[k] > s->max_abs_error) s->max_abs_error = worst[k];
                error_lanes[k] = e0[k];
                error_lanes[k + 4] = e1[k];
                value_lanes[k] = q0[k];
                value_lanes[k + 4] = q1[k];
            }
            s->n_finite += i;
        } else {
            i = 0;
        }
    }
    stats_scalar(x, y, i, n, saturated, error_lanes, value_lanes, s);
    s->sum_squared_error += lane_sum(error_lanes);
    s->sum_squared += lane_sum(value_lanes);
}

// 64-bit integer sources, exactly: y holds the decoded results, integers the codes of an integer
// target (null otherwise).
template <class S>
void stats_integer(const S* x, const double* y, const void* integers, const Row& target, uint64_t n,
                   Stats* s) {
    double error_lanes[8] = {}, value_lanes[8] = {};
    constexpr uint64_t shifted = S(-1) < S(0) ? 0 : uint64_t{1} << 63;
    for (uint64_t i = 0; i < n; ++i) {
        const __int128 a = x[i];
        ++s->n_finite;
        const int64_t key = (int64_t)((uint64_t)x[i] ^ shifted);
        if (key < s->min_integer) s->min_integer = key;
        if (key > s->max_integer) s->max_integer = key;
        __int128 b = 0;
        double error;
        bool changed = true;
        if (integers && target.bits == 64) {
            b = target.is_signed ? (__int128)((const int64_t*)integers)[i]
                                 : (__int128)((const uint64_t*)integers)[i];
            error = (double)(a - b);
            changed = a != b;
        } else if (!is_finite(y[i])) {
            ++s->n_inexact;
            continue;
        } else if (__builtin_fabs(y[i]) < 0x1p65 && (double)(__int128)y[i] == y[i]) {
            b = (__int128)y[i];
            error = (double)(a - b);
            changed = a != b;
        } else {
            error = (double)x[i] - y[i];
        }
        s->n_inexact += changed;
        const double magnitude = __builtin_fabs(error);
        if (magnitude > s->max_abs_error) s->max_abs_error = magnitude;
        error_lanes[i % 8] += error * error;
        value_lanes[i % 8] += (double)x[i] * (double)x[i];
    }
    s->sum_squared_error += lane_sum(error_lanes);
    s->sum_squared += lane_sum(value_lanes);
}

}  // namespace
}  // namespace tc
