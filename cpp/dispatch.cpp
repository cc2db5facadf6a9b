// Picks the kernels, walks strided memory, splits a tensor into segments over threads.
#include <stdlib.h>
#include <string.h>

#include "isa/bits.hpp"

namespace tc {

#if defined(__x86_64__)
extern const Kernels KERNELS_v4, KERNELS_v3;
#endif
extern const Kernels KERNELS_baseline;

const Kernels* const ALL_KERNELS[] = {
#if defined(__x86_64__)
    &KERNELS_v4,
    &KERNELS_v3,
#endif
    &KERNELS_baseline,
    nullptr,
};

const Kernels* find_kernels(const char* name) {
    for (const Kernels* const* k = ALL_KERNELS; *k; ++k)
        if (strcmp((*k)->name, name) == 0) return (*k)->supported() ? *k : nullptr;
    return nullptr;
}

uint64_t READ_AHEAD = 512;

const Kernels* pick_kernels() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_is("intel")) READ_AHEAD = 2048;
#endif
    for (const Kernels* const* k = ALL_KERNELS; *k; ++k)
        if ((*k)->supported()) return *k;
    return nullptr;
}

namespace {

// ---- strided memory -----------------------------------------------------------------------------

template <class T>
void copy_run(char* to, int64_t to_stride, const char* from, int64_t from_stride, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i)
        memcpy(to + (int64_t)i * to_stride, from + (int64_t)i * from_stride, sizeof(T));
}

void copy_elements(unsigned size, char* to, int64_t to_stride, const char* from,
                   int64_t from_stride, uint64_t n) {
    if (to_stride == (int64_t)size && from_stride == (int64_t)size)
        memcpy(to, from, n * size);
    else if (size == 1)
        copy_run<uint8_t>(to, to_stride, from, from_stride, n);
    else if (size == 2)
        copy_run<uint16_t>(to, to_stride, from, from_stride, n);
    else if (size == 4)
        copy_run<uint32_t>(to, to_stride, from, from_stride, n);
    else
        copy_run<uint64_t>(to, to_stride, from, from_stride, n);
}

template <unsigned BYTES>
void copy_short(char* to, int64_t to_step, const char* from, int64_t from_step, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i)
        memcpy(to + (int64_t)i * to_step, from + (int64_t)i * from_step, BYTES);
}

// Copies n runs of a few bytes each, as pixels have them, a step apart; null: not of so many.
using CopyShort = void (*)(char* to, int64_t to_step, const char* from, int64_t from_step, uint64_t n);
CopyShort short_runs(uint64_t n_bytes) {
    switch (n_bytes) {
        case 2: return copy_short<2>;
        case 3: return copy_short<3>;
        case 4: return copy_short<4>;
        case 6: return copy_short<6>;
        case 8: return copy_short<8>;
        case 12: return copy_short<12>;
        case 16: return copy_short<16>;
        default: return nullptr;
    }
}

// Moves elements [begin, begin + n) in C order between a layout and a contiguous block.
void move_elements(const Layout& layout, unsigned size, uint64_t begin, uint64_t n, char* block,
                   bool gather) {
    if (n == 0) return;  // a dimension may be 0, and the index is found by dividing
    int64_t index[MAX_DIMS];
    uint64_t rest = begin;
    char* at = layout.address;
    const int last = layout.n_dims - 1;
    for (int d = last; d >= 0; --d) {
        index[d] = (int64_t)(rest % (uint64_t)layout.shape[d]);
        rest /= (uint64_t)layout.shape[d];
        at += index[d] * layout.strides[d];
    }
    const int64_t inner = last < 0 ? 1 : layout.shape[last];
    const int64_t stride = last < 0 ? 0 : layout.strides[last];
    int64_t column = last < 0 ? 0 : index[last];
    const int64_t run_bytes = inner * size;
    const CopyShort copy_short_runs =
        last > 0 && stride == (int64_t)size && inner <= 16 ? short_runs((uint64_t)run_bytes) : nullptr;
    while (n) {
        if (copy_short_runs && column == 0 && n >= (uint64_t)inner) {  // as many as follow evenly
            const uint64_t whole = n / (uint64_t)inner, here = (uint64_t)(layout.shape[last - 1] - index[last - 1]);
            const uint64_t runs = whole < here ? whole : here;
            const int64_t step = layout.strides[last - 1];
            if (gather)
                copy_short_runs(block, run_bytes, at, step, runs);
            else
                copy_short_runs(at, step, block, run_bytes, runs);
            block += (int64_t)runs * run_bytes;
            n -= runs * (uint64_t)inner;
            at += (int64_t)(runs - 1) * step;
            index[last - 1] += (int64_t)runs - 1;
        } else {
            const uint64_t run = (uint64_t)(inner - column) < n ? (uint64_t)(inner - column) : n;
            if (gather)
                copy_elements(size, block, size, at, stride, run);
            else
                copy_elements(size, at, stride, block, size, run);
            block += run * size;
            n -= run;
            at -= column * stride;
            column = 0;
        }
        for (int d = last - 1; n && d >= 0; --d) {
            at += layout.strides[d];
            if (++index[d] < layout.shape[d]) break;
            at -= layout.shape[d] * layout.strides[d];
            index[d] = 0;
        }
    }
}

