// Direct loops (direct.hpp) to wider elements where AVX2 written out beats what the compiler makes of
// a plain loop: results are made in registers, a line of memory at a time, and stored once.
#pragma once
#include "direct_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

struct Line {
    __m256i low, high;
};
TC_INLINE void stream_line(void* to, const Line& line) {
#if defined(TC_ZMM)
    _mm512_stream_si512((__m512i*)to, both(line.low, line.high));
#else
    _mm256_stream_si256((__m256i*)to, line.low);
    _mm256_stream_si256((__m256i*)to + 1, line.high);
    line_ends();
#endif
}
TC_INLINE void store_line(void* to, const Line& line) {
    _mm256_storeu_si256((__m256i*)to, line.low);
    _mm256_storeu_si256((__m256i*)to + 1, line.high);
}
#if defined(TC_ZMM)
TC_INLINE void stream_line(void* to, __m512i line) { _mm512_stream_si512((__m512i*)to, line); }
TC_INLINE void store_line(void* to, __m512i line) { _mm512_storeu_si512(to, line); }
#endif

// make(from, &seen) makes a line's elements of as many; the few before the first whole line and after
// the last one go through it in a copy filled up with zeros. Returns `seen`, which starts as zeros: it
// is handed on by value, since nothing in memory stays in a register past line_ends().
template <class S, class D, class Make>
TC_INLINE __m256i in_lines(const void* in, void* out, uint64_t n, bool stream, const Make& make) {
    constexpr uint64_t K = 64 / sizeof(D);
    const S* from = (const S*)in;
    D* to = (D*)out;
    __m256i seen = _mm256_setzero_si256();
    const auto few = [&make](const S* x, D* y, uint64_t m, __m256i any) {
        S rest[K] = {};
        __builtin_memcpy(rest, x, m * sizeof(S));
        const auto made = make(rest, &any);
        __builtin_memcpy(y, &made, m * sizeof(D));
        return any;
    };
    uint64_t i = stream ? ((0 - (uintptr_t)to) & 63) / sizeof(D) : 0;
    if (i > n) i = n;
    if (i) seen = few(from, to, i, seen);
    if (stream) {
        constexpr uint64_t LINES = sizeof(D) / sizeof(S);  // written to one read
        for (; n - i >= LINES * K; i += LINES * K) {
            read_ahead<true, 64>(from + i);
#pragma GCC unroll 8
            for (uint64_t k = i; k < i + LINES * K; k += K) stream_line(to + k, make(from + k, &seen));
        }
        for (; n - i >= K; i += K) stream_line(to + i, make(from + i, &seen));
    } else {
#pragma GCC unroll 4
        for (; n - i >= K; i += K) store_line(to + i, make(from + i, &seen));
    }
    if (i < n) seen = few(from + i, to + i, n - i, seen);
    return seen;
}

TC_INLINE __m128i load64(const void* p) { return _mm_loadl_epi64((const __m128i*)p); }
TC_INLINE __m128i load32(const void* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return _mm_cvtsi32_si128(bits);
}

// As many of S as there are of D in a register, extended as S is signed or not.
template <class S, class D>
TC_INLINE __m256i extend(const S* p) {
    constexpr bool SIGNED = signed_type<S>();
    constexpr unsigned FROM = sizeof(S), TO = sizeof(D);
    if constexpr (FROM == 1 && TO == 2)
        return SIGNED ? _mm256_cvtepi8_epi16(load128(p)) : _mm256_cvtepu8_epi16(load128(p));
    else if constexpr (FROM == 1 && TO == 4)
        return SIGNED ? _mm256_cvtepi8_epi32(load64(p)) : _mm256_cvtepu8_epi32(load64(p));
    else if constexpr (FROM == 1)
        return SIGNED ? _mm256_cvtepi8_epi64(load32(p)) : _mm256_cvtepu8_epi64(load32(p));
    else if constexpr (FROM == 2 && TO == 4)
        return SIGNED ? _mm256_cvtepi16_epi32(load128(p)) : _mm256_cvtepu16_epi32(load128(p));
    else if constexpr (FROM == 2)
        return SIGNED ? _mm256_cvtepi16_epi64(load64(p)) : _mm256_cvtepu16_epi64(load64(p));
    else if constexpr (TO == 4)
        return load256(p);
    else
        return SIGNED ? _mm256_cvtepi32_epi64(load128(p)) : _mm256_cvtepu32_epi64(load128(p));
}

