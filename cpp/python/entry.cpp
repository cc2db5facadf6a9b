// A Python function with a way of its own in C that is tried first: `entry(kind, function, ...)` is
// called as the function is, and calls it with the same arguments wherever C declines.
#include <Python.h>
#include <structmember.h>

#include <initializer_list>

#include "state.hpp"

namespace tc {
namespace {

// Numbers of the vectorcall protocol (PEP 590), which the stable ABI names from 3.12 on.
constexpr unsigned long HAVE_VECTORCALL = 1UL << 11;
constexpr size_t ARGUMENTS_OFFSET = (size_t)1 << (8 * sizeof(size_t) - 1);

constexpr Py_ssize_t MAX_ARGUMENTS = 14;

using Way = PyObject* (*)(State&, PyObject* const* values);
constexpr Way WAYS[] = {cast_first, as_tensor_first};

struct Entry {
    PyObject_HEAD
    PyObject* (*vectorcall)(PyObject*, PyObject* const*, size_t, PyObject*);
    State* state;  // of the module, which the type keeps
    Way way;
    PyObject *function, *dict, *weak;
    PyObject *names, *defaults;            // tuples,
    PyObject* name_of[MAX_ARGUMENTS];      // and what is in them; no default: null
    PyObject* default_of[MAX_ARGUMENTS];
    Py_ssize_t n_arguments, n_positional;
};

PyObject* call_function(Entry* self, PyObject* const* args, Py_ssize_t n, PyObject* names) {
    PyObject* positional = PyTuple_New(n);
    PyObject* keywords = positional && names ? PyDict_New() : nullptr;
    bool fine = positional && (keywords || !names);
    for (Py_ssize_t i = 0; fine && i < n; ++i) {
        Py_INCREF(args[i]);
        fine = PyTuple_SetItem(positional, i, args[i]) == 0;
    }
    for (Py_ssize_t i = 0; fine && keywords && i < PyTuple_Size(names); ++i)
        fine = PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[n + i]) == 0;
    PyObject* result = fine ? PyObject_Call(self->function, positional, keywords) : nullptr;
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return result;
}

Py_ssize_t place_of(const Entry* self, PyObject* name) {
    for (Py_ssize_t i = 0; i < self->n_arguments; ++i)
        if (self->name_of[i] == name) return i;
    for (Py_ssize_t i = 0; i < self->n_arguments; ++i)
        if (PyUnicode_Compare(self->name_of[i], name) == 0) return i;
    return -1;
}

// The arguments in the order of the signature; false: not as the function is called.
bool arrange(const Entry* self, PyObject* const* args, Py_ssize_t n, PyObject* names, PyObject** values) {
    if (n > self->n_positional) return false;
    for (Py_ssize_t i = 0; i < n; ++i) values[i] = args[i];
    for (Py_ssize_t i = n; i < self->n_arguments; ++i) values[i] = self->default_of[i];
    const Py_ssize_t n_names = names ? PyTuple_Size(names) : 0;
    for (Py_ssize_t i = 0; i < n_names; ++i) {
        const Py_ssize_t place = place_of(self, PyTuple_GetItem(names, i));
        if (place < n) return false;
        values[place] = args[n + i];
    }
    for (Py_ssize_t i = n; i < self->n_positional; ++i)
        if (!values[i]) return false;
    return true;
}

PyObject* call(PyObject* object, PyObject* const* args, size_t n_and_flag, PyObject* names) {
    Entry* self = (Entry*)object;
    const Py_ssize_t n = (Py_ssize_t)(n_and_flag & ~ARGUMENTS_OFFSET);
    PyObject* values[MAX_ARGUMENTS];
    if (arrange(self, args, n, names, values)) {
        PyObject* result = self->way(*self->state, values);
        if (result != Py_NotImplemented) return result;
        Py_DECREF(result);
    }
    return call_function(self, args, n, names);
}

// Python prefers `call`; what asks for a tuple and a dict is no hurry.
PyObject* call_slot(PyObject* object, PyObject* args, PyObject* keywords) {
    return PyObject_Call(((Entry*)object)->function, args, keywords);
}

// entry(kind, function, names, defaults, n_positional): the defaults belong to the last names.
PyObject* create(PyTypeObject* type, PyObject* args, PyObject*) {
    int kind;
    PyObject *function, *names, *defaults;
    Py_ssize_t n_positional;
    if (!PyArg_ParseTuple(args, "iOO!O!n", &kind, &function, &PyTuple_Type, &names, &PyTuple_Type,
                          &defaults, &n_positional))
        return nullptr;
    const Py_ssize_t n = PyTuple_Size(names), n_required = n - PyTuple_Size(defaults);
    if (kind < 0 || kind >= (int)(sizeof(WAYS) / sizeof(WAYS[0])) || n > MAX_ARGUMENTS ||
        n_required < 0 || n_required > n_positional || n_positional > n)
        return PyErr_Format(PyExc_ValueError, "arguments out of range");
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Entry* self = (Entry*)allocate(type, 0);
    if (!self) return nullptr;
    self->vectorcall = call;
    self->state = (State*)PyType_GetModuleState(type);
    self->way = WAYS[kind];
    self->n_arguments = n;
    self->n_positional = n_positional;
    for (PyObject* object : {function, names, defaults}) Py_INCREF(object);
    self->function = function;
    self->names = names;
    self->defaults = defaults;
    for (Py_ssize_t i = 0; i < n; ++i) {
        self->name_of[i] = PyTuple_GetItem(names, i);
        self->default_of[i] = i < n_required ? nullptr : PyTuple_GetItem(defaults, i - n_required);
    }
    return (PyObject*)self;
}

int traverse(PyObject* object, visitproc visit, void* arg) {
    Entry* self = (Entry*)object;
    Py_VISIT(Py_TYPE(object));
    for (PyObject* held : {self->function, self->names, self->defaults, self->dict}) Py_VISIT(held);
    return 0;
}

int clear(PyObject* object) {
    Entry* self = (Entry*)object;
    // names and defaults stay while the entry can be called
    Py_CLEAR(self->function);
    Py_CLEAR(self->dict);
    return 0;
}

void destroy(PyObject* object) {
    Entry* self = (Entry*)object;
    PyTypeObject* type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    if (self->weak) PyObject_ClearWeakRefs(object);
    clear(object);
    Py_CLEAR(self->names);
    Py_CLEAR(self->defaults);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

// As an attribute of a class it binds, as the function does.
PyObject* bind(PyObject* object, PyObject* instance, PyObject* type) {
    if (!instance || instance == Py_None) {
        Py_INCREF(object);
        return object;
    }
    return PyObject_CallMethod(((Entry*)object)->function, "__get__", "OO", instance, type ? type : Py_None);
}

PyObject* text(PyObject* object) {
    return PyUnicode_FromFormat("<fast entry of %R>", ((Entry*)object)->function);
}

// Pickled and copied by name, as functions are.
PyObject* reduce(PyObject* object, PyObject*) { return PyObject_GetAttrString(object, "__qualname__"); }

PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Entry, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Entry, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Entry, weak), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyGetSetDef attributes[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMethodDef entry_methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};

PyType_Slot entry_slots[] = {
    {Py_tp_new, (void*)create},          {Py_tp_dealloc, (void*)destroy}, {Py_tp_traverse, (void*)traverse},
    {Py_tp_clear, (void*)clear},         {Py_tp_call, (void*)call_slot},  {Py_tp_descr_get, (void*)bind},
    {Py_tp_repr, (void*)text},           {Py_tp_members, members},        {Py_tp_getset, attributes},
    {Py_tp_methods, entry_methods},      {0, nullptr},
};
PyType_Spec entry_spec = {
    "tensorcast._core.entry", sizeof(Entry), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE | HAVE_VECTORCALL, entry_slots};

}  // namespace

int add_entry(PyObject* module) {
    PyObject* type = PyType_FromModuleAndSpec(module, &entry_spec, nullptr);
    if (!type) return -1;
    const int added = PyModule_AddType(module, (PyTypeObject*)type);
    Py_DECREF(type);
    return added;
}

}  // namespace tc
