// Nested lists and tuples of Python numbers straight into memory of one format.
//
// What no block holds exactly (an integer beyond 2^53 among complex numbers, or beyond uint64) is
// encoded in Python, by the reference.
#include "methods.hpp"
#include "number_block.hpp"

namespace tc {
namespace {

// What classify() says of a type that is no plain Python number: a FormatId (its numbers are read
// by float(), int(), bool()), one of these, or -1: it is no number.
enum : long { PY_BOOL = 60, PY_INT = 61, PY_FLOAT = 62, PY_COMPLEX = 63, CONVERT_EACH = 128 };
static_assert((long)N_FORMATS <= (long)PY_BOOL, "kinds are bits of one word");

struct Numbers : NumberBlock {
    Walk walk;
    bool by_layout = false;
    uint64_t allowed = 0, seen = 0;
    bool scanning = false;  // a kind that changes the format was met: only kinds are gathered on
    PyObject *classify, *convert, *encode;

    PyTypeObject* types[8];
    long codes[8];
    int n_types = 0;

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

}  // namespace tc
