// Whole blocks of the common pairs, cast and measured in one loop, nearest even, with AVX2.
//
// The loops assume ordinary values. A special one, or an overflow, makes a sum infinite or NaN;
// then the loop says so, having written who knows what, and the caller does the block another way.
//
// Additions and comparisons of floats share two of the four units of current processors: what can be
// is done in integers.
#pragma once
#include "stats.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// Without a sign the bits of floats are ordered as the floats are, with it the other way round: the
// greatest signed and the greatest unsigned integer are the ends, where both signs occur.
struct Range32 {
    __m256i low = _mm256_setzero_si256(), high = _mm256_set1_epi32(INT32_MIN);

    // The bits of the ends. False: all are of one sign, and only the end far from zero is told.
    TC_INLINE bool ends_of(uint32_t* least_x, uint32_t* greatest_x) const {
        alignas(32) int32_t highs[8];
        alignas(32) uint32_t lows[8];
        _mm256_store_si256((__m256i*)highs, high);
        _mm256_store_si256((__m256i*)lows, low);
        int32_t h = highs[0];
        uint32_t l = lows[0];
        for (int k = 1; k < 8; ++k) {
            if (highs[k] > h) h = highs[k];
            if (lows[k] > l) l = lows[k];
        }
        *least_x = l;
        *greatest_x = (uint32_t)h;
        return h >= 0 && (int32_t)l < 0;
    }
};
struct Range16 {
    __m256i low = _mm256_setzero_si256(), high = _mm256_set1_epi16(INT16_MIN);

    static TC_INLINE void note(const uint16_t* in, __m256i* l, __m256i* h) {
        const __m256i x = _mm256_loadu_si256((const __m256i*)in);
        *l = _mm256_max_epu16(*l, x);
        *h = _mm256_max_epi16(*h, x);
    }
    TC_INLINE bool ends_of(uint16_t* least_x, uint16_t* greatest_x) const {
        alignas(32) int16_t highs[16];
        alignas(32) uint16_t lows[16];
        _mm256_store_si256((__m256i*)highs, high);
        _mm256_store_si256((__m256i*)lows, low);
        int16_t h = highs[0];
        uint16_t l = lows[0];
        for (int k = 1; k < 16; ++k) {
            if (highs[k] > h) h = highs[k];
            if (lows[k] > l) l = lows[k];
        }
        *least_x = l;
        *greatest_x = (uint16_t)h;
        return h >= 0 && (int16_t)l < 0;
    }
};

// Sources: eight elements as float32; the range of sixteen.
struct FromF32 : Range32 {
    using T = float;

    static TC_INLINE __m256 eight(const T* in) { return _mm256_loadu_ps(in); }
    static TC_INLINE void note(const T* in, __m256i* l, __m256i* h) {
        for (int k = 0; k < 2; ++k) {
            *l = _mm256_max_epu32(*l, load8(in + 8 * k));
            *h = _mm256_max_epi32(*h, load8(in + 8 * k));
        }
    }
    TC_INLINE bool ends(float* least_x, float* greatest_x) const {
        uint32_t l, h;
        const bool both = ends_of(&l, &h);
        *least_x = float_of(l);
        *greatest_x = float_of(h);
        return both;
    }
};
struct FromF16 : Range16 {
    using T = uint16_t;

    static TC_INLINE __m256 eight(const T* in) {
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)in));
    }
    TC_INLINE bool ends(float* least_x, float* greatest_x) const {
        uint16_t l, h;
        const bool both = ends_of(&l, &h);
        *least_x = decode_f16(l);
        *greatest_x = decode_f16(h);
        return both;
    }
};
struct FromBf16 : Range16 {
    using T = uint16_t;

    static TC_INLINE __m256 eight(const T* in) {
        const __m256i u = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)in));
        return _mm256_castsi256_ps(_mm256_slli_epi32(u, 16));
    }
    TC_INLINE bool ends(float* least_x, float* greatest_x) const {
        uint16_t l, h;
        const bool both = ends_of(&l, &h);
        *least_x = decode_bf16(l);
        *greatest_x = decode_bf16(h);
        return both;
    }
};

// Targets: sixteen codes of 16 bits, the values that they stand for, and in 16-bit lanes which of
// them equal x. LAST_ZERO: the float32 bits of the largest magnitude that is rounded to zero, a tie.
struct IntoF16 {
    static constexpr uint32_t LAST_ZERO = (127 - 25) << 23;

