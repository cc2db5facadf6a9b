// The loops of fused_x86.hpp and fused_int_x86.hpp with AVX-512: the same sums, sixteen lanes in one
// register.
#pragma once
#include "fused_x86.hpp"

#if defined(TC_ZMM)

namespace tc {
namespace {

TC_INLINE __m256i upper_half(__m512i x) { return _mm512_extracti64x4_epi64(x, 1); }
TC_INLINE __m256i lower_half(__m512i x) { return _mm512_castsi512_si256(x); }

// Sources: sixteen elements as float32; the range of thirty-two.
struct RangeZmm32 {
    __m512i low = _mm512_setzero_si512(), high = _mm512_set1_epi32(INT32_MIN);

    TC_INLINE void note(const void* in) {
        const __m512i x = load512(in), y = load512((const char*)in + 64);
        low = _mm512_max_epu32(_mm512_max_epu32(low, x), y);
        high = _mm512_max_epi32(_mm512_max_epi32(high, x), y);
    }
    TC_INLINE void into(Range32* range) const {
        range->low = _mm256_max_epu32(lower_half(low), upper_half(low));
        range->high = _mm256_max_epi32(lower_half(high), upper_half(high));
    }
};
struct RangeZmm16 {
    __m512i low = _mm512_setzero_si512(), high = _mm512_set1_epi16(INT16_MIN);

    TC_INLINE void note(const void* in) {
        low = _mm512_max_epu16(low, load512(in));
        high = _mm512_max_epi16(high, load512(in));
    }
    TC_INLINE void into(Range16* range) const {
        range->low = _mm256_max_epu16(lower_half(low), upper_half(low));
        range->high = _mm256_max_epi16(lower_half(high), upper_half(high));
    }
};
template <class From>
struct Zmm;
template <>
struct Zmm<FromF32> {
    using Range = RangeZmm32;
    static TC_INLINE __m512 sixteen(const float* in) { return _mm512_loadu_ps(in); }
};
template <>
struct Zmm<FromF16> {
    using Range = RangeZmm16;
    static TC_INLINE __m512 sixteen(const uint16_t* in) {
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)in));
    }
};
template <>
struct Zmm<FromBf16> {
    using Range = RangeZmm16;
    static TC_INLINE __m512 sixteen(const uint16_t* in) {
        const __m512i u = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)in));
        return _mm512_castsi512_ps(_mm512_slli_epi32(u, 16));
    }
};

// The sums of a group, and what a block has of errors.
struct SumZmm {
    __m512 sum = _mm512_setzero_ps();

    TC_INLINE void add(__m512 x) { sum = _mm512_add_ps(sum, _mm512_mul_ps(x, x)); }
    TC_INLINE void fold_into(double* lanes) {
        const vf both[] = {(vf)_mm256_castsi256_ps(lower_half(_mm512_castps_si512(sum))),
                           (vf)_mm256_castsi256_ps(upper_half(_mm512_castps_si512(sum)))};
        fold(both, lanes);
        sum = _mm512_setzero_ps();
    }
};
struct ErrorsZmm : SumZmm {
    __m512i worst = _mm512_setzero_si512();

    TC_INLINE void add(__m512 d) {
        const __m512 square = _mm512_mul_ps(d, d);
        worst = _mm512_max_epi32(worst, _mm512_castps_si512(square));
        sum = _mm512_add_ps(sum, square);
    }
    TC_INLINE float greatest() const { return greatest_of(_mm256_max_epi32(lower_half(worst), upper_half(worst))); }
};

// Counters of 16 and of 8 bits, in lanes, of what masks say. A block has 64 or 32 steps.
struct Count16 {
    __m512i lanes = _mm512_setzero_si512();
    TC_INLINE void add(__mmask32 mask) { lanes = _mm512_mask_sub_epi16(lanes, mask, lanes, _mm512_set1_epi16(1)); }
    TC_INLINE uint64_t total() const { return sum_minus16(lower_half(lanes)) + sum_minus16(upper_half(lanes)); }
};
struct Count8 {
    __m512i lanes = _mm512_setzero_si512();
    TC_INLINE void add(__mmask64 mask) { lanes = _mm512_mask_sub_epi8(lanes, mask, lanes, _mm512_set1_epi8(1)); }
    TC_INLINE uint64_t total() const { return sum_minus8(lower_half(lanes)) + sum_minus8(upper_half(lanes)); }
};

