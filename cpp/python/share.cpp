// The fast way of arrays.as_tensor: a torch tensor on the memory of a plain NumPy array, or cast from
// it; on that of a bytearray, an array.array or a memoryview; a plain torch tensor as it is, or cast.
#include <string.h>

#include "fast.hpp"

namespace tc {
namespace {

// The places of the arguments of arrays.as_tensor.
enum { DATA, DTYPE, DEVICE, COPY, ON_READ_ONLY, POLICY };

// What keeps an array's memory alive and in place: the array, and a weak reference to the array whose
// memory it is, for NumPy refuses to resize that one then.
PyObject* hold(const State& s, PyObject* array) {
    PyObject* root = array;
    Py_INCREF(root);
    for (;;) {
        PyObject* base = s.numpy.base(root);
        if (!base) break;
        if (Py_TYPE(base) != s.numpy.type && !PyType_IsSubtype(Py_TYPE(base), s.numpy.type)) {
            Py_DECREF(base);
            break;
        }
        Py_DECREF(root);
        root = base;
    }
    PyObject* pin = PyErr_Occurred() ? nullptr : PyWeakref_NewRef(root, nullptr);
    PyObject* held = pin ? PyTuple_Pack(2, array, pin) : nullptr;
    Py_XDECREF(pin);
    Py_DECREF(root);
    return held;
}

// Strides in elements; false: torch has none such.
bool strides_of(const View& v, int64_t* strides) {
    const Row& row = ROWS[v.format];
    const int64_t size = row.container();
    const unsigned aligned = row.kind == Kind::Complex ? size / 2 : size;
    if ((uintptr_t)v.layout.address % aligned) return false;
    for (int d = 0; d < v.layout.n_dims; ++d) {
        const int64_t step = v.layout.strides[d];
        if (step < 0 || step % size) {
            if (v.layout.shape[d] > 1) return false;
            strides[d] = 1;
        } else {
            strides[d] = step / size;
        }
    }
    return true;
}

PyObject* from_numpy(State& s, PyObject* array, PyObject* const* args, int format) {
    View v;
    if (!s.torch.native.from_blob || !view_numpy(s, array, &v) || !v.n_elements ||
        torch_watches(s))
        return declined();
    if (format < 0) format = v.format;
    int64_t strides[MAX_DIMS];
    const bool shares = format == v.format && v.writable && args[COPY] != Py_True && strides_of(v, strides);
    if (!shares)
        return args[COPY] == Py_False ? declined() : cast_to_new_tensor(s, v, format, args + POLICY);
    const int dtype = s.torch.dtype_of_format[format] - 1;
    PyObject* held = dtype >= 0 ? hold(s, array) : nullptr;
    if (!held) return declined();
    PyObject* tensor = tensor_on(s.torch.native, v.layout.address, v.layout.n_dims, v.layout.shape,
                                 strides, dtype, held);
    Py_DECREF(held);
    return tensor ? tensor : declined();
}

// The format of an element of the buffer protocol in the machine's own way; -1: general.
int format_of_element(const char* code, Py_ssize_t n_bytes) {
    if (!code) code = "B";
    if (!*code || code[1]) return -1;
    switch (*code) {
        case '?': return n_bytes == 1 ? F_bool : -1;
        case 'e': return F_float16;
        case 'f': return F_float32;
        case 'd': return F_float64;
    }
    const bool is_signed = strchr("bhilq", *code), is_unsigned = strchr("BHILQ", *code);
    if (!is_signed && !is_unsigned) return -1;
    switch (n_bytes) {
        case 1: return is_signed ? F_int8 : F_uint8;
        case 2: return is_signed ? F_int16 : F_uint16;
        case 4: return is_signed ? F_int32 : F_uint32;
        case 8: return is_signed ? F_int64 : F_uint64;
    }
    return -1;
}

// Writable memory in C order; the export that keeps it in place is a memoryview's.
PyObject* from_buffer(State& s, PyObject* data, PyObject* const* args, int to) {
    if (!s.torch.native.from_blob || args[COPY] == Py_True || torch_watches(s)) return declined();
    PyObject* held = PyMemoryView_FromObject(data);
    Py_buffer b;
    if (!held || PyObject_GetBuffer(held, &b, PyBUF_FORMAT | PyBUF_ND | PyBUF_WRITABLE) < 0) {
        Py_XDECREF(held);
        return declined();
    }
    const int format = format_of_element(b.format, b.itemsize);
    const int dtype = format < 0 ? -1 : s.torch.dtype_of_format[format] - 1;
    PyObject* tensor = nullptr;
    if (dtype >= 0 && (to < 0 || to == format) && b.len && b.ndim <= MAX_DIMS &&
        (uintptr_t)b.buf % (size_t)b.itemsize == 0) {
        int64_t shape[MAX_DIMS], strides[MAX_DIMS], step = 1;
        for (int d = b.ndim - 1; d >= 0; --d) {
            shape[d] = b.shape[d];
            strides[d] = step;
            step *= shape[d];
        }
        tensor = tensor_on(s.torch.native, b.buf, b.ndim, shape, strides, dtype, held);
    }
    PyBuffer_Release(&b);
    Py_DECREF(held);
    return tensor ? tensor : declined();
}

PyObject* from_torch(State& s, PyObject* tensor, PyObject* const* args, int to) {
    const int format = format_of_plain(s, tensor);
    if (format < 0 || args[COPY] == Py_True) return declined();
    if (to < 0 || to == format) {
        Py_INCREF(tensor);
        return tensor;
    }
    if (args[COPY] == Py_False) return declined();
    PyObject* const* policy = args + POLICY;
    PyObject* const cast[] = {tensor,    args[DTYPE], policy[0], policy[1], policy[2], policy[3],
                              policy[4], policy[5],   Py_None,   Py_None,   Py_None,   Py_False,  Py_False,
                              Py_False};
    return cast_first(s, cast);
}

bool is_copy(PyObject* object) { return object == Py_None || object == Py_True || object == Py_False; }

}  // namespace

PyObject* as_tensor_first(State& s, PyObject* const* args) {
    PyObject* data = args[DATA];
    PyTypeObject* type = Py_TYPE(data);
    if (!s.learn || args[DEVICE] != Py_None || !is_copy(args[COPY]) ||
        !PyUnicode_Check(args[ON_READ_ONLY]) ||
        PyUnicode_CompareWithASCIIString(args[ON_READ_ONLY], "copy") != 0)
        return declined();
    if (!s.torch.type) {  // None: whatever there is of torch
        PyObject* none = PyObject_CallFunctionObjArgs(s.learn, Py_None, nullptr);
        Py_XDECREF(none);
        if (!none) return declined();
    }
    const bool is_buffer = type == &PyByteArray_Type || type == &PyMemoryView_Type || type == s.array_type;
    if (!s.numpy.type && type != s.torch.type && !is_buffer) {
        PyObject* none = PyObject_CallFunctionObjArgs(s.learn, data, nullptr);
        Py_XDECREF(none);
        if (!none) return declined();
    }
    const bool is_torch = s.torch.type && type == s.torch.type;
    if (!s.torch.type || (!is_torch && !is_buffer && type != s.numpy.type)) return declined();
    const int to = args[DTYPE] == Py_None ? -1 : format_of(s, args[DTYPE]);
    if ((args[DTYPE] != Py_None && to < 0) || !is_policy(s, args + POLICY)) return declined();
    return is_torch    ? from_torch(s, data, args, to)
           : is_buffer ? from_buffer(s, data, args, to)
                       : from_numpy(s, data, args, to);
}

}  // namespace tc
