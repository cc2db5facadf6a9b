// The functions of the Python module that have files of their own; module.cpp lists them.
#pragma once
#include <Python.h>

#include "api.hpp"

namespace tc {

// sequences.cpp
PyObject* sequence_fill(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* sequence_arrays(PyObject*, PyObject* const* args, Py_ssize_t n_args);

}  // namespace tc
