// Codes of 2, 4 and 6 bits to and from a little-endian bit stream, first element in the lowest bits.
#pragma once
#include "bits.hpp"

namespace tc {
namespace {

#if defined(__AVX2__)
// As many elements as whole vectors hold, a multiple of 128 or of 32; returns how many.
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
    } else {
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
    } else {
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

// out: one code per byte, high bits zero. n need not fill the last byte.
void unpack(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = unpack_avx2(bits, in, out, n);
    if (bits == 4) {
        for (; i + 2 <= n; i += 2) {
            const uint8_t b = in[i / 2];
            out[i] = b & 15;
            out[i + 1] = b >> 4;
        }
        if (i < n) out[i] = in[i / 2] & 15;
    } else if (bits == 2) {
        for (; i + 4 <= n; i += 4) {
            const uint8_t b = in[i / 4];
            out[i] = b & 3;
            out[i + 1] = (b >> 2) & 3;
            out[i + 2] = (b >> 4) & 3;
            out[i + 3] = b >> 6;
        }
        for (; i < n; ++i) out[i] = (in[i / 4] >> (2 * (i % 4))) & 3;
    } else {
        for (; i + 4 <= n; i += 4) {
            const uint8_t* b = in + i / 4 * 3;
            out[i] = b[0] & 63;
            out[i + 1] = (uint8_t)((b[0] >> 6 | b[1] << 2) & 63);
            out[i + 2] = (uint8_t)((b[1] >> 4 | b[2] << 4) & 63);
            out[i + 3] = b[2] >> 2;
        }
        for (; i < n; ++i) {
            const uint64_t bit = 6 * i, byte = bit / 8, offset = bit % 8;
            const unsigned two = in[byte] | (offset > 2 ? in[byte + 1] << 8 : 0);
            out[i] = (uint8_t)((two >> offset) & 63);
        }
    }
}

// in: one code per byte, high bits zero. Unused bits of the last byte come out zero.
void pack(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = pack_avx2(bits, in, out, n);
    if (bits == 4) {
        for (; i + 2 <= n; i += 2) out[i / 2] = (uint8_t)(in[i] | in[i + 1] << 4);
        if (i < n) out[i / 2] = in[i];
    } else if (bits == 2) {
        for (; i + 4 <= n; i += 4)
            out[i / 4] = (uint8_t)(in[i] | in[i + 1] << 2 | in[i + 2] << 4 | in[i + 3] << 6);
        if (i < n) {
            unsigned b = 0;
            for (uint64_t k = i; k < n; ++k) b |= (unsigned)in[k] << (2 * (k - i));
            out[i / 4] = (uint8_t)b;
        }
    } else {
        for (; i + 4 <= n; i += 4) {
            uint8_t* b = out + i / 4 * 3;
            b[0] = (uint8_t)(in[i] | in[i + 1] << 6);
            b[1] = (uint8_t)(in[i + 1] >> 2 | in[i + 2] << 4);
            b[2] = (uint8_t)(in[i + 2] >> 4 | in[i + 3] << 2);
        }
        unsigned stream = 0, held = 0;
        uint8_t* b = out + i / 4 * 3;
        for (; i < n; ++i) {
            stream |= (unsigned)in[i] << held;
            held += 6;
            for (; held >= 8; held -= 8, stream >>= 8) *b++ = (uint8_t)stream;
        }
        if (held) *b = (uint8_t)stream;
    }
}

}  // namespace
}  // namespace tc