void swap_bytes(void* block, unsigned size, uint64_t n) {
    if (size == 2) {
        uint16_t* p = (uint16_t*)block;
        for (uint64_t i = 0; i < n; ++i) p[i] = __builtin_bswap16(p[i]);
    } else if (size == 4) {
        uint32_t* p = (uint32_t*)block;
        for (uint64_t i = 0; i < n; ++i) p[i] = __builtin_bswap32(p[i]);
    } else if (size == 8) {
        uint64_t* p = (uint64_t*)block;
        for (uint64_t i = 0; i < n; ++i) p[i] = __builtin_bswap64(p[i]);
    }
}

// The same elements with unit dimensions dropped and dimensions that continue each other merged.
Layout simplify(const Layout& in) {
    Layout out = in;
    out.n_dims = 0;
    for (int d = 0; d < in.n_dims; ++d) {
        if (in.shape[d] == 1) continue;
        const int k = out.n_dims;
        if (k && out.strides[k - 1] == in.strides[d] * in.shape[d]) {
            out.shape[k - 1] *= in.shape[d];
            out.strides[k - 1] = in.strides[d];
        } else {
            out.shape[k] = in.shape[d];
            out.strides[k] = in.strides[d];
            ++out.n_dims;
        }
    }
    return out;
}

// Complex elements as pairs of components: one more dimension of two.
Layout components_of(const Layout& in, unsigned component_size) {
    Layout out = in;
    if (!in.contiguous) {
        out.shape[in.n_dims] = 2;
        out.strides[in.n_dims] = component_size;
        ++out.n_dims;
    }
    return out;
}

// ---- segments over threads ----------------------------------------------------------------------

struct Work {
    const Kernels* kernels;
    Cast cast;
    Layout source, target;
    uint64_t n, first;
    Stats* segments;
    bool interleaves;  // each result is the real component of a contiguous complex target
    bool joins;        // each result is that of two components: complex to bool
    bool failed;
};

// | re | 0 | re | 0 | ...
template <class T>
void interleave(const T* real, T* out, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) {
        out[2 * i] = real[i];
        out[2 * i + 1] = 0;
    }
}

bool usable(const Layout& l, unsigned size) {
    return l.contiguous && !l.swapped && (uintptr_t)l.address % size == 0;
}

uint64_t offset_bytes(uint64_t elements, bool packed, const Row& row) {
    return packed ? elements * row.bits / 8 : elements * row.container();
}

void run_segment(void* context, uint64_t i) {
    Work& w = *(Work*)context;
    const Row &source = ROWS[w.cast.source], &target = ROWS[w.cast.target];
    const uint64_t begin = i * SEGMENT, n = w.n - begin < SEGMENT ? w.n - begin : SEGMENT;
    const unsigned from = source.container(), to = target.container();
    const uint64_t parts = w.joins ? 2 : 1;
    const bool gather = !w.cast.source_packed && !usable(w.source, from);
    const bool scatter =
        w.target.address && (w.interleaves || (!w.cast.target_packed && !usable(w.target, to)));
    char *in_block = nullptr, *out_block = nullptr;
    const char* in = w.source.address + (gather ? 0 : offset_bytes(parts * begin, w.cast.source_packed, source));
    char* out = w.target.address
                    ? w.target.address + (scatter ? 0 : offset_bytes(begin, w.cast.target_packed, target))
                    : nullptr;
    if (gather) {
        const uint64_t n_parts = parts * n;
        in_block = (char*)malloc(n_parts * from);
        if (in_block) {
            if (w.source.contiguous)
                memcpy(in_block, w.source.address + parts * begin * from, n_parts * from);
            else
                move_elements(w.source, from, parts * begin, n_parts, in_block, true);
            if (w.source.swapped) swap_bytes(in_block, from, n_parts);
        }
        in = in_block;
    }
    if (scatter) out = out_block = (char*)malloc(n * to);
    if ((gather && !in_block) || (scatter && !out_block)) {
        __atomic_store_n(&w.failed, true, __ATOMIC_RELAXED);
    } else {
        if (w.joins)
            w.kernels->run_complex_to_bool(w.cast, in, out, n, &w.segments[i]);
        else
            w.kernels->run(w.cast, in, out, n, w.first + begin, &w.segments[i]);
        if (scatter) {
            if (w.target.swapped) swap_bytes(out_block, to, n);
            if (w.interleaves && to == 4)
                interleave((const uint32_t*)out_block, (uint32_t*)w.target.address + 2 * begin, n);
            else if (w.interleaves)
                interleave((const uint64_t*)out_block, (uint64_t*)w.target.address + 2 * begin, n);
            else if (w.target.contiguous)
                memcpy(w.target.address + begin * to, out_block, n * to);
            else
                move_elements(w.target, to, begin, n, out_block, false);
        }
    }
    free(in_block);
    free(out_block);
}

