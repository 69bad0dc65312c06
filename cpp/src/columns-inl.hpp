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

// Rows `row` to `row + R` of W vectors of units, whose values stand at x[0] + column, x[1] + column, ... Of a
// new record, notes the very row (two operations more) or just the group.
template <DType D, int R, int W, bool kTrackRows, class T, class C>
inline void reduce_block(const T* const* x, int row, int column, std::int64_t ahead, C threshold,
                         Panel<C>& panel) {
    constexpr int L = kLanes<C>;
    using V = Vec<C>;
    using I = Int<C>;
    V shift[W], max[W], min[W], sum_abs[W], residual[W], square[W];
    I nonzero[W], found[W];
#pragma GCC unroll 8
    for (int w = 0; w < W; ++w) {
        shift[w] = load<C>(panel.shift + column + w * L);
        max[w] = broadcast<C>(-std::numeric_limits<C>::infinity());
        min[w] = load<C>(panel.min + column + w * L);
        sum_abs[w] = residual[w] = square[w] = V{};
        nonzero[w] = I{};
        found[w] = I{} + row;
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
        for (int w = 0; w < W; ++w) {
            const T* p = x[r] + column + w * L;
            const V value = load_wide<D>(p);
            __builtin_prefetch(p + ahead, 0, kPrefetchToL2);
            const V size = magnitude<C>(value);
            const V delta = value - shift[w];
            if constexpr (kTrackRows) found[w] = value > max[w] ? I{} + (row + r) : found[w];
            max[w] = value > max[w] ? value : max[w];
            min[w] = value < min[w] ? value : min[w];
            nonzero[w] = count_above<C>(nonzero[w], size, threshold);
            sum_abs[w] += size;
            residual[w] += delta;
            square[w] += delta * delta;
        }
    }
#pragma GCC unroll 8
    for (int w = 0; w < W; ++w) {
        const int at = column + w * L;
        store<C>(panel.min + at, min[w]);
        store<C>(panel.sum_abs + at, load<C>(panel.sum_abs + at) + sum_abs[w]);
        store<C>(panel.residual + at, load<C>(panel.residual + at) + residual[w]);
        store<C>(panel.square + at, load<C>(panel.square + at) + square[w]);
        store_bits<C>(panel.nonzero + at, load_bits<C>(panel.nonzero + at) + nonzero[w]);

        const V record = load<C>(panel.record + at);
        const I group = load_bits<C>(panel.record_row + at);
        store<C>(panel.record + at, max[w] > record ? max[w] : record);
        store_bits<C>(panel.record_row + at, max[w] > record ? found[w] : group);
    }
}

template <DType D, int R, bool kTrackRows, class T, class C>
void reduce_group(const T* const* x, int row, int width, std::int64_t ahead, C threshold, Panel<C>& panel) {
    constexpr int L = kLanes<C>;
    int column = 0;
    if constexpr (R > kGroupRows) {  // sums of many rows, one after the other: two at once hide their latency
        for (; column + 2 * L <= width; column += 2 * L)
            reduce_block<D, R, 2, kTrackRows>(x, row, column, ahead, threshold, panel);
    }
    for (; column < width; column += L)
        reduce_block<D, R, 1, kTrackRows>(x, row, column, ahead, threshold, panel);
}

// The sums again about other shifts.
template <DType D, class T, class C>
void sum_row(const T* x, int width, Panel<C>& panel) {
    constexpr int L = kLanes<C>;
    for (int column = 0; column < width; column += L) {
        const Vec<C> delta = load_wide<D>(x + column) - load<C>(panel.shift + column);
        store<C>(panel.residual + column, load<C>(panel.residual + column) + delta);
        store<C>(panel.square + column, load<C>(panel.square + column) + delta * delta);
    }
}

// kInPlace: units lie side by side, at least a vector of them, and are read where they are. Else a group of
// rows is gathered into scratch.
template <DType D, bool kInPlace>
class ColumnScan {
   public:
    using C = typename Source<D>::Compute;
    using Stored = typename Source<D>::Stored;
    using T = std::conditional_t<kInPlace, Stored, C>;
    using Bits = typename Simd<C>::Bits;

    ColumnScan(const Job& job, C threshold)
        : job_(job),
          state_{job.words, job.view.units, false},
          histogram_(job.histogram),
          threshold_(threshold),
          values_(job.values_before) {}

