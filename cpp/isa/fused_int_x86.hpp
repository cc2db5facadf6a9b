// Whole blocks of floats to integers of 8 bits, cast and measured in one loop, with AVX2: rounded in
// float32, where the integers and the errors are exact.
#pragma once
#include "fused_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// One block; MODE: how it is rounded. False: a value is out of range, a NaN or too large for float32's
// sums, and what is written is void.
template <class From, int MODE, bool SIGNED, bool STREAM>
bool integers_measured_as(const typename From::T* in, uint8_t* out, Stats* s) {
    const __m256i none = _mm256_setzero_si256();
    From from;
    __m256i low = from.low, high = from.high, worst = none;
    __m256i same = none, vanished = none;  // in bytes: a block has 64 steps
    Lanes lanes;
    for (uint64_t g = 0; g < BLOCK; g += GROUP) {
        __m256 e0 = _mm256_setzero_ps(), e1 = e0, q0 = e0, q1 = e0;
        for (uint64_t i = g; i < g + GROUP; i += 32) {
            read_ahead<STREAM, 32 * sizeof(typename From::T)>(in + i);
            __m256i codes[2], lost[2];
            for (int h = 0; h < 2; ++h) {
                const typename From::T* at = in + i + 16 * h;
                From::note(at, &low, &high);
                const __m256 x0 = From::eight(at), x1 = From::eight(at + 8);
                q0 = _mm256_add_ps(q0, _mm256_mul_ps(x0, x0));
                q1 = _mm256_add_ps(q1, _mm256_mul_ps(x1, x1));
                const __m256 r0 = _mm256_round_ps(x0, MODE | _MM_FROUND_NO_EXC);
                const __m256 r1 = _mm256_round_ps(x1, MODE | _MM_FROUND_NO_EXC);
                codes[h] = _mm256_packs_epi32(_mm256_cvttps_epi32(r0), _mm256_cvttps_epi32(r1));
                __m256 d0 = _mm256_sub_ps(x0, r0), d1 = _mm256_sub_ps(x1, r1);
                // packing with saturation leaves what is not zero so
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
            const __m256i code = SIGNED ? _mm256_packs_epi16(codes[0], codes[1])
                                        : _mm256_packus_epi16(codes[0], codes[1]);
            const __m256i equal = _mm256_cmpeq_epi8(_mm256_packs_epi16(lost[0], lost[1]), none);
            same = _mm256_add_epi8(same, equal);
            vanished = _mm256_add_epi8(vanished, _mm256_andnot_si256(equal, _mm256_cmpeq_epi8(code, none)));
            TC_KEEP(same);
            TC_KEEP(vanished);
            store32<STREAM>(out + i, in_order(code));
        }
        lanes.stay();
        const vf e[] = {(vf)e0, (vf)e1}, q[] = {(vf)q0, (vf)q1};
        fold(e, lanes.error);
        fold(q, lanes.value);
    }
    from.low = low;
    from.high = high;
    return finish_integers_block<From, MODE, SIGNED>(from, lanes, BLOCK - sum_minus8(same), sum_minus8(vanished),
                                                     greatest_of(worst), in, s);
}

}  // namespace
}  // namespace tc

#endif
