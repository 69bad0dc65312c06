// Small buffers of activations, the same on every machine: integers and powers of two, no libm.
#pragma once

#include <cstdint>
#include <vector>

#include "layouts.hpp"

namespace neurocensus {

// Knuth's MMIX generator; the upper bits are the good ones.
class Lcg {
   public:
    std::int64_t sixteen_bits() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<std::int64_t>(state_ >> 48);
    }

   private:
    std::uint64_t state_ = 1;
};

// As behind a ReLU: about half are zero, the others resemble the upper half of a normal distribution.
inline double activation(Lcg& random) {
    std::int64_t sum = -2 * 65535;
    for (int i = 0; i < 4; ++i) sum += random.sixteen_bits();
    return sum > 0 ? static_cast<double>(sum) / 65536 : 0.0;
}

constexpr std::int64_t kDeadUnit = 1;    // all zeros
constexpr std::int64_t kNanEvery = 997;  // values, where there are NaN: some in every tile

// How a buffer lies in memory: strides and position axes of the view, whose data and dtype follow.
struct Arrangement {
    const char* name;
    View view;
    bool masked = false;
    bool with_nan = false;
};

inline View arranged(Shape shape, std::int64_t example_stride, std::int64_t unit_stride,
                     std::int64_t position_stride) {
    View out;
    out.examples = shape.examples;
    out.example_stride = example_stride;
    out.units = shape.units;
    out.unit_stride = unit_stride;
    out.position_axes = 1;
    out.position_size[0] = out.positions = shape.positions;
    out.position_stride[0] = position_stride;
    return out;
}

// Positions side by side: NCHW.
inline View as_rows(Shape shape) {
    return arranged(shape, shape.units * shape.positions, shape.positions, 1);
}

// Units side by side: dense layers (of one position), channels_last, sequences.
inline View as_columns(Shape shape) { return arranged(shape, shape.units * shape.positions, 1, shape.units); }

// Every other row and column of NCHW maps; `side` squared are the positions that are left.
inline View as_strided(std::int64_t examples, std::int64_t units, std::int64_t side) {
    const std::int64_t whole = 4 * side * side;
    View out = arranged({examples, units, side * side}, units * whole, whole, 0);
    out.position_axes = 2;
    out.position_size[0] = out.position_size[1] = side;
    out.position_stride[0] = 4 * side;
    out.position_stride[1] = 2;
    return out;
}

class Buffer {
   public:
    Buffer(const Arrangement& arrangement, DType dtype) : view_(arrangement.view) {
        view_.dtype = dtype;
        bytes_.resize(static_cast<std::size_t>((last() + 1) * size_of(dtype) + kAlignment));
        const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
        char* const data = bytes_.data() + (kAlignment - address % kAlignment) % kAlignment;
        view_.data = data;
        Lcg random;
        std::int64_t index = 0;
        for_each_value([&](std::int64_t unit, std::int64_t offset) {
            const double drawn = activation(random);
            const bool nan = arrangement.with_nan && ++index % kNanEvery == 0;
            write(data, dtype, offset, nan ? NAN : unit == kDeadUnit ? 0.0 : drawn);
        });
        if (arrangement.masked) mask_ends();
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    const View& view() const { return view_; }
    Mask mask() const {
        if (keep_.empty()) return {};
        return {keep_.data(), view_.positions, 1};
    }

   private:
    static constexpr std::uintptr_t kAlignment = 64;

    std::int64_t last() const {
        std::int64_t out =
            (view_.examples - 1) * view_.example_stride + (view_.units - 1) * view_.unit_stride;
        for (int axis = 0; axis < view_.position_axes; ++axis)
            out += (view_.position_size[axis] - 1) * view_.position_stride[axis];
        return out;
    }

    template <class Body>
    void for_each_value(const Body& body) const {
        const bool two = view_.position_axes == 2;
        const std::int64_t inner = two ? view_.position_size[1] : view_.positions;
        for (std::int64_t e = 0; e < view_.examples; ++e)
            for (std::int64_t u = 0; u < view_.units; ++u)
                for (std::int64_t p = 0; p < view_.positions; ++p) {
                    const std::int64_t place =
                        two ? p / inner * view_.position_stride[0] + p % inner * view_.position_stride[1]
                            : p * view_.position_stride[0];
                    body(u, e * view_.example_stride + u * view_.unit_stride + place);
                }
    }

    // As padding does: example e keeps its first positions, fewer from one to the next, half of them at
    // least.
    void mask_ends() {
        for (std::int64_t e = 0; e < view_.examples; ++e)
            for (std::int64_t p = 0; p < view_.positions; ++p)
                keep_.push_back(p * 2 * view_.examples < view_.positions * (2 * view_.examples - e));
    }

    View view_;
    std::vector<char> bytes_;
    std::vector<std::uint8_t> keep_;
};

}  // namespace neurocensus
