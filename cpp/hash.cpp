// XXH3 of 64 bits as published at github.com/Cyan4973/xxHash (doc/xxhash_spec.md), for its default
// secret and seed 0. Written from the specification; its names are kept.
#include "hash.hpp"

#include <string.h>

namespace tc {

const uint8_t HASH_SECRET[HashState::SECRET] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

namespace {

constexpr uint64_t PRIME32_1 = 0x9E3779B1u, PRIME32_2 = 0x85EBCA77u, PRIME32_3 = 0xC2B2AE3Du;
constexpr uint64_t PRIME64_1 = 0x9E3779B185EBCA87ull, PRIME64_2 = 0xC2B2AE3D27D4EB4Full,
                   PRIME64_3 = 0x165667B19E3779F9ull, PRIME64_4 = 0x85EBCA77C2B2AE63ull,
                   PRIME64_5 = 0x27D4EB2F165667C5ull;
constexpr uint64_t PRIME_MX1 = 0x165667919E3779F9ull, PRIME_MX2 = 0x9FB21C651E98DF25ull;

// words are little-endian, as every machine is that this is built for
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
inline uint64_t secret(size_t offset) { return read64(HASH_SECRET + offset); }
inline uint64_t rotl(uint64_t x, int r) { return x << r | x >> (64 - r); }
inline uint64_t folded_product(uint64_t a, uint64_t b) {
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}
inline uint64_t avalanche(uint64_t x) {
    x = (x ^ x >> 37) * PRIME_MX1;
    return x ^ x >> 32;
}
inline uint64_t avalanche_xxh64(uint64_t x) {
    x = (x ^ x >> 33) * PRIME64_2;
    x = (x ^ x >> 29) * PRIME64_3;
    return x ^ x >> 32;
}

// -- up to 240 bytes ------------------------------------------------------------------------------

uint64_t small(const uint8_t* p, size_t n) {  // up to 16
    if (n > 8) {
        const uint64_t low = secret(24) ^ secret(32) ^ read64(p);
        const uint64_t high = secret(40) ^ secret(48) ^ read64(p + n - 8);
        return avalanche(n + __builtin_bswap64(low) + high + folded_product(low, high));
    }
    if (n > 3) {
        uint64_t x = secret(8) ^ secret(16) ^ (read32(p + n - 4) | read32(p) << 32);
        x = (x ^ rotl(x, 49) ^ rotl(x, 24)) * PRIME_MX2;
        x = (x ^ ((x >> 35) + n)) * PRIME_MX2;
        return x ^ x >> 28;
    }
    if (n == 0) return avalanche_xxh64(secret(56) ^ secret(64));
    const uint64_t combined =
        p[n - 1] | (uint64_t)n << 8 | (uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 24;
    return avalanche_xxh64(read32(HASH_SECRET) ^ read32(HASH_SECRET + 4) ^ combined);
}

inline uint64_t mix_step(const uint8_t* p, size_t offset) {
    return folded_product(read64(p) ^ secret(offset), read64(p + 8) ^ secret(offset + 8));
}

uint64_t medium(const uint8_t* p, size_t n) {  // 17 to 240
    uint64_t sum = n * PRIME64_1;
    if (n <= 128) {
        for (size_t i = 0; i <= (n - 1) / 32; ++i)
            sum += mix_step(p + 16 * i, 32 * i) + mix_step(p + n - 16 * i - 16, 32 * i + 16);
        return avalanche(sum);
    }
    for (size_t i = 0; i < 8; ++i) sum += mix_step(p + 16 * i, 16 * i);
    sum = avalanche(sum);
    for (size_t i = 8; i < n / 16; ++i) sum += mix_step(p + 16 * i, 16 * (i - 8) + 3);
    return avalanche(sum + mix_step(p + n - 16, 119));
}

}  // namespace

// -- any number of bytes --------------------------------------------------------------------------

Xxh3::Xxh3(const Kernels& kernels)
    : kernels_(kernels),
      state_{{PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1}} {}

void Xxh3::add(const void* data, size_t n_bytes) {
    constexpr size_t BLOCK = HashState::BLOCK;
    const uint8_t* p = (const uint8_t*)data;
    n_bytes_ += n_bytes;
    if (n_held_ && n_held_ + n_bytes > BLOCK) {
        const size_t rest = BLOCK - n_held_;
        memcpy(held_ + BEFORE + n_held_, p, rest);
        kernels_.stripes(&state_, held_ + BEFORE, HashState::STRIPES);
        memcpy(held_, held_ + BLOCK, BEFORE);  // its last stripe
        p += rest;
        n_bytes -= rest;
        n_held_ = 0;
    }
    if (n_bytes > BLOCK) {
        const size_t whole = (n_bytes - 1) / BLOCK * BLOCK;
        kernels_.stripes(&state_, p, whole / HashState::STRIPE);
        memcpy(held_, p + whole - BEFORE, BEFORE);
        p += whole;
        n_bytes -= whole;
    }
    if (n_bytes) memcpy(held_ + BEFORE + n_held_, p, n_bytes);
    n_held_ += n_bytes;
}

uint64_t Xxh3::digest() const {
    const uint8_t* p = held_ + BEFORE;
    if (n_bytes_ <= 16) return small(p, n_held_);
    if (n_bytes_ <= 240) return medium(p, n_held_);
    HashState state = state_;
    kernels_.stripes(&state, p, (n_held_ - 1) / HashState::STRIPE);
    const uint8_t* last = p + n_held_ - HashState::STRIPE;
    for (size_t i = 0; i < 8; ++i) {
        const uint64_t lane = read64(last + 8 * i), x = lane ^ secret(HashState::SECRET - 71 + 8 * i);
        state.lanes[i ^ 1] += lane;
        state.lanes[i] += (x & 0xffffffff) * (x >> 32);
    }
    uint64_t result = n_bytes_ * PRIME64_1;
    for (size_t i = 0; i < 8; i += 2)
        result += folded_product(state.lanes[i] ^ secret(11 + 8 * i),
                                 state.lanes[i + 1] ^ secret(19 + 8 * i));
    return avalanche(result);
}

}  // namespace tc
