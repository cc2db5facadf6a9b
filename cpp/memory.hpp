// Pages of large fresh results, and of memory whose content was consumed.
#pragma once
#include <stdint.h>

namespace tc {

constexpr uintptr_t HUGE_PAGE = uintptr_t{2} << 20;

// Asks for huge pages for the whole huge pages inside the block, before its first touch: fewer page
// faults, faster memory. The memory stays whose it is. Nothing happens to a small block. With several
// threads a large block, which is to be written whole, gets its pages here, each from one thread: two
// that touch one fresh huge page at once both clear it, and one throws its own away.
void advise_huge(void* address, uint64_t n_bytes, unsigned n_threads);

// From where on it uses threads, and may take milliseconds.
constexpr uint64_t PAGES_BY_THREADS_FROM_BYTES = uint64_t{16} << 20;

// Whether that is done at all: TENSORCAST_HUGE_PAGES=0 in the environment starts it off.
bool huge_pages();
void set_huge_pages(bool enabled);

// Hands the whole pages inside [begin, end) back to the system, whose content is lost; the addresses
// stay the owner's. For private anonymous memory. Returns up to where: pages begin at the result.
uintptr_t release_pages(uintptr_t begin, uintptr_t end);

// Whether `release_pages` does anything here.
bool releases_pages();

// Moves n_bytes to other memory, which is the caller's too and whose content does not count: whole
// pages by their entries in the page table, where no byte is read and no page is new, the rest by
// copying. What was moved reads as anything afterwards. Both are private anonymous memory, a whole
// number of pages apart, and do not overlap; fastest a whole number of huge pages apart.
void move_pages(uintptr_t from, uintptr_t to, uint64_t n_bytes);

// Whether the system can: where it cannot, `move_pages` copies.
bool moves_pages();

}  // namespace tc
