// The one list of the pairs that are cast and measured in one loop.
#pragma once
#include "fused_int_x86.hpp"
#include "fused_widen_x86.hpp"
#include "fused_zmm_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

template <class From>
TC_INLINE bool small_measured(const void* in, void* codes, const Row& row, bool stream, Stats* s) {
    const auto x = (const typename From::T*)in;
#if defined(TC_ZMM)
    return stream ? small_measured_zmm<From, true>(x, (uint8_t*)codes, row, s)
                  : small_measured_zmm<From, false>(x, (uint8_t*)codes, row, s);
#else
    return stream ? small_measured_as<From, true>(x, (uint8_t*)codes, row, s)
                  : small_measured_as<From, false>(x, (uint8_t*)codes, row, s);
#endif
}

template <class From, class Into>
TC_INLINE bool narrow_measured(const void* in, void* codes, bool stream, Stats* s) {
    const auto x = (const typename From::T*)in;
    const auto out = (uint16_t*)codes;
#if defined(TC_ZMM)
    return stream ? narrow_measured_zmm<From, Into, true>(x, out, s)
                  : narrow_measured_zmm<From, Into, false>(x, out, s);
#else
    return stream ? narrow_measured_as<From, Into, true>(x, out, s)
                  : narrow_measured_as<From, Into, false>(x, out, s);
#endif
}
template <class From>
TC_INLINE bool widen_measured(const void* in, void* codes, bool stream, Stats* s) {
    const auto x = (const typename From::T*)in;
#if defined(TC_ZMM)
    return stream ? widen_measured_zmm<From, true>(x, (float*)codes, s)
                  : widen_measured_zmm<From, false>(x, (float*)codes, s);
#else
    return stream ? widen_measured_as<From, true>(x, (float*)codes, s)
                  : widen_measured_as<From, false>(x, (float*)codes, s);
#endif
}

template <class From, int MODE>
TC_INLINE bool integers_measured_to(const void* in, void* codes, bool is_signed, bool stream, Stats* s) {
    const auto x = (const typename From::T*)in;
    const auto out = (uint8_t*)codes;
#if defined(TC_ZMM)
    if (is_signed)
        return stream ? integers_measured_zmm<From, MODE, true, true>(x, out, s)
                      : integers_measured_zmm<From, MODE, true, false>(x, out, s);
    return stream ? integers_measured_zmm<From, MODE, false, true>(x, out, s)
                  : integers_measured_zmm<From, MODE, false, false>(x, out, s);
#else
    if (is_signed)
        return stream ? integers_measured_as<From, MODE, true, true>(x, out, s)
                      : integers_measured_as<From, MODE, true, false>(x, out, s);
    return stream ? integers_measured_as<From, MODE, false, true>(x, out, s)
                  : integers_measured_as<From, MODE, false, false>(x, out, s);
#endif
}

// To int8 or uint8, to nearest or toward zero.
template <class From>
TC_INLINE bool integers_measured(const Cast& cast, const void* in, void* codes, Stats* s) {
    const bool is_signed = ROWS[cast.target].is_signed, stream = cast.nontemporal;
    if (cast.rounding == Rounding::NearestEven)
        return integers_measured_to<From, _MM_FROUND_TO_NEAREST_INT>(in, codes, is_signed, stream, s);
    return integers_measured_to<From, _MM_FROUND_TO_ZERO>(in, codes, is_signed, stream, s);
}

// Whether cast_measured has a loop for a pair.
bool is_measured_in_one_loop(const Cast& cast) {
    const bool from16 = cast.source == F_float16 || cast.source == F_bfloat16;
    if (cast.target == F_float32) return from16;
    if (cast.target == F_int8 || cast.target == F_uint8)
        return (cast.rounding == Rounding::NearestEven || cast.rounding == Rounding::TowardZero) &&
               (from16 || cast.source == F_float32);
    const bool small = cast.target == F_float8_e4m3fn || cast.target == F_float8_e5m2;
    if (!small && cast.target != F_float16 && cast.target != F_bfloat16) return false;
    return cast.rounding == Rounding::NearestEven && cast.source != cast.target &&
           (from16 || cast.source == F_float32);
}

// A block of BLOCK elements of such a pair. False: see fused_x86.hpp.
bool cast_measured(const Cast& cast, const void* in, void* codes, Stats* s) {
    const bool stream = cast.nontemporal;
    if (cast.target == F_float32)
        return cast.source == F_float16 ? widen_measured<FromF16>(in, codes, stream, s)
                                        : widen_measured<FromBf16>(in, codes, stream, s);
    const Row& row = ROWS[cast.target];
    if (row.is_integer()) {
        if (cast.source == F_float32) return integers_measured<FromF32>(cast, in, codes, s);
        if (cast.source == F_float16) return integers_measured<FromF16>(cast, in, codes, s);
        return integers_measured<FromBf16>(cast, in, codes, s);
    }
    if (row.bits == 8 && cast.source == F_float32) return small_measured<FromF32>(in, codes, row, stream, s);
    if (row.bits == 8 && cast.source == F_float16) return small_measured<FromF16>(in, codes, row, stream, s);
    if (row.bits == 8) return small_measured<FromBf16>(in, codes, row, stream, s);
    if (cast.source == F_float16) return narrow_measured<FromF16, IntoBf16>(in, codes, stream, s);
    if (cast.source == F_bfloat16) return narrow_measured<FromBf16, IntoF16>(in, codes, stream, s);
    if (cast.target == F_float16) return narrow_measured<FromF32, IntoF16>(in, codes, stream, s);
    return narrow_measured<FromF32, IntoBf16>(in, codes, stream, s);
}

}  // namespace
}  // namespace tc

#endif
