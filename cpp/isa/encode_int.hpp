// A carrier block, or an integer block, to the codes of an integer format or of bool.
#pragma once
#include "wide_x86.hpp"

namespace tc {
namespace {

template <class U>
struct IntTarget {
    U negative_limit, positive_limit;  // magnitudes of the most negative and most positive value
    U mask;                            // of the code's bits within its container

    TC_INLINE IntTarget(const Row& row)
        : negative_limit(row.is_signed ? (U)1 << (row.bits - 1) : 0),
          positive_limit((U)row.max_code),
          mask(row.bits >= 64 ? ~(U)0 : (U)(((U)1 << (row.bits < 8 * sizeof(U) ? row.bits : 0)) - 1)) {}
};

// Rounds significand * 2^-shift to an integer magnitude, by shifts alone, so that wrapping is exact
// however large the value. Narrow formats use float32, 32 and 64 bits use float64.
template <class C, Rounding R, bool WRAP, class Out>
uint64_t encode_int_loop(const C* in, Out* out, uint64_t n, const IntTarget<typename Bits<C>::U>& t,
                         Draw draw) {
    using B = Bits<C>;
    using U = typename B::U;
    using I = typename B::I;
    constexpr I most_left = B::WIDTH - B::M - 1;  // significand << this still fits
    const U positive = t.positive_limit, minus = t.negative_limit, mask = t.mask;
    U n_overflow = 0;
    for (uint64_t i = 0; i < n; ++i) {
        const U u = bits_of(in[i]), a = u & B::ABS, negative = u >> (B::WIDTH - 1);
        const U field = a >> B::M, normal = field != 0;
        const U significand = (a & B::FRACTION) | (normal << B::M);
        const I shift = B::M + B::BIAS - (I)(field + 1 - normal);  // > 0: to the right
        const U left = (U)(shift < 0 ? -shift : 0);
        U q;
        if constexpr (R == Rounding::Stochastic) {
            q = shift <= 0 ? significand : shift < B::WIDTH ? significand >> shift : 0;
            if (shift > 0) q += (U)stochastic_up(significand, (uint64_t)shift, draw(i));
        } else {
            const U right = (U)(shift < 1 ? 1 : shift > B::M + 2 ? B::M + 2 : shift);
            const U add = rounding_add<R, U>(significand, right, negative);
            q = shift > 0 ? (significand + add) >> right : significand;
        }
        const U wide = left < (U)B::WIDTH ? q << (left & (B::WIDTH - 1)) : 0;
        const U limit = negative ? minus : positive;
        const bool special = (I)a >= (I)B::INF, nan = (I)a > (I)B::INF;
        const bool over = (I)left > most_left || wide > limit;
        n_overflow += (U)(over && !nan);
        const U magnitude = WRAP && !special ? wide : over ? limit : wide;
        const U r = nan ? 0 : negative ? 0 - magnitude : magnitude;
        out[i] = (Out)(r & mask);
    }
    return n_overflow;
}

#if defined(__AVX2__)
// Thirty-two float32 to integers of 16 bits or fewer; false, and nothing stored, if one is out of range
// or a NaN: the conversion makes -2^31 of what 32 bits do not hold. In range, a value plus the bias
// has no bits but the target's, is packed as such, and loses the bias after that.
template <Rounding R, bool STREAM, class Out>
struct ToNarrowInt {
    __m256i bias, narrow_bias, beyond, mask;

