// Found before CUDA's own header, this one makes ordinary C++17 of our .cu files (g++ -x c++), whose
// kernels then run on the CPU: for tests of their logic on any machine, under the sanitizers too.
//
// A launch runs at once, in the calling thread: block after block, and of a block one thread at a time,
// until it waits for others (__syncthreads, a warp's intrinsic) or ends. Tests choose the order, of threads
// at each such point and of blocks:
//
//     for (const emulated::Schedule& schedule : emulated::schedules()) {
//         emulated::set_schedule(schedule);
//         ...  // the same result as under the others, else a barrier is missing
//     }
//
// Rules, and what breaks them, as emulated::Error out of nc_launch with block, threads and lines:
// - Threads meet at one line of the source. __syncthreads waits for all that have not ended.
// - A warp's intrinsic waits for the lanes of its mask, all of which must be there (CUDA forgives lanes that
//   have ended), its own among them. A shuffle reads from a lane of the mask.
// - If nobody can go on, that is a deadlock.
// Memory is the host's: ASan sees accesses out of bounds, UBSan misaligned ones. nc_shared_memory() is
// exactly as large as the launch says and holds 0xA5 in every byte when a block starts; there is no other
// shared memory. Limits of a launch give CUDA's errors. emulated::device() is what the device says of
// itself, emulated::fail_next() has a call fail, emulated::reset() undoes what tests have set.
//
// What this is not: a model of memory (all threads see every write at once and in order; atomics and fences
// cost and show nothing), of time, of streams (nothing is asynchronous), of divergence (threads switch
// nowhere but where they wait: a race between two barriers shows only if the order of whole threads
// matters) or of a device's arithmetic (contraction and the math library are the host's). Nor does it
// know what is __host__ and what is __device__. Launches from several threads run one after another.
#pragma once

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "runtime.hpp"
#include "scheduler.hpp"
#include "types.hpp"

#if !defined(NEUROCENSUS_EMULATED)
#define NEUROCENSUS_EMULATED 1
#endif

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __noinline__  // nothing: GCC's headers have it in __attribute__((__noinline__))
#define __shared__ static_assert(false, "the emulator has no __shared__: use nc_shared_memory()");

inline const uint3& threadIdx = emulated::thread_index;
inline const uint3& blockIdx = emulated::block_index;
inline const dim3& blockDim = emulated::block_size;
inline const dim3& gridDim = emulated::grid_size;
extern const int warpSize;  // no constant expression in CUDA either

inline unsigned char* nc_shared_memory(emulated::Where where = emulated::Where::here()) {
    return emulated::shared_memory({"nc_shared_memory", where, 0});
}

// --- Barriers and fences ---

