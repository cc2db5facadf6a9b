// The groups of narrow_x86.hpp and half_x86.hpp with AVX-512: twice the elements at a time, and whole
// lines of memory in one store.
#pragma once
#include "half_x86.hpp"

#if defined(TC_ZMM)

namespace tc {
namespace {

TC_INLINE __m512i load512(const void* in) { return _mm512_loadu_si512(in); }
TC_INLINE __m512i both(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

// Around the caches, where the caller knows that out is aligned to 64 bytes.
template <bool STREAM>
TC_INLINE void store64(void* out, __m512i x) {
    if constexpr (STREAM)
        _mm512_stream_si512((__m512i*)out, x);
    else
        _mm512_storeu_si512(out, x);
}

// Packing and unpacking work within quarters of a register. These bring what was packed of two or four
// registers into their order; the latter is its own inverse.
TC_INLINE __m512i in_order_of_two(__m512i packed) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), packed);
}
TC_INLINE __m512i in_order_of_four(__m512i packed) {
    return _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), packed);
}

// Of thirty-two lanes of 32 bits: their lower and their upper halves, in the order of unpacking.
struct Halves {
    __m512i low, high;

    TC_INLINE Halves(__m512i u, __m512i v) {
        const __m512i halves = _mm512_broadcast_i32x4(
            _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
        const __m512i x = _mm512_shuffle_epi8(u, halves), y = _mm512_shuffle_epi8(v, halves);
        low = _mm512_unpacklo_epi64(x, y);
        high = _mm512_unpackhi_epi64(x, y);
    }
    // As bfloat16: carries where the lower half is above the tie, or on it and the upper half odd.
    TC_INLINE __m512i rounded() const {
        const __m512i tie = _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi16(1), 0xf8);
        const __mmask32 up = _mm512_cmpgt_epu16_mask(tie, _mm512_set1_epi16((short)0x8000));
        return _mm512_mask_sub_epi16(high, up, high, _mm512_set1_epi16(-1));
    }
};

TC_INLINE bool any_magnitude_above(__m512i codes, int last) {
    const __m512i magnitude = _mm512_and_si512(codes, _mm512_set1_epi16(0x7fff));
    return _mm512_cmpgt_epi16_mask(magnitude, _mm512_set1_epi16((short)last)) != 0;
}

template <bool STREAM>
struct ToBf16Zmm {
    static constexpr int WIDTH = 32;

    // False, and nothing stored, if one may be special: is 0x7f7f0000 or more.
    static TC_INLINE bool store(__m512i u, __m512i v, uint16_t* out) {
        const Halves halves(u, v);
        if (__builtin_expect(any_magnitude_above(halves.high, 0x7f7e), 0)) return false;
        store64<STREAM>(out, in_order_of_two(halves.rounded()));
        return true;
    }
    TC_INLINE bool operator()(const float* in, uint16_t* out) const {
        read_ahead<STREAM, 128>(in);
        return store(load512(in), load512(in + 16), out);
    }
};

template <bool STREAM>
struct ToF16Zmm {
    static constexpr int WIDTH = 32;

    static TC_INLINE __m256i sixteen(__m512i x) {
        return _mm512_cvtps_ph(_mm512_castsi512_ps(x), _MM_FROUND_TO_NEAREST_INT);
    }
    static TC_INLINE bool store(__m512i codes, uint16_t* out) {
        if (__builtin_expect(any_magnitude_above(codes, 0x7bff), 0)) return false;
        store64<STREAM>(out, codes);
        return true;
    }
    TC_INLINE bool operator()(const float* in, uint16_t* out) const {
        read_ahead<STREAM, 128>(in);
        return store(both(sixteen(load512(in)), sixteen(load512(in + 16))), out);
    }
};

template <bool STREAM>
struct F16ToBf16Zmm {
    static constexpr int WIDTH = 32;

    TC_INLINE bool operator()(const uint16_t* in, uint16_t* out) const {
        read_ahead<STREAM, 64>(in);
        const auto sixteen = [&](int at) {
            return _mm512_castps_si512(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(in + at))));
        };
        return ToBf16Zmm<STREAM>::store(sixteen(0), sixteen(16), out);
    }
};

template <bool STREAM>
struct Bf16ToF16Zmm {
    static constexpr int WIDTH = 32;

