// Codes worth casting, from a seed.
#pragma once
#include <vector>

#include "oracle.hpp"

namespace patterns {

using tc::FormatId;
using tc::Kind;
using tc::Row;

// splitmix64 (Steele, Lea, Flood 2014)
struct Random {
    uint64_t state;
    explicit Random(uint64_t seed) : state(seed) {}
    uint64_t operator()() {
        uint64_t z = state += 0x9E3779B97F4A7C15ull;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 27) * 0x94D049BB133111EBull;
        return z ^ z >> 31;
    }
    uint64_t below(uint64_t n) { return uint64_t((unsigned __int128)(*this)() * n >> 64); }
    int64_t between(int64_t low, int64_t high) {
        return low + (int64_t)below(uint64_t(high - low) + 1);
    }
};

// Source codes for one real pair: uniform bits; magnitudes log-uniform around the target's range;
// the target's values and the midpoints between them, and their neighbours in the source.
class Patterns {
  public:
    Patterns(FormatId source, FormatId target, uint64_t seed)
        : from_(tc::ROWS[source]),
          to_(tc::ROWS[target]),
          into_source_(target, source, tc::Overflow::Saturate, tc::Rounding::TowardZero,
                       tc::InfPolicy::Keep, 0),
          random_(seed) {
        // exponents of the target's smallest and largest values, and two beyond
        if (to_.kind == Kind::Float) {
            low_ = 1 - to_.bias - to_.mantissa_bits - 2;
            high_ = int(to_.max_code >> to_.mantissa_bits) - to_.bias + 2;
        } else {
            low_ = -3;
            high_ = to_.bits + 2;
        }
        if (from_.kind == Kind::Float) {
            const int least = -from_.bias;  // subnormals too
            const int most = int(from_.max_code >> from_.mantissa_bits) - from_.bias;
            low_ = low_ > least ? low_ < most ? low_ : most : least;
            high_ = high_ < most ? high_ > least ? high_ : least : most;
        }
    }

    // Groups of 32 elements of one sort each. Some calls give finite numbers only: the kernels
    // treat a block without infinities and NaNs on a path of its own.
    void fill(uint64_t* codes, uint64_t n) {
        const bool finite_only = random_.below(3) == 0;
        for (uint64_t i = 0; i < n;) {
            const uint64_t end = n - i < 32 ? n : i + 32;
            const uint64_t sort = random_.below(8);
            if (sort < 2)
                for (; i < end; ++i) codes[i] = random_() & oracle::low_bits(from_.bits);
            else if (sort < 5)
                for (; i < end; ++i) codes[i] = in_range();
            else
                for (; i < end; ++i) codes[i] = near_target();
        }
        if (finite_only && from_.kind == Kind::Float)
            for (uint64_t i = 0; i < n; ++i)
                if (oracle::decode(from_, codes[i]).is != oracle::Number::Is::Finite)
                    codes[i] = in_range();
    }

  private:
    const Row &from_, &to_;
    oracle::Oracle into_source_;
    Random random_;
    int low_, high_;

    // A magnitude of a uniformly drawn exponent, mantissa bits uniform or few.
    uint64_t in_range() {
        const uint64_t bits = random_();
        if (from_.kind != Kind::Float) {
            const uint64_t magnitude = bits >> random_.below(64);
            return (bits & 1 ? 0 - magnitude : magnitude) & oracle::low_bits(from_.bits);
        }
        const int m = from_.mantissa_bits;
        const uint64_t field = uint64_t(random_.between(low_, high_) + from_.bias);
        uint64_t mantissa = bits & oracle::low_bits(m);
        if (bits >> 62 == 0 && m) mantissa &= ~oracle::low_bits(int(random_.below(m + 1)));
        const uint64_t code = field << m | mantissa;
        return from_.is_signed ? code | (bits >> 61 & 1) << (from_.bits - 1) : code;
    }

    // A code of the target, sign aside.
    uint64_t magnitude() {
        const uint64_t code = to_.is_integer() ? random_() >> random_.below(64) : random_();
        return to_.max_code == ~uint64_t{0} ? code : code % (to_.max_code + 1);
    }

    // One where something changes: the ends of the range, the ends of a binade.
    uint64_t edge() {
        const uint64_t near = random_.below(3), top = to_.max_code;
        if (random_.below(2)) return random_.below(2) ? near : near <= top ? top - near : 0;
        const int steps = to_.kind == Kind::Float ? to_.exponent_bits : to_.bits;
        const uint64_t step = to_.kind == Kind::Float
                                  ? random_.below(uint64_t{1} << steps) << to_.mantissa_bits
                                  : uint64_t{1} << random_.below(uint64_t(steps));
        const uint64_t code = step + near - 1;
        return code <= top ? code : top;
    }

    // A value of the target, or the midpoint to the next, moved by up to one code of the source.
    uint64_t near_target() {
        const uint64_t bits = random_();
        oracle::Number x = oracle::decode(to_, bits >> 60 == 0 ? edge() : magnitude());
        if (bits & 1 && x.significand >> 62 == 0) {
            x.significand = 2 * x.significand + 1;
            x.exponent -= 1;
        }
        x.negative = from_.is_signed && bits & 2;
        const uint64_t code = into_source_.encode(x, 0).code;
        const uint64_t step = bits >> 2 & 3;  // 0, 1: the code itself
        return (code + (step == 2) - (step == 3)) & oracle::low_bits(from_.bits);
    }
};

// Every code of a source of 16 bits or fewer, in order and then scattered, so that infinities and
// NaNs come alone and among numbers.
inline std::vector<uint64_t> every_code(FormatId source) {
    const uint64_t n = uint64_t{1} << tc::ROWS[source].bits;
    std::vector<uint64_t> codes;
    for (uint64_t i = 0; i < n; ++i) codes.push_back(i);
    for (uint64_t i = 0; i < n; ++i) codes.push_back(i * 0x9E3779B1u % n);
    return codes;
}

}  // namespace patterns