inline void __syncthreads(emulated::Where where = emulated::Where::here()) {
    emulated::meet_block({"__syncthreads", where, 0}, false);
}
inline int __syncthreads_or(int predicate, emulated::Where where = emulated::Where::here()) {
    return emulated::meet_block({"__syncthreads_or", where, 0}, predicate != 0);
}
inline void __syncwarp(unsigned mask = 0xffffffff, emulated::Where where = emulated::Where::here()) {
    emulated::meet_warp({"__syncwarp", where, mask}, 0, 0, [](emulated::Lane*, unsigned) {});
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// --- A warp's exchange ---

namespace emulated {

// Calls body(lane) for every lane of the mask, from the lowest.
template <class Body>
void each_lane(unsigned mask, const Body& body) {
    for (; mask != 0; mask &= mask - 1) body(__builtin_ctz(mask));
}

template <class T>
T shuffle(const Call& call, T value, unsigned source) {
    if ((call.mask >> source & 1) == 0)
        fail(call, "reads from lane %u, which the mask does not name", source);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = meet_warp(call, bits, source, [](Lane* lanes, unsigned mask) {
        each_lane(mask, [&](int i) { lanes[i].result = lanes[lanes[i].source].value; });
    });
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// The first lane of the calling one's group of `width`.
inline unsigned group(const Call& call, int width) {
    if (width < 1 || width > 32 || (width & (width - 1)) != 0)
        fail(call, "the width is %d, not a power of two up to 32", width);
    return lane(call) & ~static_cast<unsigned>(width - 1);
}

inline unsigned source_of(const Call& call, int from, int width) {
    return group(call, width) + (static_cast<unsigned>(from) & static_cast<unsigned>(width - 1));
}
// Beyond the group: the own value. Beyond a warp, hardware looks at the low bits only; nobody wants that.
inline unsigned source_down(const Call& call, unsigned delta, int width) {
    const unsigned end = group(call, width) + static_cast<unsigned>(width);
    if (delta > 31) fail(call, "the delta is %u, beyond the warp", delta);
    const unsigned source = lane(call) + delta;
    return source < end ? source : lane(call);
}
inline unsigned source_xor(const Call& call, int bits, int width) {
    const unsigned end = group(call, width) + static_cast<unsigned>(width);
    if (bits < 0 || bits > 31) fail(call, "the lane mask is %d, beyond the warp", bits);
    const unsigned source = lane(call) ^ static_cast<unsigned>(bits);
    return source < end ? source : lane(call);
}

inline unsigned ballot(const Call& call, bool predicate) {
    return static_cast<unsigned>(meet_warp(call, predicate, 0, [](Lane* lanes, unsigned mask) {
        std::uint64_t all = 0;
        each_lane(mask, [&](int i) { all |= lanes[i].value << i; });
        each_lane(mask, [&](int i) { lanes[i].result = all; });
    }));
}

template <class T>
T reduce_add(const Call& call, T value) {
    return static_cast<T>(meet_warp(call, static_cast<unsigned>(value), 0, [](Lane* lanes, unsigned mask) {
        std::uint64_t sum = 0;
        each_lane(mask, [&](int i) { sum += lanes[i].value; });
        each_lane(mask, [&](int i) { lanes[i].result = static_cast<unsigned>(sum); });
    }));
}

template <class T>
T reduce_max(const Call& call, T value) {
    return static_cast<T>(meet_warp(call, static_cast<unsigned>(value), 0, [](Lane* lanes, unsigned mask) {
        T most = static_cast<T>(lanes[__builtin_ctz(mask)].value);
        each_lane(mask, [&](int i) {
            const T other = static_cast<T>(lanes[i].value);
            if (other > most) most = other;
        });
        each_lane(mask, [&](int i) { lanes[i].result = static_cast<unsigned>(most); });
    }));
}

}  // namespace emulated

#define NC_SHUFFLES(T)                                                                    \
    inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32,                \
                         emulated::Where where = emulated::Where::here()) {               \
        const emulated::Call call{"__shfl_sync", where, mask};                            \
        return emulated::shuffle(call, value, emulated::source_of(call, lane, width));    \
    }                                                                                     \
    inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,            \
                             emulated::Where where = emulated::Where::here()) {           \
        const emulated::Call call{"__shfl_xor_sync", where, mask};                        \
        return emulated::shuffle(call, value, emulated::source_xor(call, bits, width));   \
    }                                                                                     \
    inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,     \
                              emulated::Where where = emulated::Where::here()) {          \
        const emulated::Call call{"__shfl_down_sync", where, mask};                       \
        return emulated::shuffle(call, value, emulated::source_down(call, delta, width)); \
    }
NC_SHUFFLES(int)
NC_SHUFFLES(unsigned)
NC_SHUFFLES(long)
NC_SHUFFLES(unsigned long)
NC_SHUFFLES(long long)
NC_SHUFFLES(unsigned long long)
NC_SHUFFLES(float)
NC_SHUFFLES(double)
#undef NC_SHUFFLES