    TC_INLINE __m256i sixteen(__m256 x0, __m256 x1, __m256* d0, __m256* d1, __m256i* equal) const {
        const __m128i low = _mm256_cvtps_ph(x0, _MM_FROUND_TO_NEAREST_INT);
        *d0 = _mm256_sub_ps(x0, _mm256_cvtph_ps(low));
        const __m128i high = _mm256_cvtps_ph(x1, _MM_FROUND_TO_NEAREST_INT);
        *d1 = _mm256_sub_ps(x1, _mm256_cvtph_ps(high));
        // packing with saturation leaves what is not zero so, whatever the order
        *equal = _mm256_cmpeq_epi16(
            _mm256_packs_epi32(_mm256_castps_si256(*d0), _mm256_castps_si256(*d1)),
            _mm256_setzero_si256());
        return _mm256_set_m128i(high, low);
    }
};
struct IntoBf16 {
    static constexpr uint32_t LAST_ZERO = 0x8000;
    // of lanes of 16 bits: all lower halves, then all upper ones
    const __m256i halves = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
                                            0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);

    // Carries where the lower half is above the tie, or on it and the upper half odd.
    TC_INLINE __m256i sixteen(__m256 x0, __m256 x1, __m256* d0, __m256* d1, __m256i* equal) const {
        const __m256i none = _mm256_setzero_si256();
        const __m256i u = _mm256_shuffle_epi8(_mm256_castps_si256(x0), halves);
        const __m256i v = _mm256_shuffle_epi8(_mm256_castps_si256(x1), halves);
        const __m256i low = _mm256_unpacklo_epi64(u, v), high = _mm256_unpackhi_epi64(u, v);
        *equal = _mm256_cmpeq_epi16(low, none);
        const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi16(1));
        const __m256i above = _mm256_xor_si256(_mm256_or_si256(low, odd), _mm256_set1_epi16((short)0x8000));
        const __m256i codes = _mm256_sub_epi16(high, _mm256_cmpgt_epi16(above, none));
        *d0 = _mm256_sub_ps(x0, _mm256_castsi256_ps(_mm256_unpacklo_epi16(none, codes)));
        *d1 = _mm256_sub_ps(x1, _mm256_castsi256_ps(_mm256_unpackhi_epi16(none, codes)));
        return _mm256_permute4x64_epi64(codes, 0xd8);
    }
};

// A block again, as float32: what the loops leave to be found is rare.
template <class From>
struct Again {
    alignas(32) float x[BLOCK];

    TC_INLINE Again(const typename From::T* in) {
        for (uint64_t i = 0; i < BLOCK; i += 8) _mm256_store_ps(x + i, From::eight(in + i));
    }
};

template <class From>
void range_again(const typename From::T* in, float* low, float* high) {
    const Again<From> block(in);
    range_of(block.x, BLOCK, low, high);
}

// Non-zero values up to a magnitude, given by its bits.
template <class From>
uint64_t count_small(const typename From::T* in, uint32_t last) {
    const Again<From> block(in);
    uint32_t count = 0;
    for (uint64_t i = 0; i < BLOCK; ++i)
        count += (bits_of(block.x[i]) & Bits<float>::ABS) - 1 < last;
    return count;
}

template <class From>
bool finish_block(const From& from, const Lanes& lanes, uint64_t n_changed, float square,
                  const typename From::T* in, Stats* s) {
    if (!lanes.are_finite()) return false;
    float low, high;
    if (!from.ends(&low, &high)) range_again<From>(in, &low, &high);
    return finish_gathered(lanes, BLOCK, n_changed, square, low, high, s);
}

// What was gathered of a block to integers of 8 bits; false: it is out of range, or see above.
template <class From, int MODE, bool SIGNED>
bool finish_integers_block(const From& from, const Lanes& lanes, uint64_t n_changed, uint64_t n_vanished,
                           float square, const typename From::T* in, Stats* s) {
    if (!lanes.are_finite()) return false;
    float least_x, greatest_x;
    if (!from.ends(&least_x, &greatest_x)) range_again<From>(in, &least_x, &greatest_x);
    const auto rounded = [](float x) {
        return _mm_cvtss_f32(_mm_round_ss(_mm_set_ss(x), _mm_set_ss(x), MODE | _MM_FROUND_NO_EXC));
    };
    // rounding is monotonic: with its ends, the block is in range
    if (rounded(least_x) < (SIGNED ? -128 : 0) || rounded(greatest_x) > (SIGNED ? 127 : 255)) return false;
    if (!finish_gathered(lanes, BLOCK, n_changed, square, least_x, greatest_x, s)) return false;
    s->n_underflow += n_vanished;
    return true;
}

