// Direct loops (direct.hpp) where AVX2 written out beats what the compiler makes of a plain loop:
// 32 elements at a time through eight 32-bit lanes.
#pragma once
#include "direct.hpp"
#include "narrow_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

// float16 and bfloat16, both uint16_t in memory, are told apart by these.
struct Half {
    uint16_t code;
};
struct Brain {
    uint16_t code;
};

TC_INLINE __m128i load128(const void* p) { return _mm_loadu_si128((const __m128i*)p); }
TC_INLINE __m256i load256(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }

// Eight elements toward zero as int32; what 32 bits do not hold, and NaN, as -2^31.
TC_INLINE __m256i truncate8(const float* p) { return _mm256_cvttps_epi32(_mm256_loadu_ps(p)); }
TC_INLINE __m256i truncate8(const double* p) {
    return _mm256_set_m128i(_mm256_cvttpd_epi32(_mm256_loadu_pd(p + 4)),
                            _mm256_cvttpd_epi32(_mm256_loadu_pd(p)));
}
TC_INLINE __m256i truncate8(const Half* p) {
    return _mm256_cvttps_epi32(_mm256_cvtph_ps(load128(p)));
}
TC_INLINE __m256i truncate8(const Brain* p) {
    const __m256i u = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16);
    return _mm256_cvttps_epi32(_mm256_castsi256_ps(u));
}

// Thirty-two int32 that D holds, as D; bytes masked.
template <class D, bool SIGNED>
TC_INLINE void store_narrow(const __m256i q[4], D* out, __m256i mask = _mm256_set1_epi8(-1)) {
    const auto pack = [](__m256i a, __m256i b) {
        return SIGNED ? _mm256_packs_epi32(a, b) : _mm256_packus_epi32(a, b);
    };
    if constexpr (sizeof(D) == 4) {
        for (int k = 0; k < 4; ++k) _mm256_storeu_si256((__m256i*)(out + 8 * k), q[k]);
    } else if constexpr (sizeof(D) == 2) {
        for (int k = 0; k < 2; ++k)
            _mm256_storeu_si256((__m256i*)(out + 16 * k),
                                _mm256_permute4x64_epi64(pack(q[2 * k], q[2 * k + 1]), 0xd8));
    } else {
        const __m256i a = pack(q[0], q[1]), b = pack(q[2], q[3]);
        const __m256i c = SIGNED ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b);
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const __m256i in_order = _mm256_permutevar8x32_epi32(c, order);
        _mm256_storeu_si256((__m256i*)out, _mm256_and_si256(in_order, mask));
    }
}

// Eight elements toward zero as uint32; *seen gets set bits where one is beyond 32 bits, or a NaN.
TC_INLINE __m256i truncate8_unsigned(__m256 x, __m256i* seen) {
    const __m256i low = _mm256_cvttps_epi32(x);
    const __m256i high = _mm256_cvttps_epi32(_mm256_sub_ps(x, _mm256_set1_ps(0x1p31f)));
    const __m256 fits = _mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-1.0f), _CMP_GT_OQ),
                                      _mm256_cmp_ps(x, _mm256_set1_ps(0x1p32f), _CMP_LT_OQ));
    *seen = _mm256_or_si256(*seen, _mm256_xor_si256(_mm256_castps_si256(fits), _mm256_set1_epi32(-1)));
    return _mm256_or_si256(low, _mm256_and_si256(high, _mm256_srai_epi32(low, 31)));
}
TC_INLINE __m128i truncate4_unsigned(__m256d x, __m256i* seen) {
    const __m256d whole = _mm256_round_pd(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m256d fits = _mm256_and_pd(_mm256_cmp_pd(x, _mm256_set1_pd(-1.0), _CMP_GT_OQ),
                                       _mm256_cmp_pd(x, _mm256_set1_pd(0x1p32), _CMP_LT_OQ));
    *seen = _mm256_or_si256(*seen, _mm256_xor_si256(_mm256_castpd_si256(fits), _mm256_set1_epi32(-1)));
    const __m128i q = _mm256_cvttpd_epi32(_mm256_sub_pd(whole, _mm256_set1_pd(0x1p31)));
    return _mm_xor_si128(q, _mm_set1_epi32((int)0x80000000u));
}
TC_INLINE __m256i truncate8_unsigned(const float* p, __m256i* seen) {
    return truncate8_unsigned(_mm256_loadu_ps(p), seen);
}
TC_INLINE __m256i truncate8_unsigned(const double* p, __m256i* seen) {
    return _mm256_set_m128i(truncate4_unsigned(_mm256_loadu_pd(p + 4), seen),
                            truncate4_unsigned(_mm256_loadu_pd(p), seen));
}
TC_INLINE __m256i truncate8_unsigned(const Half* p, __m256i* seen) {
    return truncate8_unsigned(_mm256_cvtph_ps(load128(p)), seen);
}
TC_INLINE __m256i truncate8_unsigned(const Brain* p, __m256i* seen) {
    const __m256i u = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16);
    return truncate8_unsigned(_mm256_castsi256_ps(u), seen);
}

