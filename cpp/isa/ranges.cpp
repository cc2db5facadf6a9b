// One instruction set's reading of ranges and exponents: this file is compiled once per set with
// -DTC_ISA=<its name>. A block of 2048 elements is read from memory once; its exponents, a byte each,
// are then counted in L1: a block of real data has some fifteen of them, and comparing 32 bytes with
// each of fifteen is faster than adding to a table one by one.
#include <string.h>

#include "../ranges.hpp"

namespace tc {
namespace {

#if defined(__AVX512BW__)
constexpr unsigned WIDTH = 64;
#elif defined(__AVX2__)
constexpr unsigned WIDTH = 32;
#else
constexpr unsigned WIDTH = 16;
#endif
typedef uint8_t Bytes __attribute__((vector_size(WIDTH)));
typedef uint16_t Pairs __attribute__((vector_size(WIDTH)));

constexpr unsigned N = 2048;  // elements of a block
static_assert(N / WIDTH < 256, "a byte counts the matches of a lane");

constexpr unsigned WIDEST = 32;  // exponents that are counted by comparing; beyond, by a table

TC_INLINE uint64_t sum(Bytes counts) {
    const Pairs pairs = ((Pairs)counts & 0xff) + ((Pairs)counts >> 8);
    uint64_t lanes[WIDTH / 8], all = 0;  // four sums of 16 bits each
    memcpy(lanes, &pairs, sizeof lanes);
    for (uint64_t lane : lanes) all += lane;
    return (all & 0xffff) + (all >> 16 & 0xffff) + (all >> 32 & 0xffff) + (all >> 48);
}

// bins[k] += how many of the N bytes are k, for first <= k <= last.
void count_by_comparing(const uint8_t* bytes, unsigned first, unsigned last, uint64_t* bins) {
    for (unsigned k = first; k <= last; k += 4) {
        const Bytes zero = {};
        const Bytes a = zero + (uint8_t)k, b = a + 1, c = a + 2, d = a + 3;
        Bytes in_a = {}, in_b = {}, in_c = {}, in_d = {};
        for (unsigned i = 0; i < N; i += WIDTH) {
            Bytes x;
            memcpy(&x, bytes + i, WIDTH);
            in_a -= (Bytes)(x == a);
            in_b -= (Bytes)(x == b);
            in_c -= (Bytes)(x == c);
            in_d -= (Bytes)(x == d);
        }
        bins[k] += sum(in_a);
        if (k + 1 <= last) bins[k + 1] += sum(in_b);
        if (k + 2 <= last) bins[k + 2] += sum(in_c);
        if (k + 3 <= last) bins[k + 3] += sum(in_d);
    }
}

// counts[byte] += 1; four tables, so that equal neighbours do not wait for each other.
void count_by_table(const uint8_t* bytes, uint64_t n, uint64_t* counts) {
    uint32_t tables[4][256] = {};
    uint64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        ++tables[0][bytes[i]];
        ++tables[1][bytes[i + 1]];
        ++tables[2][bytes[i + 2]];
        ++tables[3][bytes[i + 3]];
    }
    for (; i < n; ++i) ++tables[0][bytes[i]];
    for (unsigned b = 0; b < 256; ++b)
        counts[b] += (uint64_t)tables[0][b] + tables[1][b] + tables[2][b] + tables[3][b];
}

template <unsigned BITS>
struct Word;
template <>
struct Word<16> {
    using U = uint16_t;
    using I = int16_t;
};
template <>
struct Word<32> {
    using U = uint32_t;
    using I = int32_t;
};
template <>
struct Word<64> {
    using U = uint64_t;
    using I = int64_t;
};

// A float of BITS bits with M of mantissa, laid out as IEEE 754 does.
template <unsigned BITS, unsigned M>
struct Float {
    using U = typename Word<BITS>::U;
    using I = typename Word<BITS>::I;
    static constexpr U ABS = (U)((U)~(U)0 >> 1);
    static constexpr unsigned TOP = ABS >> M;  // the exponent of infinity and NaN
    static constexpr U INF = (U)TOP << M;

