// Streams over a system that reads and writes a few bytes at a time, is interrupted, and fails.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "../hash.hpp"
#include "../stream.hpp"

namespace {

using namespace tc;

constexpr uint64_t N = 40'000, OFFSET = 7;
std::vector<char> source, target;
uint64_t n_calls, fails_at;
size_t most;

// Every third call is interrupted; call `fails_at` fails.
bool goes_on() {
    ++n_calls;
    errno = n_calls == fails_at ? EIO : EINTR;
    return n_calls != fails_at && n_calls % 3;
}

ssize_t read_some(int, void* to, size_t n_bytes, off_t at) {
    if (!goes_on()) return -1;
    const size_t left = source.size() - (size_t)at, n = n_bytes < most ? n_bytes : most;
    memcpy(to, source.data() + at, n < left ? n : left);
    return (ssize_t)(n < left ? n : left);
}

ssize_t write_some(int, const void* from, size_t n_bytes, off_t at) {
    if (!goes_on()) return -1;
    const size_t n = n_bytes < most ? n_bytes : most;
    memcpy(target.data() + at, from, n);
    return (ssize_t)n;
}

constexpr FileCalls CALLS = {read_some, write_some};

Streamed stream(uint64_t n, uint64_t fails) {
    static char in[1 << 15], out[1 << 15];
    Cast cast{};
    for (int i = 0; i < N_FORMATS; ++i) {
        if (strcmp(ROWS[i].name, "float32") == 0) cast.source = (FormatId)i;
        if (strcmp(ROWS[i].name, "bfloat16") == 0) cast.target = (FormatId)i;
    }
    target.assign(2 * N + OFFSET, 'x');
    n_calls = 0;
    fails_at = fails;
    Streamed s;
    stream_cast(CALLS, *pick_kernels(), cast, {1, OFFSET, 2, OFFSET, in, sizeof in, out, sizeof out}, n, 0,
                &s);
    return s;
}

unsigned n_passed = 0, n_failed = 0;

void expect(bool good, const char* what) {
    if (good) {
        ++n_passed;
        return;
    }
    fprintf(stderr, "failed: %s\n", what);
    ++n_failed;
}

}  // namespace

int main() {
    source.assign(OFFSET, 'a');
    std::vector<uint16_t> want;
    for (uint64_t i = 0; i < N; ++i) {  // bfloat16's own values
        const uint32_t code = (uint32_t)(0x3f80 + i % 100) << 16;
        source.insert(source.end(), (const char*)&code, (const char*)&code + 4);
        want.push_back((uint16_t)(code >> 16));
    }
    for (const size_t size : {size_t{13}, size_t{4096}, size_t{1} << 20}) {
        most = size;
        const Streamed s = stream(N, 0);
        expect(s.stopped == Stopped::Not && s.n_read == 4 * N && s.n_written == 2 * N, "all of it");
        expect(memcmp(target.data() + OFFSET, want.data(), 2 * N) == 0, "the values");
        expect(memcmp(target.data(), "xxxxxxx", OFFSET) == 0, "what is before them");
        expect(s.digest == xxh3(*pick_kernels(), want.data(), 2 * N), "the digest");
        const uint64_t all = n_calls;
        bool reading = false, writing = false;
        for (uint64_t i = 1; i <= all; i += all / 50 + 1) {
            const Streamed failed = stream(N, i);
            reading |= failed.stopped == Stopped::Reading;
            writing |= failed.stopped == Stopped::Writing;
            expect(failed.stopped != Stopped::Not && failed.error == EIO, "a failing call");
            expect(failed.n_read <= 4 * N && failed.n_written <= failed.n_read / 2, "how far it came");
        }
        expect(reading && (writing || size > 4096), "both fail");
        const Streamed ended = stream(N + 1, 0);
        expect(ended.stopped == Stopped::Reading && !ended.error && ended.n_read == 4 * N, "the end");
    }
    printf("%u passed, %u failed\n", n_passed, n_failed);
    return n_failed != 0;
}
