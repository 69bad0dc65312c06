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
    unsigned word = 0;

    __device__ __forceinline__ unsigned nonzero() const { return word & ((1u << kBits) - 1u); }
    __device__ __forceinline__ unsigned record() const { return word >> kBits; }
};

// A unit's state with its number of finite values. Doubtful: some of it cannot be trusted.
struct Part {
    Unit unit = identity();
    std::int64_t finite = 0;
    bool doubtful = false;
};

__device__ __forceinline__ Part joined(const Part& a, const Part& b) {
    return {combine(a.unit, a.finite, b.unit, b.finite), a.finite + b.finite, a.doubtful || b.doubtful};
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

// `n` values as a unit's state, their maximum at example `argmax`; doubtful where sums in C cannot stand for
// them.
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
    const bool near = settle(Sums<C>{shift, tally.residual, tally.square}, static_cast<double>(n), out.unit);
    out.doubtful = !near || !fits(tally.sum_abs, tally.square, static_cast<C>(n));
    return out;
}

// A part in memory: with this argmax, it stands for nothing, and its values must be looked at again.
constexpr std::int64_t kDoubtful = -2;

// Adds to what `state` holds of the unit, which has seen `values`; or replaces it.
__device__ __forceinline__ void keep_part(StateView state, std::int64_t unit, Part part, bool add,
                                          std::int64_t values) {
    if (add) {
        const Unit before = state.load(unit);
        part = joined({before, values - before.nan - before.inf, before.argmax == kDoubtful}, part);
    }
    if (part.doubtful) part.unit.argmax = kDoubtful;
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
    out.doubtful = get(static_cast<int>(part.doubtful)) != 0;
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
