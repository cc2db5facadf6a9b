#include "native.hpp"

#include "private.hpp"

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace tc {
namespace {

#if !defined(_WIN32)

long use_count(PyObject* tensor) {
    PyObject* count = PyObject_CallMethod(tensor, "_use_count", nullptr);
    const long number = count ? PyLong_AsLong(count) : -1;
    Py_XDECREF(count);
    if (!count) PyErr_Clear();
    return number;
}

// Whether a hold is one, as far as torch tells.
bool holds(const Native& n, PyObject* tensor) {
    const long before = use_count(tensor);
    Handle made = nullptr;
    if (n.new_handle(handle_of(tensor), &made) != 0) return false;
    const long with = use_count(tensor);
    n.delete_tensor(made);
    return before < 0 || (with == before + 1 && use_count(tensor) == before);
}

// Whether what the functions say is what Python says.
bool agrees(const Native& n, const dlpack::ExchangeApi* api, PyObject* tensor, bool negated, bool grad) {
    PyObject* address = PyObject_GetAttrString(tensor, "_cdata");
    const void* impl = address ? PyLong_AsVoidPtr(address) : nullptr;
    Py_XDECREF(address);
    if (!impl || impl_of(tensor) != impl) return false;
    int32_t dtype;
    void* data;
    int64_t n_bytes, offset;
    dlpack::Tensor seen;
    return n.storage_size(handle_of(tensor), &n_bytes) == 0 && n_bytes == 16 &&
           n.storage_offset(handle_of(tensor), &offset) == 0 && offset == 0 && holds(n, tensor) &&
           n.is_neg(handle_of(tensor)) == negated && n.requires_grad(impl) == grad &&
           !n.is_inference(handle_of(tensor)) && n.dtype(handle_of(tensor), &dtype) == 0 &&
           n.data_ptr(handle_of(tensor), &data) == 0 &&
           api->dltensor_from_py_object_no_sync(tensor, &seen) == 0 && data == seen.data;
}

long version_of(PyObject* tensor) {
    PyObject* version = PyObject_GetAttrString(tensor, "_version");
    const long number = version ? PyLong_AsLong(version) : -1;
    Py_XDECREF(version);
    return number;
}

bool counts(const Native& n, PyObject* tensor) {
    const long before = version_of(tensor);
    if (before < 0) return false;
    n.bump_version(handle_of(tensor));
    return version_of(tensor) == before + 1;
}

bool makes(const Native& n, const dlpack::ExchangeApi* api, PyObject* like) {
    int32_t dtype;
    void* data;
    const int64_t shape[2] = {3, 2}, strides[2] = {1, 3};
    if (n.dtype(handle_of(like), &dtype) != 0) return false;
    PyObject* made = empty_native(n, 2, shape, strides, dtype, &data);
    if (!made) return false;
    dlpack::Tensor seen;
    const bool right = Py_TYPE(made) == Py_TYPE(like) &&
                       api->dltensor_from_py_object_no_sync(made, &seen) == 0 && seen.data == data &&
                       seen.device_type == dlpack::CPU && seen.n_dims == 2 && seen.type_bits == 32 &&
                       seen.shape[0] == 3 && seen.strides[1] == 3;
    Py_DECREF(made);
    return right;
}

bool shares(const Native& n, PyObject* like) {
    int32_t dtype;
    int64_t block[2], shape[1] = {2}, strides[1] = {2};
    PyObject* owner = PyList_New(0);
    if (!owner || n.dtype(handle_of(like), &dtype) != 0) return false;
    PyObject* made = tensor_on(n, block, 1, shape, strides, dtype, owner);
    void* data;
    const bool right = made && Py_TYPE(made) == Py_TYPE(like) && Py_REFCNT(owner) == 2 &&
                       n.data_ptr(handle_of(made), &data) == 0 && data == block;
    Py_XDECREF(made);
    const bool given_back = Py_REFCNT(owner) == 1;
    Py_DECREF(owner);
    return right && given_back;
}

template <class F>
bool find(void* library, const char* name, F* function) {
    *function = (F)dlsym(library, name);
    return *function != nullptr;
}

#endif

// A tensor may end on any thread, and after Python has.
void give_back(void*, void* owner) {
    if (!Py_IsInitialized()) return;
    const PyGILState_STATE gil = PyGILState_Ensure();
    Py_DECREF((PyObject*)owner);
    PyGILState_Release(gil);
}

PyObject* wrapped(const Native& n, Handle made) {
    PyObject* tensor = n.wrap(made);
    n.delete_tensor(made);
    if (!tensor) PyErr_Clear();
    return tensor;
}

}  // namespace

Native find_native(const dlpack::ExchangeApi* api, PyObject* negated, PyObject* with_grad,
                   PyObject* tracer_key) {
    Native n{};
    const long key = PyLong_AsLong(tracer_key);
    n.tracer_key = (uint16_t)key;
#if !defined(_WIN32)
    Dl_info info;
    if (without("torch-functions")) return n;
    if (!dladdr((void*)api->dltensor_from_py_object_no_sync, &info)) return n;
    // torch's Python library; a name is looked up in what that was linked to as well
    void* library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    if (!library) return n;
    n.found = find(library, "_ZN2at6native6is_negERKNS_6TensorE", &n.is_neg) &&
              find(library, "_ZN2at6native12is_inferenceERKNS_6TensorE", &n.is_inference) &&
              find(library, "_ZNK3c1010TensorImpl13requires_gradEv", &n.requires_grad) &&
              find(library, "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE", &n.bump_version) &&
              find(library, "_ZN2at4impl27torch_function_mode_enabledEv", &n.in_function_mode) &&
              find(library, "_ZN3c104impl20TorchDispatchModeTLS13any_modes_setEb", &n.in_dispatch_mode) &&
              find(library, "_ZN3c104impl28tls_is_dispatch_key_includedENS_11DispatchKeyE",
                   &n.key_included) &&
              find(library, "_Z16THPVariable_WrapRKN2at10TensorBaseE", &n.wrap) &&
              find(library, "aoti_torch_get_dtype", &n.dtype) &&
              find(library, "aoti_torch_get_data_ptr", &n.data_ptr) &&
              find(library, "aoti_torch_get_storage_size", &n.storage_size) &&
              find(library, "aoti_torch_get_storage_offset", &n.storage_offset) &&
              find(library, "aoti_torch_new_tensor_handle", &n.new_handle) &&
              find(library, "aoti_torch_empty_strided", &n.empty_strided) &&
              find(library, "aoti_torch_delete_tensor_object", &n.delete_tensor);
    find(library, "torch_from_blob", &n.from_blob);
    dlclose(library);  // the program keeps it
    n.found = n.found && key > 0 && key <= UINT16_MAX && Py_TYPE(negated) == Py_TYPE(with_grad) && agrees(n, api, negated, true, false) &&
              agrees(n, api, with_grad, false, true) && counts(n, negated) && makes(n, api, negated);
    if (!n.found || !n.from_blob || !shares(n, negated)) n.from_blob = nullptr;
#endif
    PyErr_Clear();
    return n;
}

PyObject* empty_native(const Native& n, int n_dims, const int64_t* shape, const int64_t* strides,
                       int32_t dtype, void** data) {
    Handle made;
    if (n.empty_strided(n_dims, shape, strides, dtype, 0, 0, &made) != 0) return nullptr;
    if (n.data_ptr(made, data) == 0) return wrapped(n, made);
    n.delete_tensor(made);
    return nullptr;
}

PyObject* tensor_on(const Native& n, void* data, int n_dims, const int64_t* shape, const int64_t* strides,
                    int32_t dtype, PyObject* owner) {
    Handle made;
    Py_INCREF(owner);
    // where this fails, whether the owner was let go of is not known: it is kept
    if (n.from_blob(data, n_dims, shape, strides, 0, dtype, 0, -1, &made, 0, nullptr, 0, give_back, owner))
        return nullptr;
    return wrapped(n, made);
}

}  // namespace tc
