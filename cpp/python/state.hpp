// What the module knows of this interpreter: nothing that holds a Python object is global, so that
// every subinterpreter has its own.
#pragma once
#include <Python.h>

#include "../api.hpp"
#include "../dlpack.hpp"

namespace tc {

// A getter of a type, called without looking its name up again.
struct Getter {
    PyObject* descriptor;
    descrgetfunc get;

    PyObject* operator()(PyObject* object) const { return get(descriptor, object, nullptr); }
};

// torch or NumPy: the one exact type of its tensors, and how results are made.
struct Library {
    PyTypeObject* type;
    PyObject* empty_like;
    PyObject* options[N_FORMATS];  // keywords of empty_like per target; None where it has no dtype
    Getter dtype;
};

// A number of a module of torch's, that tells whether something is going on.
struct Flag {
    PyObject *module_dict, *name;
};

struct Torch : Library {
    const dlpack::ExchangeApi* exchange;
    Getter requires_grad;
    PyCFunction is_neg, is_conj;  // Tensor methods without arguments
    PyObject* increment_version;  // torch._C._increment_version,
    PyCFunction increment;        // its C function,
    PyObject* increment_self;     // and what that takes first, borrowed
    PyObject* tracing_state;      // torch._C._get_tracing_state
    Flag forward_ad_level;        // -1: none
    Flag dispatch_mode;           // False: none
    // format + 1 of a DLPack type code and its bits / 8, where those tell; 0: not met yet
    uint8_t formats[32][17];
};

struct Numpy : Library {
    Getter array_struct;
};

// What a pair of formats and a policy mean for the fast entry; 0: not asked yet.
enum class Plan : uint8_t { Unknown, Declined, NeverRefuses, MayRefuse };

struct State {
    Torch torch;
    Numpy numpy;
    PyObject *resolve, *decide, *options, *learn;  // kernels/fast.py
    PyObject *overflows[4], *roundings[5], *nans[2];
    PyObject* formats;      // spelling or dtype -> index | None
    PyObject* last_target;  // the spelling of the last call,
    int last_format;        // and what it was
    unsigned n_threads;
    Plan plans[N_FORMATS][N_FORMATS][4][2];
};

inline State* state_of(PyObject* module) { return (State*)PyModule_GetState(module); }

PyObject* fast_set_up(PyObject* module, PyObject* const* args, Py_ssize_t n_args);
PyObject* fast_torch(PyObject* module, PyObject* const* args, Py_ssize_t n_args);
PyObject* fast_numpy(PyObject* module, PyObject* const* args, Py_ssize_t n_args);
PyObject* cast_fast(PyObject* module, PyObject* const* args, Py_ssize_t n_args);
int traverse_state(PyObject* module, visitproc visit, void* arg);
int clear_state(PyObject* module);

}  // namespace tc
