// Ranges and exponents, read by every kernel set, against one number at a time.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "../ranges.hpp"

namespace tc {
#if defined(__x86_64__)
#if !defined(TC_EMULATED)
extern const RangeKernels RANGES_v4;
#endif
extern const RangeKernels RANGES_v3;
#endif
extern const RangeKernels RANGES_baseline;
}  // namespace tc

namespace {

using namespace tc;

uint64_t state = 1;

uint64_t draw() {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state ^ state >> 29;
}

// One value's exponent by frexp; the bins of a float begin at its least subnormal.
template <class T>
Ranges expected(const std::vector<T>& values, FormatId format, const void* codes) {
    const Row& row = ROWS[format];
    const int lowest = 1 - row.bias - row.mantissa_bits;
    Ranges r;
    r.clear();
    for (size_t i = 0; i < values.size(); ++i) {
        const double x = (double)values[i];
        uint64_t code = 0;
        memcpy(&code, (const char*)codes + i * row.container(), row.container());
        const uint64_t sign = uint64_t{1} << (row.bits - 1), magnitude = code & (sign - 1);
        if (isnan(x)) {
            ++r.n_nan;
            continue;
        }
        if (isinf(x)) {
            ++r.n_inf;
            continue;
        }
        const int64_t key = code & sign ? ~(int64_t)magnitude : (int64_t)magnitude;
        if (key < r.min) r.min = key;
        if (key > r.max) r.max = key;
        if (x == 0) {
            ++r.n_zero;
            continue;
        }
        if (magnitude < r.smallest) r.smallest = magnitude;
        int exponent;
        frexp(x, &exponent);
        ++r.bins[exponent - 1 - lowest];
    }
    return r;
}

// Bits of a block: of all kinds, of one exponent and its neighbours, of zeros and few others.
template <class U>
U pattern(int kind, unsigned mantissa_bits, U top) {
    const U bits = (U)draw(), sign = (U)(bits & ~(U)((U)~(U)0 >> 1)), fraction = (U)(bits & (((U)1 << mantissa_bits) - 1));
    const U middle = (U)(top / 2 + draw() % 11);
    switch (kind) {
        case 0: return bits;
        case 1: return (U)(sign | middle << mantissa_bits | fraction);
        case 2: return draw() % 3 ? 0 : (U)(sign | middle << mantissa_bits | fraction);
        case 3: return draw() % 50 ? (U)(sign | (U)1 << mantissa_bits | fraction) : (U)(sign | fraction);
        case 4: return (U)(sign | (U)(1 + draw() % (uint64_t)(top - 2)) << mantissa_bits | fraction);
        case 5: return sign;
        default: return draw() % 1000 ? (U)(middle << mantissa_bits) : (U)(sign | top << mantissa_bits | (fraction & -(draw() & 1)));
    }
}

bool same(const Ranges& a, const Ranges& b) { return memcmp(&a, &b, sizeof a) == 0; }

template <class T, class U>
bool check(const RangeKernels& kernels, FormatId format, const char* name) {
    const unsigned m = ROWS[format].mantissa_bits;
    const U top = (U)((U)((U)~(U)0 >> 1) >> m);
    for (const size_t n : {(size_t)0, (size_t)1, (size_t)2047, (size_t)2048, (size_t)2049, (size_t)9000})
        for (int kind = 0; kind < 7; ++kind)
            for (const size_t shift : {0, 1}) {
                // as long as it is read, so that a byte beyond is found out
                std::vector<char> memory(n * sizeof(U) + shift);
                std::vector<T> values(n);
                for (size_t i = 0; i < n; ++i) {
                    const U code = pattern<U>(kind, m, top);
                    memcpy(memory.data() + shift + i * sizeof(U), &code, sizeof code);
                    memcpy(&values[i], &code, sizeof code);
                }
                Ranges found;
                found.clear();
                kernels.read(format, memory.data() + shift, n, &found);
                if (!same(found, expected(values, format, memory.data() + shift))) {
                    printf("%s, %s: %zu of kind %d differ\n", kernels.name, name, n, kind);
                    return false;
                }
            }
    return true;
}

}  // namespace

int main() {
    int n_passed = 0, n_failed = 0;
    const RangeKernels* const all[] = {
#if defined(__x86_64__)
#if !defined(TC_EMULATED)
        &RANGES_v4,
#endif
        &RANGES_v3,
#endif
        &RANGES_baseline,
    };
    for (const RangeKernels* kernels : all) {
        if (!find_kernels(kernels->name)) {
            printf("skipped: %s does not run here\n", kernels->name);
            continue;
        }
        for (const bool right : {check<float, uint32_t>(*kernels, F_float32, "float32"),
                                 check<double, uint64_t>(*kernels, F_float64, "float64")})
            ++(right ? n_passed : n_failed);
        printf("checked: %s\n", kernels->name);
    }
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed ? 1 : 0;
}