// group(from, to) makes GROUP elements of as many; the last few go through it in a copy filled up
// with zeros.
template <uint64_t GROUP, class S, class D, class Group>
TC_INLINE void in_groups(const S* from, D* to, uint64_t n, const Group& group) {
    uint64_t i = 0;
    for (; n - i >= GROUP; i += GROUP) group(from + i, to + i);
    if (i == n) return;
    S rest[GROUP] = {};
    D made[GROUP];
    __builtin_memcpy(rest, from + i, (n - i) * sizeof(S));
    group(rest, made);
    __builtin_memcpy(to + i, made, (n - i) * sizeof(D));
}

// Floats toward zero to integers of 32 bits and fewer.
template <class S, class D, bool SIGNED>
bool truncate_float_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    // in range: q + bias has only the lowest bits set; of int32, anything but -2^31, which is what
    // the conversion gives for all that is not
    const int bits = sizeof(D) == 1 ? c.bits : 8 * sizeof(D);
    const __m256i bias = _mm256_set1_epi32(SIGNED && bits < 32 ? 1 << (bits - 1) : 0);
    const __m256i worst = _mm256_set1_epi32((int)0x80000000u), mask = _mm256_set1_epi8((char)c.mask);
    __m256i seen = _mm256_setzero_si256();
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        __m256i any = seen;  // in a register: what `to` points to could be `seen`
        in_groups<32>(x + begin, to, m, [&](const S* from, D* codes) {
            __m256i q[4];
            for (int k = 0; k < 4; ++k) {
                if constexpr (sizeof(D) == 4 && !SIGNED) {
                    q[k] = truncate8_unsigned(from + 8 * k, &any);
                } else {
                    q[k] = truncate8(from + 8 * k);
                    any = _mm256_or_si256(any, sizeof(D) == 4 ? _mm256_cmpeq_epi32(q[k], worst)
                                                              : _mm256_add_epi32(q[k], bias));
                }
            }
            store_narrow<D, SIGNED>(q, codes, mask);
        });
        seen = any;
    });
    return !any_set(sizeof(D) == 4 ? seen : _mm256_srl_epi32(seen, _mm_cvtsi32_si128(bits)));
}

// The same to 64 bits by way of 32, which hold most of what there is; what they do not is GENERAL's.
template <class S, bool SIGNED, DirectLoop GENERAL>
bool truncate_float_to_int64_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const __m256i worst = _mm256_set1_epi32((int)0x80000000u);
    __m256i seen = _mm256_setzero_si256();
    staged(stream, (uint64_t*)out, n, [&](uint64_t begin, uint64_t* to, uint64_t m) {
        __m256i any = seen;
        in_groups<8>(x + begin, to, m, [&](const S* from, uint64_t* codes) {
            const __m256i q = truncate8(from);
            any = _mm256_or_si256(any, SIGNED ? _mm256_cmpeq_epi32(q, worst) : q);
            for (int k = 0; k < 2; ++k) {
                const __m128i half = k ? _mm256_extracti128_si256(q, 1) : _mm256_castsi256_si128(q);
                _mm256_storeu_si256((__m256i*)(codes + 4 * k), _mm256_cvtepi32_epi64(half));
            }
        });
        seen = any;
    });
    return !any_set(_mm256_and_si256(seen, worst)) || GENERAL(c, in, out, n, stream);
}

