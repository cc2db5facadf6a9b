// tensorcast._core: the kernels, to Python. Stable ABI of CPython 3.11 and up.
//
// Formats and policies arrive as small integers: the index in formats.FORMATS, policy.OVERFLOWS,
// policy.ROUNDINGS, policy.NANS and policy.INFS. kernels/cpu.py is the only caller.
#include <Python.h>
#include <string.h>

#include "api.hpp"
#include "hash.hpp"
#include "memory.hpp"
#include "python/methods.hpp"
#include "python/state.hpp"
#include "stream.hpp"

namespace {

using namespace tc;

const Kernels* default_kernels = nullptr;

bool to_u64(PyObject* object, uint64_t* out) {
    *out = PyLong_AsUnsignedLongLong(object);
    return !(*out == (unsigned long long)-1 && PyErr_Occurred());
}

bool to_size(PyObject* object, int64_t* out) {
    *out = PyLong_AsLongLong(object);
    return !(*out == -1 && PyErr_Occurred());
}

PyObject* index_or_none(uint64_t index) {
    if (index == NO_INDEX) Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(index);
}

// The code of the one value, None if there is none. Of complex elements the codes of both components
// in one number; what is left out of 128 bits makes two values alike once in 2^64.
PyObject* one_or_none(const OneValue& one) {
    if (one.seen != 1) Py_RETURN_NONE;
    const uint64_t second = one.code[1] << 32 | one.code[1] >> 32;
    const uint64_t mixed = one.code[1] >> 32 ? one.code[0] * 0x9E3779B97F4A7C15u ^ second : one.code[0] ^ second;
    return PyLong_FromUnsignedLongLong(mixed);
}

// The fields of Stats in the order that kernels/cpu.py names.
PyObject* stats_tuple(const Stats& s) {
    const bool one_result = s.one_result.seen == 1;
    return Py_BuildValue("KKNNdKKNNKKKKKddLLddd", (unsigned long long)s.n_overflow,
                         (unsigned long long)s.n_nan_lost, index_or_none(s.first_overflow),
                         index_or_none(s.largest_index), s.largest_overflow,
                         (unsigned long long)s.n_zero, (unsigned long long)s.n_to_zero,
                         one_or_none(one_result ? s.one_source : OneValue()), one_or_none(s.one_result),
                         (unsigned long long)s.n_inexact, (unsigned long long)s.n_underflow,
                         (unsigned long long)s.n_nan, (unsigned long long)s.n_inf,
                         (unsigned long long)s.n_finite, s.min, s.max, (long long)s.min_integer,
                         (long long)s.max_integer, s.max_abs_error, s.sum_squared_error,
                         s.sum_squared);
}

// The kernels of that name, or those picked for this CPU.
bool parse_kernels(PyObject* name_or_none, const Kernels** kernels) {
    *kernels = default_kernels;
    if (name_or_none == Py_None) return true;
    Py_ssize_t length;
    const char* name = PyUnicode_AsUTF8AndSize(name_or_none, &length);
    if (!name) return false;
    *kernels = find_kernels(name);
    if (!*kernels) PyErr_Format(PyExc_ValueError, "no kernels called '%s' run on this CPU", name);
    return *kernels != nullptr;
}

// What every cast takes: source, target, overflow, rounding, nan, inf, seed, first, what to count (0:
// what a policy needs, 1: everything, 2: what becomes 0 or one value too), kernel.
constexpr Py_ssize_t N_COMMON = 10;

bool parse_common(PyObject* const* args, Cast* cast, uint64_t* first, const Kernels** kernels) {
    int64_t small[6], full;
    const int64_t limits[6] = {N_FORMATS, N_FORMATS, N_OVERFLOWS, N_ROUNDINGS, N_NANS, N_INFS};
    for (int i = 0; i < 6; ++i) {
        if (!to_size(args[i], &small[i])) return false;
        if (small[i] < 0 || small[i] >= limits[i]) {
            PyErr_Format(PyExc_ValueError, "argument %d is out of range", i);
            return false;
        }
    }
    uint64_t seed;
    if (!to_u64(args[6], &seed) || !to_u64(args[7], first) || !to_size(args[8], &full))
        return false;
    cast->source = (FormatId)small[0];
    cast->target = (FormatId)small[1];
    cast->overflow = (Overflow)small[2];
    cast->rounding = (Rounding)small[3];
    cast->nan = (NanPolicy)small[4];
    cast->inf = (InfPolicy)small[5];
    cast->full = full == 1;
    cast->collapses = full != 0;
    cast->nontemporal = false;
    cast->quiets = false;
    cast->index_shift = 0;
    cast->keys = seed_keys(seed);
    return parse_kernels(args[9], kernels);
}

PyObject* finish(bool done, const Stats& stats) {
    return done ? stats_tuple(stats) : PyErr_NoMemory();
}

// cast_chunk(<common>, source, target | None, n_elements): contiguous, packed where sub-byte.
PyObject* cast_chunk(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != N_COMMON + 3)
        return PyErr_Format(PyExc_TypeError, "cast_chunk takes %zd arguments", N_COMMON + 3);
    Cast cast;
    uint64_t first, n;
    const Kernels* kernels;
    if (!parse_common(args, &cast, &first, &kernels) || !to_u64(args[N_COMMON + 2], &n)) return nullptr;
    const Row &from = ROWS[cast.source], &to = ROWS[cast.target];
    cast.source_packed = from.bits < 8;
    cast.target_packed = to.bits < 8;
    Py_buffer in, out;
    const bool writes = args[N_COMMON + 1] != Py_None;
    if (PyObject_GetBuffer(args[N_COMMON], &in, PyBUF_SIMPLE) < 0) return nullptr;
    if (writes && PyObject_GetBuffer(args[N_COMMON + 1], &out, PyBUF_WRITABLE) < 0) {
        PyBuffer_Release(&in);
        return nullptr;
    }
    PyObject* result = nullptr;
    // n * bits cannot overflow once n is bounded by the buffer
    const bool fits = n <= (uint64_t)1 << 56 && ((n * from.bits + 7) / 8 <= (uint64_t)in.len) &&
                      (!writes || (n * to.bits + 7) / 8 <= (uint64_t)out.len);
    if (!fits) {
        PyErr_Format(PyExc_ValueError, "%llu elements do not fit the buffers given",
                     (unsigned long long)n);
    } else {
        Stats stats;
        Layout source{}, target{};
        source.address = (char*)in.buf;
        target.address = writes ? (char*)out.buf : nullptr;
        source.contiguous = target.contiguous = true;
        bool done;
        Py_BEGIN_ALLOW_THREADS
        done = cast_tensor(*kernels, cast, source, target, n, first, 1, &stats);
        Py_END_ALLOW_THREADS
        result = finish(done, stats);
    }
    PyBuffer_Release(&in);
    if (writes) PyBuffer_Release(&out);
    return result;
}

