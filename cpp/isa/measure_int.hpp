// The statistics of integers whose results equal them: ends and a sum of squares.
//
// The squares of a block whose numbers stay within 32 bits, signed or not, are summed exactly, in
// integers, and rounded to float64 once; wider ones in float64 (stats_block).
#pragma once
#include "direct.hpp"
#include "stats.hpp"

namespace tc {
namespace {

// The squares of n <= BLOCK magnitudes below 2^32: their sum modulo 2^64, and the sum of their upper
// halves, which tells the rest, since that of the lower halves is small.
struct Squares {
    uint64_t sum = 0, uppers = 0;

    TC_INLINE void add(uint64_t magnitude) {
        const uint64_t square = magnitude * magnitude;
        sum += square;
        uppers += square >> 32;
    }
    TC_INLINE double total() const {
        const uint64_t lowers = sum - (uppers << 32);
        return (double)(((unsigned __int128)uppers << 32) + lowers);
    }
};

// What a block has.
struct IntegerValues {
    int64_t low = INT64_MAX, high = INT64_MIN;
    Squares squares;

    TC_INLINE void range(int64_t least_x, int64_t greatest_x) {
        if (least_x < low) low = least_x;
        if (greatest_x > high) high = greatest_x;
    }
};

template <class T>
TC_INLINE void add_integers_plain(const T* x, uint64_t n, IntegerValues* v) {
    T low = x[0], high = x[0];
    Squares squares = v->squares;
    for (uint64_t i = 0; i < n; ++i) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        const int64_t a = (int64_t)x[i];
        squares.add((uint64_t)(a < 0 ? -a : a));
    }
    v->range((int64_t)low, (int64_t)high);
    v->squares = squares;
}

// Elements that one loop casts and the next one measures, which meanwhile has those after them brought
// from memory (read_ahead: 512 bytes and NEXT_BYTES on).
constexpr uint64_t CHUNK = 512;

#if defined(__AVX2__)
template <class T>
TC_INLINE __m256i lesser_int(__m256i a, __m256i b) {
    constexpr bool SIGNED = signed_type<T>();
    if constexpr (sizeof(T) == 1) return SIGNED ? _mm256_min_epi8(a, b) : _mm256_min_epu8(a, b);
    if constexpr (sizeof(T) == 2) return SIGNED ? _mm256_min_epi16(a, b) : _mm256_min_epu16(a, b);
    return SIGNED ? _mm256_min_epi32(a, b) : _mm256_min_epu32(a, b);
}
template <class T>
TC_INLINE __m256i larger_int(__m256i a, __m256i b) {
    constexpr bool SIGNED = signed_type<T>();
    if constexpr (sizeof(T) == 1) return SIGNED ? _mm256_max_epi8(a, b) : _mm256_max_epu8(a, b);
    if constexpr (sizeof(T) == 2) return SIGNED ? _mm256_max_epi16(a, b) : _mm256_max_epu16(a, b);
    return SIGNED ? _mm256_max_epi32(a, b) : _mm256_max_epu32(a, b);
}
// Lanes of 32 bits, unsigned, as two sums of 64.
TC_INLINE __m256i widened(__m256i u) {
    const __m256i low = _mm256_and_si256(u, _mm256_set1_epi64x(0xffffffff));
    return _mm256_add_epi64(low, _mm256_srli_epi64(u, 32));
}
template <class T>
TC_INLINE void add_ends(__m256i low, __m256i high, IntegerValues* v) {
    alignas(32) T lows[32 / sizeof(T)], highs[32 / sizeof(T)];
    _mm256_store_si256((__m256i*)lows, low);
    _mm256_store_si256((__m256i*)highs, high);
    for (uint64_t k = 0; k < 32 / sizeof(T); ++k) v->range((int64_t)lows[k], (int64_t)highs[k]);
}
TC_INLINE uint64_t sum_lanes(__m256i sums) {
    alignas(32) uint64_t lanes[4];
    _mm256_store_si256((__m256i*)lanes, sums);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}
// Adds the squares of eight lanes of 32 bits.
template <bool SIGNED>
TC_INLINE void add_squares32(__m256i x, __m256i* sums, __m256i* uppers) {
    const __m256i y = _mm256_srli_epi64(x, 32);
    const __m256i p = SIGNED ? _mm256_mul_epi32(x, x) : _mm256_mul_epu32(x, x);
    const __m256i q = SIGNED ? _mm256_mul_epi32(y, y) : _mm256_mul_epu32(y, y);
    const __m256i both = _mm256_add_epi64(p, q);  // of signed ones no more than 2^63
    *sums = _mm256_add_epi64(*sums, both);
    *uppers = _mm256_add_epi64(*uppers, _mm256_srli_epi64(SIGNED ? both : p, 32));
    if (!SIGNED) *uppers = _mm256_add_epi64(*uppers, _mm256_srli_epi64(q, 32));
}

#if defined(TC_ZMM)
// Of 32 bits, or of 64 that 32 of the same sign hold; returns how many it did.
template <bool SIGNED, class T>
TC_INLINE uint64_t add_integers_zmm(const T* x, uint64_t n, IntegerValues* v) {
    constexpr int NEXT_BYTES = (int)(CHUNK * sizeof(T)) - 512;
    if (n < 16) return 0;
    const auto load = [&](uint64_t at) __attribute__((always_inline)) {
        const __m512i a = _mm512_loadu_si512(x + at);
        if constexpr (sizeof(T) == 4) return a;
        const __m512i b = _mm512_loadu_si512(x + at + 8);
        return _mm512_mask_blend_epi32(0xaaaa, a, _mm512_slli_epi64(b, 32));
    };
    const auto square = [](__m512i u) __attribute__((always_inline)) {
        return SIGNED ? _mm512_mul_epi32(u, u) : _mm512_mul_epu32(u, u);
    };
    __m512i low = load(0), high = low, sums = _mm512_setzero_si512(), uppers = sums;
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        read_ahead<true, 16 * sizeof(T)>((const char*)(x + i) + NEXT_BYTES);
        const __m512i u = load(i);
        low = SIGNED ? _mm512_min_epi32(low, u) : _mm512_min_epu32(low, u);
        high = SIGNED ? _mm512_max_epi32(high, u) : _mm512_max_epu32(high, u);
        const __m512i p = square(u), q = square(_mm512_srli_epi64(u, 32));
        const __m512i both_squares = _mm512_add_epi64(p, q);  // of signed ones no more than 2^63
        sums = _mm512_add_epi64(sums, both_squares);
        uppers = _mm512_add_epi64(uppers, _mm512_srli_epi64(SIGNED ? both_squares : p, 32));
        if (!SIGNED) uppers = _mm512_add_epi64(uppers, _mm512_srli_epi64(q, 32));
    }
    if constexpr (SIGNED)
        v->range(_mm512_reduce_min_epi32(low), _mm512_reduce_max_epi32(high));
    else
        v->range((int64_t)_mm512_reduce_min_epu32(low), (int64_t)_mm512_reduce_max_epu32(high));
    v->squares.sum += (uint64_t)_mm512_reduce_add_epi64(sums);
    v->squares.uppers += (uint64_t)_mm512_reduce_add_epi64(uppers);
    return i;
}
#endif

