// What a cast must give, one element at a time, in integer arithmetic.
//
// Written from the contract (the docstring of src/tensorcast/reference.py), not from the kernels:
// it shares with them the rows of formats.py and nothing else. No floating-point instruction
// decides a result here. `test_kernels --oracle` prints outcomes, and tests/kernels/test_native.py holds
// them to reference.py.
//
// Number formats here are real ones; a complex element is two casts of its components.
#pragma once
#include <stdint.h>

#include "api.hpp"

namespace oracle {

using tc::InfPolicy;
using tc::Kind;
using tc::Nan;
using tc::Overflow;
using tc::Rounding;
using tc::Row;
using u128 = unsigned __int128;

constexpr int PAYLOAD_BITS = 52;  // of the widest NaN, float64's

// significand * 2^exponent if finite; of a NaN the significand is the payload, quiet bit first, as
// the top bits of float64's mantissa.
struct Number {
    enum class Is : uint8_t { Finite, Infinite, Nan } is;
    bool negative;
    int exponent;
    uint64_t significand;
};

struct Outcome {
    uint64_t code;
    bool overflow, nan_lost, inexact, underflow;
};

inline uint64_t low_bits(int n) { return n >= 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1; }
inline int bit_length(uint64_t x) { return x ? 64 - __builtin_clzll(x) : 0; }

// float8_e8m0fnu, the one format without mantissa bits, has no subnormals (and so no zero).
inline bool has_subnormals(const Row& row) { return row.mantissa_bits > 0; }

// -- random numbers -------------------------------------------------------------------------------

inline uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x21F0AAADu;
    x = (x ^ x >> 15) * 0xD35A2D97u;
    return x ^ x >> 15;
}

struct Keys {
    uint32_t first, second;
    explicit Keys(uint64_t seed) {
        const uint32_t low = uint32_t(seed);
        second = uint32_t(seed >> 32) ^ mix(low ^ 0x9E3779B9u);
        first = low ^ mix(second ^ 0x85EBCA6Bu);
    }
};

inline uint32_t random_bits(Keys keys, uint64_t index) {
    const uint32_t high = uint32_t(index >> 32) * 0x9E3779B9u;
    return mix(mix(uint32_t(index) ^ keys.first) ^ keys.second ^ high);
}

// -- decode ---------------------------------------------------------------------------------------

// The number that a code means; bits above the format's own are ignored.
inline Number decode(const Row& row, uint64_t code) {
    using Is = Number::Is;
    code &= low_bits(row.bits);
    if (row.kind == Kind::Bool) return {Is::Finite, false, 0, code != 0};
    if (row.kind == Kind::Uint) return {Is::Finite, false, 0, code};
    if (row.kind == Kind::Int) {
        const bool negative = code >> (row.bits - 1);
        return {Is::Finite, negative, 0, negative ? (0 - code) & low_bits(row.bits) : code};
    }
    const int m = row.mantissa_bits, magnitude_bits = row.exponent_bits + m;
    const bool negative = row.is_signed && code >> magnitude_bits;
    const uint64_t magnitude = code & low_bits(magnitude_bits);
    const uint64_t mantissa = magnitude & low_bits(m), field = magnitude >> m;
    const bool highest = field == low_bits(row.exponent_bits);
    const uint64_t quiet = uint64_t{1} << (PAYLOAD_BITS - 1);
    if (row.nan == Nan::NegativeZero && negative && magnitude == 0)
        return {Is::Nan, false, 0, quiet};
    if (row.nan == Nan::AllOnes && magnitude == low_bits(magnitude_bits))
        return {Is::Nan, negative, 0, quiet};
    if (row.nan == Nan::Ieee && highest && mantissa)
        return {Is::Nan, negative, 0, mantissa << (PAYLOAD_BITS - m)};
    if (row.infinity && highest) return {Is::Infinite, negative, 0, 0};
    if (field == 0 && has_subnormals(row))
        return {Is::Finite, negative, 1 - row.bias - m, mantissa};
    return {Is::Finite, negative, int(field) - row.bias - m, (uint64_t{1} << m) + mantissa};
}