TC_INLINE __m256i shift_right(__m256i x, int bits, unsigned size) {
    const __m128i count = _mm_cvtsi32_si128(bits);
    return size == 2   ? _mm256_srl_epi16(x, count)
           : size == 4 ? _mm256_srl_epi32(x, count)
                       : _mm256_srl_epi64(x, count);
}

// Integers to wider ones. S: signed as the source is. D: unsigned.
template <class S, class D>
bool widen_lines(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const auto make = [](const S* from, __m256i* seen) __attribute__((always_inline)) {
        const Line line{extend<S, D>(from), extend<S, D>(from + 32 / sizeof(D))};
        *seen = _mm256_or_si256(*seen, _mm256_or_si256(line.low, line.high));
        return line;
    };
    const __m256i seen = in_lines<S, D>(in, out, n, stream, make);
    return c.bits >= 64 || !any_set(shift_right(seen, c.bits, sizeof(D)));
}

// From bool, whose bytes that are not zero are 1.
template <class D>
bool from_bool_lines(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const __m256i one = sizeof(D) == 2   ? _mm256_set1_epi16((short)c.mask)
                        : sizeof(D) == 4 ? _mm256_set1_epi32((int)c.mask)
                                         : _mm256_set1_epi64x((long long)c.mask);
    const auto code = [one](const uint8_t* p) __attribute__((always_inline)) {
        const __m256i x = extend<uint8_t, D>(p), zero = _mm256_setzero_si256();
        const __m256i none = sizeof(D) == 2   ? _mm256_cmpeq_epi16(x, zero)
                             : sizeof(D) == 4 ? _mm256_cmpeq_epi32(x, zero)
                                              : _mm256_cmpeq_epi64(x, zero);
        return _mm256_andnot_si256(none, one);
    };
    in_lines<uint8_t, D>(in, out, n, stream, [code](const uint8_t* from, __m256i*) __attribute__((always_inline)) {
        return Line{code(from), code(from + 32 / sizeof(D))};
    });
    return true;
}

// Integers to float32, and int32 rounded to nearest.
template <class S>
bool integer_to_float_lines(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const auto floats = [](const S* p) __attribute__((always_inline)) {
        return _mm256_castps_si256(_mm256_cvtepi32_ps(extend<S, uint32_t>(p)));
    };
    in_lines<S, uint32_t>(in, out, n, stream, [floats](const S* from, __m256i*) __attribute__((always_inline)) {
        return Line{floats(from), floats(from + 8)};
    });
    return true;
}

// Four elements as float64.
TC_INLINE __m256d doubles(const int8_t* p) { return _mm256_cvtepi32_pd(_mm_cvtepi8_epi32(load32(p))); }
TC_INLINE __m256d doubles(const uint8_t* p) { return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(load32(p))); }
TC_INLINE __m256d doubles(const int16_t* p) { return _mm256_cvtepi32_pd(_mm_cvtepi16_epi32(load64(p))); }
TC_INLINE __m256d doubles(const uint16_t* p) {
    return _mm256_cvtepi32_pd(_mm_cvtepu16_epi32(load64(p)));
}
TC_INLINE __m256d doubles(const int32_t* p) { return _mm256_cvtepi32_pd(load128(p)); }
TC_INLINE __m256d doubles(const uint32_t* p) {  // in the mantissa of 2^52
    const __m256d large = _mm256_set1_pd(0x1p52);
    const __m256i u = _mm256_or_si256(_mm256_cvtepu32_epi64(load128(p)), _mm256_castpd_si256(large));
    return _mm256_sub_pd(_mm256_castsi256_pd(u), large);
}
TC_INLINE __m256d doubles(const float* p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
TC_INLINE __m256d doubles(const Half* p) { return _mm256_cvtps_pd(_mm_cvtph_ps(load64(p))); }
TC_INLINE __m256d doubles(const Brain* p) {
    return _mm256_cvtps_pd(_mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(load64(p)), 16)));
}

// To float64, exact. A NaN comes out quiet.
template <class S>
bool to_double_lines(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    in_lines<S, double>(in, out, n, stream, [](const S* from, __m256i*) __attribute__((always_inline)) {
        return Line{_mm256_castpd_si256(doubles(from)), _mm256_castpd_si256(doubles(from + 4))};
    });
    return true;
}

