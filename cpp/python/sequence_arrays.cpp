// Lists of arrays of one shape, NumPy's and torch's read directly, into memory of one format.
#include "../isa/bits.hpp"
#include "methods.hpp"
#include "views.hpp"
#include "walk.hpp"

namespace tc {
namespace {

// The head of a NumPy array and of a DLPack tensor, as their public headers have them
// (PyArrayObject_fields; DLTensor and DLPackExchangeAPI of DLPack 1.3).
struct NumpyArray {
    char head[HEAD];
    char* data;
    int n_dims;
    const Py_ssize_t* shape;
    const Py_ssize_t* strides;
    PyObject* base;
    PyObject* dtype;
    int flags;
};
constexpr int C_CONTIGUOUS = 1, ALIGNED = 0x100;

struct DlTensor {
    char* data;
    int32_t device_type, device_id;
    int32_t n_dims;
    uint8_t code, bits;
    uint16_t lanes;
    const int64_t* shape;
    const int64_t* strides;
    uint64_t offset;
};
struct DlExchange {
    uint32_t major, minor;
    const void *older, *allocate, *take, *give;
    int (*view)(void* tensor, DlTensor* out);
};

struct Arrays {
    Walk walk;
    Cast cast;
    const Kernels* kernels;
    char* out;
    unsigned from_size, to_size, n_threads;
    int n_dims;
    Py_ssize_t shape[MAX_DIMS];  // of each array
    uint64_t n = 1, begin = 0;   // elements of each, elements done
    PyTypeObject* type;          // of the arrays read directly
    PyObject *dtype = nullptr, *other;
    State* state;
    const DlExchange* exchange = nullptr;
    DlTensor first;
    Layout from{}, to{};
    Stats stats;
    uint64_t first_refused = NO_INDEX;

    const char* numpy_data(PyObject* object) const {
        const NumpyArray* array = (const NumpyArray*)object;
        const int wanted = C_CONTIGUOUS | ALIGNED;
        if (array->dtype != dtype || array->n_dims != n_dims || (array->flags & wanted) != wanted)
            return nullptr;
        for (int d = 0; d < n_dims; ++d)
            if (array->shape[d] != shape[d]) return nullptr;
        return array->data;
    }

    const char* torch_data(PyObject* object) const {
        DlTensor t;
        if (exchange->view(object, &t) != 0) return PyErr_Clear(), nullptr;
        if (!t.data || t.device_type != 1 || t.n_dims != n_dims || t.code != first.code || t.bits != first.bits ||
            t.lanes != 1 || (uintptr_t)(t.data + t.offset) % from_size)
            return nullptr;
        int64_t expected = 1;
        for (int d = n_dims - 1; d >= 0; --d) {
            if (t.shape[d] != shape[d] || (t.strides && t.shape[d] != 1 && t.strides[d] != expected))
                return nullptr;
            expected *= t.shape[d];
        }
        // DLPack tells neither what is to be negated on reading nor where a storage ends
        if (state->torch.native.is_neg(handle_of(object)) || !in_storage(*state, object, from_size, n * from_size))
            return nullptr;
        return t.data + t.offset;
    }

    // Contiguous elements of `source`, in the machine's byte order, to where the next belong. `tensor`:
    // a torch tensor that has them, or null.
    bool put(const char* data, FormatId source, PyObject* tensor) {
        if (n == 0) return true;  // the address of nothing may be null
        Cast one = cast;
        one.source = source;
        const Row &from_row = ROWS[source], &to_row = ROWS[cast.target];
        const unsigned from_size = from_row.container();
        const uint64_t before = n_refused_or_changed(cast, stats);
        const bool pairs = from_row.kind == Kind::Complex || to_row.kind == Kind::Complex;
        const bool draws = cast.rounding == Rounding::Stochastic;
        bool done = true;
        if (source == cast.target && cast.inf == InfPolicy::Keep && n * to_size < 1 << 16) {
            memcpy(out + begin * to_size, data, n * to_size);
        } else if (n <= BLOCK && !pairs) {
            const FloatEnvironment environment;
            kernels->run(one, data, out + begin * to_size, n, begin, &stats);
        } else {
            // a run longer than a block starts at a multiple of it: random numbers go by the index
            const uint64_t step = draws && begin % BLOCK ? BLOCK / 2 : n;
            Hold hold;
            if (tensor && !hold.take(state->torch.native, tensor)) return PyErr_NoMemory(), walk.fail(Status::Error, nullptr, 0);
            for (uint64_t i = 0; done && i < n; i += step) {
                const uint64_t m = n - i < step ? n - i : step;
                from.address = (char*)data + i * from_size;
                to.address = out + (begin + i) * to_size;
                Py_BEGIN_ALLOW_THREADS
                done = cast_tensor(*kernels, one, from, to, m, draws ? begin + i : 0, n_threads, &stats);
                Py_END_ALLOW_THREADS
            }
        }
        if (!done) return PyErr_NoMemory(), walk.fail(Status::Error, nullptr, 0);
        if (first_refused == NO_INDEX && n_refused_or_changed(cast, stats) != before) first_refused = begin;
        begin += n;
        return true;
    }

