// Values of a view, one by one or 16 bytes at a time.
#pragma once

#include <stdexcept>
#include <type_traits>

#include "launch.cuh"
#include "neurocensus/source.hpp"
#include "scan.hpp"

namespace neurocensus::cuda {

constexpr unsigned kFullWarp = 0xffffffffu;

template <DType D>
using Stored = typename Source<D>::Stored;
template <DType D>
using Compute = typename Source<D>::Compute;

// Values in 16 bytes.
template <DType D>
constexpr int kPerVector = 16 / static_cast<int>(sizeof(Stored<D>));

// Calls `body` with a constant of the dtype's value; on the host.
template <class Body>
auto by_dtype(DType dtype, const Body& body) {
    switch (dtype) {
        case DType::float32: return body(std::integral_constant<DType, DType::float32>());
        case DType::float64: return body(std::integral_constant<DType, DType::float64>());
        case DType::float16: return body(std::integral_constant<DType, DType::float16>());
        case DType::bfloat16: return body(std::integral_constant<DType, DType::bfloat16>());
    }
    throw std::invalid_argument("dtype: no kernel for it");
}

template <DType D, int V>
struct Pack {
    Stored<D> value[V];
};

template <DType D, int V>
__device__ __forceinline__ Pack<D, V> load_pack(const Stored<D>* from) {
    Pack<D, V> out;
    if constexpr (V == 1) {
        out.value[0] = __ldg(from);
    } else {
        static_assert(sizeof out == 16);
        const uint4 word = __ldg(reinterpret_cast<const uint4*>(from));
        memcpy(&out, &word, sizeof out);
    }
    return out;
}

template <DType D>
__device__ __forceinline__ Compute<D> load_value(const Stored<D>* from) {
    return Source<D>::widen(__ldg(from));
}

// Where a position lies, from the first one. 0 or 1 axes: one stride walks all of them.
__device__ __forceinline__ std::int64_t position_offset(const View& view, std::int64_t position) {
    if (view.position_axes <= 1) return position * view.position_stride[0];
    std::int64_t offset = 0;
    for (int axis = view.position_axes - 1; axis >= 0; --axis) {
        const std::int64_t size = view.position_size[axis], rest = position / size;
        offset += (position - rest * size) * view.position_stride[axis];
        position = rest;
    }
    return offset;
}

__device__ __forceinline__ bool keeps(const Mask& mask, std::int64_t example, std::int64_t position) {
    return mask.data == nullptr ||
           mask.data[example * mask.example_stride + position * mask.position_stride] != 0;
}

__device__ __forceinline__ bool disabled(const std::uint8_t* enabled) {
    return enabled != nullptr && *enabled == 0;
}

__device__ __forceinline__ std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

__device__ __forceinline__ std::int64_t first_example(const Scan& job) {
    return job.first_example >= 0 ? job.first_example : job.state[static_cast<int>(Header::next_example)];
}

// Calls `visit(example, position, end)` for the runs of positions that places [begin, end) make up, in order.
template <class Visit>
__device__ __forceinline__ void for_pieces(std::int64_t positions, std::int64_t begin, std::int64_t end,
                                           const Visit& visit) {
    std::int64_t example = begin / positions, position = begin - example * positions;
    for (std::int64_t left = end - begin; left > 0; ++example, position = 0) {
        const std::int64_t last = least(positions, position + left);
        visit(example, position, last);
        left -= last - position;
    }
}

// One thread of the grid notes what the fold needs to know of the state as it was.
__device__ __forceinline__ void take_snapshot(const Scan& job) {
    if (blockIdx.x != 0 || threadIdx.x != 0) return;
    job.snapshot[0] = job.state[static_cast<int>(Header::values)];
    job.snapshot[1] = first_example(job);
}

}  // namespace neurocensus::cuda