    // Negative codes turned around, so that codes compare as their values do, -0 below 0.
    static TC_INLINE I ordered(U u) { return (I)(u ^ ((U)((I)u >> (BITS - 1)) & ABS)); }

    static void one_by_one(const U* p, uint64_t n, Ranges* r) {
        for (uint64_t i = 0; i < n; ++i) {
            const U u = p[i], a = u & ABS;
            if (a >= INF) {
                ++*(a == INF ? &r->n_inf : &r->n_nan);
                continue;
            }
            const int64_t key = ordered(u);
            if (key < r->min) r->min = key;
            if (key > r->max) r->max = key;
            if (a == 0) {
                ++r->n_zero;
                continue;
            }
            if (a < r->smallest) r->smallest = a;
            const unsigned exponent = (unsigned)(a >> M);
            ++r->bins[exponent ? M - 1 + exponent : 63 - __builtin_clzll((uint64_t)a)];
        }
    }

    struct Block {
        I min, max;  // in order
        U smallest;  // less one: of a block of zeros all ones
    };

    static TC_INLINE Block look(const U* p, uint8_t* exponents) {
        Block b = {(I)ABS, (I)~ABS, (U)~(U)0};
        for (unsigned i = 0; i < N; ++i) {
            const U u = p[i], a = u & ABS, less = a - 1;
            const I key = ordered(u);
            b.min = key < b.min ? key : b.min;
            b.max = key > b.max ? key : b.max;
            b.smallest = less < b.smallest ? less : b.smallest;
            if constexpr (BITS != 64) exponents[i] = (uint8_t)(a >> M);
        }
        return b;
    }

    // Zeros and subnormals share their exponent: both are few, or the zeros are many.
    static void below_normal(const U* p, const uint8_t* exponents, Ranges* r) {
        for (unsigned i = 0; i < N; i += WIDTH) {
            Bytes x;
            memcpy(&x, exponents + i, WIDTH);
            const Bytes zero = {}, is = (Bytes)(x == zero);
            uint64_t lanes[WIDTH / 8], any = 0;
            memcpy(lanes, &is, sizeof lanes);
            for (uint64_t lane : lanes) any |= lane;
            for (unsigned j = i; any && j < i + WIDTH; ++j) {
                const U a = p[j] & ABS;
                if (a == 0)
                    ++r->n_zero;
                else if (a >> M == 0)
                    ++r->bins[63 - __builtin_clzll((uint64_t)a)];
            }
        }
    }

    static void block(const U* p, Ranges* r) {
        alignas(64) uint8_t exponents[N];
        const Block b = look(p, exponents);
        // the magnitudes of both ends: a negative key's is its complement
        const U low = b.min < 0 ? (U)~b.min : (U)b.min, high = b.max < 0 ? (U)~b.max : (U)b.max;
        const U largest = low > high ? low : high, smallest = (U)(b.smallest + 1);
        if (largest >= INF) return one_by_one(p, N, r);
        if (b.min < r->min) r->min = b.min;
        if (b.max > r->max) r->max = b.max;
        if (largest == 0) {
            r->n_zero += N;
            return;
        }
        if (smallest < r->smallest) r->smallest = smallest;
        unsigned first = (unsigned)(smallest >> M);
        const unsigned last = (unsigned)(largest >> M);
        if constexpr (BITS == 64) {
            count_wide(p, first, last, r);
        } else {
            if (first == 0) {
                below_normal(p, exponents, r);
                first = 1;
            } else {
                uint64_t zeros[1] = {0};
                count_by_comparing(exponents, 0, 0, zeros);
                r->n_zero += zeros[0];
            }
            uint64_t* bins = r->bins + M - 1;  // by exponent
            if (last - first < WIDEST) {
                count_by_comparing(exponents, first, last, bins);
            } else {
                uint64_t counts[256] = {};
                count_by_table(exponents, N, counts);
                for (unsigned e = first; e <= last; ++e) bins[e] += counts[e];
            }
        }
    }

