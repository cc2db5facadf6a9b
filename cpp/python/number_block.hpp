// Numbers on their way into a tensor: gathered as int64, uint64, float64, bool or pairs of float64, up to
// 2048 of them, each block through the kernels into the target. One rounding, from the exact value.
#pragma once
#include <string.h>

#include "../isa/bits.hpp"
#include "walk.hpp"

namespace tc {
namespace {

enum class Gathered { Bool, Int, Uint, Float, Complex };

constexpr int64_t EXACT = int64_t{1} << 53;  // integers up to here are exact in float64

struct NumberBlock {
    Cast cast;
    const Kernels* kernels;
    FormatId target;
    char* out = nullptr;
    unsigned itemsize = 0;
    bool is_complex = false;

    Gathered kind = Gathered::Int;
    bool direct = false;  // the target holds what is gathered, as it is
    uint64_t begin = 0;   // index of the block's first element
    unsigned count = 0;
    char* at = nullptr;   // of the block
    Stats stats;
    uint64_t first_refused = NO_INDEX;
    alignas(64) char block[BLOCK * 8];

    FormatId gathered_format() const {
        switch (kind) {
            case Gathered::Bool: return F_bool;
            case Gathered::Int: return F_int64;
            case Gathered::Uint: return F_uint64;
            default: return F_float64;
        }
    }

    void start(Gathered as) {
        kind = as;
        direct = (as == Gathered::Complex ? target == F_complex128 : target == gathered_format()) &&
                 cast.inf == InfPolicy::Keep;
        at = direct ? out + begin * itemsize : block;
    }

    void flush() {
        if (count && !direct) {
            const uint64_t before = n_refused_or_changed(cast, stats);
            const unsigned each = kind == Gathered::Complex ? 2 : 1;
            Cast one = cast;
            one.source = gathered_format();
            {
                const FloatEnvironment environment;
                kernels->run(one, block, out + begin * itemsize, each * count, each * begin, &stats);
            }
            if (first_refused == NO_INDEX && n_refused_or_changed(cast, stats) != before) first_refused = begin;
        }
        begin += count;
        count = 0;
        start(kind);
    }

    // Two components are a complex number: they too are at most BLOCK.
    TC_INLINE unsigned capacity() const { return is_complex ? BLOCK / 2 : BLOCK; }

    TC_INLINE void room() {
        if (count == capacity()) flush();
    }

    void turn(Gathered as) {
        if (kind == as) return;
        flush();
        start(as);
    }

    template <class T>
    TC_INLINE void put(T value) {
        room();
        memcpy(at + count * sizeof value, &value, sizeof value);
        ++count;
    }

    void put_complex(double real, double imaginary) {
        room();
        memcpy(at + count * 16, &real, 8);
        memcpy(at + count * 16 + 8, &imaginary, 8);
        ++count;
    }

    void put_float(double value) {
        if (is_complex) return put_complex(value, 0);
        turn(Gathered::Float);
        put(value);
    }

    void put_bool(bool value) {
        if (is_complex) return put_complex(value, 0);
        switch (kind) {
            case Gathered::Bool: return put((uint8_t)value);
            case Gathered::Float: return put((double)value);
            default: return put((int64_t)value);
        }
    }
};

}  // namespace
}  // namespace tc
