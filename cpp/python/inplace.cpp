// Casts in place: the proof that nobody else sees the memory, the swap, the conversion, in one call
// that no Python code, signal handler or other Python thread comes between.
#include <stdlib.h>

#include "../consume.hpp"
#include "../memory.hpp"
#include "methods.hpp"

namespace tc {
namespace {

// No allocation of ours may run the collector, which may run anybody's Python code.
class CollectorPaused {
    const int was_enabled_ = PyGC_Disable();

  public:
    ~CollectorPaused() {
        if (was_enabled_) PyGC_Enable();
    }
};

// How many hold a tensor, its storage, and the storage's Python object.
struct Uses {
    long long tensor, storage, object;
};

bool to_count(PyObject* number, long long* out) {
    if (!number) return false;
    *out = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return !(*out == -1 && PyErr_Occurred());
}

// interface: (Tensor._use_count, torch._C._storage_Use_Count, Tensor.untyped_storage)
bool count_uses(PyObject* interface, PyObject* tensor, Uses* uses) {
    PyObject* of_tensor = PyTuple_GetItem(interface, 0);
    PyObject* of_storage = PyTuple_GetItem(interface, 1);
    PyObject* storage_of = PyTuple_GetItem(interface, 2);
    if (!of_tensor || !of_storage || !storage_of) return false;
    if (!to_count(PyObject_CallFunctionObjArgs(of_tensor, tensor, nullptr), &uses->tensor)) return false;
    PyObject* storage = PyObject_CallFunctionObjArgs(storage_of, tensor, nullptr);
    if (!storage) return false;
    uses->object = (long long)Py_REFCNT(storage);
    PyObject* address = PyObject_GetAttrString(storage, "_cdata");
    const bool done =
        address && to_count(PyObject_CallFunctionObjArgs(of_storage, address, nullptr), &uses->storage);
    Py_XDECREF(address);
    Py_DECREF(storage);
    return done;
}

bool parse_order(PyObject* tuple, MemoryOrder* order) {
    PyObject *shape, *steps, *indices;
    if (!PyArg_ParseTuple(tuple, "O!O!O!", &PyTuple_Type, &shape, &PyTuple_Type, &steps, &PyTuple_Type,
                          &indices))
        return false;
    const Py_ssize_t n = PyTuple_Size(shape);
    if (n >= MAX_DIMS || PyTuple_Size(steps) != n || PyTuple_Size(indices) != n) {
        PyErr_SetString(PyExc_ValueError, "an order is (shape, steps, indices), of one length");
        return false;
    }
    order->n_dims = (int)n;
    for (Py_ssize_t d = 0; d < n; ++d) {
        order->shape[d] = PyLong_AsLongLong(PyTuple_GetItem(shape, d));
        order->steps[d] = PyLong_AsLongLong(PyTuple_GetItem(steps, d));
        order->indices[d] = PyLong_AsLongLong(PyTuple_GetItem(indices, d));
    }
    return !PyErr_Occurred();
}

// (source format, target format, overflow, rounding, nan, inf, seed, source packed, target packed,
//  source address, target address, n_elements, releases, order | None)
bool parse_job(PyObject* tuple, Consumption* job) {
    int from, to, overflow, rounding, nan, inf, from_packed, to_packed, releases;
    unsigned long long seed, source, target, n;
    PyObject* order;
    if (!PyArg_ParseTuple(tuple, "iiiiiiKppKKKpO", &from, &to, &overflow, &rounding, &nan, &inf, &seed,
                          &from_packed, &to_packed, &source, &target, &n, &releases, &order))
        return false;
    if (from < 0 || from >= N_FORMATS || to < 0 || to >= N_FORMATS || overflow < 0 || overflow > 3 ||
        rounding < 0 || rounding > 4 || nan < 0 || nan > 1 || inf < 0 || inf > 2) {
        PyErr_SetString(PyExc_ValueError, "a conversion out of range");
        return false;
    }
    *job = Consumption{};
    job->kernels = pick_kernels();
    job->cast.source = (FormatId)from;
    job->cast.target = (FormatId)to;
    job->cast.overflow = (Overflow)overflow;
    job->cast.rounding = (Rounding)rounding;
    job->cast.nan = (NanPolicy)nan;
    job->cast.inf = (InfPolicy)inf;
    job->cast.source_packed = from_packed != 0;
    job->cast.target_packed = to_packed != 0;
    job->cast.keys = seed_keys(seed);
    job->source = (char*)(uintptr_t)source;
    job->target = (char*)(uintptr_t)target;
    job->n_elements = n;
    job->releases = releases != 0;
    job->is_ordered = order != Py_None;
    return !job->is_ordered || parse_order(order, &job->order);
}

bool swap_one(PyObject* setter, PyObject* tensor, PyObject* to) {
    PyObject* done = PyObject_CallFunctionObjArgs(setter, tensor, to, nullptr);
    Py_XDECREF(done);
    return done != nullptr;
}

// swaps: ((tensor, new, old), ...). All of them, or none.
bool swap_all(PyObject* setter, PyObject* swaps) {
    const Py_ssize_t n = PyTuple_Size(swaps);
    for (Py_ssize_t i = 0; i < n; ++i) {
        PyObject* swap = PyTuple_GetItem(swaps, i);
        if (swap_one(setter, PyTuple_GetItem(swap, 0), PyTuple_GetItem(swap, 1))) continue;
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        while (i-- > 0) {
            swap = PyTuple_GetItem(swaps, i);
            if (!swap_one(setter, PyTuple_GetItem(swap, 0), PyTuple_GetItem(swap, 2)))
                PyErr_WriteUnraisable(swap);
        }
        PyErr_Restore(type, value, trace);
        return false;
    }
    return true;
}

// The first tensor that others hold by now, -1 for none, -2 with an exception.
// proofs: ((tensor, uses of it, of its storage, of the storage's object), ...)
Py_ssize_t first_held(PyObject* interface, PyObject* proofs) {
    const Py_ssize_t n = PyTuple_Size(proofs);
    for (Py_ssize_t i = 0; i < n; ++i) {
        PyObject* tensor;
        Uses expected, found;
        if (!PyArg_ParseTuple(PyTuple_GetItem(proofs, i), "OLLL", &tensor, &expected.tensor,
                              &expected.storage, &expected.object) ||
            !count_uses(interface, tensor, &found))
            return -2;
        if (found.tensor != expected.tensor || found.storage != expected.storage ||
            found.object != expected.object)
            return i;
    }
    return -1;
}

}  // namespace

// count_uses(interface, tensor) -> (of the tensor, of its storage, of the storage's object)
PyObject* inplace_uses(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 2) return PyErr_Format(PyExc_TypeError, "inplace_uses takes 2 arguments");
    Uses uses;
    if (!count_uses(args[0], args[1], &uses)) return nullptr;
    return Py_BuildValue("LLL", uses.tensor, uses.storage, uses.object);
}