// Eight integers of 64 or 32 bits as their lowest 32; `any` takes the bits of each plus the bias.
TC_INLINE __m256i low8(const uint64_t* p, __m256i bias, __m256i* any) {
    const __m256i a = load256(p), b = load256(p + 4);
    *any = _mm256_or_si256(*any, _mm256_or_si256(_mm256_add_epi64(a, bias), _mm256_add_epi64(b, bias)));
    const __m256 low = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
    return _mm256_permute4x64_epi64(_mm256_castps_si256(low), 0xd8);
}
TC_INLINE __m256i low8(const uint32_t* p, __m256i bias, __m256i* any) {
    const __m256i x = load256(p);
    *any = _mm256_or_si256(*any, _mm256_add_epi32(x, bias));
    return x;
}

// Integers of 32 and 64 bits, as S, to 8 and 16.
template <class S, class D, bool SIGNED>
bool narrow_integer_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const __m256i bias =
        sizeof(S) == 8 ? _mm256_set1_epi64x((long long)c.bias) : _mm256_set1_epi32((int)c.bias);
    __m256i seen = _mm256_setzero_si256();
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        __m256i any = seen;
        in_groups<32>(x + begin, to, m, [&](const S* from, D* codes) {
            __m256i q[4];
            for (int k = 0; k < 4; ++k) q[k] = low8(from + 8 * k, bias, &any);
            store_narrow<D, SIGNED>(q, codes);
        });
        seen = any;
    });
    const __m128i bits = _mm_cvtsi32_si128(c.bits);
    return !any_set(sizeof(S) == 8 ? _mm256_srl_epi64(seen, bits) : _mm256_srl_epi32(seen, bits));
}

// Eight float64 rounded to odd in the 24 bits of float32 (odd_float).
TC_INLINE __m256i odd8(const double* p) {
    const __m256i dropped = _mm256_set1_epi64x((1ll << 29) - 1);
    const auto odd = [&](__m256i u) {
        const __m256i carry = _mm256_add_epi64(_mm256_and_si256(u, dropped), dropped);
        const __m256i y = _mm256_andnot_si256(dropped, _mm256_or_si256(u, carry));
        return _mm256_cvtpd_ps(_mm256_castsi256_pd(y));
    };
    return _mm256_castps_si256(_mm256_set_m128(odd(load256(p + 4)), odd(load256(p))));
}

// Eight int32 as float32, those beyond 24 bits rounded to odd: their lowest byte becomes 0x80 if it was
// not zero. In two's complement too, since of a value's two neighbours there the odd one is taken. From
// 2^20 on that changes no rounding to 11 bits or fewer. (-2^31, whose absolute value is negative, is
// exact.)
TC_INLINE __m256i odd8(const int32_t* p) {
    const __m256i x = load256(p);
    const __m256i sticky = _mm256_adds_epu8(x, _mm256_set1_epi32(0x7f));
    const __m256i odd = _mm256_and_si256(sticky, _mm256_set1_epi32((int)0xffffff80u));
    const __m256i large = _mm256_cmpgt_epi32(_mm256_abs_epi32(x), _mm256_set1_epi32(1 << 20));
    return _mm256_castps_si256(_mm256_cvtepi32_ps(_mm256_blendv_epi8(x, odd, large)));
}

