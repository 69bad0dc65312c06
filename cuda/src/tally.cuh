// What a thread keeps of one unit while it reads: everything in the compute type, about a shift.
#pragma once

#include "load.cuh"
#include "neurocensus/moments.hpp"

namespace neurocensus::cuda {

template <class C>
struct Tally {
    C max = -std::numeric_limits<C>::infinity();
    C min = std::numeric_limits<C>::infinity();
    C sum_abs = 0;
    C residual = 0, square = 0;  // sums of (value - shift) and its square; the shift is kept by the caller
    // Two small numbers, to save a register. Nonzero values, infinities among them (a tally that has met one
    // is not used), and the caller's number of the chunk that first reached max. Runs are short: both fit.
    static constexpr unsigned kBits = 10;
    static_assert(2 * kMostRun <= 1 << kBits);
    unsigned word = 0;

    __device__ __forceinline__ unsigned nonzero() const { return word & ((1u << kBits) - 1u); }
    __device__ __forceinline__ unsigned record() const { return word >> kBits; }
};

// A unit's state with its number of finite values. `lost`: the sum of squares that went into the distance
// between shifts and means, and is no longer in m2; infinite where values are not to be trusted at all.
struct Part {
    Unit unit = identity();
    std::int64_t finite = 0;
    double lost = 0.0;
};

__device__ __forceinline__ Part joined(const Part& a, const Part& b) {
    return {combine(a.unit, a.finite, b.unit, b.finite), a.finite + b.finite, a.lost + b.lost};
}

template <bool kAll>
__device__ __forceinline__ bool is_valid(unsigned valid, int i) {
    return kAll || (valid >> i & 1u);
}

// A value near the unit's mean, to sum about it: the median of three, which one outlier does not move; of
// fewer values than K their mean.
template <bool kAll, class C, int K>
__device__ __forceinline__ C shift_for(const C (&x)[K], unsigned valid) {
    if constexpr (kAll) {
        const C a = x[0], b = x[K / 2], c = x[K - 1];
        return fmax(fmin(a, b), fmin(fmax(a, b), c));
    } else {
        C sum = 0;
#pragma unroll
        for (int i = 0; i < K; ++i) sum += is_valid<kAll>(valid, i) ? x[i] : C(0);
        return sum / static_cast<C>(__popc(valid));
    }
}

// Counts a chunk of K values, those whose bit in `valid` is set (kAll: all). Returns how many are nonzero.
template <bool kAll, class C, int K>
__device__ __forceinline__ unsigned take(Tally<C>& tally, const C (&x)[K], unsigned valid, unsigned chunk,
                                         C shift, C threshold) {
    C peak = -std::numeric_limits<C>::infinity();
    C residual = 0, square = 0, sum_abs = 0;
    unsigned nonzero = 0;
#pragma unroll
    for (int i = 0; i < K; ++i) {
        const bool counts = is_valid<kAll>(valid, i);
        const C size = counts ? fabs(x[i]) : C(0);
        const C delta = counts ? x[i] - shift : C(0);
        peak = counts ? fmax(peak, x[i]) : peak;
        tally.min = counts ? fmin(tally.min, x[i]) : tally.min;
        nonzero += counts && size > threshold;
        sum_abs += size;
        residual += delta;
        square += delta * delta;
    }
    if (peak > tally.max) {
        tally.max = peak;
        tally.word = tally.nonzero() | chunk << tally.kBits;
    }
    tally.word += nonzero;
    tally.sum_abs += sum_abs;
    tally.residual += residual;
    tally.square += square;
    return nonzero;
}

// Has it met neither NaN nor infinity? (Nor values whose sum overflows: they are looked at again as well.)
template <class C>
__device__ __forceinline__ bool all_finite(const Tally<C>& tally) {
    return tally.sum_abs < std::numeric_limits<C>::infinity();
}

// `n` values as a unit's state, their maximum at example `argmax`.
template <class C>
__device__ __forceinline__ Part part_of(const Tally<C>& tally, C shift, unsigned n, std::int64_t argmax) {
    Part out;
    if (n == 0) return out;
    out.unit.nonzero = tally.nonzero();
    out.unit.max = tally.max + 0.0;  // -0.0 is zero
    out.unit.min = tally.min + 0.0;
    out.unit.argmax = argmax;
    out.unit.mean_abs = tally.sum_abs / static_cast<double>(n);
    out.finite = n;
    settle(Sums<C>{shift, tally.residual, tally.square}, static_cast<double>(n), out.unit);
    out.lost = fits(tally.sum_abs, tally.square, static_cast<C>(n))
                   ? static_cast<double>(tally.residual) * tally.residual / n
                   : std::numeric_limits<double>::infinity();
    return out;
}

// A part in memory: with this argmax, it stands for nothing, and its values must be looked at again.
constexpr std::int64_t kDoubtful = -2;

// Adds to what `state` holds of the unit, which has seen `values`; or replaces it.
__device__ __forceinline__ void keep_part(StateView state, std::int64_t unit, Part part, bool add,
                                          std::int64_t values) {
    // Digits are lost against all that the block or warp found, and not where the shift is the mean to
    // rounding.
    const double level = part.unit.mean * part.unit.mean * static_cast<double>(part.finite);
    bool doubtful = !(part.lost < std::numeric_limits<double>::infinity() &&
                      (part.lost <= kMaxShiftSquared * part.unit.m2 || part.lost <= 1e-14 * level));
    if (add) {
        const Unit before = state.load(unit);
        doubtful |= before.argmax == kDoubtful;
        part = joined({before, values - before.nan - before.inf}, part);
    }
    if (doubtful) part.unit.argmax = kDoubtful;
    state.store(unit, part.unit);
}

// Every field of a part as `get` brings it from another lane.
template <class Get>
__device__ __forceinline__ Part part_by(const Get& get, const Part& part) {
    Part out;
    out.unit.nonzero = get(part.unit.nonzero);
    out.unit.active_examples = get(part.unit.active_examples);
    out.unit.max = get(part.unit.max);
    out.unit.min = get(part.unit.min);
    out.unit.argmax = get(part.unit.argmax);
    out.unit.mean = get(part.unit.mean);
    out.unit.m2 = get(part.unit.m2);
    out.unit.mean_abs = get(part.unit.mean_abs);
    out.unit.nan = get(part.unit.nan);
    out.unit.inf = get(part.unit.inf);
    out.finite = get(part.finite);
    out.lost = get(part.lost);
    return out;
}

// Joins what `width` neighbouring lanes hold, always in the same order; the first of them gets it.
// All lanes of the warp take part.
__device__ __forceinline__ Part join_lanes(Part part, int width) {
    for (int offset = width / 2; offset > 0; offset /= 2) {
        const auto above = [&](auto value) { return __shfl_down_sync(kFullWarp, value, offset, kWarp); };
        part = joined(part, part_by(above, part));
    }
    return part;
}

template <class T>
__device__ __forceinline__ T sum_lanes(T value, int width) {
    for (int offset = width / 2; offset > 0; offset /= 2)
        value += __shfl_down_sync(kFullWarp, value, offset, kWarp);
    return value;
}

}  // namespace neurocensus::cuda