// -- encode ---------------------------------------------------------------------------------------

class Oracle {
  public:
    Oracle(tc::FormatId source, tc::FormatId target, Overflow overflow, Rounding rounding,
           InfPolicy inf, uint64_t seed)
        : from_(tc::ROWS[source]),
          to_(tc::ROWS[target]),
          same_(source == target),
          overflow_(overflow),
          rounding_(rounding),
          keeps_infinity_(to_.infinity && inf == InfPolicy::Keep),
          keys_(seed) {
        is_float_ = to_.kind == Kind::Float;
        precision_ = to_.mantissa_bits + 1;
        least_ = 1 - to_.bias - to_.mantissa_bits;
        sign_ = to_.is_signed ? uint64_t{1} << (to_.bits - 1) : 0;
    }

    // The outcome of a cast; never refuses: "raise" gives what "saturate" gives.
    Outcome cast(uint64_t code, uint64_t index) const {
        const Number x = decode(from_, code);
        const bool ended = x.is == Number::Is::Infinite && !keeps_infinity_;
        if (same_ && !ended) return {code & low_bits(from_.bits), false, false, false, false};
        return encode(x, index);
    }

    Outcome encode(const Number& x, uint64_t index) const {
        using Is = Number::Is;
        if (to_.kind == Kind::Bool) {
            if (x.is == Is::Nan) return {1, false, false, false, false};
            if (x.is == Is::Infinite) return {1, false, false, true, false};
            return {x.significand != 0, false, false, x.significand != 0 && !is_one(x), false};
        }
        if (x.is == Is::Finite) return finite(x, index);
        if (x.is == Is::Nan) return nan(x);
        if (keeps_infinity_)
            return {to_.infinity_code | (x.negative ? sign_ : 0), false, false, false, false};
        const bool unbounded = overflow_ == Overflow::Ieee && !to_.infinity;
        return {unbounded ? beyond(x.negative) : extreme(x.negative), true, false, true, false};
    }

  private:
    const Row &from_, &to_;
    bool same_, is_float_, keeps_infinity_;
    Overflow overflow_;
    Rounding rounding_;
    Keys keys_;
    int precision_, least_;  // 2^least_ is the worth of the last bit of a subnormal
    uint64_t sign_;

    static bool is_one(const Number& x) {
        const int trailing = __builtin_ctzll(x.significand);
        return !x.negative && x.significand >> trailing == 1 && trailing + x.exponent == 0;
    }

    Outcome nan(const Number& x) const {
        if (!is_float_ || to_.nan == Nan::None) return {0, false, true, false, false};
        if (to_.nan == Nan::NegativeZero) return {to_.nan_code, false, false, false, false};
        uint64_t code = to_.nan_code;
        if (to_.nan == Nan::Ieee) code |= x.significand >> (PAYLOAD_BITS - to_.mantissa_bits);
        return {code | (x.negative ? sign_ : 0), false, false, false, false};
    }

    // The code for a finite value beyond the low or the high end; not asked for integers that wrap.
    uint64_t overflowed(bool low) const {
        if (overflow_ != Overflow::Ieee) return extreme(low);
        if (low && !to_.is_signed) return beyond(low);  // no finite value is there
        if (rounding_ == Rounding::TowardZero) return extreme(low);
        if (rounding_ == Rounding::Up) return low ? extreme(low) : beyond(low);
        if (rounding_ == Rounding::Down) return low ? beyond(low) : extreme(low);
        return beyond(low);
    }

    // Infinity, or NaN where there is none.
    uint64_t beyond(bool low) const {
        const uint64_t code = to_.infinity ? to_.infinity_code : to_.nan_code;
        return low && to_.nan != Nan::NegativeZero ? code | sign_ : code;
    }

    // The code of the lowest or the highest finite value.
    uint64_t extreme(bool low) const {
        if (!is_float_) return low ? sign_ : to_.max_code;
        if (low && !to_.is_signed) return 0;
        return to_.max_code | (low ? sign_ : 0);
    }

