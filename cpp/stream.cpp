// The loops of stream.hpp.
#include "stream.hpp"

#include <errno.h>
#include <unistd.h>

#include "hash.hpp"
#include "isa/bits.hpp"

namespace tc {

const FileCalls SYSTEM_CALLS = {pread, pwrite};

namespace {

uint64_t bytes_of(uint64_t n, FormatId format) { return (n * ROWS[format].bits + 7) / 8; }

bool read_block(const FileCalls& calls, const Ends& ends, uint64_t n_bytes, Streamed* s) {
    for (uint64_t done = 0; done < n_bytes;) {
        const ssize_t n = calls.read(ends.source, ends.in + done, n_bytes - done,
                                     (off_t)(ends.source_offset + s->n_read));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            s->stopped = Stopped::Reading;
            s->error = n < 0 ? errno : 0;
            return false;
        }
        done += (uint64_t)n;
        s->n_read += (uint64_t)n;
    }
    return true;
}

bool write_block(const FileCalls& calls, const Ends& ends, const char* data, uint64_t n_bytes,
                 Streamed* s) {
    for (uint64_t done = 0; done < n_bytes;) {
        const ssize_t n = calls.write(ends.target, data + done, n_bytes - done,
                                      (off_t)(ends.target_offset + s->n_written));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            s->stopped = Stopped::Writing;
            s->error = n < 0 ? errno : EIO;
            return false;
        }
        done += (uint64_t)n;
        s->n_written += (uint64_t)n;
    }
    return true;
}

// One block from memory to memory, segment by segment: sums come out as of one whole cast.
bool cast_block(const Kernels& kernels, const Cast& cast, char* in, char* out, uint64_t n,
                uint64_t first, Stats* stats) {
    const FloatEnvironment environment;
    for (uint64_t i = 0; i < n; i += SEGMENT) {
        Layout source{}, target{};
        source.contiguous = target.contiguous = true;
        source.address = in + bytes_of(i, cast.source);
        target.address = out ? out + bytes_of(i, cast.target) : nullptr;
        Stats one;
        if (!cast_tensor(kernels, cast, source, target, n - i < SEGMENT ? n - i : SEGMENT, first + i, 1,
                         &one))
            return false;
        stats->merge(one);
    }
    return true;
}

}  // namespace

uint64_t stream_elements(FormatId source, FormatId target, size_t in_bytes, size_t out_bytes) {
    const uint64_t in = in_bytes * 8 / ROWS[source].bits, out = out_bytes * 8 / ROWS[target].bits;
    const uint64_t most = in < out ? in : out;
    return most >= SEGMENT ? most / SEGMENT * SEGMENT : most / BLOCK * BLOCK;
}

void stream_cast(const FileCalls& calls, const Kernels& kernels, const Cast& cast, const Ends& ends,
                 uint64_t n_elements, uint64_t first, Streamed* s) {
    const uint64_t at_a_time = stream_elements(cast.source, cast.target, ends.in_bytes, ends.out_bytes);
    Xxh3 hash(kernels);
    bool writes = ends.target != NO_FILE;
    uint64_t filled = 0;  // bytes of the second block that wait to be written
    for (uint64_t i = 0; i < n_elements; i += at_a_time) {
        const uint64_t n = n_elements - i < at_a_time ? n_elements - i : at_a_time;
        const uint64_t n_bytes = bytes_of(n, cast.target);
        char* out = ends.out + filled;
        if (!read_block(calls, ends, bytes_of(n, cast.source), s)) return;
        if (!cast_block(kernels, cast, ends.in, writes ? out : nullptr, n, first + i, &s->stats)) {
            s->stopped = Stopped::Memory;
            return;
        }
        writes = writes && !n_refused(cast, s->stats);
        if (!writes) continue;
        hash.add(out, n_bytes);
        filled += n_bytes;
        const bool last = n_elements - i <= at_a_time;
        if (!last && filled + n_bytes <= ends.out_bytes) continue;
        if (!write_block(calls, ends, ends.out, filled, s)) return;
        filled = 0;
    }
    s->digest = hash.digest();
}

void stream_copy(const FileCalls& calls, const Kernels& kernels, const Ends& ends, uint64_t n_bytes,
                 Streamed* s) {
    const uint64_t at_a_time = ends.in_bytes;
    Xxh3 hash(kernels);
    for (uint64_t i = 0; i < n_bytes; i += at_a_time) {
        const uint64_t n = n_bytes - i < at_a_time ? n_bytes - i : at_a_time;
        if (!read_block(calls, ends, n, s)) return;
        hash.add(ends.in, n);
        if (ends.target != NO_FILE && !write_block(calls, ends, ends.in, n, s)) return;
    }
    s->digest = hash.digest();
}

}  // namespace tc