    void run() {
        if (job_.view.positions == 0) return;
        if (job_.view.positions == 1 && job_.mask.data == nullptr) return run_examples();
        const View& view = job_.view;
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
    // One row each.
    void run_examples() {
        for (std::int64_t begin = job_.example_begin; begin < job_.example_end; begin += kTileRows) {
            tile_.rows = static_cast<int>(least(job_.example_end - begin, kTileRows));
            for (int i = 0; i < tile_.rows; ++i) tile_.offset[i] = (begin + i) * job_.view.example_stride;
            for (int i = 0; i < tile_.rows; ++i) tile_.example[i] = begin + i;
            take_tile(false);
        }
    }

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
        constexpr int L = kLanes<C>;
        const std::int64_t units = job_.unit_end - job_.unit_begin,
                           panels = (units + kPanel<C> - 1) / kPanel<C>;
        const std::int64_t vectors = (units + L - 1) / L, most = (vectors + panels - 1) / panels * L;
        for (std::int64_t unit = job_.unit_begin; unit < job_.unit_end;) {
            const int left = static_cast<int>(least(job_.unit_end - unit, most));
            const int whole = left - left % L;
            if (whole > 0) {
                take_panel(unit, 0, whole, spanning);
                unit += whole;
            } else {
                // The last few units: in place, a whole vector that begins before them, among others' units.
                if constexpr (kInPlace) take_panel(unit + left - L, L - left, L, spanning);
                if constexpr (!kInPlace) take_panel(unit, 0, left, spanning);
                unit += left;
            }
        }
        values_ += tile_.rows;
        tile_.rows = 0;
    }

    // A panel of `width` units from `unit` on, of which those from lane `first` on are to be counted. The
    // width is a multiple of the lanes or, not in place, less than one vector.
    void take_panel(std::int64_t unit, int first, int width, bool spanning) {
        unit_ = unit;
        first_ = first;
        width_ = width;
        start_panel();
        int row = 0;
        if (is_narrow()) row = reduce_rows<kNarrowGroupRows>(row);
        row = reduce_rows<kGroupRows>(row);
        reduce_rows<1>(row);
        if (all_fit()) {
            recentre();
            keep_records();
            fold_moments();
            note_active(spanning);
        } else {
            for (int lane = first_; lane < width_; ++lane) fold_carefully(unit_ + lane, spanning);
        }
    }

    // As many whole groups of R rows as there are from `row` on; returns the row after them.
    template <int R>
    int reduce_rows(int row) {
        const std::int64_t ahead = rows_ahead();
        for (; row + R <= tile_.rows; row += R) {
            const T* x[R];
            rows_at(row, R, x);
            const std::int64_t distance = prefetch_distance(row, ahead);
            if (records_are_frequent()) {
                reduce_group<D, R, true>(x, row, width_, distance, threshold_, panel_);
            } else {
                reduce_group<D, R, false>(x, row, width_, distance, threshold_, panel_);
            }
            if (!histogram_.wanted()) continue;
            for (int r = 0; r < R; ++r) histogram_.template add<D>(x[r] + first_, width_ - first_);
        }
        return row;
    }

    void start_panel() {
        constexpr C infinity = std::numeric_limits<C>::infinity();
        const int padded = (width_ + kLanes<C> - 1) / kLanes<C> * kLanes<C>;  // what reduce_group touches
        for (int lane = 0; lane < padded; ++lane) {
            panel_.record[lane] = infinity;
            panel_.record_row[lane] = -1;
            panel_.min[lane] = infinity;
            panel_.sum_abs[lane] = panel_.residual[lane] = panel_.square[lane] = 0;
            panel_.nonzero[lane] = 0;
        }
        start_records();
        const int last = tile_.rows - 1;  // a sample's mean: sums are taken about something near
        for (int i = 0; i < 4; ++i) {
            const T* x;
            rows_at(i * last / 3, 1, &x);
            for (int lane = 0; lane < padded; ++lane)
                panel_.shift[lane] = (i == 0 ? C(0) : panel_.shift[lane]) + widen_one<D>(x + lane) * C(0.25);
        }
    }

    void start_records() {
        const double* max = state_.reals(Field::max) + unit_;
        const std::int64_t* argmax = state_.counts(Field::argmax) + unit_;
        const std::int64_t first = job_.first_example + tile_.example[0];
        int special = 0;
        for (int lane = first_; lane < width_; ++lane) {
            panel_.record[lane] = static_cast<C>(max[lane]);
            special += (static_cast<double>(panel_.record[lane]) > max[lane]) | (first < argmax[lane]);
        }
        for (int lane = first_; lane < width_ && special > 0; ++lane) {
            // A value exceeds the maximum exactly when it exceeds the largest C not above it; and where
            // reaching it again at a lower example index counts, the record to beat is just below it.
            panel_.record[lane] = round_down<C>(max[lane]);
            if (first < argmax[lane]) panel_.record[lane] = next_down(panel_.record[lane]);
        }
    }

