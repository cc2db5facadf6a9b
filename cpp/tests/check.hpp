// One cast, run by a kernel set and held to the oracle: codes, counts, statistics, guard bytes.
#pragma once
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "oracle.hpp"
#if defined(__x86_64__)
#include <immintrin.h>
#else
#include <fenv.h>
#endif

namespace check {

using namespace tc;

// -- results of the run ---------------------------------------------------------------------------

constexpr uint64_t SHOWN_FAILURES = 20;
inline std::atomic<uint64_t> n_passed{0}, n_failed{0}, n_patterns{0};
inline std::mutex output;

inline void passed() { n_passed.fetch_add(1, std::memory_order_relaxed); }

inline void failed(const std::string& what) {
    if (n_failed.fetch_add(1) >= SHOWN_FAILURES) return;
    const std::lock_guard<std::mutex> lock(output);
    fprintf(stderr, "FAILED %s\n", what.c_str());
}

inline std::string hex(uint64_t x) {
    char text[24];
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)x);
    return text;
}

inline std::string decimal(double x) {
    char text[40];
    snprintf(text, sizeof text, "%.17g", x);
    return text;
}

// -- what is cast ---------------------------------------------------------------------------------

constexpr uint64_t SEED = 0x123456789ABCDEF0ull;

struct Case {
    FormatId source, target;
    Overflow overflow = Overflow::Raise;
    Rounding rounding = Rounding::NearestEven;
    NanPolicy nan = NanPolicy::Raise;
    InfPolicy inf = InfPolicy::Keep;
    bool full = false;
    bool collapses = false;  // without `full`: what becomes 0 or one value
    uint64_t first = 0;
    uint64_t seed = SEED;

    const Row& from() const { return ROWS[source]; }
    const Row& to() const { return ROWS[target]; }
    // Components of one element.
    unsigned from_components() const { return from().kind == Kind::Complex ? 2 : 1; }
    unsigned to_components() const { return to().kind == Kind::Complex ? 2 : 1; }

    std::string text() const {
        return std::string(from().name) + " to " + to().name + ", " + OVERFLOWS[int(overflow)] +
               ", " + ROUNDINGS[int(rounding)] +
               (inf == InfPolicy::Keep ? "" : ", infinity ends") + (full ? ", all statistics" : "") +
               (collapses ? ", collapse" : "") +
               (first ? ", first " + std::to_string(first) : "");
    }
};

inline bool can_cast(FormatId source, FormatId target) {
    const bool from = ROWS[source].kind == Kind::Complex, to = ROWS[target].kind == Kind::Complex;
    return !from || to || ROWS[target].kind == Kind::Bool;
}

// Every policy that fits the target (policy.py), "raise" and "saturate" side by side.
inline std::vector<Case> policies(FormatId source, FormatId target) {
    const Row& to = ROWS[ROWS[target].component];
    std::vector<Case> found;
    const bool infinities = to.infinity && ROWS[ROWS[source].component].infinity;
    for (int r = 0; r < N_ROUNDINGS; ++r)
        for (int ends = 0; ends <= infinities; ++ends)
            for (int o = 0; o < N_OVERFLOWS; ++o) {
                if (Overflow(o) == Overflow::Wrap && !to.is_integer()) continue;
                if (Overflow(o) == Overflow::Ieee && !to.infinity && !to.has_nan()) continue;
                Case c{source, target};
                c.overflow = Overflow(o);
                c.rounding = Rounding(r);
                c.nan = NanPolicy((r + o) % 2);  // the answer does not depend on it
                if (ends) c.inf = o % 2 ? InfPolicy::Saturate : InfPolicy::Raise;
                found.push_back(c);
            }
    return found;
}

// -- the floating-point environment ---------------------------------------------------------------

// What a caller's thread may have set: flush-to-zero, denormals-are-zero, a rounding mode, traps.
#if defined(__x86_64__)
constexpr unsigned ENVIRONMENTS[] = {
    0x1f80,  // the default
    0x9fc0,  // flush-to-zero, denormals-are-zero
    0x3f80,  // round down
    0xdfc0,  // round up, flush-to-zero, denormals-are-zero
    0x7f80,  // round toward zero
    0x0000,  // every exception traps
};
constexpr unsigned N_ENVIRONMENTS = sizeof ENVIRONMENTS / sizeof *ENVIRONMENTS;

