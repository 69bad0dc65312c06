// Columns: units side by side, as in dense layers, channels_last and sequences. Buffers whose units are
// not side by side, or are not stored in the compute type, pass through a small scratch block.
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

constexpr int kColumnTile = 64;  // rows; times one block of units they stay in the L1 cache

// Rows of a tile: one (example, position) each, masked ones left out.
struct ColumnTile {
    int rows = 0;
    std::int64_t offset[kColumnTile];   // of the row's unit 0, in elements
    std::int64_t example[kColumnTile];  // relative to the view
};

// K vectors of units over all rows of a tile.
template <class C, int K>
struct Block {
    static constexpr int kWidth = K * kLanes<C>;
    alignas(64) C max[kWidth], min[kWidth], sum_abs[kWidth];
    alignas(64) C shift[kWidth], residual[kWidth], square[kWidth];
    alignas(64) typename Simd<C>::Bits nonzero[kWidth];
};

// Where the rows of a block lie: in the buffer, or in the scratch block.
template <class C>
struct BlockRows {
    const C* base;
    const std::int64_t* offset;
    int rows;
    bool prefetch;
    const C* operator[](int row) const { return base + offset[row]; }
};

template <class C, int K>
void sums_about_shift(const BlockRows<C>& x, Block<C, K>& block) {
    constexpr int L = kLanes<C>;
    Vec<C> shift[K], residual[K] = {}, square[K] = {};
    for (int k = 0; k < K; ++k) shift[k] = load<C>(block.shift + k * L);
    for (int row = 0; row < x.rows; ++row) {
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) {
            const Vec<C> delta = load<C>(x[row] + k * L) - shift[k];
            residual[k] += delta;
            square[k] += delta * delta;
        }
    }
    for (int k = 0; k < K; ++k) {
        store<C>(block.residual + k * L, residual[k]);
        store<C>(block.square + k * L, square[k]);
    }
}

template <class C, int K>
void reduce_block(const BlockRows<C>& x, C threshold, Block<C, K>& block) {
    constexpr int L = kLanes<C>;
    constexpr C infinity = std::numeric_limits<C>::infinity();
    using V = Vec<C>;
    using I = Int<C>;
    V max[K], min[K], sum_abs[K] = {}, shift[K], residual[K] = {}, square[K] = {};
    I nonzero[K] = {};
    for (int k = 0; k < K; ++k) {
        max[k] = broadcast<C>(-infinity);
        min[k] = broadcast<C>(infinity);
        const int last = x.rows - 1;  // a sample's mean, so that sums are taken about something near
        shift[k] = ((load<C>(x[0] + k * L) + load<C>(x[last / 3] + k * L)) +
                    (load<C>(x[2 * last / 3] + k * L) + load<C>(x[last] + k * L))) *
                   C(0.25);
        store<C>(block.shift + k * L, shift[k]);
    }
    for (int row = 0; row < x.rows; ++row) {
        const C* p = x[row];
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) {
            const V value = load<C>(p + k * L);
            if (x.prefetch) __builtin_prefetch(p + (K + k) * L);
            const V size = magnitude<C>(value);
            const V delta = value - shift[k];
            max[k] = value > max[k] ? value : max[k];
            min[k] = value < min[k] ? value : min[k];
            nonzero[k] -= reinterpret_cast<I>(size > threshold);
            sum_abs[k] += size;
            residual[k] += delta;
            square[k] += delta * delta;
        }
    }
    for (int k = 0; k < K; ++k) {
        store<C>(block.max + k * L, max[k]);
        store<C>(block.min + k * L, min[k]);
        store<C>(block.sum_abs + k * L, sum_abs[k]);
        store<C>(block.residual + k * L, residual[k]);
        store<C>(block.square + k * L, square[k]);
        store_bits<C>(block.nonzero + k * L, nonzero[k]);
    }
}

// Is the lane's tile fit for the vector way (see moments-inl.hpp)?
template <class C, int K>
bool trusted(const Block<C, K>& block, int lane, int rows) {
    constexpr C infinity = std::numeric_limits<C>::infinity();
    return (block.sum_abs[lane] < infinity) & (block.square[lane] < infinity) &
           ((block.max[lane] == block.min[lane]) |
            (block.square[lane] >= kSmallestSquare<C> * static_cast<C>(rows)));
}