    const Stored* row_address(std::int64_t unit, int row) const {
        return static_cast<const Stored*>(job_.view.data) + tile_.offset[row] + unit * job_.view.unit_stride;
    }

    // Points x at rows: where they lie, or gathered in scratch.
    void rows_at(int row, int count, const T** x) {
        const Stored* base = row_address(unit_, 0) - tile_.offset[0];
        if constexpr (kInPlace) {
            for (int r = 0; r < count; ++r) x[r] = base + tile_.offset[row + r];
        } else {
            const int pitch = width_ < kLanes<C> ? kLanes<C> : width_;
            for (int r = 0; r < count; ++r) {
                C* out = scratch_ + r * pitch;
                widen_run<D>(base + tile_.offset[row + r], job_.view.unit_stride, width_, out);
                for (int lane = width_; lane < pitch; ++lane) out[lane] = 0;
                x[r] = out;
            }
        }
    }

    // Prefetching runs kColumnsAhead bytes ahead: so many rows of a panel...
    std::int64_t rows_ahead() const {
        if (!kInPlace || tile_.rows < 2) return 0;
        const std::int64_t rows = kColumnsAhead / (width_ * static_cast<std::int64_t>(sizeof(T)));
        return rows < kMinRowsAhead ? kMinRowsAhead : rows;
    }
    // ... which lie further down, or at the top of the next panel. In elements.
    std::int64_t prefetch_distance(int row, std::int64_t rows) const {
        if (rows == 0) return 0;
        const std::int64_t pitch = tile_.offset[1] - tile_.offset[0];
        const bool below = row + rows < tile_.rows || unit_ + width_ >= job_.unit_end;
        return below ? pitch * rows : width_ - pitch * (tile_.rows - rows);
    }

    bool all_fit() const {
        int unfit = 0;
        for (int lane = first_; lane < width_; ++lane)
            unfit += !fits(panel_.sum_abs[lane], panel_.square[lane], static_cast<C>(tile_.rows));
        return unfit == 0;
    }

    // Takes the sums again about the mean if for any unit the shift turned out too far from it.
    void recentre() {
        const C n = static_cast<C>(tile_.rows);
        int far = 0;
        for (int lane = first_; lane < width_; ++lane) {
            const C offset = panel_.residual[lane] / n;
            const C m2 = panel_.square[lane] - n * offset * offset;
            far += !(n * offset * offset <= static_cast<C>(kMaxShiftSquared) * m2);
        }
        if (far == 0) return;
        for (int lane = 0; lane < width_; ++lane) {
            panel_.shift[lane] += panel_.residual[lane] / n;
            panel_.residual[lane] = panel_.square[lane] = 0;
        }
        for (int row = 0; row < tile_.rows; ++row) {
            const T* x;
            rows_at(row, 1, &x);
            sum_row<D>(x, width_, panel_);
        }
    }

    // max and argmax. Records are rare after the first tiles: only then the row is looked up.
    void keep_records() const {
        int raised = 0;
        for (int lane = first_; lane < width_; ++lane) raised += panel_.record_row[lane] >= 0;
        if (raised == 0) return;
        double* max = state_.reals(Field::max) + unit_;
        std::int64_t* argmax = state_.counts(Field::argmax) + unit_;
        for (int lane = first_; lane < width_; ++lane) {
            if (panel_.record_row[lane] < 0) continue;
            const int row =
                records_are_frequent() ? static_cast<int>(panel_.record_row[lane]) : row_of_record(lane);
            const std::int64_t example = job_.first_example + tile_.example[row];
            if (!exceeds(panel_.record[lane], example, max[lane], argmax[lane])) continue;
            max[lane] = panel_.record[lane] + 0.0;  // -0.0 is zero
            argmax[lane] = example;
        }
    }

    // Among the first values of a unit: the t-th tile raises the maximum of one unit in t.
    bool records_are_frequent() const { return values_ < kFrequentTiles * kTileRows; }

    // The first row of its group that holds the record. Without branches: they would be guessed wrong.
    int row_of_record(int lane) const {
        const Stored* x = row_address(unit_ + lane, 0) - tile_.offset[0];
        const C record = panel_.record[lane];
        const int begin = static_cast<int>(panel_.record_row[lane]);
        const int end =
            static_cast<int>(least(begin + (is_narrow() ? kNarrowGroupRows : kGroupRows), tile_.rows));
        int found = begin;
        for (int row = end - 1; row >= begin; --row)
            found = Source<D>::widen(x[tile_.offset[row]]) == record ? row : found;
        return found;
    }

