// The one list of the pairs that have a direct loop.
#pragma once
#include "direct_float.hpp"
#include "direct_lines_x86.hpp"
#include "direct_small_x86.hpp"

namespace tc {
namespace {

#if defined(__AVX2__)
template <class S, DirectLoop TO_INT64>
DirectLoop truncate_float_to(const Row& target) {
    if (!target.is_integer()) return nullptr;
    switch (target.container()) {
        case 1: return target.is_signed ? truncate_float_loop<S, uint8_t, true> : truncate_float_loop<S, uint8_t, false>;
        case 2: return target.is_signed ? truncate_float_loop<S, uint16_t, true> : truncate_float_loop<S, uint16_t, false>;
        case 4: return target.is_signed ? truncate_float_loop<S, uint32_t, true> : truncate_float_loop<S, uint32_t, false>;
        default: return target.is_signed ? truncate_float_to_int64_loop<S, true, TO_INT64>
                                         : truncate_float_to_int64_loop<S, false, TO_INT64>;
    }
}

template <class S>
DirectLoop narrow_integer_to(FormatId target) {
    switch (target) {
        case F_int8: return narrow_integer_loop<S, uint8_t, true>;
        case F_uint8: return narrow_integer_loop<S, uint8_t, false>;
        case F_int16: return narrow_integer_loop<S, uint16_t, true>;
        case F_uint16: return narrow_integer_loop<S, uint16_t, false>;
        default: return nullptr;
    }
}

// The pairs of direct_x86.hpp, direct_lines_x86.hpp and direct_small_x86.hpp; null if it is none.
DirectLoop x86_loop(const Cast& cast) {
    const Row& target = ROWS[cast.target];
    if (const DirectLoop loop = to_wider(cast)) return loop;
    if (cast.rounding == Rounding::TowardZero) {
        switch (cast.source) {
            case F_float64: return truncate_float_to<double, to_int64_loop<double>>(target);
            case F_float32: return truncate_float_to<float, to_int64_loop<float>>(target);
            case F_float16: return truncate_float_to<Half, half_loop<int64_t, to_int64_loop<float>>>(target);
            case F_bfloat16: return truncate_float_to<Brain, to_int64_loop<uint16_t>>(target);
            default: break;
        }
    }
    const bool integer = ROWS[cast.source].is_integer();
    if (integer && ROWS[cast.source].container() == 8)
        if (const DirectLoop loop = narrow_integer_to<uint64_t>(cast.target)) return loop;
    if (integer && ROWS[cast.source].container() == 4)
        if (const DirectLoop loop = narrow_integer_to<uint32_t>(cast.target)) return loop;
    if (cast.rounding == Rounding::NearestEven) {
        if (const DirectLoop loop = to_small_float(cast.source, cast.target)) return loop;
        const bool brain = cast.target == F_bfloat16;
        if (brain) switch (cast.source) {
            case F_int8: return integer_to_bf16_loop<int8_t>;
            case F_uint8: return integer_to_bf16_loop<uint8_t>;
            case F_int16: return integer_to_bf16_loop<int16_t>;
            case F_uint16: return integer_to_bf16_loop<uint16_t>;
            default: break;
        }
        if (!brain && cast.target != F_float16) return nullptr;
        if (cast.source == F_float64)
            return brain ? narrow16_loop<double, true> : narrow16_loop<double, false>;
        if (cast.source == F_int32)
            return brain ? narrow16_loop<int32_t, true> : narrow16_loop<int32_t, false>;
    }
    return nullptr;
}
#else
DirectLoop x86_loop(const Cast&) { return nullptr; }
#endif

// The loop of a cast between formats of whole bytes, a byte per code; its `loop` is null if none.
Direct plain_loop(const Cast& cast) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    Direct d;
    const bool nearest = cast.rounding == Rounding::NearestEven;
    if (source.bits < 8) return d;
    if (cast.source == cast.target) {
        if (cast.quiets) return d;
        switch (source.container()) {
            case 1: d.loop = copy_loop<1>; break;
            case 2: d.loop = copy_loop<2>; break;
            case 4: d.loop = copy_loop<4>; break;
            default: d.loop = copy_loop<8>;
        }
        return d;
    }
    if (source.kind == Kind::Float && source.bits == 8) return d;  // a table does it
    if (target.kind == Kind::Bool) return to_bool(source);
    if (source.kind == Kind::Bool) {
        const bool holds_one = target.is_integer() && target.max_code;  // int1 is 0 and -1
        if (holds_one || cast.target == F_float64 || cast.target == F_float32 || target.bits == 16)
            return from_bool(target);
        return d;
    }
    if (source.is_integer() && target.is_integer()) return integer_to_integer(source, target);
    d.target = &target;
    if (nearest && target.kind == Kind::Float && target.bits <= 16 &&
        (source.is_integer() || cast.source == F_float64)) {
        d.loop = narrow_float_loop(cast.source, cast.target);
        return d;
    }
    if (source.is_integer()) {
        d.loop = integer_to_float(cast.source, cast.target, nearest);
        return d;
    }
    if (target.is_integer())
        return cast.rounding == Rounding::TowardZero ? float_to_integer(source, target) : d;
    if (cast.source == F_float64 && cast.target == F_float32 && nearest) d.loop = double_to_float_loop;
    if (cast.target == F_float64) {
        if (cast.source == F_float32) d.loop = float_to_double_loop<float>;
        if (cast.source == F_bfloat16) d.loop = float_to_double_loop<uint16_t>;
    }
#if !defined(__AVX2__)  // for which narrow_x86.hpp and half_x86.hpp are faster
    if (nearest && target.bits <= 16) {
        if (cast.source == F_float32) d.loop = narrow_of<FromFloat32>(cast.target);
        if (cast.source == F_float16) d.loop = narrow_of<FromFloat16>(cast.target);
        if (cast.source == F_bfloat16) d.loop = narrow_of<FromBfloat16>(cast.target);
    }
#endif
    return d;
}

Direct direct_for(const Cast& cast) {
    Direct d = plain_loop(cast);
    if (const DirectLoop loop = x86_loop(cast)) d.loop = loop;
    return d;
}

// The loop of a cast between packed formats of as many bits, whose n counts bytes.
Direct direct_packed(const Cast& cast) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    Direct d;
    if (source.bits != target.bits) return d;
    if (cast.source == cast.target)
        d.mask = 0;
    else if (source.is_integer() && target.is_integer() && (source.bits == 4 || source.bits == 2))
        d.mask = source.bits == 4 ? 0x88 : 0xaa;
    else
        return d;
    d.loop = packed_loop;
    return d;
}

// Complex to bool, from the format of the components.
Direct complex_to_bool(FormatId component) {
    Direct d;
    d.loop = component == F_float32 ? pairs_to_bool_loop<uint32_t> : pairs_to_bool_loop<uint64_t>;
    return d;
}

}  // namespace
}  // namespace tc