template <class C, int K>
bool all_trusted(const Block<C, K>& block, int rows) {
    int untrusted = 0;
    for (int lane = 0; lane < Block<C, K>::kWidth; ++lane) untrusted += !trusted(block, lane, rows);
    return untrusted == 0;
}

// Takes the sums again about the mean if for any lane the shift turned out too far from it.
template <class C, int K>
void recentre(const BlockRows<C>& x, Block<C, K>& block) {
    const C n = static_cast<C>(x.rows);
    int far = 0;
    for (int lane = 0; lane < Block<C, K>::kWidth; ++lane) {
        const C offset = block.residual[lane] / n;
        const C m2 = block.square[lane] - n * offset * offset;
        far += (block.max[lane] != block.min[lane]) &
               !(n * offset * offset <= static_cast<C>(kMaxShiftSquared) * m2);
    }
    if (far == 0) return;
    for (int lane = 0; lane < Block<C, K>::kWidth; ++lane)
        block.shift[lane] += block.residual[lane] / n;
    sums_about_shift(x, block);
}

// Per lane the first row whose value is the block's maximum.
template <class C, int K>
void first_rows_of_max(const BlockRows<C>& x, const Block<C, K>& block, typename Simd<C>::Bits* first) {
    constexpr int L = kLanes<C>;
    for (int k = 0; k < K; ++k) {
        const Vec<C> max = load<C>(block.max + k * L);
        Int<C> found{};
        for (int row = x.rows - 1; row >= 0; --row)
            found = load<C>(x[row] + k * L) == max ? Int<C>{} + row : found;
        store_bits<C>(first + k * L, found);
    }
}

// Per lane the number of examples of the tile with a nonzero value; examples are whole.
template <class C, int K>
void count_active(const BlockRows<C>& x, const ColumnTile& tile, C threshold,
                  typename Simd<C>::Bits* active) {
    constexpr int L = kLanes<C>;
    Int<C> count[K] = {};
    for (int row = 0; row < tile.rows;) {
        Int<C> any[K] = {};
        const std::int64_t example = tile.example[row];
        for (; row < tile.rows && tile.example[row] == example; ++row) {
            for (int k = 0; k < K; ++k)
                any[k] |= reinterpret_cast<Int<C>>(magnitude<C>(load<C>(x[row] + k * L)) > threshold);
        }
        for (int k = 0; k < K; ++k) count[k] -= any[k];
    }
    for (int k = 0; k < K; ++k) store_bits<C>(active + k * L, count[k]);
}

template <DType D>
class ColumnScan {
   public:
    using C = typename Source<D>::Compute;
    using Bits = typename Simd<C>::Bits;

    ColumnScan(const Job& job, C threshold)
        : job_(job),
          state_{job.words, job.view.units, false},
          histogram_(job.histogram),
          threshold_(threshold),
          values_(job.values_before) {}

    void run() {
        const View& view = job_.view;
        const bool spanning = view.positions > kColumnTile;  // an example takes several tiles
        for (std::int64_t example = job_.example_begin; example < job_.example_end; ++example) {
            if (!spanning && tile_.rows + view.positions > kColumnTile) take_tile(false);
            Positions at(view, 0);
            for (std::int64_t position = 0; position < view.positions;) {
                if (tile_.rows == kColumnTile) take_tile(spanning);
                const std::int64_t run =
                    least(least(at.run(), kColumnTile - tile_.rows), view.positions - position);
                add_rows(example, position, run, example * view.example_stride + at.offset());
                position += run;
                at.advance(run);
            }
            if (spanning) {
                take_tile(true);
                finish_example();
            }
        }
        take_tile(false);
    }

   private:
    static constexpr int kVectors = NC_COLUMN_VECTORS;