// Targets: thirty-two codes of 16 bits, what they fall short by, and which of them differ.
TC_INLINE __mmask32 not_zero(__m512 d0, __m512 d1) {  // in the order of packing, which saturates
    const __m512i packed = _mm512_packs_epi32(_mm512_castps_si512(d0), _mm512_castps_si512(d1));
    return _mm512_test_epi16_mask(packed, packed);
}
TC_INLINE __m512i into_zmm(const IntoF16&, __m512 x0, __m512 x1, __m512* d0, __m512* d1, __mmask32* changed) {
    const __m256i low = _mm512_cvtps_ph(x0, _MM_FROUND_TO_NEAREST_INT);
    const __m256i high = _mm512_cvtps_ph(x1, _MM_FROUND_TO_NEAREST_INT);
    *d0 = _mm512_sub_ps(x0, _mm512_cvtph_ps(low));
    *d1 = _mm512_sub_ps(x1, _mm512_cvtph_ps(high));
    *changed = not_zero(*d0, *d1);
    return both(low, high);
}
TC_INLINE __m512i into_zmm(const IntoBf16&, __m512 x0, __m512 x1, __m512* d0, __m512* d1, __mmask32* changed) {
    const Halves halves(_mm512_castps_si512(x0), _mm512_castps_si512(x1));
    *changed = _mm512_test_epi16_mask(halves.low, halves.low);
    const __m512i codes = halves.rounded(), none = _mm512_setzero_si512();
    *d0 = _mm512_sub_ps(x0, _mm512_castsi512_ps(_mm512_unpacklo_epi16(none, codes)));
    *d1 = _mm512_sub_ps(x1, _mm512_castsi512_ps(_mm512_unpackhi_epi16(none, codes)));
    return in_order_of_two(codes);
}

template <class A, class B>
constexpr bool same_type = false;
template <class A>
constexpr bool same_type<A, A> = true;

// One block, narrowed to 16 bits. No float16 underflows in bfloat16.
template <class From, class Into, bool STREAM>
bool narrow_measured_zmm(const typename From::T* in, uint16_t* out, Stats* s) {
    // from 2^-17, where the last place is that of float16's subnormals, to 2^16 bfloat16 is exact there
    constexpr bool BRAIN_TO_HALF = same_type<From, FromBf16>, HALF_TO_BRAIN = same_type<From, FromF16>;
    const __m512i first = _mm512_set1_epi16((127 - 17) << 7);
    const __m512i n_exact = _mm512_set1_epi16(((127 + 16) << 7) - ((127 - 17) << 7));
    const Into into;
    From from;
    typename Zmm<From>::Range range;
    __m512i smallest = _mm512_set1_epi32(-1);  // of the codes without their signs
    Count16 n_changed;
    SumZmm values;
    ErrorsZmm errors;
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        for (uint64_t i = g; i < g + GROUP; i += 32) {
            read_ahead<STREAM, 32 * sizeof(typename From::T)>(in + i);
            range.note(in + i);
            const __m512 x = Zmm<From>::sixteen(in + i), y = Zmm<From>::sixteen(in + i + 16);
            values.add(x);
            values.add(y);
            if constexpr (BRAIN_TO_HALF) {
                const __m512i magnitude = _mm512_and_si512(load512(in + i), _mm512_set1_epi16(0x7fff));
                const __m512i above = _mm512_sub_epi16(magnitude, first);
                if (__builtin_expect(!_mm512_cmpge_epu16_mask(above, n_exact), 1)) {
                    store64<STREAM>(out + i, both(ToF16Zmm<STREAM>::sixteen(_mm512_castps_si512(x)),
                                                  ToF16Zmm<STREAM>::sixteen(_mm512_castps_si512(y))));
                    continue;
                }
            }
            __m512 d0, d1;
            __mmask32 changed;
            const __m512i codes = into_zmm(into, x, y, &d0, &d1, &changed);
            store64<STREAM>(out + i, codes);
            if constexpr (!HALF_TO_BRAIN) smallest = _mm512_min_epu16(smallest, _mm512_add_epi16(codes, codes));
            n_changed.add(changed);
            errors.add(d0);
            errors.add(d1);
        }
        errors.fold_into(lanes.error);
        values.fold_into(lanes.value);
    }
    range.into(&from);
    if (!finish_block(from, lanes, n_changed.total(), errors.greatest(), in, s)) return false;
    if (_mm512_testn_epi16_mask(smallest, smallest)) s->n_underflow += count_small<From>(in, Into::LAST_ZERO);
    return true;
}