    TC_INLINE ToNarrowInt(const Row& row, uint32_t kept) {
        const int offset = row.is_signed ? 1 << (row.bits - 1) : 0, above = (int)~((1u << row.bits) - 1);
        bias = sizeof(Out) == 1 ? constant16(offset) : constant32(offset);
        narrow_bias = sizeof(Out) == 1 ? constant8(offset) : constant16(offset);
        beyond = sizeof(Out) == 1 ? constant16(above) : constant32(above);
        mask = constant8((int)kept);
    }
    static TC_INLINE __m256i eight(const float* in) {
        const __m256 x = _mm256_loadu_ps(in);
        if constexpr (R == Rounding::NearestEven) return _mm256_cvtps_epi32(x);  // see FloatEnvironment
        return _mm256_cvttps_epi32(R == Rounding::TowardZero ? x : _mm256_round_ps(x, ROUND_MODE<R>));
    }
    TC_INLINE bool operator()(const float* in, Out* out) const {
        const __m256i a = eight(in), b = eight(in + 8), c = eight(in + 16), d = eight(in + 24);
        if constexpr (sizeof(Out) == 1) {
            const __m256i x = _mm256_add_epi16(_mm256_packs_epi32(a, b), bias);
            const __m256i y = _mm256_add_epi16(_mm256_packs_epi32(c, d), bias);
            if (__builtin_expect(!_mm256_testz_si256(_mm256_or_si256(x, y), beyond), 0)) return false;
            const __m256i code = _mm256_sub_epi8(_mm256_packus_epi16(x, y), narrow_bias);
            store32<STREAM>(out, in_order(_mm256_and_si256(code, mask)));
        } else {
            const __m256i x0 = _mm256_add_epi32(a, bias), x1 = _mm256_add_epi32(b, bias);
            const __m256i y0 = _mm256_add_epi32(c, bias), y1 = _mm256_add_epi32(d, bias);
            const __m256i seen = _mm256_or_si256(_mm256_or_si256(x0, x1), _mm256_or_si256(y0, y1));
            if (__builtin_expect(!_mm256_testz_si256(seen, beyond), 0)) return false;
            store32<STREAM>(out, _mm256_sub_epi16(pack32(x0, x1), narrow_bias));
            store32<STREAM>(out + 16, _mm256_sub_epi16(pack32(y0, y1), narrow_bias));
        }
        return true;
    }
};

#if defined(TC_ZMM)
// The same of sixty-four, to integers of 8 bits or fewer.
template <Rounding R, bool STREAM>
struct ToByteIntZmm {
    __m512i bias, narrow_bias, beyond, mask;

