// The two things that the emulator of the tests does in its own way.
#pragma once

#include <cuda_runtime.h>

#ifndef NEUROCENSUS_EMULATED

template <class Args>
cudaError_t nc_launch(void (*kernel)(Args), dim3 grid, dim3 block, std::size_t shared, cudaStream_t stream,
                      const Args& args) {
    void* parameters[] = {const_cast<Args*>(&args)};
    return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, parameters, shared, stream);
}

#if defined(__CUDACC__)
__device__ __forceinline__ unsigned char* nc_shared_memory() {
    extern __shared__ uint4 nc_shared[];
    return reinterpret_cast<unsigned char*>(nc_shared);
}
#endif

#endif
