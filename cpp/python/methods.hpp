// What the files here give the module: module.cpp's table lists them.
#pragma once
#include <Python.h>

#include "../api.hpp"

namespace tc {

// casts.cpp
PyObject* cast_chunk(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* cast_strided(PyObject*, PyObject* const* args, Py_ssize_t n_args);

// fast.cpp
PyObject* count_pools(PyObject*, PyObject* more);

// images.cpp
PyObject* image_planes(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* image_computes(PyObject*, PyObject* kernel);

// inplace.cpp
PyObject* inplace_uses(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* inplace_convert(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* inplace_releases(PyObject*, PyObject*);

// ranges.cpp
PyObject* ranges(PyObject*, PyObject* const* args, Py_ssize_t n_args);

// rows.cpp
PyObject* memory_read(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* memory_rows(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* memory_pack(PyObject*, PyObject* const* args, Py_ssize_t n_args);

// sequence_numbers.cpp
PyObject* sequence_fill(PyObject*, PyObject* const* args, Py_ssize_t n_args);

// sequence_arrays.cpp
PyObject* sequence_arrays(PyObject*, PyObject* const* args, Py_ssize_t n_args);

// streams.cpp
PyObject* py_stream_cast(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* py_stream_copy(PyObject*, PyObject* const* args, Py_ssize_t n_args);
PyObject* py_xxh3(PyObject*, PyObject* const* args, Py_ssize_t n_args);

}  // namespace tc