// inplace_convert(interface, setter, proofs, swaps, jobs, chunk_bytes, moves, n_threads, n_failures) ->
//     -1, or the index of the proof that does not hold, with nothing done
// The tensors are swapped first, which may fail and is undone; the bytes follow, which cannot.
PyObject* inplace_convert(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 9) return PyErr_Format(PyExc_TypeError, "inplace_convert takes 9 arguments");
    PyObject *interface = args[0], *setter = args[1], *proofs = args[2], *swaps = args[3], *jobs = args[4];
    if (!PyTuple_Check(interface) || !PyTuple_Check(proofs) || !PyTuple_Check(swaps) || !PyTuple_Check(jobs))
        return PyErr_Format(PyExc_TypeError, "inplace_convert takes tuples");
    const unsigned long long chunk_bytes = PyLong_AsUnsignedLongLong(args[5]);
    const bool moves = PyObject_IsTrue(args[6]) == 1;
    const unsigned long n_threads = PyLong_AsUnsignedLong(args[7]);
    const unsigned long n_failures = PyLong_AsUnsignedLong(args[8]);
    if (PyErr_Occurred()) return nullptr;
    const Py_ssize_t n_jobs = PyTuple_Size(jobs);
    Consumption* work = (Consumption*)malloc((size_t)(n_jobs ? n_jobs : 1) * sizeof(Consumption));
    if (!work) return PyErr_NoMemory();
    PyObject* result = nullptr;
    bool parsed = true;
    for (Py_ssize_t i = 0; parsed && i < n_jobs; ++i) {
        parsed = parse_job(PyTuple_GetItem(jobs, i), &work[i]);
        work[i].moves = moves;
    }
    if (parsed) {
        const CollectorPaused paused;
        const Py_ssize_t held = first_held(interface, proofs);
        if (held >= 0) {
            result = PyLong_FromSsize_t(held);
        } else if (held == -1 && (result = PyLong_FromLong(-1)) && !swap_all(setter, swaps)) {
            Py_DECREF(result);
            result = nullptr;
        } else if (held == -1 && result) {
            // with the GIL: no other Python thread may look while pages go
            for (Py_ssize_t i = 0; i < n_jobs; ++i)
                consume(work[i], chunk_bytes, n_threads < 1 ? 1u : (unsigned)n_threads, (unsigned)n_failures);
        }
    }
    free(work);
    return result;
}

PyObject* inplace_releases(PyObject*, PyObject*) { return PyBool_FromLong(releases_pages()); }

}  // namespace tc
