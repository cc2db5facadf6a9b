// What the instruction-set units, the dispatcher and the Python module share.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "rows.hpp"

namespace tc {

#include "policies.generated.hpp"

// Statistics are summed per block, blocks per segment, segments in order: the same result for any
// number of threads. Both are multiples of every packing period.
constexpr uint64_t BLOCK = 2048;
constexpr uint64_t SEGMENT = 16 * BLOCK;

constexpr uint64_t NO_INDEX = ~uint64_t{0};

// One cast of real components: complex formats arrive here as twice as many floats.
struct Cast {
    FormatId source;
    FormatId target;
    Overflow overflow;
    Rounding rounding;
    NanPolicy nan;
    InfPolicy inf;
    bool source_packed;
    bool target_packed;
    bool full;            // all statistics, not only the counts that a policy needs
    bool collapses;       // the counts of what becomes 0, or one value; `full` has them too
    bool nontemporal;     // the output is too large for the caches: store around them
    bool quiets;          // of a cast to the same format: NaNs come out quiet all the same
    uint8_t index_shift;  // element i draws random number i << index_shift
    uint64_t keys;        // seed_keys(seed) of stochastic rounding
};

// The mixer is lowbias32 with the constants of github.com/skeeto/hash-prospector (public domain).
TC_INLINE uint32_t mix32(uint32_t x) {
    x ^= x >> 16;
    x *= 0x21f0aaadu;
    x ^= x >> 15;
    x *= 0xd35a2d97u;
    x ^= x >> 15;
    return x;
}

// The two 32-bit keys of a seed, as in reference.seed_keys: the seed is mixed before it meets an
// index, or neighbouring seeds would draw the same numbers in another order.
TC_INLINE uint64_t seed_keys(uint64_t seed) {
    const uint32_t low = uint32_t(seed), high = uint32_t(seed >> 32);
    const uint32_t second = high ^ mix32(low ^ 0x9E3779B9u);
    return uint64_t(second) << 32 | (low ^ mix32(second ^ 0x85EBCA6Bu));
}

// Whether all values seen are one, and which: its code, of two components where it is complex.
struct OneValue {
    uint64_t code[2] = {0, 0};
    uint8_t seen = 0;  // 0: none, 1: one, 2: several

    TC_INLINE constexpr OneValue() {}
    TC_INLINE bool is_several() const { return seen == 2; }
    TC_INLINE void set_several() { seen = 2; }
    TC_INLINE void add(uint64_t first, uint64_t second) {
        if (seen && (code[0] != first || code[1] != second)) return set_several();
        if (seen) return;
        code[0] = first;
        code[1] = second;
        seen = 1;
    }
    TC_INLINE void merge(const OneValue& later) {
        if (later.seen == 2) return set_several();
        if (later.seen) add(later.code[0], later.code[1]);
    }
};

struct Stats {
    uint64_t n_overflow = 0;
    uint64_t n_nan_lost = 0;
    uint64_t first_overflow = NO_INDEX;
    // of what overflows, with Overflow::Raise only: the largest magnitude, and where it is
    double largest_overflow = -1;
    uint64_t largest_index = NO_INDEX;
    // only with Cast::full or Cast::collapses: zeros in the source, and other numbers that became 0
    uint64_t n_zero = 0;
    uint64_t n_to_zero = 0;
    // of targets of up to 8 bits; the source's is not looked at once the results are several
    OneValue one_source, one_result;
    // below: only with Cast::full
    uint64_t n_inexact = 0;
    uint64_t n_underflow = 0;
    uint64_t n_nan = 0;
    uint64_t n_inf = 0;
    uint64_t n_finite = 0;
    double min = __builtin_inf();
    double max = -__builtin_inf();
    int64_t min_integer = INT64_MAX;  // exact, for 64-bit integer sources only
    int64_t max_integer = INT64_MIN;  // (uint64: the bits, shifted by 2^63)
    double max_abs_error = 0;
    double sum_squared_error = 0;
    double sum_squared = 0;

    TC_INLINE constexpr Stats() {}

