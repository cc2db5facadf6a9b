// One instruction set's inner loop of XXH3 (hash.hpp): this file is compiled once per set with
// -DTC_ISA=<its name>.
#include "../hash.hpp"
#include "bits.hpp"

namespace tc {
namespace {
namespace xxh3 {  // the emulation of v4 compiles this file together with kernels.cpp

#if defined(__AVX512F__)
constexpr unsigned WIDTH = 64;
#define TC_NEIGHBOURS 1, 0, 3, 2, 5, 4, 7, 6
#elif defined(__AVX2__)
constexpr unsigned WIDTH = 32;
#define TC_NEIGHBOURS 1, 0, 3, 2
#else
constexpr unsigned WIDTH = 16;
#define TC_NEIGHBOURS 1, 0
#endif
typedef uint64_t Lanes __attribute__((vector_size(WIDTH)));
constexpr unsigned N = 64 / WIDTH;  // vectors of a stripe

TC_INLINE Lanes load(const uint8_t* p) {
    Lanes x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

// the lower halves of the lanes times the upper ones
TC_INLINE Lanes product_of_halves(Lanes x) {
#if defined(__AVX512F__)
    return (Lanes)_mm512_mul_epu32((__m512i)x, (__m512i)(x >> 32));
#elif defined(__AVX2__)
    return (Lanes)_mm256_mul_epu32((__m256i)x, (__m256i)(x >> 32));
#elif defined(__SSE2__)
    return (Lanes)_mm_mul_epu32((__m128i)x, (__m128i)(x >> 32));
#else
    return (x & 0xffffffff) * (x >> 32);
#endif
}

}  // namespace xxh3
}  // namespace

void TC_JOIN(stripes_, TC_ISA)(HashState* state, const void* data, uint64_t n) {
    using namespace xxh3;
    constexpr uint64_t PRIME32_1 = 0x9E3779B1u;
    const uint8_t* p = (const uint8_t*)data;
    Lanes lanes[N];
    __builtin_memcpy(lanes, state, sizeof lanes);
    for (uint64_t i = 0; i < n; ++i, p += HashState::STRIPE) {
        const uint8_t* secret = HASH_SECRET + 8 * (i % HashState::STRIPES);
        for (unsigned v = 0; v < N; ++v) {
            const Lanes x = load(p + v * WIDTH);
            lanes[v] += __builtin_shufflevector(x, x, TC_NEIGHBOURS);
            lanes[v] += product_of_halves(x ^ load(secret + v * WIDTH));
        }
        if (i % HashState::STRIPES != HashState::STRIPES - 1) continue;
        for (unsigned v = 0; v < N; ++v) {
            lanes[v] ^= lanes[v] >> 47;
            lanes[v] ^= load(HASH_SECRET + HashState::SECRET - 64 + v * WIDTH);
            lanes[v] *= PRIME32_1;
        }
    }
    __builtin_memcpy(state, lanes, sizeof lanes);
}

}  // namespace tc
