// Casts of whole tensors and of chunks in buffers.
#include <Python.h>

#include "arguments.hpp"
#include "methods.hpp"

namespace tc {
namespace {

PyObject* finish(bool done, const Stats& stats) {
    return done ? stats_tuple(stats) : PyErr_NoMemory();
}

// (address, shape, strides | None when contiguous, packed, swapped)
bool parse_layout(PyObject* tuple, Layout* layout, bool* packed, uint64_t* n) {
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != 5) {
        PyErr_SetString(PyExc_TypeError, "a layout is (address, shape, strides, packed, swapped)");
        return false;
    }
    layout->address = (char*)PyLong_AsVoidPtr(PyTuple_GetItem(tuple, 0));
    if (!layout->address && PyErr_Occurred()) return false;
    PyObject *shape = PyTuple_GetItem(tuple, 1), *strides = PyTuple_GetItem(tuple, 2);
    const Py_ssize_t n_dims = PyTuple_Size(shape);
    if (n_dims < 0) return false;
    // one dimension is kept free for the components of complex elements
    if (n_dims >= MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "%zd dimensions; at most %d are supported", n_dims, MAX_DIMS - 1);
        return false;
    }
    layout->contiguous = strides == Py_None;
    layout->n_dims = layout->contiguous ? 0 : (int)n_dims;
    *n = 1;
    for (Py_ssize_t d = 0; d < n_dims; ++d) {
        if (!to_size(PyTuple_GetItem(shape, d), &layout->shape[d])) return false;
        *n *= (uint64_t)layout->shape[d];
        if (layout->contiguous) continue;
        PyObject* stride = PyTuple_GetItem(strides, d);
        if (!stride || !to_size(stride, &layout->strides[d])) return false;
    }
    *packed = PyObject_IsTrue(PyTuple_GetItem(tuple, 3)) == 1;
    layout->swapped = PyObject_IsTrue(PyTuple_GetItem(tuple, 4)) == 1;
    return true;
}

}  // namespace

// cast_chunk(<common>, source, target | None, n_elements): contiguous, packed where sub-byte.
PyObject* cast_chunk(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != N_COMMON + 3)
        return PyErr_Format(PyExc_TypeError, "cast_chunk takes %zd arguments", N_COMMON + 3);
    Cast cast;
    uint64_t first, n;
    const Kernels* kernels;
    if (!parse_common(args, &cast, &first, &kernels) || !to_u64(args[N_COMMON + 2], &n)) return nullptr;
    const Row &from = ROWS[cast.source], &to = ROWS[cast.target];
    cast.source_packed = from.bits < 8;
    cast.target_packed = to.bits < 8;
    Py_buffer in, out;
    const bool writes = args[N_COMMON + 1] != Py_None;
    if (PyObject_GetBuffer(args[N_COMMON], &in, PyBUF_SIMPLE) < 0) return nullptr;
    if (writes && PyObject_GetBuffer(args[N_COMMON + 1], &out, PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&in);
        return nullptr;
    }
    PyObject* result = nullptr;
    // n * bits cannot overflow once n is bounded by the buffer
    const bool fits = n <= (uint64_t)1 << 56 && ((n * from.bits + 7) / 8 <= (uint64_t)in.len) &&
                      (!writes || (n * to.bits + 7) / 8 <= (uint64_t)out.len);
    if (!fits) {
        PyErr_Format(PyExc_ValueError, "%llu elements do not fit the buffers given",
                     (unsigned long long)n);
    } else {
        Stats stats;
        Layout source{}, target{};
        source.address = (char*)in.buf;
        target.address = writes ? (char*)out.buf : nullptr;
        source.contiguous = target.contiguous = true;
        bool done;
        Py_BEGIN_ALLOW_THREADS
        done = cast_tensor(*kernels, cast, source, target, n, first, 1, &stats);
        Py_END_ALLOW_THREADS
        result = finish(done, stats);
    }
    PyBuffer_Release(&in);
    if (writes) PyBuffer_Release(&out);
    return result;
}

// cast_tensor(<common>, source layout, target layout | None, n_threads)
PyObject* cast_strided(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != N_COMMON + 3)
        return PyErr_Format(PyExc_TypeError, "cast_tensor takes %zd arguments", N_COMMON + 3);
    Cast cast;
    uint64_t first, n, n_target;
    int64_t n_threads;
    const Kernels* kernels;
    Layout source{}, target{};
    cast.target_packed = false;
    if (!parse_common(args, &cast, &first, &kernels) || !to_size(args[N_COMMON + 2], &n_threads) ||
        !parse_layout(args[N_COMMON], &source, &cast.source_packed, &n))
        return nullptr;
    if (args[N_COMMON + 1] == Py_None) {
        target.contiguous = true;
    } else {
        if (!parse_layout(args[N_COMMON + 1], &target, &cast.target_packed, &n_target)) return nullptr;
        if (n != n_target) {
            PyErr_SetString(PyExc_ValueError, "source and target differ in their number of elements");
            return nullptr;
        }
    }
    Stats stats;
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = cast_tensor(*kernels, cast, source, target, n, first,
                       n_threads < 1 ? 1u : (unsigned)n_threads, &stats);
    Py_END_ALLOW_THREADS
    return finish(done, stats);
}

}  // namespace tc
