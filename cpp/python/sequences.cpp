// Nested lists and tuples of Python numbers, and lists of arrays, straight into memory of one format.
//
// Numbers are gathered as int64, uint64, float64 or bool, 2048 at a time, and each block goes
// through the kernels into the target: one rounding, from the exact Python value. What no block
// holds exactly (an integer beyond 2^53 among complex numbers, or beyond uint64) is encoded in
// Python, by the reference. Nothing here words a message: a refusal comes back as a path.
#include <string.h>

#include "../isa/bits.hpp"
#include "methods.hpp"

namespace tc {
namespace {

// ---- reading CPython's objects ------------------------------------------------------------------

// The stable ABI reads every item of a list by a call and every number by another, about 5 ns
// each; a load takes less than one. Where a float has its value, a list its items, a tuple its
// items and an int its digits has not moved from CPython 3.11 to 3.14 but for an int's sign and
// a tuple's beginning. So both are looked for once, in objects of known content, and where
// anything is not as expected (another version, a debug build) the calls are used.
struct ObjectLayouts {
    bool known = false;
    bool tagged = false;  // CPython 3.12: length and sign of an int are in one word
    Py_ssize_t tuple_items = 0;
};

constexpr Py_ssize_t HEAD = 2 * sizeof(void*);  // reference count and type
constexpr uint32_t DIGIT = (1u << 30) - 1;

template <class T>
TC_INLINE T load(const void* object, Py_ssize_t offset) {
    T value;
    memcpy(&value, (const char*)object + offset, sizeof value);
    return value;
}

// An exact int of at most two digits of 30 bits; false: it has more. Both digits are read even
// where there is one: memory of objects is a multiple of 8 bytes. No branch on sign or length,
// which in random numbers nothing predicts.
template <bool TAGGED>
TC_INLINE bool small_int(const void* object, int64_t* out) {
    const uint64_t word = load<uint64_t>(object, HEAD), digits = load<uint64_t>(object, HEAD + 8);
    const uint64_t negative = TAGGED ? (word >> 1) & 1 : word >> 63;
    const uint64_t n = TAGGED ? word >> 3 : (word ^ -negative) + negative;
    const uint64_t low = digits & DIGIT, high = (digits >> 32) & DIGIT & -(n >> 1);
    const uint64_t magnitude = (low | high << 30) & -uint64_t(n != 0);
    *out = (int64_t)((magnitude ^ -negative) + negative);
    return n <= 2;
}

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
    if (sizeof(void*) != 8 || Py_Version < 0x030b0000 || Py_Version >= 0x030f0000) return found;
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

const ObjectLayouts& layouts() {
    static const ObjectLayouts found = find_layouts();
    return found;
}

Py_ssize_t length_of(PyObject* sequence) {
    return PyList_Check(sequence) ? PyList_Size(sequence) : PyTuple_Size(sequence);
}

bool is_sequence(PyObject* object) { return PyList_Check(object) || PyTuple_Check(object); }

// Borrowed; null, with no error set, if the list has shrunk.
PyObject* item_of(PyObject* sequence, Py_ssize_t i) {
    PyObject* item = PyList_Check(sequence) ? PyList_GetItem(sequence, i) : PyTuple_GetItem(sequence, i);
    if (!item) PyErr_Clear();
    return item;
}

// The items in memory, good until the next call into Python; null where the layout is not known.
PyObject* const* items_of(PyObject* sequence) {
    if (PyList_Check(sequence)) return load<PyObject* const*>(sequence, HEAD + 8);
    return (PyObject* const*)((const char*)sequence + layouts().tuple_items);
}

// ---- walking ------------------------------------------------------------------------------------

enum class Status { Done, Kinds, Ragged, NotANumber, ComplexToReal, Error };

// What both walks share: the shape, where the walk is, what went wrong.
struct Walk {
    int n_dims = 0;
    Py_ssize_t shape[MAX_DIMS];
    Py_ssize_t index[MAX_DIMS];
    int depth = 0;  // of the path to what failed
    Status status = Status::Done;
    PyObject* failed = nullptr;  // owned

    ~Walk() { Py_XDECREF(failed); }