    TC_INLINE ToByteIntZmm(const Row& row, uint32_t kept) {
        const int offset = row.is_signed ? 1 << (row.bits - 1) : 0;
        bias = _mm512_set1_epi16((short)offset);
        narrow_bias = _mm512_set1_epi8((char)offset);
        beyond = _mm512_set1_epi16((short)~((1u << row.bits) - 1));
        mask = _mm512_set1_epi8((char)kept);
    }
    static TC_INLINE __m512i sixteen(const float* in) {
        const __m512 x = _mm512_loadu_ps(in);
        if constexpr (R == Rounding::NearestEven) return _mm512_cvtps_epi32(x);  // see FloatEnvironment
        if constexpr (R == Rounding::TowardZero) return _mm512_cvttps_epi32(x);
        return _mm512_cvttps_epi32(_mm512_roundscale_ps(x, ROUND_MODE<R>));
    }
    TC_INLINE bool operator()(const float* in, uint8_t* out) const {
        const __m512i x =
            _mm512_add_epi16(_mm512_packs_epi32(sixteen(in), sixteen(in + 16)), bias);
        const __m512i y =
            _mm512_add_epi16(_mm512_packs_epi32(sixteen(in + 32), sixteen(in + 48)), bias);
        if (__builtin_expect(_mm512_test_epi16_mask(_mm512_or_si512(x, y), beyond) != 0, 0)) return false;
        const __m512i code = _mm512_sub_epi8(_mm512_packus_epi16(x, y), narrow_bias);
        store64<STREAM>(out, in_order_of_four(_mm512_and_si512(code, mask)));
        return true;
    }
};
#endif

// float32 to integers of 16 bits or fewer, in the float domain where one is out of the ordinary: round,
// clamp, convert.
template <Rounding R, bool STREAM, class Out>
TC_INLINE Counts encode_narrow_int_avx2(const float* in, Out* out, uint64_t n, const Row& row) {
    constexpr int mode = ROUND_MODE<R>;
    const uint32_t mask = IntTarget<uint32_t>(row).mask;
    const float low = row.is_signed ? -(float)(1u << (row.bits - 1)) : 0.0f, high = (float)row.max_code;
    const ToNarrowInt<R, STREAM, Out> ordinary(row, mask);
    const __m256 lo = _mm256_set1_ps(low), hi = _mm256_set1_ps(high);
    const __m256i keep = _mm256_set1_epi32((int)mask);
    __m256i n_over = _mm256_setzero_si256(), n_number = _mm256_setzero_si256();
    const auto convert = [&](__m256 x) {
        const __m256 r = _mm256_round_ps(x, mode);
        const __m256 number = _mm256_cmp_ps(x, x, _CMP_ORD_Q);
        const __m256 clamped = _mm256_min_ps(_mm256_max_ps(r, lo), hi);
        const __m256 over = _mm256_cmp_ps(clamped, r, _CMP_NEQ_OQ);  // false for NaN
        n_over = _mm256_sub_epi32(n_over, _mm256_castps_si256(over));
        n_number = _mm256_sub_epi32(n_number, _mm256_castps_si256(number));
        return _mm256_and_si256(_mm256_cvttps_epi32(_mm256_and_ps(clamped, number)), keep);
    };
    uint64_t i = 0;
    // where there are many that are not, telling them apart costs more than it saves
    uint64_t n_ordinary = 0;
    int patience = 5;
#if defined(TC_ZMM)
    if constexpr (sizeof(Out) == 1) {
        const ToByteIntZmm<R, STREAM> all_ordinary(row, mask);
        for (; i + 64 <= n; i += 64, n_ordinary += 64) {
            read_ahead<STREAM, 256>(in + i);
            if (!all_ordinary(in + i, out + i)) break;  // and on in smaller steps
        }
    }
#endif
    for (; i + 32 <= n; i += 32) {
        read_ahead<STREAM, 128>(in + i);
        if (patience) {
            if (ordinary(in + i, out + i)) {
                n_ordinary += 32;
                continue;
            }
            --patience;
        }
        const __m256i a = convert(_mm256_loadu_ps(in + i)), b = convert(_mm256_loadu_ps(in + i + 8));
        const __m256i c = convert(_mm256_loadu_ps(in + i + 16)), d = convert(_mm256_loadu_ps(in + i + 24));
        // masked codes are 0 .. 65535, so the unsigned saturating pack keeps them
        const __m256i ab = _mm256_packus_epi32(a, b), cd = _mm256_packus_epi32(c, d);
        if constexpr (sizeof(Out) == 2) {
            store32<STREAM>(out + i, _mm256_permute4x64_epi64(ab, 0xd8));
            store32<STREAM>(out + i + 16, _mm256_permute4x64_epi64(cd, 0xd8));
        } else {
            const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            store32<STREAM>(out + i,
                            _mm256_permutevar8x32_epi32(_mm256_packus_epi16(ab, cd), order));
        }
    }
    alignas(32) uint32_t over_lanes[8], number_lanes[8];
    _mm256_store_si256((__m256i*)over_lanes, n_over);
    _mm256_store_si256((__m256i*)number_lanes, n_number);
    Counts counts;
    counts.nan_lost = i - n_ordinary;
    for (int lane = 0; lane < 8; ++lane) {
        counts.overflow += over_lanes[lane];
        counts.nan_lost -= number_lanes[lane];
    }
    return counts;  // of the elements up to the last multiple of 32
}

template <Rounding R, class Out>
TC_INLINE Counts encode_narrow_int(const float* in, Out* out, uint64_t n, const Row& row,
                                   bool stream) {
    const IntTarget<uint32_t> t(row);
    const uint64_t done = n / 32 * 32;
    Counts counts = stream ? encode_narrow_int_avx2<R, true, Out>(in, out, done, row)
                           : encode_narrow_int_avx2<R, false, Out>(in, out, done, row);
    counts.overflow += encode_int_loop<float, R, false, Out>(in + done, out + done, n - done, t, Draw(Cast{}, 0));
    counts.nan_lost += count_nan(in + done, n - done);
    return counts;
}
#endif

#if defined(__AVX2__)
// float32 to int32 and uint32, rounded, clamped.
template <Rounding R, bool SIGNED>
TC_INLINE Counts encode_int32_of_float(const float* in, uint32_t* out, uint64_t n) {
    constexpr int mode = ROUND_MODE<R>;
    const __m256 half = _mm256_set1_ps(0x1p31f), above = _mm256_set1_ps(SIGNED ? 0x1p31f : 0x1p32f);
    const __m256 below = _mm256_set1_ps(SIGNED ? -0x1p31f : 0.0f);
    const __m256i top = _mm256_set1_epi32(SIGNED ? 0x7fffffff : -1);
    const __m256i bottom = _mm256_set1_epi32(SIGNED ? (int)0x80000000u : 0);
    __m256i n_over = _mm256_setzero_si256(), n_number = _mm256_setzero_si256();
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m256 x = _mm256_loadu_ps(in + i);
        __m256 r = _mm256_round_ps(x, mode);
        const __m256 number = _mm256_cmp_ps(x, x, _CMP_ORD_Q);
        const __m256 high = _mm256_cmp_ps(r, above, _CMP_GE_OQ), low = _mm256_cmp_ps(r, below, _CMP_LT_OQ);
        __m256i flip = _mm256_setzero_si256();
        if constexpr (!SIGNED) {  // beyond the signed conversion: less 2^31, exactly
            const __m256 big = _mm256_cmp_ps(r, half, _CMP_GE_OQ);
            r = _mm256_sub_ps(r, _mm256_and_ps(big, half));
            flip = _mm256_slli_epi32(_mm256_castps_si256(big), 31);
        }
        __m256i c = _mm256_xor_si256(_mm256_cvttps_epi32(r), flip);
        c = _mm256_blendv_epi8(c, top, _mm256_castps_si256(high));
        c = _mm256_blendv_epi8(c, bottom, _mm256_castps_si256(low));
        n_over = _mm256_sub_epi32(n_over, _mm256_castps_si256(_mm256_or_ps(high, low)));
        n_number = _mm256_sub_epi32(n_number, _mm256_castps_si256(number));
        _mm256_storeu_si256((__m256i*)(out + i),
                            _mm256_and_si256(c, _mm256_castps_si256(number)));
    }
    alignas(32) uint32_t over_lanes[8], number_lanes[8];
    _mm256_store_si256((__m256i*)over_lanes, n_over);
    _mm256_store_si256((__m256i*)number_lanes, n_number);
    Counts counts;
    counts.nan_lost = i;
    for (int lane = 0; lane < 8; ++lane) {
        counts.overflow += over_lanes[lane];
        counts.nan_lost -= number_lanes[lane];
    }
    return counts;  // of the elements up to the last multiple of 8
}

// As many elements of a block as vectors hold: n / 8 * 8; false if the rounding is stochastic.
template <bool SIGNED>
bool encode_int32_rounded(const float* in, uint32_t* out, uint64_t n, Rounding rounding, Counts* c) {
    switch (rounding) {
        case Rounding::NearestEven:
            *c = encode_int32_of_float<Rounding::NearestEven, SIGNED>(in, out, n);
            return true;
        case Rounding::TowardZero:
            *c = encode_int32_of_float<Rounding::TowardZero, SIGNED>(in, out, n);
            return true;
        case Rounding::Down:
            *c = encode_int32_of_float<Rounding::Down, SIGNED>(in, out, n);
            return true;
        case Rounding::Up:
            *c = encode_int32_of_float<Rounding::Up, SIGNED>(in, out, n);
            return true;
        default: return false;
    }
}
#endif

template <class C, Rounding R, class Out>
Counts encode_int_as(const C* in, Out* out, uint64_t n, uint64_t first, const Cast& cast) {
    const Row& row = ROWS[cast.target];
    const bool wrap = cast.overflow == Overflow::Wrap;
#if defined(__AVX2__)
    if constexpr (sizeof(C) == 4 && R != Rounding::Stochastic)
        if (!wrap) return encode_narrow_int<R, Out>(in, out, n, row, cast.nontemporal);
#endif
    const IntTarget<typename Bits<C>::U> t(row);
    const Draw draw(cast, first);
    Counts counts;
#if defined(__AVX2__)
    if constexpr (sizeof(C) == 8 && R != Rounding::Stochastic) {
        const uint64_t done = n / 4 * 4;
        if (!wrap && sizeof(Out) < 8) {
            uint32_t block[BLOCK];
            counts = encode_int32_avx2<R>(in, block, done, row);
            for (uint64_t i = 0; i < done; ++i) out[i] = (Out)block[i];
            in += done, out += done, n -= done;
        } else if (sizeof(Out) == 8 && encode_int64_avx2<R>(in, (uint64_t*)out, done, row.is_signed)) {
            in += done, out += done, n -= done;
        }
        counts.overflow += wrap ? encode_int_loop<C, R, true, Out>(in, out, n, t, draw)
                                : encode_int_loop<C, R, false, Out>(in, out, n, t, draw);
        counts.nan_lost += count_nan(in, n);
        if (wrap)
            for (uint64_t i = 0; i < n; ++i)
                counts.infinite += (bits_of(in[i]) & Bits<C>::ABS) == Bits<C>::INF;
        return counts;
    }
#endif
    counts.overflow = wrap ? encode_int_loop<C, R, true, Out>(in, out, n, t, draw)
                           : encode_int_loop<C, R, false, Out>(in, out, n, t, draw);
    counts.nan_lost = count_nan(in, n);
    if (wrap)
        for (uint64_t i = 0; i < n; ++i)
            counts.infinite += (bits_of(in[i]) & Bits<C>::ABS) == Bits<C>::INF;
    return counts;
}

template <class C, Rounding R>
Counts encode_int_rounded(const C* in, void* out, uint64_t n, uint64_t first, const Cast& cast) {
    const unsigned container = ROWS[cast.target].container();
    if (container == 1) return encode_int_as<C, R>(in, (uint8_t*)out, n, first, cast);
    if (container == 2) return encode_int_as<C, R>(in, (uint16_t*)out, n, first, cast);
    if constexpr (sizeof(C) == 8) {
        if (container == 4) return encode_int_as<C, R>(in, (uint32_t*)out, n, first, cast);
        return encode_int_as<C, R>(in, (uint64_t*)out, n, first, cast);
    }
    __builtin_unreachable();
}

template <class C>
Counts encode_int(const C* in, void* out, uint64_t n, uint64_t first, const Cast& cast) {
    if (cast.overflow == Overflow::Wrap) {  // nothing to wrap: as fast as any other policy
        Cast saturate = cast;
        saturate.overflow = Overflow::Saturate;
        const Counts counts = encode_int(in, out, n, first, saturate);
        if (!counts.overflow) return counts;
    }
    switch (cast.rounding) {
        case Rounding::NearestEven:
            return encode_int_rounded<C, Rounding::NearestEven>(in, out, n, first, cast);
        case Rounding::TowardZero:
            return encode_int_rounded<C, Rounding::TowardZero>(in, out, n, first, cast);
        case Rounding::Down:
            return encode_int_rounded<C, Rounding::Down>(in, out, n, first, cast);
        case Rounding::Up:
            return encode_int_rounded<C, Rounding::Up>(in, out, n, first, cast);
        case Rounding::Stochastic:
            return encode_int_rounded<C, Rounding::Stochastic>(in, out, n, first, cast);
    }
    __builtin_unreachable();
}

// Non-zero is 1: NaN, infinity and subnormals too.
template <class C>
void encode_bool(const C* in, uint8_t* out, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) out[i] = (bits_of(in[i]) & Bits<C>::ABS) != 0;
}

