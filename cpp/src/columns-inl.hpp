// Columns: units side by side, as in dense layers, channels_last and sequences, and every stride that is
// not rows. Eight rows at a time pass through registers over a panel of units; what they leave is summed
// in the L1 cache for up to kTileRows rows and then folded into the state.
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

constexpr int kTileRows = 512;
constexpr int kGroupRows = 8;  // of a wide panel: enough to spare most of the traffic with its sums
constexpr int kFrequentTiles = 3;
constexpr int kNarrowGroupRows = 64;  // of a panel of at most a quarter
constexpr int kOneExampleFrom = 32;   // positions: from here on a tile holds rows of one example only
template <class C>
constexpr int kPanel = 2048 / static_cast<int>(sizeof(C));  // units

// Prefetching runs so many bytes ahead, and at least so many rows: into the L2 cache, since the rows of
// a wide layer may all fall on the same few sets of the L1 cache.
constexpr std::int64_t kColumnsAhead = 16384;
constexpr std::int64_t kMinRowsAhead = 32;
constexpr int kPrefetchToL2 = 2;

// One row per kept (example, position).
struct ColumnTile {
    int rows = 0;
    std::int64_t offset[kTileRows];   // of the row's unit 0, in elements
    std::int64_t example[kTileRows];  // relative to the view
};

// Per unit of a panel, over the rows of a tile.
template <class C>
struct Panel {
    using Bits = typename Simd<C>::Bits;
    alignas(64) C record[kPanel<C>];  // the unit's maximum so far, over all tiles
    alignas(64) Bits
        record_row[kPanel<C>];  // the row of this tile that raised it last, or its group's first, or -1
    alignas(64) C min[kPanel<C>], sum_abs[kPanel<C>];
    alignas(64) C shift[kPanel<C>], residual[kPanel<C>], square[kPanel<C>];
    alignas(64) Bits nonzero[kPanel<C>];
};

// Rows `row` to `row + R` of a panel whose columns stand at x[0], x[1], ... Of a new record, notes the very
// row (two operations more) or just the group.
template <int R, bool kTrackRows, class C>
void reduce_group(const C* const* x, int row, int width, std::int64_t ahead, C threshold, Panel<C>& panel) {
    constexpr int L = kLanes<C>;
    using V = Vec<C>;
    using I = Int<C>;
    for (int column = 0; column < width; column += L) {
        const V shift = load<C>(panel.shift + column);
        V max = broadcast<C>(-std::numeric_limits<C>::infinity()), min = load<C>(panel.min + column);
        V sum_abs{}, residual{}, square{};
        I nonzero{}, found = I{} + row;
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const V value = load<C>(x[r] + column);
            __builtin_prefetch(x[r] + column + ahead, 0, kPrefetchToL2);
            const V size = magnitude<C>(value);
            const V delta = value - shift;
            if constexpr (kTrackRows) found = value > max ? I{} + (row + r) : found;
            max = value > max ? value : max;
            min = value < min ? value : min;
            nonzero = count_above<C>(nonzero, size, threshold);
            sum_abs += size;
            residual += delta;
            square += delta * delta;
        }
        store<C>(panel.min + column, min);
        store<C>(panel.sum_abs + column, load<C>(panel.sum_abs + column) + sum_abs);
        store<C>(panel.residual + column, load<C>(panel.residual + column) + residual);
        store<C>(panel.square + column, load<C>(panel.square + column) + square);
        store_bits<C>(panel.nonzero + column, load_bits<C>(panel.nonzero + column) + nonzero);

        const V record = load<C>(panel.record + column);
        const I group = load_bits<C>(panel.record_row + column);
        store<C>(panel.record + column, max > record ? max : record);
        store_bits<C>(panel.record_row + column, max > record ? found : group);
    }
}

// The sums again about other shifts.
template <class C>
void sum_row(const C* x, int width, Panel<C>& panel) {
    constexpr int L = kLanes<C>;
    for (int column = 0; column < width; column += L) {
        const Vec<C> delta = load<C>(x + column) - load<C>(panel.shift + column);
        store<C>(panel.residual + column, load<C>(panel.residual + column) + delta);
        store<C>(panel.square + column, load<C>(panel.square + column) + delta * delta);
    }
}

