// Direct loops (direct.hpp) to the floats of 8 bits or fewer, nearest even, with AVX2: whatever the
// source, eight elements at a time become float32, and the arithmetic of narrow_x86.hpp takes them.
#pragma once
#include "direct_x86.hpp"
#include "half_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// Eight elements as float32 such that rounding them is rounding what they stand for. Integers beyond
// 2^24 are rounded here: but to magnitudes that are beyond the targets too. What 32 bits do not hold
// leaves a trace in *wide, that Wide<S>::any finds.
TC_INLINE __m256i small8(const double* p, __m256i*) { return odd8(p); }
TC_INLINE __m256i small8(const Half* p, __m256i*) {
    return _mm256_castps_si256(_mm256_cvtph_ps(load128(p)));
}
TC_INLINE __m256i small8(const Brain* p, __m256i*) {
    return _mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16);
}
TC_INLINE __m256i floats_of(__m256i integers) {
    return _mm256_castps_si256(_mm256_cvtepi32_ps(integers));
}
TC_INLINE __m256i small8(const int16_t* p, __m256i*) { return floats_of(_mm256_cvtepi16_epi32(load128(p))); }
TC_INLINE __m256i small8(const uint16_t* p, __m256i*) { return floats_of(_mm256_cvtepu16_epi32(load128(p))); }
TC_INLINE __m256i small8(const int32_t* p, __m256i*) { return floats_of(load256(p)); }
TC_INLINE __m256i small8(const uint32_t* p, __m256i* wide) {
    const __m256i x = load256(p);
    *wide = _mm256_or_si256(*wide, x);
    return floats_of(x);
}
TC_INLINE __m256i low_halves(__m256i a, __m256i b) {
    const __m256 low = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(low), 0xd8);
}
TC_INLINE __m256i small8(const int64_t* p, __m256i* wide) {
    const __m256i a = load256(p), b = load256(p + 4), bias = _mm256_set1_epi64x(1ll << 31);
    const __m256i both = _mm256_or_si256(_mm256_add_epi64(a, bias), _mm256_add_epi64(b, bias));
    *wide = _mm256_or_si256(*wide, both);
    return floats_of(low_halves(a, b));
}
TC_INLINE __m256i small8(const uint64_t* p, __m256i* wide) {
    const __m256i a = load256(p), b = load256(p + 4);
    *wide = _mm256_or_si256(*wide, _mm256_or_si256(a, b));
    return floats_of(low_halves(a, b));
}

// Whether there was one that 32 bits (signed) do not hold.
template <class S>
TC_INLINE bool any_wide(__m256i) { return false; }
template <>
TC_INLINE bool any_wide<uint32_t>(__m256i wide) { return any_set(_mm256_srli_epi32(wide, 31)); }
template <>
TC_INLINE bool any_wide<int64_t>(__m256i wide) { return any_set(_mm256_srli_epi64(wide, 32)); }
template <>
TC_INLINE bool any_wide<uint64_t>(__m256i wide) { return any_set(_mm256_srli_epi64(wide, 31)); }

template <class S, bool UNSIGNED_ZERO>
bool small_float_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const ToSmall<UNSIGNED_ZERO, false> to_small(*c.target);
    struct Seen {
        __m256i wide, special;
    } seen{_mm256_setzero_si256(), _mm256_setzero_si256()};
    staged(stream, (uint8_t*)out, n, [&](uint64_t begin, uint8_t* to, uint64_t m) {
        Seen any = seen;
        in_groups<32>(x + begin, to, m, [&](const S* from, uint8_t* codes) {
            __m256i u[4];
            for (int k = 0; k < 4; ++k) u[k] = small8(from + 8 * k, &any.wide);
            const __m256i code = to_small.thirty_two(u);
            any.special = _mm256_or_si256(any.special, to_small.codes.special(code));
            _mm256_storeu_si256((__m256i*)codes, to_small.with_signs(code, u));
        });
        seen = any;
    });
    return !any_set(seen.special) && !any_wide<S>(seen.wide);
}

template <class S>
DirectLoop small_float_loop_of(const Row& target) {
    return target.nan == Nan::NegativeZero ? small_float_loop<S, true> : small_float_loop<S, false>;
}

// To a float of 8 bits or fewer that has a zero; null if none.
DirectLoop to_small_float(FormatId source, FormatId target) {
    const Row& row = ROWS[target];
    if (row.kind != Kind::Float || row.bits > 8 || !row.has_zero) return nullptr;
    switch (source) {
        case F_float64: return small_float_loop_of<double>(row);
        case F_float16: return half_to_small(source, row) ? nullptr : small_float_loop_of<Half>(row);
        case F_bfloat16: return half_to_small(source, row) ? nullptr : small_float_loop_of<Brain>(row);
        case F_int16: return small_float_loop_of<int16_t>(row);
        case F_uint16: return small_float_loop_of<uint16_t>(row);
        case F_int32: return small_float_loop_of<int32_t>(row);
        case F_uint32: return small_float_loop_of<uint32_t>(row);
        case F_int64: return small_float_loop_of<int64_t>(row);
        case F_uint64: return small_float_loop_of<uint64_t>(row);
        default: return nullptr;
    }
}

}  // namespace
}  // namespace tc

#endif
