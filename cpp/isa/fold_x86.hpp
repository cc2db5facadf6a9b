// Answers of one byte to codes of 8 bits, of which few tell all there is: those of a window of magnitudes,
// where no code is flagged. Below and beyond the window each answers as its end does; negative codes
// have rows of their own. Fewer shuffles than a look-up among 256.
#pragma once
#include "narrow_x86.hpp"

namespace tc {
namespace {

struct Fold {
    // What is looked up: the code, its lower seven bits, or its absolute value as an int8.
    enum class By : uint8_t { Code, Low7, Absolute } by;
    int rows = 0;      // of sixteen, for each sign: 1, 2 or 4, or 8 and the signs by flip; 0: none fits
    uint8_t first;     // magnitude of the window
    uint8_t flip;      // rows == 8: of the answers to negative codes
    bool limited;      // flagged is what has a magnitude above the limit
    uint8_t limit;
    alignas(16) uint8_t positive[128], negative[64];

    static int magnitude(By by, int code) {
        return by == By::Code ? code : by == By::Low7 ? code & 0x7f : code < 128 ? code : 256 - code;
    }

    // `answers` and `flagged`, [256], which is zero where the answer counts.
    void make(const uint8_t* answers, const uint8_t* flagged) {
        rows = 0;
        for (int k = 0; k < 3; ++k) {
            Fold fold;
            fold.by = (By)k;
            if (fold.find(answers, flagged) && (!rows || fold.rows < rows)) *this = fold;
        }
    }

    bool find(const uint8_t* answers, const uint8_t* flagged) {
        // the answers that count, by sign and magnitude; -1: any will do
        int16_t wanted[2][256];
        for (int m = 0; m < 256; ++m) wanted[0][m] = wanted[1][m] = -1;
        int largest = -1, least_flagged = 256;
        for (int c = 0; c < 256; ++c) {
            const int m = magnitude(by, c);
            if (flagged[c]) {
                least_flagged = m < least_flagged ? m : least_flagged;
                continue;
            }
            largest = m > largest ? m : largest;
            wanted[by != By::Code && c >= 128][m] = answers[c];
        }
        if (largest < 0) return false;  // all are flagged: there is no limit that says so
        limited = largest < least_flagged;
        limit = (uint8_t)largest;
        // the window: from the last magnitude that all below agree with, to the first that all beyond do
        int begin = 255, end = 0;
        for (int sign = 0; sign < 2; ++sign) {
            const int16_t* w = wanted[sign];
            int b = 0, e = 255, at = -1, top = 0;
            for (; b < 256 && (w[b] < 0 || at < 0 || w[b] == at); ++b)
                if (w[b] >= 0) at = w[b];
            at = -1;
            for (; e >= 0 && (w[e] < 0 || at < 0 || w[e] == at); --e)
                if (w[e] >= 0) at = w[e], top = e;
            begin = b - 1 < begin ? b - 1 : begin;
            end = e >= 0 && top > end ? top : end;
        }
        if (end < begin) end = begin;
        const int width = end - begin + 1;
        rows = width <= 16 ? 1 : width <= 32 ? 2 : width <= 64 ? 4 : 8;
        if (width > 128) return false;
        if (begin > 256 - 16 * rows) begin = 256 - 16 * rows;
        first = (uint8_t)begin;
        flip = 0;
        for (int m = 255; m >= 0; --m)
            if (wanted[0][m] >= 0 && wanted[1][m] >= 0) flip = (uint8_t)(wanted[0][m] ^ wanted[1][m]);
        for (int k = 0; k < 16 * rows; ++k) {
            const int m = begin + k;
            const bool mirrors = rows == 8 && wanted[0][m] < 0 && wanted[1][m] >= 0;
            positive[k] = (uint8_t)(mirrors ? wanted[1][m] ^ flip : nearest(wanted[0], m));
            if (rows < 8) negative[k] = (uint8_t)nearest(wanted[1], m);
        }
        for (int c = 0; c < 256; ++c)
            if (!flagged[c] && answer(c) != answers[c]) return false;
        return true;
    }
    // The answer to a magnitude, or to the next one that has one: below the window, then above it.
    static int16_t nearest(const int16_t* wanted, int m) {
        for (int k = m; k >= 0; --k)
            if (wanted[k] >= 0) return wanted[k];
        for (int k = m; k < 256; ++k)
            if (wanted[k] >= 0) return wanted[k];
        return 0;
    }
    uint8_t answer(int code) const {
        const int m = magnitude(by, code), last = 16 * rows - 1;
        const int k = m < first ? 0 : m - first > last ? last : m - first;
        const bool is_negative = by != By::Code && code >= 128;
        if (rows == 8) return (uint8_t)(positive[k] ^ (is_negative ? flip : 0));
        return is_negative ? negative[k] : positive[k];
    }
};

#if defined(__AVX2__)
template <Fold::By BY, int ROWS>
struct FoldLookup {
    const __m256i low7 = constant8(0x7f);
    __m256i first, last, flip;
    const Fold& fold;

