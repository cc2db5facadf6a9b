// 8-bit floats to float16 and bfloat16, or to float32 of which they are the upper half, with AVX2:
// the fields shifted into place and rebiased, what that gets wrong (subnormals, and what is above the
// largest finite value) corrected by tables of sixteen; and the code 0x80 apart, where it is a NaN.
#pragma once
#include "narrow_zmm_x86.hpp"

namespace tc {
namespace {

// How a pair of formats is widened, made from its 256 answers and checked against each of them.
//
//     answer = (code's sign << 8) + (magnitude << shift) + (rebias << 8) ^ fix
//
// An odd difference of the biases is no multiple of 2^8 in bfloat16: one binade goes off the code then,
// before it is shifted.
struct Widening {
    bool fits = false;
    int shift, above;  // above: how many magnitudes are above the largest finite one
    int before;        // off every code
    uint8_t rebias, magnitude;  // the bits of a magnitude
    alignas(16) uint8_t fix_low[16], fix_high[16];  // by magnitude + above, without a carry
    int fix80;                                      // of the code 0x80, once more

    void make(const Row& source, const Row& target, const uint16_t* answers) {
        const int to = target.bits == 16 ? target.mantissa_bits : 7;
        shift = to - source.mantissa_bits;
        magnitude = source.is_signed ? 0x7f : 0xff;
        fits = source.bits == 8 && source.kind == Kind::Float && shift >= 4 && shift <= 8 && shift != 6 &&
               source.max_code <= magnitude;
        if (!fits) return;
        above = magnitude - (int)source.max_code;
        const int biases = (target.bits == 16 ? target.bias : 127) - source.bias;
        const bool odd = to == 7 && biases % 2;
        before = odd ? 1 << source.mantissa_bits : 0;
        rebias = (uint8_t)((biases + odd) * (1 << to) / 256);
        for (int i = 0; i < 16; ++i) {
            const int code = (i - above) & magnitude;
            const int wrong = answers[code] ^ plain(code);
            fix_low[i] = (uint8_t)wrong;
            fix_high[i] = (uint8_t)(wrong >> 8);
        }
        fix80 = 0;
        fix80 = answers[0x80] ^ fixed(0x80);
        fits &= !before || fix80;
        for (int c = 0; c < 256; ++c) fits &= answers[c] == (fixed(c) ^ (c == 0x80 ? fix80 : 0));
    }
    int plain(int code) const {
        const int c = (code - before) & 0xff;
        return (((c & ~magnitude) << 8) + ((c & magnitude) << shift) + (rebias << 8)) & 0xffff;
    }
    int fixed(int code) const {
        const int i = (code + above) & magnitude;
        return plain(code) ^ (i < 16 ? fix_high[i] << 8 | fix_low[i] : 0);
    }
};

#if defined(__AVX2__)
template <int SHIFT, bool FIX80>
struct Widen {
    static constexpr int WIDTH = 32;
    const __m256i window = constant8(0x70), nibble = constant8(15), code80 = constant8(0x80);
    const __m256i low_bits = constant8(0xff << SHIFT);
    __m256i magnitude, sign, high_bits, above, rebias, before, fix80_low, fix80_high, fix_low, fix_high, tops;

