// Ranges and exponents of a block of numbers: what the instruction-set units and the Python side
// share.
#pragma once
#include "api.hpp"

namespace tc {

// One bin per exponent, subnormals' too. A float's bin b holds 2^(b + 1 - bias - mantissa bits) up
// to twice that; an integer's 2^b; of a format of 8 bits and fewer there is one bin for each code.
constexpr unsigned N_BINS = 2048 + 52;

struct Ranges {
    uint64_t n_zero, n_inf, n_nan;
    int64_t min, max;   // of a float, codes of the finite values in their order (see ordered)
    uint64_t smallest;  // the magnitude, of a float its code, least above zero; NO_INDEX: none
    uint64_t bins[N_BINS];

    TC_INLINE void clear() {
        __builtin_memset(this, 0, sizeof *this);
        min = INT64_MAX;
        max = INT64_MIN;
        smallest = NO_INDEX;
    }

    TC_INLINE void merge(const Ranges& other) {
        n_zero += other.n_zero;
        n_inf += other.n_inf;
        n_nan += other.n_nan;
        if (other.min < min) min = other.min;
        if (other.max > max) max = other.max;
        if (other.smallest < smallest) smallest = other.smallest;
        for (unsigned b = 0; b < N_BINS; ++b) bins[b] += other.bins[b];
    }
};

struct RangeKernels {
    const char* name;  // of the Kernels for the same CPUs
    // n contiguous elements of any alignment in the machine's byte order, added to *ranges.
    void (*read)(FormatId format, const void* source, uint64_t n, Ranges* ranges);
};

}  // namespace tc
