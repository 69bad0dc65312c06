// What one pass over a tile of at most a few thousand values leaves behind, and how it joins a unit.
#pragma once

#include "neurocensus/ops.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// Sums over finite values about a shift: exact enough in the compute type C while `trusted` says so.
template <class C>
struct Sums {
    C shift;
    C residual;  // sum of (value - shift)
    C square;    // sum of (value - shift)^2
};

// When the shift lies more than this many variances from the tile's mean, the difference of squares
// has lost too many digits, and the sums are taken again about the mean.
constexpr double kMaxShiftSquared = 16.0;

// Can sums in C stand for `n` values? Not if NaN or infinities are among them, if squares overflow, or if
// values are so small that squares of their differences vanish. The bounds are float32's; doubles pass.
template <class C>
inline bool fits(C sum_abs, C square, C n) {
    constexpr C infinity = std::numeric_limits<C>::infinity();
    return (sum_abs < infinity) & (square < infinity) &
           ((square >= C(1e-28) * n) | (sum_abs >= C(1e-10) * n) | (sum_abs == 0));
}

// One tile as a unit's state of its own; argmax and active_examples are left to the caller.
struct Tile {
    Unit unit;
    std::int64_t finite;
};

// The scalar way for tiles that the vector way cannot do: NaN, infinities, squares outside the range
// of the compute type. All in double, two passes.
template <class C>
Tile careful_tile(const C* x, std::int64_t count, C threshold) {
    Unit unit = identity();
    std::int64_t finite = 0;
    double sum = 0.0, sum_abs = 0.0;
    for (std::int64_t i = 0; i < count; ++i) {
        const C value = x[i];
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
            const double delta = static_cast<double>(x[i]) - unit.mean;
            if (__builtin_isfinite(x[i])) unit.m2 += delta * delta;
        }
        unit.max += 0.0;  // -0.0 is zero
        unit.min += 0.0;
    }
    return {unit, finite};
}

}  // namespace NC_ISA
}  // namespace neurocensus
