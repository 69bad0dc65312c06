// Buffers of values that resemble activations, and the many ways in which they lie in memory.
#pragma once

#include <random>
#include <vector>

#include "naive.hpp"

namespace neurocensus {

struct Shape {
    std::int64_t examples, units, positions;
};

enum class Layout { rows, columns, transposed, spaced, mirrored, repeated, padded };
constexpr Layout kLayouts[] = {Layout::rows,     Layout::columns,  Layout::transposed, Layout::spaced,
                               Layout::mirrored, Layout::repeated, Layout::padded};
inline const char* name_of(Layout layout) {
    constexpr const char* names[] = {"rows",     "columns",  "transposed", "spaced",
                                     "mirrored", "repeated", "padded"};
    return names[static_cast<int>(layout)];
}

enum class Kind { relu, offset, holes, ends, ties };
constexpr Kind kKinds[] = {Kind::relu, Kind::offset, Kind::holes, Kind::ends, Kind::ties};
inline const char* name_of(Kind kind) {
    constexpr const char* names[] = {"relu", "offset", "holes", "ends", "ties"};
    return names[static_cast<int>(kind)];
}

// What makes each kind hard: -0.0; cancelling squares; non-finite values; squares that overflow or
// vanish, and denormals; equal maxima.
inline double any_value(Kind kind, std::mt19937_64& random) {
    const double value = std::normal_distribution<double>()(random);
    const std::uint64_t die = random() % 12;
    switch (kind) {
        case Kind::relu: return value > 0 ? value : die < 6 ? -0.0 : 0.0;
        case Kind::offset: return 1e3 + value;
        case Kind::holes: return die == 0 ? NAN : die == 1 ? INFINITY : die == 2 ? -INFINITY : value;
        case Kind::ends: return std::ldexp(value, static_cast<int>(random() % 270) - 148);
        case Kind::ties: return std::round(value);
    }
    return value;
}

class Tensor {
   public:
    Tensor(Shape shape, DType dtype, Layout layout, Kind kind, std::mt19937_64& random) {
        const auto [e, u, p] = shape;
        view_.dtype = dtype;
        view_.examples = e;
        view_.units = u;
        view_.positions = p;
        view_.position_axes = 1;
        view_.position_size[0] = p;
        std::int64_t size = 1 + e * u * p;  // one more: nothing is aligned to a vector (pitfall 22)
        std::int64_t first = 1;
        switch (layout) {
            case Layout::rows: strides(u * p, p, 1); break;
            case Layout::columns: strides(u * p, 1, u); break;
            case Layout::transposed: strides(1, e, e * u); break;
            case Layout::spaced:
                strides(3 * u * p, 3 * p, 3);
                size *= 3;
                break;
            case Layout::mirrored:
                strides(-u * p, -p, -1);
                first = size - 1;
                break;
            case Layout::repeated: strides(u, 1, 0); break;
            case Layout::padded:  // two position axes that cannot be joined
                if (p > 0 && p % 2 == 0) {
                    view_.position_axes = 2;
                    view_.position_size[0] = 2;
                    view_.position_size[1] = p / 2;
                    strides(u * (p + 6), p + 6, 1);
                    view_.position_stride[0] = p / 2 + 3;
                    view_.position_stride[1] = 1;
                } else {
                    strides(u * (p + 6), p + 6, 1);
                }
                size += e * u * 6;
                break;
        }
        bytes_.resize(static_cast<std::size_t>(size * size_of(dtype)));
        for (std::int64_t i = 0; i < size; ++i) write(bytes_.data(), dtype, i, any_value(kind, random));
        view_.data = bytes_.data() + first * size_of(dtype);
    }
    Tensor(const Tensor&) = delete;
    Tensor& operator=(const Tensor&) = delete;

    const View& view() const { return view_; }

   private:
    void strides(std::int64_t example, std::int64_t unit, std::int64_t position) {
        view_.example_stride = example;
        view_.unit_stride = unit;
        view_.position_stride[0] = position;
    }

    View view_;
    std::vector<char> bytes_;
};

}  // namespace neurocensus
