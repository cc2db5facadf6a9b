// The one list of the pairs that are cast and measured in one loop.
#pragma once
#include "fused_int_x86.hpp"
#include "fused_widen_x86.hpp"

#if defined(__AVX2__)

namespace tc {
namespace {

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
