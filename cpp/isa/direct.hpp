// The pairs that one loop casts in a single pass when nothing is out of the ordinary: integers,
// bool, and floats to and from them. A loop answers whether every value was ordinary (in the range
// of the target, a number, exact where more would need care); if not, what it wrote is void, and
// the elements are cast again by the careful path, which counts.
//
// So no loop here has a policy: among ordinary values there is nothing to decide but the rounding.
// They are written for the compiler to vectorize on every instruction set.
#pragma once
#include "narrow.hpp"

namespace tc {
namespace {

// Keeps the compiler from moving one store past another, at no instruction. A line that is stored
// around the caches in two halves with other lines between them may leave the write-combining buffers
// half full, and then costs the memory ten times as much.
TC_INLINE void line_ends() { __asm__ volatile("" ::: "memory"); }

// dst[0 .. n) = src, around the caches, whole lines where dst is aligned to them.
TC_INLINE void stream_copy(void* dst, const void* src, uint64_t n) {
#if defined(__x86_64__)
    char* d = (char*)dst;
    const char* s = (const char*)src;
    const uint64_t head = (0 - (uintptr_t)d) & 63;
    if (head >= n) {
        __builtin_memcpy(d, s, n);
        return;
    }
    __builtin_memcpy(d, s, head);
    uint64_t i = head;
#if defined(__AVX512F__)
    for (; i + 64 <= n; i += 64) _mm512_stream_si512((__m512i*)(d + i), _mm512_loadu_si512(s + i));
#elif defined(__AVX__)
    for (; i + 64 <= n; i += 64) {
        const __m256i a = _mm256_loadu_si256((const __m256i*)(s + i));
        const __m256i b = _mm256_loadu_si256((const __m256i*)(s + i + 32));
        _mm256_stream_si256((__m256i*)(d + i), a);
        _mm256_stream_si256((__m256i*)(d + i + 32), b);
        line_ends();
    }
#else
    for (; i + 64 <= n; i += 64) {
        for (int k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i*)(d + i + k), _mm_loadu_si128((const __m128i*)(s + i + k)));
        line_ends();
    }
#endif
    __builtin_memcpy(d + i, s + i, n - i);
#else
    __builtin_memcpy(dst, src, n);
#endif
}

// One pass of n elements; false: some were not ordinary. `stream`: store around the caches.
struct Direct;
using DirectLoop = bool (*)(const Direct&, const void* in, void* out, uint64_t n, bool stream);

// A pair's loop and its constants, which `direct_for` finds.
struct Direct {
    DirectLoop loop = nullptr;
    // integers: x + bias has none but the lowest `bits` bits set
    uint64_t bias = 0, mask = ~uint64_t{0};
    int bits = 64;
    // floats to integers: above < x < below
    double above = 0, below = 0;
    const Row* target = nullptr;  // floats to narrow floats
    const void* table = nullptr;  // 8-bit floats to wider ones: a Table
    TC_INLINE constexpr Direct() {}
};

constexpr uint64_t STAGE = 128;  // bytes: short enough to read and write at the same time

// body(begin, to, m) makes m elements from `begin` on; staged in the first-level cache and stored
// around the caches where `stream`.
template <class D, class Body>
TC_INLINE void staged(bool stream, D* out, uint64_t n, const Body& body) {
    if (!stream) return body(0, out, n);
    constexpr uint64_t K = STAGE / sizeof(D);
    uint64_t i = ((0 - (uintptr_t)out) & 63) / sizeof(D);  // to the start of a line
    if (i > n) i = n;
    if (i) body(0, out, i);
    alignas(64) D stage[K];
    for (; n - i >= K; i += K) {
        body(i, stage, K);
        stream_copy(__builtin_assume_aligned(out + i, 64), stage, STAGE);
    }
    if (i < n) body(i, out + i, n - i);
}

// ---- the same format ----------------------------------------------------------------------------

template <unsigned SIZE>
bool copy_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    if (stream)
        stream_copy(out, in, n * SIZE);
    else
        __builtin_memcpy(out, in, n * SIZE);
    return true;
}

