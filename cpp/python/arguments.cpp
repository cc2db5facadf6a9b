#include "arguments.hpp"

namespace tc {
namespace {

PyObject* index_or_none(uint64_t index) {
    if (index == NO_INDEX) Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(index);
}

// The code of the one value, None if there is none. Of complex elements the codes of both components
// in one number; what is left out of 128 bits makes two values alike once in 2^64.
PyObject* one_or_none(const OneValue& one) {
    if (one.seen != 1) Py_RETURN_NONE;
    const uint64_t second = one.code[1] << 32 | one.code[1] >> 32;
    const uint64_t mixed = one.code[1] >> 32 ? one.code[0] * 0x9E3779B97F4A7C15u ^ second : one.code[0] ^ second;
    return PyLong_FromUnsignedLongLong(mixed);
}

}  // namespace

bool to_u64(PyObject* object, uint64_t* out) {
    *out = PyLong_AsUnsignedLongLong(object);
    return !(*out == (unsigned long long)-1 && PyErr_Occurred());
}

bool to_size(PyObject* object, int64_t* out) {
    *out = PyLong_AsLongLong(object);
    return !(*out == -1 && PyErr_Occurred());
}

const Kernels* default_kernels() {
    static const Kernels* const picked = pick_kernels();
    return picked;
}

bool parse_kernels(PyObject* name_or_none, const Kernels** kernels) {
    *kernels = default_kernels();
    if (name_or_none == Py_None) return true;
    Py_ssize_t length;
    const char* name = PyUnicode_AsUTF8AndSize(name_or_none, &length);
    if (!name) return false;
    *kernels = find_kernels(name);
    if (!*kernels) PyErr_Format(PyExc_ValueError, "no kernels called '%s' run on this CPU", name);
    return *kernels != nullptr;
}

bool parse_common(PyObject* const* args, Cast* cast, uint64_t* first, const Kernels** kernels) {
    int64_t small[6], full;
    const int64_t limits[6] = {N_FORMATS, N_FORMATS, N_OVERFLOWS, N_ROUNDINGS, N_NANS, N_INFS};
    for (int i = 0; i < 6; ++i) {
        if (!to_size(args[i], &small[i])) return false;
        if (small[i] < 0 || small[i] >= limits[i]) {
            PyErr_Format(PyExc_ValueError, "argument %d is out of range", i);
            return false;
        }
    }
    uint64_t seed;
    if (!to_u64(args[6], &seed) || !to_u64(args[7], first) || !to_size(args[8], &full))
        return false;
    cast->source = (FormatId)small[0];
    cast->target = (FormatId)small[1];
    cast->overflow = (Overflow)small[2];
    cast->rounding = (Rounding)small[3];
    cast->nan = (NanPolicy)small[4];
    cast->inf = (InfPolicy)small[5];
    cast->full = full == 1;
    cast->collapses = full != 0;
    cast->nontemporal = false;
    cast->quiets = false;
    cast->index_shift = 0;
    cast->keys = seed_keys(seed);
    return parse_kernels(args[9], kernels);
}

PyObject* stats_tuple(const Stats& s) {
    const bool one_result = s.one_result.seen == 1;
    return Py_BuildValue("KKNNdKKNNKKKKKddLLddd", (unsigned long long)s.n_overflow,
                         (unsigned long long)s.n_nan_lost, index_or_none(s.first_overflow),
                         index_or_none(s.largest_index), s.largest_overflow,
                         (unsigned long long)s.n_zero, (unsigned long long)s.n_to_zero,
                         one_or_none(one_result ? s.one_source : OneValue()), one_or_none(s.one_result),
                         (unsigned long long)s.n_inexact, (unsigned long long)s.n_underflow,
                         (unsigned long long)s.n_nan, (unsigned long long)s.n_inf,
                         (unsigned long long)s.n_finite, s.min, s.max, (long long)s.min_integer,
                         (long long)s.max_integer, s.max_abs_error, s.sum_squared_error,
                         s.sum_squared);
}

}  // namespace tc
