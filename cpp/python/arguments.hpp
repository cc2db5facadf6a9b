// What the functions that cast take and give: numbers, formats, policies and statistics.
#pragma once
#include <Python.h>

#include "../api.hpp"

namespace tc {

// False: with a Python exception.
bool to_u64(PyObject* object, uint64_t* out);
bool to_size(PyObject* object, int64_t* out);

// The kernels picked for this CPU.
const Kernels* default_kernels();

// The kernels of that name, or those picked for this CPU.
bool parse_kernels(PyObject* name_or_none, const Kernels** kernels);

// What every cast takes: source, target, overflow, rounding, nan, inf, seed, first, what to count (0:
// what a policy needs, 1: everything, 2: what becomes 0 or one value too), kernel.
constexpr Py_ssize_t N_COMMON = 10;

bool parse_common(PyObject* const* args, Cast* cast, uint64_t* first, const Kernels** kernels);

// The fields of Stats in the order that kernels/cpu.py names.
PyObject* stats_tuple(const Stats& s);

}  // namespace tc
