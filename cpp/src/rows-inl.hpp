// Rows: each (example, unit) has its positions side by side, as in NCHW.
#pragma once

#include <cstdint>

#include "histogram-inl.hpp"
#include "kernels.hpp"
#include "load-inl.hpp"
#include "moments-inl.hpp"
#include "neurocensus/state.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

constexpr std::int64_t kRowTile = 4096;  // values: 16 KiB of float32, which stay in the L1 cache

constexpr std::int64_t kShortRow = 256;  // positions, below which a tile would cost more than its values
constexpr std::int64_t kShortRowsBlock = 1 << 18;  // bytes of several examples, which stay in the L2 cache
constexpr std::int64_t kShortRowsStreams = 16;     // examples at least: prefetchers follow as many streams

constexpr std::int64_t kRowsAhead = 16384;  // bytes that prefetching runs ahead

template <class C>
struct RowTile {
    std::int64_t nonzero;
    C max, min, sum_abs;
    Sums<C> sums;
};

// A cheap guess of the mean: the shift about which sums are taken.
template <class C>
inline C sample_mean(const C* x, std::int64_t count) {
    constexpr int L = kLanes<C>;
    if (count < 4 * L) return (x[0] + x[count / 3] + x[2 * count / 3] + x[count - 1]) / 4;
    const std::int64_t step = (count - L) / 3;
    const Vec<C> sum = (load<C>(x) + load<C>(x + step)) + (load<C>(x + 2 * step) + load<C>(x + 3 * step));
    C total = 0;
    for (int lane = 0; lane < L; ++lane) total += sum[lane];
    return total / (4 * L);
}

// The last count % L values, the free lanes filled with the last value; `used` marks the others.
template <class C>
inline Vec<C> load_tail(const C* x, std::int64_t count, Int<C>& used) {
    constexpr int L = kLanes<C>;
    C padded[L];
    for (int lane = 0; lane < L; ++lane) padded[lane] = x[lane < count ? lane : count - 1];
    used = iota<C>() < static_cast<typename Simd<C>::Bits>(count);
    return load<C>(padded);
}

template <class C>
Sums<C> sums_about(const C* x, std::int64_t count, C shift) {
    constexpr int L = kLanes<C>;
    constexpr int U = 4;
    using V = Vec<C>;
    V residual[U] = {}, square[U] = {};
    const auto take = [&](int k, V value) {
        const V delta = value - shift;
        residual[k] += delta;
        square[k] += delta * delta;
    };
    std::int64_t i = 0;
    for (; i + U * L <= count; i += U * L) {
#pragma GCC unroll 8
        for (int k = 0; k < U; ++k) take(k, load<C>(x + i + k * L));
    }
    for (; i + L <= count; i += L) take(0, load<C>(x + i));
    Sums<C> out{shift, 0, 0};
    for (; i < count; ++i) {
        const C delta = x[i] - shift;
        out.residual += delta;
        out.square += delta * delta;
    }
    const V residuals = (residual[0] + residual[1]) + (residual[2] + residual[3]);
    const V squares = (square[0] + square[1]) + (square[2] + square[3]);
    for (int lane = 0; lane < L; ++lane) {
        out.residual += residuals[lane];
        out.square += squares[lane];
    }
    return out;
}

