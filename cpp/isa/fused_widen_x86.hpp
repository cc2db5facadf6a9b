// Whole blocks of 8-bit floats, which every wider float holds, widened and measured in one loop with
// AVX2: the squares of their significands come from a table of sixteen.
#pragma once
#include "fused_x86.hpp"
#include "widen_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// Half the squares of codes as bfloat16, exactly: a significand of four bits has a square of eight.
//
//     | exponent | mantissa || of the code x     2 (exponent - bias) - 1 + carry | square's mantissa |
//
// The lower byte of a normal's square is a matter of its mantissa alone; the upper one is the exponent
// field plus a constant. Subnormals have places of their own in the tables.
struct SquareTable {
    alignas(16) uint8_t lowers[16] = {}, uppers[16] = {};

    constexpr SquareTable(const Row& row) {
        const int n = 1 << row.mantissa_bits;
        for (int m = 0; m < n; ++m) {
            const float value = __builtin_bit_cast(float, decode_small(row, (uint32_t)m));
            const float one = 1 + (float)m / (float)n;
            const uint32_t subnormal = __builtin_bit_cast(uint32_t, 0.5f * value * value);
            const uint32_t square = __builtin_bit_cast(uint32_t, 0.5f * one * one);
            lowers[m] = (uint8_t)(subnormal >> 16);
            uppers[m] = (uint8_t)(subnormal >> 24);
            lowers[n + m] = (uint8_t)(square >> 16);
            uppers[n + m] = (uint8_t)((square >> 24) - (uint32_t)row.bias);
        }
    }
};
constexpr SquareTable E4M3_SQUARES(ROWS[F_float8_e4m3fn]), E5M2_SQUARES(ROWS[F_float8_e5m2]);

struct HalfSquares {
    __m256i exponents, mantissas, normal, lower, upper;
    __m128i shift;
    double scale = 2;

    // Of float8_e4m3fn or float8_e5m2.
    TC_INLINE HalfSquares(const Row& row) {
        const int m_bits = row.mantissa_bits, n = 1 << m_bits;
        const SquareTable& t = m_bits == 3 ? E4M3_SQUARES : E5M2_SQUARES;
        lower = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)t.lowers));
        upper = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)t.uppers));
        exponents = constant8(0x7f & ~(n - 1));
        mantissas = constant8(n - 1);
        normal = constant8(n);
        shift = _mm_cvtsi32_si128(m_bits);
    }
    // Adds those of thirty-two codes in the order in which unpacking brings them out in theirs.
    TC_INLINE void add(__m256i x, __m256* q0, __m256* q1) const {
        const __m256i none = _mm256_setzero_si256(), e = _mm256_and_si256(x, exponents);
        const __m256i at = _mm256_or_si256(_mm256_and_si256(x, mantissas), _mm256_min_epu8(e, normal));
        const __m256i l = _mm256_shuffle_epi8(lower, at);
        const __m256i h = _mm256_add_epi8(_mm256_srl_epi16(e, shift), _mm256_shuffle_epi8(upper, at));
        const __m256i a = _mm256_unpacklo_epi8(l, h), b = _mm256_unpackhi_epi8(l, h);
        *q0 = _mm256_add_ps(*q0, _mm256_castsi256_ps(_mm256_unpacklo_epi16(none, a)));
        *q1 = _mm256_add_ps(*q1, _mm256_castsi256_ps(_mm256_unpackhi_epi16(none, a)));
        *q0 = _mm256_add_ps(*q0, _mm256_castsi256_ps(_mm256_unpacklo_epi16(none, b)));
        *q1 = _mm256_add_ps(*q1, _mm256_castsi256_ps(_mm256_unpackhi_epi16(none, b)));
    }
};

#if defined(TC_ZMM)
// The same of sixty-four, in the order in which unpacking to 32 bits brings them out in theirs.
struct HalfSquaresZmm {
    __m512i exponents, mantissas, normal, lower, upper;
    __m128i shift;
    double scale = 2;