template <DType D>
class ColumnScan {
   public:
    using C = typename Source<D>::Compute;
    using Stored = typename Source<D>::Stored;
    using Bits = typename Simd<C>::Bits;

    ColumnScan(const Job& job, C threshold)
        : job_(job),
          state_{job.words, job.view.units, false},
          histogram_(job.histogram),
          threshold_(threshold),
          values_(job.values_before) {}

    void run() {
        const View& view = job_.view;
        if (view.positions == 0) return;
        const bool spanning = view.positions > kTileRows;  // an example takes several tiles
        for (std::int64_t example = job_.example_begin; example < job_.example_end; ++example) {
            Positions at(view, 0);
            for (std::int64_t position = 0; position < view.positions;) {
                if (tile_.rows == kTileRows) take_tile(spanning);
                const std::int64_t run =
                    least(least(at.run(), kTileRows - tile_.rows), view.positions - position);
                add_rows(example, position, run, example * view.example_stride + at.offset());
                position += run;
                at.advance(run);
            }
            if (view.positions >= kOneExampleFrom || tile_.rows + view.positions > kTileRows)
                take_tile(spanning);
            if (spanning) finish_example();
        }
        take_tile(spanning);
    }

   private:
    void add_rows(std::int64_t example, std::int64_t position, std::int64_t count, std::int64_t offset) {
        const View& view = job_.view;
        const std::int64_t stride = view.position_axes > 0 ? view.position_stride[view.position_axes - 1] : 0;
        if (job_.mask.data == nullptr) {  // simple enough to be vectorized: narrow layers have many rows
            for (std::int64_t i = 0; i < count; ++i) tile_.offset[tile_.rows + i] = offset + i * stride;
            for (std::int64_t i = 0; i < count; ++i) tile_.example[tile_.rows + i] = example;
            tile_.rows += static_cast<int>(count);
            return;
        }
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
        for (std::int64_t unit = job_.unit_begin; unit < job_.unit_end;) {
            const int left = static_cast<int>(least(job_.unit_end - unit, kPanel<C>));
            const int whole = left - left % kLanes<C>;
            const int width = whole > 0 ? whole : left;
            take_panel(unit, width, spanning);
            unit += width;
        }
        values_ += tile_.rows;
        tile_.rows = 0;
    }

    // `width` is a multiple of the lanes, or less than one vector.
    void take_panel(std::int64_t unit, int width, bool spanning) {
        start_panel(unit, width);
        int row = 0;
        if (is_narrow(width)) row = reduce_rows<kNarrowGroupRows>(unit, width, row);
        row = reduce_rows<kGroupRows>(unit, width, row);
        reduce_rows<1>(unit, width, row);
        if (all_fit(width)) {
            recentre(unit, width);
            keep_records(unit, width);
            fold_moments(unit, width);
            note_active(unit, width, spanning);
        } else {
            for (int lane = 0; lane < width; ++lane) fold_carefully(unit + lane, spanning);
        }
    }

    // As many whole groups of R rows as there are from `row` on; returns the row after them.
    template <int R>
    int reduce_rows(std::int64_t unit, int width, int row) {
        const std::int64_t ahead = rows_ahead(width);
        for (; row + R <= tile_.rows; row += R) {
            const C* x[R];
            rows_at(unit, width, row, R, x);
            const std::int64_t distance = prefetch_distance(unit, width, row, ahead);
            if (records_are_frequent()) {
                reduce_group<R, true>(x, row, width, distance, threshold_, panel_);
            } else {
                reduce_group<R, false>(x, row, width, distance, threshold_, panel_);
            }
            if (!histogram_.wanted()) continue;
            const bool finite = all_finite(width);
            for (int r = 0; r < R; ++r) count_bins(x[r], width, finite);
        }
        return row;
    }

    void start_panel(std::int64_t unit, int width) {
        constexpr C infinity = std::numeric_limits<C>::infinity();
        const int padded = (width + kLanes<C> - 1) / kLanes<C> * kLanes<C>;  // what reduce_group touches
        for (int lane = 0; lane < padded; ++lane) {
            panel_.record[lane] = infinity;
            panel_.record_row[lane] = -1;
            panel_.min[lane] = infinity;
            panel_.sum_abs[lane] = panel_.residual[lane] = panel_.square[lane] = 0;
            panel_.nonzero[lane] = 0;
        }
        start_records(unit, width);
        const int last = tile_.rows - 1;  // a sample's mean: sums are taken about something near
        for (int i = 0; i < 4; ++i) {
            const C* x;
            rows_at(unit, width, i * last / 3, 1, &x);
            for (int lane = 0; lane < padded; ++lane)
                panel_.shift[lane] = (i == 0 ? C(0) : panel_.shift[lane]) + x[lane] * C(0.25);
        }
    }

