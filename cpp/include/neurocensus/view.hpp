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

}  // namespace neurocensus
