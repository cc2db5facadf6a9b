// A cast that uses its source up: whole pages go back to the system as soon as they are read.
#pragma once
#include "api.hpp"

namespace tc {

// Elements in the order of their memory, and the index in C order that each of them has: what
// stochastic rounding draws by. Dimensions from the longest step in memory to the shortest, each
// longer than all below it.
struct MemoryOrder {
    int n_dims;
    int64_t shape[MAX_DIMS];
    int64_t steps[MAX_DIMS];    // elements in memory
    int64_t indices[MAX_DIMS];  // elements in C order
};

// n_elements as they lie in memory, aligned, in the machine's byte order.
struct Consumption {
    const Kernels* kernels;
    Cast cast;
    char* source;
    char* target;        // the source itself (then of the same width), or memory of its own
    uint64_t n_elements;
    bool releases;       // hand the source's pages back
    bool moves;          // and move them to the target, where that is faster
    bool is_ordered;     // `order` counts
    MemoryOrder order;
};

// Never fails and never raises. At most `chunk_bytes`, of the wider of both, are in memory twice.
// n_failures: so many allocations of the kernels' own are taken as failed, for tests.
void consume(const Consumption&, uint64_t chunk_bytes, unsigned n_threads, unsigned n_failures);

}  // namespace tc