// Two threads that touch one fresh huge page at once both clear it, and one throws its own away: a
// large output is given out in pieces of several.
constexpr uint64_t PIECE_BYTES = 8 << 20;
constexpr uint64_t THREADS_PAY_FROM_BYTES = 256 << 10;
constexpr uint64_t NONTEMPORAL_FROM_BYTES = 16 << 20;

bool cast_components(const Kernels& kernels, Cast cast, const Layout& source, const Layout& target,
                     uint64_t n, uint64_t first, unsigned n_threads, Stats* stats,
                     bool interleaves = false, bool joins = false) {
    const Row &from = ROWS[cast.source], &to = ROWS[cast.target];
    const uint64_t out_bytes = target.address ? offset_bytes(n, cast.target_packed, to) : 0;
    cast.nontemporal = out_bytes >= NONTEMPORAL_FROM_BYTES && !cast.target_packed &&
                       !interleaves && usable(target, to.container()) && !ends_infinities(cast);
    const uint64_t n_segments = (n + SEGMENT - 1) / SEGMENT;
    const uint64_t in_bytes = offset_bytes(joins ? 2 * n : n, cast.source_packed, from);
    if (in_bytes + out_bytes < THREADS_PAY_FROM_BYTES) n_threads = 1;
    Work work{&kernels, cast, simplify(source), simplify(target), n, first, nullptr, interleaves, joins,
              false};
    Stats one;
    if (n_segments <= 1) {
        work.segments = &one;
        if (n) run_segment(&work, 0);
        end_of_stores();
        stats->merge(one);
        return !work.failed;
    }
    work.segments = (Stats*)malloc(n_segments * sizeof(Stats));
    if (!work.segments) return false;
    for (uint64_t i = 0; i < n_segments; ++i) work.segments[i] = one;
    const uint64_t segment_bytes = offset_bytes(SEGMENT, cast.target_packed, to);
    const bool pieces = out_bytes >= 2 * n_threads * PIECE_BYTES;
    parallel(n_threads, n_segments, run_segment, &work, pieces ? PIECE_BYTES / segment_bytes : 1);
    for (uint64_t i = 0; i < n_segments; ++i) stats->merge(work.segments[i]);
    free(work.segments);
    return !work.failed;
}

void zero_imaginary(const Layout& target, unsigned component_size, uint64_t n) {
    const unsigned step = 2 * component_size;
    if (target.contiguous) {
        for (uint64_t i = 0; i < n; ++i)
            memset(target.address + i * step + component_size, 0, component_size);
        return;
    }
    Layout imaginary = simplify(target);
    imaginary.address += component_size;
    static const char zeros[BLOCK * 8] = {};
    for (uint64_t i = 0; i < n; i += BLOCK)
        move_elements(imaginary, component_size, i, n - i < BLOCK ? n - i : BLOCK, (char*)zeros, false);
}

}  // namespace

bool cast_tensor(const Kernels& kernels, Cast cast, const Layout& source, const Layout& target,
                 uint64_t n_elements, uint64_t first, unsigned n_threads, Stats* stats) {
    const FloatEnvironment environment;  // sums of segments are rounded here too
    const Row &from = ROWS[cast.source], &to = ROWS[cast.target];
    const bool from_complex = from.kind == Kind::Complex, to_complex = to.kind == Kind::Complex;
    if (from_complex && !to_complex) {  // bool: true where either component is not zero
        cast.source = (FormatId)from.component;
        const Layout components = components_of(source, ROWS[cast.source].container());
        return cast_components(kernels, cast, components, target, n_elements, first, n_threads, stats,
                               false, true);
    }
    if (!to_complex)
        return cast_components(kernels, cast, source, target, n_elements, first, n_threads, stats);
    const unsigned to_size = ROWS[to.component].container();
    cast.target = (FormatId)to.component;
    if (from_complex) {
        cast.source = (FormatId)from.component;
        const unsigned size = ROWS[cast.source].container();
        const bool done = cast_components(kernels, cast, components_of(source, size),
                                          target.address ? components_of(target, to_size) : target,
                                          2 * n_elements, 2 * first, n_threads, stats);
        if (stats->first_overflow != NO_INDEX) stats->first_overflow /= 2;
        if (stats->largest_index != NO_INDEX) stats->largest_index /= 2;
        return done;
    }
    cast.quiets = true;    // float32 to complex64 is no copy
    cast.index_shift = 1;  // the real component of element i is component 2 i
    const bool interleaves =
        target.address && target.contiguous && !target.swapped && (uintptr_t)target.address % to_size == 0;
    if (interleaves)
        return cast_components(kernels, cast, source, target, n_elements, first, n_threads, stats, true);
    Layout real = target;
    if (target.address && target.contiguous) {  // every second component
        real.contiguous = false;
        real.n_dims = 1;
        real.shape[0] = (int64_t)n_elements;
        real.strides[0] = 2 * to_size;
    }
    if (target.address && n_elements) zero_imaginary(target, to_size, n_elements);
    return cast_components(kernels, cast, source, real, n_elements, first, n_threads, stats);
}

}  // namespace tc