// Elements handled, of n <= BLOCK.
template <class T>
TC_INLINE uint64_t add_integers_vector(const T* x, uint64_t n, IntegerValues* v) {
    constexpr int NEXT_BYTES = (int)(CHUNK * sizeof(T)) - 512;
    constexpr bool SIGNED = signed_type<T>();
    constexpr uint64_t STEP = 32 / sizeof(T);
#if defined(TC_ZMM)
    if constexpr (sizeof(T) == 4) return add_integers_zmm<SIGNED>(x, n, v);
#endif
    if (n < STEP) return 0;
    const auto load = [&](uint64_t at) { return _mm256_loadu_si256((const __m256i*)(x + at)); };
    __m256i low = load(0), high = low, sums = _mm256_setzero_si256(), uppers = sums;
    uint64_t i = 0;
    for (; i + STEP <= n; i += STEP) {
        read_ahead<true, 32>((const char*)(x + i) + NEXT_BYTES);
        const __m256i u = load(i);
        low = lesser_int<T>(low, u);
        high = larger_int<T>(high, u);
        if constexpr (sizeof(T) == 1) {
            const __m128i a = _mm_loadu_si128((const __m128i*)(x + i));
            const __m128i b = _mm_loadu_si128((const __m128i*)(x + i + 16));
            const __m256i p = SIGNED ? _mm256_cvtepi8_epi16(a) : _mm256_cvtepu8_epi16(a);
            const __m256i q = SIGNED ? _mm256_cvtepi8_epi16(b) : _mm256_cvtepu8_epi16(b);
            sums = _mm256_add_epi32(  // 32 bits hold a block's
                sums, _mm256_add_epi32(_mm256_madd_epi16(p, p), _mm256_madd_epi16(q, q)));
        } else if constexpr (sizeof(T) == 2 && SIGNED) {
            sums = _mm256_add_epi64(sums, widened(_mm256_madd_epi16(u, u)));
        } else if constexpr (sizeof(T) == 2) {
            const __m256i p = _mm256_and_si256(u, _mm256_set1_epi32(0xffff)), q = _mm256_srli_epi32(u, 16);
            sums = _mm256_add_epi64(sums, widened(_mm256_mullo_epi32(p, p)));
            sums = _mm256_add_epi64(sums, widened(_mm256_mullo_epi32(q, q)));
        } else {
            add_squares32<SIGNED>(u, &sums, &uppers);
        }
    }
    add_ends<T>(low, high, v);
    v->squares.sum += sum_lanes(sizeof(T) == 1 ? widened(sums) : sums);
    v->squares.uppers += sum_lanes(uppers);
    return i;
}

