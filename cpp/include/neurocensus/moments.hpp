// Moments of a tile from sums about a shift, for host and device: when they can be trusted, and what follows.
#pragma once

#include <limits>

#include "neurocensus/ops.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// Sums over finite values about a shift: exact enough in the compute type C while `fits` and `settle` agree.
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
NC_HD bool fits(C sum_abs, C square, C n) {
    constexpr C infinity = std::numeric_limits<C>::infinity();
    return (sum_abs < infinity) & (square < infinity) &
           ((square >= C(1e-28) * n) | (sum_abs >= C(1e-10) * n) | (sum_abs == 0));
}

// Writes mean and m2 of `n` values; false if the shift was too far off for that.
template <class C>
NC_HD bool settle(const Sums<C>& sums, double n, Unit& unit) {
    const double offset = sums.residual / n;
    const double m2 = sums.square - n * offset * offset;
    unit.mean = sums.shift + offset;
    unit.m2 = m2 > 0 ? m2 : 0;
    return n * offset * offset <= kMaxShiftSquared * m2;
}

}  // namespace NC_ISA
}  // namespace neurocensus
