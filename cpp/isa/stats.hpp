// All statistics of one block: the source values against the decoded results.
//
// Sums run in eight float64 lanes by index modulo 8, multiply and add rounded separately, reduced in
// one fixed order: the same bits on every instruction set. float32 squares are summed in float32
// first, where that loses little (see Gather).
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
// saturated: results equal to it are one less (2^63 - 1 reads as 2^63).
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
        const double e = b == saturated ? (a - b) + 1 : a - b, magnitude = __builtin_fabs(e);
        if (magnitude > s->max_abs_error) s->max_abs_error = magnitude;
        error_lanes[i % 8] += e * e;
        value_lanes[i % 8] += a * a;
    }
}

// ---- float32: squares in float32 ----------------------------------------------------------------
//
// Where neither overflow nor underflow can harm (see finish_gathered), the squares of a block of
// float32 are summed in float32: element i in lane i % 16, over GROUP elements; then lanes k and
// k + 8 are added, still in float32, and go to float64 lane k. Each of these 18 steps loses 2^-24 of
// a sum of positive numbers at most: the relative error stays below 2^-19, and float64 adds the rest.
// Other blocks are summed in float64 throughout (stats_block). Which way a block goes follows from
// its values alone.

#if defined(__AVX__)
constexpr int W = 8;
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
#else
constexpr int W = 4;
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
#endif
constexpr int K = 16 / W;
constexpr uint64_t GROUP = 256;

struct __attribute__((packed, may_alias)) loose_vf { vf v; };
TC_INLINE vf load_vf(const float* p) { return ((const loose_vf*)p)->v; }

TC_INLINE vf least(vf a, vf b) {
#if defined(__AVX__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return a < b ? a : b;
#endif
}
TC_INLINE vf greatest(vf a, vf b) {
#if defined(__AVX__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return a > b ? a : b;
#endif
}
// Of numbers that are not negative AVX2 compares the bits, in any of its units.
TC_INLINE vf greatest_square(vf a, vf b) {
#if defined(__AVX2__)
    return (vf)_mm256_max_epi32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return a > b ? a : b;
#endif
}

// The ends of n > 0 finite floats.
void range_of(const float* x, uint64_t n, float* least_x, float* greatest_x) {
    float low = x[0], high = x[0];
    const uint64_t whole = n / W * W;
    vf lows = vf{} + low, highs = lows;
    for (uint64_t i = 0; i < whole; i += W) {
        lows = least(lows, load_vf(x + i));
        highs = greatest(highs, load_vf(x + i));
    }
    for (int k = 0; k < W; ++k) {
        if (lows[k] < low) low = lows[k];
        if (highs[k] > high) high = highs[k];
    }
    for (uint64_t i = whole; i < n; ++i) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    *least_x = low;
    *greatest_x = high;
}

// Adds the sixteen lanes of a group to the eight float64 lanes.
TC_INLINE void fold(const vf* sums, double* lanes) {
    vf t[K / 2];
    for (int k = 0; k < K / 2; ++k) t[k] = sums[k] + sums[k + K / 2];
#if defined(__AVX__)
    const __m256d lo = _mm256_cvtps_pd(_mm256_castps256_ps128((__m256)t[0]));
    const __m256d hi = _mm256_cvtps_pd(_mm256_extractf128_ps((__m256)t[0], 1));
    _mm256_store_pd(lanes, _mm256_add_pd(_mm256_load_pd(lanes), lo));
    _mm256_store_pd(lanes + 4, _mm256_add_pd(_mm256_load_pd(lanes + 4), hi));
#else
    for (int l = 0; l < 8; ++l) lanes[l] += (double)t[l / W][l % W];
#endif
}

// The sums of a block.
struct Lanes {
    alignas(32) double error[8], value[8];

    TC_INLINE Lanes() {
        const v4d zero = {};
        for (int l = 0; l < 8; l += 4) *(v4d*)(error + l) = *(v4d*)(value + l) = zero;
    }
    // In memory, that is: not in registers that the loops need.
    TC_INLINE void stay() { __asm__ volatile("" : : "r"(this) : "memory"); }
    TC_INLINE bool are_finite() const {
        double all = 0;
        for (int l = 0; l < 8; ++l) all += error[l] + value[l];
        return is_finite(all);
    }
};

