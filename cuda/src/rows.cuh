// Rows: each (example, unit) has its positions side by side, as in NCHW.
//
// A warp reads one unit at a time. `lanes` of its threads share a row, 32 where rows are long; each keeps a
// tally of its own, and at the end of a tile the warp joins them. Blocks share nothing but the histogram.
#pragma once

#include "bins.cuh"
#include "tally.cuh"

namespace neurocensus::cuda {

template <DType D, bool kVector, bool kBins>
class RowScan {
    using C = Compute<D>;
    static constexpr int V = kVector ? kPerVector<D> : 1;

   public:
    static constexpr int kChunk = sizeof(C) == 8 ? 8 : 16;

    __device__ explicit RowScan(const Scan& job)
        : job_(job),
          threshold_(static_cast<C>(job.threshold)),
          bins_(nc_shared_memory(), job.bin_tables),
          group_(static_cast<int>(threadIdx.x) % kWarp / job.lanes),
          member_(static_cast<int>(threadIdx.x) % job.lanes) {}

    __device__ void run() {
        take_snapshot(job_);
        constexpr int kWarps = kThreads / kWarp;
        const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * kWarps;
        const std::int64_t total = job_.view.units * job_.splits;
        std::int64_t task = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
        for (; task < total; task += warps) scan(task % job_.view.units, task / job_.view.units);
        bins_.flush(job_.bins);
    }

   private:
    // All tiles of one split of one unit.
    __device__ __forceinline__ void scan(std::int64_t unit, std::int64_t split) {
        const int groups = kWarp / job_.lanes;
        const std::int64_t span = static_cast<std::int64_t>(job_.run) * job_.lanes;
        const StateView out{job_.parts + split * job_.part_words, job_.view.units, false};
        std::int64_t values = 0;  // of the tiles so far
        for (std::int64_t tile = split; tile < job_.tiles; tile += job_.splits) {
            const std::int64_t begin = least((tile * groups + group_) * span, job_.places);
            const std::int64_t end = least(begin + span, job_.places);
            Tally<C> tally;
            C shift = 0;
            const unsigned count = read(unit, begin, end, tally, shift);
            const std::int64_t record = begin / job_.view.positions + tally.record();
            const Part part = join_lanes(part_of(tally, shift, count, first_example(job_) + record), kWarp);
            if (threadIdx.x % kWarp == 0) keep_part(out, unit, part, tile != split, values);
            values += sum_lanes(static_cast<std::int64_t>(count), kWarp);
        }
        if (unit == 0 && threadIdx.x % kWarp == 0) out.header(Header::values) = values;
    }

    __device__ __forceinline__ const Stored<D>* row(std::int64_t unit, std::int64_t example) const {
        return static_cast<const Stored<D>*>(job_.view.data) + example * job_.view.example_stride +
               unit * job_.view.unit_stride;
    }

    // Where the i-th value of this thread's chunk lies in the chunk of its group.
    __device__ __forceinline__ int slot(int i) const { return (i / V * job_.lanes + member_) * V + i % V; }

    __device__ __forceinline__ unsigned read(std::int64_t unit, std::int64_t begin, std::int64_t end,
                                             Tally<C>& tally, C& shift) {
        const std::int64_t first = begin / job_.view.positions;
        unsigned count = 0;
        for_pieces(job_.view.positions, begin, end,
                   [&](std::int64_t example, std::int64_t position, std::int64_t last) {
                       const Stored<D>* const from_row = row(unit, example);
                       unsigned nonzero = 0;
                       const unsigned before = count;
                       for (std::int64_t at = position; at < last; at += job_.lanes * kChunk) {
                           C x[kChunk];
                           unsigned valid = 0;
#pragma unroll
                           for (int i = 0; i < kChunk; i += V) {
                               const std::int64_t from = at + slot(i);
                               const bool inside = from < last;
                               const std::int64_t place = inside ? from : position;
                               const Pack<D, V> raw = load_pack<D, V>(
                                   from_row + (kVector ? place : position_offset(job_.view, place)));
#pragma unroll
                               for (int v = 0; v < V; ++v) x[i + v] = Source<D>::widen(raw.value[v]);
                               valid |= (inside ? (1u << V) - 1u : 0u) << i;
                           }
                           if (job_.mask.data != nullptr) valid = kept_by_mask(valid, example, at);
                           const auto chunk = static_cast<unsigned>(example - first);
                           if (valid == (1u << kChunk) - 1u) {
                               nonzero |= take_chunk<true>(tally, x, valid, chunk, shift, count == 0);
                           } else if (valid != 0) {
                               nonzero |= take_chunk<false>(tally, x, valid, chunk, shift, count == 0);
                           }
                           count += static_cast<unsigned>(__popc(valid));
                       }
                       if (nonzero != 0 && all_finite(tally))
                           job_.active[example * job_.view.units + unit] = 1;
                       if (job_.seen != nullptr && unit == 0 && count > before) job_.seen[example] = 1;
                   });
        return count;
    }

    __device__ __forceinline__ unsigned kept_by_mask(unsigned valid, std::int64_t example,
                                                     std::int64_t at) const {
#pragma unroll
        for (int i = 0; i < kChunk; ++i)
            if (valid >> i & 1u && !keeps(job_.mask, example, at + slot(i))) valid &= ~(1u << i);
        return valid;
    }

    template <bool kAll>
    __device__ __forceinline__ unsigned take_chunk(Tally<C>& tally, const C (&x)[kChunk], unsigned valid,
                                                   unsigned chunk, C& shift, bool first) {
        if (first) shift = shift_for<kAll>(x, valid);
        if constexpr (kBins) {
#pragma unroll
            for (int i = 0; i < kChunk; ++i)
                if (is_valid<kAll>(valid, i)) bins_.add(x[i]);
        }
        return take<kAll>(tally, x, valid, chunk, shift, threshold_);
    }

    const Scan& job_;
    C threshold_;
    Bins<kBins> bins_;
    int group_, member_;
};

template <DType D, bool kVector, bool kBins>
__global__ void __launch_bounds__(kThreads, 2) scan_rows(const __grid_constant__ Scan job) {
    if (disabled(job.enabled)) return;
    RowScan<D, kVector, kBins>(job).run();
}

}  // namespace neurocensus::cuda
