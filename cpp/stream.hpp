// A piece of a file read, cast, digested and written to another file, block after block: what was
// just read is still in the core's own cache when it is cast, and what was cast when it is written.
#pragma once
#include <sys/types.h>

#include "api.hpp"

namespace tc {

// How files are read and written; tests put calls of their own here.
struct FileCalls {
    ssize_t (*read)(int, void*, size_t, off_t);
    ssize_t (*write)(int, const void*, size_t, off_t);
};
extern const FileCalls SYSTEM_CALLS;

constexpr int NO_FILE = -1;

// Where the bytes come from and go to, and the two blocks worked in. What was cast is written
// when the second block is full.
struct Ends {
    int source;
    uint64_t source_offset;
    int target;  // NO_FILE: nothing is written
    uint64_t target_offset;
    char* in;
    size_t in_bytes;
    char* out;
    size_t out_bytes;
};

enum class Stopped : uint8_t { Not, Reading, Writing, Memory };

struct Streamed {
    Stats stats;
    uint64_t digest = 0;   // XXH3 of what the target got, or would have got
    uint64_t n_read = 0;   // bytes
    uint64_t n_written = 0;
    Stopped stopped = Stopped::Not;
    int error = 0;  // errno of what stopped it; 0 when reading: the file ended
};

// Elements that go through the blocks at a time: whole segments, or whole BLOCKs where the blocks
// are too small for one. 0: too small for any.
uint64_t stream_elements(FormatId source, FormatId target, size_t in_bytes, size_t out_bytes);

// Casts n elements, the first of them at `first` of its tensor. Once the policy refuses a value
// nothing more is written or digested, only counted. Statistics are those of the whole piece
// cast at once.
void stream_cast(const FileCalls&, const Kernels&, const Cast&, const Ends&, uint64_t n_elements,
                 uint64_t first, Streamed*);

// The bytes as they are, through the first block.
void stream_copy(const FileCalls&, const Kernels&, const Ends&, uint64_t n_bytes, Streamed*);

}  // namespace tc
