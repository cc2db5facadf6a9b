// The v4 kernels on a CPU without AVX-512: SIMDe stands in for the 512-bit intrinsics, and the rest
// is compiled for x86-64-v3. This runs what is written by hand for AVX-512; what the compiler makes
// of plain loops for it runs only on a CPU that has it.
#include <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

// not in SIMDe
static inline void stream512(void* to, __m512i x) {
    __m256i halves[2];
    __builtin_memcpy(halves, &x, sizeof x);
    _mm256_stream_si256((__m256i*)to, halves[0]);
    _mm256_stream_si256((__m256i*)to + 1, halves[1]);
}
#define _mm512_stream_si512(to, x) stream512(to, x)

// the loops that are written for the hardware only
#define TC_EMULATED 1
#define __AVX512F__ 1
#define __AVX512BW__ 1
#define __AVX512DQ__ 1
#define __AVX512VL__ 1
#define __AVX512VBMI__ 1
#define __AVX512VBMI2__ 1
#define __builtin_cpu_supports(feature) true
#include "isa/digest.cpp"
#include "isa/kernels.cpp"
