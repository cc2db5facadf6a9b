// Sources of 8 bits or fewer: one table of 256 answers per pair and policy, built once from the
// arithmetic kernels, applied to any number of elements. Statistics follow from a histogram.
#pragma once
#include "fold_x86.hpp"
#include "stats.hpp"
#include "widen_x86.hpp"

namespace tc {
namespace {

struct Answer {
    double value, error_squared, value_squared, error;
    uint8_t overflow, nan_lost, infinite, inexact, underflow, nan, inf, finite;
};

// One byte of the answer for each code.
struct Plane {
    alignas(64) uint8_t at[256];
    int rows;      // of 16: how many tell all there is
    uint8_t flip;  // rows == 8: at[c + 128] == at[c] ^ flip

    void finish(int source_bits) {
        rows = source_bits <= 4 ? 1 : source_bits <= 6 ? 4 : 8;
        flip = at[0] ^ at[128];
        for (int c = 0; rows == 8 && c < 128; ++c)
            if (at[c + 128] != (at[c] ^ flip)) rows = 16;
    }
};

struct Table {
    Plane code;       // 8-bit answers; bit 7 says flagged where the target has fewer than 8 bits
    Plane flagged;    // 0xff where the policy may object: overflow or a lost NaN
    Plane nan_lost;
    Plane low, high;  // the upper 16 bits of wider answers
    uint16_t code16[256];
    uint32_t code32[256];
    uint64_t code64[256];
    Answer answer[256];
    uint8_t mask;  // of a code's bits in its byte
    // The flagged codes as ranges [first, first + span], where there are few: cheaper than a lookup.
    static constexpr int MAX_RANGES = 3;
    int n_ranges;
    uint8_t range_first[MAX_RANGES], range_span[MAX_RANGES];

    // Called once `flagged` stands.
    void find_ranges() {
        n_ranges = 0;
        for (int c = 0; c < 256; ++c) {
            if (!flagged.at[c] || (c && flagged.at[c - 1])) continue;
            int end = c;
            while (end < 255 && flagged.at[end + 1]) ++end;
            if (n_ranges < MAX_RANGES) {
                range_first[n_ranges] = (uint8_t)c;
                range_span[n_ranges] = (uint8_t)(end - c);
            }
            ++n_ranges;
        }
    }
    bool any_flagged, any_overflow, any_nan_lost;
    bool flag_in_code;  // the target has a bit to spare
    Widening widening;
    Fold fold;          // of 8-bit answers
    bool two_planes;    // low and high hold all there is of the wide codes
    // What spares half of the rows of a plane, or more: the codes from 128 on, of negative numbers,
    // all answer 0; or each answers what saturating negation makes the answer of its positive; or
    // only 64 codes from `window` on, and 255, answer anything but what their neighbours do.
    enum class Shape : uint8_t { Full, ZeroBelow, Mirrored, Window } shape;
    uint8_t window;
    // 8-bit answers as steps: those of the codes from step_at[k] on differ by step_by[k].
    static constexpr int MAX_STEPS = 8;
    int n_steps;
    uint8_t step_at[MAX_STEPS], step_by[MAX_STEPS];

