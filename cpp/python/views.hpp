// The memory of a torch tensor or a NumPy array, read from C.
#pragma once
#include "state.hpp"

namespace tc {

// What the fast entry knows of one tensor. Only the first n_dims of the layout's arrays are set.
struct View {
    Layout layout;  // byte strides
    FormatId format;
    uint64_t n_elements;
    bool writable;
    bool dense;  // every byte between the first and the last belongs to one element

    uint64_t n_bytes() const { return n_elements * ROWS[format].container(); }
};

// Whether so many bytes from a tensor's first element on lie in its storage, which may have been
// freed or shrunk under it.
bool in_storage(const State&, PyObject* tensor, unsigned item_size, uint64_t span);

// False: the fast entry does not take it. A Python exception may be set, with any of the meanings
// that leaves: see `declined`.
bool view_torch(State&, PyObject* tensor, View*);
bool view_numpy(State&, PyObject* array, View*);

// The same for a result just made, of a known format.
bool view_torch_result(const State&, PyObject* tensor, FormatId, View*);

// The format of a tensor on the CPU, strided, whose dtype is one of ours; -1: it is not. As above.
int format_of_plain(State&, PyObject* tensor);

// Remembers torch's number for the dtype of a tensor.
void learn_dtype(State&, PyObject* tensor);

// The index of a spelling or of a dtype object; -1 where the fast entry does not take it.
int format_of(State&, PyObject* spelling);

// First byte, and one past the last.
void extent(const View&, const char** low, const char** high);

}  // namespace tc
