// XXH64, all at once or piece by piece.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace tc {

class Xxh64 {
  public:
    static constexpr size_t STRIPE = 32;

    explicit Xxh64(uint64_t seed = 0);
    // Every piece but the last is a multiple of STRIPE bytes.
    void add(const void* data, size_t n_bytes);
    uint64_t digest() const;

  private:
    uint64_t seed_, a_, b_, c_, d_;
    uint64_t n_bytes_ = 0;
    size_t tail_bytes_ = 0;
    uint8_t tail_[STRIPE];
};

inline uint64_t xxh64(const void* data, size_t n_bytes, uint64_t seed) {
    Xxh64 hash(seed);
    hash.add(data, n_bytes);
    return hash.digest();
}

}  // namespace tc
