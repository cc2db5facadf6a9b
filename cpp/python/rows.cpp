// Rows of pixels that lie wherever another library put them: found without trust, and packed.
#include <stdlib.h>
#include <string.h>

#include "../isa/bits.hpp"
#include "image_kernels.hpp"
#include "methods.hpp"

#if defined(__linux__)
#include <sys/uio.h>
#include <unistd.h>
#endif

namespace tc {
namespace {

// Copies memory of this process. False, and no signal, where some of it is not there, or where the
// system does not say.
bool read_memory(uintptr_t address, void* to, size_t n_bytes) {
#if defined(__linux__)
    const iovec local = {to, n_bytes}, remote = {(void*)address, n_bytes};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n_bytes;
#else
    (void)address;
    (void)to;
    (void)n_bytes;
    return false;
#endif
}

constexpr int64_t TASK_BYTES = 1 << 18;

struct Job {
    const ImageKernels* kernels;
    unsigned n_bands;
    int64_t width, n_rows, rows_per_task, pitch;
    const char* from;
    char* to;
};

void pack_some(void* context, uint64_t number) {
    const Job& job = *(const Job*)context;
    const int64_t begin = (int64_t)number * job.rows_per_task;
    const int64_t end = begin + job.rows_per_task < job.n_rows ? begin + job.rows_per_task : job.n_rows;
    const int64_t to_pitch = job.width * job.n_bands;
    for (int64_t row = begin; row < end; ++row) {
        const char* from = job.from + row * job.pitch;
        char* to = job.to + row * to_pitch;
        if (job.n_bands == 1)
            memcpy(to, from, (size_t)job.width);
        else
            job.kernels->pack((const uint8_t*)from, job.n_bands, (uint64_t)job.width, (uint8_t*)to);
    }
}

}  // namespace

// memory_read(address, n_bytes) -> bytes | None: this process's memory, None where it has none there
// or nobody can say
PyObject* memory_read(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 2) return PyErr_Format(PyExc_TypeError, "memory_read takes 2 arguments");
    const uintptr_t address = (uintptr_t)PyLong_AsVoidPtr(args[0]);
    const Py_ssize_t n_bytes = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred()) return nullptr;
    if (n_bytes < 0) return PyErr_Format(PyExc_ValueError, "a negative length");
    PyObject* read = PyBytes_FromStringAndSize(nullptr, n_bytes);
    if (!read || read_memory(address, PyBytes_AsString(read), (size_t)n_bytes)) return read;
    Py_DECREF(read);
    Py_RETURN_NONE;
}

// memory_rows(address of a table of pointers, n_rows) -> [(address, n_rows, bytes from row to row)]
// | None: the rows as runs of equal distance
PyObject* memory_rows(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 2) return PyErr_Format(PyExc_TypeError, "memory_rows takes 2 arguments");
    const uintptr_t table = (uintptr_t)PyLong_AsVoidPtr(args[0]);
    const Py_ssize_t n_rows = PyLong_AsSsize_t(args[1]);
    if (PyErr_Occurred()) return nullptr;
    if (n_rows < 0 || n_rows > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(uintptr_t))
        return PyErr_Format(PyExc_ValueError, "a length out of range");
    uintptr_t* rows = (uintptr_t*)malloc(n_rows ? (size_t)n_rows * sizeof *rows : 1);
    if (!rows) return PyErr_NoMemory();
    PyObject* runs = nullptr;
    if (!read_memory(table, rows, (size_t)n_rows * sizeof *rows)) {
        free(rows);
        Py_RETURN_NONE;
    }
    runs = PyList_New(0);
    for (Py_ssize_t begin = 0, end; runs && begin < n_rows; begin = end) {
        end = begin + 1;
        const intptr_t pitch = end < n_rows ? (intptr_t)(rows[end] - rows[begin]) : 0;
        while (end < n_rows && (intptr_t)(rows[end] - rows[end - 1]) == pitch) ++end;
        PyObject* run = Py_BuildValue("(Knn)", (unsigned long long)rows[begin], end - begin, (Py_ssize_t)pitch);
        if (!run || PyList_Append(runs, run) < 0) Py_CLEAR(runs);
        Py_XDECREF(run);
    }
    free(rows);
    return runs;
}

// memory_pack(source address, bytes from row to row, n_rows, width, n_bands, target address,
//     n_threads, kernel | None): rows of pixels without gaps: of 4-byte ones 2 or 3 bands, of 2 the
//     second being a pixel's last byte; or pixels of one byte
PyObject* memory_pack(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 8) return PyErr_Format(PyExc_TypeError, "memory_pack takes 8 arguments");
    Job job{};
    job.from = (const char*)PyLong_AsVoidPtr(args[0]);
    job.pitch = PyLong_AsSsize_t(args[1]);
    job.n_rows = PyLong_AsSsize_t(args[2]);
    job.width = PyLong_AsSsize_t(args[3]);
    job.n_bands = (unsigned)PyLong_AsUnsignedLong(args[4]);
    job.to = (char*)PyLong_AsVoidPtr(args[5]);
    const unsigned long n_threads = PyLong_AsUnsignedLong(args[6]);
    if (PyErr_Occurred()) return nullptr;
    job.kernels = image_kernels_for(args[7]);
    if (!job.kernels) return nullptr;
    if (job.n_bands < 1 || job.n_bands > 3 || job.n_rows < 0 || job.width < 0)
        return PyErr_Format(PyExc_ValueError, "arguments out of range");
    if (job.n_rows && job.width) {
        job.rows_per_task = 1 + TASK_BYTES / (4 * job.width);
        Py_BEGIN_ALLOW_THREADS
        parallel((unsigned)n_threads, (uint64_t)((job.n_rows + job.rows_per_task - 1) / job.rows_per_task),
                 pack_some, &job);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

}  // namespace tc