    // Called once code and code16 stand.
    void find_shape(bool integer16) {
        bool zero = integer16, mirrored = integer16;
        for (int c = 0; c < 128; ++c) {
            const int below = (int16_t)code16[c + 128], above = (int16_t)code16[c];
            zero &= below == 0;
            mirrored &= above == (below == -32768 ? 32767 : -below);
        }
        shape = zero ? Shape::ZeroBelow : mirrored ? Shape::Mirrored : Shape::Full;
        for (int first = 0; shape == Shape::Full && first <= 192; first += 16) {
            bool fits = true;
            for (int c = 0; c < first; ++c) fits &= code16[c] == code16[first];
            for (int c = first + 64; c < 255; ++c) fits &= code16[c] == code16[first + 63];
            if (!fits) continue;
            shape = Shape::Window;
            window = (uint8_t)first;
        }
        n_steps = 0;
        for (int c = 1; c < 256; ++c) {
            if (code.at[c] == code.at[c - 1]) continue;
            if (n_steps < MAX_STEPS) {
                step_at[n_steps] = (uint8_t)c;
                step_by[n_steps] = code.at[c] ^ code.at[c - 1];
            }
            ++n_steps;
        }
        if (mask != 0xff) n_steps = MAX_STEPS + 1;  // few rows anyway
    }
};

#if defined(__AVX512VBMI__)
TC_INLINE __m512i lookup64(const Plane& plane, __m512i x) {
    const __m512i low = _mm512_permutex2var_epi8(_mm512_load_si512(plane.at), x,
                                                 _mm512_load_si512(plane.at + 64));
    const __m512i high = _mm512_permutex2var_epi8(_mm512_load_si512(plane.at + 128), x,
                                                  _mm512_load_si512(plane.at + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}
#endif

#if defined(__AVX2__)
// 32 lookups: the low nibble picks within rows of 16, the bits above it pick the row by blends.
template <int ROWS>
TC_INLINE __m256i lookup32(const Plane& plane, __m256i x) {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi8(15));
    const auto row = [&](int r) {
        const __m128i t = _mm_load_si128((const __m128i*)(plane.at + 16 * r));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), low);
    };
    if constexpr (ROWS == 1) return row(0);
    const __m256i bit4 = _mm256_slli_epi16(x, 3), bit5 = _mm256_slli_epi16(x, 2);
    const auto four = [&](int r) {
        return _mm256_blendv_epi8(_mm256_blendv_epi8(row(r), row(r + 1), bit4),
                                  _mm256_blendv_epi8(row(r + 2), row(r + 3), bit4), bit5);
    };
    if constexpr (ROWS == 4) return four(0);
    const __m256i bit6 = _mm256_slli_epi16(x, 1);
    const __m256i half = _mm256_blendv_epi8(four(0), four(4), bit6);
    if constexpr (ROWS == 8) {
        const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), x);
        return _mm256_xor_si256(
            half, _mm256_and_si256(negative, _mm256_set1_epi8((char)plane.flip)));
    }
    return _mm256_blendv_epi8(half, _mm256_blendv_epi8(four(8), four(12), bit6), x);
}

// 32 lookups by bits 0 to 5, or 0 to 6, in 4 or 8 rows.
template <int ROWS>
TC_INLINE __m256i lookup_rows(const uint8_t* rows, __m256i x) {
    const __m256i low = _mm256_and_si256(x, _mm256_set1_epi8(15));
    const __m256i bit4 = _mm256_slli_epi16(x, 3), bit5 = _mm256_slli_epi16(x, 2);
    const auto row = [&](int r) {
        const __m128i t = _mm_load_si128((const __m128i*)(rows + 16 * r));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), low);
    };
    const auto four = [&](int r) {
        return _mm256_blendv_epi8(_mm256_blendv_epi8(row(r), row(r + 1), bit4),
                                  _mm256_blendv_epi8(row(r + 2), row(r + 3), bit4), bit5);
    };
    if constexpr (ROWS == 4) return four(0);
    return _mm256_blendv_epi8(four(0), four(4), _mm256_slli_epi16(x, 1));
}

template <int N>
struct Rows {
    static constexpr int ROWS = N;
};

// Calls body with the number of rows as a constant.
template <class Body>
TC_INLINE uint64_t with_rows(int rows, const Body& body) {
    switch (rows) {
        case 1: return body(Rows<1>{});
        case 4: return body(Rows<4>{});
        case 8: return body(Rows<8>{});
        default: return body(Rows<16>{});
    }
}

TC_INLINE int most(int a, int b) { return a > b ? a : b; }

TC_INLINE uint64_t count_signs(__m256i x) {
    return (uint64_t)__builtin_popcount((unsigned)_mm256_movemask_epi8(x));
}
#endif

#if defined(__AVX2__)
// How many of the flagged codes are in 32 elements.
template <int N = Table::MAX_RANGES>
struct Ranges {
    __m256i first[N], span[N];

    TC_INLINE Ranges(const Table& t) {
        for (int r = 0; r < N; ++r) {  // an unused range repeats the first
            const int k = r < t.n_ranges ? r : 0;
            first[r] = _mm256_set1_epi8((char)t.range_first[k]);
            span[r] = _mm256_set1_epi8((char)t.range_span[k]);
        }
    }
    TC_INLINE __m256i found(__m256i x) const {
        __m256i any = _mm256_setzero_si256();
        for (int r = 0; r < N; ++r) {
            const __m256i d = _mm256_sub_epi8(x, first[r]);
            any = _mm256_or_si256(any, _mm256_cmpeq_epi8(_mm256_min_epu8(d, span[r]), d));
        }
        return any;
    }
    TC_INLINE uint64_t count(__m256i x) const { return count_signs(found(x)); }
};
#endif

