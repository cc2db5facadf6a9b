// 8-bit floats to float16 and bfloat16, or to float32 of which they are the upper half, with AVX2:
// the fields shifted into place and rebiased, what that gets wrong (subnormals, and what is above the
// largest finite value) corrected by tables of sixteen.
#pragma once
#include "narrow_x86.hpp"

namespace tc {
namespace {

// How a pair of formats is widened, made from its 256 answers and checked against each of them.
//
//     answer = sign | (magnitude << shift) + (rebias << 8) ^ fix
struct Widening {
    bool fits = false;
    int shift, above;  // above: how many magnitudes are above the largest finite one
    uint8_t rebias;
    alignas(16) uint8_t fix_low[16], fix_high[16];  // by (magnitude + above) mod 128

    void make(const Row& source, const Row& target, const uint16_t* answers) {
        const int to = target.bits == 16 ? target.mantissa_bits : 7;
        shift = to - source.mantissa_bits;
        fits = source.bits == 8 && source.kind == Kind::Float && source.is_signed && shift >= 4 &&
               shift <= 8 && shift != 6 && source.max_code < 128;
        if (!fits) return;
        above = 0x7f - (int)source.max_code;
        const int to_bias = target.bits == 16 ? target.bias : 127;
        rebias = (uint8_t)((to_bias - source.bias) << to >> 8);
        for (int i = 0; i < 16; ++i) {
            const int magnitude = (i - above) & 0x7f;
            const int wrong = answers[magnitude] ^ plain(magnitude);
            fix_low[i] = (uint8_t)wrong;
            fix_high[i] = (uint8_t)(wrong >> 8);
        }
        for (int c = 0; c < 256; ++c) {
            const int i = (c + above) & 0x7f;
            const int fix = i < 16 ? fix_high[i] << 8 | fix_low[i] : 0;
            fits &= answers[c] == (plain(c) ^ fix);
        }
    }
    int plain(int code) const {
        return (code & 0x80) << 8 | (((code & 0x7f) << shift) + (rebias << 8));
    }
};

#if defined(__AVX2__)
template <int SHIFT>
struct Widen {
    const __m256i low7 = constant8(0x7f), sign = constant8(0x80), window = constant8(0x70);
    const __m256i nibble = constant8(15), high_bits = constant8(0x7f >> (8 - SHIFT));
    const __m256i low_bits = constant8(0xff << SHIFT);
    __m256i above, rebias, fix_low, fix_high, tops;

    TC_INLINE Widen(const Widening& w)
        : above(constant8(w.above)),
          rebias(constant8(w.rebias)),
          fix_low(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)w.fix_low))),
          fix_high(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)w.fix_high))) {
        alignas(16) uint8_t top[16];
        for (int i = 0; i < 16; ++i) top[i] = (uint8_t)(w.plain(i << 4) >> 8);
        tops = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)top));
    }
    // The upper and lower bytes of thirty-two answers.
    TC_INLINE __m256i high(__m256i x) const {
        if constexpr (SHIFT == 8) return _mm256_add_epi8(x, rebias);
        if constexpr (SHIFT == 4)
            return _mm256_shuffle_epi8(tops, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
        const __m256i m = _mm256_and_si256(_mm256_srli_epi16(x, 8 - SHIFT), high_bits);
        return _mm256_or_si256(_mm256_add_epi8(m, rebias), _mm256_and_si256(x, sign));
    }
    TC_INLINE __m256i low(__m256i x) const {
        if constexpr (SHIFT == 8) return _mm256_setzero_si256();
        return _mm256_and_si256(_mm256_slli_epi16(x, SHIFT), low_bits);
    }
    template <bool STREAM, class T>
    TC_INLINE void operator()(const uint8_t* in, T* out) const {
        read_ahead<STREAM, 32>(in);
        const __m256i codes = _mm256_loadu_si256((const __m256i*)in);
        // unpacking works within halves of a register: this brings its answers out in order
        const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
        const __m256i x = sizeof(T) == 2 ? _mm256_permute4x64_epi64(codes, 0xd8)
                                         : _mm256_permutevar8x32_epi32(codes, order);
        // the sixteen magnitudes from 128 - above on, others have bit 7 set and look up zero
        const __m256i at = _mm256_add_epi8(
            _mm256_and_si256(_mm256_add_epi8(x, above), low7), window);
        const __m256i h = _mm256_xor_si256(high(x), _mm256_shuffle_epi8(fix_high, at));
        const __m256i l = _mm256_xor_si256(low(x), _mm256_shuffle_epi8(fix_low, at));
        const __m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);
        if constexpr (sizeof(T) == 2) {
            store32<STREAM>(out, a);
            store32<STREAM>(out + 16, b);
        } else {
            const __m256i zero = _mm256_setzero_si256();
            store32<STREAM>(out, _mm256_unpacklo_epi16(zero, a));
            store32<STREAM>(out + 8, _mm256_unpackhi_epi16(zero, a));
            store32<STREAM>(out + 16, _mm256_unpacklo_epi16(zero, b));
            store32<STREAM>(out + 24, _mm256_unpackhi_epi16(zero, b));
        }
    }
};

// n / 32 * 32 elements; returns how many.
template <int SHIFT, bool STREAM, class T>
uint64_t widen_groups(const Widening& w, const uint8_t* in, T* out, uint64_t n) {
    const Widen<SHIFT> widen(w);
    uint64_t i = 0;
    for (; i + 32 <= n; i += 32) widen.template operator()<STREAM>(in + i, out + i);
    return i;
}

template <bool STREAM, class T>
TC_INLINE uint64_t widen_by_shift(const Widening& w, const uint8_t* in, T* out, uint64_t n) {
    switch (w.shift) {
        case 4: return widen_groups<4, STREAM>(w, in, out, n);
        case 5: return widen_groups<5, STREAM>(w, in, out, n);
        case 7: return widen_groups<7, STREAM>(w, in, out, n);
        case 8: return widen_groups<8, STREAM>(w, in, out, n);
    }
    return 0;
}

// T: uint16_t codes of float16 or bfloat16, or uint32_t ones of float32.
template <class T>
TC_INLINE uint64_t apply_widen(const Widening& w, bool stream, const uint8_t* in, T* out, uint64_t n) {
    return stream ? widen_by_shift<true>(w, in, out, n) : widen_by_shift<false>(w, in, out, n);
}
#endif

}  // namespace
}  // namespace tc