template <class C>
RowTile<C> reduce_row(const C* x, std::int64_t count, C threshold) {
    constexpr int L = kLanes<C>;
    constexpr int U = NC_ROW_UNROLL;
    using V = Vec<C>;
    using I = Int<C>;
    constexpr C infinity = std::numeric_limits<C>::infinity();
    const C shift = sample_mean(x, count);
    V max[U], min[U], sum_abs[U] = {}, residual[U] = {}, square[U] = {};
    I nonzero[U] = {};
    for (int k = 0; k < U; ++k) {
        max[k] = broadcast<C>(-infinity);
        min[k] = broadcast<C>(infinity);
    }
    const auto take = [&](int k, V value) {
        const V size = magnitude<C>(value);
        const V delta = value - shift;
        max[k] = value > max[k] ? value : max[k];
        min[k] = value < min[k] ? value : min[k];
        nonzero[k] = count_above<C>(nonzero[k], size, threshold);
        sum_abs[k] += size;
        residual[k] += delta;
        square[k] += delta * delta;
    };
    std::int64_t i = 0;
    for (; i + U * L <= count; i += U * L) {
#pragma GCC unroll 8
        for (int k = 0; k < U; ++k) {
            __builtin_prefetch(x + i + k * L + kRowsAhead / static_cast<int>(sizeof(C)));
            take(k, load<C>(x + i + k * L));
        }
    }
    for (; i + L <= count; i += L) take(0, load<C>(x + i));
    if (i < count) {
        I used;
        const V value = load_tail<C>(x + i, count - i, used);
        const V size = magnitude<C>(value);
        const V delta = value - shift;
        max[0] = value > max[0] ? value : max[0];
        min[0] = value < min[0] ? value : min[0];
        nonzero[0] -= reinterpret_cast<I>(size > threshold) & used;
        const auto only_used = [&](V v) { return reinterpret_cast<V>(reinterpret_cast<I>(v) & used); };
        sum_abs[0] += only_used(size);
        residual[0] += only_used(delta);
        square[0] += only_used(delta * delta);
    }
    for (int k = 1; k < U; ++k) {
        max[0] = max[k] > max[0] ? max[k] : max[0];
        min[0] = min[k] < min[0] ? min[k] : min[0];
        nonzero[0] += nonzero[k];
        sum_abs[0] += sum_abs[k];
        residual[0] += residual[k];
        square[0] += square[k];
    }
    RowTile<C> out{0, -infinity, infinity, 0, {shift, 0, 0}};
    for (int lane = 0; lane < L; ++lane) {
        out.max = max[0][lane] > out.max ? max[0][lane] : out.max;
        out.min = min[0][lane] < out.min ? min[0][lane] : out.min;
        out.nonzero += nonzero[0][lane];
        out.sum_abs += sum_abs[0][lane];
        out.sums.residual += residual[0][lane];
        out.sums.square += square[0][lane];
    }
    return out;
}

// The tile as a unit's state of its own (argmax and active_examples are the caller's).
template <class C>
Tile row_tile(const C* x, std::int64_t count, C threshold, Histogram& histogram) {
    RowTile<C> tile = reduce_row(x, count, threshold);
    if (!fits(tile.sum_abs, tile.sums.square, static_cast<C>(count))) {
        if (histogram.wanted()) {
            for (std::int64_t i = 0; i < count; ++i)
                if (__builtin_isfinite(x[i])) histogram.add(x + i, 1);
        }
        return careful_tile(x, count, threshold);
    }
    if (histogram.wanted()) histogram.add(x, count);
    const double n = static_cast<double>(count);
    Unit unit = identity();
    unit.nonzero = tile.nonzero;
    unit.max = tile.max + 0.0;  // -0.0 is zero
    unit.min = tile.min + 0.0;
    unit.mean_abs = tile.sum_abs / n;
    if (!settle(tile.sums, n, unit)) {
        const C mean = static_cast<C>(unit.mean);
        settle(sums_about(x, count, mean), n, unit);
    }
    return {unit, count};
}

// Positions [begin, end) of one (example, unit) that the mask keeps, side by side in `scratch`; returns
// how many. Where they already lie so in the buffer, `x` points there and nothing is moved.
template <DType D>
std::int64_t gather_row(const Job& job, std::int64_t example, std::int64_t unit, std::int64_t begin,
                        std::int64_t end, typename Source<D>::Compute* scratch,
                        const typename Source<D>::Compute*& x) {
    const View& view = job.view;
    const auto* base = static_cast<const typename Source<D>::Stored*>(view.data) +
                       example * view.example_stride + unit * view.unit_stride;
    if constexpr (kStoredAsComputed<D>) {
        if (job.mask.data == nullptr && view.position_axes == 1 && view.position_stride[0] == 1) {
            x = base + begin;
            return end - begin;
        }
    }
    x = scratch;
    Positions at(view, begin);
    std::int64_t kept = 0;
    for (std::int64_t position = begin; position < end;) {
        const std::int64_t run = least(at.run(), end - position);
        const std::int64_t stride = view.position_axes ? view.position_stride[view.position_axes - 1] : 1;
        const auto* from = base + at.offset();
        if (job.mask.data == nullptr) {
            widen_run<D>(from, stride, run, scratch + kept);
            kept += run;
        } else {
            for (std::int64_t i = 0; i < run; ++i) {
                if (keeps(job.mask, example, position + i))
                    scratch[kept++] = Source<D>::widen(from[i * stride]);
            }
        }
        position += run;
        at.advance(run);
    }
    return kept;
}

