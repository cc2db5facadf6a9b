// XXH3 of 64 bits (seed 0), all at once or piece by piece: the digest of chunks in receipts.
#pragma once
#include "api.hpp"

namespace tc {

// Eight lanes, which the kernels' `stripes` brings forward.
struct HashState {
    static constexpr size_t STRIPE = 64, STRIPES = 16, BLOCK = STRIPE * STRIPES;
    static constexpr size_t SECRET = 192;
    uint64_t lanes[8];
};
extern const uint8_t HASH_SECRET[HashState::SECRET];

class Xxh3 {
  public:
    explicit Xxh3(const Kernels&);
    void add(const void* data, size_t n_bytes);  // pieces of any size
    uint64_t digest() const;

  private:
    // the last block is another matter, so that one waits here, behind the stripe before it
    static constexpr size_t BEFORE = HashState::STRIPE;

    void block();

    const Kernels& kernels_;
    HashState state_;
    uint64_t n_bytes_ = 0;
    size_t n_held_ = 0;
    alignas(64) uint8_t held_[BEFORE + HashState::BLOCK];
};

inline uint64_t xxh3(const Kernels& kernels, const void* data, size_t n_bytes) {
    Xxh3 hash(kernels);
    hash.add(data, n_bytes);
    return hash.digest();
}

}  // namespace tc