    // Few units, whose rows follow one another: many rows at a time are still one piece of memory. Parts of
    // wide rows would be many, and often fall on the same few sets of the cache.
    bool is_narrow() const {
        const bool dense = tile_.rows < 2 || !kInPlace || tile_.offset[1] - tile_.offset[0] <= 2 * width_;
        return width_ * 4 <= kPanel<C> && dense;
    }

    // Everything but max, argmax and active_examples: combine() of ops.hpp over vectors of units.
    void fold_moments() const {
        constexpr int L = kLanes<double>;
        using V = Vec<double>;
        using I = Int<double>;
        const V n = broadcast<double>(tile_.rows), zero{};
        int lane = first_;
        for (; lane + L <= width_; lane += L) {
            double* min = state_.reals(Field::min) + unit_ + lane;
            double* mean = state_.reals(Field::mean) + unit_ + lane;
            double* m2 = state_.reals(Field::m2) + unit_ + lane;
            double* mean_abs = state_.reals(Field::mean_abs) + unit_ + lane;
            std::int64_t* nonzero = state_.counts(Field::nonzero) + unit_ + lane;
            const I lost = load_bits<double>(state_.counts(Field::nan) + unit_ + lane) +
                           load_bits<double>(state_.counts(Field::inf) + unit_ + lane);
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
        for (; lane < width_; ++lane) fold_lane(lane);
    }

    void fold_lane(int lane) const {
        const double n = tile_.rows;
        const double offset = panel_.residual[lane] / n;
        const double square = panel_.square[lane] - n * offset * offset;
        Unit tile = identity();
        tile.nonzero = panel_.nonzero[lane];
        tile.min = panel_.min[lane] + 0.0;
        tile.mean = panel_.shift[lane] + offset;
        tile.m2 = square < 0 ? 0 : square;
        tile.mean_abs = panel_.sum_abs[lane] / n;
        const Unit before = state_.load(unit_ + lane);
        state_.store(unit_ + lane, combine(before, values_ - before.nan - before.inf, tile, tile_.rows));
    }

    void note_active(bool spanning) {
        std::int64_t* total = state_.counts(Field::active_examples) + unit_;
        std::uint8_t* active = job_.active + unit_;
        if (spanning) {
            for (int lane = first_; lane < width_; ++lane) active[lane] |= panel_.nonzero[lane] > 0;
        } else if (job_.view.positions == 1) {
            for (int lane = first_; lane < width_; ++lane) total[lane] += panel_.nonzero[lane];
        } else if (tile_.example[0] == tile_.example[tile_.rows - 1]) {
            for (int lane = first_; lane < width_; ++lane) total[lane] += panel_.nonzero[lane] > 0;
        } else {
            count_active(total);
        }
    }

    // Several examples of several positions each: another look, example by example.
    void count_active(std::int64_t* total) {
        std::uint8_t active[kPanel<C>];
        for (int lane = first_; lane < width_; ++lane) active[lane] = 0;
        for (int row = 0; row < tile_.rows; ++row) {
            const T* x;
            rows_at(row, 1, &x);
            for (int lane = first_; lane < width_; ++lane)
                active[lane] |= static_cast<std::uint8_t>(magnitude(widen_one<D>(x + lane)) > threshold_);
            if (row + 1 < tile_.rows && tile_.example[row + 1] == tile_.example[row]) continue;
            for (int lane = first_; lane < width_; ++lane) {
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
        Tile tile = careful_tile<D>(values, tile_.rows, threshold_);
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
    std::int64_t unit_ = 0;  // of the panel
    int first_ = 0, width_ = 0;
    ColumnTile tile_;
    Panel<C> panel_;
    static constexpr int kScratchRows =
        kNarrowGroupRows / 4 > kGroupRows ? kNarrowGroupRows / 4 : kGroupRows;  // of a whole panel
    alignas(64) C scratch_[kInPlace ? 1 : kScratchRows * kPanel<C>];
};

template <DType D>
void scan_columns(const Job& job, typename Source<D>::Compute threshold) {
    const View& view = job.view;
    if (view.unit_stride == 1 && view.units >= kLanes<typename Source<D>::Compute>)
        return ColumnScan<D, true>(job, threshold).run();
    ColumnScan<D, false>(job, threshold).run();
}

}  // namespace NC_ISA
}  // namespace neurocensus