    bool fail(Status with, PyObject* object, int path_length) {
        status = with;
        depth = path_length;
        Py_XDECREF(failed);
        failed = object;
        Py_XINCREF(object);
        return false;
    }

    PyObject* path() const {
        PyObject* tuple = PyTuple_New(depth);
        for (int d = 0; tuple && d < depth; ++d)
            if (PyTuple_SetItem(tuple, d, PyLong_FromSsize_t(index[d])) < 0) Py_CLEAR(tuple);
        return tuple;
    }
};

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

// Calls leaves(sequence) for every innermost list and leaf(object) where there is no list at all.
template <class Visitor>
bool walk_down(Visitor& visitor, Walk& walk, PyObject* object, int depth) {
    if (depth == walk.n_dims) return visitor.leaf(object);
    if (!is_sequence(object) || length_of(object) != walk.shape[depth])
        return walk.fail(Status::Ragged, object, depth);
    if (depth == walk.n_dims - 1) return visitor.leaves(object, depth);
    for (Py_ssize_t i = 0; i < walk.shape[depth]; ++i) {
        walk.index[depth] = i;
        PyObject* item = item_of(object, i);
        if (!item) return walk.fail(Status::Ragged, object, depth);
        Py_INCREF(item);
        const bool on = walk_down(visitor, walk, item, depth + 1);
        Py_DECREF(item);
        if (!on) return false;
    }
    return length_of(object) == walk.shape[depth] || walk.fail(Status::Ragged, object, depth);
}

// ---- numbers ------------------------------------------------------------------------------------

// What classify() says of a type that is no plain Python number: a FormatId (its numbers are read
// by float(), int(), bool()), one of these, or -1: it is no number.
enum : long { PY_BOOL = 60, PY_INT = 61, PY_FLOAT = 62, PY_COMPLEX = 63, CONVERT_EACH = 128 };
static_assert((long)N_FORMATS <= (long)PY_BOOL, "kinds are bits of one word");

enum class Gathered { Bool, Int, Uint, Float, Complex };

constexpr int64_t EXACT = int64_t{1} << 53;  // integers up to here are exact in float64

struct Numbers {
    Walk walk;
    Cast cast;
    const Kernels* kernels;
    FormatId target;
    char* out = nullptr;
    unsigned itemsize = 0;
    bool is_complex = false;
    bool by_layout = false;
    uint64_t allowed = 0, seen = 0;
    bool scanning = false;  // a kind that changes the format was met: only kinds are gathered on
    PyObject *classify, *convert, *encode;

    PyTypeObject* types[8];
    long codes[8];
    int n_types = 0;

    Gathered kind = Gathered::Int;
    bool direct = false;  // the target holds what is gathered, as it is
    uint64_t begin = 0;   // index of the block's first element
    unsigned count = 0;
    char* at = nullptr;   // of the block
    Stats stats;
    uint64_t first_refused = NO_INDEX;
    alignas(64) char block[BLOCK * 8];

    FormatId gathered_format() const {
        switch (kind) {
            case Gathered::Bool: return F_bool;
            case Gathered::Int: return F_int64;
            case Gathered::Uint: return F_uint64;
            default: return F_float64;
        }
    }

    void start(Gathered as) {
        kind = as;
        direct = as == Gathered::Complex ? target == F_complex128 : target == gathered_format();
        at = direct ? out + begin * itemsize : block;
    }

    uint64_t n_refused() const {
        return (cast.overflow == Overflow::Raise ? stats.n_overflow : 0) +
               (cast.overflow == Overflow::Wrap ? stats.n_inf : 0) +
               (cast.nan == NanPolicy::Raise ? stats.n_nan_lost : 0) +
               (cast.full ? stats.n_inexact + stats.n_nan_lost : 0);
    }

    void flush() {
        if (count && !direct) {
            const uint64_t before = n_refused();
            const unsigned each = kind == Gathered::Complex ? 2 : 1;
            Cast one = cast;
            one.source = gathered_format();
            {
                const FloatEnvironment environment;
                kernels->run(one, block, out + begin * itemsize, each * count, each * begin, &stats);
            }
            if (first_refused == NO_INDEX && n_refused() != before) first_refused = begin;
        }
        begin += count;
        count = 0;
        start(kind);
    }