    TC_INLINE HalfSquaresZmm(const Row& row) {
        const int m_bits = row.mantissa_bits, n = 1 << m_bits;
        const SquareTable& t = m_bits == 3 ? E4M3_SQUARES : E5M2_SQUARES;
        lower = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)t.lowers));
        upper = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)t.uppers));
        exponents = _mm512_set1_epi8((char)(0x7f & ~(n - 1)));
        mantissas = _mm512_set1_epi8((char)(n - 1));
        normal = _mm512_set1_epi8((char)n);
        shift = _mm_cvtsi32_si128(m_bits);
    }
    TC_INLINE void add(__m512i x, __m512* q) const {
        const __m512i none = _mm512_setzero_si512(), e = _mm512_and_si512(x, exponents);
        const __m512i least = _mm512_min_epu8(e, normal);
        const __m512i at = _mm512_ternarylogic_epi32(least, x, mantissas, 0xf8);
        const __m512i l = _mm512_shuffle_epi8(lower, at);
        const __m512i h = _mm512_add_epi8(_mm512_srl_epi16(e, shift), _mm512_shuffle_epi8(upper, at));
        const __m512i a = _mm512_unpacklo_epi8(l, h), b = _mm512_unpackhi_epi8(l, h);
        *q = _mm512_add_ps(*q, _mm512_castsi512_ps(_mm512_unpacklo_epi16(none, a)));
        *q = _mm512_add_ps(*q, _mm512_castsi512_ps(_mm512_unpackhi_epi16(none, a)));
        *q = _mm512_add_ps(*q, _mm512_castsi512_ps(_mm512_unpacklo_epi16(none, b)));
        *q = _mm512_add_ps(*q, _mm512_castsi512_ps(_mm512_unpackhi_epi16(none, b)));
    }
};
#endif

// Thirty-two bytes as one.
template <class Of>
TC_INLINE uint8_t one_byte(__m256i bytes, const Of& of) {
    __m128i x = of(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    x = of(x, _mm_srli_si128(x, 8));
    x = of(x, _mm_srli_si128(x, 4));
    x = of(x, _mm_srli_si128(x, 2));
    x = of(x, _mm_srli_si128(x, 1));
    return (uint8_t)_mm_cvtsi128_si32(x);
}

// each(i, q) casts the elements of a group from i on, and adds their squares to q if ADDS. False: an
// infinity or a NaN, or too large for float32's sums; what each() wrote stands.
template <bool ADDS, class Each>
TC_INLINE bool measure_widened(const Row& row, const uint8_t* in, const Each& each, Stats* s) {
    Lanes lanes;
#if defined(TC_ZMM)
    const HalfSquaresZmm squares(row);
    const double scale = ADDS ? 1 : squares.scale;
    __m512i lows64 = _mm512_setzero_si512(), highs64 = _mm512_set1_epi8(-128), leasts64 = _mm512_set1_epi8(-1);
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        __m512 q = _mm512_setzero_ps();
        for (uint64_t i = g; i < g + GROUP; i += 64) {
            each(i, &q);
            const __m512i codes = load512(in + i);
            lows64 = _mm512_max_epu8(lows64, codes);
            highs64 = _mm512_max_epi8(highs64, codes);
            leasts64 = _mm512_min_epu8(leasts64, codes);
            if (!ADDS) squares.add(in_order_of_four(codes), &q);
        }
        const vf halves[] = {(vf)_mm512_castps512_ps256(q), (vf)_mm512_extractf32x8_ps(q, 1)};
        fold(halves, lanes.value);
    }
    const auto upper = [](__m512i x) { return _mm512_extracti64x4_epi64(x, 1); };
    const auto lower = [](__m512i x) { return _mm512_castsi512_si256(x); };
    const __m256i low = _mm256_max_epu8(lower(lows64), upper(lows64));
    const __m256i high = _mm256_max_epi8(lower(highs64), upper(highs64));
    const __m256i least_code = _mm256_min_epu8(lower(leasts64), upper(leasts64));
#else
    const __m256i order = constant(_mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    const HalfSquares squares(row);
    const double scale = squares.scale;
    __m256i low = _mm256_setzero_si256(), high = _mm256_set1_epi8(-128), least_code = _mm256_set1_epi8(-1);
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        __m256 q0 = _mm256_setzero_ps(), q1 = q0;
        for (uint64_t i = g; i < g + GROUP; i += 32) {
            each(i, nullptr);
            const __m256i codes = _mm256_loadu_si256((const __m256i*)(in + i));
            low = _mm256_max_epu8(low, codes);
            high = _mm256_max_epi8(high, codes);
            least_code = _mm256_min_epu8(least_code, codes);
            TC_KEEP(low);
            TC_KEEP(high);
            TC_KEEP(least_code);
            squares.add(_mm256_permutevar8x32_epi32(codes, order), &q0, &q1);
        }
        lanes.stay();
        const vf q[] = {(vf)q0, (vf)q1};
        fold(q, lanes.value);
    }
#endif
    for (int l = 0; l < 8; ++l) lanes.value[l] *= scale;
    uint8_t l = one_byte(low, [](__m128i a, __m128i b) { return _mm_max_epu8(a, b); });
    uint8_t h = one_byte(high, [](__m128i a, __m128i b) { return _mm_max_epi8(a, b); });
    const uint8_t smallest = one_byte(least_code, [](__m128i a, __m128i b) { return _mm_min_epu8(a, b); });
    if (h < 0x80 && h > row.max_code) return false;
    if (l >= 0x80 && (l & 0x7f) > (int)row.max_code) return false;
    if (l < 0x80) l = smallest;   // no sign
    if (h >= 0x80) h = smallest;  // nothing else
    return finish_gathered(lanes, BLOCK, 0, 0, float_of(decode_small(row, l)),
                           float_of(decode_small(row, h)), s);
}