    void start_records(std::int64_t unit, int width) {
        const double* max = state_.reals(Field::max) + unit;
        const std::int64_t* argmax = state_.counts(Field::argmax) + unit;
        const std::int64_t first = job_.first_example + tile_.example[0];
        int special = 0;
        for (int lane = 0; lane < width; ++lane) {
            panel_.record[lane] = static_cast<C>(max[lane]);
            special += (static_cast<double>(panel_.record[lane]) > max[lane]) | (first < argmax[lane]);
        }
        for (int lane = 0; lane < width && special > 0; ++lane) {
            // A value exceeds the maximum exactly when it exceeds the largest C not above it; and where
            // reaching it again at a lower example index counts, the record to beat is just below it.
            panel_.record[lane] = round_down<C>(max[lane]);
            if (first < argmax[lane]) panel_.record[lane] = next_down(panel_.record[lane]);
        }
    }

    const Stored* row_address(std::int64_t unit, int row) const {
        return static_cast<const Stored*>(job_.view.data) + tile_.offset[row] + unit * job_.view.unit_stride;
    }

    // Points x at rows in the compute type: in place where they lie so, else in scratch.
    void rows_at(std::int64_t unit, int width, int row, int count, const C** x) {
        const Stored* base = static_cast<const Stored*>(job_.view.data) + unit * job_.view.unit_stride;
        if constexpr (kStoredAsComputed<D>) {
            if (job_.view.unit_stride == 1 && width >= kLanes<C>) {
                for (int r = 0; r < count; ++r) x[r] = base + tile_.offset[row + r];
                return;
            }
        }
        const int pitch = width < kLanes<C> ? kLanes<C> : width;
        for (int r = 0; r < count; ++r) {
            C* out = scratch_ + r * pitch;
            widen_run<D>(base + tile_.offset[row + r], job_.view.unit_stride, width, out);
            for (int lane = width; lane < pitch; ++lane) out[lane] = 0;
            x[r] = out;
        }
    }

    // Prefetching runs kColumnsAhead bytes ahead: so many rows of a panel...
    std::int64_t rows_ahead(int width) const {
        if (!kStoredAsComputed<D> || job_.view.unit_stride != 1 || tile_.rows < 2) return 0;
        const std::int64_t rows = kColumnsAhead / (width * static_cast<std::int64_t>(sizeof(C)));
        return rows < kMinRowsAhead ? kMinRowsAhead : rows;
    }
    // ... which lie further down, or at the top of the next panel. In elements.
    std::int64_t prefetch_distance(std::int64_t unit, int width, int row, std::int64_t rows) const {
        if (rows == 0) return 0;
        const std::int64_t pitch = tile_.offset[1] - tile_.offset[0];
        const bool below = row + rows < tile_.rows || unit + width >= job_.unit_end;
        return below ? pitch * rows : width - pitch * (tile_.rows - rows);
    }

    void count_bins(const C* x, int width, bool finite) {
        if (finite) return histogram_.add(x, width);
        for (int lane = 0; lane < width; ++lane)
            if (__builtin_isfinite(x[lane])) histogram_.add(x + lane, 1);
    }

    // Of all rows reduced so far. May be false for want of range in C: the slow way is right as well.
    bool all_finite(int width) const {
        int lost = 0;
        for (int lane = 0; lane < width; ++lane)
            lost += !(panel_.sum_abs[lane] < std::numeric_limits<C>::infinity());
        return lost == 0;
    }

    bool all_fit(int width) const {
        int unfit = 0;
        for (int lane = 0; lane < width; ++lane)
            unfit += !fits(panel_.sum_abs[lane], panel_.square[lane], static_cast<C>(tile_.rows));
        return unfit == 0;
    }

