// Codes of 1 to 7 bits to and from a little-endian bit stream: element i is the bits from i * bits on,
// counted from the lowest bit of the first byte.
#pragma once
#include "bits.hpp"

namespace tc {
namespace {

#if defined(__AVX2__)
// As many elements as whole vectors hold, a multiple of 128 or of 32; returns how many. The odd widths
// have no vectors.
uint64_t unpack_avx2(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = 0;
    if (bits == 4) {
        const __m256i mask = _mm256_set1_epi8(15);
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(in + i / 2)));
            const __m256i y = _mm256_or_si256(x, _mm256_slli_epi16(x, 4));
            _mm256_storeu_si256((__m256i*)(out + i), _mm256_and_si256(y, mask));
        }
    } else if (bits == 2) {
        const __m256i mask = _mm256_set1_epi8(3);
        for (; i + 32 <= n; i += 32) {
            __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)(in + i / 4)));
            x = _mm256_or_si256(x, _mm256_slli_epi32(x, 12));
            x = _mm256_or_si256(x, _mm256_slli_epi32(x, 6));
            _mm256_storeu_si256((__m256i*)(out + i), _mm256_and_si256(x, mask));
        }
    } else if (bits == 6) {
        // three bytes to a 32-bit lane: | . | c3 c2 | c2 c1 | c1 c0 |
        const __m256i spread = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
        for (; i + 40 <= n; i += 32) {  // the second load reads four bytes more than it uses
            const uint8_t* p = in + i / 4 * 3;
            const __m256i x = _mm256_shuffle_epi8(
                _mm256_set_m128i(_mm_loadu_si128((const __m128i*)(p + 12)),
                                 _mm_loadu_si128((const __m128i*)p)),
                spread);
            const auto field = [&](int shift, int mask) {
                return _mm256_and_si256(_mm256_slli_epi32(x, shift), _mm256_set1_epi32(mask));
            };
            const __m256i low = _mm256_or_si256(field(0, 0x3f), field(2, 0x3f00));
            const __m256i high = _mm256_or_si256(field(4, 0x3f0000), field(6, 0x3f000000));
            _mm256_storeu_si256((__m256i*)(out + i), _mm256_or_si256(low, high));
        }
    }
    return i;
}

uint64_t pack_avx2(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = 0;
    const auto load = [&](uint64_t at) { return _mm256_loadu_si256((const __m256i*)(in + at)); };
    if (bits == 4) {
        const __m256i weights = _mm256_set1_epi16(0x1001);  // 1, 16
        for (; i + 64 <= n; i += 64) {
            const __m256i a = _mm256_maddubs_epi16(load(i), weights);
            const __m256i b = _mm256_maddubs_epi16(load(i + 32), weights);
            _mm256_storeu_si256((__m256i*)(out + i / 2),
                                _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xd8));
        }
    } else if (bits == 2) {
        const __m256i pairs = _mm256_set1_epi16(0x0401);     // 1, 4
        const __m256i fours = _mm256_set1_epi32(0x00100001);  // 1, 16
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const auto four = [&](uint64_t at) {
            return _mm256_madd_epi16(_mm256_maddubs_epi16(load(at), pairs), fours);
        };
        for (; i + 128 <= n; i += 128) {
            const __m256i a = _mm256_packus_epi32(four(i), four(i + 32));
            const __m256i b = _mm256_packus_epi32(four(i + 64), four(i + 96));
            _mm256_storeu_si256((__m256i*)(out + i / 4),
                                _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order));
        }
    } else if (bits == 6) {
        const __m256i pairs = _mm256_set1_epi16(0x4001);      // 1, 64
        const __m256i fours = _mm256_set1_epi32(0x10000001);  // 1, 4096
        const __m256i squeeze = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
        const __m256i order = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
        for (; i + 32 <= n; i += 32) {
            const __m256i x = _mm256_madd_epi16(_mm256_maddubs_epi16(load(i), pairs), fours);
            const __m256i y =
                _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(x, squeeze), order);
            uint8_t* p = out + i / 4 * 3;  // 24 bytes
            _mm_storeu_si128((__m128i*)p, _mm256_castsi256_si128(y));
            _mm_storel_epi64((__m128i*)(p + 16), _mm256_extracti128_si256(y, 1));
        }
    }
    return i;
}
#else
TC_INLINE uint64_t unpack_avx2(int, const uint8_t*, uint8_t*, uint64_t) { return 0; }
TC_INLINE uint64_t pack_avx2(int, const uint8_t*, uint8_t*, uint64_t) { return 0; }
#endif

