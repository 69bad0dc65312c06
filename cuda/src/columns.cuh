// Columns: units side by side (dense layers, channels_last, sequences), and every other stride one by one.
//
// A block is `lanes` threads along the units, each with V of them, times as many rows of places as fit. Every
// thread reads its run of places top down, K at a time; then the block joins what they found, unit by unit.
#pragma once

#include "bins.cuh"
#include "tally.cuh"

namespace neurocensus::cuda {

template <DType D, int V, bool kBins>
class ColumnScan {
    using C = Compute<D>;

   public:
    static constexpr int kChunk = V == 8 || sizeof(C) == 8 ? 4 : 8;  // so many loads are under way at a time
    static constexpr int kTallyBytes = kThreads * V * (6 * static_cast<int>(sizeof(C)) + 4);

    __device__ explicit ColumnScan(const Scan& job)
        : job_(job),
          threshold_(static_cast<C>(job.threshold)),
          bins_(nc_shared_memory() + kTallyBytes, job.bin_tables),
          down_(kThreads / job.lanes),
          column_(static_cast<int>(threadIdx.x) % job.lanes),
          row_(static_cast<int>(threadIdx.x) / job.lanes) {
        const std::int64_t width = static_cast<std::int64_t>(job.lanes) * V;
        const std::int64_t slabs = (job.view.units + width - 1) / width;
        slab_ = blockIdx.x % slabs * width;
        split_ = blockIdx.x / slabs;
    }

    __device__ void run() {
        take_snapshot(job_);
        for (std::int64_t tile = split_; tile < job_.tiles; tile += job_.splits) {
            Tally<C> tally[V];
            unsigned count = 0;
            const std::int64_t unit = slab_ + static_cast<std::int64_t>(column_) * V;
            if (unit < job_.view.units) count = read(unit, begin_of(tile, row_), end_of(tile, row_), tally);
            join(tile, tally, count);
        }
        if (slab_ == 0 && threadIdx.x == 0) out().header(Header::values) = values_;
        bins_.flush(job_.bins);
    }

   private:
    __device__ StateView out() const {
        return {job_.parts + split_ * job_.part_words, job_.view.units, false};
    }
    __device__ std::int64_t begin_of(std::int64_t tile, int row) const {
        return least((tile * down_ + row) * job_.run, job_.places);
    }
    __device__ std::int64_t end_of(std::int64_t tile, int row) const {
        return least((tile * down_ + row + 1) * job_.run, job_.places);
    }
    __device__ const Stored<D>* base(std::int64_t unit) const {
        return static_cast<const Stored<D>*>(job_.view.data) + unit * job_.view.unit_stride;
    }

    // Reads places [begin, end) of V units; returns how many the mask keeps.
    __device__ __forceinline__ unsigned read(std::int64_t unit, std::int64_t begin, std::int64_t end,
                                             Tally<C> (&tally)[V]) {
        const View& view = job_.view;
        const bool each = view.positions == 1;                           // each place is an example
        const bool straight = V > 1 || each || view.position_axes <= 1;  // one stride leads to the next place
        const std::int64_t stride = each ? view.example_stride : view.position_stride[0];
        std::int64_t example = begin / view.positions, position = begin - example * view.positions;
        const int total = static_cast<int>(end - begin);
        unsigned count = 0;
        for (int done = 0; done < total; position = 0) {
            // A piece: places of one example, or all of them where each is one.
            const int piece = each ? total : static_cast<int>(least(total - done, view.positions - position));
            const Stored<D>* from = base(unit) + example * view.example_stride;
            if (straight) from += position * stride;
            unsigned active = 0;  // one bit for each unit
            const unsigned before = count;
            for (int at = 0; at < piece; at += kChunk) {
                const int rows = piece - at < kChunk ? piece - at : kChunk;
                Pack<D, V> raw[kChunk];
#pragma unroll
                for (int i = 0; i < kChunk; ++i) {
                    raw[i] = load_pack<D, V>(
                        straight ? from : from + position_offset(view, position + at + (i < rows ? i : 0)));
                    if (straight && i + 1 < rows) from += stride;
                }
                if (straight) from += stride;
                unsigned valid = (1u << rows) - 1u;
                if (job_.mask.data != nullptr) valid = kept_by_mask(valid, example, position, at, unit);
                const auto chunk = static_cast<unsigned>(done + at);
                if (valid == (1u << kChunk) - 1u) {
                    active |= take_rows<true>(tally, raw, valid, chunk, count == 0);
                } else if (valid != 0) {
                    active |= take_rows<false>(tally, raw, valid, chunk, count == 0);
                }
                count += static_cast<unsigned>(__popc(valid));
            }
            if (job_.active != nullptr) {
#pragma unroll
                for (int v = 0; v < V; ++v)
                    if (active >> v & 1u && all_finite(tally[v]))
                        job_.active[example * view.units + unit + v] = 1;
            }
            if (job_.seen != nullptr && !each && unit == 0 && count > before) job_.seen[example] = 1;
            done += piece;
            ++example;
        }
        return count;
    }

    // Of the rows in `valid`, those that the mask keeps; `example` and `position` are of the piece's first
    // place.
    __device__ __forceinline__ unsigned kept_by_mask(unsigned valid, std::int64_t example,
                                                     std::int64_t position, int at, std::int64_t unit) const {
        const bool each = job_.view.positions == 1;
        for (int i = 0; i < kChunk; ++i) {
            if ((valid >> i & 1u) == 0) continue;
            const std::int64_t e = each ? example + at + i : example, p = each ? 0 : position + at + i;
            if (!keeps(job_.mask, e, p)) {
                valid &= ~(1u << i);
            } else if (each && unit == 0) {
                job_.seen[e] = 1;
            }
        }
        return valid;
    }

