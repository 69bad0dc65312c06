// What one pass over a tile of at most a few thousand values leaves behind, and how it joins a unit.
#pragma once

#include "load-inl.hpp"
#include "neurocensus/moments.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// One tile as a unit's state of its own; argmax and active_examples are left to the caller.
struct Tile {
    Unit unit;
    std::int64_t finite;
};

// The scalar way for tiles that the vector way cannot do: NaN, infinities, squares outside the range
// of the compute type. All in double, two passes.
template <DType D, class T>
Tile careful_tile(const T* x, std::int64_t count, typename Source<D>::Compute threshold) {
    using C = typename Source<D>::Compute;
    Unit unit = identity();
    std::int64_t finite = 0;
    double sum = 0.0, sum_abs = 0.0;
    for (std::int64_t i = 0; i < count; ++i) {
        const C value = widen_one<D>(x + i);
        if (__builtin_isnan(value)) {
            ++unit.nan;
        } else if (__builtin_isinf(value)) {
            ++unit.inf;
        } else {
            ++finite;
            sum += value;
            sum_abs += magnitude(value);
            unit.nonzero += magnitude(value) > threshold;
            if (value > unit.max) unit.max = value;
            if (value < unit.min) unit.min = value;
        }
    }
    if (finite > 0) {
        unit.mean = sum / static_cast<double>(finite);
        unit.mean_abs = sum_abs / static_cast<double>(finite);
        for (std::int64_t i = 0; i < count; ++i) {
            const C value = widen_one<D>(x + i);
            const double delta = static_cast<double>(value) - unit.mean;
            if (__builtin_isfinite(value)) unit.m2 += delta * delta;
        }
        unit.max += 0.0;  // -0.0 is zero
        unit.min += 0.0;
    }
    return {unit, finite};
}

}  // namespace NC_ISA
}  // namespace neurocensus