    // Two components are a complex number: they too are at most BLOCK.
    TC_INLINE unsigned capacity() const { return is_complex ? BLOCK / 2 : BLOCK; }

    TC_INLINE void room() {
        if (count == capacity()) flush();
    }

    void turn(Gathered as) {
        if (kind == as) return;
        flush();
        start(as);
    }

    template <class T>
    TC_INLINE void put(T value) {
        room();
        memcpy(at + count * sizeof value, &value, sizeof value);
        ++count;
    }

    void put_complex(double real, double imaginary) {
        room();
        memcpy(at + count * 16, &real, 8);
        memcpy(at + count * 16 + 8, &imaginary, 8);
        ++count;
    }

    void put_float(double value) {
        if (is_complex) return put_complex(value, 0);
        turn(Gathered::Float);
        put(value);
    }

    // What no block holds: its bytes come from Python.
    bool put_encoded(PyObject* number) {
        flush();
        PyObject* bytes = PyObject_CallFunction(encode, "OK", number, (unsigned long long)begin);
        char* data;
        Py_ssize_t length;
        if (!bytes || PyBytes_AsStringAndSize(bytes, &data, &length) < 0 || length != (Py_ssize_t)itemsize) {
            Py_XDECREF(bytes);
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "encoded to a wrong size");
            return walk.fail(Status::Error, nullptr, 0);
        }
        memcpy(out + begin * itemsize, data, itemsize);
        Py_DECREF(bytes);
        ++begin;
        start(kind);
        return true;
    }

    bool put_int(PyObject* number) {
        int overflow;
        const int64_t value = PyLong_AsLongLongAndOverflow(number, &overflow);
        if (value == -1 && !overflow && PyErr_Occurred()) return walk.fail(Status::Error, nullptr, 0);
        if (overflow) {
            if (overflow < 0 || is_complex) return put_encoded(number);
            const uint64_t large = PyLong_AsUnsignedLongLong(number);
            if (large == ~uint64_t{0} && PyErr_Occurred()) {
                PyErr_Clear();
                return put_encoded(number);
            }
            turn(Gathered::Uint);
            put(large);
            return true;
        }
        const bool exact = value <= EXACT && value >= -EXACT;
        if (is_complex) {
            if (!exact) return put_encoded(number);
            put_complex((double)value, 0);
        } else if (kind == Gathered::Float && exact) {
            put((double)value);
        } else if (kind == Gathered::Uint && value >= 0) {
            put((uint64_t)value);
        } else {
            turn(Gathered::Int);
            put(value);
        }
        return true;
    }

    void put_bool(bool value) {
        if (is_complex) return put_complex(value, 0);
        switch (kind) {
            case Gathered::Bool: return put((uint8_t)value);
            case Gathered::Float: return put((double)value);
            default: return put((int64_t)value);
        }
    }

    // An exact Python number, or an instance of a subclass of one.
    bool put_number(PyObject* number) {
        if (number == Py_True || number == Py_False) return put_bool(number == Py_True), true;
        if (PyFloat_Check(number)) return put_float(PyFloat_AsDouble(number)), true;
        if (PyLong_Check(number)) return put_int(number);
        const double real = PyComplex_RealAsDouble(number);
        if (real == -1 && PyErr_Occurred()) return walk.fail(Status::Error, nullptr, 0);
        if (is_complex) return put_complex(real, PyComplex_ImagAsDouble(number)), true;
        if (ROWS[target].kind == Kind::Bool) return put_encoded(number);
        return walk.fail(Status::ComplexToReal, number, walk.n_dims);
    }

