// Copies to hold kernels against: through non-temporal stores, and by a plain loop.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// to: 64-byte aligned; n_bytes: a multiple of 128. Returns 0 where there is no such instruction.
extern "C" int copy_nontemporal(void* to, const void* from, size_t n_bytes) {
#if defined(__AVX2__)
    char* out = (char*)to;
    const char* in = (const char*)from;
    for (size_t i = 0; i < n_bytes; i += 128) {
        const __m256i a = _mm256_loadu_si256((const __m256i*)(in + i));
        const __m256i b = _mm256_loadu_si256((const __m256i*)(in + i + 32));
        const __m256i c = _mm256_loadu_si256((const __m256i*)(in + i + 64));
        const __m256i d = _mm256_loadu_si256((const __m256i*)(in + i + 96));
        _mm256_stream_si256((__m256i*)(out + i), a);
        _mm256_stream_si256((__m256i*)(out + i + 32), b);
        _mm256_stream_si256((__m256i*)(out + i + 64), c);
        _mm256_stream_si256((__m256i*)(out + i + 96), d);
    }
    _mm_sfence();
    return 1;
#else
    (void)to, (void)from, (void)n_bytes;
    return 0;
#endif
}