// One block, widened to float32.
template <class From, bool STREAM>
bool widen_measured_zmm(const typename From::T* in, float* out, Stats* s) {
    From from;
    typename Zmm<From>::Range range;
    SumZmm values;
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        for (uint64_t i = g; i < g + GROUP; i += 32) {
            read_ahead<STREAM, 64>(in + i);
            range.note(in + i);
            for (uint64_t k = i; k < i + 32; k += 16) {
                const __m512 x = Zmm<From>::sixteen(in + k);
                store64<STREAM>(out + k, _mm512_castps_si512(x));
                values.add(x);
            }
        }
        values.fold_into(lanes.value);
    }
    range.into(&from);
    return finish_block(from, lanes, 0, 0, in, s);
}

// One block to a float of 8 bits with a signed zero.
template <class From, bool STREAM>
bool small_measured_zmm(const typename From::T* in, uint8_t* out, const Row& row, Stats* s) {
    const SmallSumsZmm sums(row);
    const SmallCodesZmm<false> small(row);
    From from;
    typename Zmm<From>::Range range;
    __m512i most = _mm512_setzero_si512();
    Count8 n_changed, n_vanished;
    SumZmm values;
    ErrorsZmm errors;
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        for (uint64_t i = g; i < g + GROUP; i += 64) {
            read_ahead<STREAM, 64 * sizeof(typename From::T)>(in + i);
            range.note(in + i);
            range.note(in + i + 32);
            __m512i signs[4], making[4], lost[4];
            for (int k = 0; k < 4; ++k) {
                signs[k] = _mm512_castps_si512(Zmm<From>::sixteen(in + i + 16 * k));
                const __m512i u = sums.magnitude(signs[k]);
                const __m512 a = _mm512_castsi512_ps(u);
                __m512 magic;
                const __m512 sum = sums.round(u, &magic);
                values.add(a);
                const __m512 d = _mm512_sub_ps(a, _mm512_sub_ps(sum, magic));
                errors.add(d);
                lost[k] = _mm512_castps_si512(d);
                making[k] = sums.scaled(sum);
            }
            const __m512i code = _mm512_packus_epi16(sums.thirty_two(making[0], making[1]),
                                                     sums.thirty_two(making[2], making[3]));
            const __m512i packed = packed_signs(lost);  // what is not zero stays so
            const __mmask64 changed = _mm512_test_epi8_mask(packed, packed);
            n_changed.add(changed);
            n_vanished.add(_mm512_mask_testn_epi8_mask(changed, code, code));
            most = _mm512_max_epu8(most, code);
            store64<STREAM>(out + i, in_order_of_four(small.with_sign(code, packed_signs(signs))));
        }
        errors.fold_into(lanes.error);
        values.fold_into(lanes.value);
    }
    range.into(&from);
    if (small.any_special(most)) return false;
    if (!finish_block(from, lanes, n_changed.total(), errors.greatest(), in, s)) return false;
    s->n_underflow += n_vanished.total();
    return true;
}

// One block to integers of 8 bits.
template <class From, int MODE, bool SIGNED, bool STREAM>
bool integers_measured_zmm(const typename From::T* in, uint8_t* out, Stats* s) {
    From from;
    typename Zmm<From>::Range range;
    Count8 n_changed, n_vanished;
    SumZmm values;
    ErrorsZmm errors;
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        for (uint64_t i = g; i < g + GROUP; i += 64) {
            read_ahead<STREAM, 64 * sizeof(typename From::T)>(in + i);
            range.note(in + i);
            range.note(in + i + 32);
            __m512i whole[4], lost[4];
            for (int k = 0; k < 4; ++k) {
                const __m512 x = Zmm<From>::sixteen(in + i + 16 * k);
                values.add(x);
                const __m512 r = _mm512_roundscale_ps(x, MODE | _MM_FROUND_NO_EXC);
                whole[k] = _mm512_cvttps_epi32(r);
                const __m512 d = _mm512_sub_ps(x, r);
                errors.add(d);
                lost[k] = _mm512_castps_si512(d);
            }
            const __m512i a = _mm512_packs_epi32(whole[0], whole[1]), b = _mm512_packs_epi32(whole[2], whole[3]);
            const __m512i code = SIGNED ? _mm512_packs_epi16(a, b) : _mm512_packus_epi16(a, b);
            const __m512i packed = packed_signs(lost);  // what is not zero stays so
            const __mmask64 changed = _mm512_test_epi8_mask(packed, packed);
            n_changed.add(changed);
            n_vanished.add(_mm512_mask_testn_epi8_mask(changed, code, code));
            store64<STREAM>(out + i, in_order_of_four(code));
        }
        errors.fold_into(lanes.error);
        values.fold_into(lanes.value);
    }
    range.into(&from);
    return finish_integers_block<From, MODE, SIGNED>(from, lanes, n_changed.total(), n_vanished.total(),
                                                     errors.greatest(), in, s);
}

}  // namespace
}  // namespace tc

#endif