// How many elements have bit 7 set in a plane.
uint64_t count_in_plane(const Table& t, const Plane& plane, const uint8_t* in, uint64_t n) {
    uint64_t i = 0, count = 0;
#if defined(__AVX512VBMI__)
    for (; i + 64 <= n; i += 64)
        count += (uint64_t)__builtin_popcountll(
            _mm512_movepi8_mask(lookup64(plane, _mm512_loadu_si512(in + i))));
#elif defined(__AVX2__)
    const __m256i mask = _mm256_set1_epi8((char)t.mask);
    if (&plane == &t.flagged && t.n_ranges <= Table::MAX_RANGES) {
        const auto in_ranges = [&](const auto& ranges) {
            for (; i + 32 <= n; i += 32)
                count += ranges.count(
                    _mm256_and_si256(_mm256_loadu_si256((const __m256i*)(in + i)), mask));
        };
        if (t.n_ranges == 1)
            in_ranges(Ranges<1>(t));
        else if (t.n_ranges == 2)
            in_ranges(Ranges<2>(t));
        else
            in_ranges(Ranges<>(t));
    }
    count += with_rows(plane.rows, [&](auto k) {
        uint64_t found = 0;
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + i));
            found += count_signs(lookup32<decltype(k)::ROWS>(plane, _mm256_and_si256(x, mask)));
        }
        return found;
    });
#endif
    (void)t;
    for (; i < n; ++i) count += plane.at[in[i]] >> 7;
    return count;
}

// 8-bit answers. Returns how many flagged codes were seen. (Inlined, it would have too few registers.)
__attribute__((noinline)) uint64_t look_up_bytes(const Table& t, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = 0, n_flagged = 0;
    const uint8_t keep = t.flag_in_code ? 0x7f : 0xff;
#if defined(__AVX512VBMI__)
    const __m512i kept = _mm512_set1_epi8((char)keep);
    for (; i + 64 <= n; i += 64) {
        const __m512i x = _mm512_loadu_si512(in + i), y = lookup64(t.code, x);
        _mm512_storeu_si512(out + i, _mm512_and_si512(y, kept));
        if (t.any_flagged)
            n_flagged += (uint64_t)__builtin_popcountll(
                _mm512_movepi8_mask(t.flag_in_code ? y : lookup64(t.flagged, x)));
    }
#elif defined(__AVX2__)
    const __m256i mask = _mm256_set1_epi8((char)t.mask), kept = _mm256_set1_epi8((char)keep);
    const auto load = [&](uint64_t at) {
        return _mm256_and_si256(_mm256_loadu_si256((const __m256i*)(in + at)), mask);
    };
    if (t.any_flagged && !t.flag_in_code && t.n_ranges <= Table::MAX_RANGES)
        n_flagged = with_rows(t.code.rows, [&](auto k) {
            const Ranges<> ranges(t);
            uint64_t found = 0;
            for (; i + 32 <= n; i += 32) {
                const __m256i x = load(i);
                _mm256_storeu_si256((__m256i*)(out + i), lookup32<decltype(k)::ROWS>(t.code, x));
                found += ranges.count(x);
            }
            return found;
        });
    else if (t.any_flagged && !t.flag_in_code)
        n_flagged = with_rows(most(t.code.rows, t.flagged.rows), [&](auto k) {
            uint64_t found = 0;
            for (; i + 32 <= n; i += 32) {
                const __m256i x = load(i), y = lookup32<decltype(k)::ROWS>(t.code, x);
                _mm256_storeu_si256((__m256i*)(out + i), y);
                found += count_signs(lookup32<decltype(k)::ROWS>(t.flagged, x));
            }
            return found;
        });
    else if (t.code.rows == 16 && t.n_steps <= Table::MAX_STEPS) {
        __m256i at[Table::MAX_STEPS], by[Table::MAX_STEPS];
        const __m256i signs = _mm256_set1_epi8((char)0x80), start = _mm256_set1_epi8((char)t.code.at[0]);
        for (int k = 0; k < Table::MAX_STEPS; ++k) {  // an unused step changes nothing
            at[k] = _mm256_set1_epi8((char)(k < t.n_steps ? (t.step_at[k] ^ 0x80) - 1 : 127));
            by[k] = _mm256_set1_epi8((char)(k < t.n_steps ? t.step_by[k] : 0));
        }
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_xor_si256(load(i), signs);
            __m256i y = start;
            for (int k = 0; k < Table::MAX_STEPS; ++k)
                y = _mm256_xor_si256(y, _mm256_and_si256(_mm256_cmpgt_epi8(x, at[k]), by[k]));
            _mm256_storeu_si256((__m256i*)(out + i), _mm256_and_si256(y, kept));
            n_flagged += count_signs(y);
        }
    } else
        n_flagged = with_rows(t.code.rows, [&](auto k) {
            uint64_t found = 0;
            for (; i + 32 <= n; i += 32) {
                const __m256i y = lookup32<decltype(k)::ROWS>(t.code, load(i));
                _mm256_storeu_si256((__m256i*)(out + i), _mm256_and_si256(y, kept));
                found += count_signs(y);
            }
            return found;
        });
    if (!t.any_flagged) n_flagged = 0;