inline unsigned __ballot_sync(unsigned mask, int predicate, emulated::Where where = emulated::Where::here()) {
    return emulated::ballot({"__ballot_sync", where, mask}, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate, emulated::Where where = emulated::Where::here()) {
    return emulated::ballot({"__any_sync", where, mask}, predicate != 0) != 0;
}
inline int __all_sync(unsigned mask, int predicate, emulated::Where where = emulated::Where::here()) {
    return emulated::ballot({"__all_sync", where, mask}, predicate != 0) == mask;
}
inline unsigned __reduce_add_sync(unsigned mask, unsigned value,
                                  emulated::Where where = emulated::Where::here()) {
    return emulated::reduce_add({"__reduce_add_sync", where, mask}, value);
}
inline int __reduce_add_sync(unsigned mask, int value, emulated::Where where = emulated::Where::here()) {
    return emulated::reduce_add({"__reduce_add_sync", where, mask}, value);
}
inline unsigned __reduce_max_sync(unsigned mask, unsigned value,
                                  emulated::Where where = emulated::Where::here()) {
    return emulated::reduce_max({"__reduce_max_sync", where, mask}, value);
}
inline int __reduce_max_sync(unsigned mask, int value, emulated::Where where = emulated::Where::here()) {
    return emulated::reduce_max({"__reduce_max_sync", where, mask}, value);
}

// --- Atomics: no thread runs beside another ---

namespace emulated {

template <class T>
T exchange(T* address, T value) {
    const T before = *address;
    *address = value;
    return before;
}

}  // namespace emulated

inline unsigned atomicAdd(unsigned* address, unsigned value) {
    return emulated::exchange(address, *address + value);
}
inline int atomicAdd(int* address, int value) {  // wraps
    const unsigned sum = static_cast<unsigned>(*address) + static_cast<unsigned>(value);
    return emulated::exchange(address, static_cast<int>(sum));
}
inline unsigned long long atomicAdd(unsigned long long* address, unsigned long long value) {
    return emulated::exchange(address, *address + value);
}
inline float atomicAdd(float* address, float value) { return emulated::exchange(address, *address + value); }
inline long long atomicMax(long long* address, long long value) {
    return emulated::exchange(address, value > *address ? value : *address);
}
inline unsigned long long atomicMax(unsigned long long* address, unsigned long long value) {
    return emulated::exchange(address, value > *address ? value : *address);
}
inline long long atomicMin(long long* address, long long value) {
    return emulated::exchange(address, value < *address ? value : *address);
}
inline unsigned long long atomicMin(unsigned long long* address, unsigned long long value) {
    return emulated::exchange(address, value < *address ? value : *address);
}
inline unsigned atomicInc(unsigned* address, unsigned most) {
    return emulated::exchange(address, *address >= most ? 0 : *address + 1);
}
inline unsigned atomicOr(unsigned* address, unsigned value) {
    return emulated::exchange(address, *address | value);
}
inline int atomicOr(int* address, int value) { return emulated::exchange(address, *address | value); }
inline unsigned long long atomicOr(unsigned long long* address, unsigned long long value) {
    return emulated::exchange(address, *address | value);
}

// --- Loads, bits, numbers ---

template <class T>
T __ldg(const T* address) {
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 16, "CUDA loads at most 16 bytes");
    return *address;
}
template <class T>
T __ldcs(const T* address) {
    return __ldg(address);
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }

namespace emulated {

template <class To, class From>
To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace emulated

inline unsigned __float_as_uint(float x) { return emulated::bits_as<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emulated::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return emulated::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return emulated::bits_as<double>(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }

inline int min(int a, int b) { return b < a ? b : a; }
inline int max(int a, int b) { return a < b ? b : a; }
inline unsigned min(unsigned a, unsigned b) { return b < a ? b : a; }
inline unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
inline long min(long a, long b) { return b < a ? b : a; }
inline long max(long a, long b) { return a < b ? b : a; }
inline unsigned long min(unsigned long a, unsigned long b) { return b < a ? b : a; }
inline unsigned long max(unsigned long a, unsigned long b) { return a < b ? b : a; }
inline long long min(long long a, long long b) { return b < a ? b : a; }
inline long long max(long long a, long long b) { return a < b ? b : a; }
inline unsigned long long min(unsigned long long a, unsigned long long b) { return b < a ? b : a; }
inline unsigned long long max(unsigned long long a, unsigned long long b) { return a < b ? b : a; }
inline float min(float a, float b) { return fminf(a, b); }  // as CUDA's: a NaN loses
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// --- Kernels from the host ---

// Returns what CUDA would where the launch is not possible; throws emulated::Error where the kernel is wrong.
template <class Args>
cudaError_t nc_launch(void (*kernel)(Args), dim3 grid, dim3 block, std::size_t shared_bytes,
                      cudaStream_t /*stream*/, const Args& args) {
    static_assert(std::is_trivially_copyable<Args>::value, "the arguments travel as bytes");
    static_assert(sizeof(Args) <= 4096, "CUDA takes at most 4 KiB of arguments");
    struct Bound {
        void (*kernel)(Args);
        const Args& args;
    };
    const Bound bound{kernel, args};
    const auto body = [](const void* argument) {
        const auto& to_call = *static_cast<const Bound*>(argument);
        to_call.kernel(to_call.args);
    };
    return emulated::launch(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, body, &bound);
}

template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int value) {
    return emulated::set_shared_limit(reinterpret_cast<const void*>(kernel), value);
}
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel* kernel) {
    return emulated::get_attributes(attributes, reinterpret_cast<const void*>(kernel));
}
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int block_threads,
                                                          std::size_t shared_bytes) {
    return emulated::get_occupancy(blocks, block_threads, shared_bytes);
}
