// The shape roof: loops that read and write as many bytes per element as a cast does, and do nothing
// with them. No cast can be quicker than the best of them.
//
// A block is `in` cache lines read and `out` cache lines written: 4:2 for float32 to float16. Every
// line is loaded whole; line j of the output is line j * in / out of the input.
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
using Part = __m512i;
static inline Part load(const char* at) { return _mm512_loadu_si512(at); }
static inline void store(char* at, Part part) { _mm512_storeu_si512(at, part); }
static inline void stream(char* at, Part part) { _mm512_stream_si512((__m512i*)at, part); }
static inline void fence() { _mm_sfence(); }
static inline void prefetch(const char* at) { _mm_prefetch(at, _MM_HINT_T0); }
#define IN_REGISTER "v"
#elif defined(__AVX2__)
#include <immintrin.h>
using Part = __m256i;
static inline Part load(const char* at) { return _mm256_loadu_si256((const __m256i*)at); }
static inline void store(char* at, Part part) { _mm256_storeu_si256((__m256i*)at, part); }
static inline void stream(char* at, Part part) { _mm256_stream_si256((__m256i*)at, part); }
static inline void fence() { _mm_sfence(); }
static inline void prefetch(const char* at) { _mm_prefetch(at, _MM_HINT_T0); }
#define IN_REGISTER "x"
#else
struct Part { uint64_t words[2]; };
static inline Part load(const char* at) { Part part; memcpy(&part, at, sizeof part); return part; }
static inline void store(char* at, Part part) { memcpy(at, &part, sizeof part); }
static inline void stream(char* at, Part part) { store(at, part); }
static inline void fence() {}
static inline void prefetch(const char* at) { __builtin_prefetch(at); }
#define IN_REGISTER "m"
#endif

constexpr size_t line = 64;
constexpr size_t parts = line / sizeof(Part);

template <bool Streams>
static inline void line_out(char* to, const Part* held) {
    for (size_t i = 0; i < parts; ++i) {
        if constexpr (Streams) stream(to + i * sizeof(Part), held[i]);
        else store(to + i * sizeof(Part), held[i]);
    }
}

template <bool Streams>
static void loop(char* to, const char* from, size_t n_blocks, size_t in, size_t out, size_t ahead) {
    for (size_t block = 0; block < n_blocks; ++block) {
        Part held[parts];
        size_t written = 0;
        for (size_t i = 0; i < in; ++i, from += line) {
            if (ahead) prefetch(from + ahead);
            for (size_t j = 0; j < parts; ++j) {
                held[j] = load(from + j * sizeof(Part));
                asm volatile("" : : IN_REGISTER(held[j]));  // it is loaded, whatever becomes of it
            }
            // evenly over the block: out lines to in lines
            for (; written * in < (i + 1) * out && written < out; ++written, to += line)
                line_out<Streams>(to, held);
        }
    }
    if (Streams) fence();
}

// The shapes of casts between formats of whole bytes, with constant counts.
template <bool Streams>
static void shaped(char* to, const char* from, size_t n_blocks, size_t in, size_t out, size_t ahead) {
#define SHAPE(a, b) if (in == a && out == b) return loop<Streams>(to, from, n_blocks, a, b, ahead)
    SHAPE(1, 1); SHAPE(2, 1); SHAPE(1, 2); SHAPE(4, 1); SHAPE(1, 4); SHAPE(8, 1); SHAPE(1, 8);
#undef SHAPE
    loop<Streams>(to, from, n_blocks, in, out, ahead);
}

// to: 64-byte aligned, n_blocks * out lines; from: n_blocks * in lines. `ahead`: bytes to prefetch
// before they are read, 0 for none; a prefetch past the end is harmless.
extern "C" void roof(void* to, const void* from, size_t n_blocks, size_t in, size_t out, int streams,
                     size_t ahead) {
    if (streams) shaped<true>((char*)to, (const char*)from, n_blocks, in, out, ahead);
    else shaped<false>((char*)to, (const char*)from, n_blocks, in, out, ahead);
}
