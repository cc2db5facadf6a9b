// The walk down nested lists and tuples, and what both kinds of lists are told and tell.
//
// Nothing here words a message: a refusal comes back as a path.
#pragma once
#include "../api.hpp"
#include "objects.hpp"

namespace tc {

enum class Status { Done, Kinds, Ragged, NotANumber, ComplexToReal, Error };

// What both walks share: the shape, where the walk is, what went wrong.
struct Walk {
    int n_dims = 0;
    Py_ssize_t shape[MAX_DIMS];
    Py_ssize_t index[MAX_DIMS];
    int depth = 0;  // of the path to what failed
    Status status = Status::Done;
    PyObject* failed = nullptr;  // owned

    ~Walk() { Py_XDECREF(failed); }

    bool fail(Status with, PyObject* object, int path_length) {
        status = with;
        depth = path_length;
        Py_XDECREF(failed);
        failed = object;
        Py_XINCREF(object);
        return false;
    }

    PyObject* path() const {
        PyObject* tuple = PyTuple_New(depth);
        for (int d = 0; tuple && d < depth; ++d)
            if (PyTuple_SetItem(tuple, d, PyLong_FromSsize_t(index[d])) < 0) Py_CLEAR(tuple);
        return tuple;
    }
};

// A tuple of lengths; false, with an error set, if it is none.
bool parse_shape(PyObject* tuple, Walk* walk);

// (target, overflow, rounding, nan, inf, exact, seed, kernel | None)
bool parse_policy(PyObject* tuple, Cast* cast, const Kernels** kernels);

// None for NO_INDEX.
PyObject* index_object(uint64_t index);

// How many values the policy refuses, where cast.full stands for exact=True.
inline uint64_t n_refused_or_changed(const Cast& cast, const Stats& stats) {
    return n_refused(cast, stats) + (cast.full ? stats.n_inexact + stats.n_nan_lost : 0);
}

// Calls leaves(sequence) for every innermost list and leaf(object) where there is no list at all.
template <class Visitor>
bool walk_down(Visitor& visitor, Walk& walk, PyObject* object, int depth) {
    if (depth == walk.n_dims) return visitor.leaf(object);
    if (!is_sequence(object) || length_of(object) != walk.shape[depth])
        return walk.fail(Status::Ragged, object, depth);
    if (depth == walk.n_dims - 1) return visitor.leaves(object, depth);
    for (Py_ssize_t i = 0; i < walk.shape[depth]; ++i) {
        walk.index[depth] = i;
        PyObject* item = item_of(object, i);
        if (!item) return walk.fail(Status::Ragged, object, depth);
        Py_INCREF(item);
        const bool on = walk_down(visitor, walk, item, depth + 1);
        Py_DECREF(item);
        if (!on) return false;
    }
    return length_of(object) == walk.shape[depth] || walk.fail(Status::Ragged, object, depth);
}

}  // namespace tc
