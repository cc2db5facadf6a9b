// Every kernel set this CPU runs, every pair of formats, every policy, held to oracle.hpp bit for
// bit: in sizes around each vector and block, in every layout, under hostile floating-point
// environments, on one to four threads.
//
//     test_kernels                    all codes of narrow sources, a seeded sample of wide ones
//     test_kernels --patterns N       N bit patterns per wide source, and per pair of HOT below
//     test_kernels --sweep            all 2^32 codes of float32 to three formats
//     test_kernels --oracle           outcomes for the casts on standard input (see oracle_lines)
//     test_kernels --thin N           an Nth of the codes and layouts, for slow machines
//     test_kernels --seed S --jobs N --kernels NAME
#include "check.hpp"
#include "patterns.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <thread>

namespace {

using namespace check;
using patterns::Patterns;
using patterns::Random;

// A sanitizer slows everything some ten times: its runs take a fraction of the codes.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t THIN = 16;
#else
constexpr uint64_t THIN = 1;
#endif

struct Options {
    uint64_t patterns = 1'000'000;
    uint64_t thin = THIN;
    uint64_t seed = 1;
    unsigned jobs = std::thread::hardware_concurrency();
    bool sweep = false, oracle = false;
    std::string kernels;
} options;

std::vector<const Kernels*> kernel_sets;

// Pairs that `--patterns` gives their full number each, under the policies users meet first.
constexpr FormatId HOT[][2] = {
    {F_float32, F_float16},         {F_float32, F_bfloat16}, {F_float32, F_float8_e4m3fn},
    {F_float32, F_float8_e5m2},     {F_float32, F_int8},     {F_float32, F_float64},
    {F_float32, F_int32},           {F_float64, F_float32},  {F_float64, F_float16},
    {F_float64, F_bfloat16},        {F_int64, F_int32},      {F_int32, F_int64},
    {F_int64, F_float32},           {F_int64, F_bfloat16},   {F_uint64, F_float32},
    {F_uint64, F_float8_e4m3fn},    {F_uint32, F_float32},   {F_int32, F_float32},
};

// -- jobs over the cores --------------------------------------------------------------------------

std::vector<std::function<void()>> pending;

void run_pending(const char* section) {
    const auto start = std::chrono::steady_clock::now();
    const uint64_t before = n_passed, patterns_before = n_patterns;
    std::atomic<size_t> next{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < std::max(1u, options.jobs); ++t)
        threads.emplace_back([&] {
            for (size_t i; (i = next++) < pending.size();)
                if (n_failed < 5 * SHOWN_FAILURES) pending[i]();
        });
    for (std::thread& t : threads) t.join();
    pending.clear();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    printf("%-28s %12llu patterns, %9llu casts checked, %7.1f s\n", section,
           (unsigned long long)(n_patterns - patterns_before),
           (unsigned long long)(n_passed - before), took.count());
    fflush(stdout);
}

std::vector<FormatId> real_formats() {
    std::vector<FormatId> found;
    for (int f = 0; f < N_FORMATS; ++f)
        if (ROWS[f].kind != Kind::Complex) found.push_back(FormatId(f));
    return found;
}

// -- codes against the oracle ---------------------------------------------------------------------

// Contiguous casts of the codes by every kernel set, with and without all statistics, which must
// be the same bits from each. `cases` share their outcomes (raise and saturate).
void check_codes(const std::vector<Case>& cases, const uint64_t* codes, uint64_t n, bool sums,
                 unsigned environment) {
    const Case& first = cases.front();
    const Expected e = expect(first, codes, n, sums);
    n_patterns += n;
    Memory source = make_memory(first.from(), {}, n), target = make_memory(first.to(), {}, n);
    source.write(source.bytes.data(), codes, n);
    const std::vector<uint8_t> image = image_of(target, e, n);
    for (Case c : cases)
        for (const int counted : {0, 1, 2}) {
            c.full = counted == 1;
            c.collapses = counted == 2;
            Stats stats, best;
            for (const Kernels* k : kernel_sets) {
                environment = (environment + 1) % N_ENVIRONMENTS;
                check_cast(*k, c, codes, e, source, &target, image, n, 1, environment, "",
                           k == kernel_sets.front() ? &best : &stats);
                if (k == kernel_sets.front()) continue;
                if (const char* field = difference(best, stats))
                    failed(c.text() + ": " + field + " of " + k->name + " and " +
                           kernel_sets.front()->name + " differ");
            }
        }
}

// Policies whose outcomes are the same, side by side: one pass of the oracle serves them.
std::vector<std::vector<Case>> grouped_policies(FormatId source, FormatId target) {
    std::vector<std::vector<Case>> groups;
    for (const Case& c : policies(source, target)) {
        if (c.overflow == Overflow::Saturate && !groups.empty())
            groups.back().push_back(c);
        else
            groups.push_back({c});
    }
    return groups;
}

void narrow_sources() {
    for (const FormatId source : real_formats()) {
        if (ROWS[source].bits > 16) continue;
        const auto codes = std::make_shared<std::vector<uint64_t>>(patterns::every_code(source));
        for (const FormatId target : real_formats())
            pending.push_back([=] {
                unsigned turn = unsigned(source * 7 + target);
                for (const std::vector<Case>& group : grouped_policies(source, target)) {
                    // thinned, a part of the codes that changes from policy to policy
                    const uint64_t step = ROWS[source].bits == 16 ? options.thin : 1;
                    const uint64_t n = codes->size() / step;
                    check_codes(group, codes->data() + turn % step * n, n, true, turn);
                    ++turn;
                }
            });
    }
    run_pending("every code, to 16 bits");
}

constexpr uint64_t CHUNK = 16384;

// n patterns for one group of policies, in chunks of ragged lengths.
void check_patterns(const std::vector<Case>& group, uint64_t n, uint64_t seed, uint64_t sums_every) {
    Patterns patterns(group.front().source, group.front().target, seed);
    Random random(seed ^ 0x5851F42D4C957F2Dull);
    std::vector<uint64_t> codes(CHUNK + BLOCK);
    for (uint64_t done = 0, chunk = 0; done < n; ++chunk) {
        const uint64_t size = std::min(n - done, CHUNK + random.below(BLOCK));
        patterns.fill(codes.data(), size);
        std::vector<Case> cases = group;
        // random numbers come from all over the index range; a carry into its high half too
        const uint64_t first = random() >> 20 & ~(BLOCK - 1);
        const bool across = size > BLOCK && random.below(4) == 0;
        for (Case& c : cases) {
            c.first = across ? (uint64_t{1} << 32) - BLOCK : first;
            c.seed = SEED + seed;
        }
        check_codes(cases, codes.data(), size, chunk % sums_every == 0, unsigned(random.below(64)));
        done += size;
    }
}

void wide_sources() {
    for (const FormatId source : real_formats()) {
        if (ROWS[source].bits <= 16) continue;
        std::vector<std::vector<Case>> groups;
        for (const FormatId target : real_formats())
            for (std::vector<Case>& group : grouped_policies(source, target))
                groups.push_back(std::move(group));
        const uint64_t each = options.patterns / options.thin / groups.size() + 1;
        for (size_t g = 0; g < groups.size(); ++g)
            pending.push_back([=] {
                check_patterns(groups[g], each, options.seed * 1000003 + source * 1009 + g, 1);
            });
    }
    run_pending("wide sources, every policy");
}

void hot_pairs() {
    const unsigned parts = 16;
    for (const auto& pair : HOT) {
        const FormatId source = pair[0], target = pair[1];
        const Rounding rounding =
            ROWS[target].is_integer() ? Rounding::TowardZero : Rounding::NearestEven;
        std::vector<Case> group;
        for (const std::vector<Case>& found : grouped_policies(source, target))
            if (found.front().rounding == rounding && found.front().overflow == Overflow::Raise)
                group = found;
        for (unsigned p = 0; p < parts; ++p)
            pending.push_back([=] {
                check_patterns(group, options.patterns / options.thin / parts + 1,
                               options.seed * 7919 + source * 331 + target * 17 + p * 65537, 8);
            });
    }
    run_pending("hot pairs, default policies");
}

void sweep() {
    for (const FormatId target : {F_float16, F_bfloat16, F_float8_e4m3fn}) {
        Case saturate{F_float32, target}, raise{F_float32, target};
        saturate.overflow = Overflow::Saturate;
        constexpr uint64_t part = uint64_t{1} << 22, chunk = uint64_t{1} << 16;
        for (uint64_t begin = 0; begin < uint64_t{1} << 32; begin += part)
            pending.push_back([=] {
                std::vector<uint64_t> codes(chunk);
                for (uint64_t at = begin; at < begin + part; at += chunk) {
                    for (uint64_t i = 0; i < chunk; ++i) codes[i] = at + i;
                    // raise gives the same codes and says more of what overflows
                    const uint64_t turn = at / chunk;
                    check_codes(turn % 16 ? std::vector<Case>{saturate}
                                          : std::vector<Case>{saturate, raise},
                                codes.data(), chunk, turn % 16 == 0, unsigned(turn));
                }
            });
    }
    run_pending("all 2^32 codes of float32");
}

// -- layouts and sizes ----------------------------------------------------------------------------

std::vector<uint64_t> component_patterns(FormatId source, FormatId target, uint64_t n, uint64_t seed) {
    const FormatId from = FormatId(ROWS[source].component), to = FormatId(ROWS[target].component);
    std::vector<uint64_t> codes(n * (ROWS[source].kind == Kind::Complex ? 2 : 1));
    Patterns(from, to, seed).fill(codes.data(), codes.size());
    return codes;
}

// A random tensor of n elements: up to four dimensions, permuted, reversed, stepped over; `bytes`
// of one component. Broadcast (stride 0) for sources only, whose `unique` elements repeat.
Shape random_shape(uint64_t n, unsigned bytes, bool broadcast, Random& random) {
    Shape s;
    if (random.below(4) == 0) s.odd = unsigned(random.below(64));
    s.swapped = bytes > 1 && random.below(3) == 0;
    if (random.below(4) == 0) return s;  // contiguous
    uint64_t rest = n;
    for (uint64_t divisor = 2; divisor <= 7 && s.shape.size() < 3; ++divisor)
        if (rest && rest % divisor == 0 && random.below(2)) {
            s.shape.push_back(int64_t(divisor));
            rest /= divisor;
        }
    s.shape.insert(s.shape.begin() + int64_t(random.below(s.shape.size() + 1)), int64_t(rest));
    if (random.below(4) == 0)
        s.shape.insert(s.shape.begin() + int64_t(random.below(s.shape.size() + 1)), 1);
    // memory order is a permutation of the dimensions
    std::vector<size_t> order(s.shape.size());
    for (size_t d = 0; d < order.size(); ++d) order[d] = d;
    for (size_t d = order.size(); d > 1; --d) std::swap(order[d - 1], order[random.below(d)]);
    s.strides.resize(s.shape.size());
    int64_t step = random.between(1, 3);
    for (const size_t d : order) {
        s.strides[d] = random.below(3) == 0 ? -step : step;
        step *= std::max<int64_t>(1, s.shape[d]);
        if (random.below(4) == 0) step += random.between(1, 3);
    }
    if (broadcast && random.below(3) == 0) s.strides[random.below(s.strides.size())] = 0;
    return s;
}

// Under a broadcast, elements share memory: their codes become those of the last one written.
void share_codes(const Memory& source, std::vector<uint64_t>& codes, uint64_t n) {
    if (source.elements.empty()) return;
    const unsigned per = source.n_components;
    std::vector<std::pair<int64_t, uint64_t>> order;
    for (uint64_t i = 0; i < n; ++i) order.push_back({source.elements[i], i});
    std::sort(order.begin(), order.end());
    for (uint64_t i = 1; i < n; ++i)
        if (order[i].first == order[i - 1].first)
            for (unsigned k = 0; k < per; ++k)
                codes[order[i].second * per + k] = codes[order[i - 1].second * per + k];
}

std::string layout_text(const Shape& from, const Shape* to) {
    const auto one = [](const Shape& s) {
        std::string text = s.packed ? "packed" : s.shape.empty() ? "contiguous" : "strides";
        for (size_t d = 0; d < s.shape.size(); ++d)
            text += " " + std::to_string(s.shape[d]) + "*" + std::to_string(s.strides[d]);
        if (s.odd) text += " +" + std::to_string(s.odd);
        return s.swapped ? text + " swapped" : text;
    };
    return ", from " + one(from) + (to ? " to " + one(*to) : " measured only");
}

// One layout pair, by every kernel set.
void check_layout(const Case& c, std::vector<uint64_t> codes, uint64_t n, const Shape& from,
                  const Shape& to, unsigned environment) {
    Memory source = make_memory(c.from(), from, n), target = make_memory(c.to(), to, n);
    codes.resize(n * c.from_components());
    share_codes(source, codes, n);
    const Expected e = expect(c, codes.data(), n, true);
    n_patterns += n;
    source.write(source.bytes.data(), codes.data(), n);
    if (c.from().bits < 8 && !from.packed)  // what lies above a code's own bits does not matter
        for (uint64_t i = 0; i < n; ++i) {
            uint8_t& byte = source.bytes[source.origin + uint64_t(source.offset(i))];
            if (i % 3 && codes[i] < 1u << c.from().bits) byte |= uint8_t(0xffu << c.from().bits);
        }
    const std::vector<uint8_t> before = source.bytes;
    const std::vector<uint8_t> image = image_of(target, e, n);
    Memory flat_source = make_memory(c.from(), {}, n), flat_target = make_memory(c.to(), {}, n);
    flat_source.write(flat_source.bytes.data(), codes.data(), n);
    const std::vector<uint8_t> flat_image = image_of(flat_target, e, n);
    for (const Kernels* k : kernel_sets) {
        Stats flat, laid, measured;
        check_cast(*k, c, codes.data(), e, flat_source, &flat_target, flat_image, n, 1, 0,
                   ", contiguous", &flat);
        check_cast(*k, c, codes.data(), e, source, &target, image, n, 1, environment,
                   layout_text(from, &to), &laid);
        check_cast(*k, c, codes.data(), e, source, nullptr, image, n, 1, environment,
                   layout_text(from, nullptr), &measured);
        const char* field = difference(flat, laid);
        if (!field) field = difference(flat, measured);
        if (field)
            failed(std::string(k->name) + ": " + c.text() + ", " + std::to_string(n) +
                   " elements" + layout_text(from, &to) + ", environment " +
                   std::to_string(environment) + ": " + field +
                   " differs from that of contiguous elements");
    }
    if (before != source.bytes) failed(c.text() + layout_text(from, &to) + ": wrote to the source");
}

constexpr uint64_t SIZES[] = {0,   1,   2,   3,   4,   5,   7,   8,   9,    15,        16,       17,
                              31,  32,  33,  63,  64,  65,  127, 128, 129,  255,       256,      257,
                              511, 513, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5};
constexpr uint64_t LARGE_SIZES[] = {SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT + 33};

void layouts() {
    for (int s = 0; s < N_FORMATS; ++s)
        for (int t = 0; t < N_FORMATS; ++t) {
            const FormatId source = FormatId(s), target = FormatId(t);
            if (!can_cast(source, target)) continue;
            if (Random(options.seed ^ uint64_t(s * N_FORMATS + t)).below(options.thin) >= 8) continue;
            pending.push_back([=] {
                const Row &from = ROWS[source], &to = ROWS[target];
                Random random(options.seed * 31 + source * 64 + target);
                const std::vector<Case> cases = policies(source, target);
                const std::vector<uint64_t> codes =
                    component_patterns(source, target, 2 * SEGMENT + 33, random());
                const auto any_case = [&] {
                    Case c = cases[random.below(cases.size())];
                    c.full = random.below(2);
                    c.collapses = !c.full && random.below(2);
                    if (random.below(4) == 0) c.first = BLOCK * random.below(1 << 20);
                    return c;
                };
                const auto any_environment = [&] { return unsigned(random.below(N_ENVIRONMENTS)); };
                const unsigned from_bytes = ROWS[from.component].container();
                const unsigned to_bytes = ROWS[to.component].container();
                std::vector<uint64_t> sizes(std::begin(SIZES), std::end(SIZES));
                if (random.below(options.thin) == 0) sizes.push_back(LARGE_SIZES[random.below(4)]);
                for (const uint64_t n : sizes) {
                    check_layout(any_case(), codes, n, random_shape(n, from_bytes, true, random),
                                 random_shape(n, to_bytes, false, random), any_environment());
                    // contiguous at every address: the paths without a copy, and their edges
                    Shape near, far;
                    near.odd = unsigned(random.below(16)) * from_bytes;
                    far.odd = unsigned(random.below(16)) * to_bytes;
                    check_layout(any_case(), codes, n, near, far, any_environment());
                    if (from.bits < 8 || to.bits < 8) {
                        near.packed = from.bits < 8 && random.below(4);
                        far.packed = to.bits < 8 && (random.below(4) || !near.packed);
                        check_layout(any_case(), codes, n, near, far, any_environment());
                    }
                }
            });
        }
    run_pending("layouts and sizes");
}

// -- large outputs, threads, pieces ---------------------------------------------------------------

// Outputs so large that stores go around the caches, at every alignment of the first line.
void nontemporal() {
    constexpr FormatId pairs[][2] = {
        {F_float32, F_float16},  {F_float32, F_bfloat16}, {F_float32, F_float8_e4m3fn},
        {F_float32, F_float64},  {F_float32, F_int8},     {F_float16, F_float32},
        {F_bfloat16, F_float32}, {F_float8_e4m3fn, F_float32}, {F_float8_e4m3fn, F_bfloat16},
        {F_float64, F_float32},  {F_int64, F_int32},      {F_int32, F_int64},
        {F_uint8, F_float32},    {F_float32, F_int32},    {F_complex128, F_complex64},
        {F_float32, F_complex64}, {F_int4, F_float16},    {F_float8_e4m3fn, F_float8_e5m2},
    };
    constexpr uint64_t tile = 99'991, large = (16 << 20) + 4096;  // not a multiple of any block
    unsigned turn = 0;
    for (const auto& pair : pairs) {
        if (turn++ % options.thin) continue;
        pending.push_back([=] {
            Case c{pair[0], pair[1]};
            c.overflow = Overflow::Saturate;
            c.full = turn % 2;
            c.collapses = turn % 4 == 0;
            const unsigned element = ROWS[c.to().component].container();
            const uint64_t n = large / element / c.to_components() + turn;
            const std::vector<uint64_t> one = component_patterns(c.source, c.target, tile, turn);
            std::vector<uint64_t> codes;
            const unsigned per = c.from_components();
            for (uint64_t i = 0; i < n * per; ++i) codes.push_back(one[i % (tile * per)]);
            Shape from, to;
            from.odd = ROWS[c.from().component].container() * (turn % 5);
            to.odd = element * (turn * 3 % 16);
            Memory source = make_memory(c.from(), from, n), target = make_memory(c.to(), to, n);
            source.write(source.bytes.data(), codes.data(), n);
            const Expected e = expect(c, codes.data(), n, true);
            n_patterns += n;
            const std::vector<uint8_t> image = image_of(target, e, n);
            for (const Kernels* k : kernel_sets)
                check_cast(*k, c, codes.data(), e, source, &target, image, n, 1,
                           turn % N_ENVIRONMENTS, layout_text(from, &to), nullptr);
        });
    }
    const unsigned jobs = options.jobs;
    options.jobs = std::min(jobs, 4u);  // each holds some 500 MB
    run_pending("outputs of 16 MB");
    options.jobs = jobs;
}

// One to four threads: the same codes, the same bits in every statistic.
void threads() {
    Random random(options.seed);
    const auto start = std::chrono::steady_clock::now();
    const uint64_t before = n_passed, patterns_before = n_patterns;
    const int n_cases = 1 + int(60 / options.thin);
    for (int i = 0; i < n_cases; ++i) {
        FormatId source, target;
        do {
            source = FormatId(random.below(N_FORMATS));
            target = FormatId(random.below(N_FORMATS));
        } while (!can_cast(source, target));
        const std::vector<Case> cases = policies(source, target);
        Case c = cases[random.below(cases.size())];
        c.full = random.below(4) > 1;
        c.collapses = !c.full && random.below(2);
        const uint64_t bytes = ROWS[source].container() + ROWS[target].container();
        const uint64_t n = (uint64_t{3} << 19) / bytes + random.below(SEGMENT);
        const std::vector<uint64_t> codes = component_patterns(source, target, n, random());
        const Shape from = random_shape(n, ROWS[ROWS[source].component].container(), false, random);
        const Shape to = random_shape(n, ROWS[ROWS[target].component].container(), false, random);
        Memory in = make_memory(c.from(), from, n), out = make_memory(c.to(), to, n);
        in.write(in.bytes.data(), codes.data(), n);
        const Expected e = expect(c, codes.data(), n, true);
        n_patterns += n;
        const std::vector<uint8_t> image = image_of(out, e, n);
        for (const Kernels* k : kernel_sets) {
            Stats one, many;
            for (unsigned n_threads = 1; n_threads <= 4; ++n_threads) {
                check_cast(*k, c, codes.data(), e, in, &out, image, n, n_threads,
                           unsigned(random.below(N_ENVIRONMENTS)),
                           layout_text(from, &to) + ", " + std::to_string(n_threads) + " threads",
                           n_threads == 1 ? &one : &many);
                if (n_threads == 1) continue;
                if (const char* field = difference(one, many))
                    failed(std::string(k->name) + ": " + c.text() + ": " + field + " of " +
                           std::to_string(n_threads) + " threads and of one differ");
            }
        }
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    printf("%-28s %12llu patterns, %9llu casts checked, %7.1f s\n", "one to four threads",
           (unsigned long long)(n_patterns - patterns_before),
           (unsigned long long)(n_passed - before), took.count());
}

// A tensor cast in two pieces: stochastic rounding draws by the element's index alone.
void pieces() {
    for (const FormatId target : real_formats())
        for (const FormatId source : {F_float32, F_float64, F_int64, F_float16, F_float8_e5m2}) {
            if (source == target) continue;
            pending.push_back([=] {
                Random random(options.seed + source * 64 + target);
                Case c{source, target};
                c.overflow = Overflow::Saturate;
                c.rounding = Rounding::Stochastic;
                const uint64_t n = 5 * BLOCK, cut = BLOCK * random.between(1, 4);
                const std::vector<uint64_t> codes = component_patterns(source, target, n, random());
                const Expected e = expect(c, codes.data(), n, true);
                n_patterns += n;
                for (const uint64_t begin : {uint64_t{0}, cut}) {
                    const uint64_t size = begin ? n - cut : cut;
                    Case part = c;
                    part.first = begin;
                    Memory in = make_memory(c.from(), {}, size), out = make_memory(c.to(), {}, size);
                    in.write(in.bytes.data(), codes.data() + begin, size);
                    std::vector<uint8_t> image(out.bytes.size(), FILL);
                    out.write(image.data(), e.codes.data() + begin, size);
                    const Expected counts = expect(part, codes.data() + begin, size, true);
                    for (const Kernels* k : kernel_sets)
                        check_cast(*k, part, codes.data() + begin, counts, in, &out, image, size, 1,
                                   0, ", a piece", nullptr);
                }
            });
        }
    run_pending("pieces of a tensor");
}

// -- the oracle, for tests/test_native.py ---------------------------------------------------------

FormatId format_of(const std::string& name) {
    for (int f = 0; f < N_FORMATS; ++f)
        if (name == ROWS[f].name) return FormatId(f);
    fprintf(stderr, "no format is called '%s'\n", name.c_str());
    exit(2);
}

int index_of(const char* const* names, int n, const std::string& name) {
    for (int i = 0; i < n; ++i)
        if (name == names[i]) return i;
    fprintf(stderr, "no policy is called '%s'\n", name.c_str());
    exit(2);
}

// Lines "source target overflow rounding inf seed index code code ...", real formats only; elements of
// one line have consecutive indexes. For each code "code:flags", the flags a sum of 1 overflow,
// 2 NaN lost, 4 inexact, 8 underflow.
int oracle_lines() {
    std::ios::sync_with_stdio(false);
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string source, target, overflow, rounding, inf;
        uint64_t seed, index, code;
        words >> source >> target >> overflow >> rounding >> inf >> seed >> index;
        const oracle::Oracle oracle(format_of(source), format_of(target),
                                    Overflow(index_of(OVERFLOWS, N_OVERFLOWS, overflow)),
                                    Rounding(index_of(ROUNDINGS, N_ROUNDINGS, rounding)),
                                    InfPolicy(index_of(INFS, N_INFS, inf)), seed);
        const char* separator = "";
        for (; words >> code; ++index, separator = " ") {
            const oracle::Outcome o = oracle.cast(code, index);
            std::cout << separator << o.code << ':'
                      << (o.overflow + 2 * o.nan_lost + 4 * o.inexact + 8 * o.underflow);
        }
        std::cout << '\n';
    }
    return 0;
}

void parse(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const auto number = [&] {
            char* end = nullptr;
            const uint64_t n = i + 1 < argc ? strtoull(argv[++i], &end, 10) : 0;
            if (!end || *end) {
                fprintf(stderr, "%s needs a number\n", name.c_str());
                exit(2);
            }
            return n;
        };
        if (name == "--patterns") {
            options.patterns = number();
        } else if (name == "--thin") {
            options.thin = std::max<uint64_t>(1, number());
        } else if (name == "--seed") {
            options.seed = number();
        } else if (name == "--jobs") {
            options.jobs = unsigned(number());
        } else if (name == "--sweep") {
            options.sweep = true;
        } else if (name == "--oracle") {
            options.oracle = true;
        } else if (name == "--kernels" && i + 1 < argc) {
            options.kernels = argv[++i];
        } else {
            fprintf(stderr, "usage: test_kernels [--patterns N] [--sweep] [--thin N] [--seed S] "
                            "[--jobs N] [--kernels NAME] | --oracle\n");
            exit(2);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    parse(argc, argv);
    if (options.oracle) return oracle_lines();
    const auto start = std::chrono::steady_clock::now();
    std::string skipped;
    for (const Kernels* const* k = ALL_KERNELS; *k; ++k) {
        if (!options.kernels.empty() && options.kernels != (*k)->name) continue;
        if (find_kernels((*k)->name))
            kernel_sets.push_back(*k);
        else
            skipped += std::string(" ") + (*k)->name;
    }
    std::string names;
    for (const Kernels* k : kernel_sets) names += std::string(" ") + k->name;
    uint64_t n_pairs = 0, n_policies = 0;
    for (int s = 0; s < N_FORMATS; ++s)
        for (int t = 0; t < N_FORMATS; ++t)
            if (can_cast(FormatId(s), FormatId(t))) {
                ++n_pairs;
                n_policies += policies(FormatId(s), FormatId(t)).size();
            }
    printf("kernels:%s; skipped, this CPU cannot run them:%s\n", names.c_str(),
           skipped.empty() ? " none" : skipped.c_str());
#if defined(TC_EMULATED)
    printf("emulated: %s, only what is written by hand for it\n", TC_EMULATED);
#endif
    printf("%llu pairs, %llu pairs and policies, %u environments, seed %llu, %u jobs\n",
           (unsigned long long)n_pairs, (unsigned long long)n_policies, N_ENVIRONMENTS,
           (unsigned long long)options.seed, options.jobs);
    fflush(stdout);
    if (kernel_sets.empty()) {
        failed("no kernels to test");
    } else {
        threads();
        narrow_sources();
        layouts();
        pieces();
        nontemporal();
        wide_sources();
        hot_pairs();
        if (options.sweep) sweep();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    printf("%llu patterns in %.1f s\n", (unsigned long long)n_patterns.load(), took.count());
    printf("%llu passed, %llu failed\n", (unsigned long long)n_passed.load(),
           (unsigned long long)n_failed.load());
    return n_failed ? 1 : 0;
}