#endif
    for (; i < n; ++i) {
        out[i] = t.code.at[in[i]] & keep;
        n_flagged += t.flagged.at[in[i]] & 1;
    }
    return n_flagged;
}

uint64_t apply_bytes(const Table& t, const uint8_t* in, uint8_t* out, uint64_t n) {
#if defined(__AVX2__) && !defined(__AVX512VBMI__)
    if (t.fold.rows) {
        const uint64_t done = apply_fold(t.fold, Ranges<2>(t), in, out, n);
        in += done, out += done, n -= done;
    }
#endif
    return n ? look_up_bytes(t, in, out, n) : 0;
}

#if defined(__AVX2__)
TC_INLINE void store_upper(__m256i sixteen, uint32_t* out) {
    const __m128i lo = _mm256_castsi256_si128(sixteen), hi = _mm256_extracti128_si256(sixteen, 1);
    store32<false>(out, _mm256_slli_epi32(_mm256_cvtepu16_epi32(lo), 16));
    store32<false>(out + 8, _mm256_slli_epi32(_mm256_cvtepu16_epi32(hi), 16));
}

// Thirty-two answers of 16 bits, or of 32 whose lower half is zero (float32 of a narrow float), from
// their two planes.
template <class T>
TC_INLINE void store_planes(__m256i low, __m256i high, T* out) {
    const __m256i a = _mm256_unpacklo_epi8(low, high), b = _mm256_unpackhi_epi8(low, high);
    const __m256i first = _mm256_permute2x128_si256(a, b, 0x20);
    const __m256i second = _mm256_permute2x128_si256(a, b, 0x31);
    if constexpr (sizeof(T) == 2) {
        _mm256_storeu_si256((__m256i*)out, first);
        _mm256_storeu_si256((__m256i*)(out + 16), second);
    } else {
        store_upper(first, out);
        store_upper(second, out + 16);
    }
}

