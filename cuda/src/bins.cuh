// The histogram of a block: counters in shared memory, flushed once into 64-bit ones.
#pragma once

#include "load.cuh"

namespace neurocensus::cuda {

// Neighbouring lanes count in tables of their own (1, 2 or 4, as they fit), so that equal values wait for one
// another less.
template <bool kWanted>
class Bins {
   public:
    __device__ Bins(unsigned char* shared, int tables)
        : all_(reinterpret_cast<unsigned*>(shared)),
          own_(all_ + static_cast<int>(threadIdx.x) % tables * kHistogramSize),
          tables_(tables) {
        if constexpr (kWanted) {
            for (int i = threadIdx.x; i < tables_ * kHistogramSize; i += kThreads) all_[i] = 0;
            __syncthreads();
        }
    }

    // Half of all values behind a ReLU are zero: they are counted in a register, and never wait.
    __device__ __forceinline__ void add(float value) {
        const unsigned magnitude = __float_as_uint(value) & 0x7fffffffu;
        zeros_ += magnitude == 0;
        if (magnitude - 1u < 0x7f7fffffu) atomicAdd(own_ + bin_index(value), 1u);  // finite, not zero
    }
    __device__ __forceinline__ void add(double value) {
        const unsigned long long bits = static_cast<unsigned long long>(__double_as_longlong(value));
        const unsigned long long magnitude = bits & 0x7fffffffffffffffull;
        zeros_ += magnitude == 0;
        if (magnitude - 1u < 0x7fefffffffffffffull) atomicAdd(own_ + bin_index(value), 1u);
    }

    // All threads of the block, once, at the end. Integers: the order of the additions leaves no trace.
    __device__ void flush(unsigned long long* out) {
        if constexpr (kWanted) {
            if (zeros_ > 0) atomicAdd(own_ + kZeroBin, zeros_);
            __syncthreads();
            for (int bin = threadIdx.x; bin < kHistogramSize; bin += kThreads) {
                unsigned long long sum = 0;
                for (int table = 0; table < tables_; ++table) sum += all_[table * kHistogramSize + bin];
                if (sum > 0) atomicAdd(out + bin, sum);
            }
        }
    }

   private:
    unsigned* all_;
    unsigned* own_;
    int tables_;
    unsigned zeros_ = 0;
};

}  // namespace neurocensus::cuda