    template <bool kAll>
    __device__ __forceinline__ unsigned take_rows(Tally<C> (&tally)[V], const Pack<D, V> (&raw)[kChunk],
                                                  unsigned valid, unsigned chunk, bool first) {
        unsigned active = 0;
#pragma unroll
        for (int v = 0; v < V; ++v) {
            C x[kChunk];
#pragma unroll
            for (int i = 0; i < kChunk; ++i) x[i] = Source<D>::widen(raw[i].value[v]);
            C& shift = shifts()[v * kThreads + static_cast<int>(threadIdx.x)];
            if (first) shift = shift_for<kAll>(x, valid);
            active |= (take<kAll>(tally[v], x, valid, chunk, shift, threshold_) != 0 ? 1u : 0u) << v;
            if constexpr (kBins) {
#pragma unroll
                for (int i = 0; i < kChunk; ++i)
                    if (is_valid<kAll>(valid, i)) bins_.add(x[i]);
            }
        }
        return active;
    }

    // Shared memory holds a plane of kThreads * V numbers for each field of a tally. Shifts stay there from
    // the start, which saves registers.
    static constexpr int kPlane = kThreads * V;
    __device__ static C* reals() { return reinterpret_cast<C*>(nc_shared_memory()); }
    __device__ static C* shifts() { return reals(); }
    __device__ static unsigned* words() { return reinterpret_cast<unsigned*>(reals() + 6 * kPlane); }

    // Joins the tallies of the block's rows, unit by unit. All threads take part.
    __device__ __forceinline__ void join(std::int64_t tile, const Tally<C> (&tally)[V], unsigned count) {
#pragma unroll
        for (int v = 0; v < V; ++v) put(tally[v], count, v * kThreads + static_cast<int>(threadIdx.x));
        __syncthreads();
        const int helpers = down_ / V;  // threads that share a unit: 1 to 32
        const int helper = static_cast<int>(threadIdx.x) % helpers;
        const int which = static_cast<int>(threadIdx.x) / helpers;
        const int v = which / job_.lanes, column = which % job_.lanes;
        const std::int64_t unit = slab_ + static_cast<std::int64_t>(column) * V + v;
        const bool inside = unit < job_.view.units;
        Part part;
        std::int64_t values = 0;
        for (int row = helper; inside && row < down_; row += helpers) {
            unsigned n;
            const int slot = v * kThreads + row * job_.lanes + column;
            const Tally<C> found = get(slot, n);
            const std::int64_t record = begin_of(tile, row) + found.record();
            const std::int64_t argmax = example_of_record(found, unit, record, end_of(tile, row));
            part = joined(part, part_of(found, shifts()[slot], n, first_example(job_) + argmax));
            values += n;
        }
        part = join_lanes(part, helpers);
        if (inside && helper == 0) keep_part(out(), unit, part, started_, values_);
        values_ += sum_lanes(values, helpers);
        started_ = true;
        __syncthreads();  // before the next tile's shifts are written
    }

    static_assert(kMostRun < 1 << Tally<C>::kBits);  // with the count, three small numbers in a word
    __device__ static void put(const Tally<C>& tally, unsigned count, int slot) {
        reals()[slot + kPlane] = tally.max;
        reals()[slot + 2 * kPlane] = tally.min;
        reals()[slot + 3 * kPlane] = tally.sum_abs;
        reals()[slot + 4 * kPlane] = tally.residual;
        reals()[slot + 5 * kPlane] = tally.square;
        words()[slot] = tally.word | count << 2 * tally.kBits;
    }
    __device__ static Tally<C> get(int slot, unsigned& count) {
        Tally<C> out;
        out.max = reals()[slot + kPlane];
        out.min = reals()[slot + 2 * kPlane];
        out.sum_abs = reals()[slot + 3 * kPlane];
        out.residual = reals()[slot + 4 * kPlane];
        out.square = reals()[slot + 5 * kPlane];
        out.word = words()[slot] & ((1u << 2 * out.kBits) - 1u);
        count = words()[slot] >> 2 * out.kBits;
        return out;
    }

    // The chunk of the record begins at `place`. Where its places are examples of their own, look at them
    // again; not if the state holds a greater maximum, which leaves no trace of this one.
    __device__ std::int64_t example_of_record(const Tally<C>& tally, std::int64_t unit, std::int64_t place,
                                              std::int64_t end) const {
        if (job_.view.positions != 1) return place / job_.view.positions;
        const auto max = reinterpret_cast<const double*>(job_.state + kHeaderWords +
                                                         static_cast<int>(Field::max) * job_.view.units);
        if (static_cast<double>(tally.max) < max[unit]) return place;
        for (std::int64_t at = place; at < least(end, place + kChunk); ++at)
            if (keeps(job_.mask, at, 0) && value_at(unit, at, 0) == tally.max) return at;
        return place;
    }

    __device__ C value_at(std::int64_t unit, std::int64_t example, std::int64_t position) const {
        return load_value<D>(base(unit) + example * job_.view.example_stride +
                             position_offset(job_.view, position));
    }

    const Scan& job_;
    C threshold_;
    Bins<kBins> bins_;
    int down_, column_, row_;
    std::int64_t slab_, split_;
    std::int64_t values_ = 0;  // per unit, of the tiles so far; right in the first helper of a unit
    bool started_ = false;
};

template <DType D, int V, bool kBins>
__global__ void __launch_bounds__(kThreads, 2) scan_columns(const __grid_constant__ Scan job) {
    if (disabled(job.enabled)) return;
    ColumnScan<D, V, kBins>(job).run();
}

}  // namespace neurocensus::cuda