    // Takes the sums again about the mean if for any unit the shift turned out too far from it.
    void recentre(std::int64_t unit, int width) {
        const C n = static_cast<C>(tile_.rows);
        int far = 0;
        for (int lane = 0; lane < width; ++lane) {
            const C offset = panel_.residual[lane] / n;
            const C m2 = panel_.square[lane] - n * offset * offset;
            far += !(n * offset * offset <= static_cast<C>(kMaxShiftSquared) * m2);
        }
        if (far == 0) return;
        for (int lane = 0; lane < width; ++lane) {
            panel_.shift[lane] += panel_.residual[lane] / n;
            panel_.residual[lane] = panel_.square[lane] = 0;
        }
        for (int row = 0; row < tile_.rows; ++row) {
            const C* x;
            rows_at(unit, width, row, 1, &x);
            sum_row(x, width, panel_);
        }
    }

    // max and argmax. Records are rare after the first tiles: only then the row is looked up.
    void keep_records(std::int64_t unit, int width) const {
        int raised = 0;
        for (int lane = 0; lane < width; ++lane) raised += panel_.record_row[lane] >= 0;
        if (raised == 0) return;
        double* max = state_.reals(Field::max) + unit;
        std::int64_t* argmax = state_.counts(Field::argmax) + unit;
        for (int lane = 0; lane < width; ++lane) {
            if (panel_.record_row[lane] < 0) continue;
            const int row = records_are_frequent() ? static_cast<int>(panel_.record_row[lane])
                                                   : row_of_record(unit + lane, lane, width);
            const std::int64_t example = job_.first_example + tile_.example[row];
            if (!exceeds(panel_.record[lane], example, max[lane], argmax[lane])) continue;
            max[lane] = panel_.record[lane] + 0.0;  // -0.0 is zero
            argmax[lane] = example;
        }
    }

    // Among the first values of a unit: the t-th tile raises the maximum of one unit in t.
    bool records_are_frequent() const { return values_ < kFrequentTiles * kTileRows; }

    // The first row of its group that holds the record. Without branches: they would be guessed wrong.
    int row_of_record(std::int64_t unit, int lane, int width) const {
        const Stored* x = row_address(unit, 0) - tile_.offset[0];
        const C record = panel_.record[lane];
        const int begin = panel_.record_row[lane];
        const int end =
            static_cast<int>(least(begin + (is_narrow(width) ? kNarrowGroupRows : kGroupRows), tile_.rows));
        int found = begin;
        for (int row = end - 1; row >= begin; --row)
            found = Source<D>::widen(x[tile_.offset[row]]) == record ? row : found;
        return found;
    }

    static bool is_narrow(int width) { return width * 4 <= kPanel<C>; }

    // Everything but max, argmax and active_examples: combine() of ops.hpp over vectors of units.
    void fold_moments(std::int64_t unit, int width) const {
        constexpr int L = kLanes<double>;
        using V = Vec<double>;
        using I = Int<double>;
        const V n = broadcast<double>(tile_.rows), zero{};
        int lane = 0;
        for (; lane + L <= width; lane += L) {
            double* min = state_.reals(Field::min) + unit + lane;
            double* mean = state_.reals(Field::mean) + unit + lane;
            double* m2 = state_.reals(Field::m2) + unit + lane;
            double* mean_abs = state_.reals(Field::mean_abs) + unit + lane;
            std::int64_t* nonzero = state_.counts(Field::nonzero) + unit + lane;
            const I lost = load_bits<double>(state_.counts(Field::nan) + unit + lane) +
                           load_bits<double>(state_.counts(Field::inf) + unit + lane);
            const V finite = __builtin_convertvector(values_ - lost, V);
            const V share = n / (finite + n);
            const V offset = widen_lanes(panel_.residual + lane) / n;
            const V square = widen_lanes(panel_.square + lane) - n * offset * offset;
            const V old_mean = load<double>(mean), old_abs = load<double>(mean_abs);
            const V old_min = load<double>(min), tile_min = widen_lanes(panel_.min + lane) + 0.0;
            const V delta = widen_lanes(panel_.shift + lane) + offset - old_mean;
            store<double>(min, tile_min < old_min ? tile_min : old_min);
            store<double>(mean, old_mean + delta * share);
            store<double>(
                m2, load<double>(m2) + (square < zero ? zero : square) + delta * (finite * share) * delta);
            store<double>(mean_abs, old_abs + (widen_lanes(panel_.sum_abs + lane) / n - old_abs) * share);
            store_bits<double>(nonzero, load_bits<double>(nonzero) +
                                            __builtin_convertvector(load_lanes(panel_.nonzero + lane), I));
        }
        for (; lane < width; ++lane) fold_lane(unit + lane, lane);
    }