    // Whether kept + rest / 2^shift, rest > 0, is rounded up in magnitude.
    bool grows(uint64_t kept, u128 rest, int shift, bool negative, uint64_t index) const {
        switch (rounding_) {
            case Rounding::NearestEven: {
                const u128 half = u128{1} << (shift - 1);
                // without mantissa bits kept is always 1: a tie goes to the larger magnitude
                return rest > half || (rest == half && kept & 1);
            }
            case Rounding::TowardZero: return false;
            case Rounding::Down: return negative;
            case Rounding::Up: return !negative;
            case Rounding::Stochastic:
                return (uint64_t((rest << 32) >> shift) + random_bits(keys_, index)) >> 32;
        }
        __builtin_unreachable();
    }

    // The only place that rounds.
    Outcome finite(const Number& x, uint64_t index) const {
        const bool negative = x.negative;
        if (x.significand == 0) {
            if (is_float_ && !has_subnormals(to_)) return {overflowed(true), true, false, true, false};
            return {negative && to_.signed_zero ? sign_ : 0, false, false, false, false};
        }
        int place = 0;
        if (is_float_) {
            place = x.exponent + bit_length(x.significand) - precision_;
            if (place < least_ && has_subnormals(to_)) place = least_;
        }
        const int shift = place - x.exponent;
        u128 kept;
        bool inexact = false, too_long = false;
        if (shift <= 0) {
            // a left shift past 64 bits concerns integer targets: 2^1023 is 0 modulo 2^64
            too_long = bit_length(x.significand) - shift > 64;
            kept = -shift < 64 ? u128{x.significand} << -shift : 0;
        } else {
            // beyond 96 neither `kept` nor any decision changes: rest * 2^32 < 2^96
            const int by = shift < 96 ? shift : 96;
            kept = by < 64 ? x.significand >> by : 0;
            const u128 rest = u128{x.significand} - (kept << by);
            inexact = rest != 0;
            if (inexact) kept += grows(uint64_t(kept), rest, by, negative, index);
        }
        if (!is_float_) {
            const u128 limit = negative ? u128{sign_} : u128{to_.max_code};
            if (!too_long && kept <= limit) {
                const uint64_t magnitude = uint64_t(kept);
                const uint64_t code = (negative ? 0 - magnitude : magnitude) & low_bits(to_.bits);
                return {code, false, false, inexact, kept == 0};
            }
            uint64_t code = overflowed(negative);
            if (overflow_ == Overflow::Wrap) {
                const uint64_t magnitude = uint64_t(kept);
                code = (negative ? 0 - magnitude : magnitude) & low_bits(to_.bits);
            }
            return {code, true, false, true, false};
        }
        // a carry into the next binade needs no case of its own
        const __int128 code =
            ((__int128)(place - least_) * ((__int128)1 << to_.mantissa_bits)) + (__int128)kept;
        if (code < 0 || code > (__int128)to_.max_code || (negative && !to_.is_signed))
            return {overflowed(negative || code < 0), true, false, true, false};
        if (kept == 0) return {negative && to_.signed_zero ? sign_ : 0, false, false, true, true};
        return {uint64_t(code) | (negative ? sign_ : 0), false, false, inexact, false};
    }
};

// -- exact values ---------------------------------------------------------------------------------

// 2^n as long double for every exponent a Number has. Where long double has 64 bits of precision
// or more and a wide exponent (x86-64, aarch64), value() is exact and squares do not overflow.
struct Powers {
    static constexpr int LOW = -1200, HIGH = 1200;
    long double of[HIGH - LOW + 1];
    Powers() {
        of[-LOW] = 1;
        for (int n = 1; n <= HIGH; ++n) of[n - LOW] = of[n - 1 - LOW] * 2;
        for (int n = -1; n >= LOW; --n) of[n - LOW] = of[n + 1 - LOW] / 2;
    }
};

inline long double value(const Number& x) {
    static const Powers powers;
    const long double magnitude = (long double)x.significand * powers.of[x.exponent - Powers::LOW];
    return x.negative ? -magnitude : magnitude;
}

}  // namespace oracle
