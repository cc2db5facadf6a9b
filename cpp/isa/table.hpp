// Sources of 8 bits or fewer: one table of 256 answers per pair and policy, built once from the
// arithmetic kernels, applied to any number of elements. Statistics follow from a histogram.
#pragma once
#include "stats.hpp"

namespace tc {
namespace {

struct Answer {
    double value, error_squared, value_squared, error;
    uint8_t overflow, nan_lost, infinite, inexact, underflow, nan, inf, finite;
};

struct Table {
    alignas(64) uint8_t code8[256];
    alignas(64) uint8_t flagged[256];  // 0xff where the policy may object
    alignas(64) uint8_t low8[256], high8[256];  // the upper 16 bits of wider codes, as two planes
    uint16_t code16[256];
    uint32_t code32[256];
    uint64_t code64[256];
    Answer answer[256];
    bool any_flagged, any_overflow;
    bool two_planes;  // low8 and high8 hold all there is of the wide codes
};

#if defined(__AVX2__) && !defined(__AVX512VBMI__)
// 32 lookups: the low nibble picks within 16 rows of 16, the high bits pick the row by blends.
TC_INLINE __m256i lookup32(const uint8_t* table, __m256i x) {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi8(15));
    const __m256i bit4 = _mm256_slli_epi16(x, 3), bit5 = _mm256_slli_epi16(x, 2);
    const __m256i bit6 = _mm256_slli_epi16(x, 1);
    const auto row = [&](int r) {
        const __m128i t = _mm_load_si128((const __m128i*)(table + 16 * r));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), low);
    };
    const auto half = [&](int r) {
        const __m256i a = _mm256_blendv_epi8(row(r), row(r + 1), bit4);
        const __m256i b = _mm256_blendv_epi8(row(r + 2), row(r + 3), bit4);
        const __m256i c = _mm256_blendv_epi8(row(r + 4), row(r + 5), bit4);
        const __m256i d = _mm256_blendv_epi8(row(r + 6), row(r + 7), bit4);
        return _mm256_blendv_epi8(_mm256_blendv_epi8(a, b, bit5), _mm256_blendv_epi8(c, d, bit5), bit6);
    };
    return _mm256_blendv_epi8(half(0), half(8), x);
}
#endif

#if defined(__AVX512VBMI__)
TC_INLINE __m512i lookup64(const __m512i* table, __m512i x) {
    const __m512i low = _mm512_permutex2var_epi8(table[0], x, table[1]);
    const __m512i high = _mm512_permutex2var_epi8(table[2], x, table[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}
#endif

// out[i] = table[in[i]]; small: every code is below 16. Returns how many flagged codes were seen.
uint64_t apply_bytes(const Table& t, const uint8_t* in, uint8_t* out, uint64_t n, bool small) {
    uint64_t i = 0, n_flagged = 0;
    (void)small;
#if defined(__AVX512VBMI__)
    __m512i codes[4], flags[4];
    for (int k = 0; k < 4; ++k) {
        codes[k] = _mm512_load_si512(t.code8 + 64 * k);
        flags[k] = _mm512_load_si512(t.flagged + 64 * k);
    }
    for (; i + 64 <= n; i += 64) {
        const __m512i x = _mm512_loadu_si512(in + i);
        _mm512_storeu_si512(out + i, lookup64(codes, x));
        if (t.any_flagged)
            n_flagged += (uint64_t)__builtin_popcountll(_mm512_movepi8_mask(lookup64(flags, x)));
    }
#elif defined(__AVX2__)
    if (small) {
        const __m256i codes =
            _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)t.code8));
        const __m256i flags =
            _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)t.flagged));
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + i));
            _mm256_storeu_si256((__m256i*)(out + i), _mm256_shuffle_epi8(codes, x));
            if (t.any_flagged)
                n_flagged += (uint64_t)__builtin_popcount(
                    (unsigned)_mm256_movemask_epi8(_mm256_shuffle_epi8(flags, x)));
        }
    } else if (t.any_flagged) {
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + i));
            _mm256_storeu_si256((__m256i*)(out + i), lookup32(t.code8, x));
            n_flagged += (uint64_t)__builtin_popcount(
                (unsigned)_mm256_movemask_epi8(lookup32(t.flagged, x)));
        }
    } else {
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + i));
            _mm256_storeu_si256((__m256i*)(out + i), lookup32(t.code8, x));
        }
    }
