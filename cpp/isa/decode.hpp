// Codes to a carrier: a block of float32 or float64 that holds every value exactly.
#pragma once
#include "bits.hpp"

namespace tc {
namespace {

// float32 bits of every code of a float of 8 bits or fewer; NaNs come out quiet. Codes of fewer
// than 8 bits are read from the low bits, whatever lies above them.
struct FloatTable {
    uint32_t bits[256];
};

constexpr uint32_t decode_small(const Row& row, uint32_t code) {
    const int m_bits = row.mantissa_bits, e_bits = row.exponent_bits;
    const uint32_t e_ones = (1u << e_bits) - 1, m_ones = (1u << m_bits) - 1;
    code &= (1u << row.bits) - 1;
    const uint32_t magnitude = code & ((1u << (e_bits + m_bits)) - 1);
    const uint32_t sign = row.is_signed ? (code >> (row.bits - 1)) << 31 : 0;
    const uint32_t e = magnitude >> m_bits, m = magnitude & m_ones;
    if (row.nan == Nan::NegativeZero && sign && magnitude == 0) return 0x7fc00000u;
    if (row.nan == Nan::AllOnes && e == e_ones && m == m_ones) return sign | 0x7fc00000u;
    if (row.nan == Nan::Ieee && e == e_ones)
        return sign | 0x7f800000u | (m ? 0x00400000u | m << (23 - m_bits) : 0);
    if (m_bits == 0) return e ? e << 23 : 0x00400000u;  // float8_e8m0fnu: 2^(e - 127)
    if (e != 0) return sign | (e + 127 - row.bias) << 23 | m << (23 - m_bits);
    if (m == 0) return sign;
    int top = m_bits - 1;  // subnormal: m * 2^(1 - bias - m_bits)
    while (!(m >> top)) --top;
    return sign | uint32_t(127 + 1 - row.bias - m_bits + top) << 23 |
           (m << (23 - top) & 0x007fffffu);
}

constexpr FloatTable table_of(const Row& row) {
    FloatTable table{};
    for (uint32_t code = 0; code < 256; ++code) table.bits[code] = decode_small(row, code);
    return table;
}

struct AllTables {
    FloatTable of[N_FORMATS];
};
constexpr AllTables all_tables() {
    AllTables all{};
    for (int i = 0; i < N_FORMATS; ++i)
        if (ROWS[i].kind == Kind::Float && ROWS[i].bits <= 8) all.of[i] = table_of(ROWS[i]);
    return all;
}
constexpr AllTables TABLES = all_tables();

TC_INLINE float decode_f16(uint16_t h) {
    // Shift into float32's fields; rebias; subnormals by an exact subtraction.
    const uint32_t sign = uint32_t(h & 0x8000u) << 16, a = uint32_t(h & 0x7fffu) << 13;
    const uint32_t normal = a + ((127u - 15u) << 23);
    const uint32_t special = (a + ((255u - 31u) << 23)) | (a > 0x0f800000u ? 0x00400000u : 0);
    const uint32_t tiny = bits_of(float_of(a + (113u << 23)) - float_of(113u << 23));
    const uint32_t r = a < 0x00800000u ? tiny : a >= 0x0f800000u ? special : normal;
    return float_of(r | sign);
}

TC_INLINE float decode_bf16(uint16_t b) {
    const uint32_t u = uint32_t(b) << 16;
    return float_of((u & 0x7fffffffu) > 0x7f800000u ? u | 0x00400000u : u);
}

TC_INLINE void decode_f16_block(const uint16_t* in, float* out, uint64_t n) {
    uint64_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(in + i))));
#endif
    for (; i < n; ++i) out[i] = decode_f16(in[i]);
}

template <class C, class T>
TC_INLINE void convert_block(const void* in, C* out, uint64_t n) {
    const T* x = (const T*)in;
    for (uint64_t i = 0; i < n; ++i) out[i] = (C)x[i];
}

// Whether a format fits the float32 carrier.
TC_INLINE constexpr bool fits_float(const Row& row) {
    if (row.kind == Kind::Bool) return true;
    return row.kind == Kind::Float ? row.bits <= 32 : row.bits <= 16;
}

