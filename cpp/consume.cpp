#include "consume.hpp"

#include <string.h>

#include "memory.hpp"

namespace tc {
namespace {

// Of a block that is cast in the memory it stands in: it is copied here first, because kernels read
// some elements twice.
constexpr uint64_t SCRATCH_BYTES = 64 << 10;

// cast_tensor allocates nothing for so few aligned contiguous elements, which may be complex.
constexpr uint64_t WITHOUT_ALLOCATION = SEGMENT / 2;

// Bits from one element to the next.
unsigned width(bool packed, const Row& row) { return packed ? row.bits : row.container() * 8; }

uint64_t bytes_of(uint64_t n, bool packed, const Row& row) { return n * width(packed, row) / 8; }

bool cast_run(const Consumption& c, const char* source, char* target, uint64_t n, uint64_t first,
              unsigned n_threads) {
    Layout from{}, to{};
    from.address = (char*)source;
    to.address = target;
    from.contiguous = to.contiguous = true;
    Stats ignored;
    return cast_tensor(*c.kernels, c.cast, from, to, n, first, n_threads, &ignored);
}

struct Here {
    const Consumption& c;
    uint64_t block;
};

void cast_block_here(void* context, uint64_t i) {
    const Here& here = *(const Here*)context;
    const uint64_t begin = i * here.block, left = here.c.n_elements - begin;
    const uint64_t n = left < here.block ? left : here.block;
    alignas(64) char scratch[SCRATCH_BYTES];
    const Row& row = ROWS[here.c.cast.source];
    char* at = here.c.source + bytes_of(begin, here.c.cast.source_packed, row);
    memcpy(scratch, at, bytes_of(n, here.c.cast.source_packed, row));
    cast_run(here.c, scratch, at, n, begin, 1);
}

void consume_here(const Consumption& c, unsigned n_threads) {
    const uint64_t fit = SCRATCH_BYTES / ROWS[c.cast.source].container();
    Here here{c, fit < WITHOUT_ALLOCATION ? fit : WITHOUT_ALLOCATION};
    const uint64_t n_blocks = (c.n_elements + here.block - 1) / here.block;
    if (n_blocks < 4) n_threads = 1;
    parallel(n_threads, n_blocks, cast_block_here, &here, 4);
}

// One run of elements that follow each other in memory and in C order.
void cast_ordered(const Consumption& c, uint64_t at, uint64_t first, uint64_t n) {
    const unsigned from = ROWS[c.cast.source].container(), to = ROWS[c.cast.target].container();
    alignas(64) char scratch[BLOCK * 16];
    while (n) {
        const uint64_t m = n < BLOCK ? n : BLOCK;
        memcpy(scratch, c.source + at * from, m * from);
        cast_run(c, scratch, c.target + at * to, m, first, 1);
        at += m;
        first += m;
        n -= m;
    }
}

void consume_ordered(const Consumption& c, uint64_t chunk_bytes) {
    const MemoryOrder& o = c.order;
    const unsigned from = ROWS[c.cast.source].container();
    const int last = o.n_dims - 1;
    const bool runs = last >= 0 && o.steps[last] == 1 && o.indices[last] == 1;
    const int64_t length = runs ? o.shape[last] : 1;
    const int outer = runs ? last : o.n_dims;
    int64_t index[MAX_DIMS] = {};
    uint64_t at = 0, first = 0;
    uintptr_t released = (uintptr_t)c.source;
    for (;;) {
        cast_ordered(c, at, first, (uint64_t)length);
        const uintptr_t consumed = (uintptr_t)(c.source + (at + (uint64_t)length) * from);
        if (c.releases && consumed > released + chunk_bytes) released = release_pages(released, consumed);
        int d = outer - 1;
        for (; d >= 0; --d) {
            at += (uint64_t)o.steps[d];
            first += (uint64_t)o.indices[d];
            if (++index[d] < o.shape[d]) break;
            at -= (uint64_t)(o.shape[d] * o.steps[d]);
            first -= (uint64_t)(o.shape[d] * o.indices[d]);
            index[d] = 0;
        }
        if (d < 0) break;
    }
    if (c.releases) release_pages(released, (uintptr_t)(c.source + c.n_elements * from));
}

// Elements [begin, begin + n) from `in` to `out`; never fails: without memory of the kernels' own in
// parts that need none. n_failures: so many allocations are taken as failed.
void cast_part(const Consumption& c, const char* in, char* out, uint64_t begin, uint64_t n, unsigned n_threads,
               unsigned* n_failures) {
    const bool fails = *n_failures != 0;
    if (fails) --*n_failures;
    if (!fails && cast_run(c, in, out, n, begin, n_threads)) return;
    const Row &from = ROWS[c.cast.source], &to = ROWS[c.cast.target];
    for (uint64_t i = 0; i < n; i += WITHOUT_ALLOCATION)
        cast_run(c, in + bytes_of(i, c.cast.source_packed, from), out + bytes_of(i, c.cast.target_packed, to),
                 n - i < WITHOUT_ALLOCATION ? n - i : WITHOUT_ALLOCATION, begin + i, 1);
}

// Elements [begin, end), which lie at `in` and go to `out` at or before it, over what was read of them.
// Each part is as large as the room between the two.
char* cast_over(const Consumption& c, const char* in, char* out, uint64_t begin, uint64_t end,
                unsigned n_threads, unsigned* n_failures) {
    const unsigned from_bits = width(c.cast.source_packed, ROWS[c.cast.source]);
    const unsigned to_bits = width(c.cast.target_packed, ROWS[c.cast.target]);
    while (begin < end) {
        const uint64_t room = (uint64_t)(in - out) * 8 / to_bits / SEGMENT * SEGMENT, left = end - begin;
        const uint64_t n = left < room ? left : room;
        cast_part(c, in, out, begin, n, n_threads, n_failures);
        begin += n;
        in += n * from_bits / 8;
        out += (n * to_bits + 7) / 8;
    }
    return out;
}

// Large blocks go to memory of another size by moving pages, so that fewer of the target's are new.
// False where that is not the way.
//
// Narrower: a first part is cast to the target. The rest is written over what was read, a whole number
// of huge pages from where it is to go, and its pages are moved there.
//
// Wider: pages of the source are moved to where the target ends, the first elements are cast over them
// from the front on, and a last part follows from the source, whose place they had taken.
bool consume_moving(const Consumption& c, unsigned n_threads, unsigned n_failures) {
    const uint64_t from_bits = width(c.cast.source_packed, ROWS[c.cast.source]);
    const uint64_t to_bits = width(c.cast.target_packed, ROWS[c.cast.target]);
    const uint64_t wide = from_bits > to_bits ? from_bits : to_bits;
    const uint64_t n = c.n_elements, part = (2 * HUGE_PAGE * 8 / wide + SEGMENT - 1) / SEGMENT * SEGMENT;
    if (!c.moves || !c.releases || from_bits == to_bits || n < 4 * part || !moves_pages()) return false;
    const uintptr_t source = (uintptr_t)c.source, target = (uintptr_t)c.target;
    if (to_bits < from_bits) {
        cast_part(c, c.source, c.target, 0, part, n_threads, &n_failures);
        const uintptr_t in = source + part * from_bits / 8, out = target + part * to_bits / 8;
        const uintptr_t over = source + ((out - source) & (HUGE_PAGE - 1));
        const char* end = cast_over(c, (const char*)in, (char*)over, part, n, n_threads, &n_failures);
        move_pages(over, out, (uintptr_t)end - over);
    } else {
        const uint64_t moved = (n - part) / SEGMENT * SEGMENT, n_bytes = moved * from_bits / 8;
        const uintptr_t least = target + moved * (to_bits - from_bits) / 8 + SEGMENT * to_bits / 8;
        const uintptr_t in = least + ((source - least) & (HUGE_PAGE - 1));
        move_pages(source, in, n_bytes);
        cast_over(c, (const char*)in, c.target, 0, moved, n_threads, &n_failures);
        cast_part(c, c.source + n_bytes, c.target + moved * to_bits / 8, moved, n - moved, n_threads,
                  &n_failures);
    }
    release_pages(source, source + (n * from_bits + 7) / 8);
    return true;
}

}  // namespace

void consume(const Consumption& c, uint64_t chunk_bytes, unsigned n_threads, unsigned n_failures) {
    if (!c.n_elements) return;
    if (c.is_ordered) return consume_ordered(c, chunk_bytes);
    if (c.source == c.target) return consume_here(c, n_threads);
    if (consume_moving(c, n_threads, n_failures)) return;
    const Row &from = ROWS[c.cast.source], &to = ROWS[c.cast.target];
    const unsigned wider = from.container() > to.container() ? from.container() : to.container();
    const uint64_t chunk = (chunk_bytes / wider + SEGMENT - 1) / SEGMENT * SEGMENT;
    uintptr_t released = (uintptr_t)c.source;
    for (uint64_t begin = 0; begin < c.n_elements; begin += chunk) {
        const uint64_t left = c.n_elements - begin, n = left < chunk ? left : chunk;
        const char* in = c.source + bytes_of(begin, c.cast.source_packed, from);
        char* out = c.target + bytes_of(begin, c.cast.target_packed, to);
        cast_part(c, in, out, begin, n, n_threads, &n_failures);
        if (c.releases)
            released = release_pages(released, (uintptr_t)(in + bytes_of(n, c.cast.source_packed, from)));
    }
}

}  // namespace tc
