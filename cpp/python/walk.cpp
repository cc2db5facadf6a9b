// Reads the arguments that walk.hpp tells of.
#include "walk.hpp"

namespace tc {

bool parse_shape(PyObject* tuple, Walk* walk) {
    const Py_ssize_t n = PyTuple_Size(tuple);
    if (n < 0) return false;
    if (n >= MAX_DIMS) return PyErr_Format(PyExc_ValueError, "nested too deep"), false;
    walk->n_dims = (int)n;
    for (Py_ssize_t d = 0; d < n; ++d) {
        walk->shape[d] = PyLong_AsSsize_t(PyTuple_GetItem(tuple, d));
        if (walk->shape[d] < 0) return false;
    }
    return true;
}

bool parse_policy(PyObject* tuple, Cast* cast, const Kernels** kernels) {
    int target, overflow, rounding, nan, inf, exact;
    unsigned long long seed;
    const char* kernel;
    if (!PyArg_ParseTuple(tuple, "iiiiipKz", &target, &overflow, &rounding, &nan, &inf, &exact, &seed,
                          &kernel))
        return false;
    if (target < 0 || target >= N_FORMATS || overflow < 0 || overflow > 3 || rounding < 0 ||
        rounding > 4 || nan < 0 || nan > 1 || inf < 0 || inf > 2) {
        PyErr_SetString(PyExc_ValueError, "a policy out of range");
        return false;
    }
    *cast = Cast{};
    cast->target = (FormatId)target;
    cast->overflow = (Overflow)overflow;
    cast->rounding = (Rounding)rounding;
    cast->nan = (NanPolicy)nan;
    cast->inf = (InfPolicy)inf;
    cast->full = exact;
    cast->keys = seed_keys(seed);
    *kernels = kernel ? find_kernels(kernel) : pick_kernels();
    if (!*kernels) PyErr_Format(PyExc_ValueError, "no kernels called '%s' run on this CPU", kernel);
    return *kernels != nullptr;
}

PyObject* index_object(uint64_t index) {
    if (index == NO_INDEX) Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(index);
}

}  // namespace tc
