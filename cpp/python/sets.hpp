// Which of the sets of functions that are compiled per instruction set to use.
#pragma once
#include <Python.h>
#include <string.h>

#include "../api.hpp"

namespace tc {

// The set for the kernels of that name, or of None for those picked for this CPU; `all` ends with the
// baseline, which stands in where there is none for them. Null, and a Python error: no kernels of that
// name run here.
template <class Set, size_t N>
const Set* set_for(const Set* const (&all)[N], PyObject* name) {
    const Kernels* like = pick_kernels();
    if (name != Py_None) {
        Py_ssize_t length;
        const char* asked = PyUnicode_AsUTF8AndSize(name, &length);
        if (!asked) return nullptr;
        like = find_kernels(asked);
        if (!like) return PyErr_Format(PyExc_ValueError, "no kernels called '%s' run on this CPU", asked), nullptr;
    }
    for (const Set* set : all)
        if (strcmp(set->name, like->name) == 0) return set;
    return all[N - 1];
}

}  // namespace tc