// ---- integers and bool --------------------------------------------------------------------------

template <class T>
TC_INLINE constexpr bool signed_type() { return T(-1) < T(0); }

// S: unsigned, of the width of the source's codes. D: no wider.
template <class S, class D>
bool truncate_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const S bias = (S)c.bias;
    const D mask = (D)c.mask;
    S seen = 0;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        S any = 0;
        const S* from = x + begin;
        for (uint64_t i = 0; i < m; ++i) {
            any |= (S)(from[i] + bias);
            to[i] = (D)((D)from[i] & mask);
        }
        seen |= any;
    });
    return c.bits >= 64 || (uint64_t)seen >> c.bits == 0;
}

// S: signed or unsigned as the source is. D: wider.
template <class S, class D>
bool widen_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    S seen = 0;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const S* from = x + begin;
        S any = 0;
        for (uint64_t i = 0; i < m; ++i) {
            any |= from[i];
            to[i] = (D)from[i];
        }
        seen |= any;
    });
    return c.bits >= 64 || (uint64_t)seen >> c.bits == 0;
}

// Packed codes to the same codes, n bytes of them; ordinary where no bit of mask is set, which tells
// signed from unsigned.
bool packed_loop(const Direct& c, const void* in, void* out, uint64_t n, bool) {
    const uint8_t* from = (const uint8_t*)in;
    uint8_t* to = (uint8_t*)out;
    uint8_t seen = 0;
    for (uint64_t i = 0; i < n; ++i) {
        seen |= from[i];
        to[i] = from[i];
    }
    return (seen & c.mask) == 0;
}

// To bool, from integers, and from floats less their sign.
template <class S>
bool to_bool_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const S mask = (S)c.mask;
    staged(stream, (uint8_t*)out, n, [&](uint64_t begin, uint8_t* to, uint64_t m) {
        const S* from = x + begin;
        for (uint64_t i = 0; i < m; ++i) to[i] = (from[i] & mask) != 0;
    });
    return true;
}

// To bool, from pairs of floats: true where either is not zero, whatever its sign.
template <class U>
bool pairs_to_bool_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const U* x = (const U*)in;
    staged(stream, (uint8_t*)out, n, [&](uint64_t begin, uint8_t* to, uint64_t m) {
        const U* from = x + 2 * begin;
        for (uint64_t i = 0; i < m; ++i) to[i] = (U)((from[2 * i] | from[2 * i + 1]) << 1) != 0;
    });
    return true;
}

// From bool, whose non-zero bytes are 1; mask: the code of 1.
template <class D>
bool from_bool_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const int8_t* x = (const int8_t*)in;
    const D one = (D)c.mask;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const int8_t* from = x + begin;
        for (uint64_t i = 0; i < m; ++i) to[i] = from[i] ? one : 0;
    });
    return true;
}

// ---- integers to floats -------------------------------------------------------------------------

// Exact, or rounded to nearest by the conversion itself.
template <class S, class D>
bool to_float_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const S* from = x + begin;
        for (uint64_t i = 0; i < m; ++i) to[i] = (D)from[i];
    });
    return true;
}

// int64 and uint64 as float64, rounded to nearest: the high half, as a multiple of 2^32 in the
// mantissa of 2^84, is exact; the low half is in the mantissa of 2^52; the one addition rounds.
template <bool SIGNED>
TC_INLINE double double_of_int64(uint64_t x) {
    const uint64_t u = SIGNED ? x ^ 0x8000000000000000ull : x;
    const double high = double_of(u >> 32 | bits_of(0x1p84));
    const double low = double_of((u & 0xffffffffull) | bits_of(0x1p52));
    return (high - (SIGNED ? 0x1p84 + 0x1p63 + 0x1p52 : 0x1p84 + 0x1p52)) + low;
}