// float64 and int32 to bfloat16 and float16, nearest even.
template <class S, bool BRAIN>
bool narrow16_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const __m256i abs = _mm256_set1_epi32(0x7fffffff), one = _mm256_set1_epi32(1);
    const ToBf16<false> brain;
    struct Seen {
        __m256i top, least;  // magnitudes: the largest, and the least that is not zero, less 1
    } seen{_mm256_setzero_si256(), _mm256_set1_epi32(-1)};
    const auto eight = [&](const S* p, Seen& any) {
        const __m256i u = odd8(p);
        if constexpr (BRAIN && sizeof(S) == 4) return u;  // which holds every int32
        const __m256i a = _mm256_and_si256(u, abs);
        any.top = _mm256_max_epu32(any.top, a);
        if constexpr (BRAIN && sizeof(S) == 8)
            any.least = _mm256_min_epu32(any.least, _mm256_sub_epi32(a, one));
        return u;
    };
    const auto sixteen = [&](const S* p, Seen& any) {
        const __m256i u = eight(p, any), v = eight(p + 8, any);
        if constexpr (BRAIN) return pack32(brain.round(u), brain.round(v));
        return _mm256_set_m128i(
            _mm256_cvtps_ph(_mm256_castsi256_ps(v), _MM_FROUND_TO_NEAREST_INT),
            _mm256_cvtps_ph(_mm256_castsi256_ps(u), _MM_FROUND_TO_NEAREST_INT));
    };
    staged(stream, (uint16_t*)out, n, [&](uint64_t begin, uint16_t* to, uint64_t m) {
        Seen any = seen;
        in_groups<16>(x + begin, to, m, [&](const S* from, uint16_t* codes) {
            _mm256_storeu_si256((__m256i*)codes, sixteen(from, any));
        });
        seen = any;
    });
    const __m256i last = _mm256_set1_epi32(BRAIN ? 0x7f7f7fff : 0x477fefff);
    const __m256i subnormal = _mm256_cmpeq_epi32(
        _mm256_min_epu32(seen.least, _mm256_set1_epi32(0x007ffffe)), seen.least);
    return !any_set(_mm256_or_si256(_mm256_cmpgt_epi32(seen.top, last), subnormal));
}

// Sixteen integers of 8 or 16 bits as lanes of 16.
TC_INLINE __m256i load_words(const int8_t* p) { return _mm256_cvtepi8_epi16(load128(p)); }
TC_INLINE __m256i load_words(const uint8_t* p) { return _mm256_cvtepu8_epi16(load128(p)); }
TC_INLINE __m256i load_words(const int16_t* p) { return load256(p); }
TC_INLINE __m256i load_words(const uint16_t* p) { return load256(p); }

// Integers of 8 and 16 bits to bfloat16, nearest even: those of 8 bits are exact. The lower and the
// upper words of the lanes go apart, and come together where they were.
template <class S>
bool integer_to_bf16_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    constexpr bool SIGNED = signed_type<S>();
    const S* x = (const S*)in;
    const __m256i low16 = constant32(0xffff), tie = constant32(0x7fff), one = constant32(1);
    const auto rounded = [&](__m256i integers) {
        const __m256i u = _mm256_castps_si256(_mm256_cvtepi32_ps(integers));
        if (sizeof(S) == 1) return u;
        const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), one);
        return _mm256_add_epi32(_mm256_add_epi32(u, tie), odd);
    };
    staged(stream, (uint16_t*)out, n, [&](uint64_t begin, uint16_t* to, uint64_t m) {
        in_groups<16>(x + begin, to, m, [&](const S* from, uint16_t* codes) {
            const __m256i w = load_words(from);
            const __m256i low = SIGNED ? _mm256_srai_epi32(_mm256_slli_epi32(w, 16), 16)
                                       : _mm256_and_si256(w, low16);
            const __m256i high = SIGNED ? _mm256_srai_epi32(w, 16) : _mm256_srli_epi32(w, 16);
            const __m256i a = _mm256_srli_epi32(rounded(low), 16);
            _mm256_storeu_si256((__m256i*)codes, _mm256_blend_epi16(a, rounded(high), 0xaa));
        });
    });
    return true;
}

}  // namespace
}  // namespace tc

#endif