// (address, shape, strides | None when contiguous, packed, swapped)
bool parse_layout(PyObject* tuple, Layout* layout, bool* packed, uint64_t* n) {
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != 5) {
        PyErr_SetString(PyExc_TypeError, "a layout is (address, shape, strides, packed, swapped)");
        return false;
    }
    layout->address = (char*)PyLong_AsVoidPtr(PyTuple_GetItem(tuple, 0));
    if (!layout->address && PyErr_Occurred()) return false;
    PyObject *shape = PyTuple_GetItem(tuple, 1), *strides = PyTuple_GetItem(tuple, 2);
    const Py_ssize_t n_dims = PyTuple_Size(shape);
    if (n_dims < 0) return false;
    // one dimension is kept free for the components of complex elements
    if (n_dims >= MAX_DIMS) {
        PyErr_Format(PyExc_ValueError, "%zd dimensions; at most %d are supported", n_dims, MAX_DIMS - 1);
        return false;
    }
    layout->contiguous = strides == Py_None;
    layout->n_dims = layout->contiguous ? 0 : (int)n_dims;
    *n = 1;
    for (Py_ssize_t d = 0; d < n_dims; ++d) {
        if (!to_size(PyTuple_GetItem(shape, d), &layout->shape[d])) return false;
        *n *= (uint64_t)layout->shape[d];
        if (layout->contiguous) continue;
        PyObject* stride = PyTuple_GetItem(strides, d);
        if (!stride || !to_size(stride, &layout->strides[d])) return false;
    }
    *packed = PyObject_IsTrue(PyTuple_GetItem(tuple, 3)) == 1;
    layout->swapped = PyObject_IsTrue(PyTuple_GetItem(tuple, 4)) == 1;
    return true;
}

// cast_tensor(<common>, source layout, target layout | None, n_threads)
PyObject* cast_strided(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != N_COMMON + 3)
        return PyErr_Format(PyExc_TypeError, "cast_tensor takes %zd arguments", N_COMMON + 3);
    Cast cast;
    uint64_t first, n, n_target;
    int64_t n_threads;
    const Kernels* kernels;
    Layout source{}, target{};
    cast.target_packed = false;
    if (!parse_common(args, &cast, &first, &kernels) || !to_size(args[N_COMMON + 2], &n_threads) ||
        !parse_layout(args[N_COMMON], &source, &cast.source_packed, &n))
        return nullptr;
    if (args[N_COMMON + 1] == Py_None) {
        target.contiguous = true;
    } else {
        if (!parse_layout(args[N_COMMON + 1], &target, &cast.target_packed, &n_target)) return nullptr;
        if (n != n_target) {
            PyErr_SetString(PyExc_ValueError, "source and target differ in their number of elements");
            return nullptr;
        }
    }
    Stats stats;
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = cast_tensor(*kernels, cast, source, target, n, first,
                       n_threads < 1 ? 1u : (unsigned)n_threads, &stats);
    Py_END_ALLOW_THREADS
    return finish(done, stats);
}

