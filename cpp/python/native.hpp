// torch's own C and C++ functions, found by name in the libraries that the program has loaded: the
// Python calls that tell the same cost twenty times as much. Nothing is linked. All of them are
// there and answer as Python does, or none is used. Looked at: torch 2.6 and 2.13. Probed on two tensors
// (find_native). Absent, or TENSORCAST_WITHOUT=torch-functions: Python's own calls.
#pragma once
#include <Python.h>

#include "../dlpack.hpp"

namespace tc {

// What torch's C functions take for a tensor: the address of the at::Tensor inside its Python object.
using Handle = void*;

struct Native {
    bool found;
    bool (*is_neg)(const void* handle);
    bool (*is_inference)(const void* handle);
    bool (*requires_grad)(const void* tensor_impl);
    void (*bump_version)(const void* handle);  // throws on inference tensors
    bool (*in_function_mode)();
    bool (*in_dispatch_mode)(bool skip_infra_modes);
    bool (*key_included)(uint16_t key);
    uint16_t tracer_key;  // included while torch.jit traces
    PyObject* (*wrap)(const void* handle);
    // torch's stable C ABI (torch/csrc/inductor/aoti_torch/c/shim.h); 0: done
    int32_t (*dtype)(Handle, int32_t* dtype);
    int32_t (*data_ptr)(Handle, void** data);
    int32_t (*storage_size)(Handle, int64_t* n_bytes);
    int32_t (*storage_offset)(Handle, int64_t* n_elements);
    int32_t (*new_handle)(Handle, Handle* made);  // another hold on the same tensor
    int32_t (*empty_strided)(int64_t n_dims, const int64_t* shape, const int64_t* strides, int32_t dtype,
                             int32_t device_type, int32_t device_index, Handle* made);
    int32_t (*delete_tensor)(Handle);
    // from torch 2.11 on, otherwise null
    int32_t (*from_blob)(void* data, int64_t n_dims, const int64_t* shape, const int64_t* strides,
                         int64_t offset, int32_t dtype, int32_t device_type, int32_t device_index,
                         Handle* made, int32_t layout, const uint8_t* metadata, int64_t metadata_size,
                         void (*deleter)(void* data, void* context), void* context);
};

inline Handle handle_of(PyObject* tensor) { return (char*)tensor + sizeof(PyObject); }
inline const void* impl_of(PyObject* tensor) { return *(void**)handle_of(tensor); }

// A hold on a tensor that torch counts, while the GIL is not held: whoever would change the memory of
// the tensor under us (a cast in place on another thread) sees that it is not alone. Nothing where
// there is nothing to hold.
class Hold {
    const Native* native_ = nullptr;
    Handle held_ = nullptr;
    PyObject* alias_ = nullptr;

  public:
    Hold() = default;
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
        if (held_) native_->delete_tensor(held_);
        Py_XDECREF(alias_);
    }

    // False: it cannot be held, with a Python exception or without.
    bool take(const Native& native, PyObject* tensor) {
        native_ = &native;
        if (native.found) return native.new_handle(handle_of(tensor), &held_) == 0;
        alias_ = PyObject_CallMethod(tensor, "detach", nullptr);
        return alias_ != nullptr;
    }
};

// Finds and tries the functions on two tensors made for that: one negated lazily, one that requires
// grad, both of four float32. `tracer_key`: torch's number for that dispatch key. Never leaves a
// Python exception.
Native find_native(const dlpack::ExchangeApi*, PyObject* negated, PyObject* with_grad,
                   PyObject* tracer_key);

// A new tensor on the CPU; null, with no Python exception: not to be had this way.
PyObject* empty_native(const Native&, int n_dims, const int64_t* shape, const int64_t* strides,
                       int32_t dtype, void** data);

// A tensor on memory that `owner` keeps, which it holds until it is gone. Null, with no Python
// exception: not to be had this way.
PyObject* tensor_on(const Native&, void* data, int n_dims, const int64_t* shape, const int64_t* strides,
                    int32_t dtype, PyObject* owner);

}  // namespace tc