    bool leaf(PyObject* object) {
        const char* data = nullptr;
        if (Py_TYPE(object) == type) data = exchange ? torch_data(object) : numpy_data(object);
        if (data) return put(data, cast.source, exchange ? object : nullptr);
        walk.depth = walk.n_dims;
        PyObject* path = walk.path();
        PyObject* found = path ? PyObject_CallFunctionObjArgs(other, object, path, nullptr) : nullptr;
        Py_XDECREF(path);
        long source = -1;
        if (found && PyTuple_Check(found) && PyTuple_Size(found) == 3) {
            data = (const char*)PyLong_AsVoidPtr(PyTuple_GetItem(found, 1));
            source = PyLong_AsLong(PyTuple_GetItem(found, 2));
        }
        if (!PyErr_Occurred() && (source < 0 || source >= N_FORMATS))
            PyErr_SetString(PyExc_TypeError, "expected (owner, address, format)");
        const bool on = PyErr_Occurred() ? walk.fail(Status::Error, nullptr, 0)
                        : n == 0         ? true
                                         : put(data, (FormatId)source, nullptr);
        Py_XDECREF(found);
        return on;
    }

    bool leaves(PyObject* sequence, int depth) {
        for (Py_ssize_t i = 0; i < walk.shape[depth]; ++i) {
            walk.index[depth] = i;
            PyObject* item = item_of(sequence, i);
            if (!item) return walk.fail(Status::Ragged, sequence, depth);
            Py_INCREF(item);
            const bool on = leaf(item);
            Py_DECREF(item);
            if (!on) return false;
        }
        return length_of(sequence) == walk.shape[depth] || walk.fail(Status::Ragged, sequence, depth);
    }
};

}  // namespace

// sequence_arrays(data, outer shape, inner shape, source format, policy, address, n_threads, facts, other) ->
//     (status, first refused, n_overflow, n_nan_lost, n_inexact, path, object)
// `facts` is how to read the arrays directly: (sample, its address) of NumPy, (sample, its address,
// capsule of the DLPack exchange API) of torch, or () to read none so. The rest are
// asked for by other(array, path) -> (owner, address of contiguous elements, format), which raises
// where the shape is another. The memory at `address` has room for all in the policy's target.
PyObject* sequence_arrays(PyObject* module, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 9) return PyErr_Format(PyExc_TypeError, "sequence_arrays takes 9 arguments");
    Arrays arrays;
    arrays.state = state_of(module);
    Walk inner;
    const long source = PyLong_AsLong(args[3]);
    if (!parse_shape(args[1], &arrays.walk) || !parse_shape(args[2], &inner) ||
        !parse_policy(args[4], &arrays.cast, &arrays.kernels))
        return nullptr;
    arrays.out = (char*)PyLong_AsVoidPtr(args[5]);
    arrays.n_threads = (unsigned)PyLong_AsUnsignedLong(args[6]);
    if (PyErr_Occurred()) return nullptr;
    if (source < 0 || source >= N_FORMATS) return PyErr_Format(PyExc_ValueError, "no such format");
    arrays.cast.source = (FormatId)source;
    arrays.from_size = ROWS[source].container();
    arrays.to_size = ROWS[arrays.cast.target].container();
    arrays.n_dims = inner.n_dims;
    for (int d = 0; d < inner.n_dims; ++d) {
        arrays.shape[d] = inner.shape[d];
        arrays.n *= (uint64_t)inner.shape[d];
    }
    arrays.from.contiguous = arrays.to.contiguous = true;
    arrays.other = args[8];
    arrays.type = nullptr;
    const Py_ssize_t n_facts = PyTuple_Size(args[7]);
    // of complex tensors DLPack does not tell that they are to be conjugated on reading
    if (n_facts >= 2 && (n_facts == 2 || ROWS[source].kind != Kind::Complex)) {
        PyObject* sample = PyTuple_GetItem(args[7], 0);
        const char* address = (const char*)PyLong_AsVoidPtr(PyTuple_GetItem(args[7], 1));
        arrays.type = Py_TYPE(sample);
        if (n_facts == 2) {
            arrays.dtype = ((const NumpyArray*)sample)->dtype;
            if (((const NumpyArray*)sample)->data != address || !arrays.numpy_data(sample))
                arrays.type = nullptr;
        } else {
            const char* name = "dlpack_exchange_api";
            arrays.exchange = (const DlExchange*)PyCapsule_GetPointer(PyTuple_GetItem(args[7], 2), name);
            if (!arrays.exchange) return nullptr;
            if (!arrays.state->torch.type) {
                PyObject* none = PyObject_CallFunctionObjArgs(arrays.state->learn, Py_None, nullptr);
                Py_XDECREF(none);
                if (!none) PyErr_Clear();
            }
            if (!arrays.state->torch.native.found || arrays.exchange->major != 1 || !arrays.exchange->view ||
                arrays.exchange->view(sample, &arrays.first) != 0 || arrays.torch_data(sample) != address)
                arrays.type = nullptr;
            if (PyErr_Occurred()) PyErr_Clear();
        }
    }
    walk_down(arrays, arrays.walk, args[0], 0);
    if (arrays.walk.status == Status::Error) return nullptr;
    PyObject* path = arrays.walk.path();
    if (!path) return nullptr;
    const Stats& s = arrays.stats;
    PyObject* failed = arrays.walk.failed ? arrays.walk.failed : Py_None;
    return Py_BuildValue("iNKKKNO", (int)arrays.walk.status, index_object(arrays.first_refused),
                         (unsigned long long)s.n_overflow, (unsigned long long)s.n_nan_lost,
                         (unsigned long long)s.n_inexact, path, failed);
}

}  // namespace tc
