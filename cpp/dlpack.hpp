// The part of DLPack 1.3 that reads a tensor from C: the exchange API a tensor type carries as
// `__dlpack_c_exchange_api__` (dmlc.github.io/dlpack/latest/c_api.html). The layouts are fixed for
// every version 1.x.
#pragma once
#include <stdint.h>

namespace tc::dlpack {

constexpr uint32_t MAJOR = 1;
constexpr int32_t CPU = 1;  // kDLCPU
constexpr uint8_t UINT = 1; // kDLUInt; kDLInt is 0
constexpr const char* CAPSULE = "dlpack_exchange_api";

struct Version {
    uint32_t major, minor;
};

struct Tensor {
    void* data;
    int32_t device_type, device_id;
    int32_t n_dims;
    uint8_t type_code, type_bits;
    uint16_t type_lanes;
    int64_t* shape;
    int64_t* strides;  // in elements; before 1.2 null means contiguous
    uint64_t byte_offset;
};
static_assert(sizeof(Tensor) == 48);

struct ExchangeHeader {
    Version version;
    const ExchangeHeader* previous;  // the table of an older version, or null
};

// The functions that are not called from here keep their places.
struct ExchangeApi {
    ExchangeHeader header;
    void (*managed_tensor_allocator)();
    void (*managed_tensor_from_py_object_no_sync)();
    void (*managed_tensor_to_py_object_no_sync)();
    // Fills in *out with what the object owns, without a reference; -1 and a Python exception
    // where DLPack cannot describe it. May be null.
    int (*dltensor_from_py_object_no_sync)(void* object, Tensor* out);
    void (*current_work_stream)();
};

// The newest table of a version that this header describes, or null.
inline const ExchangeApi* usable(const ExchangeApi* api) {
    const ExchangeHeader* header = api ? &api->header : nullptr;
    while (header && header->version.major != MAJOR) header = header->previous;
    api = (const ExchangeApi*)header;
    return api && api->dltensor_from_py_object_no_sync ? api : nullptr;
}

}  // namespace tc::dlpack
