// What the module knows of this interpreter: nothing that holds a Python object is global, so that
// every subinterpreter has its own.
#pragma once
#include <Python.h>

#include "../api.hpp"
#include "../dlpack.hpp"
#include "native.hpp"

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

// Numbers of torch's dtypes that are remembered; it has 46 as yet.
constexpr int N_DTYPES = 128;

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
    Native native;
    // where `native` is found: format + 1 of a dtype, by torch's number for it, and the other way
    uint8_t format_of_dtype[N_DTYPES];
    uint8_t dtype_of_format[N_FORMATS];
};

struct Numpy : Library {
    Getter array_struct, base;
};

// What a pair of formats and a policy mean for the fast entry; 0: not asked yet.
enum class Plan : uint8_t { Unknown, Declined, NeverRefuses, MayRefuse };

// A spelling, held, and its index.
struct Met {
    PyObject* spelling;
    int format;
};
constexpr size_t N_MET = 32;

struct State {
    Torch torch;
    Numpy numpy;
    PyObject *resolve, *decide, *options, *learn;  // kernels/fast.py
    PyObject* zero;            // the default seed
    PyTypeObject* array_type;  // array.array
    PyObject *overflows[N_OVERFLOWS], *roundings[N_ROUNDINGS], *nans[N_NANS], *infs[N_INFS];
    PyObject* formats;  // spelling or dtype -> index | None
    Met met[N_MET];     // the last spellings and dtypes met, by their address
    uint64_t n_asked;   // how often Python was asked what is remembered since: another thread may have run
    unsigned n_threads;
    Plan plans[N_FORMATS][N_FORMATS][N_OVERFLOWS][N_NANS][N_INFS];
};

inline State* state_of(PyObject* module) { return (State*)PyModule_GetState(module); }

PyObject* fast_set_up(PyObject* module, PyObject* const* args, Py_ssize_t n_args);
PyObject* fast_torch(PyObject* module, PyObject* const* args, Py_ssize_t n_args);
PyObject* fast_numpy(PyObject* module, PyObject* const* args, Py_ssize_t n_args);

// What `entry` tries first, with the arguments of tensors.cast and arrays.as_tensor in their order;
// NotImplemented: declined, with nothing written.
PyObject* cast_first(State&, PyObject* const* args);
PyObject* as_tensor_first(State&, PyObject* const* args);

int add_entry(PyObject* module);  // the type `entry`
int traverse_state(PyObject* module, visitproc visit, void* arg);
int clear_state(PyObject* module);

}  // namespace tc