    TC_INLINE bool operator()(const uint16_t* in, uint16_t* out) const {
        using To = ToF16Zmm<STREAM>;
        read_ahead<STREAM, 64>(in);
        const auto sixteen = [&](int at) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + at));
            return To::sixteen(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
        };
        return To::store(both(sixteen(0), sixteen(16)), out);
    }
};

// Sixty-four codes of 8 bits or fewer from magnitudes.
template <bool UNSIGNED_ZERO>
struct SmallCodesZmm {
    __m512i last, sign_bit;

    TC_INLINE SmallCodesZmm(const Row& row)
        : last(_mm512_set1_epi8((char)row.max_code)), sign_bit(_mm512_set1_epi8((char)(1 << (row.bits - 1)))) {}
    // Above the last code: overflow, an infinity, a NaN.
    TC_INLINE bool any_special(__m512i code) const { return _mm512_cmpgt_epu8_mask(code, last) != 0; }
    // With the signs of the bytes of `negative`.
    TC_INLINE __m512i with_sign(__m512i code, __m512i negative) const {
        __mmask64 signs = _mm512_movepi8_mask(negative);
        if constexpr (UNSIGNED_ZERO) signs = _mm512_mask_test_epi8_mask(signs, code, code);
        return _mm512_mask_add_epi8(code, signs, code, sign_bit);  // which is not set yet
    }
};

// SmallSums of sixteen.
struct SmallSumsZmm {
    __m512i limit, least, up, weights, base;
    __m128i shift;

    TC_INLINE SmallSumsZmm(const Row& row) {
        const int m_bits = row.mantissa_bits, first = 127 + 1 - row.bias;
        const int beyond = first + 1 + (int)(row.max_code >> m_bits);  // a binade above the last
        limit = _mm512_set1_epi32(beyond << 23);
        least = _mm512_set1_epi32(first << 23);
        up = _mm512_set1_epi32((23 - m_bits) << 23);
        weights = _mm512_set1_epi32(1 << 16 | 1 << (7 - m_bits));
        base = _mm512_set1_epi16((short)((first + 23 - m_bits) << 7));
        shift = _mm_cvtsi32_si128(7 - m_bits);
    }
    TC_INLINE __m512i magnitude(__m512i u) const {
        return _mm512_min_epi32(_mm512_and_si512(u, _mm512_set1_epi32(0x7fffffff)), limit);
    }
    TC_INLINE __m512 round(__m512i a, __m512* magic) const {
        const __m512i e = _mm512_max_epi32(_mm512_and_si512(a, _mm512_set1_epi32(0x7f800000)), least);
        *magic = _mm512_castsi512_ps(_mm512_add_epi32(e, up));
        return _mm512_add_ps(_mm512_castsi512_ps(a), *magic);
    }
    TC_INLINE __m512i scaled(__m512 sum) const { return _mm512_madd_epi16(_mm512_castps_si512(sum), weights); }
    TC_INLINE __m512i thirty_two(__m512i k0, __m512i k1) const {
        return _mm512_srl_epi16(_mm512_sub_epi16(_mm512_packs_epi32(k0, k1), base), shift);
    }
};

// What was packed of four registers with signed saturation keeps their signs.
TC_INLINE __m512i packed_signs(const __m512i u[4]) {
    return _mm512_packs_epi16(_mm512_packs_epi32(u[0], u[1]), _mm512_packs_epi32(u[2], u[3]));
}

// A float of 8 bits or fewer from float32.
template <bool UNSIGNED_ZERO, bool STREAM>
struct ToSmallZmm {
    static constexpr int WIDTH = 64;
    const SmallSumsZmm sums;
    const SmallCodesZmm<UNSIGNED_ZERO> codes;

    TC_INLINE ToSmallZmm(const Row& row) : sums(row), codes(row) {}

    TC_INLINE __m512i sixteen(__m512i u) const {
        __m512 magic;
        return sums.scaled(sums.round(sums.magnitude(u), &magic));
    }
    TC_INLINE bool operator()(const float* in, uint8_t* out) const {
        read_ahead<STREAM, 256>(in);
        const __m512i u[] = {load512(in), load512(in + 16), load512(in + 32), load512(in + 48)};
        const __m512i code = _mm512_packus_epi16(sums.thirty_two(sixteen(u[0]), sixteen(u[1])),
                                                 sums.thirty_two(sixteen(u[2]), sixteen(u[3])));
        if (__builtin_expect(codes.any_special(code), 0)) return false;
        store64<STREAM>(out, in_order_of_four(codes.with_sign(code, packed_signs(u))));
        return true;
    }
};

