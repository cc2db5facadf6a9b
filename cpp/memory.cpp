#include "memory.hpp"

#include <atomic>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api.hpp"
#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace tc {
namespace {

constexpr uint64_t PAYS_FROM_BYTES = uint64_t{4} << 20;

constexpr uintptr_t PIECE = 2 * HUGE_PAGE;

uintptr_t page_size() {
#if defined(__linux__)
    static const uintptr_t size = (uintptr_t)sysconf(_SC_PAGESIZE);
    return size;
#else
    return 4096;
#endif
}

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

// Whole pages to where others are mapped; the old addresses stay mapped, to pages of zeros. Linux 5.7.
bool remap(uintptr_t from, uintptr_t to, uint64_t n_bytes) {
    constexpr int DONTUNMAP = 4;
    return mremap((void*)from, n_bytes, n_bytes, MREMAP_MAYMOVE | MREMAP_FIXED | DONTUNMAP, (void*)to) !=
           MAP_FAILED;
}

void* fresh_pages(void* where, uint64_t n_bytes) {
    return mmap(where, n_bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);
}

// Tried on two pages of its own.
bool can_remap() {
    const uintptr_t page = page_size();
    char* pages = (char*)fresh_pages(nullptr, 2 * page);
    if (pages == MAP_FAILED) return false;
    pages[1] = 1;
    const bool can = remap((uintptr_t)pages, (uintptr_t)pages + page, page) && pages[page + 1] == 1 &&
                     pages[1] == 0;
    (void)munmap(pages, 2 * page);
    return can;
}

// One call moves pages of one mapping: where the pages are of several (parts of them asked for huge
// pages), halves are tried. A refused call may have unmapped its destination first, which is then
// mapped anew. Where nothing can be moved (the process may have no more mappings), bytes are copied, a
// part at a time, whose pages are given back.
void move_whole_pages(uintptr_t from, uintptr_t to, uint64_t n_bytes) {
    constexpr uint64_t PART = 4 * HUGE_PAGE;
    if (remap(from, to, n_bytes)) return;
    const bool several = errno == EFAULT;
    const bool gone = msync((void*)to, n_bytes, MS_ASYNC) != 0;  // which asks no more than that
    if (gone && fresh_pages((void*)to, n_bytes) == MAP_FAILED) {
        // nothing was lost yet, but there is no way on: the conversion cannot be undone
        static const char message[] = "tensorcast: the system took a mapping away and gives none\n";
        (void)!write(2, message, sizeof message - 1);
        abort();
    }
    if (several && n_bytes > page_size()) {
        const uint64_t half = n_bytes / page_size() / 2 * page_size();
        move_whole_pages(from, to, half);
        return move_whole_pages(from + half, to + half, n_bytes - half);
    }
    for (uint64_t i = 0; i < n_bytes; i += PART) {
        const uint64_t n = n_bytes - i < PART ? n_bytes - i : PART;
        memcpy((void*)(to + i), (const void*)(from + i), n);
        (void)release_pages(from + i, from + i + n);
    }
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
    const uintptr_t page = page_size();
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

bool moves_pages() {
#if defined(__linux__)
    static const bool can = can_remap();
    return can;
#else
    return false;
#endif
}

void move_pages(uintptr_t from, uintptr_t to, uint64_t n_bytes) {
#if defined(__linux__)
    const uintptr_t page = page_size(), end = to + n_bytes;
    const uintptr_t first = (to + page - 1) & ~(page - 1), last = end & ~(page - 1);
    if (moves_pages() && first < last && (from - to) % page == 0) {
        memcpy((void*)to, (const void*)from, first - to);
        move_whole_pages(from + (first - to), first, last - first);
        memcpy((void*)last, (const void*)(from + (last - to)), end - last);
        return;
    }
#endif
    memcpy((void*)to, (const void*)from, n_bytes);
}

}  // namespace tc