    // `later` continues where this one ends.
    TC_INLINE void merge(const Stats& later) {
        n_overflow += later.n_overflow;
        n_nan_lost += later.n_nan_lost;
        if (later.first_overflow < first_overflow) first_overflow = later.first_overflow;
        if (later.largest_overflow > largest_overflow) {
            largest_overflow = later.largest_overflow;
            largest_index = later.largest_index;
        }
        n_zero += later.n_zero;
        n_to_zero += later.n_to_zero;
        one_source.merge(later.one_source);
        one_result.merge(later.one_result);
        n_inexact += later.n_inexact;
        n_underflow += later.n_underflow;
        n_nan += later.n_nan;
        n_inf += later.n_inf;
        n_finite += later.n_finite;
        if (later.min < min) min = later.min;
        if (later.max > max) max = later.max;
        if (later.min_integer < min_integer) min_integer = later.min_integer;
        if (later.max_integer > max_integer) max_integer = later.max_integer;
        if (later.max_abs_error > max_abs_error) max_abs_error = later.max_abs_error;
        sum_squared_error += later.sum_squared_error;
        sum_squared += later.sum_squared;
    }
};

// Whether infinities have a code in the target that the policy does not let them have: they overflow
// then, and get the code of the largest finite value.
TC_INLINE bool ends_infinities(const Cast& cast) {
    return cast.inf != InfPolicy::Keep && ROWS[ROWS[cast.target].component].infinity;
}

// How many values a policy refuses.
TC_INLINE uint64_t n_refused(const Cast& cast, const Stats& stats) {
    const uint64_t n_ended = ends_infinities(cast) ? stats.n_inf : 0;
    return (cast.overflow == Overflow::Raise ? stats.n_overflow - n_ended : 0) +
           (cast.overflow == Overflow::Wrap ? stats.n_inf : 0) +
           (cast.inf == InfPolicy::Raise ? n_ended : 0) +
           (cast.nan == NanPolicy::Raise ? stats.n_nan_lost : 0);
}

struct HashState;

struct Kernels {
    const char* name;
    // Casts n contiguous, naturally aligned elements in the machine's byte order; target may be
    // null (measure only). `first` is the index of the first element, a multiple of BLOCK unless
    // n <= BLOCK. Statistics are added to *stats. With cast.nontemporal end_of_stores() comes before
    // another thread reads the target.
    void (*run)(const Cast&, const void* source, void* target, uint64_t n, uint64_t first,
                Stats* stats);
    // The same of n complex elements, with cast.source the format of their components, to bool.
    void (*run_complex_to_bool)(const Cast&, const void* source, void* target, uint64_t n,
                                Stats* stats);
    // Brings an XXH3 (hash.hpp) forward by n stripes of 64 bytes, from the start of a block of 16.
    void (*stripes)(HashState*, const void* data, uint64_t n);
    bool (*supported)();
};

// In a file that is compiled once per instruction set, of TC_ISA: its name as text, and joined to a
// prefix.
#define TC_TEXT_(x) #x
#define TC_TEXT(x) TC_TEXT_(x)
#define TC_JOIN_(a, b) a##b
#define TC_JOIN(a, b) TC_JOIN_(a, b)

// Every kernel set of this build, best first; ends with a null name.
extern const Kernels* const ALL_KERNELS[];
const Kernels* pick_kernels();
const Kernels* find_kernels(const char* name);  // null: unknown, or not supported by this CPU

// How far ahead of its reads a loop that stores around the caches fetches its source, in bytes; a
// matter of speed alone. On AMD's processors (Zen 4 and 5) the source's lines come a fifth faster from
// 512 bytes ahead, and further ahead small pages gain nothing; on Intel's (Ice Lake) 2048 bytes ahead
// gain a tenth over 512.
extern uint64_t READ_AHEAD;

// Where the elements of a tensor lie: byte strides per dimension, outermost first.
constexpr int MAX_DIMS = 65;  // NumPy's 64, and one for the components of complex elements
struct Layout {
    char* address;
    int n_dims;
    int64_t shape[MAX_DIMS];
    int64_t strides[MAX_DIMS];
    bool contiguous;  // C order, no gaps
    bool swapped;     // components are in the other byte order
};

// Casts a whole tensor, complex formats and strides included, on up to n_threads threads.
// target.address null: measure only. Formats and packing as in `cast`, complex allowed; packed
// elements are contiguous. False: out of memory, with part of the target written.
bool cast_tensor(const Kernels&, Cast cast, const Layout& source, const Layout& target,
                 uint64_t n_elements, uint64_t first, unsigned n_threads, Stats* stats);

// What was stored around the caches is ordered before what is stored from here on. It waits for the
// memory: once for many segments, not after each.
TC_INLINE void end_of_stores() {
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

// Runs task(context, i) for every i < n_tasks on up to n_threads threads, the caller among them;
// `grain` tasks in a row go to one thread.
void parallel(unsigned n_threads, uint64_t n_tasks, void (*task)(void*, uint64_t), void* context,
              uint64_t grain = 1);

}  // namespace tc
