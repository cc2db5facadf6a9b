// CPython's floats, ints, lists and tuples, read where they lie in memory instead of by calls.
//
// The stable ABI reads every item of a list by a call and every number by another, about 5 ns
// each; a load takes less than one. Where a float has its value, a list its items, a tuple its
// items and an int its digits has not moved from CPython 3.11 to 3.14 but for an int's sign and
// a tuple's beginning. So both are looked for once, in objects of known content, and where
// anything is not as expected (another version, a debug build) the calls are used; as they are with
// TENSORCAST_WITHOUT=python-objects.
#pragma once
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "../rows.hpp"

namespace tc {

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
// where there is one: memory of objects is a multiple of 8 bytes, which AddressSanitizer does not
// know. No branch on sign or length, which in random numbers nothing predicts.
template <bool TAGGED>
TC_INLINE bool small_int(const void* object, int64_t* out) {
    const uint64_t word = load<uint64_t>(object, HEAD);
    const uint64_t negative = TAGGED ? (word >> 1) & 1 : word >> 63;
    const uint64_t n = TAGGED ? word >> 3 : (word ^ -negative) + negative;
#if defined(__SANITIZE_ADDRESS__)
    const uint64_t digits = n > 1 ? load<uint64_t>(object, HEAD + 8) : load<uint32_t>(object, HEAD + 8);
#else
    const uint64_t digits = load<uint64_t>(object, HEAD + 8);
#endif
    const uint64_t low = digits & DIGIT, high = (digits >> 32) & DIGIT & -(n >> 1);
    const uint64_t magnitude = (low | high << 30) & -uint64_t(n != 0);
    *out = (int64_t)((magnitude ^ -negative) + negative);
    return n <= 2;
}

// What was found at the first call.
const ObjectLayouts& layouts();

inline Py_ssize_t length_of(PyObject* sequence) {
    return PyList_Check(sequence) ? PyList_Size(sequence) : PyTuple_Size(sequence);
}

inline bool is_sequence(PyObject* object) { return PyList_Check(object) || PyTuple_Check(object); }

// Borrowed; null, with no error set, if the list has shrunk.
inline PyObject* item_of(PyObject* sequence, Py_ssize_t i) {
    PyObject* item = PyList_Check(sequence) ? PyList_GetItem(sequence, i) : PyTuple_GetItem(sequence, i);
    if (!item) PyErr_Clear();
    return item;
}

// The items in memory, good until the next call into Python; null where the layout is not known.
inline PyObject* const* items_of(PyObject* sequence) {
    if (PyList_Check(sequence)) return load<PyObject* const*>(sequence, HEAD + 8);
    return (PyObject* const*)((const char*)sequence + layouts().tuple_items);
}

}  // namespace tc