// ---- integer to integer -------------------------------------------------------------------------

template <class S, class D>
uint64_t integer_loop(const S* in, D* out, uint64_t n, S low, S high, bool wrap, D mask) {
    uint64_t n_overflow = 0;
    for (uint64_t start = 0; start < n; start += BLOCK) {  // 16 bits hold the count of a block
        const uint64_t end = n - start < BLOCK ? n : start + BLOCK;
        uint16_t over = 0;
        if (wrap) {
            for (uint64_t i = start; i < end; ++i) {
                over += (uint16_t)(in[i] < low || in[i] > high);
                out[i] = (D)((D)in[i] & mask);
            }
        } else {
            for (uint64_t i = start; i < end; ++i) {
                const S v = in[i], c = v < low ? low : v > high ? high : v;
                over += (uint16_t)(c != v);
                out[i] = (D)((D)c & mask);
            }
        }
        n_overflow += over;
    }
    return n_overflow;
}

template <class S, class D>
TC_INLINE uint64_t integer_as(const S* in, D* out, uint64_t n, const Row& row, bool wrap) {
    // the target's limits as far as the source reaches
    constexpr bool s_signed = S(-1) < S(0);
    constexpr S s_max = s_signed ? (S)((uint64_t{1} << (8 * sizeof(S) - 1)) - 1) : (S)~S(0);
    constexpr S s_min = s_signed ? (S)(-s_max - 1) : S(0);
    const S high = row.max_code > (uint64_t)s_max ? s_max : (S)row.max_code;
    S low = 0;
    if constexpr (s_signed)
        if (row.is_signed)
            low = row.bits >= 8 * sizeof(S) ? s_min : (S)(-(S)(uint64_t{1} << (row.bits - 1)));
    const D mask = row.bits >= 8 * sizeof(D) ? (D)~D(0) : (D)((1u << row.bits) - 1);
    return integer_loop<S, D>(in, out, n, low, high, wrap, mask);
}