    long code_of(PyObject* object) {
        PyTypeObject* type = Py_TYPE(object);
        if (type == &PyFloat_Type) return PY_FLOAT;
        if (type == &PyLong_Type) return PY_INT;
        if (type == &PyBool_Type) return PY_BOOL;
        if (type == &PyComplex_Type) return PY_COMPLEX;
        for (int i = 0; i < n_types; ++i)
            if (types[i] == type) return codes[i];
        PyObject* found = PyObject_CallFunctionObjArgs(classify, object, nullptr);
        const long code = found ? PyLong_AsLong(found) : -2;
        Py_XDECREF(found);
        if (PyErr_Occurred()) return -2;
        // The type is alive as long as `data` holds the object; one that Python code makes and
        // drops meanwhile could leave its address to another, so only lasting answers are kept.
        if (code >= 0 && n_types < 8) {
            Py_INCREF((PyObject*)type);
            types[n_types] = type;
            codes[n_types++] = code;
        }
        return code;
    }

    ~Numbers() {
        for (int i = 0; i < n_types; ++i) Py_DECREF((PyObject*)types[i]);
    }

    // Notes the kind; true: the number is to be put.
    bool note(long code) {
        const uint64_t bit = uint64_t{1} << code;
        seen |= bit;
        if (!(allowed & bit)) scanning = true;
        return !scanning;
    }

    bool leaf(PyObject* object) {
        long code = code_of(object);
        if (code == -2) return walk.fail(Status::Error, nullptr, 0);
        if (code < 0) return walk.fail(Status::NotANumber, object, walk.n_dims);
        if (code >= PY_BOOL && code <= PY_COMPLEX) return !note(code) || put_number(object);
        PyObject* number = nullptr;
        if (code == CONVERT_EACH) {
            PyObject* pair = PyObject_CallFunctionObjArgs(convert, object, nullptr);
            PyObject* first = pair && PyTuple_Check(pair) ? PyTuple_GetItem(pair, 0) : nullptr;
            code = first ? PyLong_AsLong(first) : -1;
            number = first ? PyTuple_GetItem(pair, 1) : nullptr;
            Py_XINCREF(number);
            Py_XDECREF(pair);
            if (PyErr_Occurred() || !number) {
                Py_XDECREF(number);
                return walk.fail(PyErr_Occurred() ? Status::Error : Status::NotANumber, object, walk.n_dims);
            }
            if (code < 0 || code > PY_COMPLEX) {
                Py_DECREF(number);
                return walk.fail(Status::NotANumber, object, walk.n_dims);
            }
            const bool on = !note(code) || put_number(number);
            Py_DECREF(number);
            return on;
        }
        if (!note(code)) return true;
        if (ROWS[code].kind == Kind::Float) {
            const double value = PyFloat_AsDouble(object);
            if (value == -1 && PyErr_Occurred()) return walk.fail(Status::Error, nullptr, 0);
            return put_float(value), true;
        }
        if (ROWS[code].kind == Kind::Bool) {
            const int value = PyObject_IsTrue(object);
            if (value < 0) return walk.fail(Status::Error, nullptr, 0);
            return put_bool(value == 1), true;
        }
        number = PyNumber_Index(object);
        if (!number) return walk.fail(Status::Error, nullptr, 0);
        const bool on = put_int(number);
        Py_DECREF(number);
        return on;
    }