// Sums of lanes, and the greatest of floats that are not negative.
TC_INLINE uint64_t sum_minus16(__m256i x) {
    alignas(32) int16_t lanes[16];
    _mm256_store_si256((__m256i*)lanes, x);
    int64_t sum = 0;
    for (int k = 0; k < 16; ++k) sum -= lanes[k];
    return (uint64_t)sum;
}
TC_INLINE uint64_t sum_minus8(__m256i bytes) {
    return sum_minus16(_mm256_add_epi16(_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8),
                                        _mm256_srai_epi16(bytes, 8)));
}
TC_INLINE float greatest_of(__m256i squares) {
    alignas(32) float lanes[8];
    _mm256_store_si256((__m256i*)lanes, squares);
    float most = lanes[0];
    for (int k = 1; k < 8; ++k) most = lanes[k] > most ? lanes[k] : most;
    return most;
}

// The accumulators of the loops are plain variables, named to the compiler once a step: otherwise gcc
// runs short of registers, and memory in the chain of a sum takes twice the time.
#define TC_KEEP(v) __asm__("" : "+x"(v))

// One block, narrowed to 16 bits. False: see above.
template <class From, class Into, bool STREAM>
bool narrow_measured_as(const typename From::T* in, uint16_t* out, Stats* s) {
    const __m256i none = _mm256_setzero_si256();
    const Into into;
    From from;
    __m256i low = from.low, high = from.high, same = none, worst = none;
    __m256i smallest = _mm256_set1_epi32(-1);  // of the codes without their signs
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        __m256 e0 = _mm256_setzero_ps(), e1 = e0, q0 = e0, q1 = e0;
        for (uint64_t i = g; i < g + GROUP; i += 16) {
            read_ahead<STREAM, 16 * sizeof(typename From::T)>(in + i);
            From::note(in + i, &low, &high);
            const __m256 x = From::eight(in + i), y = From::eight(in + i + 8);
            q0 = _mm256_add_ps(q0, _mm256_mul_ps(x, x));
            q1 = _mm256_add_ps(q1, _mm256_mul_ps(y, y));
            __m256 d0, d1;
            __m256i equal;
            const __m256i codes = into.sixteen(x, y, &d0, &d1, &equal);
            store32<STREAM>(out + i, codes);
            smallest = _mm256_min_epu16(smallest, _mm256_add_epi16(codes, codes));
            same = _mm256_add_epi16(same, equal);
            TC_KEEP(smallest);
            TC_KEEP(same);
            d0 = _mm256_mul_ps(d0, d0);
            worst = _mm256_max_epi32(worst, _mm256_castps_si256(d0));
            e0 = _mm256_add_ps(e0, d0);
            d1 = _mm256_mul_ps(d1, d1);
            worst = _mm256_max_epi32(worst, _mm256_castps_si256(d1));
            e1 = _mm256_add_ps(e1, d1);
            TC_KEEP(worst);
            TC_KEEP(low);
            TC_KEEP(high);
        }
        lanes.stay();
        const vf e[] = {(vf)e0, (vf)e1}, q[] = {(vf)q0, (vf)q1};
        fold(e, lanes.error);
        fold(q, lanes.value);
    }
    from.low = low;
    from.high = high;
    if (!finish_block(from, lanes, BLOCK - sum_minus16(same), greatest_of(worst), in, s)) return false;
    if (any_set(_mm256_cmpeq_epi16(smallest, none)))
        s->n_underflow += count_small<From>(in, Into::LAST_ZERO);
    return true;
}

// One block, widened to float32.
template <class From, bool STREAM>
bool widen_measured_as(const typename From::T* in, float* out, Stats* s) {
    From from;
    __m256i low = from.low, high = from.high;
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        __m256 q0 = _mm256_setzero_ps(), q1 = q0;
        for (uint64_t i = g; i < g + GROUP; i += 16) {
            read_ahead<STREAM, 16 * sizeof(typename From::T)>(in + i);
            From::note(in + i, &low, &high);
            const __m256 x = From::eight(in + i), y = From::eight(in + i + 8);
            store32<STREAM>(out + i, _mm256_castps_si256(x));
            store32<STREAM>(out + i + 8, _mm256_castps_si256(y));
            q0 = _mm256_add_ps(q0, _mm256_mul_ps(x, x));
            q1 = _mm256_add_ps(q1, _mm256_mul_ps(y, y));
        }
        lanes.stay();
        const vf q[] = {(vf)q0, (vf)q1};
        fold(q, lanes.value);
    }
    from.low = low;
    from.high = high;
    return finish_block(from, lanes, 0, 0, in, s);
}

