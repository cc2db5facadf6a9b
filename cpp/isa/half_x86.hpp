// float16 and bfloat16 to the floats of 8 bits or fewer with AVX2, nearest even, in lanes of 8 bits.
//
// A magnitude is shifted until one byte holds the target's significand below as much of the exponent
// as matters, the next byte what the rounding takes away:
//
//     | upper: exponent - first + M + 1 | M bits || lower: the rest |
//
// where `first` is the exponent of the target's smallest normal. Of normals the upper byte, rounded,
// is the code but for a constant. The (M + 1) binades below `first` round to the target's subnormals,
// by a table of the upper byte; what is smaller becomes zero.
#pragma once
#include "narrow_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// The subnormals' table, by the upper byte: twice the result, plus one where it is a tie rounded down,
// which anything in the lower byte turns.
struct SubnormalTable {
    static constexpr int MAX_M = 3;
    alignas(32) uint8_t at[32];
    constexpr SubnormalTable(int m_bits, bool used) : at{} {
        for (int i = 0; used && i < (m_bits + 1) << m_bits; ++i) {
            const int drop = m_bits + 1 - (i >> m_bits), significand = (1 << m_bits) + i % (1 << m_bits);
            const int whole = significand >> drop, rest = significand & ((1 << drop) - 1);
            const int half = 1 << (drop - 1);
            const bool up = rest > half || (rest == half && whole % 2);
            at[i] = (uint8_t)(2 * (whole + up) + (rest == half && !up));
        }
    }
};
constexpr SubnormalTable SUBNORMALS[] = {{0, false}, {1, true}, {2, true}, {3, true}};
static_assert(sizeof SUBNORMALS / sizeof SUBNORMALS[0] == SubnormalTable::MAX_M + 1);

// Whether HalfToSmall serves a pair.
TC_INLINE constexpr bool half_to_small(FormatId source, const Row& target) {
    const int m_bits = target.mantissa_bits, bias = ROWS[source].bias;
    const int first = bias + 1 - target.bias;
    if (target.kind != Kind::Float || target.bits > 8 || m_bits == 0) return false;
    if (m_bits > SubnormalTable::MAX_M || ROWS[source].mantissa_bits - m_bits > 8) return false;
    // the source's own subnormals have no hidden bit: they must be zero, or the target's, too
    return first == 1 || first > m_bits + 1;
}