template <class S>
Counts encode_integer(const S* in, void* out, uint64_t n, const Cast& cast) {
    const Row& row = ROWS[cast.target];
    const bool wrap = cast.overflow == Overflow::Wrap;
    Counts counts;
    switch (row.container()) {
        case 1: counts.overflow = integer_as<S, uint8_t>(in, (uint8_t*)out, n, row, wrap); break;
        case 2: counts.overflow = integer_as<S, uint16_t>(in, (uint16_t*)out, n, row, wrap); break;
        case 4: counts.overflow = integer_as<S, uint32_t>(in, (uint32_t*)out, n, row, wrap); break;
        default: counts.overflow = integer_as<S, uint64_t>(in, (uint64_t*)out, n, row, wrap);
    }
    return counts;
}

// From the codes of any integer format (or bool, whose non-zero bytes are 1).
Counts cast_integers(const void* in, void* out, uint64_t n, const Cast& cast) {
    const Row& row = ROWS[cast.source];
    const uint8_t* bytes = (const uint8_t*)in;
    switch (cast.source) {
        case F_int8: return encode_integer((const int8_t*)in, out, n, cast);
        case F_uint8: return encode_integer((const uint8_t*)in, out, n, cast);
        case F_int16: return encode_integer((const int16_t*)in, out, n, cast);
        case F_uint16: return encode_integer((const uint16_t*)in, out, n, cast);
        case F_int32: return encode_integer((const int32_t*)in, out, n, cast);
        case F_uint32: return encode_integer((const uint32_t*)in, out, n, cast);
        case F_int64: return encode_integer((const int64_t*)in, out, n, cast);
        case F_uint64: return encode_integer((const uint64_t*)in, out, n, cast);
        default: break;
    }
    int8_t block[BLOCK];
    if (row.kind == Kind::Bool)
        for (uint64_t i = 0; i < n; ++i) block[i] = bytes[i] != 0;
    else if (row.kind == Kind::Int)
        for (uint64_t i = 0; i < n; ++i) block[i] = sign_extend(bytes[i], row.bits);
    else
        for (uint64_t i = 0; i < n; ++i) block[i] = (int8_t)(bytes[i] & ((1u << row.bits) - 1));
    return encode_integer((const int8_t*)block, out, n, cast);
}

