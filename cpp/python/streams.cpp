// Streams from file to file, and digests.
#include "../stream.hpp"

#include <Python.h>

#include "../hash.hpp"
#include "arguments.hpp"
#include "methods.hpp"

namespace tc {
namespace {

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

}  // namespace

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
    stream_copy(SYSTEM_CALLS, *default_kernels(), at.ends, n, &done);
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

}  // namespace tc