    // Plain floats, ints and bools from items[i] on, as long as they need no change of block.
    template <bool TAGGED>
    Py_ssize_t run(PyObject* const* items, Py_ssize_t i, Py_ssize_t n) {
        constexpr uint64_t FLOATS = uint64_t{1} << PY_FLOAT, INTS = uint64_t{1} << PY_INT,
                           BOOLS = uint64_t{1} << PY_BOOL;
        constexpr Py_ssize_t AHEAD = 16;
        while (i < n) {
            room();
            const Py_ssize_t left = (Py_ssize_t)(capacity() - count), end = n - i < left ? n : i + left;
            const Py_ssize_t from = i;
            PyTypeObject* const type = Py_TYPE(items[i]);
            if (type == &PyFloat_Type && kind == Gathered::Float && (allowed & FLOATS)) {
                double* to = (double*)at + count;
                for (; i < end && Py_TYPE(items[i]) == &PyFloat_Type; ++i) {
                    if (i + AHEAD < n) __builtin_prefetch(items[i + AHEAD]);
                    *to++ = load<double>(items[i], HEAD);
                }
                seen |= FLOATS;
            } else if (type == &PyLong_Type && kind == Gathered::Int && (allowed & INTS)) {
                int64_t* to = (int64_t*)at + count;
                for (; i < end && Py_TYPE(items[i]) == &PyLong_Type; ++i) {
                    if (i + AHEAD < n) __builtin_prefetch(items[i + AHEAD]);
                    if (!small_int<TAGGED>(items[i], to)) break;
                    ++to;
                }
                seen |= INTS;
            } else if (type == &PyLong_Type && kind == Gathered::Float && (allowed & INTS)) {
                double* to = (double*)at + count;
                for (; i < end && Py_TYPE(items[i]) == &PyLong_Type; ++i) {
                    int64_t value;
                    if (i + AHEAD < n) __builtin_prefetch(items[i + AHEAD]);
                    if (!small_int<TAGGED>(items[i], &value) || value > EXACT || value < -EXACT) break;
                    *to++ = (double)value;
                }
                seen |= INTS;
            } else if (type == &PyBool_Type && kind == Gathered::Bool && (allowed & BOOLS)) {
                uint8_t* to = (uint8_t*)at + count;
                for (; i < end && Py_TYPE(items[i]) == &PyBool_Type; ++i) *to++ = items[i] == Py_True;
                seen |= BOOLS;
            }
            count += (unsigned)(i - from);
            if (i < end) break;
        }
        return i;
    }

    bool leaves(PyObject* sequence, int depth) {
        const Py_ssize_t n = walk.shape[depth];
        for (Py_ssize_t i = 0; i < n; ++i) {
            if (by_layout && !scanning) {
                PyObject* const* items = items_of(sequence);
                i = layouts().tagged ? run<true>(items, i, n) : run<false>(items, i, n);
                if (i == n) break;
            }
            walk.index[depth] = i;
            PyObject* item = item_of(sequence, i);
            if (!item) return walk.fail(Status::Ragged, sequence, depth);
            Py_INCREF(item);
            const bool on = leaf(item);
            Py_DECREF(item);
            if (!on) return false;
            if (length_of(sequence) != n) return walk.fail(Status::Ragged, sequence, depth);
        }
        return true;
    }
};

// (target, overflow, rounding, nan, exact, seed, kernel | None)
bool parse_policy(PyObject* tuple, Cast* cast, const Kernels** kernels) {
    int target, overflow, rounding, nan, exact;
    unsigned long long seed;
    const char* kernel;
    if (!PyArg_ParseTuple(tuple, "iiiipKz", &target, &overflow, &rounding, &nan, &exact, &seed, &kernel))
        return false;
    if (target < 0 || target >= N_FORMATS || overflow < 0 || overflow > 3 || rounding < 0 ||
        rounding > 4 || nan < 0 || nan > 1) {
        PyErr_SetString(PyExc_ValueError, "a policy out of range");
        return false;
    }
    *cast = Cast{};
    cast->target = (FormatId)target;
    cast->overflow = (Overflow)overflow;
    cast->rounding = (Rounding)rounding;
    cast->nan = (NanPolicy)nan;
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

}  // namespace

// sequence_fill(data, shape, policy, address, allowed, classify, convert, encode, by_calls) ->
//     (status, kinds seen, first refused, n_overflow, n_nan_lost, n_inexact, path, object)
// The memory at `address` has room for the shape in the policy's target, not packed.
PyObject* sequence_fill(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 9) return PyErr_Format(PyExc_TypeError, "sequence_fill takes 9 arguments");
    Numbers numbers;
    if (!parse_shape(args[1], &numbers.walk) || !parse_policy(args[2], &numbers.cast, &numbers.kernels))
        return nullptr;
    numbers.out = (char*)PyLong_AsVoidPtr(args[3]);
    numbers.allowed = PyLong_AsUnsignedLongLong(args[4]);
    const int by_calls = PyObject_IsTrue(args[8]);
    if (PyErr_Occurred() || by_calls < 0) return nullptr;
    numbers.classify = args[5];
    numbers.convert = args[6];
    numbers.encode = args[7];
    numbers.by_layout = !by_calls && layouts().known;
    numbers.target = numbers.cast.target;
    const Row& row = ROWS[numbers.target];
    numbers.is_complex = row.kind == Kind::Complex;
    numbers.cast.target = (FormatId)row.component;
    numbers.itemsize = row.container();
    numbers.start(row.kind == Kind::Bool      ? Gathered::Bool
                  : row.kind == Kind::Complex ? Gathered::Complex
                  : row.kind == Kind::Float   ? Gathered::Float
                                              : Gathered::Int);
    if (walk_down(numbers, numbers.walk, args[0], 0)) {
        numbers.flush();
        numbers.walk.status = numbers.scanning ? Status::Kinds : Status::Done;
    }
    if (numbers.walk.status == Status::Error) return nullptr;
    PyObject* path = numbers.walk.path();
    if (!path) return nullptr;
    const Stats& s = numbers.stats;
    PyObject* failed = numbers.walk.failed ? numbers.walk.failed : Py_None;
    return Py_BuildValue("iKNKKKNO", (int)numbers.walk.status, (unsigned long long)numbers.seen,
                         index_object(numbers.first_refused), (unsigned long long)s.n_overflow,
                         (unsigned long long)s.n_nan_lost, (unsigned long long)s.n_inexact, path, failed);
}

