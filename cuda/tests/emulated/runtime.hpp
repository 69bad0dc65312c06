// The host's side of CUDA's runtime, as far as it is used: everything is done at once, in order, and a
// failure is remembered until cudaGetLastError.
#pragma once

#include <cstddef>

#include "types.hpp"

enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidMemcpyDirection = 21,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNoKernelImageForDevice = 209,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchFailure = 719,
};
using cudaError_t = cudaError;
using cudaStream_t = struct CUstream_st*;

enum cudaMemcpyKind {
    cudaMemcpyHostToHost = 0,
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3,
    cudaMemcpyDefault = 4,
};

enum cudaDeviceAttr {
    cudaDevAttrMaxThreadsPerBlock = 1,
    cudaDevAttrMaxSharedMemoryPerBlock = 8,
    cudaDevAttrWarpSize = 10,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrMaxThreadsPerMultiProcessor = 39,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };

struct cudaFuncAttributes {
    std::size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
    int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, maxDynamicSharedSizeBytes;
};

const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t count, cudaStream_t stream = nullptr);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t count, cudaMemcpyKind kind,
                            cudaStream_t stream = nullptr);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

namespace emulated {

// What the device says of itself. Tests change it; reset() brings this back.
struct Device {
    int count = 1;  // of such devices; 0: cudaErrorNoDevice
    int multiprocessors = 3;
    int threads_per_multiprocessor = 2048;
    int blocks_per_multiprocessor = 2;  // what the occupancy calculator answers
    int major = 9, minor = 0;
    int max_shared_bytes = 227 * 1024;  // a block's, for kernels that asked for more than 48 KiB
    int driver_version = 13000, runtime_version = 13000;
    bool has_image = true;  // false: cudaErrorNoKernelImageForDevice
};
Device& device();

// Of the launches, memsets and copies to come, `after` work and the next one does nothing but fail.
void fail_next(cudaError_t error, int after = 0);

// As at the start: device and current device, schedule, failures to come, last error, kernels' attributes.
void reset();

// --- What the templates of cuda_runtime.h are made of ---

cudaError_t set_shared_limit(const void* kernel, int bytes);
cudaError_t get_attributes(cudaFuncAttributes* attributes, const void* kernel);
cudaError_t get_occupancy(int* blocks, int block_threads, std::size_t shared_bytes);
// Does run_grid if a device would, else returns why it would not. Throws emulated::Error.
cudaError_t launch(const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                   void (*body)(const void*), const void* argument);

}  // namespace emulated