#if defined(__AVX2__)
using Words = uint64_t __attribute__((vector_size(32)));
#else
using Words = uint64_t __attribute__((vector_size(16)));
#endif
constexpr int N_WORDS = sizeof(Words) / 8;  // of eight elements each

// Eight codes, one to a byte, high bits zero, as 8 * bits bits: neighbours join, pairs, then fours.
template <class T>
TC_INLINE T join_eight(int bits, T x) {
    x = (x & 0x00ff00ff00ff00ffull) | (x & 0xff00ff00ff00ff00ull) >> (8 - bits);
    x = (x & 0x0000ffff0000ffffull) | (x & 0xffff0000ffff0000ull) >> (16 - 2 * bits);
    return (x & 0x00000000ffffffffull) | (x & 0xffffffff00000000ull) >> (32 - 4 * bits);
}

// The inverse, whatever lies above the 8 * bits bits.
template <class T>
TC_INLINE T part_eight(int bits, T x) {
    const uint64_t four = (1ull << 4 * bits) - 1;
    const uint64_t two = ((1ull << 2 * bits) - 1) * 0x0000000100000001ull;
    const uint64_t one = ((1ull << bits) - 1) * 0x0001000100010001ull;
    x = (x & four) | (x & four << 4 * bits) << (32 - 4 * bits);
    x = (x & two) | (x & two << 2 * bits) << (16 - 2 * bits);
    return (x & one) | (x & one << bits) << (8 - bits);
}

TC_INLINE uint64_t load8(const uint8_t* at) {
    uint64_t x;
    __builtin_memcpy(&x, at, 8);
    return x;
}
TC_INLINE void store8(uint8_t* at, uint64_t x) { __builtin_memcpy(at, &x, 8); }
TC_INLINE Words load_words(const uint8_t* at, int step) {
#if defined(__AVX2__)
    return Words{load8(at), load8(at + step), load8(at + 2 * step), load8(at + 3 * step)};
#else
    return Words{load8(at), load8(at + step)};
#endif
}

// out: one code per byte, high bits zero. n need not fill the last byte.
void unpack(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = unpack_avx2(bits, in, out, n);
    const uint8_t* at = in + i * bits / 8;
    const uint8_t* const end = in + (n * bits + 7) / 8;
    const int reach = (N_WORDS - 1) * bits + 8;  // of the words' loads and stores
    for (; i + 8 * N_WORDS <= n && end - at >= reach; i += 8 * N_WORDS, at += N_WORDS * bits) {
        const Words x = part_eight(bits, load_words(at, bits));
        __builtin_memcpy(out + i, &x, sizeof x);
    }
    for (; i < n; i += 8, at += bits) {  // byte by byte: eight may reach beyond the end
        uint64_t x = 0;
        for (int k = 0; k < bits && at + k < end; ++k) x |= (uint64_t)at[k] << 8 * k;
        x = part_eight(bits, x);
        for (uint64_t k = i; k < n && k < i + 8; ++k, x >>= 8) out[k] = (uint8_t)x;
    }
}

// in: one code per byte, high bits zero. Unused bits of the last byte come out zero.
void pack(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = pack_avx2(bits, in, out, n);
    uint8_t* at = out + i * bits / 8;
    uint8_t* const end = out + (n * bits + 7) / 8;
    const int reach = (N_WORDS - 1) * bits + 8;
    for (; i + 8 * N_WORDS <= n && end - at >= reach; i += 8 * N_WORDS, at += N_WORDS * bits) {
        Words x;
        __builtin_memcpy(&x, in + i, sizeof x);
        x = join_eight(bits, x);
        for (int k = 0; k < N_WORDS; ++k) store8(at + k * bits, x[k]);  // the next overwrites the excess
    }
    for (; i < n; i += 8, at += bits) {
        uint64_t x = 0;
        for (uint64_t k = i; k < n && k < i + 8; ++k) x |= (uint64_t)in[k] << 8 * (k - i);
        x = join_eight(bits, x);
        for (int k = 0; k < bits && at + k < end; ++k) at[k] = (uint8_t)(x >> 8 * k);
    }
}

}  // namespace
}  // namespace tc