// ---- streams ------------------------------------------------------------------------------------

// The arguments source, offset, target | -1, offset, then one or two writable blocks, held until
// the end of the call.
class StreamEnds {
  public:
    Ends ends{};

    ~StreamEnds() {
        for (int i = 0; i < n_held_; ++i) PyBuffer_Release(&held_[i]);
    }
    bool parse(PyObject* const* args, int n_blocks) {
        int64_t source, target;
        if (!to_size(args[0], &source) || !to_u64(args[1], &ends.source_offset) ||
            !to_size(args[2], &target) || !to_u64(args[3], &ends.target_offset))
            return false;
        ends.source = (int)source;
        ends.target = (int)target;
        while (n_held_ < n_blocks) {
            if (PyObject_GetBuffer(args[4 + n_held_], &held_[n_held_], PyBUF_WRITABLE) < 0) return false;
            ++n_held_;
        }
        ends.in = (char*)held_[0].buf;
        ends.in_bytes = (size_t)held_[0].len;
        if (n_blocks == 2) {
            ends.out = (char*)held_[1].buf;
            ends.out_bytes = (size_t)held_[1].len;
        }
        return true;
    }

  private:
    Py_buffer held_[2];
    int n_held_ = 0;
};

// (digest, bytes read, bytes written, what stopped it, errno), with the statistics before if asked
PyObject* streamed_tuple(const Streamed& s, bool counted) {
    if (s.stopped == Stopped::Memory) return PyErr_NoMemory();
    PyObject* end = Py_BuildValue("KKKii", (unsigned long long)s.digest, (unsigned long long)s.n_read,
                                  (unsigned long long)s.n_written, (int)s.stopped, s.error);
    if (!counted || !end) return end;
    PyObject* stats = stats_tuple(s.stats);
    if (!stats) {
        Py_DECREF(end);
        return nullptr;
    }
    return Py_BuildValue("NN", stats, end);
}

// stream_cast(<common>, source, offset, target | -1, offset, in block, out block, n_elements)
PyObject* py_stream_cast(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != N_COMMON + 7)
        return PyErr_Format(PyExc_TypeError, "stream_cast takes %zd arguments", N_COMMON + 7);
    Cast cast;
    uint64_t first, n;
    const Kernels* kernels;
    StreamEnds at;
    if (!parse_common(args, &cast, &first, &kernels) || !at.parse(args + N_COMMON, 2) ||
        !to_u64(args[N_COMMON + 6], &n))
        return nullptr;
    cast.source_packed = ROWS[cast.source].bits < 8;
    cast.target_packed = ROWS[cast.target].bits < 8;
    if (!stream_elements(cast.source, cast.target, at.ends.in_bytes, at.ends.out_bytes)) {
        PyErr_SetString(PyExc_ValueError, "the blocks are too small");
        return nullptr;
    }
    Streamed done;
    Py_BEGIN_ALLOW_THREADS
    stream_cast(SYSTEM_CALLS, *kernels, cast, at.ends, n, first, &done);
    Py_END_ALLOW_THREADS
    return streamed_tuple(done, true);
}

// stream_copy(source, offset, target | -1, offset, block, n_bytes)
PyObject* py_stream_copy(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 6) return PyErr_Format(PyExc_TypeError, "stream_copy takes 6 arguments");
    uint64_t n;
    StreamEnds at;
    if (!at.parse(args, 1) || !to_u64(args[5], &n)) return nullptr;
    if (at.ends.in_bytes == 0) {
        PyErr_SetString(PyExc_ValueError, "the block is too small");
        return nullptr;
    }
    Streamed done;
    Py_BEGIN_ALLOW_THREADS
    stream_copy(SYSTEM_CALLS, *default_kernels, at.ends, n, &done);
    Py_END_ALLOW_THREADS
    return streamed_tuple(done, false);
}

// xxh3(data, kernels | None) -> int
PyObject* py_xxh3(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 2) return PyErr_Format(PyExc_TypeError, "xxh3 takes 2 arguments");
    const Kernels* kernels;
    Py_buffer in;
    if (!parse_kernels(args[1], &kernels) || PyObject_GetBuffer(args[0], &in, PyBUF_SIMPLE) < 0)
        return nullptr;
    uint64_t digest;
    Py_BEGIN_ALLOW_THREADS
    digest = xxh3(*kernels, in.buf, (size_t)in.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&in);
    return PyLong_FromUnsignedLongLong(digest);
}

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
    default_kernels = pick_kernels();
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