// One block to a float of 8 bits with a signed zero. False: see above.
template <class From, bool STREAM>
bool small_measured_as(const typename From::T* in, uint8_t* out, const Row& row, Stats* s) {
    const __m256i none = _mm256_setzero_si256();
    const SmallSums sums(row);
    const SmallCodes<false> small(row);
    From from;
    __m256i low = from.low, high = from.high, worst = none;
    __m256i same = none, vanished = none, most = none;  // in bytes: a block has 64 steps
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        __m256 e0 = _mm256_setzero_ps(), e1 = e0, q0 = e0, q1 = e0;
        for (uint64_t i = g; i < g + GROUP; i += 32) {
            read_ahead<STREAM, 32 * sizeof(typename From::T)>(in + i);
            __m256i codes[2], lost[2], signs[2];
            for (int h = 0; h < 2; ++h) {
                const typename From::T* at = in + i + 16 * h;
                From::note(at, &low, &high);
                const __m256 x0 = From::eight(at), x1 = From::eight(at + 8);
                // packing with saturation keeps signs, and what is not zero so
                signs[h] = _mm256_packs_epi32(_mm256_castps_si256(x0), _mm256_castps_si256(x1));
                // of the magnitude: a code in the making, and what the result falls short by
                const auto eight = [&](__m256 x, __m256* q, __m256* d) {
                    const __m256i u = sums.magnitude(_mm256_castps_si256(x));
                    const __m256 a = _mm256_castsi256_ps(u);
                    __m256 magic;
                    const __m256 sum = sums.round(u, &magic);
                    *q = _mm256_add_ps(*q, _mm256_mul_ps(a, a));
                    *d = _mm256_sub_ps(a, _mm256_sub_ps(sum, magic));
                    return sums.scaled(sum);
                };
                __m256 d0, d1;
                const __m256i k0 = eight(x0, &q0, &d0);
                const __m256i k1 = eight(x1, &q1, &d1);
                codes[h] = sums.sixteen(k0, k1);
                lost[h] = _mm256_packs_epi32(_mm256_castps_si256(d0), _mm256_castps_si256(d1));
                d0 = _mm256_mul_ps(d0, d0);
                worst = _mm256_max_epi32(worst, _mm256_castps_si256(d0));
                e0 = _mm256_add_ps(e0, d0);
                d1 = _mm256_mul_ps(d1, d1);
                worst = _mm256_max_epi32(worst, _mm256_castps_si256(d1));
                e1 = _mm256_add_ps(e1, d1);
                TC_KEEP(worst);
                TC_KEEP(low);
                TC_KEEP(high);
            }
            const __m256i code = _mm256_packus_epi16(codes[0], codes[1]);
            const __m256i equal = _mm256_cmpeq_epi8(_mm256_packs_epi16(lost[0], lost[1]), none);
            const __m256i zero = _mm256_cmpeq_epi8(code, none);
            same = _mm256_add_epi8(same, equal);
            vanished = _mm256_add_epi8(vanished, _mm256_andnot_si256(equal, zero));
            most = _mm256_max_epu8(most, code);
            TC_KEEP(same);
            TC_KEEP(vanished);
            TC_KEEP(most);
            const __m256i signed_code = small.with_sign(code, _mm256_packs_epi16(signs[0], signs[1]));
            store32<STREAM>(out + i, in_order(signed_code));
        }
        lanes.stay();
        const vf e[] = {(vf)e0, (vf)e1}, q[] = {(vf)q0, (vf)q1};
        fold(e, lanes.error);
        fold(q, lanes.value);
    }
    from.low = low;
    from.high = high;
    if (any_set(small.special(most))) return false;
    if (!finish_block(from, lanes, BLOCK - sum_minus8(same), greatest_of(worst), in, s)) return false;
    s->n_underflow += sum_minus8(vanished);
    return true;
}

}  // namespace
}  // namespace tc

#endif