// The statistics of a block from what was gathered; square: the largest squared error. False, and
// nothing added, where a sum is not finite, or float32 could not hold the squares: below 2^-150 one
// counts for nothing, so the largest has to be far above.
TC_INLINE bool finish_gathered(const Lanes& lanes, uint64_t n, uint64_t n_changed, float square,
                               float least_x, float greatest_x, Stats* s) {
    if (!lanes.are_finite()) return false;
    const float amax = -least_x > greatest_x ? -least_x : greatest_x;
    if (amax != 0 && !(amax >= 0x1p-50f && amax <= 0x1p60f)) return false;
    if (n_changed && !(square >= 0x1p-100f && square <= 0x1p120f)) return false;
    s->n_finite += n;
    s->n_inexact += n_changed;
    if (least_x < s->min) s->min = least_x;
    if (greatest_x > s->max) s->max = greatest_x;
    const float error = __builtin_sqrtf(square);  // the largest |x - y| itself
    if (error > s->max_abs_error) s->max_abs_error = error;
    s->sum_squared_error += lane_sum(lanes.error);
    s->sum_squared += lane_sum(lanes.value);
    return true;
}

// The statistics of a block of float32 but for its range, assuming that every value and every result
// is finite and that d = x - y is exact, as it is where results are rounded to nearest or toward zero
// without overflow: it is a multiple of the last place of x and no larger than x.
template <bool ERRORS>
struct Gather {
    Lanes& lanes;
    vf worst;  // the largest squared error
    vi same;   // minus the number of equal results
    vf e[K], q[K];

    TC_INLINE Gather(Lanes& zeros) : lanes(zeros) {
        worst = vf{};
        same = vi{};
        begin_group();
    }
    TC_INLINE void begin_group() {
        for (int k = 0; k < K; ++k) e[k] = q[k] = vf{};
    }
    TC_INLINE void end_group() {
        fold(q, lanes.value);
        if (ERRORS) fold(e, lanes.error);
        begin_group();
    }
    // W elements of lanes k * W and on.
    TC_INLINE void add_value(int k, vf x) { q[k] += x * x; }
    TC_INLINE void add_error(int k, vf d, vi equal) {
        const vf square = d * d;
        same += equal;
        worst = greatest_square(worst, square);
        e[k] += square;
    }

    // See finish_gathered.
    TC_INLINE bool finish(uint64_t n, float least_x, float greatest_x, Stats* s) const {
        float square = worst[0];
        uint64_t n_changed = ERRORS ? (n + 15) / 16 * 16 : 0;
        for (int k = 0; k < W; ++k) {
            if (worst[k] > square) square = worst[k];
            n_changed += (uint64_t)(int64_t)same[k];
        }
        return finish_gathered(lanes, n, n_changed, square, least_x, greatest_x, s);
    }
};

// Of n > 0 results y, null if they equal x; nothing is added where finish() refuses.
template <bool ERRORS>
TC_INLINE bool gather_block(const float* x, const float* y, uint64_t n, Stats* s) {
    Lanes lanes;
    Gather<ERRORS> gather(lanes);
    vi vanished = {};
    const auto sixteen = [&](const float* a, const float* b) {
        for (int k = 0; k < K; ++k) {
            const vf u = load_vf(a + k * W);
            gather.add_value(k, u);
            if (!ERRORS) continue;
            // floats are compared: an unsigned zero takes the sign of -0
            const vf v = load_vf(b + k * W);
            gather.add_error(k, u - v, (vi)(u == v));
            vanished += (vi)(v == 0.0f) & (vi)(u != 0.0f);
        }
    };
    for (uint64_t g = 0; g < n; g += GROUP) {
        const uint64_t end = n - g < GROUP ? n : g + GROUP;
        uint64_t i = g;
        for (; i + 16 <= end; i += 16) sixteen(x + i, y + i);
        if (i < end) {
            alignas(32) float a[16] = {}, b[16] = {};
            for (uint64_t j = 0; i + j < end; ++j) {
                a[j] = x[i + j];
                if (ERRORS) b[j] = y[i + j];
            }
            sixteen(a, b);
        }
        gather.end_group();
    }
    if (!lanes.are_finite()) return false;
    float low, high;
    range_of(x, n, &low, &high);
    if (!gather.finish(n, low, high, s)) return false;
    for (int k = 0; k < W; ++k) s->n_underflow += (uint64_t)(-(int64_t)vanished[k]);
    return true;
}

template <class C>
void stats_block(const C* x, const C* y, uint64_t n, double saturated, Stats* s);

// stats_block for results that were rounded to nearest or toward zero without overflow.
void stats_rounded(const float* x, const float* y, uint64_t n, Stats* s) {
    if (n && !gather_block<true>(x, y, n, s)) stats_block<float>(x, y, n, __builtin_nan(""), s);
}

// Where results equal the values.
void stats_exact(const float* x, uint64_t n, Stats* s) {
    if (n && !gather_block<false>(x, nullptr, n, s))
        stats_block<float>(x, x, n, __builtin_nan(""), s);
}

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
