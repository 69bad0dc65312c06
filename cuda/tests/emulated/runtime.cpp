#include "runtime.hpp"

#include <cstring>
#include <map>

#include "scheduler.hpp"

namespace emulated {
namespace {

constexpr int kSharedBytes = 48 * 1024;  // a block's, unless its kernel asked for more
constexpr unsigned kMaxThreads = 1024;

// Tests call the runtime from one thread.
Device the_device;
int current_device = 0;
cudaError_t last = cudaSuccess;
cudaError_t to_come = cudaSuccess;
int works_before = 0;
std::map<const void*, int> shared_limits;

cudaError_t done(cudaError_t error) {
    if (error != cudaSuccess) last = error;
    return error;
}

// Whether there is anything to call.
cudaError_t usable() {
    if (the_device.driver_version / 1000 < the_device.runtime_version / 1000)
        return cudaErrorInsufficientDriver;
    return the_device.count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t usable(int ordinal) {
    const cudaError_t error = usable();
    if (error != cudaSuccess) return error;
    return ordinal >= 0 && ordinal < the_device.count ? cudaSuccess : cudaErrorInvalidDevice;
}

// For what fail_next is about.
cudaError_t begin() {
    if (to_come != cudaSuccess && works_before-- == 0) {
        const cudaError_t error = to_come;
        to_come = cudaSuccess;
        return error;
    }
    return usable();
}

int shared_limit(const void* kernel) {
    const auto found = shared_limits.find(kernel);
    return found == shared_limits.end() ? kSharedBytes : found->second;
}

bool is_block(const dim3& block) {
    const auto fits = [](unsigned n, unsigned most) { return n >= 1 && n <= most; };
    return fits(block.x, kMaxThreads) && fits(block.y, kMaxThreads) && fits(block.z, 64) &&
           block.x * block.y * block.z <= kMaxThreads;
}

bool is_grid(const dim3& grid) {
    const auto fits = [](unsigned n, unsigned most) { return n >= 1 && n <= most; };
    return fits(grid.x, 0x7fffffff) && fits(grid.y, 0xffff) && fits(grid.z, 0xffff);
}

struct Known {
    cudaError_t error;
    const char *name, *text;
};

const Known& known(cudaError_t error) {
    static constexpr Known all[] = {
        {cudaSuccess, "cudaSuccess", "no error"},
        {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
        {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
        {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
        {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
         "invalid copy direction for memcpy"},
        {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
         "CUDA driver version is insufficient for CUDA runtime version"},
        {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
        {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
        {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
         "no kernel image is available for execution on the device"},
        {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
        {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    };
    static constexpr Known none{cudaSuccess, "unrecognized error code", "unrecognized error code"};
    for (const Known& one : all)
        if (one.error == error) return one;
    return none;
}

}  // namespace

Device& device() { return the_device; }

void fail_next(cudaError_t error, int after) {
    to_come = error;
    works_before = after;
}

void reset() {
    the_device = {};
    current_device = 0;
    last = to_come = cudaSuccess;
    works_before = 0;
    shared_limits.clear();
    set_schedule({});
}

cudaError_t set_shared_limit(const void* kernel, int bytes) {
    cudaError_t error = usable();
    if (error == cudaSuccess && !the_device.has_image) error = cudaErrorNoKernelImageForDevice;
    if (error != cudaSuccess) return done(error);
    if (bytes < 0 || bytes > the_device.max_shared_bytes) return done(cudaErrorInvalidValue);
    shared_limits[kernel] = bytes;
    return cudaSuccess;
}

cudaError_t get_attributes(cudaFuncAttributes* attributes, const void* kernel) {
    const cudaError_t error = usable();
    if (error != cudaSuccess) return done(error);
    if (!the_device.has_image) return done(cudaErrorNoKernelImageForDevice);
    const int version = the_device.major * 10 + the_device.minor;
    *attributes = {};
    attributes->maxThreadsPerBlock = static_cast<int>(kMaxThreads);
    attributes->numRegs = 32;
    attributes->ptxVersion = attributes->binaryVersion = version;
    attributes->maxDynamicSharedSizeBytes = shared_limit(kernel);
    return cudaSuccess;
}

cudaError_t get_occupancy(int* blocks, int block_threads, std::size_t shared_bytes) {
    const cudaError_t error = usable();
    if (error != cudaSuccess) return done(error);
    if (!the_device.has_image) return done(cudaErrorNoKernelImageForDevice);
    if (block_threads < 1) return done(cudaErrorInvalidValue);
    const bool fits = block_threads <= static_cast<int>(kMaxThreads) &&
                      shared_bytes <= static_cast<std::size_t>(the_device.max_shared_bytes);
    *blocks = fits ? the_device.blocks_per_multiprocessor : 0;
    return cudaSuccess;
}

cudaError_t launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                   void (*body)(const void*), const void* argument) {
    const cudaError_t error = begin();
    if (error != cudaSuccess) return done(error);
    if (!the_device.has_image) return done(cudaErrorNoKernelImageForDevice);
    if (!is_grid(grid) || !is_block(block)) return done(cudaErrorInvalidConfiguration);
    if (shared_bytes > static_cast<std::size_t>(shared_limit(kernel))) return done(cudaErrorInvalidValue);
    run_grid(grid, block, shared_bytes, body, argument);
    return cudaSuccess;
}

}  // namespace emulated

using emulated::done;

const char* cudaGetErrorName(cudaError_t error) { return emulated::known(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return emulated::known(error).text; }

cudaError_t cudaPeekAtLastError() { return emulated::last; }
cudaError_t cudaGetLastError() {
    const cudaError_t error = emulated::last;
    emulated::last = cudaSuccess;
    return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
    const cudaError_t error = emulated::usable();
    *count = error == cudaSuccess ? emulated::the_device.count : 0;
    return done(error);
}

cudaError_t cudaGetDevice(int* device) {
    const cudaError_t error = emulated::usable();
    if (error == cudaSuccess) *device = emulated::current_device;
    return done(error);
}

cudaError_t cudaSetDevice(int device) {
    const cudaError_t error = emulated::usable(device);
    if (error == cudaSuccess) emulated::current_device = device;
    return done(error);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    const cudaError_t error = emulated::usable(device);
    if (error != cudaSuccess) return done(error);
    const emulated::Device& about = emulated::the_device;
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock: *value = emulated::kMaxThreads; break;
        case cudaDevAttrMaxSharedMemoryPerBlock: *value = emulated::kSharedBytes; break;
        case cudaDevAttrWarpSize: *value = 32; break;
        case cudaDevAttrMultiProcessorCount: *value = about.multiprocessors; break;
        case cudaDevAttrMaxThreadsPerMultiProcessor: *value = about.threads_per_multiprocessor; break;
        case cudaDevAttrComputeCapabilityMajor: *value = about.major; break;
        case cudaDevAttrComputeCapabilityMinor: *value = about.minor; break;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = about.max_shared_bytes; break;
        default: return done(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

// These two need no device: without a driver its version is 0.
cudaError_t cudaDriverGetVersion(int* version) {
    *version = emulated::the_device.driver_version;
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = emulated::the_device.runtime_version;
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t count, cudaStream_t) {
    const cudaError_t error = emulated::begin();
    if (error != cudaSuccess) return done(error);
    if (count == 0) return cudaSuccess;
    if (to == nullptr) return done(cudaErrorInvalidValue);
    std::memset(to, value, count);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t count, cudaMemcpyKind kind,
                            cudaStream_t) {
    const cudaError_t error = emulated::begin();
    if (error != cudaSuccess) return done(error);
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return done(cudaErrorInvalidMemcpyDirection);
    if (count == 0) return cudaSuccess;
    if (to == nullptr || from == nullptr) return done(cudaErrorInvalidValue);
    std::memcpy(to, from, count);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) { return done(emulated::usable()); }