// float16 and bfloat16 to float32, exact. A NaN comes out quiet.
#if defined(TC_ZMM)
TC_INLINE __m512i floats(const Half* p) { return _mm512_castps_si512(_mm512_cvtph_ps(load256(p))); }
TC_INLINE __m512i floats(const Brain* p) {
    const __m512i u = _mm512_slli_epi32(_mm512_cvtepu16_epi32(load256(p)), 16);
    const __m512 y = _mm512_castsi512_ps(u);
    const __mmask16 nan = _mm512_cmp_ps_mask(y, y, _CMP_UNORD_Q);
    return _mm512_mask_or_epi32(u, nan, u, _mm512_set1_epi32(0x00400000));
}
#else
TC_INLINE __m256i floats8(const Half* p) { return _mm256_castps_si256(_mm256_cvtph_ps(load128(p))); }
TC_INLINE __m256i floats8(const Brain* p) {
    const __m256i u = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load128(p)), 16);
    const __m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(u, _mm256_set1_epi32(0x7fffffff)),
                                           _mm256_set1_epi32(0x7f800000));
    return _mm256_or_si256(u, _mm256_and_si256(nan, _mm256_set1_epi32(0x00400000)));
}
template <class S>
TC_INLINE Line floats(const S* p) { return Line{floats8(p), floats8(p + 8)}; }
#endif
template <class S>
bool to_float_lines(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    in_lines<S, uint32_t>(in, out, n, stream,
                          [](const S* from, __m256i*) __attribute__((always_inline)) { return floats(from); });
    return true;
}

template <class S>
DirectLoop widen_lines_to(unsigned size) {
    if constexpr (sizeof(S) < 2) {
        if (size == 2) return widen_lines<S, uint16_t>;
    }
    if constexpr (sizeof(S) < 4) {
        if (size == 4) return widen_lines<S, uint32_t>;
    }
    return size == 8 ? widen_lines<S, uint64_t> : nullptr;
}

// The loop of a source whose elements S carries; null where the target is no wider, or none of these.
template <class S>
DirectLoop lines_of_integer(const Row& target, FormatId to, bool nearest) {
    if (target.is_integer()) return target.container() > sizeof(S) ? widen_lines_to<S>(target.container()) : nullptr;
    if (to == F_float64) return to_double_lines<S>;
    if constexpr (sizeof(S) < 4 || signed_type<S>()) {
        if (to == F_float32 && (sizeof(S) < 4 || nearest)) return integer_to_float_lines<S>;
    }
    return nullptr;
}

DirectLoop from_bool_to_wider(const Row& target) {
    switch (target.container()) {
        case 2: return from_bool_lines<uint16_t>;
        case 4: return from_bool_lines<uint32_t>;
        case 8: return from_bool_lines<uint64_t>;
        default: return nullptr;
    }
}

DirectLoop to_wider(const Cast& cast) {
    const Row& target = ROWS[cast.target];
    const bool nearest = cast.rounding == Rounding::NearestEven;
    switch (cast.source) {
        case F_bool: return from_bool_to_wider(target);
        case F_int8: return lines_of_integer<int8_t>(target, cast.target, nearest);
        case F_uint8: return lines_of_integer<uint8_t>(target, cast.target, nearest);
        case F_int16: return lines_of_integer<int16_t>(target, cast.target, nearest);
        case F_uint16: return lines_of_integer<uint16_t>(target, cast.target, nearest);
        case F_int32: return lines_of_integer<int32_t>(target, cast.target, nearest);
        case F_uint32: return lines_of_integer<uint32_t>(target, cast.target, nearest);
        case F_float32: return cast.target == F_float64 ? to_double_lines<float> : nullptr;
        case F_float16:
            return cast.target == F_float64   ? to_double_lines<Half>
                   : cast.target == F_float32 ? to_float_lines<Half>
                                              : nullptr;
        case F_bfloat16:
            return cast.target == F_float64   ? to_double_lines<Brain>
                   : cast.target == F_float32 ? to_float_lines<Brain>
                                              : nullptr;
        default: return nullptr;
    }
}

}  // namespace
}  // namespace tc

#endif
