// Sets up and takes down the state of one interpreter; kernels/fast.py is the only caller.
#include "views.hpp"

#include <initializer_list>

namespace tc {
namespace {

template <class F>
int each_object(State* s, F f) {
    for (Library* library : {(Library*)&s->torch, (Library*)&s->numpy}) {
        if (int stop = f((PyObject**)&library->type)) return stop;
        if (int stop = f(&library->empty_like)) return stop;
        for (PyObject*& options : library->options)
            if (int stop = f(&options)) return stop;
        if (int stop = f(&library->dtype.descriptor)) return stop;
    }
    for (PyObject** object :
         {&s->torch.requires_grad.descriptor, &s->torch.increment_version, &s->torch.tracing_state,
          &s->torch.forward_ad_level.module_dict, &s->torch.forward_ad_level.name,
          &s->torch.dispatch_mode.module_dict, &s->torch.dispatch_mode.name,
          &s->numpy.array_struct.descriptor, &s->numpy.base.descriptor, &s->resolve, &s->decide, &s->options, &s->learn,
          &s->formats, &s->zero, (PyObject**)&s->array_type})
        if (int stop = f(object)) return stop;
    for (Met& met : s->met)
        if (int stop = f(&met.spelling)) return stop;
    for (PyObject*& name : s->overflows)
        if (int stop = f(&name)) return stop;
    for (PyObject*& name : s->roundings)
        if (int stop = f(&name)) return stop;
    for (PyObject*& name : s->nans)
        if (int stop = f(&name)) return stop;
    for (PyObject*& name : s->infs)
        if (int stop = f(&name)) return stop;
    return 0;
}

void keep(PyObject** place, PyObject* object) {
    PyObject* old = *place;
    Py_INCREF(object);
    *place = object;
    Py_XDECREF(old);
}

bool find_getter(PyTypeObject* type, const char* name, Getter* getter) {
    PyObject* descriptor = PyObject_GetAttrString((PyObject*)type, name);
    if (!descriptor) return false;
    descrgetfunc get = (descrgetfunc)PyType_GetSlot(Py_TYPE(descriptor), Py_tp_descr_get);
    if (!get) {
        PyErr_Format(PyExc_TypeError, "%s is not an attribute of instances", name);
        Py_DECREF(descriptor);
        return false;
    }
    keep(&getter->descriptor, descriptor);
    Py_DECREF(descriptor);
    getter->get = get;
    return true;
}

// The C function of a method without arguments, which is the same for every instance.
PyCFunction find_method(PyObject* instance, const char* name) {
    PyObject* method = PyObject_GetAttrString(instance, name);
    if (!method) return nullptr;
    PyCFunction function = nullptr;
    if (PyCFunction_Check(method) && PyCFunction_GetFlags(method) == METH_NOARGS)
        function = PyCFunction_GetFunction(method);
    else
        PyErr_Format(PyExc_TypeError, "%s is not a method in C without arguments", name);
    Py_DECREF(method);
    return function;
}

bool count_is(const char* name, Py_ssize_t n_args, Py_ssize_t wanted) {
    if (n_args == wanted) return true;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments", name, wanted);
    return false;
}

bool keep_names(PyObject** places, Py_ssize_t n, PyObject* names) {
    if (!PyTuple_Check(names) || PyTuple_Size(names) != n) {
        PyErr_Format(PyExc_TypeError, "expected a tuple of %zd names", n);
        return false;
    }
    for (Py_ssize_t i = 0; i < n; ++i) keep(&places[i], PyTuple_GetItem(names, i));
    return true;
}

// (dict of a module, name)
bool keep_flag(Flag* flag, PyObject* pair) {
    if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2 || !PyDict_Check(PyTuple_GetItem(pair, 0))) {
        PyErr_SetString(PyExc_TypeError, "expected the dict of a module and a name");
        return false;
    }
    keep(&flag->module_dict, PyTuple_GetItem(pair, 0));
    keep(&flag->name, PyTuple_GetItem(pair, 1));
    return true;
}

bool keep_threads(State* s, PyObject* number) {
    const long n = PyLong_AsLong(number);
    if (n == -1 && PyErr_Occurred()) return false;
    s->n_threads = n < 1 ? 1u : (unsigned)n;
    return true;
}

}  // namespace

