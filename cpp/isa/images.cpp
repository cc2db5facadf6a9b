// One instruction set's work on images: this file is compiled once per set with -DTC_ISA=<its name>.
#include <string.h>

#include "../images.hpp"
#include "bits.hpp"

namespace tc {
namespace {

template <class T>
void look_up(const void* table, const uint8_t* pixels, void* codes, uint64_t n) {
    const T* results = (const T*)table;
    T* out = (T*)codes;
    for (uint64_t i = 0; i < n; ++i) out[i] = results[pixels[i]];
}

struct Wide {
    uint64_t low, high;
};

void look_up_code(unsigned size, const void* table, const uint8_t* pixels, void* codes, uint64_t n) {
    switch (size) {
        case 1: return look_up<uint8_t>(table, pixels, codes, n);
        case 2: return look_up<uint16_t>(table, pixels, codes, n);
        case 4: return look_up<uint32_t>(table, pixels, codes, n);
        case 8: return look_up<uint64_t>(table, pixels, codes, n);
        default: return look_up<Wide>(table, pixels, codes, n);
    }
}

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

constexpr bool COMPUTES = true;

template <Form FORM>
TC_INLINE __m256 results8(const Channel& c, const uint8_t* pixels) {
    const __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)pixels));
    if constexpr (FORM == Form::Quotient) {
        const __m256 x = _mm256_cvtepi32_ps(wide), r = _mm256_set1_ps(c.reciprocal);
        const __m256 q = _mm256_mul_ps(x, r);
        const __m256 rest = _mm256_fnmadd_ps(q, _mm256_set1_ps(c.divisor), x);
        return _mm256_fmadd_ps(rest, r, q);
    } else {
        const __m256d a = _mm256_set1_pd(c.a), b = _mm256_set1_pd(c.b);
        const __m256d low = _mm256_cvtepi32_pd(_mm256_castsi256_si128(wide));
        const __m256d high = _mm256_cvtepi32_pd(_mm256_extracti128_si256(wide, 1));
        return _mm256_set_m128(_mm256_cvtpd_ps(_mm256_fmadd_pd(high, a, b)),
                               _mm256_cvtpd_ps(_mm256_fmadd_pd(low, a, b)));
    }
}

TC_INLINE __m128i bfloat16_of(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i top = _mm256_srli_epi32(sum, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
}

template <bool STREAM>
TC_INLINE void put(void* to, __m256i x) {
    STREAM ? _mm256_stream_si256((__m256i*)to, x) : _mm256_storeu_si256((__m256i*)to, x);
}

// 16 pixels a step; what is left over, and what comes before aligned memory, is looked up.
template <Form FORM, FormatId TARGET, bool STREAM>
void compute(const Channel& c, const uint8_t* pixels, char* out, uint64_t n) {
    constexpr unsigned SIZE = TARGET == F_float32 ? 4 : 2;
    if (STREAM) {
        uint64_t before = (-(uintptr_t)out & 31) / SIZE;
        if (before > n || (uintptr_t)out % SIZE) before = n;
        look_up_code(SIZE, c.table, pixels, out, before);
        pixels += before;
        out += before * SIZE;
        n -= before;
    }
    for (; n >= 16; n -= 16, pixels += 16, out += 16 * SIZE) {
        const __m256 x = results8<FORM>(c, pixels), y = results8<FORM>(c, pixels + 8);
        if constexpr (TARGET == F_float32) {
            put<STREAM>(out, _mm256_castps_si256(x));
            put<STREAM>(out + 32, _mm256_castps_si256(y));
        } else if constexpr (TARGET == F_float16) {
            put<STREAM>(out, _mm256_set_m128i(_mm256_cvtps_ph(y, _MM_FROUND_TO_NEAREST_INT),
                                              _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)));
        } else {
            put<STREAM>(out, _mm256_set_m128i(bfloat16_of(y), bfloat16_of(x)));
        }
    }
    look_up_code(SIZE, c.table, pixels, out, n);
}

template <FormatId TARGET, bool STREAM>
void compute_as(const Channel& c, const uint8_t* pixels, char* out, uint64_t n) {
    c.form == Form::Quotient ? compute<Form::Quotient, TARGET, STREAM>(c, pixels, out, n)
                             : compute<Form::Affine, TARGET, STREAM>(c, pixels, out, n);
}

bool convert_computed(const Channel& c, FormatId target, const uint8_t* pixels, char* out, uint64_t n,
                      bool stream) {
    if (target == F_float32)
        stream ? compute_as<F_float32, true>(c, pixels, out, n) : compute_as<F_float32, false>(c, pixels, out, n);
    else if (target == F_float16)
        stream ? compute_as<F_float16, true>(c, pixels, out, n) : compute_as<F_float16, false>(c, pixels, out, n);
    else if (target == F_bfloat16)
        stream ? compute_as<F_bfloat16, true>(c, pixels, out, n)
               : compute_as<F_bfloat16, false>(c, pixels, out, n);
    else
        return false;
    return true;
}

// Byte 3 i + channel of 48 bytes in three registers, for i from 0 to 15: where each comes from.
struct Masks {
    int8_t of[3][3][16];
};
constexpr Masks MASKS = [] {
    Masks masks{};
    for (int channel = 0; channel < 3; ++channel)
        for (int part = 0; part < 3; ++part)
            for (int i = 0; i < 16; ++i) {
                const int at = 3 * i + channel - 16 * part;
                masks.of[channel][part][i] = at >= 0 && at < 16 ? (int8_t)at : (int8_t)-1;
            }
    return masks;
}();