    void add_rows(std::int64_t example, std::int64_t position, std::int64_t count, std::int64_t offset) {
        const View& view = job_.view;
        const std::int64_t stride =
            view.position_axes > 0 ? view.position_stride[view.position_axes - 1] : 0;
        for (std::int64_t i = 0; i < count; ++i) {
            if (!keeps(job_.mask, example, position + i)) continue;
            tile_.offset[tile_.rows] = offset + i * stride;
            tile_.example[tile_.rows] = example;
            ++tile_.rows;
        }
    }

    // Folds the tile, if there is one, into the state of every unit of the job.
    void take_tile(bool spanning) {
        if (tile_.rows == 0) return;
        constexpr int kWide = Block<C, kVectors>::kWidth;
        constexpr int kNarrow = Block<C, 1>::kWidth;
        std::int64_t u = job_.unit_begin;
        while (u < job_.unit_end) {
            const std::int64_t left = job_.unit_end - u;
            if (left > kNarrow) {
                take_block<kVectors>(u, static_cast<int>(least(left, kWide)), spanning);
                u += kWide;
            } else {
                take_block<1>(u, static_cast<int>(left), spanning);
                u += kNarrow;
            }
        }
        values_ += tile_.rows;
        tile_.rows = 0;
    }

    template <int K>
    void take_block(std::int64_t unit, int width, bool spanning) {
        BlockRows<C> x = rows_of<Block<C, K>::kWidth>(unit, width);
        Block<C, K> block;
        reduce_block(x, threshold_, block);
        if (all_trusted(block, x.rows)) {
            fold_block<K>(x, unit, width, spanning, block);
        } else {
            for (int lane = 0; lane < width; ++lane) fold_carefully(x, unit + lane, lane, spanning);
        }
    }

    template <int K>
    void fold_block(const BlockRows<C>& x, std::int64_t unit, int width, bool spanning,
                    Block<C, K>& block) {
        if (histogram_.wanted()) {
            for (int row = 0; row < x.rows; ++row) histogram_.add(x[row], width);
        }
        recentre(x, block);
        keep_records<K>(x, unit, width, spanning, block);
        fold_moments(unit, width, block);
        if (spanning) {
            for (int lane = 0; lane < width; ++lane) job_.active[unit + lane] |= block.nonzero[lane] > 0;
            return;
        }
        std::int64_t* total = state_.counts(Field::active_examples) + unit;
        if (job_.view.positions == 1) {
            for (int lane = 0; lane < width; ++lane) total[lane] += block.nonzero[lane];
        } else {
            Bits active[Block<C, K>::kWidth];
            count_active<C, K>(x, tile_, threshold_, active);
            for (int lane = 0; lane < width; ++lane) total[lane] += active[lane];
        }
    }

    // max and argmax. New records are rare after the first tiles, so their examples are looked up
    // only then.
    template <int K>
    void keep_records(const BlockRows<C>& x, std::int64_t unit, int width, bool spanning,
                      const Block<C, K>& block) const {
        double* max = state_.reals(Field::max) + unit;
        std::int64_t* argmax = state_.counts(Field::argmax) + unit;
        const std::int64_t first = job_.first_example + tile_.example[0];
        int records = 0;
        for (int lane = 0; lane < width; ++lane)
            records += exceeds(block.max[lane], first, max[lane], argmax[lane]);
        if (records == 0) return;
        Bits row[Block<C, K>::kWidth] = {};
        if (!spanning) first_rows_of_max<C, K>(x, block, row);
        for (int lane = 0; lane < width; ++lane) {
            const std::int64_t example = job_.first_example + tile_.example[row[lane]];
            if (!exceeds(block.max[lane], example, max[lane], argmax[lane])) continue;
            max[lane] = block.max[lane] + 0.0;  // -0.0 is zero
            argmax[lane] = example;
        }
    }

