// Images to planes of numbers: walks pixels of any strides, by the tables and forms it is given.
#include <stdlib.h>
#include <string.h>

#include "../images.hpp"
#include "../isa/bits.hpp"
#include "image_kernels.hpp"
#include "methods.hpp"
#include "sets.hpp"

namespace tc {

#if defined(__x86_64__)
extern const ImageKernels IMAGES_v4, IMAGES_v3;
#endif
extern const ImageKernels IMAGES_baseline;

namespace {

const ImageKernels* const ALL_IMAGES[] = {
#if defined(__x86_64__)
    &IMAGES_v4,
    &IMAGES_v3,
#endif
    &IMAGES_baseline,
};

constexpr int64_t CHUNK = 1024;    // pixels separated into planes in L1
constexpr int64_t PIECE = 1 << 14;  // pixels of one task
constexpr unsigned MAX_SEPARATED = 4;
constexpr uint64_t THREADS_PAY_FROM_BYTES = 1 << 20, NONTEMPORAL_FROM_BYTES = 16 << 20;

struct Axis {
    int64_t n, from, to;  // elements, and bytes from one to the next
};

struct Job {
    const ImageKernels* kernels;
    FormatId target;
    unsigned from_size, to_size;
    Channel* channels;
    int64_t n_channels;
    Axis channel, axes[3];  // the last axis has the smallest step in the target
    int64_t n_pieces;       // of the last axis
    const char* from;
    char* to;
    bool nontemporal;
};

template <class T>
void spread(const char* codes, char* to, int64_t step, int64_t n) {
    for (int64_t i = 0; i < n; ++i) memcpy(to + i * step, codes + i * sizeof(T), sizeof(T));
}

void spread_codes(unsigned size, const char* codes, char* to, int64_t step, int64_t n) {
    struct Wide {
        char bytes[16];
    };
    switch (size) {
        case 1: return spread<uint8_t>(codes, to, step, n);
        case 2: return spread<uint16_t>(codes, to, step, n);
        case 4: return spread<uint32_t>(codes, to, step, n);
        case 8: return spread<uint64_t>(codes, to, step, n);
        default: return spread<Wide>(codes, to, step, n);
    }
}

// The results of n 16-bit pixels, wherever they lie.
void look_up_wide(const Job& job, const Channel& channel, const char* from, int64_t step, char* codes,
                  int64_t n) {
    const char* table = (const char*)channel.table;
    for (int64_t i = 0; i < n; ++i) {
        uint16_t pixel;
        memcpy(&pixel, from + i * step, 2);
        memcpy(codes + i * job.to_size, table + (size_t)pixel * job.to_size, job.to_size);
    }
}

void convert_chunk(const Job& job, const char* from, char* to, int64_t n) {
    alignas(64) uint8_t separated[MAX_SEPARATED][CHUNK];
    alignas(64) char codes[CHUNK * 16];
    const Axis& pixel = job.axes[2];
    // Pillow's RGB: three channels of four bytes
    const bool padded = job.n_channels == 3 && pixel.from == 4;
    const bool interleaved = job.from_size == 1 && job.n_channels > 1 && job.n_channels <= MAX_SEPARATED &&
                             job.channel.from == 1 && (pixel.from == job.n_channels || padded);
    const bool direct = pixel.to == job.to_size;
    if (interleaved) {
        uint8_t* planes[MAX_SEPARATED] = {separated[0], separated[1], separated[2], separated[3]};
        const int64_t whole = padded ? n - 1 : n;  // the last padding may not be ours to read
        job.kernels->separate((const uint8_t*)from, (unsigned)pixel.from, (uint64_t)whole, planes);
        if (padded)
            for (int c = 0; c < 3; ++c) separated[c][whole] = *(const uint8_t*)(from + 4 * whole + c);
    }
    for (int64_t c = 0; c < job.n_channels; ++c) {
        const char* source = from + c * job.channel.from;
        char* target = to + c * job.channel.to;
        char* results = direct ? target : codes;
        if (job.from_size == 2) {
            look_up_wide(job, job.channels[c], source, pixel.from, results, n);
        } else {
            const uint8_t* plane = (const uint8_t*)source;
            if (interleaved) {
                plane = separated[c];
            } else if (pixel.from != 1) {
                for (int64_t i = 0; i < n; ++i) separated[0][i] = *(const uint8_t*)(source + i * pixel.from);
                plane = separated[0];
            }
            job.kernels->convert(job.channels[c], job.target, plane, results, (uint64_t)n,
                                 job.nontemporal && direct);
        }
        if (!direct) spread_codes(job.to_size, codes, target, pixel.to, n);
    }
}

void run_piece(void* context, uint64_t number) {
    const FloatEnvironment environment;
    const Job& job = *(const Job*)context;
    const int64_t piece = (int64_t)number % job.n_pieces, outer = (int64_t)number / job.n_pieces;
    const int64_t i = outer / job.axes[1].n, j = outer % job.axes[1].n, begin = piece * PIECE;
    const char* from = job.from + i * job.axes[0].from + j * job.axes[1].from;
    char* to = job.to + i * job.axes[0].to + j * job.axes[1].to;
    const int64_t end = begin + PIECE < job.axes[2].n ? begin + PIECE : job.axes[2].n;
    for (int64_t k = begin; k < end; k += CHUNK)
        convert_chunk(job, from + k * job.axes[2].from, to + k * job.axes[2].to,
                      end - k < CHUNK ? end - k : CHUNK);
#if defined(__x86_64__)
    if (job.nontemporal) _mm_sfence();
#endif
}

int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// The axis with the smallest step in the target comes last, and axes that continue each other on
// both sides become one.
void arrange(Axis* axes) {
    Axis kept[3];
    int n = 0;
    for (int d = 0; d < 3; ++d)
        if (axes[d].n != 1) kept[n++] = axes[d];
    for (int i = 1; i < n; ++i)
        for (int j = i; j > 0 && magnitude(kept[j].to) > magnitude(kept[j - 1].to); --j) {
            const Axis swap = kept[j];
            kept[j] = kept[j - 1];
            kept[j - 1] = swap;
        }
    for (int d = 0; d + 1 < n;) {
        const Axis &outer = kept[d], &inner = kept[d + 1];
        if (outer.from != inner.from * inner.n || outer.to != inner.to * inner.n) {
            ++d;
            continue;
        }
        kept[d] = {outer.n * inner.n, inner.from, inner.to};
        for (int e = d + 1; e + 1 < n; ++e) kept[e] = kept[e + 1];
        --n;
    }
    for (int d = 0; d < 3; ++d) axes[d] = d < 3 - n ? Axis{1, 0, 0} : kept[d - (3 - n)];
}

bool parse_axis(PyObject* tuple, Axis* axis) {
    long long n, from, to;
    if (!PyArg_ParseTuple(tuple, "LLL", &n, &from, &to)) return false;
    *axis = {n, from, to};
    return n >= 0 || (PyErr_SetString(PyExc_ValueError, "a negative length"), false);
}

}  // namespace

const ImageKernels* image_kernels_for(PyObject* name) { return set_for(ALL_IMAGES, name); }

// image_computes(kernel | None) -> whether these kernels compute faster than they look up
PyObject* image_computes(PyObject*, PyObject* kernel) {
    const ImageKernels* kernels = image_kernels_for(kernel);
    return kernels ? PyBool_FromLong(kernels->computes) : nullptr;
}

// image_planes(target, channels, source address, bytes of a pixel, target address, axes, channel
//     axis, n_threads, kernel | None); a channel is (form, divisor, reciprocal, a, b, table), an
// axis (n, bytes in the source, bytes in the target), there are three axes beside the channels'.
PyObject* image_planes(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 9) return PyErr_Format(PyExc_TypeError, "image_planes takes 9 arguments");
    Job job{};
    const long target = PyLong_AsLong(args[0]);
    job.from = (const char*)PyLong_AsVoidPtr(args[2]);
    job.from_size = (unsigned)PyLong_AsUnsignedLong(args[3]);
    job.to = (char*)PyLong_AsVoidPtr(args[4]);
    const unsigned long n_threads = PyLong_AsUnsignedLong(args[7]);
    if (PyErr_Occurred()) return nullptr;
    job.kernels = image_kernels_for(args[8]);
    if (!job.kernels || !parse_axis(args[6], &job.channel)) return nullptr;
    job.n_channels = PyTuple_Size(args[1]);
    if (target < 0 || target >= N_FORMATS || (job.from_size != 1 && job.from_size != 2) ||
        job.n_channels != job.channel.n || PyTuple_Size(args[5]) != 3)
        return PyErr_Occurred() ? nullptr : PyErr_Format(PyExc_ValueError, "arguments out of range");
    for (int d = 0; d < 3; ++d)
        if (!parse_axis(PyTuple_GetItem(args[5], d), &job.axes[d])) return nullptr;
    job.target = (FormatId)target;
    job.to_size = ROWS[target].container();
    job.channels = (Channel*)calloc(job.n_channels ? (size_t)job.n_channels : 1, sizeof(Channel));
    if (!job.channels) return PyErr_NoMemory();
    const Py_ssize_t table_bytes = (Py_ssize_t)job.to_size << (8 * job.from_size);
    bool parsed = true;
    for (int64_t c = 0; parsed && c < job.n_channels; ++c) {
        int form;
        PyObject* table;
        Channel& channel = job.channels[c];
        parsed = PyArg_ParseTuple(PyTuple_GetItem(args[1], c), "iffddO", &form, &channel.divisor,
                                  &channel.reciprocal, &channel.a, &channel.b, &table);
        if (!parsed) break;
        channel.form = (Form)form;
        channel.table = PyBytes_AsString(table);
        parsed = channel.table != nullptr;
        if (parsed && (PyBytes_Size(table) != table_bytes || form < 0 || form > 2)) {
            PyErr_SetString(PyExc_ValueError, "a table of another size");
            parsed = false;
        }
    }
    if (parsed && job.axes[0].n && job.axes[1].n && job.axes[2].n && job.n_channels) {
        arrange(job.axes);
        job.n_pieces = (job.axes[2].n + PIECE - 1) / PIECE;
        const uint64_t pixels = (uint64_t)(job.axes[0].n * job.axes[1].n * job.axes[2].n * job.n_channels);
        job.nontemporal = pixels * job.to_size >= NONTEMPORAL_FROM_BYTES;
        const bool few = pixels * (job.to_size + job.from_size) < THREADS_PAY_FROM_BYTES;
        Py_BEGIN_ALLOW_THREADS
        parallel(few ? 1 : (unsigned)n_threads, (uint64_t)(job.axes[0].n * job.axes[1].n * job.n_pieces),
                 run_piece, &job);
        Py_END_ALLOW_THREADS
    }
    free(job.channels);
    if (!parsed) return nullptr;
    Py_RETURN_NONE;
}

}  // namespace tc
