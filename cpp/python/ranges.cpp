// Ranges and exponents of contiguous memory, read by several threads.
#include <Python.h>
#include <stdlib.h>

#include "../ranges.hpp"
#include "methods.hpp"
#include "sets.hpp"

namespace tc {

#if defined(__x86_64__)
extern const RangeKernels RANGES_v4, RANGES_v3;
#endif
extern const RangeKernels RANGES_baseline;

namespace {

const RangeKernels* const ALL_RANGES[] = {
#if defined(__x86_64__)
    &RANGES_v4,
    &RANGES_v3,
#endif
    &RANGES_baseline,
};

constexpr uint64_t THREADS_PAY_FROM_BYTES = 1 << 20;
constexpr uint64_t PARTS_PER_THREAD = 4;  // so that a thread that starts late holds up little

struct Work {
    const RangeKernels* kernels;
    FormatId format;
    const char* source;
    uint64_t n, part;  // elements in all, and of one part
    Ranges* parts;
};

void run_part(void* context, uint64_t i) {
    const Work& w = *(const Work*)context;
    const uint64_t begin = i * w.part, n = w.n - begin < w.part ? w.n - begin : w.part;
    w.parts[i].clear();
    w.kernels->read(w.format, w.source + begin * ROWS[w.format].container(), n, &w.parts[i]);
}

}  // namespace

// ranges(format, address, n_elements, n_threads, kernel | None) -> (n_zero, n_inf, n_nan, min, max,
//     smallest, the first bin that is not empty, the bins up to the last such: uint64 each)
PyObject* ranges(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 5) return PyErr_Format(PyExc_TypeError, "ranges takes 5 arguments");
    const long format = PyLong_AsLong(args[0]);
    const char* source = (const char*)PyLong_AsVoidPtr(args[1]);
    const uint64_t n = PyLong_AsUnsignedLongLong(args[2]);
    const unsigned long n_threads = PyLong_AsUnsignedLong(args[3]);
    if (PyErr_Occurred()) return nullptr;
    if (format < 0 || format >= N_FORMATS || ROWS[format].kind == Kind::Complex)
        return PyErr_Format(PyExc_ValueError, "argument 0 is out of range");
    const RangeKernels* kernels = set_for(ALL_RANGES, args[4]);
    if (!kernels) return nullptr;
    Work work{kernels, (FormatId)format, source, n, 0, nullptr};
    const bool few = n * ROWS[format].container() < THREADS_PAY_FROM_BYTES || n_threads < 2;
    uint64_t n_parts = few ? 1 : PARTS_PER_THREAD * n_threads;
    // whole blocks, so that only the last part has a rest
    work.part = few ? (n ? n : 1) : (n / n_parts / BLOCK + 1) * BLOCK;
    n_parts = n ? (n + work.part - 1) / work.part : 0;
    work.parts = (Ranges*)malloc((n_parts + 1) * sizeof(Ranges));
    if (!work.parts) return PyErr_NoMemory();
    Ranges& all = work.parts[n_parts];
    all.clear();
    Py_BEGIN_ALLOW_THREADS
    parallel((unsigned)n_threads, n_parts, run_part, &work);
    for (uint64_t i = 0; i < n_parts; ++i) all.merge(work.parts[i]);
    Py_END_ALLOW_THREADS
    unsigned first = 0, end = N_BINS;
    while (end && !all.bins[end - 1]) --end;
    while (first < end && !all.bins[first]) ++first;
    PyObject* result = Py_BuildValue(
        "KKKLLKIN", (unsigned long long)all.n_zero, (unsigned long long)all.n_inf,
        (unsigned long long)all.n_nan, (long long)all.min, (long long)all.max,
        (unsigned long long)all.smallest, first,
        PyBytes_FromStringAndSize((const char*)(all.bins + first),
                                  (Py_ssize_t)((end - first) * sizeof(uint64_t))));
    free(work.parts);
    return result;
}

}  // namespace tc
