// XXH64, as published at github.com/Cyan4973/xxHash (doc/xxhash_spec.md): the digest of chunks in
// receipts. Written from the specification.
#include <string.h>

#include "hash.hpp"

namespace tc {
namespace {

constexpr uint64_t P1 = 0x9E3779B185EBCA87ull, P2 = 0xC2B2AE3D27D4EB4Full,
                   P3 = 0x165667B19E3779F9ull, P4 = 0x85EBCA77C2B2AE63ull,
                   P5 = 0x27D4EB2F165667C5ull;

inline uint64_t rotl(uint64_t x, int r) { return x << r | x >> (64 - r); }
inline uint64_t round64(uint64_t acc, uint64_t lane) { return rotl(acc + lane * P2, 31) * P1; }
inline uint64_t read64(const uint8_t* p) {
    uint64_t x;
    memcpy(&x, p, 8);
    return x;
}
inline uint64_t read32(const uint8_t* p) {
    uint32_t x;
    memcpy(&x, p, 4);
    return x;
}
inline uint64_t merge(uint64_t acc, uint64_t lane) { return (acc ^ round64(0, lane)) * P1 + P4; }

}  // namespace

void Xxh64::add(const void* data, size_t n_bytes) {
    const uint8_t* p = (const uint8_t*)data;
    const uint8_t* end = p + n_bytes / STRIPE * STRIPE;
    uint64_t a = a_, b = b_, c = c_, d = d_;
    for (; p < end; p += STRIPE) {
        a = round64(a, read64(p));
        b = round64(b, read64(p + 8));
        c = round64(c, read64(p + 16));
        d = round64(d, read64(p + 24));
    }
    a_ = a, b_ = b, c_ = c, d_ = d;
    n_bytes_ += n_bytes;
    tail_bytes_ = n_bytes % STRIPE;
    memcpy(tail_, p, tail_bytes_);
}

uint64_t Xxh64::digest() const {
    const uint8_t *p = tail_, *end = tail_ + tail_bytes_;
    uint64_t h;
    if (n_bytes_ >= STRIPE) {
        h = rotl(a_, 1) + rotl(b_, 7) + rotl(c_, 12) + rotl(d_, 18);
        h = merge(merge(merge(merge(h, a_), b_), c_), d_);
    } else {
        h = seed_ + P5;
    }
    h += n_bytes_;
    for (; end - p >= 8; p += 8) h = rotl(h ^ round64(0, read64(p)), 27) * P1 + P4;
    if (end - p >= 4) {
        h = rotl(h ^ read32(p) * P1, 23) * P2 + P3;
        p += 4;
    }
    for (; p < end; ++p) h = rotl(h ^ *p * P5, 11) * P1;
    h = (h ^ h >> 33) * P2;
    h = (h ^ h >> 29) * P3;
    return h ^ h >> 32;
}

Xxh64::Xxh64(uint64_t seed)
    : seed_(seed), a_(seed + P1 + P2), b_(seed + P2), c_(seed), d_(seed - P1) {}

}  // namespace tc
