// One row per number format, as in src/tensorcast/formats.py, from which the rows are generated.
#pragma once
#include <stdint.h>

// The instruction-set units are compiled with different flags: a shared function that one of them
// emitted out of line could be the one the linker keeps for all. So nothing shared is out of line.
#define TC_INLINE __attribute__((always_inline)) inline

namespace tc {

enum class Kind : uint8_t { Bool, Int, Uint, Float, Complex };
enum class Nan : uint8_t { None, Ieee, AllOnes, NegativeZero };

struct Row {
    const char* name;
    Kind kind;
    Nan nan;
    uint8_t bits;
    uint8_t exponent_bits;
    uint8_t mantissa_bits;
    int16_t bias;
    uint8_t component;  // FormatId of one component; of the format itself unless complex
    bool is_signed;
    bool infinity;
    bool signed_zero;
    bool has_zero;
    uint64_t max_code;  // magnitude code of the largest finite value
    uint64_t infinity_code;
    uint64_t nan_code;

    TC_INLINE constexpr bool is_integer() const { return kind == Kind::Int || kind == Kind::Uint; }
    TC_INLINE constexpr bool has_nan() const { return nan != Nan::None; }
    // Bytes of one code when codes are not packed.
    TC_INLINE constexpr unsigned container() const { return bits < 8 ? 1u : bits / 8u; }
};

#include "rows.generated.hpp"

}  // namespace tc
