#include "views.hpp"

#include <string.h>

namespace tc {
namespace {

// The struct behind NumPy's __array_struct__ (numpy.org/doc/stable/reference/arrays.interface.html).
struct ArrayInterface {
    int two;  // always 2
    int n_dims;
    char kind;
    int item_size;
    int flags;
    Py_intptr_t* shape;
    Py_intptr_t* strides;
    void* data;
    PyObject* description;
};

constexpr int NOT_SWAPPED = 0x200, WRITEABLE = 0x400;

constexpr int MAX_FAST_DIMS = 16;

// n_elements, contiguous and dense of the shape and the strides.
void measure_layout(View* v) {
    const Layout& l = v->layout;
    const int64_t size = ROWS[v->format].container();
    uint64_t n = 1;
    bool contiguous = true;
    for (int d = l.n_dims - 1; d >= 0; --d) {
        contiguous &= l.shape[d] == 1 || l.strides[d] == (int64_t)n * size;
        n *= (uint64_t)l.shape[d];
    }
    v->n_elements = n;
    v->layout.contiguous = v->dense = contiguous || n == 0;
    if (v->dense) return;
    // in any order, each dimension continues where the smaller ones end
    int64_t reached = size;
    for (int round = 0; round < l.n_dims; ++round)
        for (int d = 0; d < l.n_dims; ++d)
            if (l.shape[d] != 1 && l.strides[d] == reached) reached *= l.shape[d];
    v->dense = (uint64_t)reached == n * (uint64_t)size;
}

bool is(PyObject* object, PyObject* constant) {
    if (!object) return false;
    Py_DECREF(object);
    return object == constant;
}

// Whether the elements in memory are to be conjugated or negated where they are read. (A tensor of
// zeros without memory has no address.) .imag of a conjugate is negated; torch._neg_view negates any.
bool is_pending(const State& s, FormatId format, PyObject* tensor) {
    if (ROWS[format].kind == Kind::Complex && !is(s.torch.is_conj(tensor, nullptr), Py_False)) return true;
    if (s.torch.native.found) return s.torch.native.is_neg(handle_of(tensor));
    return !is(s.torch.is_neg(tensor, nullptr), Py_False);
}

int64_t number_from(PyObject* object, const char* method) {
    PyObject* found = object ? PyObject_CallMethod(object, method, nullptr) : nullptr;
    const int64_t number = found ? PyLong_AsLongLong(found) : -1;
    Py_XDECREF(found);
    return number;
}

// Everything of the layout but what the format decides.
bool exchange(const State& s, PyObject* tensor, dlpack::Tensor* t) {
    return s.torch.exchange->dltensor_from_py_object_no_sync(tensor, t) == 0 &&
           t->device_type == dlpack::CPU && t->n_dims >= 0 && t->n_dims <= MAX_FAST_DIMS &&
           t->type_lanes == 1 && (!t->n_dims || t->strides);
}

bool view_of(const dlpack::Tensor& t, FormatId format, View* v) {
    const int64_t size = ROWS[format].container();
    if (t.type_bits != ROWS[format].bits) return false;
    v->format = format;
    v->layout.address = (char*)t.data + t.byte_offset;
    v->layout.n_dims = t.n_dims;
    v->layout.swapped = false;
    for (int d = 0; d < t.n_dims; ++d) {
        v->layout.shape[d] = t.shape[d];
        v->layout.strides[d] = t.strides[d] * size;
    }
    v->writable = true;
    measure_layout(v);
    return t.data || !v->n_elements;
}

int format_by_dtype(State& s, PyObject* tensor) {
    PyObject* dtype = s.torch.dtype(tensor);
    if (!dtype) return -1;
    const int format = format_of(s, dtype);
    Py_DECREF(dtype);
    return format;
}

// The format of a tensor, remembered by torch's number for its dtype.
int format_by_number(State& s, PyObject* tensor) {
    Torch& torch = s.torch;
    int32_t number;
    if (torch.native.dtype(handle_of(tensor), &number) != 0) return -1;
    const bool kept = number >= 0 && number < N_DTYPES;
    if (kept && torch.format_of_dtype[number]) return torch.format_of_dtype[number] - 1;
    const int format = format_by_dtype(s, tensor);
    if (kept && format >= 0) {
        torch.format_of_dtype[number] = (uint8_t)(format + 1);
        torch.dtype_of_format[format] = (uint8_t)(number + 1);
    }
    return format;
}

// The same without that number. DLPack tells it by code and bits; but torch's int1 to int7 say 8
// bits too.
int format_of_torch(State& s, PyObject* tensor, const dlpack::Tensor& t) {
    if (s.torch.native.found) return format_by_number(s, tensor);
    const bool tells = t.type_code < 32 && t.type_bits <= 128 && t.type_bits % 8 == 0 &&
                       (t.type_code > dlpack::UINT || t.type_bits > 8);
    uint8_t* known = tells ? &s.torch.formats[t.type_code][t.type_bits / 8] : nullptr;
    if (known && *known) return *known - 1;
    const int format = format_by_dtype(s, tensor);
    if (known && format >= 0) *known = (uint8_t)(format + 1);
    return format;
}

bool requires_grad(const State& s, PyObject* tensor) {
    if (s.torch.native.found) return s.torch.native.requires_grad(impl_of(tensor));
    return !is(s.torch.requires_grad(tensor), Py_False);
}

// The index of a spelling by the dict of all that were met, or by asking Python.
int look_up(State& s, PyObject* spelling) {
    PyObject* known = PyDict_GetItemWithError(s.formats, spelling);
    if (!known) {
        if (PyErr_Occurred()) return -1;  // not hashable
        ++s.n_asked;
        PyObject* found = PyObject_CallFunctionObjArgs(s.resolve, spelling, nullptr);
        if (!found) return -1;
        // a program has few spellings; one that makes them up does not fill the memory
        if (PyDict_Size(s.formats) >= 1024) PyDict_Clear(s.formats);
        const int kept = PyDict_SetItem(s.formats, spelling, found);
        const long index = found == Py_None ? -1 : PyLong_AsLong(found);
        Py_DECREF(found);
        return kept == 0 && index < N_FORMATS ? (int)index : -1;
    }
    return known == Py_None ? -1 : (int)PyLong_AsLong(known);
}

}  // namespace

int format_of(State& s, PyObject* spelling) {
    const size_t address = (size_t)spelling;
    Met& met = s.met[(address >> 4 ^ address >> 9) % N_MET];
    if (met.spelling == spelling) return met.format;
    const int format = look_up(s, spelling);
    if (format < 0 && PyErr_Occurred()) return -1;
    PyObject* old = met.spelling;
    Py_INCREF(spelling);
    met = {spelling, format};
    Py_XDECREF(old);
    return format;
}

bool view_torch(State& s, PyObject* tensor, View* v) {
    dlpack::Tensor t;
    if (requires_grad(s, tensor) || !exchange(s, tensor, &t)) return false;
    const int format = format_of_torch(s, tensor, t);
    if (format < 0 || !view_of(t, (FormatId)format, v) || is_pending(s, (FormatId)format, tensor)) return false;
    uint64_t span = v->n_bytes();
    if (!v->dense) {
        const char *low, *high;
        extent(*v, &low, &high);
        span = (uint64_t)(high - low);
    }
    return in_storage(s, tensor, ROWS[format].container(), span);
}

bool in_storage(const State& s, PyObject* tensor, unsigned item_size, uint64_t span) {
    if (!span) return true;
    const Native& native = s.torch.native;
    int64_t offset, n_bytes;
    if (native.found) {
        if (native.storage_offset(handle_of(tensor), &offset) || native.storage_size(handle_of(tensor), &n_bytes))
            return false;
    } else {
        PyObject* storage = PyObject_CallMethod(tensor, "untyped_storage", nullptr);
        n_bytes = number_from(storage, "nbytes");
        Py_XDECREF(storage);
        offset = number_from(tensor, "storage_offset");
    }
    return offset >= 0 && n_bytes >= 0 && (uint64_t)offset * item_size + span <= (uint64_t)n_bytes;
}

bool view_torch_result(const State& s, PyObject* tensor, FormatId format, View* v) {
    dlpack::Tensor t;
    return Py_TYPE(tensor) == s.torch.type && exchange(s, tensor, &t) && view_of(t, format, v);
}

int format_of_plain(State& s, PyObject* tensor) {
    dlpack::Tensor t;
    return exchange(s, tensor, &t) ? format_of_torch(s, tensor, t) : -1;
}

void learn_dtype(State& s, PyObject* tensor) { format_by_number(s, tensor); }

bool view_numpy(State& s, PyObject* array, View* v) {
    PyObject* dtype = s.numpy.dtype(array);
    if (!dtype) return false;
    const int format = format_of(s, dtype);
    Py_DECREF(dtype);
    if (format < 0) return false;
    PyObject* capsule = s.numpy.array_struct(array);
    if (!capsule) return false;
    const auto* a = (const ArrayInterface*)PyCapsule_GetPointer(capsule, nullptr);
    const bool taken = a && a->two == 2 && a->n_dims >= 0 && a->n_dims <= MAX_FAST_DIMS &&
                       a->item_size == (int)ROWS[format].container() && a->flags & NOT_SWAPPED;
    if (taken) {
        v->format = (FormatId)format;
        v->layout.address = (char*)a->data;
        v->layout.n_dims = a->n_dims;
        v->layout.swapped = false;
        for (int d = 0; d < a->n_dims; ++d) {
            v->layout.shape[d] = a->shape[d];
            v->layout.strides[d] = a->strides[d];
        }
        v->writable = a->flags & WRITEABLE;
        measure_layout(v);
    }
    Py_DECREF(capsule);
    return taken;
}

void extent(const View& v, const char** low, const char** high) {
    const Layout& l = v.layout;
    *low = *high = l.address;
    if (!v.n_elements) return;
    for (int d = 0; d < l.n_dims; ++d) {
        const int64_t reach = (l.shape[d] - 1) * l.strides[d];
        *(reach < 0 ? low : high) += reach;
    }
    *high += ROWS[v.format].container();
}

}  // namespace tc