template <class T>
uint64_t apply_planes(const Table& t, const uint8_t* in, T* out, uint64_t n) {
    uint64_t i = 0;
#if defined(__AVX512VBMI__)
    for (; i + 64 <= n; i += 64) {
        const __m512i x = _mm512_loadu_si512(in + i);
        const __m512i low = lookup64(t.low, x), high = lookup64(t.high, x);
        store_planes(_mm512_castsi512_si256(low), _mm512_castsi512_si256(high), out + i);
        store_planes(_mm512_extracti64x4_epi64(low, 1), _mm512_extracti64x4_epi64(high, 1),
                     out + i + 32);
    }
#else
    const __m256i mask = _mm256_set1_epi8((char)t.mask), zero = _mm256_setzero_si256();
    const auto load = [&](uint64_t at) { return _mm256_loadu_si256((const __m256i*)(in + at)); };
    const int rows = most(t.low.rows, t.high.rows);
    if (rows == 16 && t.shape == Table::Shape::ZeroBelow) {
        for (; i + 32 <= n; i += 32) {
            const __m256i x = load(i), negative = _mm256_cmpgt_epi8(zero, x);
            store_planes(_mm256_andnot_si256(negative, lookup_rows<8>(t.low.at, x)),
                         _mm256_andnot_si256(negative, lookup_rows<8>(t.high.at, x)), out + i);
        }
        return i;
    }
    if (rows == 16 && t.shape == Table::Shape::Mirrored && sizeof(T) == 2) {
        for (; i + 32 <= n; i += 32) {
            const __m256i x = load(i), negative = _mm256_cmpgt_epi8(zero, x);
            const __m256i low = lookup_rows<8>(t.low.at + 128, x);
            const __m256i high = lookup_rows<8>(t.high.at + 128, x);
            const auto mirror = [&](__m256i y, __m256i sign) {
                return _mm256_blendv_epi8(_mm256_subs_epi16(zero, y), y, sign);
            };
            const __m256i a = mirror(_mm256_unpacklo_epi8(low, high),
                                     _mm256_unpacklo_epi8(negative, negative));
            const __m256i b = mirror(_mm256_unpackhi_epi8(low, high),
                                     _mm256_unpackhi_epi8(negative, negative));
            _mm256_storeu_si256((__m256i*)(out + i), _mm256_permute2x128_si256(a, b, 0x20));
            _mm256_storeu_si256((__m256i*)(out + i + 16), _mm256_permute2x128_si256(a, b, 0x31));
        }
        return i;
    }
    if (rows == 16 && t.shape == Table::Shape::Window && sizeof(T) == 2) {
        const __m256i first = _mm256_set1_epi8((char)t.window), last = _mm256_set1_epi8(63);
        const __m256i ones = _mm256_set1_epi8(-1);
        const __m256i low255 = _mm256_set1_epi8((char)t.low.at[255]);
        const __m256i high255 = _mm256_set1_epi8((char)t.high.at[255]);
        for (; i + 32 <= n; i += 32) {
            const __m256i x = load(i), is255 = _mm256_cmpeq_epi8(x, ones);
            const __m256i k = _mm256_min_epu8(_mm256_subs_epu8(x, first), last);
            store_planes(_mm256_blendv_epi8(lookup_rows<4>(t.low.at + t.window, k), low255, is255),
                         _mm256_blendv_epi8(lookup_rows<4>(t.high.at + t.window, k), high255, is255),
                         out + i);
        }
        return i;
    }
    with_rows(rows, [&](auto k) {
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_and_si256(load(i), mask);
            store_planes(lookup32<decltype(k)::ROWS>(t.low, x),
                         lookup32<decltype(k)::ROWS>(t.high, x), out + i);
        }
        return uint64_t{0};
    });
#endif
    return i;  // done
}
#endif

template <class T>
TC_INLINE uint64_t apply_wide(const Table& t, const T* table, const uint8_t* in, T* out, uint64_t n,
                              bool stream = false) {
    (void)stream;
    uint64_t i = 0;
#if defined(__AVX2__)
    if constexpr (sizeof(T) <= 4) {
        if (t.widening.fits)
            i = apply_widen(t.widening, stream, in, out, n);
        else if (t.two_planes)
            i = apply_planes(t, in, out, n);
    }
#endif
    for (; i < n; ++i) out[i] = table[in[i]];
    return t.any_flagged ? count_in_plane(t, t.flagged, in, n) : 0;
}

void histogram(const uint8_t* in, uint64_t n, uint32_t* counts) {
    uint32_t four[4][256] = {};
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; ++k) ++four[k][in[i + k]];
    for (; i < n; ++i) ++four[0][in[i]];
    for (int c = 0; c < 256; ++c) counts[c] += four[0][c] + four[1][c] + four[2][c] + four[3][c];
}

// The statistics of `counts[c]` elements of each code c.
void stats_of_histogram(const Table& t, const uint32_t* counts, bool full, Stats* s) {
    double error_squared = 0, value_squared = 0;
    for (int c = 0; c < 256; ++c) {
        const uint64_t k = counts[c];
        if (!k) continue;
        const Answer& a = t.answer[c];
        s->n_overflow += k * a.overflow;
        s->n_nan_lost += k * a.nan_lost;
        if (!full) {
            s->n_inf += k * a.infinite;
            continue;
        }
        s->n_inexact += k * a.inexact;
        s->n_underflow += k * a.underflow;
        s->n_nan += k * a.nan;
        s->n_inf += k * a.inf;
        s->n_finite += k * a.finite;
        if (!a.finite) continue;
        if (a.value < s->min) s->min = a.value;
        if (a.value > s->max) s->max = a.value;
        if (a.error > s->max_abs_error) s->max_abs_error = a.error;
        error_squared += (double)k * a.error_squared;
        value_squared += (double)k * a.value_squared;
    }
    s->sum_squared_error += error_squared;
    s->sum_squared += value_squared;
}

}  // namespace
}  // namespace tc