    void fold_lane(std::int64_t unit, int lane) const {
        const double n = tile_.rows;
        const double offset = panel_.residual[lane] / n;
        const double square = panel_.square[lane] - n * offset * offset;
        Unit tile = identity();
        tile.nonzero = panel_.nonzero[lane];
        tile.min = panel_.min[lane] + 0.0;
        tile.mean = panel_.shift[lane] + offset;
        tile.m2 = square < 0 ? 0 : square;
        tile.mean_abs = panel_.sum_abs[lane] / n;
        const Unit before = state_.load(unit);
        state_.store(unit, combine(before, values_ - before.nan - before.inf, tile, tile_.rows));
    }

    void note_active(std::int64_t unit, int width, bool spanning) {
        std::int64_t* total = state_.counts(Field::active_examples) + unit;
        if (spanning) {
            for (int lane = 0; lane < width; ++lane) job_.active[unit + lane] |= panel_.nonzero[lane] > 0;
        } else if (job_.view.positions == 1) {
            for (int lane = 0; lane < width; ++lane) total[lane] += panel_.nonzero[lane];
        } else if (tile_.example[0] == tile_.example[tile_.rows - 1]) {
            for (int lane = 0; lane < width; ++lane) total[lane] += panel_.nonzero[lane] > 0;
        } else {
            count_active(unit, width, total);
        }
    }

    // Several examples of several positions each: another look, example by example.
    void count_active(std::int64_t unit, int width, std::int64_t* total) {
        std::uint8_t active[kPanel<C>];
        for (int lane = 0; lane < width; ++lane) active[lane] = 0;
        for (int row = 0; row < tile_.rows; ++row) {
            const C* x;
            rows_at(unit, width, row, 1, &x);
            for (int lane = 0; lane < width; ++lane)
                active[lane] |= static_cast<std::uint8_t>(magnitude(x[lane]) > threshold_);
            if (row + 1 < tile_.rows && tile_.example[row + 1] == tile_.example[row]) continue;
            for (int lane = 0; lane < width; ++lane) {
                total[lane] += active[lane];
                active[lane] = 0;
            }
        }
    }

    void finish_example() const {
        std::int64_t* active = state_.counts(Field::active_examples);
        for (std::int64_t u = job_.unit_begin; u < job_.unit_end; ++u) {
            active[u] += job_.active[u];
            job_.active[u] = 0;
        }
    }

    // One unit of a tile that holds NaN, infinities or extreme squares.
    void fold_carefully(std::int64_t unit, bool spanning) const {
        C values[kTileRows];
        for (int row = 0; row < tile_.rows; ++row) values[row] = Source<D>::widen(*row_address(unit, row));
        Tile tile = careful_tile(values, tile_.rows, threshold_);
        if (tile.finite > 0) {
            int row = 0;
            while (values[row] != tile.unit.max) ++row;
            tile.unit.argmax = job_.first_example + tile_.example[row];
        }
        if (spanning) job_.active[unit] |= tile.unit.nonzero > 0;
        bool any = false;
        for (int row = 0; row < tile_.rows && !spanning; ++row) {
            any |= __builtin_isfinite(values[row]) && magnitude(values[row]) > threshold_;
            if (row + 1 < tile_.rows && tile_.example[row + 1] == tile_.example[row]) continue;
            tile.unit.active_examples += any;
            any = false;
        }
        const Unit before = state_.load(unit);
        state_.store(unit, combine(before, values_ - before.nan - before.inf, tile.unit, tile.finite));
    }

    const Job& job_;
    StateView state_;
    Histogram histogram_;
    C threshold_;
    std::int64_t values_;
    ColumnTile tile_;
    Panel<C> panel_;
    static constexpr int kScratchRows =
        kNarrowGroupRows / 4 > kGroupRows ? kNarrowGroupRows / 4 : kGroupRows;  // of a whole panel
    alignas(64) C scratch_[kScratchRows * kPanel<C>];
};

}  // namespace NC_ISA
}  // namespace neurocensus