// DIRECT: the whole magnitude fills the upper byte (float16 to codes of a byte with three bits of
// significand).
template <bool DIRECT, bool UNSIGNED_ZERO, bool STREAM>
struct HalfToSmall {
    static constexpr int WIDTH = 32;
    const __m256i abs = constant16(0x7fff), one = constant8(1);
    const __m256i half = constant8(0x80), low7 = constant8(0x7f);
    const __m256i bytes = constant(
        _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15,
                         0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    SmallCodes<UNSIGNED_ZERO, DIRECT> codes;
    __m256i table, table2, below, most, begin, begin2, base;
    __m128i shift;

    TC_INLINE HalfToSmall(FormatId source, const Row& row) : codes(row) {
        const int from = ROWS[source].mantissa_bits, m_bits = row.mantissa_bits;
        const int first = ROWS[source].bias + 1 - row.bias;
        const int window = first == 1 ? 0 : first - (m_bits + 1);  // its first binade
        const int skipped = DIRECT ? 0 : window;
        const SubnormalTable& t = SUBNORMALS[first == 1 ? 0 : m_bits];
        const __m128i* rows = (const __m128i*)t.at;
        table = _mm256_broadcastsi128_si256(_mm_load_si128(rows));
        table2 = _mm256_broadcastsi128_si256(_mm_load_si128(rows + 1));
        below = constant16(skipped << from);
        const int drop = from - m_bits;
        most = constant16((1 << (8 + drop)) - 1);
        begin = constant8((window - skipped) << m_bits);
        begin2 = constant8(((window - skipped) << m_bits) + 16);
        base = constant8((first - 1 - skipped) << m_bits);
        shift = _mm_cvtsi32_si128(8 - drop);
    }
    TC_INLINE __m256i scaled(__m256i x) const {
        if constexpr (DIRECT) return _mm256_slli_epi16(x, 1);
        const __m256i a = _mm256_subs_epu16(_mm256_and_si256(x, abs), below);
        return _mm256_sll_epi16(_mm256_min_epu16(a, most), shift);
    }
    TC_INLINE bool operator()(const uint16_t* in, uint8_t* out) const {
        read_ahead<STREAM, 64>(in);
        const __m256i x = _mm256_loadu_si256((const __m256i*)in);
        const __m256i y = _mm256_loadu_si256((const __m256i*)(in + 16));
        const __m256i u = _mm256_shuffle_epi8(scaled(x), bytes);
        const __m256i v = _mm256_shuffle_epi8(scaled(y), bytes);
        const __m256i lower = _mm256_unpacklo_epi64(u, v), upper = _mm256_unpackhi_epi64(u, v);
        // up where the rest is above the tie, or on it and the last bit odd
        const __m256i tie = _mm256_or_si256(lower, _mm256_and_si256(upper, one));
        const __m256i up = _mm256_min_epu8(_mm256_subs_epu8(tie, half), one);
        const __m256i normal = _mm256_subs_epu8(_mm256_adds_epu8(upper, up), base);
        // A lookup before its sixteen gives zero; beyond them it gives what stands in one of them, no
        // more than what should stand there, or than the code of a normal.
        const __m256i a = _mm256_shuffle_epi8(table, DIRECT ? _mm256_sub_epi8(upper, begin) : upper);
        const __m256i b = _mm256_shuffle_epi8(table2, _mm256_sub_epi8(upper, begin2));
        // half of it, rounded up where anything is in the lower byte, else down
        const __m256i none = _mm256_cmpeq_epi8(lower, _mm256_setzero_si256());
        const __m256i subnormal = _mm256_and_si256(_mm256_avg_epu8(_mm256_max_epu8(a, b), none), low7);
        const __m256i code = _mm256_max_epu8(normal, subnormal);
        if (__builtin_expect(codes.any_special(code), 0)) return false;
        // packing with signed saturation keeps the sign
        const __m256i signed_code = codes.with_sign(code, _mm256_packs_epi16(x, y));
        store32<STREAM>(out, _mm256_permute4x64_epi64(signed_code, 0xd8));
        return true;
    }
};

// Whether HalfToUpper serves a pair: the code is the upper byte of the source's, rounded.
TC_INLINE constexpr bool half_to_upper(FormatId source, const Row& target) {
    const Row& from = ROWS[source];
    return target.kind == Kind::Float && target.bits == 8 && target.bias == from.bias &&
           target.exponent_bits == from.exponent_bits && target.is_signed;
}

// float16 to float8_e5m2: the same exponents, subnormals and all.
template <bool STREAM>
struct HalfToUpper {
    static constexpr int WIDTH = 32;
    const __m256i one = constant8(1), half = constant8(0x80), abs = constant8(0x7f);
    const __m256i bytes = constant(
        _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15,
                         0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
    __m256i before_last;

    TC_INLINE HalfToUpper(const Row& row) : before_last(constant8((int)row.max_code - 1)) {}

    // False, and nothing stored, if one may be special: is not below the last code unrounded.
    TC_INLINE bool operator()(const uint16_t* in, uint8_t* out) const {
        read_ahead<STREAM, 64>(in);
        const __m256i u = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)in), bytes);
        const __m256i v = _mm256_shuffle_epi8(_mm256_loadu_si256((const __m256i*)(in + 16)), bytes);
        const __m256i lower = _mm256_unpacklo_epi64(u, v), upper = _mm256_unpackhi_epi64(u, v);
        if (__builtin_expect(any_set(_mm256_subs_epu8(_mm256_and_si256(upper, abs), before_last)), 0))
            return false;
        // up where the rest is above the tie, or on it and the last bit odd
        const __m256i tie = _mm256_or_si256(lower, _mm256_and_si256(upper, one));
        const __m256i up = _mm256_cmpgt_epi8(_mm256_xor_si256(tie, half), _mm256_setzero_si256());
        store32<STREAM>(out, _mm256_permute4x64_epi64(_mm256_sub_epi8(upper, up), 0xd8));
        return true;
    }
};

}  // namespace
}  // namespace tc

#endif