    // One unit of a tile that holds NaN, infinities or extreme squares.
    void fold_carefully(const BlockRows<C>& x, std::int64_t unit, int lane, bool spanning) {
        C values[kColumnTile];
        for (int row = 0; row < x.rows; ++row) {
            values[row] = x[row][lane];
            if (histogram_.wanted() && __builtin_isfinite(values[row])) histogram_.add(values + row, 1);
        }
        Tile tile = careful_tile(values, x.rows, threshold_);
        if (tile.finite > 0) {
            int row = 0;
            while (values[row] != tile.unit.max) ++row;
            tile.unit.argmax = job_.first_example + tile_.example[row];
        }
        if (spanning) {
            job_.active[unit] |= tile.unit.nonzero > 0;
        } else {
            for (int row = 0; row < x.rows;) {
                const std::int64_t example = tile_.example[row];
                bool any = false;
                for (; row < x.rows && tile_.example[row] == example; ++row)
                    any |= __builtin_isfinite(values[row]) && magnitude(values[row]) > threshold_;
                tile.unit.active_examples += any;
            }
        }
        const Unit before = state_.load(unit);
        state_.store(unit, combine(before, values_ - before.nan - before.inf, tile.unit, tile.finite));
    }

    // The block's rows as a dense array in the compute type, in place where they lie so.
    template <int kWidth>
    BlockRows<C> rows_of(std::int64_t unit, int width) {
        const View& view = job_.view;
        const auto* base = static_cast<const typename Source<D>::Stored*>(view.data) + unit * view.unit_stride;
        if constexpr (kStoredAsComputed<D>) {
            if (view.unit_stride == 1 && unit + kWidth <= view.units)
                return {base, tile_.offset, tile_.rows, unit + kWidth < job_.unit_end};
        }
        for (int row = 0; row < tile_.rows; ++row) {
            C* out = scratch_ + row * kWidth;
            widen_run<D>(base + tile_.offset[row], view.unit_stride, width, out);
            for (int lane = width; lane < kWidth; ++lane) out[lane] = 0;
            scratch_offset_[row] = row * kWidth;
        }
        return {scratch_, scratch_offset_, tile_.rows, false};
    }

    // combine() of ops.hpp written over lanes, for a tile of finite values; max and argmax are keep_records'.
    template <int K>
    void fold_moments(std::int64_t unit, int width, const Block<C, K>& block) const {
        std::int64_t* __restrict nonzero = state_.counts(Field::nonzero) + unit;
        double* __restrict min = state_.reals(Field::min) + unit;
        double* __restrict mean = state_.reals(Field::mean) + unit;
        double* __restrict m2 = state_.reals(Field::m2) + unit;
        double* __restrict mean_abs = state_.reals(Field::mean_abs) + unit;
        const std::int64_t* __restrict nan = state_.counts(Field::nan) + unit;
        const std::int64_t* __restrict inf = state_.counts(Field::inf) + unit;
        const double n = tile_.rows, per_value = 1.0 / n;
        for (int lane = 0; lane < width; ++lane) {
            const double finite = static_cast<double>(values_ - nan[lane] - inf[lane]);
            const double share = n / (finite + n);
            const bool constant = block.max[lane] == block.min[lane];
            const double offset = block.residual[lane] * per_value;
            const double tile_m2 = block.square[lane] - n * offset * offset;
            const double tile_mean = constant ? block.max[lane] + 0.0 : block.shift[lane] + offset;
            const double delta = tile_mean - mean[lane];
            const double tile_min = block.min[lane] + 0.0;
            nonzero[lane] += block.nonzero[lane];
            min[lane] = tile_min < min[lane] ? tile_min : min[lane];
            mean[lane] += delta * share;
            m2[lane] += (constant || !(tile_m2 > 0) ? 0.0 : tile_m2) + delta * delta * (finite * share);
            mean_abs[lane] += (block.sum_abs[lane] * per_value - mean_abs[lane]) * share;
        }
    }

    void finish_example() const {
        std::int64_t* active = state_.counts(Field::active_examples);
        for (std::int64_t u = job_.unit_begin; u < job_.unit_end; ++u) {
            active[u] += job_.active[u];
            job_.active[u] = 0;
        }
    }

    const Job& job_;
    StateView state_;
    Histogram histogram_;
    C threshold_;
    std::int64_t values_;
    ColumnTile tile_;
    std::int64_t scratch_offset_[kColumnTile];
    alignas(64) C scratch_[kColumnTile * Block<C, kVectors>::kWidth];
};

}  // namespace NC_ISA
}  // namespace neurocensus
