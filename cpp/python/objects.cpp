// Looks for the values of CPython's objects in objects of known content.
#include "objects.hpp"

#include "private.hpp"

namespace tc {
namespace {

bool size_of(PyTypeObject* type, Py_ssize_t* size) {
    PyObject* found = PyObject_GetAttrString((PyObject*)type, "__basicsize__");
    *size = found ? PyLong_AsSsize_t(found) : -1;
    Py_XDECREF(found);
    if (*size < 0) PyErr_Clear();
    return *size >= 0;
}

bool ints_are_at(bool tagged) {
    const int64_t values[] = {0, 1, -1, 7, 256, 257, -5, -6, DIGIT, -(int64_t)DIGIT, DIGIT + 1ll,
                              -(DIGIT + 1ll), (1ll << 60) - 1, -(1ll << 60) + 1, 1ll << 60, -(1ll << 60)};
    for (const int64_t value : values) {
        PyObject* object = PyLong_FromLongLong(value);
        if (!object) return PyErr_Clear(), false;
        int64_t found = 0;
        const bool small = tagged ? small_int<true>(object, &found) : small_int<false>(object, &found);
        Py_DECREF(object);
        const bool expected = value < (1ll << 60) && value > -(1ll << 60);
        if (small != expected || (small && found != value)) return false;
    }
    return true;
}

bool items_are_at(PyObject* sequence, Py_ssize_t offset, bool indirect) {
    if (load<Py_ssize_t>(sequence, HEAD) != 2) return false;
    const void* items = indirect ? load<const void*>(sequence, offset) : (const char*)sequence + offset;
    return items && load<PyObject*>(items, 0) == Py_None && load<PyObject*>(items, 8) == Py_True;
}

ObjectLayouts find_layouts() {
    ObjectLayouts found;
    if (without("python-objects") || sizeof(void*) != 8 || Py_Version < 0x030b0000 || Py_Version >= 0x030f0000) return found;
    Py_ssize_t of_float, of_int, of_list, of_tuple;
    if (!size_of(&PyFloat_Type, &of_float) || !size_of(&PyLong_Type, &of_int) ||
        !size_of(&PyList_Type, &of_list) || !size_of(&PyTuple_Type, &of_tuple))
        return found;
    if (of_float != 24 || of_int != 24 || of_list != 40 || (of_tuple != 24 && of_tuple != 32)) return found;
    PyObject* number = PyFloat_FromDouble(-1234.5678);
    PyObject* list = Py_BuildValue("[OO]", Py_None, Py_True);
    PyObject* tuple = Py_BuildValue("(OO)", Py_None, Py_True);
    found.tuple_items = of_tuple;
    found.tagged = Py_Version >= 0x030c0000;
    found.known = number && list && tuple && load<double>(number, HEAD) == -1234.5678 &&
                  items_are_at(list, HEAD + 8, true) && items_are_at(tuple, of_tuple, false) &&
                  ints_are_at(found.tagged);
    Py_XDECREF(number);
    Py_XDECREF(list);
    Py_XDECREF(tuple);
    if (PyErr_Occurred()) PyErr_Clear();
    return found;
}

}  // namespace

const ObjectLayouts& layouts() {
    static const ObjectLayouts found = find_layouts();
    return found;
}

}  // namespace tc