// 64-bit integers that 32 bits of the same sign hold.
template <bool SIGNED>
TC_INLINE uint64_t add_narrow_integers(const uint64_t* x, uint64_t n, IntegerValues* v) {
    constexpr int NEXT_BYTES = (int)(CHUNK * sizeof *x) - 512;
#if defined(TC_ZMM)
    return add_integers_zmm<SIGNED>(x, n, v);
#endif
    if (n < 8) return 0;
    const auto load = [&](uint64_t at) {
        const __m256 a = _mm256_loadu_ps((const float*)(x + at));
        const __m256 b = _mm256_loadu_ps((const float*)(x + at + 4));
        return _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
    };
    __m256i low = load(0), high = low, sums = _mm256_setzero_si256(), uppers = sums;
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        read_ahead<true, 64>((const char*)(x + i) + NEXT_BYTES);
        const __m256i u = load(i);
        low = SIGNED ? _mm256_min_epi32(low, u) : _mm256_min_epu32(low, u);
        high = SIGNED ? _mm256_max_epi32(high, u) : _mm256_max_epu32(high, u);
        add_squares32<SIGNED>(u, &sums, &uppers);
    }
    if constexpr (SIGNED)
        add_ends<int32_t>(low, high, v);
    else
        add_ends<uint32_t>(low, high, v);
    v->squares.sum += sum_lanes(sums);
    v->squares.uppers += sum_lanes(uppers);
    return i;
}
#endif

template <class T>
TC_INLINE void add_integers_of(const T* x, uint64_t n, IntegerValues* v) {
    uint64_t i = 0;
#if defined(__AVX2__)
    i = add_integers_vector(x, n, v);
#endif
    if (i < n) add_integers_plain(x + i, n - i, v);
}

// 64-bit integers whose range is that of 32-bit ones, signed or not.
TC_INLINE void add_wide_integers(const uint64_t* x, uint64_t n, bool is_signed, IntegerValues* v) {
    uint64_t i = 0;
#if defined(__AVX2__)
    i = is_signed ? add_narrow_integers<true>(x, n, v) : add_narrow_integers<false>(x, n, v);
#endif
    (void)is_signed;
    if (i < n) add_integers_plain((const int64_t*)x + i, n - i, v);
}

// Adds up to BLOCK integers. as_unsigned: the 64-bit ones are 32-bit ones without a sign.
void add_integers(FormatId source, const void* in, uint64_t n, bool as_unsigned, IntegerValues* v) {
    switch (source) {
        case F_int8: return add_integers_of((const int8_t*)in, n, v);
        case F_uint8: return add_integers_of((const uint8_t*)in, n, v);
        case F_int16: return add_integers_of((const int16_t*)in, n, v);
        case F_uint16: return add_integers_of((const uint16_t*)in, n, v);
        case F_int32: return add_integers_of((const int32_t*)in, n, v);
        case F_uint32: return add_integers_of((const uint32_t*)in, n, v);
        default: return add_wide_integers((const uint64_t*)in, n, !as_unsigned, v);
    }
}

// Whether no integer of the source that lies in the target's range changes there, and a direct loop
// tells which do.
bool keeps_integers(const Cast& cast) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    if (!source.is_integer() || source.bits < 8 || cast.source == cast.target) return false;
    if (target.is_integer()) return source.bits < 64 || (target.bits >= 8 && target.bits <= 32);
    return target.kind == Kind::Float && target.bits >= 32 &&
           source.bits - source.is_signed <= target.mantissa_bits + 1;
}

// The block's statistics.
void finish_integers(FormatId source, const IntegerValues& v, uint64_t n, Stats* s) {
    s->n_finite += n;
    s->sum_squared += v.squares.total();
    if ((double)v.low < s->min) s->min = (double)v.low;
    if ((double)v.high > s->max) s->max = (double)v.high;
    if (ROWS[source].bits < 64) return;
    const uint64_t shifted = source == F_int64 ? 0 : (uint64_t)1 << 63;
    const int64_t low = (int64_t)((uint64_t)v.low ^ shifted), high = (int64_t)((uint64_t)v.high ^ shifted);
    if (low < s->min_integer) s->min_integer = low;
    if (high > s->max_integer) s->max_integer = high;
}

// Casts and measures a block of such a pair. False: a value was out of range, and nothing is counted.
bool direct_measured(const Direct& direct, const Cast& cast, const void* in, void* out, uint64_t n,
                     bool stream, Stats* s) {
    const unsigned from = ROWS[cast.source].container(), to = ROWS[cast.target].container();
    const bool as_unsigned = !ROWS[cast.target].is_signed;
    IntegerValues values;
    for (uint64_t i = 0; i < n; i += CHUNK) {
        const uint64_t m = n - i < CHUNK ? n - i : CHUNK;
        const char* x = (const char*)in + i * from;
        if (!direct.loop(direct, x, (char*)out + i * to, m, stream)) return false;
        add_integers(cast.source, x, m, as_unsigned, &values);
    }
    if (n) finish_integers(cast.source, values, n, s);
    return true;
}

}  // namespace
}  // namespace tc
