// Bit views of floats, and the floating-point environment the kernels run in.
#pragma once
#include <stdint.h>

#include "../api.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The loops of the *zmm_x86.hpp files: where AVX-512 is the hardware's, and not emulated.
#if defined(__AVX512VBMI__) && !defined(TC_EMULATED)
#define TC_ZMM
#endif

namespace tc {
namespace {

// A carrier is the wide float that a block is decoded to: every value of the source is exact in it
// (int64 and uint64 excepted, see decode.hpp).
template <class C>
struct Bits;

template <>
struct Bits<float> {
    using U = uint32_t;
    using I = int32_t;
    static constexpr int WIDTH = 32, M = 23, BIAS = 127;
    static constexpr U ABS = 0x7fffffffu, INF = 0x7f800000u, FRACTION = 0x007fffffu;
};

template <>
struct Bits<double> {
    using U = uint64_t;
    using I = int64_t;
    static constexpr int WIDTH = 64, M = 52, BIAS = 1023;
    static constexpr U ABS = 0x7fffffffffffffffull, INF = 0x7ff0000000000000ull,
                       FRACTION = 0x000fffffffffffffull;
};

TC_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
TC_INLINE uint64_t bits_of(double x) { return __builtin_bit_cast(uint64_t, x); }
TC_INLINE float float_of(uint32_t u) { return __builtin_bit_cast(float, u); }
TC_INLINE double double_of(uint64_t u) { return __builtin_bit_cast(double, u); }

// Round to nearest even, subnormals kept, no traps, whatever the thread had set; restored at the end.
class FloatEnvironment {
#if defined(__x86_64__)
    unsigned saved_;

  public:
    TC_INLINE FloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }
    TC_INLINE ~FloatEnvironment() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
    uint64_t saved_;

  public:
    TC_INLINE FloatEnvironment() {
        __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
        __asm__ volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
    }
    TC_INLINE ~FloatEnvironment() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
  public:
    TC_INLINE FloatEnvironment() {}
#endif
};

// 32 random bits of one element: reference.rand32, given the keys of the seed (api.hpp).
TC_INLINE uint32_t rand32(uint64_t keys, uint64_t index) {
    uint32_t x = mix32(uint32_t(index) ^ uint32_t(keys));
    return mix32(x ^ uint32_t(keys >> 32) ^ uint32_t(index >> 32) * 0x9E3779B9u);
}

}  // namespace
}  // namespace tc
