#include "memory.hpp"

#include <atomic>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tc {
namespace {

constexpr uintptr_t HUGE_PAGE = uintptr_t{2} << 20;
constexpr uint64_t PAYS_FROM_BYTES = uint64_t{4} << 20;

std::atomic<int> enabled{-1};  // -1: the environment was not asked yet

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

void advise_huge(void* address, uint64_t n_bytes) {
    if (n_bytes < PAYS_FROM_BYTES || !huge_pages()) return;
#if defined(__linux__)
    const uintptr_t begin = ((uintptr_t)address + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    const uintptr_t end = ((uintptr_t)address + n_bytes) & ~(HUGE_PAGE - 1);
    // advice only: where the kernel has no huge pages, small ones do
    if (end > begin) (void)madvise((void*)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)address;
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
