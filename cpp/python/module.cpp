// tensorcast._core: the kernels, to Python. Stable ABI of CPython 3.11 and up.
//
// Formats and policies arrive as small integers: the index in formats.FORMATS, policy.OVERFLOWS,
// policy.ROUNDINGS, policy.NANS and policy.INFS. kernels/cpu.py is the only caller.
#include <Python.h>

#include "../memory.hpp"
#include "arguments.hpp"
#include "methods.hpp"
#include "state.hpp"

namespace {

using namespace tc;

// kernels() -> ((name, supported by this CPU), ...), best first
PyObject* list_kernels(PyObject*, PyObject*) {
    Py_ssize_t n = 0;
    while (ALL_KERNELS[n]) ++n;
    PyObject* tuple = PyTuple_New(n);
    for (Py_ssize_t i = 0; tuple && i < n; ++i) {
        const Kernels& k = *ALL_KERNELS[i];
        PyObject* pair = Py_BuildValue("sN", k.name, PyBool_FromLong(k.supported()));
        if (!pair || PyTuple_SetItem(tuple, i, pair) < 0) {
            Py_DECREF(tuple);
            return nullptr;
        }
    }
    return tuple;
}

// advise_huge(address, n_bytes, n_threads)
PyObject* py_advise_huge(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 3) return PyErr_Format(PyExc_TypeError, "advise_huge takes 3 arguments");
    uint64_t address, n_bytes, n_threads;
    if (!to_u64(args[0], &address) || !to_u64(args[1], &n_bytes) || !to_u64(args[2], &n_threads))
        return nullptr;
    Py_BEGIN_ALLOW_THREADS
    advise_huge((void*)(uintptr_t)address, n_bytes, (unsigned)n_threads);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

// huge_pages(enabled | None) -> whether large results asked for huge pages before
PyObject* py_huge_pages(PyObject*, PyObject* enabled) {
    const bool before = huge_pages();
    if (enabled != Py_None) {
        const int on = PyObject_IsTrue(enabled);
        if (on < 0) return nullptr;
        set_huge_pages(on == 1);
    }
    return PyBool_FromLong(before);
}

PyMethodDef methods[] = {
    {"cast_chunk", (PyCFunction)(void (*)(void))cast_chunk, METH_FASTCALL, nullptr},
    {"cast_tensor", (PyCFunction)(void (*)(void))cast_strided, METH_FASTCALL, nullptr},
    {"image_planes", (PyCFunction)(void (*)(void))image_planes, METH_FASTCALL, nullptr},
    {"image_computes", image_computes, METH_O, nullptr},
    {"memory_read", (PyCFunction)(void (*)(void))memory_read, METH_FASTCALL, nullptr},
    {"memory_rows", (PyCFunction)(void (*)(void))memory_rows, METH_FASTCALL, nullptr},
    {"memory_pack", (PyCFunction)(void (*)(void))memory_pack, METH_FASTCALL, nullptr},
    {"sequence_fill", (PyCFunction)(void (*)(void))sequence_fill, METH_FASTCALL, nullptr},
    {"sequence_arrays", (PyCFunction)(void (*)(void))sequence_arrays, METH_FASTCALL, nullptr},
    {"inplace_uses", (PyCFunction)(void (*)(void))inplace_uses, METH_FASTCALL, nullptr},
    {"inplace_convert", (PyCFunction)(void (*)(void))inplace_convert, METH_FASTCALL, nullptr},
    {"inplace_releases", inplace_releases, METH_NOARGS, nullptr},
    {"ranges", (PyCFunction)(void (*)(void))ranges, METH_FASTCALL, nullptr},
    {"stream_cast", (PyCFunction)(void (*)(void))py_stream_cast, METH_FASTCALL, nullptr},
    {"stream_copy", (PyCFunction)(void (*)(void))py_stream_copy, METH_FASTCALL, nullptr},
    {"xxh3", (PyCFunction)(void (*)(void))py_xxh3, METH_FASTCALL, nullptr},
    {"kernels", list_kernels, METH_NOARGS, nullptr},
    {"fast_set_up", (PyCFunction)(void (*)(void))fast_set_up, METH_FASTCALL, nullptr},
    {"fast_torch", (PyCFunction)(void (*)(void))fast_torch, METH_FASTCALL, nullptr},
    {"fast_numpy", (PyCFunction)(void (*)(void))fast_numpy, METH_FASTCALL, nullptr},
    {"advise_huge", (PyCFunction)(void (*)(void))py_advise_huge, METH_FASTCALL, nullptr},
    {"huge_pages", py_huge_pages, METH_O, nullptr},
    {"count_pools", count_pools, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

int execute(PyObject* module) {
    default_kernels();  // looked for once, at the import
    PyObject* formats = PyTuple_New(N_FORMATS);
    if (!formats) return -1;
    for (int i = 0; i < N_FORMATS; ++i)
        if (PyTuple_SetItem(formats, i, PyUnicode_FromString(ROWS[i].name)) < 0) return -1;
    if (add_entry(module) < 0) return -1;
    return PyModule_AddObject(module, "formats", formats);
}

void free_state(void* module) { clear_state((PyObject*)module); }

// Numbers of the stable ABI that the headers of 3.11 do not name; an older interpreter refuses them.
// Py_mod_gil is left out: the state is guarded by its interpreter's GIL.
constexpr int SLOT_MULTIPLE_INTERPRETERS = 3;
void* const OWN_GIL_SUPPORTED = (void*)2;

PyModuleDef_Slot slots[3] = {{Py_mod_exec, (void*)execute}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core",     "tensorcast's compiled kernels.",
    sizeof(State),         methods,     slots,
    traverse_state,        clear_state, free_state,
};

}  // namespace

PyMODINIT_FUNC PyInit__core() {
    PyModuleDef_Slot* next = slots + 1;
    if (Py_Version >= 0x030C0000) *next++ = {SLOT_MULTIPLE_INTERPRETERS, OWN_GIL_SUPPORTED};
    *next = {0, nullptr};
    return PyModuleDef_Init(&definition);
}