class Environment {
    unsigned saved_;

  public:
    explicit Environment(unsigned which) : saved_(_mm_getcsr()) { _mm_setcsr(ENVIRONMENTS[which]); }
    ~Environment() { _mm_setcsr(saved_); }
    // Whether control and mask bits are as they were set.
    static bool kept(unsigned which) { return (_mm_getcsr() & ~0x3fu) == ENVIRONMENTS[which]; }
};
#else
constexpr int ENVIRONMENTS[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
constexpr unsigned N_ENVIRONMENTS = sizeof ENVIRONMENTS / sizeof *ENVIRONMENTS;

class Environment {
    int saved_;

  public:
    explicit Environment(unsigned which) : saved_(fegetround()) { fesetround(ENVIRONMENTS[which]); }
    ~Environment() { fesetround(saved_); }
    static bool kept(unsigned which) { return fegetround() == ENVIRONMENTS[which]; }
};
#endif

// -- what is expected -----------------------------------------------------------------------------

// Codes (of components) and exact statistics, as reference.measure_codes has them.
struct Expected {
    std::vector<uint64_t> codes;
    uint64_t n_overflow = 0, n_nan_lost = 0, n_inexact = 0, n_underflow = 0, n_nan = 0, n_inf = 0,
             n_finite = 0, first_overflow = NO_INDEX, largest_index = NO_INDEX;
    double largest_overflow = -1;
    uint64_t n_zero = 0, n_to_zero = 0;
    bool one_source = true, one_result = true;  // whether all values, all results are one value
    bool sums = false;  // whether the fields below were computed
    long double min = INFINITY, max = -INFINITY, max_abs_error = 0, sum_squared_error = 0,
                sum_squared = 0;
};

// Adds one component: what it was, and what became of it. `element` is the element's index.
inline void expect_component(Expected& e, const Row& to, const oracle::Number& x,
                             const oracle::Outcome& o, uint64_t element) {
    using Is = oracle::Number::Is;
    e.n_overflow += o.overflow;
    e.n_nan_lost += o.nan_lost;
    e.n_inexact += o.inexact;
    e.n_underflow += o.underflow;
    e.n_nan += x.is == Is::Nan;
    e.n_inf += x.is == Is::Infinite;
    e.n_finite += x.is == Is::Finite;
    if (o.overflow) {
        if (e.first_overflow == NO_INDEX) e.first_overflow = element;
        const double magnitude =
            x.is == Is::Finite ? fabs((double)oracle::value(x)) : (double)INFINITY;
        // what inf refuses or ends, overflow does not
        const bool counts = x.is == Is::Finite || !to.infinity;
        if (counts && magnitude > e.largest_overflow) {
            e.largest_overflow = magnitude;
            e.largest_index = element;
        }
    }
    if (!e.sums || x.is != Is::Finite) return;
    const long double value = oracle::value(x);
    if (value < e.min) e.min = value;
    if (value > e.max) e.max = value;
    const oracle::Number result = oracle::decode(to, o.code);
    if (result.is != Is::Finite) return;
    const long double error = fabsl(oracle::value(result) - value);
    if (error > e.max_abs_error) e.max_abs_error = error;
    e.sum_squared_error += error * error;
    e.sum_squared += value * value;
}

// Whether two codes mean one value: the zeros do, and all NaNs do.
inline bool same_value(const Row& row, uint64_t a, uint64_t b) {
    using Is = oracle::Number::Is;
    const oracle::Number x = oracle::decode(row, a), y = oracle::decode(row, b);
    if (x.is != y.is) return false;
    if (x.is == Is::Nan) return true;
    if (x.is == Is::Infinite) return x.negative == y.negative;
    if (x.significand == 0 || y.significand == 0) return x.significand == y.significand;
    return a == b || (row.kind == Kind::Bool);
}

// What became 0 or one value.
inline void expect_collapse(Expected& e, const Case& c, const uint64_t* codes, uint64_t n) {
    using Is = oracle::Number::Is;
    const Row &from = ROWS[c.from().component], &to = ROWS[c.to().component];
    const uint64_t width = c.from_components(), per = c.to_components();
    const auto is_zero = [](const Row& row, uint64_t code) {
        const oracle::Number x = oracle::decode(row, code);
        return x.is == Is::Finite && x.significand == 0;
    };
    for (uint64_t i = 0; i < n; ++i) {
        for (uint64_t k = 0; k < width; ++k) {
            const uint64_t code = codes[i * width + k];
            const bool zero = is_zero(from, code);
            e.n_zero += zero;
            const bool joins = width == 2 && per == 1;  // to bool: nothing becomes false that is not 0
            const bool nan = oracle::decode(from, code).is == Is::Nan;
            e.n_to_zero += !joins && !zero && !nan && is_zero(to, e.codes[per * i + k]);
            e.one_source = e.one_source && same_value(from, code, codes[k]);
        }
        e.one_result = e.one_result && same_value(to, e.codes[per * i], e.codes[0]);
    }
}

// codes: of components, two per complex element.
inline Expected expect(const Case& c, const uint64_t* codes, uint64_t n, bool sums) {
    const FormatId source = FormatId(c.from().component), target = FormatId(c.to().component);
    const Row &from = ROWS[source], &to = ROWS[target];
    const oracle::Oracle oracle(source, target, c.overflow, c.rounding, c.inf, c.seed);
    Expected e;
    e.sums = sums;
    e.codes.resize(n * c.to_components());
    uint64_t* out = e.codes.data();
    if (c.from_components() == 2 && c.to_components() == 1) {  // to bool
        for (uint64_t i = 0; i < n; ++i) {
            oracle::Number parts[2];
            bool any = false;
            for (int k = 0; k < 2; ++k) {
                parts[k] = oracle::decode(from, codes[2 * i + k]);
                any |= parts[k].is != oracle::Number::Is::Finite || parts[k].significand != 0;
            }
            out[i] = any;
            for (int k = 0; k < 2; ++k) {
                const uint64_t result = k == 0 && any;
                oracle::Outcome o{result, false, false, false, false};
                if (parts[k].is == oracle::Number::Is::Finite)
                    o.inexact = oracle::value(parts[k]) != (long double)result;
                else
                    o.inexact = parts[k].is == oracle::Number::Is::Infinite;
                expect_component(e, to, parts[k], o, c.first + i);
            }
        }
        expect_collapse(e, c, codes, n);
        return e;
    }
    const uint64_t per = c.to_components();
    for (uint64_t i = 0; i < n; ++i)
        for (uint64_t k = 0; k < c.from_components(); ++k) {
            const uint64_t code = codes[i * c.from_components() + k];
            const oracle::Number x = oracle::decode(from, code);
            const uint64_t index = per * (c.first + i) + k;
            const oracle::Outcome o = source == target && c.from_components() == per
                                          ? oracle.cast(code, index)
                                          : oracle.encode(x, index);
            out[per * i + k] = o.code;
            expect_component(e, to, x, o, c.first + i);
        }
    expect_collapse(e, c, codes, n);
    return e;
}

// -- memory ---------------------------------------------------------------------------------------

constexpr uint64_t GUARD = 192;  // bytes that must stay as they are, on both sides
constexpr uint8_t FILL = 0xA5;

// A tensor in memory: dimensions, strides, byte order, packing; every byte that belongs to no
// element is a guard.
struct Memory {
    std::vector<uint8_t> bytes;
    Layout layout{};
    bool packed = false;
    unsigned n_components = 1, component_bytes = 1, bits = 8;
    uint64_t origin = 0;            // of the first element, in bytes
    std::vector<int64_t> elements;  // offsets from the origin; empty if contiguous

    int64_t offset(uint64_t i) const {
        return elements.empty() ? int64_t(i * n_components * component_bytes) : elements[i];
    }

    void store(uint8_t* at, uint64_t code) const {
        for (unsigned b = 0; b < component_bytes; ++b) {
            const unsigned place = layout.swapped ? component_bytes - 1 - b : b;
            at[place] = uint8_t(code >> (8 * b));
        }
    }

    // Writes the codes of n elements into `image`, which is laid out as `bytes` is.
    void write(uint8_t* image, const uint64_t* codes, uint64_t n) const {
        uint8_t* base = image + origin;
        if (packed) {
            for (uint64_t byte = 0; byte < (n * bits + 7) / 8; ++byte) base[byte] = 0;
            for (uint64_t i = 0; i < n; ++i)
                for (unsigned b = 0; b < bits; ++b)
                    base[(i * bits + b) / 8] |= uint8_t((codes[i] >> b & 1) << (i * bits + b) % 8);
            return;
        }
        if (elements.empty() && !layout.swapped && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
            const uint64_t total = n * n_components;
            switch (component_bytes) {
                case 1: for (uint64_t i = 0; i < total; ++i) base[i] = uint8_t(codes[i]); return;
                case 2: narrow<uint16_t>(base, codes, total); return;
                case 4: narrow<uint32_t>(base, codes, total); return;
                default: narrow<uint64_t>(base, codes, total); return;
            }
        }
        for (uint64_t i = 0; i < n; ++i)
            for (unsigned k = 0; k < n_components; ++k)
                store(base + offset(i) + k * component_bytes, codes[i * n_components + k]);
    }

    void fill() { memset(bytes.data(), FILL, bytes.size()); }

  private:
    template <class T>
    static void narrow(uint8_t* base, const uint64_t* codes, uint64_t n) {
        for (uint64_t i = 0; i < n; ++i) {
            const T code = T(codes[i]);
            memcpy(base + i * sizeof(T), &code, sizeof(T));
        }
    }
};

// How a tensor of n elements lies; `odd` is added to a 64-byte aligned address.
struct Shape {
    std::vector<int64_t> shape, strides;  // in elements; both empty: contiguous
    unsigned odd = 0;
    bool swapped = false, packed = false;
};

inline Memory make_memory(const Row& row, const Shape& s, uint64_t n) {
    const Row& component = ROWS[row.component];
    Memory m;
    m.n_components = row.kind == Kind::Complex ? 2 : 1;
    m.component_bytes = component.container();
    m.bits = row.bits;
    m.packed = s.packed;
    m.layout.swapped = s.swapped;
    m.layout.contiguous = s.shape.empty();
    const int64_t element = int64_t(m.n_components * m.component_bytes);
    int64_t low = 0, high = 0;
    if (m.layout.contiguous) {
        high = s.packed ? int64_t((n * row.bits + 7) / 8) : int64_t(n) * element;
    } else {
        m.layout.n_dims = int(s.shape.size());
        for (size_t d = 0; d < s.shape.size(); ++d) {
            m.layout.shape[d] = s.shape[d];
            m.layout.strides[d] = s.strides[d] * element;
            if (n) (s.strides[d] < 0 ? low : high) += (s.shape[d] - 1) * s.strides[d] * element;
        }
        high += element;
        m.elements.resize(n);
        for (uint64_t i = 0; i < n; ++i) {
            uint64_t rest = i;
            int64_t at = 0;
            for (size_t d = s.shape.size(); d-- > 0;) {
                at += int64_t(rest % uint64_t(s.shape[d])) * m.layout.strides[d];
                rest /= uint64_t(s.shape[d]);
            }
            m.elements[i] = at;
        }
    }
    m.bytes.assign(GUARD + uint64_t(high - low) + GUARD + 128, FILL);
    const uint64_t misaligned = (uintptr_t)(m.bytes.data() + GUARD) % 64;
    m.origin = GUARD + (misaligned ? 64 - misaligned : 0) + s.odd + uint64_t(-low);
    m.layout.address = (char*)m.bytes.data() + m.origin;
    return m;
}

// -- run and compare ------------------------------------------------------------------------------

struct Result {
    Stats stats;
    bool done = false, environment_kept = true;
};

inline Result cast(const Kernels& kernels, const Case& c, const Memory& source, const Memory* target,
                   uint64_t n, unsigned n_threads, unsigned environment) {
    Cast raw{};
    raw.source = c.source;
    raw.target = c.target;
    raw.overflow = c.overflow;
    raw.rounding = c.rounding;
    raw.nan = c.nan;
    raw.inf = c.inf;
    raw.source_packed = source.packed;
    raw.target_packed = target && target->packed;
    raw.full = c.full;
    raw.collapses = c.collapses;
    raw.keys = seed_keys(c.seed);
    Layout nothing{};
    nothing.contiguous = true;
    Result r;
    {
        const Environment set(environment);
        r.done = cast_tensor(kernels, raw, source.layout, target ? target->layout : nothing, n,
                             c.first, n_threads, &r.stats);
        r.environment_kept = Environment::kept(environment);
    }
    return r;
}

// Which field of two statistics differs in its bits, or null. Which zero came first is not told.
inline const char* difference(const Stats& a, const Stats& b) {
    const auto same = [](double x, double y) { return memcmp(&x, &y, sizeof x) == 0; };
    if (a.n_overflow != b.n_overflow) return "n_overflow";
    if (a.n_nan_lost != b.n_nan_lost) return "n_nan_lost";
    if (a.first_overflow != b.first_overflow) return "first_overflow";
    if (!same(a.largest_overflow, b.largest_overflow)) return "largest_overflow";
    if (a.largest_index != b.largest_index) return "largest_index";
    if (a.n_zero != b.n_zero) return "n_zero";
    if (a.n_to_zero != b.n_to_zero) return "n_to_zero";
    if (a.one_result.seen != b.one_result.seen) return "one_result";
    if (a.one_result.seen == 1 && a.one_source.seen != b.one_source.seen) return "one_source";
    if (a.n_inexact != b.n_inexact) return "n_inexact";
    if (a.n_underflow != b.n_underflow) return "n_underflow";
    if (a.n_nan != b.n_nan) return "n_nan";
    if (a.n_inf != b.n_inf) return "n_inf";
    if (a.n_finite != b.n_finite) return "n_finite";
    if (!same(a.min + 0.0, b.min + 0.0)) return "min";
    if (!same(a.max + 0.0, b.max + 0.0)) return "max";
    if (a.min_integer != b.min_integer) return "min_integer";
    if (a.max_integer != b.max_integer) return "max_integer";
    if (!same(a.max_abs_error, b.max_abs_error)) return "max_abs_error";
    if (!same(a.sum_squared_error, b.sum_squared_error)) return "sum_squared_error";
    if (!same(a.sum_squared, b.sum_squared)) return "sum_squared";
    return nullptr;
}

// A float64 sum of squares may be made of float32 ones (Loss, in loss.py).
constexpr long double SUM_ERROR = 0x1p-19L;

// Whether a float64 result is as near to the exact one as rounding each step allows.
inline bool near(double found, long double exact, uint64_t n, long double relative = 1e-12L) {
    if (found != found) return false;
    if (isinf(found)) return exact > 0x1.ffffffp1023L;
    const long double slack = exact * relative + (long double)n * 0x1p-1074L;
    return fabsl((long double)found - exact) <= slack;
}

// What is wrong with the statistics of a cast, or the empty string.
inline std::string wrong_statistics(const Case& c, const Expected& e, const Stats& s, uint64_t n) {
    const auto differ = [](const char* name, uint64_t found, uint64_t want) {
        return std::string(name) + " " + std::to_string((int64_t)found) + ", expected " +
               std::to_string((int64_t)want);
    };
    if (s.n_overflow != e.n_overflow) return differ("n_overflow", s.n_overflow, e.n_overflow);
    if (s.n_nan_lost != e.n_nan_lost) return differ("n_nan_lost", s.n_nan_lost, e.n_nan_lost);
    if (s.first_overflow != e.first_overflow)
        return differ("first_overflow", s.first_overflow, e.first_overflow);
    if (c.overflow == Overflow::Raise) {
        if (s.largest_index != e.largest_index)
            return differ("largest_index", s.largest_index, e.largest_index);
        if (s.largest_overflow != e.largest_overflow)
            return "largest_overflow " + decimal(s.largest_overflow) + ", expected " +
                   decimal(e.largest_overflow);
    }
    if ((c.full || c.overflow == Overflow::Wrap || c.inf != InfPolicy::Keep) && s.n_inf != e.n_inf)
        return differ("n_inf", s.n_inf, e.n_inf);
    if (c.full || c.collapses) {
        if (s.n_zero != e.n_zero) return differ("n_zero", s.n_zero, e.n_zero);
        if (s.n_to_zero != e.n_to_zero) return differ("n_to_zero", s.n_to_zero, e.n_to_zero);
        if (n && c.to().bits <= 8) {
            if (s.one_result.seen != (e.one_result ? 1 : 2))
                return differ("one_result", s.one_result.seen, e.one_result ? 1 : 2);
            if (e.one_result && s.one_source.seen != (e.one_source ? 1 : 2))
                return differ("one_source", s.one_source.seen, e.one_source ? 1 : 2);
        }
    }
    if (!c.full) return "";
    if (s.n_inexact != e.n_inexact) return differ("n_inexact", s.n_inexact, e.n_inexact);
    if (s.n_underflow != e.n_underflow) return differ("n_underflow", s.n_underflow, e.n_underflow);
    if (s.n_nan != e.n_nan) return differ("n_nan", s.n_nan, e.n_nan);
    if (s.n_finite != e.n_finite) return differ("n_finite", s.n_finite, e.n_finite);
    if (!e.sums) return "";
    if (c.from().is_integer() && c.from().bits == 64) {
        const bool is_signed = c.from().is_signed;
        const long double shift = is_signed ? 0 : 0x1p63L;
        if (e.n_finite && ((long double)s.min_integer + shift != e.min ||
                           (long double)s.max_integer + shift != e.max))
            return "min_integer or max_integer";
    } else if ((long double)s.min != e.min || (long double)s.max != e.max) {
        return "min " + decimal(s.min) + " or max " + decimal(s.max) + ", expected " +
               decimal((double)e.min) + " and " + decimal((double)e.max);
    }
    if (!near(s.max_abs_error, e.max_abs_error, 1))
        return "max_abs_error " + decimal(s.max_abs_error) + ", expected " +
               decimal((double)e.max_abs_error);
    if (!near(s.sum_squared_error, e.sum_squared_error, n, SUM_ERROR))
        return "sum_squared_error " + decimal(s.sum_squared_error) + ", expected " +
               decimal((double)e.sum_squared_error);
    if (!near(s.sum_squared, e.sum_squared, n, SUM_ERROR))
        return "sum_squared " + decimal(s.sum_squared) + ", expected " +
               decimal((double)e.sum_squared);
    return "";
}

// The first byte in which a target differs from its expected image, told as an element.
inline std::string first_difference(const Case& c, const Memory& target,
                                    const std::vector<uint8_t>& image, const uint64_t* source_codes,
                                    const Expected& e, uint64_t n) {
    uint64_t at = 0;
    while (target.bytes[at] == image[at]) ++at;
    const unsigned per = c.to_components(), from = c.from_components();
    const int64_t offset = int64_t(at) - int64_t(target.origin);
    for (uint64_t i = 0; i < n; ++i) {
        const int64_t begin = target.packed ? int64_t(i * target.bits / 8) : target.offset(i);
        const int64_t bytes = target.packed ? 2 : int64_t(per * target.component_bytes);
        if (offset < begin || offset >= begin + bytes) continue;
        std::string text = "element " + std::to_string(i) + ": codes";
        for (unsigned k = 0; k < from; ++k) text += std::string(" ") + hex(source_codes[i * from + k]);
        text += ", expected";
        for (unsigned k = 0; k < per; ++k) text += std::string(" ") + hex(e.codes[i * per + k]);
        text += "; byte " + std::to_string(offset - begin) + " of its memory is " +
                hex(target.bytes[at]) + ", not " + hex(image[at]);
        return text;
    }
    return "byte " + std::to_string(offset) + " outside the elements was written: " +
           hex(target.bytes[at]);
}

// Runs one cast and compares everything; `source` holds the codes already. `target` null: measure.
// `*stats` receives what the kernel counted.
inline bool check_cast(const Kernels& kernels, const Case& c, const uint64_t* codes,
                       const Expected& e, const Memory& source, Memory* target,
                       const std::vector<uint8_t>& image, uint64_t n, unsigned n_threads,
                       unsigned environment, const std::string& where, Stats* stats) {
    if (target) target->fill();
    const Result r = cast(kernels, c, source, target, n, n_threads, environment);
    if (stats) *stats = r.stats;
    std::string wrong;
    if (!r.done)
        wrong = "out of memory";
    else if (!r.environment_kept)
        wrong = "the floating-point environment was changed";
    else if (target && memcmp(target->bytes.data(), image.data(), image.size()) != 0)
        wrong = first_difference(c, *target, image, codes, e, n);
    else
        wrong = wrong_statistics(c, e, r.stats, n);
    if (wrong.empty()) {
        passed();
        return true;
    }
    failed(std::string(kernels.name) + ": " + c.text() + ", " + std::to_string(n) + " elements" +
           where + ", environment " + std::to_string(environment) + ": " + wrong);
    return false;
}

// The bytes that a target must hold after the cast.
inline std::vector<uint8_t> image_of(const Memory& target, const Expected& e, uint64_t n) {
    std::vector<uint8_t> image(target.bytes.size(), FILL);
    target.write(image.data(), e.codes.data(), n);
    return image;
}

}  // namespace check
