// What both modules make of their arguments.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "neurocensus/view.hpp"

namespace neurocensus {

using Sizes = std::vector<std::int64_t>;

// `shape` and `strides` are of (example, unit, positions...).
inline View view_of(std::uintptr_t data, int dtype, const Sizes& shape, const Sizes& strides,
                    std::int64_t units) {
    if (shape.size() != strides.size() || shape.size() < 2 || shape.size() > 2 + kMaxPositionAxes)
        throw std::invalid_argument("shape: expected (example, unit, up to six position axes)");
    if (shape[1] != units) throw std::invalid_argument("shape: not that many units");
    View view;
    view.data = reinterpret_cast<const void*>(data);
    view.dtype = static_cast<DType>(dtype);
    view.examples = shape[0];
    view.example_stride = strides[0];
    view.units = shape[1];
    view.unit_stride = strides[1];
    for (std::size_t axis = 2; axis < shape.size(); ++axis) {
        view.position_size[view.position_axes] = shape[axis];
        view.position_stride[view.position_axes++] = strides[axis];
        view.positions *= shape[axis];
    }
    return view;
}

inline Mask mask_of(std::uintptr_t mask, std::int64_t example_stride, std::int64_t position_stride) {
    return {reinterpret_cast<const std::uint8_t*>(mask), example_stride, position_stride};
}

}  // namespace neurocensus