// A code of fewer than 8 bits as int8 or uint8.
TC_INLINE int8_t sign_extend(uint8_t code, int bits) {
    return (int8_t)((int8_t)(code << (8 - bits)) >> (8 - bits));
}

// int64 and uint64 as float64 with the lowest bit sticky ("round to odd") where 53 bits do not
// suffice: rounding that to 40 bits or fewer equals rounding the integer once.
template <class T>
TC_INLINE double sticky_double(T x) {
    const bool negative = x < 0;
    const uint64_t a = negative ? 0 - (uint64_t)x : (uint64_t)x;
    const uint64_t low = (a & 0x7ff) != 0;
    const double d = a >> 53 ? (double)(int64_t)(a >> 11 | low) * 2048.0 : (double)(int64_t)a;
    return negative ? -d : d;
}

void decode_float(FormatId id, const void* in, float* out, uint64_t n) {
    const Row& row = ROWS[id];
    const uint8_t* bytes = (const uint8_t*)in;
    if (id == F_float32) {
        __builtin_memcpy(out, in, n * 4);
    } else if (id == F_float16) {
        decode_f16_block((const uint16_t*)in, out, n);
    } else if (id == F_bfloat16) {
        for (uint64_t i = 0; i < n; ++i) out[i] = decode_bf16(((const uint16_t*)in)[i]);
    } else if (row.kind == Kind::Float) {
        uint32_t* bits = (uint32_t*)__builtin_assume_aligned(out, 4);
        const uint32_t* table = TABLES.of[id].bits;
        for (uint64_t i = 0; i < n; ++i) bits[i] = table[bytes[i]];
    } else if (row.kind == Kind::Bool) {
        for (uint64_t i = 0; i < n; ++i) out[i] = bytes[i] ? 1.0f : 0.0f;
    } else if (id == F_int8) {
        convert_block<float, int8_t>(in, out, n);
    } else if (id == F_uint8) {
        convert_block<float, uint8_t>(in, out, n);
    } else if (id == F_int16) {
        convert_block<float, int16_t>(in, out, n);
    } else if (id == F_uint16) {
        convert_block<float, uint16_t>(in, out, n);
    } else if (row.kind == Kind::Int) {
        for (uint64_t i = 0; i < n; ++i) out[i] = (float)sign_extend(bytes[i], row.bits);
    } else {
        const uint8_t mask = (uint8_t)((1u << row.bits) - 1);
        for (uint64_t i = 0; i < n; ++i) out[i] = (float)(bytes[i] & mask);
    }
}

// sticky: see sticky_double; else int64 and uint64 are rounded to nearest.
void decode_double(FormatId id, const void* in, double* out, uint64_t n, bool sticky) {
    if (id == F_float64) {
        __builtin_memcpy(out, in, n * 8);
    } else if (id == F_int32) {
        convert_block<double, int32_t>(in, out, n);
    } else if (id == F_uint32) {
        convert_block<double, uint32_t>(in, out, n);
    } else if (id == F_int64) {
        const int64_t* x = (const int64_t*)in;
        if (sticky)
            for (uint64_t i = 0; i < n; ++i) out[i] = sticky_double(x[i]);
        else
            for (uint64_t i = 0; i < n; ++i) out[i] = (double)x[i];
    } else if (id == F_uint64) {
        const uint64_t* x = (const uint64_t*)in;
        if (sticky)
            for (uint64_t i = 0; i < n; ++i) out[i] = sticky_double(x[i]);
        else
            for (uint64_t i = 0; i < n; ++i) out[i] = (double)x[i];
    } else if (id == F_float32) {
        convert_block<double, float>(in, out, n);
    } else {
        float block[BLOCK];
        decode_float(id, in, block, n);
        for (uint64_t i = 0; i < n; ++i) out[i] = (double)block[i];
    }
}

TC_INLINE void decode(FormatId id, const void* in, float* out, uint64_t n) {
    decode_float(id, in, out, n);
}
TC_INLINE void decode(FormatId id, const void* in, double* out, uint64_t n) {
    decode_double(id, in, out, n, true);
}

}  // namespace
}  // namespace tc