uint64_t separate3(const uint8_t* pixels, uint64_t n, uint8_t* const* planes) {
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m128i in[3];
        for (int part = 0; part < 3; ++part)
            in[part] = _mm_loadu_si128((const __m128i*)(pixels + 3 * i) + part);
        for (int channel = 0; channel < 3; ++channel) {
            __m128i plane = _mm_setzero_si128();
            for (int part = 0; part < 3; ++part)
                plane = _mm_or_si128(
                    plane, _mm_shuffle_epi8(in[part], _mm_loadu_si128((const __m128i*)MASKS.of[channel][part])));
            _mm_storeu_si128((__m128i*)(planes[channel] + i), plane);
        }
    }
    return i;
}

uint64_t separate4(const uint8_t* pixels, uint64_t n, uint8_t* const* planes) {
    const __m128i groups = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m128i* in = (const __m128i*)(pixels + 4 * i);
        __m128i x[4];
        for (int k = 0; k < 4; ++k) x[k] = _mm_shuffle_epi8(_mm_loadu_si128(in + k), groups);
        const __m128i a = _mm_unpacklo_epi32(x[0], x[1]), b = _mm_unpacklo_epi32(x[2], x[3]);
        const __m128i c = _mm_unpackhi_epi32(x[0], x[1]), d = _mm_unpackhi_epi32(x[2], x[3]);
        _mm_storeu_si128((__m128i*)(planes[0] + i), _mm_unpacklo_epi64(a, b));
        _mm_storeu_si128((__m128i*)(planes[1] + i), _mm_unpackhi_epi64(a, b));
        _mm_storeu_si128((__m128i*)(planes[2] + i), _mm_unpacklo_epi64(c, d));
        _mm_storeu_si128((__m128i*)(planes[3] + i), _mm_unpackhi_epi64(c, d));
    }
    return i;
}

uint64_t pack3(const uint8_t* pixels, uint64_t n, uint8_t* packed) {
    const __m128i kept = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    uint64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m128i* in = (const __m128i*)(pixels + 4 * i);
        __m128i x[4];  // 12 bytes each
        for (int k = 0; k < 4; ++k) x[k] = _mm_shuffle_epi8(_mm_loadu_si128(in + k), kept);
        __m128i* out = (__m128i*)(packed + 3 * i);
        _mm_storeu_si128(out, _mm_or_si128(x[0], _mm_slli_si128(x[1], 12)));
        _mm_storeu_si128(out + 1, _mm_or_si128(_mm_srli_si128(x[1], 4), _mm_slli_si128(x[2], 8)));
        _mm_storeu_si128(out + 2, _mm_or_si128(_mm_srli_si128(x[2], 8), _mm_slli_si128(x[3], 4)));
    }
    return i;
}

uint64_t pack2(const uint8_t* pixels, uint64_t n, uint8_t* packed) {
    const __m128i kept = _mm_setr_epi8(0, 3, 4, 7, 8, 11, 12, 15, 0, 3, 4, 7, 8, 11, 12, 15);
    uint64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const __m128i* in = (const __m128i*)(pixels + 4 * i);
        const __m128i x = _mm_shuffle_epi8(_mm_loadu_si128(in), kept);
        const __m128i y = _mm_shuffle_epi8(_mm_loadu_si128(in + 1), kept);
        _mm_storeu_si128((__m128i*)(packed + 2 * i), _mm_unpacklo_epi64(x, y));
    }
    return i;
}

#else

constexpr bool COMPUTES = false;
bool convert_computed(const Channel&, FormatId, const uint8_t*, char*, uint64_t, bool) { return false; }
uint64_t separate3(const uint8_t*, uint64_t, uint8_t* const*) { return 0; }
uint64_t separate4(const uint8_t*, uint64_t, uint8_t* const*) { return 0; }
uint64_t pack3(const uint8_t*, uint64_t, uint8_t*) { return 0; }
uint64_t pack2(const uint8_t*, uint64_t, uint8_t*) { return 0; }

#endif

void convert(const Channel& channel, FormatId target, const uint8_t* pixels, void* codes, uint64_t n,
             bool nontemporal) {
    if (channel.form != Form::Table &&
        convert_computed(channel, target, pixels, (char*)codes, n, nontemporal))
        return;
    look_up_code(ROWS[target].container(), channel.table, pixels, codes, n);
}

void separate(const uint8_t* pixels, unsigned n_channels, uint64_t n, uint8_t* const* planes) {
    const uint64_t begin = n_channels == 3   ? separate3(pixels, n, planes)
                           : n_channels == 4 ? separate4(pixels, n, planes)
                                             : 0;
    for (unsigned channel = 0; channel < n_channels; ++channel)
        for (uint64_t i = begin; i < n; ++i) planes[channel][i] = pixels[i * n_channels + channel];
}

void pack(const uint8_t* pixels, unsigned n_channels, uint64_t n, uint8_t* packed) {
    uint64_t i = n_channels == 3 ? pack3(pixels, n, packed) : pack2(pixels, n, packed);
    for (; i < n; ++i) {
        const uint8_t* pixel = pixels + 4 * i;
        uint8_t* to = packed + n_channels * i;
        to[0] = pixel[0];
        to[1] = pixel[n_channels == 3 ? 1 : 3];
        if (n_channels == 3) to[2] = pixel[2];
    }
}

}  // namespace

extern const ImageKernels TC_JOIN(IMAGES_, TC_ISA);
const ImageKernels TC_JOIN(IMAGES_, TC_ISA) = {TC_TEXT(TC_ISA), COMPUTES, convert, separate, pack};

}  // namespace tc