// To float64 rounded to nearest; to float32 where float64 is exact, else not ordinary.
template <bool SIGNED, class D>
bool int64_to_float_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const uint64_t* x = (const uint64_t*)in;
    uint64_t seen = 0;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const uint64_t* from = x + begin;
        uint64_t any = 0;
        for (uint64_t i = 0; i < m; ++i) {
            if (sizeof(D) == 4) any |= SIGNED ? from[i] + (1ull << 53) : from[i];
            to[i] = (D)double_of_int64<SIGNED>(from[i]);
        }
        seen |= any;
    });
    return seen >> (SIGNED ? 54 : 53) == 0;
}

// ---- floats to integers -------------------------------------------------------------------------

TC_INLINE float carrier_of(float x) { return x; }
TC_INLINE double carrier_of(double x) { return x; }
// A NaN need not be quiet: it is not ordinary.
TC_INLINE float carrier_of(uint16_t bfloat16) { return float_of((uint32_t)bfloat16 << 16); }

// Toward zero, to 32 bits or fewer. S: float, double, or uint16_t for bfloat16.
template <class S, class D>
bool to_integer_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    using C = decltype(carrier_of(S()));
    using I = typename Bits<C>::I;
    const S* x = (const S*)in;
    const C above = (C)c.above, below = (C)c.below;
    const D mask = (D)c.mask;
    I ordinary = -1;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const S* from = x + begin;
        I all = -1;
        for (uint64_t i = 0; i < m; ++i) {
            const C v = carrier_of(from[i]);
            all &= (v > above) & (v < below) ? -1 : 0;
            to[i] = (D)((D)(int32_t)v & mask);
        }
        ordinary &= all;
    });
    return ordinary != 0;
}

// Toward zero, to 64 bits, where magnitudes are below 2^51: the mantissa of 1.5 * 2^52 + x holds x.
template <class S>
bool to_int64_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    const double above = c.above, below = c.below;
    int64_t ordinary = -1;
    staged(stream, (int64_t*)out, n, [&](uint64_t begin, int64_t* to, uint64_t m) {
        const S* from = x + begin;
        int64_t all = -1;
        for (uint64_t i = 0; i < m; ++i) {
            const double v = (double)carrier_of(from[i]);
            all &= (v > above) & (v < below) ? -1 : 0;
#if defined(__SSE4_1__)
            to[i] = (int64_t)(bits_of(__builtin_trunc(v) + 0x1.8p52) - bits_of(0x1.8p52));
#else
            to[i] = (int64_t)v;
#endif
        }
        ordinary &= all;
    });
    return ordinary != 0;
}

#if defined(__F16C__)
// The same from float16, whose decoding the compiler does not vectorize, by way of `loop`.
template <class D, DirectLoop LOOP>
bool half_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const uint16_t* x = (const uint16_t*)in;
    constexpr uint64_t K = 256;
    float block[K];
    bool ordinary = true;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        const uint16_t* from = x + begin;
        while (m) {
            const uint64_t k = m < K ? m : K;
            decode_f16_block<false>(from, block, k);
            ordinary &= LOOP(c, block, to, k, false);
            from += k, to += k, m -= k;
        }
    });
    return ordinary;
}
#endif

// ---- floats to floats ---------------------------------------------------------------------------

// float64 -> float32, nearest even; beyond the range, infinities and NaN are not ordinary.
bool double_to_float_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const double* x = (const double*)in;
    uint32_t top = 0;
    staged(stream, (uint32_t*)out, n, [&](uint64_t begin, uint32_t* to, uint64_t m) {
        const double* from = x + begin;
        uint32_t most = 0;
        for (uint64_t i = 0; i < m; ++i) {
            const uint32_t u = bits_of((float)from[i]), a = u & 0x7fffffffu;
            most = most > a ? most : a;
            to[i] = u;
        }
        top = top > most ? top : most;
    });
    return top < 0x7f800000u;
}

