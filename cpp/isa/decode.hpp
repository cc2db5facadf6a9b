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

template <bool STREAM>
TC_INLINE void decode_f16_block(const uint16_t* in, float* out, uint64_t n) {
    uint64_t i = 0;
#if defined(TC_ZMM)
    for (; i + 32 <= n; i += 32) {
        if (STREAM) _mm_prefetch((const char*)(in + i) + READ_AHEAD, _MM_HINT_T0);
        for (uint64_t k = i; k < i + 32; k += 16) {
            const __m512 y = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)(in + k)));
            STREAM ? _mm512_stream_ps(out + k, y) : _mm512_storeu_ps(out + k, y);
        }
    }
#endif
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8) {
        if (STREAM) _mm_prefetch((const char*)(in + i) + READ_AHEAD, _MM_HINT_T0);
        const __m256 y = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(in + i)));
        STREAM ? _mm256_stream_ps(out + i, y) : _mm256_storeu_ps(out + i, y);
    }
#endif
    for (; i < n; ++i) out[i] = decode_f16(in[i]);
}

template <bool STREAM>
TC_INLINE void decode_bf16_block(const uint16_t* in, float* out, uint64_t n) {
    uint64_t i = 0;
#if defined(TC_ZMM)
    for (; i + 32 <= n; i += 32) {
        if (STREAM) _mm_prefetch((const char*)(in + i) + READ_AHEAD, _MM_HINT_T0);
        for (uint64_t k = i; k < i + 32; k += 16) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(in + k));
            const __m512i u = _mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16);
            const __m512 y = _mm512_castsi512_ps(u);
            const __mmask16 nan = _mm512_cmp_ps_mask(y, y, _CMP_UNORD_Q);
            const __m512 quiet =
                _mm512_castsi512_ps(_mm512_mask_or_epi32(u, nan, u, _mm512_set1_epi32(0x00400000)));
            STREAM ? _mm512_stream_ps(out + k, quiet) : _mm512_storeu_ps(out + k, quiet);
        }
    }
#endif
#if defined(__AVX2__)
    const __m256i abs = _mm256_set1_epi32(0x7fffffff), infinity = _mm256_set1_epi32(0x7f800000);
    const __m256i quiet = _mm256_set1_epi32(0x00400000);
    for (; i + 8 <= n; i += 8) {
        if (STREAM) _mm_prefetch((const char*)(in + i) + READ_AHEAD, _MM_HINT_T0);
        const __m256i u = _mm256_slli_epi32(
            _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)(in + i))), 16);
        const __m256i nan = _mm256_cmpgt_epi32(_mm256_and_si256(u, abs), infinity);
        const __m256 y = _mm256_castsi256_ps(_mm256_or_si256(u, _mm256_and_si256(nan, quiet)));
        STREAM ? _mm256_stream_ps(out + i, y) : _mm256_storeu_ps(out + i, y);
    }
#endif
    for (; i < n; ++i) out[i] = decode_bf16(in[i]);
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

#if defined(__AVX2__)
// Unsigned integers below 2^53 as float64, exactly: two halves as mantissas of 2^52 and 2^84.
TC_INLINE __m256d exact_double(__m256i u) {
    const __m256i low =
        _mm256_blend_epi32(u, _mm256_castpd_si256(_mm256_set1_pd(0x1p52)), 0xaa);
    const __m256i high =
        _mm256_or_si256(_mm256_srli_epi64(u, 32), _mm256_castpd_si256(_mm256_set1_pd(0x1p84)));
    const __m256d h = _mm256_sub_pd(_mm256_castsi256_pd(high), _mm256_set1_pd(0x1p84 + 0x1p52));
    return _mm256_add_pd(h, _mm256_castsi256_pd(low));
}