    // float64, whose exponents take more than a byte: neighbours in two tables, for as many
    // exponents as data has.
    static void count_wide(const U* p, unsigned first, unsigned last, Ranges* r) {
        constexpr unsigned MOST = 64;
        if (first == 0 || last - first >= MOST - 1) {
            for (unsigned i = 0; i < N; ++i) {
                const U a = p[i] & ABS;
                const unsigned e = (unsigned)(a >> M);
                if (a == 0)
                    ++r->n_zero;
                else
                    ++r->bins[e ? M - 1 + e : 63 - (unsigned)__builtin_clzll((uint64_t)a)];
            }
            return;
        }
        uint32_t tables[2][MOST] = {};  // the last place is for zeros
        for (unsigned i = 0; i < N; i += 2) {
            const unsigned a = (unsigned)((p[i] & ABS) >> M) - first, b = (unsigned)((p[i + 1] & ABS) >> M) - first;
            ++tables[0][a < MOST - 1 ? a : MOST - 1];
            ++tables[1][b < MOST - 1 ? b : MOST - 1];
        }
        r->n_zero += tables[0][MOST - 1] + tables[1][MOST - 1];
        for (unsigned e = first; e <= last; ++e)
            r->bins[M - 1 + e] += (uint64_t)tables[0][e - first] + tables[1][e - first];
    }

    static void read(const void* source, uint64_t n, Ranges* r) {
        const char* p = (const char*)source;
        const bool aligned = (uintptr_t)p % sizeof(U) == 0;
        alignas(64) U copy[N];
        while (n) {
            const uint64_t m = n < N ? n : N;
            const U* here = (const U*)p;
            if (!aligned) {
                memcpy(copy, p, m * sizeof(U));
                here = copy;
            }
            if (m == N)
                block(here, r);
            else
                one_by_one(here, m, r);
            p += m * sizeof(U);
            n -= m;
        }
    }
};

template <class T>
void read_integers(const void* source, uint64_t n, Ranges* r) {
    const char* p = (const char*)source;
    constexpr bool UNSIGNED_WIDE = T(-1) > T(0) && sizeof(T) == 8;
    for (uint64_t i = 0; i < n; ++i) {
        T x;
        memcpy(&x, p + i * sizeof(T), sizeof(T));
        // uint64 does not fit: its bits, shifted by 2^63, as in Stats
        const int64_t value = UNSIGNED_WIDE ? (int64_t)((uint64_t)x ^ (uint64_t{1} << 63)) : (int64_t)x;
        if (value < r->min) r->min = value;
        if (value > r->max) r->max = value;
        const uint64_t magnitude = x < T(0) ? uint64_t{0} - (uint64_t)x : (uint64_t)x;
        if (magnitude == 0) {
            ++r->n_zero;
            continue;
        }
        if (magnitude < r->smallest) r->smallest = magnitude;
        ++r->bins[63 - __builtin_clzll(magnitude)];
    }
}

void read(FormatId format, const void* source, uint64_t n, Ranges* r) {
    switch (format) {
        case F_float16: return Float<16, 10>::read(source, n, r);
        case F_bfloat16: return Float<16, 7>::read(source, n, r);
        case F_float32: return Float<32, 23>::read(source, n, r);
        case F_float64: return Float<64, 52>::read(source, n, r);
        case F_int16: return read_integers<int16_t>(source, n, r);
        case F_uint16: return read_integers<uint16_t>(source, n, r);
        case F_int32: return read_integers<int32_t>(source, n, r);
        case F_uint32: return read_integers<uint32_t>(source, n, r);
        case F_int64: return read_integers<int64_t>(source, n, r);
        case F_uint64: return read_integers<uint64_t>(source, n, r);
        default: {  // 8 bits and fewer, a byte each
            const uint8_t* p = (const uint8_t*)source;
            constexpr uint64_t MOST = uint64_t{1} << 31;  // that a table of 32 bits counts
            for (uint64_t done = 0; done < n; done += MOST)
                count_by_table(p + done, n - done < MOST ? n - done : MOST, r->bins);
        }
    }
}

}  // namespace

extern const RangeKernels TC_JOIN(RANGES_, TC_ISA);
const RangeKernels TC_JOIN(RANGES_, TC_ISA) = {TC_TEXT(TC_ISA), read};

}  // namespace tc