template <int SHIFT, bool STREAM, class T>
bool widen_measured_by(const Widening& w, const Row& row, const uint8_t* in, T* out, Stats* s) {
    const WidenGroup<SHIFT, false> widen(w);
#if defined(TC_ZMM)
    if constexpr (sizeof(T) == 4) {
        const auto adding = [&](uint64_t i, __m512* q) __attribute__((always_inline)) {
            read_ahead<STREAM, 64>(in + i);
            __m512i y[4];
            widen.template answers<T>(in + i, y);
            for (int k = 0; k < 4; ++k) {
                store64<STREAM>(out + i + 16 * k, y[k]);
                const __m512 value = _mm512_castsi512_ps(y[k]);
                *q = _mm512_add_ps(*q, _mm512_mul_ps(value, value));
            }
        };
        return measure_widened<true>(row, in, adding, s);
    }
#endif
    const auto each = [&](uint64_t i, void*) __attribute__((always_inline)) {
        widen.template operator()<STREAM>(in + i, out + i);
    };
    return measure_widened<false>(row, in, each, s);
}

template <bool STREAM, class T>
TC_INLINE bool widen_measured_to(const Widening& w, const Row& row, const uint8_t* in, T* out, Stats* s) {
    switch (w.shift) {
        case 4: return widen_measured_by<4, STREAM>(w, row, in, out, s);
        case 5: return widen_measured_by<5, STREAM>(w, row, in, out, s);
        case 7: return widen_measured_by<7, STREAM>(w, row, in, out, s);
        default: return widen_measured_by<8, STREAM>(w, row, in, out, s);
    }
}

// A block of BLOCK codes of `source` to a format of `size` bytes, by a widening that fits them and has
// nothing to say about the code 0x80.
bool widen_small_measured(const Widening& w, const Row& source, unsigned size, bool stream,
                          const uint8_t* in, void* out, Stats* s) {
    if (size == 2)
        return stream ? widen_measured_to<true>(w, source, in, (uint16_t*)out, s)
                      : widen_measured_to<false>(w, source, in, (uint16_t*)out, s);
    return stream ? widen_measured_to<true>(w, source, in, (uint32_t*)out, s)
                  : widen_measured_to<false>(w, source, in, (uint32_t*)out, s);
}

}  // namespace
}  // namespace tc

#endif
