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
template <DType D, class T>
inline typename Source<D>::Compute sample_mean(const T* x, std::int64_t count) {
    using C = typename Source<D>::Compute;
    constexpr int L = kLanes<C>;
    const auto at = [x](std::int64_t i) { return widen_one<D>(x + i); };
    if (count < 4 * L) return (at(0) + at(count / 3) + at(2 * count / 3) + at(count - 1)) / 4;
    const std::int64_t step = (count - L) / 3;
    const Vec<C> sum = (load_wide<D>(x) + load_wide<D>(x + step)) +
                       (load_wide<D>(x + 2 * step) + load_wide<D>(x + 3 * step));
    C total = 0;
    for (int lane = 0; lane < L; ++lane) total += sum[lane];
    return total / (4 * L);
}

template <DType D, class T>
auto sums_about(const T* x, std::int64_t count, typename Source<D>::Compute shift) {
    using C = typename Source<D>::Compute;
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
        for (int k = 0; k < U; ++k) take(k, load_wide<D>(x + i + k * L));
    }
    for (; i + L <= count; i += L) take(0, load_wide<D>(x + i));
    Sums<C> out{shift, 0, 0};
    for (; i < count; ++i) {
        const C delta = widen_one<D>(x + i) - shift;
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

template <DType D, class T>
auto reduce_row(const T* x, std::int64_t count, std::int64_t ahead, typename Source<D>::Compute threshold) {
    using C = typename Source<D>::Compute;
    constexpr int L = kLanes<C>;
    constexpr int U = NC_ROW_UNROLL;
    using V = Vec<C>;
    using I = Int<C>;
    constexpr C infinity = std::numeric_limits<C>::infinity();
    const C shift = sample_mean<D>(x, count);
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
            __builtin_prefetch(x + i + k * L + ahead);
            take(k, load_wide<D>(x + i + k * L));
        }
    }
    for (; i + L <= count; i += L) take(0, load_wide<D>(x + i));
    if (i < count) {
        I used;
        const V value = load_tail<D>(x + i, count - i, used);
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

// The tile as a unit's state of its own (argmax and active_examples are the caller's). Fetches so many values
// ahead: none where they were just written.
template <DType D, class T>
Tile row_tile(const T* x, std::int64_t count, std::int64_t ahead, typename Source<D>::Compute threshold,
              Histogram& histogram) {
    using C = typename Source<D>::Compute;
    const RowTile<C> tile = reduce_row<D>(x, count, ahead, threshold);
    if (histogram.wanted()) histogram.add<D>(x, count);
    if (!fits(tile.sum_abs, tile.sums.square, static_cast<C>(count)))
        return careful_tile<D>(x, count, threshold);
    const double n = static_cast<double>(count);
    Unit unit = identity();
    unit.nonzero = tile.nonzero;
    unit.max = tile.max + 0.0;  // -0.0 is zero
    unit.min = tile.min + 0.0;
    unit.mean_abs = tile.sum_abs / n;
    if (!settle(tile.sums, n, unit)) {
        const C mean = static_cast<C>(unit.mean);
        settle(sums_about<D>(x, count, mean), n, unit);
    }
    return {unit, count};
}

// Do the positions of every (example, unit) lie side by side, and is each looked at?
inline bool in_place(const Job& job) {
    return job.mask.data == nullptr && job.view.position_axes == 1 && job.view.position_stride[0] == 1;
}

// The values of one (example, unit): where they lie, or gathered and widened.
template <DType D, bool kInPlace>
class RowReader {
   public:
    using C = typename Source<D>::Compute;
    using Stored = typename Source<D>::Stored;
    using T = std::conditional_t<kInPlace, Stored, C>;

    explicit RowReader(const Job& job) : job_(job) {}

    // Positions [begin, end) that the mask keeps; sets their number. `scratch` may hold them.
    const T* read(std::int64_t example, std::int64_t unit, std::int64_t begin, std::int64_t end, T* scratch,
                  std::int64_t& count) const {
        const View& view = job_.view;
        const Stored* base =
            static_cast<const Stored*>(view.data) + example * view.example_stride + unit * view.unit_stride;
        if constexpr (kInPlace) {
            count = end - begin;
            return base + begin;
        } else {
            count = gather(base, example, begin, end, scratch);
            return scratch;
        }
    }

   private:
    std::int64_t gather(const Stored* base, std::int64_t example, std::int64_t begin, std::int64_t end,
                        C* out) const {
        const View& view = job_.view;
        const std::int64_t stride = view.position_axes ? view.position_stride[view.position_axes - 1] : 1;
        Positions at(view, begin);
        std::int64_t kept = 0;
        for (std::int64_t position = begin; position < end;) {
            const std::int64_t run = least(at.run(), end - position);
            const Stored* from = base + at.offset();
            if (job_.mask.data == nullptr) {
                widen_run<D>(from, stride, run, out + kept);
                kept += run;
            } else {
                for (std::int64_t i = 0; i < run; ++i) {
                    if (keeps(job_.mask, example, position + i))
                        out[kept++] = Source<D>::widen(from[i * stride]);
                }
            }
            position += run;
            at.advance(run);
        }
        return kept;
    }

    const Job& job_;
};

// Copies a row; the next unit's, which lies behind it, is fetched ahead. Whether any value is finite with a
// magnitude above the threshold.
template <DType D, class T>
bool copy_row(const T* x, std::int64_t count, typename Source<D>::Compute threshold, T* to) {
    using C = typename Source<D>::Compute;
    constexpr int L = kLanes<C>;
    constexpr C most = std::numeric_limits<C>::max();
    Int<C> found{};
    const auto take = [&](Vec<C> value) {
        const Vec<C> size = magnitude<C>(value);
        found |= reinterpret_cast<Int<C>>(size > threshold) & reinterpret_cast<Int<C>>(size <= most);
    };
    if (count < L) {
        Int<C> used;
        take(load_tail<D>(x, count, used));
        for (std::int64_t i = 0; i < count; ++i) to[i] = x[i];
        return any_bit<C>(found);
    }
    const auto copy = [&](std::int64_t i) {
        __builtin_prefetch(x + i + 2 * count);
        __builtin_memcpy(to + i, x + i, L * sizeof(T));
        take(load_wide<D>(x + i));
    };
    for (std::int64_t i = 0; i + L <= count; i += L) copy(i);
    copy(count - L);  // the rest, and some again
    return any_bit<C>(found);
}

// The first place of a value that is there.
template <DType D, class T>
std::int64_t first_of(const T* x, std::int64_t count, double wanted) {
    using C = typename Source<D>::Compute;
    constexpr int L = kLanes<C>;
    const C value = static_cast<C>(wanted);
    std::int64_t i = 0;
    while (i + L <= count && !any_bit<C>(reinterpret_cast<Int<C>>(load_wide<D>(x + i) == value))) i += L;
    while (widen_one<D>(x + i) != value) ++i;
    return i;
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
template <DType D, bool kInPlace>
void scan_short_rows(const Job& job, typename Source<D>::Compute threshold, std::int64_t together) {
    using T = typename RowReader<D, kInPlace>::T;
    const StateView state{job.words, job.view.units, false};
    const RowReader<D, kInPlace> reader(job);
    const std::int64_t positions = job.view.positions;
    Histogram histogram(job.histogram);
    alignas(64) T scratch[kRowTile];
    std::int64_t values = job.values_before;
    for (std::int64_t begin = job.example_begin; begin < job.example_end; begin += together) {
        const std::int64_t end = least(begin + together, job.example_end);
        for (std::int64_t u = job.unit_begin; u < job.unit_end; ++u) {
            const Unit unit = state.load(u);
            std::int64_t active = 0;
            T* to = scratch;
            for (std::int64_t example = begin; example < end; ++example, to += positions) {
                std::int64_t count;
                const T* x = reader.read(example, u, 0, positions, to, count);
                active += copy_row<D>(x, positions, threshold, to);
            }
            Tile tile = row_tile<D>(scratch, to - scratch, 0, threshold, histogram);
            tile.unit.active_examples = active;
            if (tile.finite > 0 && exceeds(tile.unit.max, job.first_example + begin, unit.max, unit.argmax)) {
                const std::int64_t at = first_of<D>(scratch, to - scratch, tile.unit.max);
                tile.unit.argmax = job.first_example + begin + at / positions;
            }
            state.store(u, combine(unit, values - unit.nan - unit.inf, tile.unit, tile.finite));
        }
        values += (end - begin) * positions;
    }
}

template <DType D, bool kInPlace>
void scan_long_rows(const Job& job, typename Source<D>::Compute threshold) {
    using T = typename RowReader<D, kInPlace>::T;
    const StateView state{job.words, job.view.units, false};
    const RowReader<D, kInPlace> reader(job);
    Histogram histogram(job.histogram);
    alignas(64) T scratch[kInPlace ? 1 : kRowTile];
    const std::int64_t ahead = kInPlace ? kRowsAhead / static_cast<int>(sizeof(T)) : 0;
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
                std::int64_t count;
                const T* x = reader.read(example, u, begin, end, scratch, count);
                if (count == 0) continue;
                Tile tile = row_tile<D>(x, count, ahead, threshold, histogram);
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

template <DType D, bool kInPlace>
void scan_rows_in(const Job& job, typename Source<D>::Compute threshold) {
    const std::int64_t together = examples_together<D>(job);
    if (together > 1) return scan_short_rows<D, kInPlace>(job, threshold, together);
    scan_long_rows<D, kInPlace>(job, threshold);
}

template <DType D>
void scan_rows(const Job& job, typename Source<D>::Compute threshold) {
    if (in_place(job)) return scan_rows_in<D, true>(job, threshold);
    scan_rows_in<D, false>(job, threshold);
}

}  // namespace NC_ISA
}  // namespace neurocensus