// Whether any value is finite with a magnitude above the threshold.
template <class C>
bool any_above(const C* x, std::int64_t count, C threshold) {
    constexpr int L = kLanes<C>;
    constexpr C most = std::numeric_limits<C>::max();
    Int<C> found{};
    std::int64_t i = 0;
    for (; i + L <= count; i += L) {
        const Vec<C> size = magnitude<C>(load<C>(x + i));
        found |= reinterpret_cast<Int<C>>(size > threshold) & reinterpret_cast<Int<C>>(size <= most);
    }
    typename Simd<C>::Bits any = 0;
    for (int lane = 0; lane < L; ++lane) any |= found[lane];
    for (; i < count; ++i) any |= magnitude(x[i]) > threshold && magnitude(x[i]) <= most;
    return any != 0;
}

// How many examples to take together, if rows are short.
template <DType D>
std::int64_t examples_together(const Job& job) {
    const std::int64_t positions = job.view.positions;
    if (job.mask.data != nullptr || positions > kShortRow || positions < 1) return 1;
    const std::int64_t bytes = job.view.units * positions *  // of all units: the same for any slices
                               static_cast<std::int64_t>(sizeof(typename Source<D>::Stored));
    const std::int64_t fit = kShortRowsBlock / bytes;
    const std::int64_t some = fit < kShortRowsStreams ? kShortRowsStreams : fit;
    return least(least(kRowTile / positions, some), job.example_end - job.example_begin);
}

// Short rows (the last feature maps of a network): those of several examples make one tile of a unit, so
// that they share what a tile costs by itself.
template <DType D>
void scan_short_rows(const Job& job, typename Source<D>::Compute threshold, std::int64_t together) {
    using C = typename Source<D>::Compute;
    const StateView state{job.words, job.view.units, false};
    const std::int64_t positions = job.view.positions;
    Histogram histogram(job.histogram);
    alignas(64) C scratch[kRowTile];
    std::int64_t values = job.values_before;
    for (std::int64_t begin = job.example_begin; begin < job.example_end; begin += together) {
        const std::int64_t end = least(begin + together, job.example_end);
        const std::int64_t count = (end - begin) * positions;
        for (std::int64_t u = job.unit_begin; u < job.unit_end; ++u) {
            const Unit unit = state.load(u);
            std::int64_t active = 0;
            for (std::int64_t example = begin; example < end; ++example) {
                C* const to = scratch + (example - begin) * positions;
                const C* x = nullptr;
                gather_row<D>(job, example, u, 0, positions, to, x);
                if (x != to) __builtin_memcpy(to, x, static_cast<std::size_t>(positions) * sizeof(C));
                active += any_above(to, positions, threshold);
            }
            Tile tile = row_tile(scratch, count, threshold, histogram);
            tile.unit.active_examples = active;
            if (tile.finite > 0 && tile.unit.max >= unit.max) {  // a record: whose?
                std::int64_t at = 0;
                while (static_cast<double>(scratch[at]) != tile.unit.max) ++at;
                tile.unit.argmax = job.first_example + begin + at / positions;
            }
            state.store(u, combine(unit, values - unit.nan - unit.inf, tile.unit, tile.finite));
        }
        values += count;
    }
}

template <DType D>
void scan_rows(const Job& job, typename Source<D>::Compute threshold) {
    using C = typename Source<D>::Compute;
    if (const std::int64_t together = examples_together<D>(job); together > 1) {
        scan_short_rows<D>(job, threshold, together);
        return;
    }
    const StateView state{job.words, job.view.units, false};
    Histogram histogram(job.histogram);
    alignas(64) C scratch[kRowTile];
    std::int64_t values = job.values_before;
    for (std::int64_t example = job.example_begin; example < job.example_end; ++example) {
        std::int64_t kept_here = 0;
        for (std::int64_t u = job.unit_begin; u < job.unit_end; ++u) {
            Unit unit = state.load(u);
            std::int64_t finite = values - unit.nan - unit.inf;
            const std::int64_t nonzero_before = unit.nonzero;
            kept_here = 0;
            for (std::int64_t begin = 0; begin < job.view.positions; begin += kRowTile) {
                const std::int64_t end = least(begin + kRowTile, job.view.positions);
                const C* x = nullptr;
                const std::int64_t count = gather_row<D>(job, example, u, begin, end, scratch, x);
                if (count == 0) continue;
                Tile tile = row_tile(x, count, threshold, histogram);
                if (tile.finite > 0) tile.unit.argmax = job.first_example + example;
                unit = combine(unit, finite, tile.unit, tile.finite);
                finite += tile.finite;
                kept_here += count;
            }
            unit.active_examples += unit.nonzero > nonzero_before;
            state.store(u, unit);
        }
        values += kept_here;
    }
}

}  // namespace NC_ISA
}  // namespace neurocensus