// int64 and uint64 to float64, sticky beyond 53 bits, as decode.hpp's sticky_double.
template <bool SIGNED>
uint64_t sticky_doubles(const uint64_t* in, double* out, uint64_t n) {
    const __m256i zero = _mm256_setzero_si256(), low_bits = _mm256_set1_epi64x(0x7ff);
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256i x = _mm256_loadu_si256((const __m256i*)(in + i));
        const __m256i negative = SIGNED ? _mm256_cmpgt_epi64(zero, x) : zero;
        const __m256i a = _mm256_sub_epi64(_mm256_xor_si256(x, negative), negative);
        const __m256i top = _mm256_srli_epi64(a, 53);
        const __m256i fits = _mm256_cmpeq_epi64(top, zero);
        __m256d d = exact_double(_mm256_and_si256(a, fits));
        if (__builtin_expect(!_mm256_testc_si256(fits, _mm256_set1_epi64x(-1)), 0)) {
            const __m256i none = _mm256_cmpeq_epi64(_mm256_and_si256(a, low_bits), zero);
            const __m256i odd = _mm256_andnot_si256(none, _mm256_set1_epi64x(1));
            const __m256i shifted = _mm256_or_si256(_mm256_srli_epi64(a, 11), odd);
            const __m256d big = _mm256_mul_pd(exact_double(shifted), _mm256_set1_pd(2048.0));
            d = _mm256_blendv_pd(big, d, _mm256_castsi256_pd(fits));
        }
        const __m256i sign = _mm256_slli_epi64(negative, 63);
        _mm256_storeu_pd(out + i, _mm256_or_pd(d, _mm256_castsi256_pd(sign)));
    }
    return i;  // done
}

// int64 and uint64 to float64, rounded to nearest: the high half is exact, the one addition rounds.
template <bool SIGNED>
uint64_t nearest_doubles(const uint64_t* in, double* out, uint64_t n) {
    // int64: bias by 2^63 to unsigned, and take 2^63 off again with the high half
    const __m256i flip = _mm256_set1_epi64x(SIGNED ? (long long)0x8000000000000000ull : 0);
    const __m256d offset =
        _mm256_set1_pd(SIGNED ? 0x1p84 + 0x1p52 + 0x1p63 : 0x1p84 + 0x1p52);
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const __m256i u =
            _mm256_xor_si256(_mm256_loadu_si256((const __m256i*)(in + i)), flip);
        const __m256i low =
            _mm256_blend_epi32(u, _mm256_castpd_si256(_mm256_set1_pd(0x1p52)), 0xaa);
        const __m256i high =
            _mm256_or_si256(_mm256_srli_epi64(u, 32), _mm256_castpd_si256(_mm256_set1_pd(0x1p84)));
        const __m256d h = _mm256_sub_pd(_mm256_castsi256_pd(high), offset);
        _mm256_storeu_pd(out + i, _mm256_add_pd(h, _mm256_castsi256_pd(low)));
    }
    return i;
}

#endif

void decode_float(FormatId id, const void* in, float* out, uint64_t n) {
    const Row& row = ROWS[id];
    const uint8_t* bytes = (const uint8_t*)in;
    if (id == F_float32) {
        __builtin_memcpy(out, in, n * 4);
    } else if (id == F_float16) {
        decode_f16_block<false>((const uint16_t*)in, out, n);
    } else if (id == F_bfloat16) {
        decode_bf16_block<false>((const uint16_t*)in, out, n);
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

template <class T>
TC_INLINE void decode_wide_tail(const T* in, double* out, uint64_t n, bool sticky) {
    for (uint64_t i = 0; i < n; ++i) out[i] = sticky ? sticky_double(in[i]) : (double)in[i];
}

void decode_wide(const void* in, double* out, uint64_t n, bool is_signed, bool sticky) {
    uint64_t done = 0;
    const uint64_t* x = (const uint64_t*)in;
#if defined(__AVX2__)
    if (is_signed)
        done = sticky ? sticky_doubles<true>(x, out, n) : nearest_doubles<true>(x, out, n);
    else
        done = sticky ? sticky_doubles<false>(x, out, n) : nearest_doubles<false>(x, out, n);
#endif
    if (is_signed)
        decode_wide_tail((const int64_t*)x + done, out + done, n - done, sticky);
    else
        decode_wide_tail(x + done, out + done, n - done, sticky);
}

// sticky: see sticky_double; else int64 and uint64 are rounded to nearest.
void decode_double(FormatId id, const void* in, double* out, uint64_t n, bool sticky) {
    if (id == F_float64) {
        __builtin_memcpy(out, in, n * 8);
    } else if (id == F_int32) {
        convert_block<double, int32_t>(in, out, n);
    } else if (id == F_uint32) {
        convert_block<double, uint32_t>(in, out, n);
    } else if (id == F_int64 || id == F_uint64) {
        decode_wide(in, out, n, id == F_int64, sticky);
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