// ---- lists of arrays ----------------------------------------------------------------------------

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
    PyObject *dtype = nullptr, *is_negative = nullptr, *other;
    const DlExchange* exchange = nullptr;
    DlTensor first;
    Layout from{}, to{};
    Stats stats;
    uint64_t first_refused = NO_INDEX;

    uint64_t n_refused() const {
        return (cast.overflow == Overflow::Raise ? stats.n_overflow : 0) +
               (cast.overflow == Overflow::Wrap ? stats.n_inf : 0) +
               (cast.nan == NanPolicy::Raise ? stats.n_nan_lost : 0) +
               (cast.full ? stats.n_inexact + stats.n_nan_lost : 0);
    }

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
        // a view of what is to be negated on reading says so nowhere in DLPack
        PyObject* negative = PyObject_CallFunctionObjArgs(is_negative, object, nullptr);
        const bool plain = negative == Py_False;
        Py_XDECREF(negative);
        if (PyErr_Occurred()) PyErr_Clear();
        return plain ? t.data + t.offset : nullptr;
    }

    // Contiguous elements of `source`, in the machine's byte order, to where the next belong.
    bool put(const char* data, FormatId source) {
        Cast one = cast;
        one.source = source;
        const Row &from_row = ROWS[source], &to_row = ROWS[cast.target];
        const unsigned from_size = from_row.container();
        const uint64_t before = n_refused();
        const bool pairs = from_row.kind == Kind::Complex || to_row.kind == Kind::Complex;
        const bool draws = cast.rounding == Rounding::Stochastic;
        bool done = true;
        if (source == cast.target && n * to_size < 1 << 16) {
            memcpy(out + begin * to_size, data, n * to_size);
        } else if (n <= BLOCK && !pairs) {
            const FloatEnvironment environment;
            kernels->run(one, data, out + begin * to_size, n, begin, &stats);
        } else {
            // a run longer than a block starts at a multiple of it: random numbers go by the index
            const uint64_t step = draws && begin % BLOCK ? BLOCK / 2 : n;
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
        if (first_refused == NO_INDEX && n_refused() != before) first_refused = begin;
        begin += n;
        return true;
    }

    bool leaf(PyObject* object) {
        const char* data = nullptr;
        if (Py_TYPE(object) == type) data = exchange ? torch_data(object) : numpy_data(object);
        if (data) return put(data, cast.source);
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
                                         : put(data, (FormatId)source);
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
// capsule of the DLPack exchange API, Tensor.is_neg) of torch, or () to read none so. The rest are
// asked for by other(array, path) -> (owner, address of contiguous elements, format), which raises
// where the shape is another. The memory at `address` has room for all in the policy's target.
PyObject* sequence_arrays(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 9) return PyErr_Format(PyExc_TypeError, "sequence_arrays takes 9 arguments");
    Arrays arrays;
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
            arrays.is_negative = PyTuple_GetItem(args[7], 3);
            if (!arrays.exchange) return nullptr;
            if (arrays.exchange->major != 1 || !arrays.exchange->view ||
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