// To the floats of 16 bits or fewer, nearest even.
template <class From, class D, bool UNSIGNED_ZERO>
bool narrow_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const typename From::Code* x = (const typename From::Code*)in;
    bool ordinary = true;
    staged(stream, (D*)out, n, [&](uint64_t begin, D* to, uint64_t m) {
        ordinary &= narrow<From, D, UNSIGNED_ZERO>(x + begin, to, m, *c.target);
    });
    return ordinary;
}
template <class From>
bool narrow_to_bfloat16_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const typename From::Code* x = (const typename From::Code*)in;
    bool ordinary = true;
    staged(stream, (uint16_t*)out, n, [&](uint64_t begin, uint16_t* to, uint64_t m) {
        ordinary &= narrow_to_bfloat16<From>(x + begin, to, m);
    });
    return ordinary;
}

// To float64, from float32, or uint16_t for bfloat16: exact. A NaN comes out quiet.
template <class S>
bool float_to_double_loop(const Direct&, const void* in, void* out, uint64_t n, bool stream) {
    const S* x = (const S*)in;
    staged(stream, (double*)out, n, [&](uint64_t begin, double* to, uint64_t m) {
        const S* from = x + begin;
        for (uint64_t i = 0; i < m; ++i) to[i] = (double)carrier_of(from[i]);
    });
    return true;
}

// ---- which loop ---------------------------------------------------------------------------------

template <class S, class Signed>
DirectLoop integer_loop_to(const Row& target, bool is_signed) {
    switch (target.container()) {
        case 1:
            return truncate_loop<S, uint8_t>;
        case 2:
            if constexpr (sizeof(S) >= 2)
                return truncate_loop<S, uint16_t>;
            else
                return is_signed ? widen_loop<Signed, uint16_t> : widen_loop<S, uint16_t>;
        case 4:
            if constexpr (sizeof(S) >= 4)
                return truncate_loop<S, uint32_t>;
            else
                return is_signed ? widen_loop<Signed, uint32_t> : widen_loop<S, uint32_t>;
        default:
            if constexpr (sizeof(S) == 8)
                return truncate_loop<S, uint64_t>;
            else
                return is_signed ? widen_loop<Signed, uint64_t> : widen_loop<S, uint64_t>;
    }
}

Direct integer_to_integer(const Row& source, const Row& target) {
    Direct d;
    const bool narrows = target.bits < source.bits;
    if (narrows && source.is_signed && target.is_signed) {
        d.bias = 1ull << (target.bits - 1);
        d.bits = target.bits;
    } else if (source.is_signed && !target.is_signed) {
        d.bits = narrows ? target.bits : source.bits - 1;
    } else if (!source.is_signed && target.bits - target.is_signed < source.bits) {
        d.bits = target.bits - target.is_signed;
    }
    if (target.bits < 8) d.mask = (1u << target.bits) - 1;
    const bool is_signed = source.is_signed;
    switch (source.container()) {
        case 1: d.loop = integer_loop_to<uint8_t, int8_t>(target, is_signed); break;
        case 2: d.loop = integer_loop_to<uint16_t, int16_t>(target, is_signed); break;
        case 4: d.loop = integer_loop_to<uint32_t, int32_t>(target, is_signed); break;
        default: d.loop = integer_loop_to<uint64_t, int64_t>(target, is_signed);
    }
    return d;
}

Direct to_bool(const Row& source) {
    Direct d;
    if (source.kind == Kind::Float) d.mask = (1ull << (source.bits - 1)) - 1;
    switch (source.container()) {
        case 1: d.loop = to_bool_loop<uint8_t>; break;
        case 2: d.loop = to_bool_loop<uint16_t>; break;
        case 4: d.loop = to_bool_loop<uint32_t>; break;
        default: d.loop = to_bool_loop<uint64_t>;
    }
    return d;
}

