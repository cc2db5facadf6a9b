// Direct loops (direct.hpp) to the narrow floats by way of float32, from what float32 does not hold:
// float64, and integers of 8 bits and more. Nearest even.
//
// What float32 would lose is rounded to odd: toward zero, with the last bit set. Rounding that once
// more, to 22 bits or fewer, equals rounding once.
#pragma once
#include "direct.hpp"
#include "encode_float.hpp"

namespace tc {
namespace {

// float64 rounded to odd in the 24 bits of float32. Exact, then, in float32's normal range; beyond
// it infinite, and below it, where float32 rounds again, `tiny` tells.
TC_INLINE float odd_float(double x) {
    const uint64_t u = bits_of(x), dropped = (1ull << 29) - 1;
    return (float)double_of((u & ~dropped) | (((u & dropped) + dropped) & (1ull << 29)));
}

// Neither zero nor in float32's normal range.
TC_INLINE uint32_t beyond(float x) {
    const uint32_t a = bits_of(x) & 0x7fffffffu;
    return a - 0x00800000u >= 0x7f000000u && a != 0 ? ~0u : 0;
}

// int32 rounded to odd: from 2^24 on the lowest 8 bits may go, for bit 7 to be sticky.
TC_INLINE float odd_float(int32_t x) {
    const int32_t t = x & 0xff;
    const int32_t odd = (x & ~0xff) | ((t | (t + 0x7f)) & 0x80);
    return (float)((uint32_t)x + (1u << 24) <= 1u << 25 ? x : odd);
}

// Each gives m floats, and whether all were ordinary.
template <class S>
TC_INLINE bool odd_floats(const S* in, float* out, uint64_t m) {
    if constexpr (sizeof(S) <= 2) {
        for (uint64_t i = 0; i < m; ++i) out[i] = (float)in[i];
        return true;
    } else if constexpr (sizeof(S) == 4) {
        for (uint64_t i = 0; i < m; ++i) out[i] = odd_float(in[i]);
        return true;
    } else if constexpr (S(0.5) == 0) {  // integers that float64 holds
        constexpr bool is_signed = signed_type<S>();
        uint64_t any = 0;
        for (uint64_t i = 0; i < m; ++i) {
            const uint64_t x = (uint64_t)in[i];
            any |= is_signed ? x + (1ull << 53) : x;
            out[i] = odd_float(double_of_int64<is_signed>(x));
        }
        return any >> (is_signed ? 54 : 53) == 0;
    } else {
        uint32_t any = 0;
        for (uint64_t i = 0; i < m; ++i) {
            out[i] = odd_float(in[i]);
            any |= beyond(out[i]);
        }
        return any == 0;
    }
}

TC_INLINE bool narrow_bf16(const Direct&, const float* in, uint16_t* out, uint64_t m) {
    uint32_t top = 0;
    for (uint64_t i = 0; i < m; ++i) {
        const uint32_t u = bits_of(in[i]), a = u & 0x7fffffffu;
        top = top > a ? top : a;
        out[i] = (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
    }
    return top <= 0x7f7f7fffu;
}

#if defined(__F16C__)
TC_INLINE bool narrow_f16(const Direct&, const float* in, uint16_t* out, uint64_t m) {
    uint32_t top = 0;
    uint64_t i = 0;
    __m256i tops = _mm256_setzero_si256();
    const __m256i abs = _mm256_set1_epi32(0x7fffffff);
    for (; m - i >= 16; i += 16) {
        const __m256i a = load8(in + i), b = load8(in + i + 8);
        tops = _mm256_max_epu32(tops, _mm256_max_epu32(_mm256_and_si256(a, abs), _mm256_and_si256(b, abs)));
        const __m128i lo = _mm256_cvtps_ph(_mm256_castsi256_ps(a), _MM_FROUND_TO_NEAREST_INT);
        const __m128i hi = _mm256_cvtps_ph(_mm256_castsi256_ps(b), _MM_FROUND_TO_NEAREST_INT);
        _mm256_storeu_si256((__m256i*)(out + i), _mm256_set_m128i(hi, lo));
    }
    if (any_set(_mm256_cmpgt_epi32(tops, _mm256_set1_epi32(0x477fefff)))) return false;
    for (; i < m; ++i) {
        const uint32_t a = bits_of(in[i]) & 0x7fffffffu;
        top = top > a ? top : a;
        out[i] = (uint16_t)_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(in[i]), 0), 0);
    }
    return top <= 0x477fefffu;
}
#endif

#if defined(__AVX2__)
TC_INLINE bool narrow_small(const Direct& c, const float* in, uint8_t* out, uint64_t m) {
    Cast cast{};
    cast.source = F_float32;
    cast.target = (FormatId)(c.target - ROWS);
    const Counts counts = encode_small(in, out, m, cast);
    return counts.overflow + counts.nan_lost == 0;
}
#endif

template <class S, class D, bool (*NARROW)(const Direct&, const float*, D*, uint64_t)>
bool odd_float_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    constexpr uint64_t K = 512;
    alignas(64) float block[K];
    bool ordinary = true;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const S* from = x + begin;
        while (m) {
            const uint64_t k = m < K ? m : K;
            ordinary &= odd_floats(from, block, k);
            ordinary &= NARROW(c, block, to, k);
            from += k, to += k, m -= k;
        }
    });
    return ordinary;
}

template <class S>
DirectLoop odd_float_loop_to(FormatId target) {
    if (target == F_bfloat16) return odd_float_loop<S, uint16_t, narrow_bf16>;
#if defined(__F16C__)
    if (target == F_float16) return odd_float_loop<S, uint16_t, narrow_f16>;
#endif
#if defined(__AVX2__)
    if (ROWS[target].bits <= 8 && ROWS[target].has_zero && sizeof(S) > 1)
        return odd_float_loop<S, uint8_t, narrow_small>;
#endif
    return nullptr;
}

// From float64 or an integer format of 8 bits or more to a float of 16 bits or fewer; null if none.
DirectLoop narrow_float_loop(FormatId source, FormatId target) {
    switch (source) {
        case F_float64: return odd_float_loop_to<double>(target);
        case F_int64: return odd_float_loop_to<int64_t>(target);
        case F_uint64: return odd_float_loop_to<uint64_t>(target);
        case F_int32: return odd_float_loop_to<int32_t>(target);
        case F_int16: return odd_float_loop_to<int16_t>(target);
        case F_uint16: return odd_float_loop_to<uint16_t>(target);
        case F_int8: return odd_float_loop_to<int8_t>(target);
        case F_uint8: return odd_float_loop_to<uint8_t>(target);
        default: return nullptr;
    }
}

}  // namespace
}  // namespace tc