#endif
    for (; i < n; ++i) {
        out[i] = t.code8[in[i]];
        n_flagged += t.flagged[in[i]] & 1;
    }
    return n_flagged;
}

#if defined(__AVX2__)
// Thirty-two 16-bit answers from the two planes, in order.
TC_INLINE void lookup_planes(const Table& t, const uint8_t* in, __m256i* first, __m256i* second) {
#if defined(__AVX512VBMI__)
    __m512i low[4], high[4];
    for (int k = 0; k < 4; ++k) {
        low[k] = _mm512_load_si512(t.low8 + 64 * k);
        high[k] = _mm512_load_si512(t.high8 + 64 * k);
    }
    const __m512i x = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i*)in));
    const __m256i l = _mm512_castsi512_si256(lookup64(low, x));
    const __m256i h = _mm512_castsi512_si256(lookup64(high, x));
#else
    const __m256i x = _mm256_loadu_si256((const __m256i*)in);
    const __m256i l = lookup32(t.low8, x), h = lookup32(t.high8, x);
#endif
    const __m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);
    *first = _mm256_permute2x128_si256(a, b, 0x20);
    *second = _mm256_permute2x128_si256(a, b, 0x31);
}

TC_INLINE void store_upper(__m256i sixteen, uint32_t* out) {
    const __m128i lo = _mm256_castsi256_si128(sixteen), hi = _mm256_extracti128_si256(sixteen, 1);
    _mm256_storeu_si256((__m256i*)out, _mm256_slli_epi32(_mm256_cvtepu16_epi32(lo), 16));
    _mm256_storeu_si256((__m256i*)(out + 8), _mm256_slli_epi32(_mm256_cvtepu16_epi32(hi), 16));
}

// Answers of 16 bits, or of 32 whose lower half is zero (float32 of a float of 8 bits or fewer).
template <class T>
uint64_t apply_planes(const Table& t, const uint8_t* in, T* out, uint64_t n) {
    uint64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        __m256i first, second;
        lookup_planes(t, in + i, &first, &second);
        if constexpr (sizeof(T) == 2) {
            _mm256_storeu_si256((__m256i*)(out + i), first);
            _mm256_storeu_si256((__m256i*)(out + i + 16), second);
        } else {
            store_upper(first, out + i);
            store_upper(second, out + i + 16);
        }
    }
    return i;  // done
}
#endif

template <class T>
TC_INLINE uint64_t apply_wide(const Table& t, const T* table, const uint8_t* in, T* out, uint64_t n) {
    uint64_t i = 0;
#if defined(__AVX2__)
    if constexpr (sizeof(T) <= 4)
        if (t.two_planes) i = apply_planes(t, in, out, n);
#endif
    for (; i < n; ++i) out[i] = table[in[i]];
    uint64_t n_flagged = 0;
    if (t.any_flagged)
        for (i = 0; i < n; ++i) n_flagged += t.flagged[in[i]] & 1;
    return n_flagged;
}

void histogram(const uint8_t* in, uint64_t n, uint32_t* counts) {
    uint32_t four[4][256] = {};
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; ++k) ++four[k][in[i + k]];
    for (; i < n; ++i) ++four[0][in[i]];
    for (int c = 0; c < 256; ++c) counts[c] += four[0][c] + four[1][c] + four[2][c] + four[3][c];
}

// The statistics of `counts[c]` elements of each code c.
void stats_of_histogram(const Table& t, const uint32_t* counts, bool full, Stats* s) {
    double error_squared = 0, value_squared = 0;
    for (int c = 0; c < 256; ++c) {
        const uint64_t k = counts[c];
        if (!k) continue;
        const Answer& a = t.answer[c];
        s->n_overflow += k * a.overflow;
        s->n_nan_lost += k * a.nan_lost;
        if (!full) {
            s->n_inf += k * a.infinite;
            continue;
        }
        s->n_inexact += k * a.inexact;
        s->n_underflow += k * a.underflow;
        s->n_nan += k * a.nan;
        s->n_inf += k * a.inf;
        s->n_finite += k * a.finite;
        if (!a.finite) continue;
        if (a.value < s->min) s->min = a.value;
        if (a.value > s->max) s->max = a.value;
        if (a.error > s->max_abs_error) s->max_abs_error = a.error;
        error_squared += (double)k * a.error_squared;
        value_squared += (double)k * a.value_squared;
    }
    s->sum_squared_error += error_squared;
    s->sum_squared += value_squared;
}

}  // namespace
}  // namespace tc
