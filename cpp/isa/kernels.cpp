// One instruction set's kernels: this file is compiled once per set with -DTC_ISA=<its name>.
//
// Everything but the exported Kernels lives in an anonymous namespace and uses nothing from the
// standard library, so that no function compiled for one instruction set is ever linked into
// another's code.
#include <stdlib.h>

#include "collapse.hpp"
#include "direct_pairs.hpp"
#include "fused_pairs.hpp"
#include "measure_int.hpp"
#include "pack.hpp"
#include "table.hpp"

namespace tc {
namespace {

constexpr double NOT_SATURATED = __builtin_nan("");

// What a decoded result must equal to be a saturated 64-bit extreme (2^63 - 1 reads as 2^63).
TC_INLINE double saturated_mark(const Row& target) {
    if (!target.is_integer() || target.bits != 64) return NOT_SATURATED;
    return target.is_signed ? 0x1p63 : 0x1p64;
}

// Results of a cast as float32.
void decode_result(FormatId id, const void* codes, float* out, uint64_t n);

template <class C>
void carrier_errors(const Cast& cast, const C* x, const void* codes, uint64_t n, bool overflows,
                    Stats* s) {
    const Row& target = ROWS[cast.target];
    if (sizeof(C) == 4 && !fits_float(target)) {
        double wide[BLOCK], y[BLOCK];
        for (uint64_t i = 0; i < n; ++i) wide[i] = (double)x[i];
        decode_double(cast.target, codes, y, n, false);
        stats_block<double>(wide, y, n, overflows ? saturated_mark(target) : NOT_SATURATED, s);
        return;
    }
    C y[BLOCK];
    if constexpr (sizeof(C) == 4) {
        decode_result(cast.target, codes, y, n);
        const bool toward = cast.rounding == Rounding::NearestEven || cast.rounding == Rounding::TowardZero;
        if (toward && target.kind != Kind::Bool && !overflows) return stats_rounded(x, y, n, s);
    } else
        decode_double(cast.target, codes, y, n, false);
    stats_block<C>(x, y, n, overflows ? saturated_mark(target) : NOT_SATURATED, s);
}

// Numbers that an integer target rounds to zero: overflow can give a zero too, and is not underflow.
template <class C>
uint64_t count_rounded_to_zero(const Cast& cast, const C* x, uint64_t n, uint64_t first) {
    const Rounding r = cast.rounding;
    uint64_t count = 0;
    if (r == Rounding::Stochastic) {
        const Draw draw(cast, first);
        for (uint64_t i = 0; i < n; ++i) {
            const double a = __builtin_fabs((double)x[i]);
            if (!(a > 0 && a < 1)) continue;
            const uint64_t u = bits_of(a), field = u >> 52;
            const uint64_t significand =
                (u & Bits<double>::FRACTION) | (uint64_t)(field != 0) << 52;
            const uint64_t shift = 52 + 1023 - (field ? field : 1);
            count += !stochastic_up(significand, shift, draw(i));
        }
        return count;
    }
    const C low = r == Rounding::Up || r == Rounding::TowardZero ? C(-1) : r == Rounding::Down ? C(0) : C(-0.5);
    const C high = r == Rounding::Down || r == Rounding::TowardZero ? C(1) : r == Rounding::Up ? C(0) : C(0.5);
    if (r == Rounding::NearestEven)
        for (uint64_t i = 0; i < n; ++i) count += x[i] >= low && x[i] <= high && x[i] != 0;
    else
        for (uint64_t i = 0; i < n; ++i) count += x[i] > low && x[i] < high && x[i] != 0;
    return count;
}

template <class C>
void carrier_stats(const Cast& cast, const C* x, const void* codes, uint64_t n, uint64_t first,
                   bool overflows, Stats* s) {
    const Row& target = ROWS[cast.target];
    if (target.is_integer()) {
        const uint64_t underflow = s->n_underflow + count_rounded_to_zero(cast, x, n, first);
        carrier_errors(cast, x, codes, n, overflows, s);
        s->n_underflow = underflow;
    } else {
        carrier_errors(cast, x, codes, n, overflows, s);
    }
}
// Whether every one of n 64-bit integers is exact in float64: 53 bits or fewer.
bool fits_double(const uint64_t* x, uint64_t n, bool is_signed) {
    uint64_t seen = 0;
    if (is_signed)
        for (uint64_t i = 0; i < n; ++i) seen |= x[i] ^ (0 - (x[i] >> 63));
    else
        for (uint64_t i = 0; i < n; ++i) seen |= x[i];
    return seen >> 53 == 0;
}

// Statistics of a block whose source is integer: no rounding takes one to zero.
void integer_stats(const Cast& cast, const void* in, const void* codes, uint64_t n, Stats* s) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    double y[BLOCK];
    decode_double(cast.target, codes, y, n, false);
    const void* integers = target.is_integer() ? codes : nullptr;
    double x[BLOCK];
    const bool wide = source.bits == 64;
    const bool wraps = cast.overflow == Overflow::Wrap && target.bits == 64;
    if (wide && (wraps || !fits_double((const uint64_t*)in, n, cast.source == F_int64))) {
        if (cast.source == F_int64)
            return stats_integer((const int64_t*)in, y, integers, target, n, s);
        return stats_integer((const uint64_t*)in, y, integers, target, n, s);
    }
    decode_double(cast.source, in, x, n, false);
    Stats block;
    stats_block<double>(x, y, n, NOT_SATURATED, &block);
    block.n_underflow = 0;
    if (n && !block.n_inexact && block.min > -0x1p32 && block.max < 0x1p32) {
        Squares squares;  // as direct_measured has it
        for (uint64_t i = 0; i < n; ++i) squares.add((uint64_t)__builtin_fabs(x[i]));
        block.sum_squared = squares.total();
    }
    if (wide && n) {
        const uint64_t shifted = cast.source == F_int64 ? 0 : (uint64_t)1 << 63;
        block.min_integer = (int64_t)((uint64_t)(int64_t)block.min ^ shifted);
        block.max_integer = (int64_t)((uint64_t)(int64_t)block.max ^ shifted);
    }
    s->merge(block);
}

template <class C>
Counts encode_carrier(const Cast& cast, const C* x, void* codes, uint64_t n, uint64_t first) {
    const Row& target = ROWS[cast.target];
    if (target.is_integer()) {
        if constexpr (sizeof(C) == 4) {
            if (target.bits > 16) {
#if defined(__AVX2__)
                Counts counts;
                const bool is_signed = cast.target == F_int32;
                if (target.bits == 32 && cast.overflow != Overflow::Wrap && n % 8 == 0 &&
                    (is_signed ? encode_int32_rounded<true>(x, (uint32_t*)codes, n, cast.rounding, &counts)
                               : encode_int32_rounded<false>(x, (uint32_t*)codes, n, cast.rounding, &counts)))
                    return counts;
#endif
                double wide[BLOCK];
                for (uint64_t i = 0; i < n; ++i) wide[i] = (double)x[i];
                return encode_int(wide, codes, n, first, cast);
            }
        }
        return encode_int(x, codes, n, first, cast);
    }
    if (target.kind == Kind::Bool) {
        encode_bool(x, (uint8_t*)codes, n);
        return Counts();
    }
#if defined(__AVX2__)
    if constexpr (sizeof(C) == 8) {
        if (cast.target == F_float32 && cast.rounding == Rounding::NearestEven) {
            const uint64_t code =
                cast.overflow == Overflow::Ieee ? target.infinity_code : target.max_code;
            Counts counts;
            counts.overflow = encode_f32_nearest(x, (uint32_t*)codes, n, (uint32_t)code);
            return counts;
        }
        if (target.bits <= 16 && cast.rounding != Rounding::Stochastic) {
            // only a target with float32's exponents could tell what lies beyond float32
            float block[BLOCK];
            const bool huge = sticky_float(x, block, n);
            if (!huge || target.exponent_bits < 8) return encode_float(block, codes, n, first, cast);
        }
    }
#endif
    return encode_float(x, codes, n, first, cast);
}

template <class U>
void quiet_block(U* codes, uint64_t n, U abs, U infinity, U quiet) {
    for (uint64_t i = 0; i < n; ++i) codes[i] |= (codes[i] & abs) > infinity ? quiet : 0;
}

// One block, codes unpacked on both sides.
Counts block_arithmetic(const Cast& wanted, const void* in, void* codes, uint64_t n, uint64_t first,
                        Stats* s) {
    Cast cast = wanted;
#if defined(__AVX2__)
    if (cast.full && n == BLOCK && is_measured_in_one_loop(cast)) {
        if (cast_measured(cast, in, codes, s)) return Counts();
        cast.nontemporal = false;  // what is written is read again
    }
#endif
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    if (cast.source == cast.target) {
        if (source.bits < 8)
            for (uint64_t i = 0; i < n; ++i)
                ((uint8_t*)codes)[i] = ((const uint8_t*)in)[i] & (uint8_t)((1u << source.bits) - 1);
        else if (codes != in)
            __builtin_memcpy(codes, in, n * source.container());
        if (cast.quiets && cast.source == F_float32)
            quiet_block((uint32_t*)codes, n, Bits<float>::ABS, Bits<float>::INF, 0x00400000u);
        if (cast.quiets && cast.source == F_float64)
            quiet_block((uint64_t*)codes, n, Bits<double>::ABS, Bits<double>::INF, (uint64_t)1 << 51);
        if (cast.full) {
            if (source.is_integer()) {
                integer_stats(cast, in, codes, n, s);
            } else if (fits_float(source)) {
                float x[BLOCK];
                decode_float(cast.source, in, x, n);
                stats_exact(x, n, s);
            } else {
                stats_block<double>((const double*)in, (const double*)in, n, NOT_SATURATED, s);
            }
        }
        return Counts();
    }
    if (source.kind != Kind::Float && !target.has_nan() && target.kind != Kind::Float) {
        Counts counts;
        if (target.kind == Kind::Bool)
            integers_to_bool(cast.source, in, (uint8_t*)codes, n);
        else
            counts = cast_integers(in, codes, n, cast);
        if (cast.full) integer_stats(cast, in, codes, n, s);
        return counts;
    }
#if defined(__AVX2__)
    if ((cast.source == F_float16 || cast.source == F_bfloat16) && target.kind == Kind::Float &&
        !cast.full && cast.rounding == Rounding::NearestEven) {
        if (half_to_small(cast.source, target)) return encode_small((const uint16_t*)in, (uint8_t*)codes, n, cast);
        if (target.bits == 16) return encode_half((const uint16_t*)in, (uint16_t*)codes, n, cast);
    }
#endif
    if (cast.target == F_float32 && fits_float(source)) {  // exact
        float* y = (float*)codes;
        if (cast.nontemporal && cast.source == F_float16)
            decode_f16_block<true>((const uint16_t*)in, y, n);
        else if (cast.nontemporal && cast.source == F_bfloat16)
            decode_bf16_block<true>((const uint16_t*)in, y, n);
        else
            decode_float(cast.source, in, y, n);
        if (cast.full && source.is_integer())
            integer_stats(cast, in, codes, n, s);
        else if (cast.full)
            stats_exact(y, n, s);
        return Counts();
    }
    if (fits_float(source)) {
        float block[BLOCK];
        const float* x = (const float*)in;
        if (cast.source != F_float32) {
            decode_float(cast.source, in, block, n);
            x = block;
        }
        const Counts counts = encode_carrier(cast, x, codes, n, first);
        if (cast.full) carrier_stats(cast, x, codes, n, first, counts.overflow != 0, s);
        return counts;
    }
#if defined(__AVX2__)
    if (source.is_integer() && source.bits == 32 && target.kind == Kind::Float &&
        (target.bits <= 16 || (cast.target == F_float32 && cast.rounding == Rounding::NearestEven)) &&
        cast.rounding != Rounding::Stochastic) {
        float block[BLOCK];
        float* x = cast.target == F_float32 ? (float*)codes : block;
        floats_of_int32(in, x, n, cast.source == F_int32, target.bits <= 16);
        Counts counts;
        if (target.bits <= 16) counts = encode_carrier(cast, x, codes, n, first);
        if (cast.full) integer_stats(cast, in, codes, n, s);
        return counts;
    }
#endif
#if defined(__AVX2__)
    if (source.is_integer() && source.bits == 64 && target.kind == Kind::Float &&
        target.bits <= 16 && cast.rounding != Rounding::Stochastic) {
        // a block of numbers that 32 bits hold, as most are, is as good as one of 32-bit integers
        uint32_t low[BLOCK];
        if (narrow_integers(in, low, n, cast.source == F_int64)) {
            float x[BLOCK];
            floats_of_int32(low, x, n, cast.source == F_int64, true);
            const Counts counts = encode_carrier(cast, x, codes, n, first);
            if (cast.full) integer_stats(cast, in, codes, n, s);
            return counts;
        }
    }
#endif
    double block[BLOCK];
    const double* x = (const double*)in;
    const bool integer = source.is_integer();
    if (cast.source != F_float64) {
        // int64 -> float64 is rounded here; every other float target has 24 bits or fewer
        if (cast.target == F_float64 && source.bits == 64) {
            if (cast.rounding == Rounding::NearestEven) {
                decode_double(cast.source, in, (double*)codes, n, false);
            } else {
                encode_double_from_integer(cast, in, (double*)codes, n, first);
            }
            if (cast.full) integer_stats(cast, in, codes, n, s);
            return Counts();
        }
        decode_double(cast.source, in, block, n, true);
        x = block;
    }
    const Counts counts = encode_carrier(cast, x, codes, n, first);
    if (cast.full) {
        if (integer)
            integer_stats(cast, in, codes, n, s);
        else
            carrier_stats(cast, x, codes, n, first, counts.overflow != 0, s);
    }
    return counts;
}

void add_counts(const Cast& cast, const Counts& c, Stats* s) {
    s->n_overflow += c.overflow;
    s->n_nan_lost += c.nan_lost;
    if (!cast.full) s->n_inf += c.infinite;
}

// ---- tables -------------------------------------------------------------------------------------

// no table rounds by chance
constexpr int N_TABLE_ROUNDINGS = N_ROUNDINGS - 1;
static_assert((int)Rounding::Stochastic == N_TABLE_ROUNDINGS, "the last of policy.ROUNDINGS is stochastic");
constexpr int N_POLICIES = N_OVERFLOWS * N_TABLE_ROUNDINGS * N_NANS;
Table* tables[N_FORMATS][N_FORMATS][N_POLICIES];

const Table* table_for(const Cast& cast) {
    const int policy =
        ((int)cast.overflow * N_TABLE_ROUNDINGS + (int)cast.rounding) * N_NANS + (int)cast.nan;
    Table** slot = &tables[cast.source][cast.target][policy];
    Table* table = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (table) return table;
    table = (Table*)aligned_alloc(64, (sizeof(Table) + 63) / 64 * 64);
    if (!table) return nullptr;
    Cast one = cast;
    one.source_packed = one.target_packed = one.nontemporal = false;
    one.full = true;
    table->any_flagged = table->any_overflow = table->any_nan_lost = false;
    table->two_planes = true;
    const Row& target = ROWS[cast.target];
    table->flag_in_code = target.bits < 8;
    table->mask = (uint8_t)((1u << ROWS[cast.source].bits) - 1);
    uint16_t answers[256];
    for (int c = 0; c < 256; ++c) {
        const uint8_t in = (uint8_t)c;
        uint64_t out = 0;
        Stats s;
        const Counts counts = block_arithmetic(one, &in, &out, 1, 0, &s);
        add_counts(one, counts, &s);
        table->code.at[c] = (uint8_t)out;
        table->code16[c] = (uint16_t)out;
        table->code32[c] = (uint32_t)out;
        table->code64[c] = out;
        const uint16_t upper = (uint16_t)(target.container() == 4 ? out >> 16 : out);
        answers[c] = upper;
        table->low.at[c] = (uint8_t)upper;
        table->high.at[c] = (uint8_t)(upper >> 8);
        table->two_planes &= target.container() == 2 || (target.container() == 4 && !(out & 0xffff));
        Answer& a = table->answer[c];
        a.overflow = s.n_overflow != 0;
        a.nan_lost = s.n_nan_lost != 0;
        a.infinite = counts.infinite != 0;
        a.inexact = s.n_inexact != 0;
        a.underflow = s.n_underflow != 0;
        a.nan = s.n_nan != 0;
        a.inf = s.n_inf != 0;
        a.finite = s.n_finite != 0;
        a.value = a.finite ? s.min : 0;
        a.error = s.max_abs_error;
        a.error_squared = s.sum_squared_error;
        a.value_squared = s.sum_squared;
        table->nan_lost.at[c] = a.nan_lost ? 0xff : 0;
        table->flagged.at[c] = a.overflow || a.nan_lost ? 0xff : 0;
        if (table->flag_in_code) table->code.at[c] |= table->flagged.at[c] & 0x80;
        table->any_flagged |= a.overflow || a.nan_lost;
        table->any_overflow |= a.overflow;
        table->any_nan_lost |= a.nan_lost;
    }
    table->find_ranges();
    table->fold.rows = 0;
    table->fold.limited = false;
#if defined(__AVX2__)
    if (target.container() == 1 && table->mask == 0xff) {
        uint8_t kept[256];
        for (int c = 0; c < 256; ++c) kept[c] = table->code.at[c] & (table->flag_in_code ? 0x7f : 0xff);
        table->fold.make(kept, table->flagged.at);
        if (!table->fold.limited && table->any_flagged && table->n_ranges > 2) table->fold.rows = 0;
    }
#endif
    table->widening = Widening();
    if (table->two_planes) table->widening.make(ROWS[cast.source], target, answers);
    table->find_shape(target.is_integer() && target.bits == 16);
    Plane* const planes[] = {&table->code, &table->flagged, &table->nan_lost, &table->low, &table->high};
    for (Plane* plane : planes) plane->finish(ROWS[cast.source].bits);
    Table* theirs = nullptr;
    if (__atomic_compare_exchange_n(slot, &theirs, table, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return table;
    free(table);  // another thread was faster, with an equal table
    return theirs;
}

// Exact widenings that vector arithmetic does faster than a table of 256.
TC_INLINE bool arithmetic_is_faster(const Cast& cast) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    if (source.kind == Kind::Float) return false;
    if (source.bits < 8) return target.container() >= 4;
    return target.kind != Kind::Float ? true : target.bits >= 16;
}

uint64_t apply_table(const Table& t, const Row& target, const uint8_t* in, void* codes, uint64_t n,
                     bool stream) {
    switch (target.container()) {
        case 1: return apply_bytes(t, in, (uint8_t*)codes, n);
        case 2: return apply_wide(t, t.code16, in, (uint16_t*)codes, n, stream);
        case 4: return apply_wide(t, t.code32, in, (uint32_t*)codes, n, stream);
        default: return apply_wide(t, t.code64, in, (uint64_t*)codes, n);
    }
}

void decode_result(FormatId id, const void* codes, float* out, uint64_t n) {
    const Row& row = ROWS[id];
    if (row.kind == Kind::Float && row.bits <= 8 && n >= 32) {
        Cast widen{};
        widen.source = id;
        widen.target = F_float32;
        if (const Table* t = table_for(widen)) {
            apply_wide(*t, t->code32, (const uint8_t*)codes, (uint32_t*)out, n);
            return;
        }
    }
    decode_float(id, codes, out, n);
}

// Narrow floats by way of float32, which a direct loop casts on: a table of wide answers is looked up
// one by one. What is out of the ordinary is left to the table.
struct ByFloat {
    const Table* widen = nullptr;
    Direct direct;

    explicit ByFloat(const Cast& cast) {
#if defined(__AVX2__)
        const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
        const bool wide = (target.is_integer() && target.bits >= 32) || cast.target == F_float64;
        const bool narrow = target.is_integer() && target.bits >= 8 && source.bits == 8;
        if (source.kind != Kind::Float || source.bits > 8 || !(wide || narrow)) return;
        Cast on = cast;
        on.source = F_float32;
        direct = direct_for(on);
        if (!direct.loop) return;
        on = Cast{};
        on.source = cast.source;
        on.target = F_float32;
        const Table* t = table_for(on);
        if (t && (wide || t->widening.fits)) widen = t;
#else
        (void)cast;
#endif
    }
    TC_INLINE bool operator()(const uint8_t* in, void* codes, uint64_t n, bool stream) const {
        alignas(64) uint32_t floats[BLOCK];
        apply_wide(*widen, widen->code32, in, floats, n);
        return direct.loop(direct, floats, codes, n, stream);
    }
};

// 8-bit floats to wider ones that hold them.
template <class T>
bool widening_loop(const Direct& c, const void* in, void* out, uint64_t n, bool stream) {
    const Table& t = *(const Table*)c.table;
    const T* const codes = sizeof(T) == 2 ? (const T*)t.code16 : (const T*)t.code32;
    const uint8_t* x = (const uint8_t*)in;
    T* y = (T*)out;
    uint64_t head = stream ? ((0 - (uintptr_t)y) & 63) / sizeof(T) : 0;  // to the start of a line
    if (head > n) head = n;
    apply_wide(t, codes, x, y, head);
    apply_wide(t, codes, x + head, y + head, n - head, stream);
    return true;
}
Direct direct_widening(const Cast& cast) {
    Direct d;
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    const unsigned size = target.container();
    const bool widens = source.kind == Kind::Float && source.bits == 8 && target.kind == Kind::Float &&
                        (size == 2 || size == 4) && cast.rounding != Rounding::Stochastic;
    const Table* t = widens ? table_for(cast) : nullptr;
    if (!t || !t->widening.fits || t->any_flagged) return d;
    d.table = t;
    d.loop = size == 2 ? widening_loop<uint16_t> : widening_loop<uint32_t>;
    return d;
}

// The 8-bit floats that are measured by their values where they are widened, and not by a histogram.
TC_INLINE bool is_widened(const Cast& cast) {
    return (cast.source == F_float8_e4m3fn || cast.source == F_float8_e5m2) &&
           (cast.target == F_float16 || cast.target == F_bfloat16 || cast.target == F_float32);
}

void widen_and_measure(const Table& t, const Cast& cast, const uint8_t* in, void* codes, uint64_t n,
                       Stats* s) {
#if defined(__AVX2__)
    const unsigned size = ROWS[cast.target].container();
    const bool one_loop = n == BLOCK && t.widening.fits && !t.widening.fix80;
    if (one_loop && widen_small_measured(t.widening, ROWS[cast.source], size, cast.nontemporal, in, codes, s))
        return;
    if (!one_loop)
#endif
        apply_table(t, ROWS[cast.target], in, codes, n, cast.nontemporal);
    float x[BLOCK];
    decode_float(cast.source, in, x, n);
    stats_exact(x, n, s);
}

// ---- the run ------------------------------------------------------------------------------------

// How many of n <= BLOCK elements overflow.
uint64_t count_overflow(const Cast& plain, const uint8_t* in, uint64_t n, uint64_t first) {
    alignas(64) uint8_t codes[BLOCK * 8];
    Stats ignored;
    return block_arithmetic(plain, in, codes, n, first, &ignored).overflow;
}

// The place of the first in a block, NO_INDEX if none does: the shortest prefix that has one ends with it.
uint64_t find_overflow(const Cast& plain, const uint8_t* in, unsigned step, uint64_t n, uint64_t first) {
    if (!count_overflow(plain, in, n, first)) return NO_INDEX;
    uint64_t begin = 0, end = n;  // none before begin, one before end
    while (end - begin > 1) {
        const uint64_t half = (end - begin) / 2;
        if (count_overflow(plain, in + begin * step, half, first + begin))
            end = begin + half;
        else
            begin += half;
    }
    return begin;
}

// Notes the largest that overflows, one by one.
void largest_one_by_one(const Cast& plain, const uint8_t* in, unsigned step, const double* values,
                        uint64_t n, uint64_t first, Stats* s) {
    for (uint64_t i = 0; i < n; ++i) {
        const double magnitude = __builtin_fabs(values[i]);
        if (!(magnitude > s->largest_overflow)) continue;
        if (!count_overflow(plain, in + i * step, 1, first + i)) continue;
        s->largest_overflow = magnitude;
        s->largest_index = first + i;
    }
}

// Notes the first element that overflows in a block where some may and, for a refusal to name, the
// largest.
void locate_overflow(const Cast& cast, const uint8_t* in, unsigned step, uint64_t n, uint64_t first,
                     Stats* s) {
    Cast plain = cast;
    plain.full = plain.nontemporal = false;
    if (s->first_overflow == NO_INDEX) {
        const uint64_t at = find_overflow(plain, in, step, n, first);
        if (at == NO_INDEX) return;
        s->first_overflow = first + at;
    }
    if (cast.overflow != Overflow::Raise) return;
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    alignas(32) double values[BLOCK];
    decode_double(cast.source, in, values, n, false);
    // Rounding once is monotonic: if one overflows, so does what lies beyond it on its side. Not so
    // where chance rounds, or below the least number of a format without a zero.
    if (cast.rounding == Rounding::Stochastic || !target.has_zero)
        return largest_one_by_one(plain, in, step, values, n, first, s);
    const double limit = target.infinity ? 0x1.fffffffffffffp1023 : __builtin_inf();
    double high = 0, low = 0;
    uint64_t i = 0;
    v4d highs = {}, lows = {};
    for (; i + 4 <= n; i += 4) {
        const v4d v = *(const v4d*)(values + i);
        const v4d kept = (v4d)((v4l)v & (v4l)(abs4(v) <= limit));
        highs = max4(highs, kept);
        lows = min4(lows, kept);
    }
    for (int k = 0; k < 4; ++k) {
        if (highs[k] > high) high = highs[k];
        if (lows[k] < low) low = lows[k];
    }
    for (; i < n; ++i) {
        if (!(__builtin_fabs(values[i]) <= limit)) continue;
        if (values[i] > high) high = values[i];
        if (values[i] < low) low = values[i];
    }
    for (int turn = 0; turn < 2; ++turn) {  // the larger first: the other may be of no interest then
        const bool upper = (high >= -low) == (turn == 0);
        const double end = upper ? high : low, magnitude = __builtin_fabs(end);
        if (magnitude == 0 || magnitude < s->largest_overflow) continue;
        uint64_t at = 0;
        while (values[at] != end) ++at;
        if (count_overflow(plain, in + at * step, 1, first + at)) {
            if (magnitude == s->largest_overflow && first + at > s->largest_index) continue;
            s->largest_overflow = magnitude;
            s->largest_index = first + at;
        } else if (source.is_integer() && source.bits == 64 && magnitude >= 0x1p53) {
            return largest_one_by_one(plain, in, step, values, n, first, s);  // as float64 it may be another
        }
    }
}

// What the loops that measure want their target aligned to, in bytes, to store around the caches.
#if defined(TC_ZMM)
constexpr uintptr_t STREAM_ALIGN = 64;
#else
constexpr uintptr_t STREAM_ALIGN = 32;
#endif

// Whether the loops of a cast store around the caches themselves, given a target aligned to 64 bytes.
bool streams(const Cast& cast, const Table* table) {
#if defined(__AVX2__)
    const Row& target = ROWS[cast.target];
    if (table) return table->widening.fits;
    if (cast.full) return is_measured_in_one_loop(cast);
    if (cast.source == F_float16 || cast.source == F_bfloat16)
        if (cast.target == F_float32) return true;
    const bool sixteen = cast.source == F_float16 || cast.source == F_bfloat16;
    if (cast.source != F_float32 && !sixteen) return false;
    if (target.is_integer())
        return target.bits <= 16 && cast.rounding != Rounding::Stochastic;
    if (cast.rounding != Rounding::NearestEven || target.kind != Kind::Float) return false;
    if (cast.target == F_float16 || cast.target == F_bfloat16) return true;
    return target.bits <= 8 && target.has_zero;
#else
    (void)cast;
    (void)table;
    return false;
#endif
}

// The careful path: blocks, with what there is to count.
void run_blocks(Cast cast, const void* source_at, void* target_at, uint64_t n, uint64_t first,
                Stats* stats) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    const unsigned step = source.container();
    const bool small = step == 1 && cast.rounding != Rounding::Stochastic &&
                       cast.source != cast.target && !arithmetic_is_faster(cast);
    const Table* table = small ? table_for(cast) : nullptr;
    uint32_t counts256[256];
    if (table && cast.full) __builtin_memset(counts256, 0, sizeof counts256);
    const bool widened = table && cast.full && is_widened(cast);
    const ByFloat by_float(cast);
    // either the loops stream, from the first whole line on, or blocks are made in the cache and
    // streamed from there; sums are those of whole blocks, wherever the output lies
    const bool loops = cast.nontemporal && (by_float.widen || streams(cast, table)) &&
                       !(cast.full && (uintptr_t)target_at % STREAM_ALIGN != 0);
    const bool copies = cast.nontemporal && !loops;
    uint64_t begin =
        loops && !cast.full ? ((0 - (uintptr_t)target_at) & 63) / target.container() : 0;
    alignas(64) uint8_t unpacked[BLOCK], temporary[BLOCK * 8];
    for (uint64_t done = 0, m; done < n; done += m) {
        m = n - done < BLOCK ? n - done : BLOCK;
        cast.nontemporal = loops && begin == 0;
        if (begin && begin < m) m = begin;
        begin = 0;
        const uint8_t* in = (const uint8_t*)source_at +
                            (cast.source_packed ? done * source.bits / 8 : done * step);
        uint8_t* out = target_at ? (uint8_t*)target_at + (cast.target_packed
                                                              ? done * target.bits / 8
                                                              : done * target.container())
                                 : nullptr;
        if (cast.source_packed) {
            unpack(source.bits, in, unpacked, m);
            in = unpacked;
        }
        const bool direct = out && !cast.target_packed && !copies;
        void* codes = direct ? out : temporary;
        const uint64_t n_underflow = stats->n_underflow;
        bool underflow_tells = false;  // what became 0; the results may be out of the caches
        if (table && widened) {
            widen_and_measure(*table, cast, in, codes, m, stats);
        } else if (table && by_float.widen && by_float(in, codes, m, cast.nontemporal)) {
            if (cast.full) histogram(in, m, counts256);
        } else if (table) {
            const uint64_t flagged = apply_table(*table, target, in, codes, m, cast.nontemporal);
            if (cast.full) histogram(in, m, counts256);
            if (flagged) {
                if (!cast.full && cast.overflow == Overflow::Wrap) {  // infinities count apart
                    __builtin_memset(counts256, 0, sizeof counts256);
                    histogram(in, m, counts256);
                    stats_of_histogram(*table, counts256, false, stats);
                } else if (!cast.full) {
                    const uint64_t lost =
                        !table->any_nan_lost ? 0
                        : table->any_overflow ? count_in_plane(*table, table->nan_lost, in, m)
                                              : flagged;
                    stats->n_nan_lost += lost;
                    stats->n_overflow += flagged - lost;
                }
                if (table->any_overflow) locate_overflow(cast, in, step, m, first + done, stats);
            }
        } else {
            const Counts counts = block_arithmetic(cast, in, codes, m, first + done, stats);
            add_counts(cast, counts, stats);
            underflow_tells = cast.full && source.kind == Kind::Float && target.is_integer() &&
                              counts.overflow + counts.nan_lost == 0;
            if (counts.overflow) locate_overflow(cast, in, step, m, first + done, stats);
        }
        if (cast.collapses)
            count_collapse(cast, in, codes, m, stats,
                           underflow_tells ? stats->n_underflow - n_underflow : UNKNOWN);
        if (out && cast.target_packed)
            pack(target.bits, (const uint8_t*)codes, out, m);
        else if (out && copies)
            stream_copy(out, codes, m * target.container());
    }
    if (table && cast.full && !widened) stats_of_histogram(*table, counts256, true, stats);
}

constexpr uint64_t DIRECT = 4 * BLOCK;  // elements in one call of a direct loop, cast twice at worst

// A cast that keeps infinities.
void run_keeping(const Cast& cast, const void* source_at, void* target_at, uint64_t n, uint64_t first,
                 Stats* stats) {
    const bool packed = cast.source_packed && cast.target_packed;
    const bool packs = !cast.source_packed && cast.target_packed;
    Direct direct;
    if (packed && !cast.collapses)
        direct = direct_packed(cast);
    else if (!cast.source_packed && (!cast.full || (!packs && keeps_integers(cast))))
        direct = direct_for(cast);
    if (!direct.loop && !packed && !cast.source_packed && !cast.full) direct = direct_widening(cast);
    if (!direct.loop || (!target_at && cast.source == cast.target)) {
        run_blocks(cast, source_at, target_at, n, first, stats);
    } else {
        const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
        const unsigned from = packed ? source.bits : 8 * source.container();
        const unsigned to = cast.target_packed ? target.bits : 8 * target.container();
        alignas(64) uint8_t block[BLOCK * 8];
        const uint64_t step = target_at && !cast.full && !packs ? DIRECT : BLOCK;
        for (uint64_t done = 0; done < n; done += step) {
            const uint64_t m = n - done < step ? n - done : step;
            const char* in = (const char*)source_at + done * from / 8;
            char* out = target_at ? (char*)target_at + done * to / 8 : nullptr;
            void* to_here = out && !packs ? (void*)out : block;
            const bool stream = out && !packs && cast.nontemporal;
            bool ordinary;
            if (cast.full)
                ordinary = direct_measured(direct, cast, in, to_here, m, stream, stats);
            else if (!packed)
                ordinary = direct.loop(direct, in, to_here, m, stream);
            else  // whole bytes
                ordinary = m * from % 8 == 0 && direct.loop(direct, in, to_here, m * from / 8, stream);
            if (!ordinary) {
                run_blocks(cast, in, out, m, first + done, stats);
                continue;
            }
            // integers that are measured keep their values, and the results may be out of the caches
            if (cast.collapses) count_collapse(cast, in, to_here, m, stats, cast.full ? 0 : UNKNOWN);
            if (packs && out) pack(target.bits, block, (uint8_t*)out, m);
        }
    }
}

// Every infinity of the source that was kept becomes the largest finite value, and overflows.
template <class U>
void end_infinities_of(const Cast& cast, const U* in, char* target_at, uint64_t n, uint64_t first,
                       Stats* stats) {
    const Row &source = ROWS[cast.source], &target = ROWS[cast.target];
    const U infinity = (U)source.infinity_code, abs = (U) ~((U)1 << (source.bits - 1));
    for (uint64_t begin = 0, end; begin < n; begin = end) {
        end = n - begin < 256 ? n : begin + 256;
        U any = 0;
        for (uint64_t i = begin; i < end; ++i) any |= (U)((in[i] & abs) == infinity);
        if (!any) continue;
        for (uint64_t i = begin; i < end; ++i) {
            if ((in[i] & abs) != infinity) continue;
            ++stats->n_overflow;
            ++*(cast.full ? &stats->n_inexact : &stats->n_inf);  // the other one has it already
            if (first + i < stats->first_overflow) stats->first_overflow = first + i;
            if (!target_at) continue;
            const uint64_t sign = (uint64_t)(in[i] > abs) << (target.bits - 1), code = target.max_code | sign;
            __builtin_memcpy(target_at + i * target.container(), &code, target.container());
        }
    }
}

void end_infinities(const Cast& cast, const void* source_at, void* target_at, uint64_t n, uint64_t first,
                    Stats* stats) {
    char* const out = (char*)target_at;
    switch (ROWS[cast.source].container()) {
        case 1: return end_infinities_of(cast, (const uint8_t*)source_at, out, n, first, stats);
        case 2: return end_infinities_of(cast, (const uint16_t*)source_at, out, n, first, stats);
        case 4: return end_infinities_of(cast, (const uint32_t*)source_at, out, n, first, stats);
        default: return end_infinities_of(cast, (const uint64_t*)source_at, out, n, first, stats);
    }
}

void run(const Cast& wanted, const void* source_at, void* target_at, uint64_t n, uint64_t first,
         Stats* stats) {
    const FloatEnvironment environment;
    Cast cast = wanted;
    cast.collapses |= cast.full;
    const uint64_t n_nan_lost = stats->n_nan_lost, n_underflow = stats->n_underflow;
    run_keeping(cast, source_at, target_at, n, first, stats);
    if (ends_infinities(cast) && ROWS[cast.source].infinity)
        end_infinities(cast, source_at, target_at, n, first, stats);
    if (!cast.collapses) return;
    if (counts_results(cast))  // a lost NaN becomes 0, and is no number
        stats->n_to_zero -= stats->n_nan_lost - n_nan_lost;
    else
        stats->n_to_zero += stats->n_underflow - n_underflow;
}

// The statistics of a complex block: the real components against the results, the imaginary ones
// against 0, where none is an underflow.
template <class C>
void complex_to_bool_stats(const C* x, const uint8_t* results, uint64_t n, Stats* s) {
    C y[BLOCK];
    for (uint64_t i = 0; i < n; ++i) {
        y[2 * i] = results[i];
        y[2 * i + 1] = 0;
    }
    const uint64_t n_underflow = s->n_underflow;
    stats_block<C>(x, y, 2 * n, NOT_SATURATED, s);
    s->n_underflow = n_underflow;
}

void run_complex_to_bool(const Cast& cast, const void* in, void* out, uint64_t n, Stats* stats) {
    const FloatEnvironment environment;
    const Direct direct = complex_to_bool(cast.source);
    const bool stream = out && cast.nontemporal;
    if (out) direct.loop(direct, in, out, n, stream);
    if (cast.full || cast.collapses) {
        uint8_t results[BLOCK / 2];
        const unsigned size = 2 * ROWS[cast.source].container();
        for (uint64_t done = 0; done < n; done += BLOCK / 2) {
            const uint64_t m = n - done < BLOCK / 2 ? n - done : BLOCK / 2;
            const char* x = (const char*)in + done * size;
            direct.loop(direct, x, results, m, false);
            stats->n_zero += count_zeros(cast.source, x, 2 * m);
            if (!stats->one_result.is_several()) {
                note_values(ROWS[cast.target], results, m, 1, &stats->one_result);
                note_values(ROWS[cast.source], x, m, 2, &stats->one_source);
            }
            if (!cast.full) continue;
            if (cast.source == F_float32)
                complex_to_bool_stats((const float*)x, results, m, stats);
            else
                complex_to_bool_stats((const double*)x, results, m, stats);
        }
    }
}

// The features that tell the levels x86-64-v3 and v4 from those below them: older compilers know
// no levels. No CPU has AVX2, FMA and BMI2 and lacks the rest of v3 (F16C, LZCNT, MOVBE).
bool supported() {
#if defined(__AVX512VBMI__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("fma");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return true;
#endif
}

}  // namespace

void TC_JOIN(stripes_, TC_ISA)(HashState*, const void*, uint64_t);  // digest.cpp

extern const Kernels TC_JOIN(KERNELS_, TC_ISA);
const Kernels TC_JOIN(KERNELS_, TC_ISA) = {TC_TEXT(TC_ISA), run, run_complex_to_bool,
                                              TC_JOIN(stripes_, TC_ISA), supported};

}  // namespace tc
