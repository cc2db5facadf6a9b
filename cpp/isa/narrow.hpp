// float32, float16 and bfloat16 to the floats of 16 bits or fewer, nearest even, in loops that the
// compiler vectorizes, for instruction sets without loops of their own: direct.hpp's contract.
#pragma once
#include "decode.hpp"

namespace tc {
namespace {

struct FromFloat32 {
    using Code = uint32_t;
    static TC_INLINE uint32_t load(uint32_t code) { return code; }
};
struct FromFloat16 {
    using Code = uint16_t;
    static TC_INLINE uint32_t load(uint16_t code) { return bits_of(decode_f16(code)); }
};
struct FromBfloat16 {
    using Code = uint16_t;
    static TC_INLINE uint32_t load(uint16_t code) { return (uint32_t)code << 16; }
};

// What the loop below needs of a target.
struct NarrowTarget {
    int m_bits, sign_shift;
    int32_t limit, least;  // float32: above every value of the range; the smallest normal
    int32_t last;          // code
    uint32_t sign_bit;

    TC_INLINE NarrowTarget(const Row& row)
        : m_bits(row.mantissa_bits), sign_shift(32 - row.bits), last((int32_t)row.max_code) {
        const int first = 127 + 1 - row.bias;
        limit = (first + 1 + (last >> m_bits)) << 23;
        least = first << 23;
        sign_bit = 1u << (row.bits - 1);
    }
};

// To formats with fewer exponents than float32. With E the exponent of a magnitude's binade, or of the
// smallest normal where that is larger, adding 2^(E + 23 - M) leaves a sum whose last place is the
// target's spacing, and whose lower half the rounded significand in units of it, hidden bit and all.
// False: a value is beyond the range, or a NaN.
template <class From, class Out, bool UNSIGNED_ZERO>
bool narrow(const typename From::Code* in, Out* out, uint64_t n, const Row& row) {
    const NarrowTarget t(row);
    const int drop = 23 - t.m_bits, sign_shift = t.sign_shift;
    const int32_t limit = t.limit, least = t.least, last = t.last;
    const uint32_t up = (uint32_t)drop << 23, sign_bit = t.sign_bit;
    int32_t room = 0;  // negative once a code was above the last
    for (uint64_t i = 0; i < n; ++i) {
        const uint32_t u = From::load(in[i]);
        int32_t a = (int32_t)(u & 0x7fffffffu);
        a = a < limit ? a : limit;
        int32_t e = a & 0x7f800000;
        e = e > least ? e : least;
        const float sum = float_of((uint32_t)a) + float_of((uint32_t)e + up);
        const uint32_t code = (bits_of(sum) & 0xffffu) + ((uint32_t)(e - least) >> drop);
        room |= last - (int32_t)code;
        uint32_t sign = (u >> sign_shift) & sign_bit;
        if constexpr (UNSIGNED_ZERO) sign = code ? sign : 0;
        out[i] = (Out)(code | sign);
    }
    return room >= 0;
}

// To bfloat16, which has them all.
template <class From>
bool narrow_to_bfloat16(const typename From::Code* in, uint16_t* out, uint64_t n) {
    int32_t room = 0;
    for (uint64_t i = 0; i < n; ++i) {
        const uint32_t u = From::load(in[i]);
        room |= 0x7f7f7fff - (int32_t)(u & 0x7fffffffu);
        out[i] = (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
    }
    return room >= 0;
}

}  // namespace
}  // namespace tc