    TC_INLINE FoldLookup(const Fold& f)
        : first(constant8(f.first)), last(constant8(16 * ROWS - 1)), flip(constant8(f.flip)), fold(f) {}

    TC_INLINE __m256i magnitude(__m256i x) const {
        if constexpr (BY == Fold::By::Low7) return _mm256_and_si256(x, low7);
        if constexpr (BY == Fold::By::Absolute) return _mm256_abs_epi8(x);
        return x;
    }
    // Within the window k has no bit 7, which would make a shuffle give zero.
    static TC_INLINE __m256i rows_at(const uint8_t* rows, __m256i k) {
        const auto row = [&](int r) {
            const __m128i t = _mm_load_si128((const __m128i*)(rows + 16 * r));
            return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), k);
        };
        if constexpr (ROWS == 1) return row(0);
        const __m256i bit4 = _mm256_slli_epi16(k, 3);
        const auto two = [&](int r) { return _mm256_blendv_epi8(row(r), row(r + 1), bit4); };
        if constexpr (ROWS == 2) return two(0);
        const __m256i bit5 = _mm256_slli_epi16(k, 2);
        const auto four = [&](int r) { return _mm256_blendv_epi8(two(r), two(r + 2), bit5); };
        if constexpr (ROWS == 4) return four(0);
        return _mm256_blendv_epi8(four(0), four(4), _mm256_slli_epi16(k, 1));
    }
    TC_INLINE __m256i operator()(__m256i x, __m256i m) const {
        const __m256i k = _mm256_min_epu8(_mm256_subs_epu8(m, first), last);
        const __m256i y = rows_at(fold.positive, k);
        if constexpr (BY == Fold::By::Code) return y;
        if constexpr (ROWS == 8) {
            const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), x);
            return _mm256_xor_si256(y, _mm256_and_si256(negative, flip));
        } else {
            return _mm256_blendv_epi8(y, rows_at(fold.negative, k), x);
        }
    }
};

constexpr uint64_t FOLD_STRIDE = 256;  // codes between two looks at what is flagged

// The flagged codes as `ranges`, of which first(k) and span(k) tell; see Table. Returns how many codes
// were answered: none of those is flagged, and one of the next stride is, if any are left.
template <Fold::By BY, int ROWS, class Ranges>
uint64_t fold_codes(const Fold& fold, const Ranges& ranges, const uint8_t* in, uint8_t* out, uint64_t n) {
    const FoldLookup<BY, ROWS> look_up(fold);
    const __m256i limit = constant8(fold.limit), zero = _mm256_setzero_si256();
    const bool limited = fold.limited;
    const auto group = [&](const uint8_t* from, uint8_t* to, __m256i* flagged) {
        const __m256i x = _mm256_loadu_si256((const __m256i*)from), m = look_up.magnitude(x);
        *flagged = _mm256_or_si256(*flagged, limited ? _mm256_subs_epu8(m, limit) : ranges.found(x));
        _mm256_storeu_si256((__m256i*)to, look_up(x, m));
    };
    uint64_t i = 0;
    while (n - i >= 32) {
        const uint64_t left = (n - i) & ~uint64_t{31}, m = left < FOLD_STRIDE ? left : FOLD_STRIDE;
        __m256i flagged = zero;
        for (uint64_t k = i; k < i + m; k += 32) group(in + k, out + k, &flagged);
        if (any_set(flagged)) return i;
        i += m;
    }
    if (i < n) {
        uint8_t rest[32], codes[32];
        __builtin_memset(rest, in[i], sizeof rest);
        __builtin_memcpy(rest, in + i, n - i);
        __m256i flagged = zero;
        group(rest, codes, &flagged);
        if (any_set(flagged)) return i;
        __builtin_memcpy(out + i, codes, n - i);
    }
    return n;
}

template <Fold::By BY, class Ranges>
TC_INLINE uint64_t fold_by(const Fold& fold, const Ranges& ranges, const uint8_t* in, uint8_t* out, uint64_t n) {
    switch (fold.rows) {
        case 1: return fold_codes<BY, 1>(fold, ranges, in, out, n);
        case 2: return fold_codes<BY, 2>(fold, ranges, in, out, n);
        case 4: return fold_codes<BY, 4>(fold, ranges, in, out, n);
        default: return fold_codes<BY, 8>(fold, ranges, in, out, n);
    }
}

// As fold_codes.
template <class Ranges>
uint64_t apply_fold(const Fold& fold, const Ranges& ranges, const uint8_t* in, uint8_t* out, uint64_t n) {
    switch (fold.by) {
        case Fold::By::Code: return fold_by<Fold::By::Code>(fold, ranges, in, out, n);
        case Fold::By::Low7: return fold_by<Fold::By::Low7>(fold, ranges, in, out, n);
        default: return fold_by<Fold::By::Absolute>(fold, ranges, in, out, n);
    }
}
#endif

}  // namespace
}  // namespace tc