// fast_set_up(resolve, decide, options, learn, overflows, roundings, nans, infs, array.array)
PyObject* fast_set_up(PyObject* module, PyObject* const* args, Py_ssize_t n_args) {
    State* s = state_of(module);
    if (!count_is("fast_set_up", n_args, 9) || !keep_names(s->overflows, N_OVERFLOWS, args[4]) ||
        !keep_names(s->roundings, N_ROUNDINGS, args[5]) || !keep_names(s->nans, N_NANS, args[6]) ||
        !keep_names(s->infs, N_INFS, args[7]))
        return nullptr;
    if (!s->formats && !(s->formats = PyDict_New())) return nullptr;
    if (!s->zero && !(s->zero = PyLong_FromLong(0))) return nullptr;
    PyObject** const places[] = {&s->resolve, &s->decide, &s->options, &s->learn};
    for (int i = 0; i < 4; ++i) keep(places[i], args[i]);
    keep((PyObject**)&s->array_type, args[8]);
    Py_RETURN_NONE;
}

// fast_torch(a tensor, exchange capsule, empty_like, increment_version, tracing_state,
//            (module dict, name) of the forward gradient's level, the same of the dispatch mode's
//            flag, n_threads, a tensor negated lazily, one that requires grad,
//            torch's number for the dispatch key Tracer, a tensor of every dtype there is a format for)
PyObject* fast_torch(PyObject* module, PyObject* const* args, Py_ssize_t n_args) {
    State* s = state_of(module);
    Torch& t = s->torch;
    if (!count_is("fast_torch", n_args, 12) || !keep_threads(s, args[7])) return nullptr;
    const auto* api = (const dlpack::ExchangeApi*)PyCapsule_GetPointer(args[1], dlpack::CAPSULE);
    if (!api) return nullptr;
    if (!(api = dlpack::usable(api))) {
        PyErr_SetString(PyExc_ValueError, "no DLPack exchange API of a version 1");
        return nullptr;
    }
    if (!keep_flag(&t.forward_ad_level, args[5]) || !keep_flag(&t.dispatch_mode, args[6]))
        return nullptr;
    if (!PyCFunction_Check(args[3]) || PyCFunction_GetFlags(args[3]) != METH_O) {
        PyErr_SetString(PyExc_TypeError, "increment_version is not a C function of one argument");
        return nullptr;
    }
    PyTypeObject* type = Py_TYPE(args[0]);
    const PyCFunction is_neg = find_method(args[0], "is_neg");
    const PyCFunction is_conj = is_neg ? find_method(args[0], "is_conj") : nullptr;
    if (!is_conj || !find_getter(type, "dtype", &t.dtype) ||
        !find_getter(type, "requires_grad", &t.requires_grad))
        return nullptr;
    t.is_neg = is_neg;
    t.is_conj = is_conj;
    t.exchange = api;
    keep(&t.empty_like, args[2]);
    keep(&t.increment_version, args[3]);
    t.increment = PyCFunction_GetFunction(args[3]);
    t.increment_self = PyCFunction_GetSelf(args[3]);
    keep(&t.tracing_state, args[4]);
    t.native = find_native(api, args[8], args[9], args[10]);
    for (Py_ssize_t i = 0; t.native.found && i < PyTuple_Size(args[11]); ++i)
        learn_dtype(*s, PyTuple_GetItem(args[11], i));
    keep((PyObject**)&t.type, (PyObject*)type);  // last: from here on tensors are taken
    Py_RETURN_NONE;
}

// fast_numpy(an array, empty_like, n_threads)
PyObject* fast_numpy(PyObject* module, PyObject* const* args, Py_ssize_t n_args) {
    State* s = state_of(module);
    Numpy& n = s->numpy;
    if (!count_is("fast_numpy", n_args, 3) || !keep_threads(s, args[2])) return nullptr;
    PyTypeObject* type = Py_TYPE(args[0]);
    if (!find_getter(type, "dtype", &n.dtype) ||
        !find_getter(type, "__array_struct__", &n.array_struct) || !find_getter(type, "base", &n.base))
        return nullptr;
    keep(&n.empty_like, args[1]);
    keep((PyObject**)&n.type, (PyObject*)type);
    Py_RETURN_NONE;
}

int traverse_state(PyObject* module, visitproc visit, void* arg) {
    State* s = state_of(module);
    if (!s) return 0;
    return each_object(s, [&](PyObject** place) { return *place ? visit(*place, arg) : 0; });
}

int clear_state(PyObject* module) {
    State* s = state_of(module);
    if (!s) return 0;
    return each_object(s, [](PyObject** place) {
        PyObject* object = *place;
        *place = nullptr;
        Py_XDECREF(object);
        return 0;
    });
}

}  // namespace tc
