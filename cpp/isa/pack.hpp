// Codes of 2, 4 and 6 bits to and from a little-endian bit stream, first element in the lowest bits.
#pragma once
#include "bits.hpp"

namespace tc {
namespace {

// out: one code per byte, high bits zero. n need not fill the last byte.
void unpack(int bits, const uint8_t* in, uint8_t* out, uint64_t n) {
    uint64_t i = 0;
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
    uint64_t i = 0;
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
