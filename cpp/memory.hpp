// Pages of large fresh results.
#pragma once
#include <stdint.h>

namespace tc {

// Asks for huge pages for the whole huge pages inside the block, before its first touch: fewer page
// faults, faster memory. The memory stays whose it is. Nothing happens to a small block.
void advise_huge(void* address, uint64_t n_bytes);

// Whether that is done at all: TENSORCAST_HUGE_PAGES=0 in the environment starts it off.
bool huge_pages();
void set_huge_pages(bool enabled);

}  // namespace tc
