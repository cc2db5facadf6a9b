// What became of the values as a whole: how many are 0 and how many became 0, and whether all of them
// became one value.
//
// It is counted on the codes of a block that was just cast, which still lies in the cache: so it is
// the same for every kernel, and the kernels need not know of it.
#pragma once
#include "bits.hpp"

namespace tc {
namespace {

// The bits of a code that are 0 in a zero and in nothing else, for a format that has a zero.
TC_INLINE uint64_t zero_mask(const Row& row) {
    if (row.kind == Kind::Bool) return 0xff;  // every byte but 0 is true
    const uint64_t all = row.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << row.bits) - 1;
    const bool two_zeros = row.kind == Kind::Float && row.is_signed && row.nan != Nan::NegativeZero;
    return two_zeros ? all >> 1 : all;
}

template <class T>
TC_INLINE uint64_t count_zeros_of(const T* x, uint64_t n, T mask) {
    uint64_t count = 0, i = 0;
#if defined(TC_ZMM)
    const __m512i masks = sizeof(T) == 1   ? _mm512_set1_epi8((char)mask)
                          : sizeof(T) == 2 ? _mm512_set1_epi16((short)mask)
                          : sizeof(T) == 4 ? _mm512_set1_epi32((int)mask)
                                           : _mm512_set1_epi64((long long)mask);
    const auto zeros = [masks](const T* at) __attribute__((always_inline)) -> uint64_t {
        const __m512i v = _mm512_loadu_si512(at);
        if constexpr (sizeof(T) == 1) return _mm512_testn_epi8_mask(v, masks);
        if constexpr (sizeof(T) == 2) return _mm512_testn_epi16_mask(v, masks);
        if constexpr (sizeof(T) == 4) return _mm512_testn_epi32_mask(v, masks);
        return _mm512_testn_epi64_mask(v, masks);
    };
    constexpr uint64_t STEP = 64 / sizeof(T);
    for (; i + STEP <= n; i += STEP) count += (uint64_t)__builtin_popcountll(zeros(x + i));
#else
    typedef T V __attribute__((vector_size(32)));
    struct __attribute__((packed, may_alias)) Loose { V v; };
    constexpr uint64_t LANES = 32 / sizeof(T), MOST = 128 * LANES;  // a lane of 8 bits counts to 255
    while (i + LANES <= n) {
        const uint64_t end = n - i < MOST ? n : i + MOST;
        V found = {};
        for (; i + LANES <= end; i += LANES) found -= (V)((((const Loose*)(x + i))->v & mask) == 0);
        for (uint64_t k = 0; k < LANES; ++k) count += found[k];
    }
#endif
    for (; i < n; ++i) count += (x[i] & mask) == 0;
    return count;
}

// Zeros of either sign among n codes, not packed.
uint64_t count_zeros(FormatId id, const void* codes, uint64_t n) {
    const Row& row = ROWS[id];
    if (!ROWS[id].has_zero) return 0;
    const uint64_t mask = zero_mask(row);
    switch (row.container()) {
        case 1: return count_zeros_of((const uint8_t*)codes, n, (uint8_t)mask);
        case 2: return count_zeros_of((const uint16_t*)codes, n, (uint16_t)mask);
        case 4: return count_zeros_of((const uint32_t*)codes, n, (uint32_t)mask);
        default: return count_zeros_of((const uint64_t*)codes, n, mask);
    }
}

TC_INLINE uint64_t code_at(const void* codes, unsigned size, uint64_t i) {
    switch (size) {
        case 1: return ((const uint8_t*)codes)[i];
        case 2: return ((const uint16_t*)codes)[i];
        case 4: return ((const uint32_t*)codes)[i];
        default: return ((const uint64_t*)codes)[i];
    }
}

// A code that equal values share: both zeros have that of +0, all NaNs that of one.
TC_INLINE uint64_t plain_code(const Row& row, uint64_t code) {
    if (row.kind == Kind::Bool) return code != 0;
    code &= row.bits == 64 ? ~uint64_t{0} : (uint64_t{1} << row.bits) - 1;
    if (row.kind != Kind::Float) return code;
    const uint64_t sign = row.is_signed ? uint64_t{1} << (row.bits - 1) : 0, magnitude = code & ~sign;
    if (row.nan == Nan::Ieee && magnitude > row.infinity_code) return row.nan_code;
    if (row.nan == Nan::AllOnes && magnitude == row.nan_code) return row.nan_code;
    if (row.nan != Nan::NegativeZero && magnitude == 0) return 0;
    return code;
}

// Notes whether n > 0 codes, each of `parts` components, are all one value, and the one of before.
void note_values(const Row& row, const void* codes, uint64_t n, unsigned parts, OneValue* one) {
    const unsigned size = row.container(), step = parts * size;
    uint64_t first[2] = {};
    for (unsigned k = 0; k < parts; ++k) first[k] = plain_code(row, code_at(codes, size, k));
    one->add(first[0], first[1]);
    if (one->is_several() || __builtin_memcmp(codes, (const char*)codes + step, (n - 1) * step) == 0) return;
    for (uint64_t i = parts; i < n * parts; ++i) {
        if (plain_code(row, code_at(codes, size, i)) == first[i % parts]) continue;
        return one->set_several();
    }
}

// Whether every integer of the source is one of the target's.
TC_INLINE bool holds_integers(const Row& source, const Row& target) {
    return source.is_integer() && target.is_integer() && (target.is_signed || !source.is_signed) &&
           target.bits - target.is_signed >= source.bits - source.is_signed;
}

// Whether what became 0 is counted on the results: else it is what underflows, which is counted
// anyway, since no overflow gives a 0 in these formats; the results may then be out of the caches.
TC_INLINE bool counts_results(const Cast& cast) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    return target.has_zero && !(cast.full && target.kind == Kind::Float) &&
           !holds_integers(source, target);
}

// One block. NaNs that became 0 are among `n_to_zero` where results are counted. `n_underflow`: what
// became 0, where it is known that no overflow or NaN did; else UNKNOWN.
constexpr uint64_t UNKNOWN = ~uint64_t{0};
void count_collapse(const Cast& cast, const void* in, const void* codes, uint64_t n, Stats* s,
                    uint64_t n_underflow = UNKNOWN) {
    if (n == 0) return;
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    if (counts_results(cast) && n_underflow != UNKNOWN) {
        s->n_zero += count_zeros(cast.source, in, n);
        s->n_to_zero += n_underflow;
    } else if (counts_results(cast)) {
        const uint64_t after = count_zeros(cast.target, codes, n);
        const uint64_t before = after ? count_zeros(cast.source, in, n) : 0;  // a zero stays one
        s->n_zero += before;
        s->n_to_zero += after - before;
    } else {
        s->n_zero += count_zeros(cast.source, in, n);
    }
    if (target.bits > 8 || s->one_result.is_several()) return;
    note_values(target, codes, n, 1, &s->one_result);
    if (!s->one_result.is_several()) note_values(source, in, n, 1, &s->one_source);
}

}  // namespace
}  // namespace tc