// HalfToSmall (half_x86.hpp) of sixty-four, with the subnormals in one table.
template <bool DIRECT, bool UNSIGNED_ZERO, bool STREAM>
struct HalfToSmallZmm {
    static constexpr int WIDTH = 64;
    const __m512i one = _mm512_set1_epi8(1), half = _mm512_set1_epi8((char)0x80);
    const __m512i bytes = _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    SmallCodesZmm<UNSIGNED_ZERO> codes;
    __m512i table, last, below, most, begin, base;
    __m128i shift;

    TC_INLINE HalfToSmallZmm(FormatId source, const Row& row) : codes(row) {
        const int from = ROWS[source].mantissa_bits, m_bits = row.mantissa_bits;
        const int first = ROWS[source].bias + 1 - row.bias;
        const int window = first == 1 ? 0 : first - (m_bits + 1);  // its first binade
        const int skipped = DIRECT ? 0 : window;
        const SubnormalTable& t = SUBNORMALS[first == 1 ? 0 : m_bits];
        // what lies before the window finds a zero, and what lies beyond it another
        const int before = (window - skipped) << m_bits, shifted = before > 0;
        alignas(64) uint8_t at[64] = {};
        for (int i = 0; i < 32; ++i) at[i + shifted] = t.at[i];
        table = _mm512_load_si512(at);
        last = _mm512_set1_epi8(63);
        begin = _mm512_set1_epi8((char)(before - shifted));
        below = _mm512_set1_epi16((short)(skipped << from));
        const int drop = from - m_bits;
        most = _mm512_set1_epi16((short)((1 << (8 + drop)) - 1));
        base = _mm512_set1_epi8((char)((first - 1 - skipped) << m_bits));
        shift = _mm_cvtsi32_si128(8 - drop);
    }
    TC_INLINE __m512i scaled(__m512i x) const {
        if constexpr (DIRECT) return _mm512_slli_epi16(x, 1);
        const __m512i a = _mm512_subs_epu16(_mm512_and_si512(x, _mm512_set1_epi16(0x7fff)), below);
        return _mm512_sll_epi16(_mm512_min_epu16(a, most), shift);
    }
    TC_INLINE bool operator()(const uint16_t* in, uint8_t* out) const {
        read_ahead<STREAM, 128>(in);
        const __m512i x = load512(in), y = load512(in + 32);
        const __m512i u = _mm512_shuffle_epi8(scaled(x), bytes), v = _mm512_shuffle_epi8(scaled(y), bytes);
        const __m512i lower = _mm512_unpacklo_epi64(u, v), upper = _mm512_unpackhi_epi64(u, v);
        // up where the rest is above the tie, or on it and the last bit odd
        const __m512i tie = _mm512_ternarylogic_epi32(lower, upper, one, 0xf8);
        const __mmask64 up = _mm512_cmpgt_epu8_mask(tie, half);
        const __m512i normal = _mm512_subs_epu8(_mm512_mask_adds_epu8(upper, up, upper, one), base);
        const __m512i at = _mm512_min_epu8(DIRECT ? _mm512_subs_epu8(upper, begin) : upper, last);
        const __m512i twice = _mm512_permutexvar_epi8(at, table);
        // half of it, rounded up where anything is in the lower byte, else down
        const __mmask64 none = _mm512_testn_epi8_mask(lower, lower);
        const __m512i subnormal = _mm512_avg_epu8(_mm512_mask_subs_epu8(twice, none, twice, one),
                                                  _mm512_setzero_si512());
        const __m512i code = _mm512_max_epu8(normal, subnormal);
        if (__builtin_expect(codes.any_special(code), 0)) return false;
        // packing with signed saturation keeps the sign
        store64<STREAM>(out, in_order_of_two(codes.with_sign(code, _mm512_packs_epi16(x, y))));
        return true;
    }
};

}  // namespace
}  // namespace tc

#endif