Direct from_bool(const Row& target) {
    Direct d;
    d.mask = target.kind == Kind::Float ? (uint64_t)target.bias << target.mantissa_bits : 1;
    switch (target.container()) {
        case 1: d.loop = from_bool_loop<uint8_t>; break;
        case 2: d.loop = from_bool_loop<uint16_t>; break;
        case 4: d.loop = from_bool_loop<uint32_t>; break;
        default: d.loop = from_bool_loop<uint64_t>;
    }
    return d;
}

DirectLoop integer_to_float(FormatId source, FormatId target, bool nearest) {
    if (target == F_float64) switch (source) {
        case F_int8: return to_float_loop<int8_t, double>;
        case F_uint8: return to_float_loop<uint8_t, double>;
        case F_int16: return to_float_loop<int16_t, double>;
        case F_uint16: return to_float_loop<uint16_t, double>;
        case F_int32: return to_float_loop<int32_t, double>;
        case F_uint32: return to_float_loop<uint32_t, double>;
        case F_int64: return nearest ? int64_to_float_loop<true, double> : nullptr;
        case F_uint64: return nearest ? int64_to_float_loop<false, double> : nullptr;
        default: return nullptr;
    }
    if (target == F_float32) switch (source) {
        case F_int8: return to_float_loop<int8_t, float>;
        case F_uint8: return to_float_loop<uint8_t, float>;
        case F_int16: return to_float_loop<int16_t, float>;
        case F_uint16: return to_float_loop<uint16_t, float>;
        case F_int32: return nearest ? to_float_loop<int32_t, float> : nullptr;
        case F_int64: return nearest ? int64_to_float_loop<true, float> : nullptr;
        case F_uint64: return nearest ? int64_to_float_loop<false, float> : nullptr;
        default: return nullptr;
    }
    return nullptr;
}

template <class S>
DirectLoop to_integer_of(const Row& target) {
    switch (target.container()) {
        case 1: return to_integer_loop<S, uint8_t>;
        case 2: return to_integer_loop<S, uint16_t>;
        case 4: return target.is_signed ? to_integer_loop<S, uint32_t> : nullptr;
        default: return to_int64_loop<S>;
    }
}

Direct float_to_integer(const Row& source, const Row& target) {
    Direct d;
    if (target.bits < 8) d.mask = (1u << target.bits) - 1;
    d.bits = target.bits;
    d.below = target.bits == 64 ? 0x1p51 : (double)target.max_code + 1;
    d.above = !target.is_signed ? -1 : target.bits == 64 ? -0x1p51 : -(double)(target.max_code + 2);
    if (source.bits == 64) {
        d.loop = to_integer_of<double>(target);
    } else if (source.bits == 32) {
        if (target.bits == 32) d.above = -0x1.000002p31;  // float32's next number below -2^31
        d.loop = to_integer_of<float>(target);
    } else if (source.bits == 16 && source.exponent_bits == 8) {
        if (target.bits == 32) d.above = -0x1.000002p31;
        d.loop = to_integer_of<uint16_t>(target);
    }
#if defined(__F16C__)
    else if (source.bits == 16) {
        switch (target.container()) {
            case 1: d.loop = half_loop<uint8_t, to_integer_loop<float, uint8_t>>; break;
            case 2: d.loop = half_loop<uint16_t, to_integer_loop<float, uint16_t>>; break;
            case 4:
                if (target.is_signed) d.loop = half_loop<uint32_t, to_integer_loop<float, uint32_t>>;
                break;
            default: d.loop = half_loop<uint64_t, to_int64_loop<float>>;
        }
    }
#endif
    return d;
}

template <class From>
DirectLoop narrow_of(FormatId target) {
    const Row& row = ROWS[target];
    if (target == F_bfloat16) return narrow_to_bfloat16_loop<From>;
    if (row.bits == 16) return narrow_loop<From, uint16_t, false>;
    if (row.mantissa_bits == 0) return nullptr;
    if (row.nan == Nan::NegativeZero) return narrow_loop<From, uint8_t, true>;
    return narrow_loop<From, uint8_t, false>;
}

}  // namespace
}  // namespace tc