    TC_INLINE Widen(const Widening& w)
        : magnitude(constant8(w.magnitude)),
          sign(constant8(~w.magnitude)),
          high_bits(constant8(w.magnitude >> (8 - SHIFT))),
          above(constant8(w.above)),
          rebias(constant8(w.rebias)),
          before(constant8(w.before)),
          fix80_low(constant8(w.fix80)),
          fix80_high(constant8(w.fix80 >> 8)),
          fix_low(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)w.fix_low))),
          fix_high(_mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)w.fix_high))) {
        alignas(16) uint8_t top[16];
        for (int i = 0; i < 16; ++i) top[i] = (uint8_t)(w.plain((i << 4) + w.before) >> 8);
        tops = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)top));
    }
    // The upper and lower bytes of thirty-two answers.
    TC_INLINE __m256i high(__m256i x) const {
        if constexpr (SHIFT == 8) return _mm256_add_epi8(x, rebias);
        if constexpr (SHIFT == 4)
            return _mm256_shuffle_epi8(tops, _mm256_and_si256(_mm256_srli_epi16(x, 4), nibble));
        const __m256i m = _mm256_and_si256(_mm256_srli_epi16(x, 8 - SHIFT), high_bits);
        return _mm256_add_epi8(_mm256_add_epi8(m, rebias), _mm256_and_si256(x, sign));
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
        // the sixteen magnitudes from -above on, others have bit 7 set and look up zero
        const __m256i at = _mm256_adds_epu8(
            _mm256_and_si256(_mm256_add_epi8(x, above), magnitude), window);
        const __m256i y = FIX80 ? _mm256_sub_epi8(x, before) : x;
        __m256i h = _mm256_xor_si256(high(y), _mm256_shuffle_epi8(fix_high, at));
        __m256i l = _mm256_xor_si256(low(y), _mm256_shuffle_epi8(fix_low, at));
        if constexpr (FIX80) {
            const __m256i is80 = _mm256_cmpeq_epi8(x, code80);
            h = _mm256_xor_si256(h, _mm256_and_si256(is80, fix80_high));
            l = _mm256_xor_si256(l, _mm256_and_si256(is80, fix80_low));
        }
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

#if defined(TC_ZMM)
// The same, sixty-four at a time.
template <int SHIFT, bool FIX80>
struct WidenZmm {
    static constexpr int WIDTH = 64;
    const __m512i low_bits = _mm512_set1_epi8((char)(0xff << SHIFT)), window = _mm512_set1_epi8(0x70);
    const __m512i code80 = _mm512_set1_epi8((char)0x80), nibble = _mm512_set1_epi8(15);
    __m512i magnitude, high_bits, above, rebias, before, fix80_low, fix80_high, fix_low, fix_high, tops;

    TC_INLINE WidenZmm(const Widening& w) {
        const auto bytes = [](int x) { return _mm512_set1_epi8((char)x); };
        const auto rows = [](const uint8_t* at) { return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)at)); };
        magnitude = bytes(w.magnitude), high_bits = bytes(w.magnitude >> (8 - SHIFT));
        above = bytes(w.above), rebias = bytes(w.rebias), before = bytes(w.before);
        fix80_low = bytes(w.fix80), fix80_high = bytes(w.fix80 >> 8);
        fix_low = rows(w.fix_low), fix_high = rows(w.fix_high);
        alignas(16) uint8_t top[16];
        for (int i = 0; i < 16; ++i) top[i] = (uint8_t)(w.plain((i << 4) + w.before) >> 8);
        tops = rows(top);
    }
    TC_INLINE __m512i high(__m512i x) const {
        if constexpr (SHIFT == 8) return _mm512_add_epi8(x, rebias);
        if constexpr (SHIFT == 4)
            return _mm512_shuffle_epi8(tops, _mm512_and_si512(_mm512_srli_epi16(x, 4), nibble));
        const __m512i m = _mm512_and_si512(_mm512_srli_epi16(x, 8 - SHIFT), high_bits);
        return _mm512_add_epi8(_mm512_add_epi8(m, rebias), _mm512_andnot_si512(magnitude, x));
    }
    TC_INLINE __m512i low(__m512i x) const {
        if constexpr (SHIFT == 8) return _mm512_setzero_si512();
        return _mm512_and_si512(_mm512_slli_epi16(x, SHIFT), low_bits);
    }
    // The codes that answers come out of in order, from codes in order.
    template <class T>
    static TC_INLINE __m512i to_unpack(__m512i codes) {
        if constexpr (sizeof(T) == 4) return in_order_of_four(codes);
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), codes);
    }
    // The answers in registers; returns how many.
    template <class T>
    TC_INLINE int answers(const uint8_t* in, __m512i* y) const {
        const __m512i x = to_unpack<T>(load512(in));
        const __m512i at = _mm512_adds_epu8(_mm512_and_si512(_mm512_add_epi8(x, above), magnitude), window);
        const __m512i rest = FIX80 ? _mm512_sub_epi8(x, before) : x;
        __m512i h = _mm512_xor_si512(high(rest), _mm512_shuffle_epi8(fix_high, at));
        __m512i l = _mm512_xor_si512(low(rest), _mm512_shuffle_epi8(fix_low, at));
        if constexpr (FIX80) {
            const __mmask64 is80 = _mm512_cmpeq_epi8_mask(x, code80);
            h = _mm512_xor_si512(h, _mm512_maskz_mov_epi8(is80, fix80_high));
            l = _mm512_xor_si512(l, _mm512_maskz_mov_epi8(is80, fix80_low));
        }
        y[0] = _mm512_unpacklo_epi8(l, h), y[1] = _mm512_unpackhi_epi8(l, h);
        if constexpr (sizeof(T) == 2) return 2;
        const __m512i a = y[0], b = y[1], zero = _mm512_setzero_si512();
        y[0] = _mm512_unpacklo_epi16(zero, a), y[1] = _mm512_unpackhi_epi16(zero, a);
        y[2] = _mm512_unpacklo_epi16(zero, b), y[3] = _mm512_unpackhi_epi16(zero, b);
        return 4;
    }
    template <bool STREAM, class T>
    TC_INLINE void operator()(const uint8_t* in, T* out) const {
        read_ahead<STREAM, 64>(in);
        __m512i y[4];
        const int n = answers<T>(in, y);
        for (int k = 0; k < n; ++k) store64<STREAM>(out + k * (64 / sizeof(T)), y[k]);
    }
};
template <int SHIFT, bool FIX80>
using WidenGroup = WidenZmm<SHIFT, FIX80>;
#else
template <int SHIFT, bool FIX80>
using WidenGroup = Widen<SHIFT, FIX80>;
#endif

// As many whole groups as n elements have; returns how many elements.
template <int SHIFT, bool STREAM, bool FIX80, class T>
uint64_t widen_groups(const Widening& w, const uint8_t* in, T* out, uint64_t n) {
    using Group = WidenGroup<SHIFT, FIX80>;
    const Group widen(w);
    uint64_t i = 0;
    for (; i + Group::WIDTH <= n; i += Group::WIDTH) widen.template operator()<STREAM>(in + i, out + i);
    return i;
}

template <bool STREAM, bool FIX80, class T>
TC_INLINE uint64_t widen_by_shift(const Widening& w, const uint8_t* in, T* out, uint64_t n) {
    switch (w.shift) {
        case 4: return widen_groups<4, STREAM, FIX80>(w, in, out, n);
        case 5: return widen_groups<5, STREAM, FIX80>(w, in, out, n);
        case 7: return widen_groups<7, STREAM, FIX80>(w, in, out, n);
        case 8: return widen_groups<8, STREAM, FIX80>(w, in, out, n);
    }
    return 0;
}

// T: uint16_t codes of float16 or bfloat16, or uint32_t ones of float32.
template <class T>
TC_INLINE uint64_t apply_widen(const Widening& w, bool stream, const uint8_t* in, T* out, uint64_t n) {
    if (w.fix80)
        return stream ? widen_by_shift<true, true>(w, in, out, n) : widen_by_shift<false, true>(w, in, out, n);
    return stream ? widen_by_shift<true, false>(w, in, out, n) : widen_by_shift<false, false>(w, in, out, n);
}
#endif

}  // namespace
}  // namespace tc