// int64, uint64 -> float64 for the roundings that the hardware's conversion does not do.
void encode_double_from_integer(const Cast& cast, const void* in, double* out, uint64_t n,
                                uint64_t first) {
    const bool is_signed = cast.source == F_int64;
    const Draw draw(cast, first);
    for (uint64_t i = 0; i < n; ++i) {
        const uint64_t u = ((const uint64_t*)in)[i];
        const bool negative = is_signed && (int64_t)u < 0;
        const uint64_t a = negative ? 0 - u : u;
        const int excess = a >> 53 ? 11 - __builtin_clzll(a) : 0;  // bits beyond 53
        uint64_t q = a >> excess;
        const uint64_t rest = a & ((1ull << excess) - 1);
        const bool away = cast.rounding == Rounding::Down ? negative
                          : cast.rounding == Rounding::Up ? !negative
                                                          : false;
        if (cast.rounding == Rounding::Stochastic)
            q += excess ? stochastic_up(a, (uint64_t)excess, draw(i)) : 0;
        else
            q += rest != 0 && away;
        const double d = (double)(int64_t)q * (double)(1ull << excess);
        out[i] = negative ? -d : d;
    }
}

template <class T>
TC_INLINE void bool_loop(const void* in, uint8_t* out, uint64_t n, T mask) {
    for (uint64_t i = 0; i < n; ++i) out[i] = (((const T*)in)[i] & mask) != 0;
}

void integers_to_bool(FormatId id, const void* in, uint8_t* out, uint64_t n) {
    const Row& row = ROWS[id];
    switch (row.container()) {
        case 1: return bool_loop<uint8_t>(in, out, n, (uint8_t)((1u << row.bits) - 1));
        case 2: return bool_loop<uint16_t>(in, out, n, 0xffff);
        case 4: return bool_loop<uint32_t>(in, out, n, ~0u);
        default: return bool_loop<uint64_t>(in, out, n, ~0ull);
    }
}

}  // namespace
}  // namespace tc
