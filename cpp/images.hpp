// Pixels of 8 bits to planes of numbers: what the instruction-set units and the Python side share.
#pragma once
#include "api.hpp"

namespace tc {

// How a channel's 256 results are found; every form gives what the table has, bit for bit.
enum class Form : uint8_t {
    Table,
    Quotient,  // x / divisor in float32: a product with the reciprocal, corrected once
    Affine,    // a * x + b in float64, rounded to float32
};

struct Channel {
    Form form;
    float divisor, reciprocal;
    double a, b;
    const void* table;  // the result's code for every pixel value
};

struct ImageKernels {
    const char* name;  // of the Kernels for the same CPUs
    bool computes;  // whether the forms other than Table are faster here, and exact
    // n pixels, one channel, contiguous, to codes of `target`; around the caches on request, and
    // then the caller fences.
    void (*convert)(const Channel&, FormatId target, const uint8_t* pixels, void* codes, uint64_t n,
                    bool nontemporal);
    // n pixels of n_channels interleaved bytes to as many runs of n bytes.
    void (*separate)(const uint8_t* pixels, unsigned n_channels, uint64_t n, uint8_t* const* planes);
    // n pixels of 4 bytes to as many of 3, or of 2: the first and the last.
    void (*pack)(const uint8_t* pixels, unsigned n_channels, uint64_t n, uint8_t* packed);
};

}  // namespace tc
