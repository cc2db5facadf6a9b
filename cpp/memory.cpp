#include "memory.hpp"

#include <atomic>
#include <stdlib.h>
#include <string.h>

#include "api.hpp"
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tc {
namespace {

constexpr uintptr_t HUGE_PAGE = uintptr_t{2} << 20;
constexpr uint64_t PAYS_FROM_BYTES = uint64_t{4} << 20;

constexpr uintptr_t PIECE = 2 * HUGE_PAGE;

std::atomic<int> enabled{-1};  // -1: the environment was not asked yet

#if defined(__linux__)
struct Pages {
    uintptr_t begin, end;
};

void populate(void* context, uint64_t i) {
    const Pages& pages = *(const Pages*)context;
    const uintptr_t begin = pages.begin + i * PIECE, left = pages.end - begin;
    constexpr int POPULATE_WRITE = 23;  // MADV_POPULATE_WRITE, Linux 5.14; before it the writes do it
    (void)madvise((void*)begin, left < PIECE ? left : PIECE, POPULATE_WRITE);
}
#endif

}  // namespace

bool huge_pages() {
    int now = enabled.load(std::memory_order_relaxed);
    if (now < 0) {
        const char* asked = getenv("TENSORCAST_HUGE_PAGES");
        now = !(asked && strcmp(asked, "0") == 0);
        enabled.store(now, std::memory_order_relaxed);
    }
    return now != 0;
}

void set_huge_pages(bool on) { enabled.store(on, std::memory_order_relaxed); }

void advise_huge(void* address, uint64_t n_bytes, unsigned n_threads) {
    if (n_bytes < PAYS_FROM_BYTES || !huge_pages()) return;
#if defined(__linux__)
    const uintptr_t begin = ((uintptr_t)address + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    const uintptr_t end = ((uintptr_t)address + n_bytes) & ~(HUGE_PAGE - 1);
    // advice only: where the kernel has no huge pages, small ones do
    if (end <= begin) return;
    (void)madvise((void*)begin, end - begin, MADV_HUGEPAGE);
    if (n_threads < 2 || n_bytes < PAGES_BY_THREADS_FROM_BYTES) return;
    Pages pages{begin, end};
    parallel(n_threads, (end - begin + PIECE - 1) / PIECE, populate, &pages);
#else
    (void)address;
    (void)n_threads;
#endif
}

bool releases_pages() {
#if defined(__linux__)
    return true;
#else
    return false;
#endif
}

uintptr_t release_pages(uintptr_t begin, uintptr_t end) {
#if defined(__linux__)
    static const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    begin = (begin + page - 1) & ~(page - 1);
    end &= ~(page - 1);
    // where the kernel refuses (locked memory) the pages stay until they are freed
    if (end > begin) (void)madvise((void*)begin, end - begin, MADV_DONTNEED);
    return end > begin ? end : begin;
#else
    (void)end;
    return begin;
#endif
}

}  // namespace tc
