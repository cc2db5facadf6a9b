// What bounds a kernel: nanoseconds per element from the first-level cache and from memory, with and
// without the whole Loss, called from C. bench/profile.py compiles and runs it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "api.hpp"

namespace tc {
extern const Kernels KERNELS_v3;
}
using namespace tc;

static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static FormatId format_named(const char* name) {
    for (int i = 0; i < N_FORMATS; ++i)
        if (!strcmp(ROWS[i].name, name)) return (FormatId)i;
    fprintf(stderr, "no format %s\n", name);
    exit(2);
}

static char* touched(size_t n_bytes, bool huge) {
    constexpr size_t PAGE = 2 << 20;
    n_bytes = (n_bytes + PAGE - 1) / PAGE * PAGE;
    void* const whole = mmap(nullptr, n_bytes + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED) exit(3);
    char* const at = (char*)(((size_t)whole + PAGE - 1) / PAGE * PAGE);
    madvise(at, n_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(at, 1, n_bytes);
    return at;
}

// The tenth part's best: other processes come and go.
static double best(std::vector<double>& seconds) {
    std::sort(seconds.begin(), seconds.end());
    return seconds[seconds.size() / 10];
}

// Normally distributed for floats, uniform over 32 bits for integers.
static void fill(FormatId id, double scale, char* out, uint64_t n) {
    Cast cast{};
    cast.source = F_float64;
    cast.target = id;
    cast.overflow = Overflow::Saturate;
    const bool integer = ROWS[id].is_integer();
    uint64_t seed = 88172645463325252ull;
    const auto uniform = [&] {
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        return (double)(seed >> 11) * 0x1p-53;
    };
    static double block[BLOCK];
    for (uint64_t i = 0; i < n; i += BLOCK) {
        for (double& x : block) {
            const double normal = sqrt(-2 * log(uniform() + 1e-18)) * cos(6.283185307179586 * uniform());
            x = integer ? floor((uniform() - 0.5) * 0x1p32) : fmin(fmax(normal, -6), 6) * scale;
        }
        Stats ignored;
        KERNELS_v3.run(cast, block, out + i * ROWS[id].container(), BLOCK, 0, &ignored);
    }
}

// profile SOURCE TARGET SCALE PAGES: prints four numbers, from the cache without and with Loss, and
// from memory likewise.
int main(int argc, char** argv) {
    if (argc != 5 || !KERNELS_v3.supported()) return 2;
    const FormatId source = format_named(argv[1]), target = format_named(argv[2]);
    const uint64_t from = ROWS[source].container(), to = ROWS[target].container();
    constexpr uint64_t N = 1 << 25, WINDOW = 1 << 19, SMALL = 2 * BLOCK;
    char* const in = touched(N * from, argv[4][0] == 'h');
    char* const out = touched(N * to, argv[4][0] == 'h');
    constexpr uint64_t SAMPLE = 1 << 18;
    fill(source, atof(argv[3]), in, SAMPLE);
    for (uint64_t i = SAMPLE; i < N; i += SAMPLE) memcpy(in + i * from, in, SAMPLE * from);
    Cast cast{};
    cast.source = source;
    cast.target = target;
    std::vector<double> seconds[4];
    for (int round = 0; round < 400; ++round)
        for (int full = 0; full < 2; ++full) {
            cast.full = full;
            const double start = now();
            for (int k = 0; k < 16; ++k) {
                Stats ignored;
                KERNELS_v3.run(cast, in, out, SMALL, 0, &ignored);
            }
            seconds[full].push_back((now() - start) / (16 * SMALL));
        }
    cast.nontemporal = true;
    uint64_t at = 0;
    for (int round = 0; round < 400; ++round)
        for (int full = 0; full < 2; ++full, at = (at + WINDOW) % N) {
            cast.full = full;
            const double start = now();
            for (uint64_t i = at; i < at + WINDOW; i += SEGMENT) {
                Stats ignored;
                KERNELS_v3.run(cast, in + i * from, out + i * to, SEGMENT, i, &ignored);
            }
            seconds[2 + full].push_back((now() - start) / WINDOW);
        }
    for (auto& s : seconds) printf("%.4f ", best(s) * 1e9);
    printf("\n");
}
