// A buffer of activations as (example, unit, position), over any strides, without a copy.
#pragma once

#include <cstdint>

namespace neurocensus {

enum class DType : int { float32 = 0, float64 = 1, float16 = 2, bfloat16 = 3 };

constexpr int kMaxPositionAxes = 6;

// Strides are in elements and may be zero or negative. Offsets are 64-bit throughout.
struct View {
    const void* data = nullptr;
    DType dtype = DType::float32;
    std::int64_t examples = 0;
    std::int64_t example_stride = 0;
    std::int64_t units = 0;
    std::int64_t unit_stride = 0;
    int position_axes = 0;  // after joining neighbours that one stride can walk
    std::int64_t position_size[kMaxPositionAxes] = {};
    std::int64_t position_stride[kMaxPositionAxes] = {};
    std::int64_t positions = 1;  // product of position_size
};

// Which (example, position) to look at: one byte each, nonzero to look. No data: look at all.
struct Mask {
    const std::uint8_t* data = nullptr;
    std::int64_t example_stride = 0;
    std::int64_t position_stride = 0;
};

// Joins neighbouring position axes that one stride can walk, and drops axes of size 1.
inline View simplified(View view) {
    int axes = 0;
    for (int axis = 0; axis < view.position_axes; ++axis) {
        const std::int64_t size = view.position_size[axis], stride = view.position_stride[axis];
        if (size == 1) continue;
        if (axes > 0 && view.position_stride[axes - 1] == size * stride) {
            view.position_size[axes - 1] *= size;
            view.position_stride[axes - 1] = stride;
        } else {
            view.position_size[axes] = size;
            view.position_stride[axes] = stride;
            ++axes;
        }
    }
    view.position_axes = axes;
    return view;
}

}  // namespace neurocensus
