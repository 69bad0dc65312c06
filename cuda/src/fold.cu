// The kernels that write states. They move little: a few numbers per unit.
#include "tally.cuh"

namespace neurocensus::cuda {
namespace {

// Threads 0 to n - 1 of the whole grid, in turn.
template <class Body>
__device__ void for_grid(std::int64_t n, const Body& body) {
    const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step)
        body(i);
}

// The number of flags that are set, a thread's share of them; they are cleared.
__device__ std::int64_t take_flags(std::uint8_t* flags, std::int64_t stride, std::int64_t count, int begin,
                                   int step) {
    std::int64_t set = 0;
    for (std::int64_t i = begin; i < count; i += step) {
        std::uint8_t& flag = flags[i * stride];
        set += flag;
        flag = 0;
    }
    return set;
}

__device__ double any_value(DType dtype, const void* data, std::int64_t offset) {
    switch (dtype) {
        case DType::float32: return load_value<DType::float32>(static_cast<const float*>(data) + offset);
        case DType::float64: return load_value<DType::float64>(static_cast<const double*>(data) + offset);
        case DType::float16:
            return load_value<DType::float16>(static_cast<const std::uint16_t*>(data) + offset);
        case DType::bfloat16:
            return load_value<DType::bfloat16>(static_cast<const std::uint16_t*>(data) + offset);
    }
    return 0.0;
}

// Calls `visit(value, example)` for a lane's share of the values that a split has of a unit.
template <class Visit>
__device__ void for_values(const Fold& job, std::int64_t unit, std::int64_t split, int lane,
                           const Visit& visit) {
    const View& view = job.view;
    const std::int64_t places = view.examples * view.positions;
    for (std::int64_t tile = split; tile * job.tile_places < places; tile += job.splits) {
        const std::int64_t end = least((tile + 1) * job.tile_places, places);
        for (std::int64_t place = tile * job.tile_places + lane; place < end; place += kWarp) {
            const std::int64_t example = place / view.positions, position = place - example * view.positions;
            if (!keeps(job.mask, example, position)) continue;
            visit(any_value(view.dtype, view.data,
                            example * view.example_stride + unit * view.unit_stride +
                                position_offset(view, position)),
                  example);
        }
    }
}

// The slow way, for a part whose sums in the compute type cannot be trusted: NaN, infinities, squares out of
// range, a level that changes. A whole warp, in double, in two passes. Every lane gets the result.
__device__ Part look_again(const Fold& job, std::int64_t unit, std::int64_t split, int lane) {
    const std::int64_t first = job.snapshot[1];
    Part part;
    double sum = 0.0, sum_abs = 0.0;
    for_values(job, unit, split, lane, [&](double value, std::int64_t example) {
        if (isnan(value)) {
            ++part.unit.nan;
        } else if (isinf(value)) {
            ++part.unit.inf;
        } else {
            ++part.finite;
            sum += value;
            sum_abs += fabs(value);
            if (fabs(value) > job.threshold) {
                ++part.unit.nonzero;
                if (job.active != nullptr) job.active[example * job.state.units + unit] = 1;
            }
            if (exceeds(value, first + example, part.unit.max, part.unit.argmax)) {
                part.unit.max = value;
                part.unit.argmax = first + example;
            }
            if (value < part.unit.min) part.unit.min = value;
        }
    });
    part = join_lanes(part, kWarp);  // all but the moments, which are still zero
    part.finite = __shfl_sync(kFullWarp, part.finite, 0, kWarp);
    const double n = static_cast<double>(part.finite > 0 ? part.finite : 1);
    const double mean = __shfl_sync(kFullWarp, sum_lanes(sum, kWarp), 0, kWarp) / n;
    double m2 = 0.0;
    for_values(job, unit, split, lane, [&](double value, std::int64_t) {
        const double delta = value - mean;
        if (isfinite(value)) m2 += delta * delta;
    });
    part.unit.mean_abs = sum_lanes(sum_abs, kWarp) / n;
    part.unit.mean = mean;
    part.unit.m2 = sum_lanes(m2, kWarp);
    part.unit.max += 0.0;  // -0.0 is zero
    part.unit.min += 0.0;
    return part_by([](auto value) { return __shfl_sync(kFullWarp, value, 0, kWarp); }, part);
}

// `job.lanes` threads share a unit; all lanes of the warp take part.
__device__ void fold_unit(const Fold& job, std::int64_t unit) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp, helper = lane % job.lanes;
    const bool inside = unit < job.state.units;
    Part part;
    for (std::int64_t base = 0; base < job.splits; base += job.lanes) {
        const std::int64_t split = base + helper;
        const bool mine = inside && split < job.splits;
        const StateView from{job.parts + split * job.part_words, job.state.units, false};
        Part found;
        bool doubtful = false;
        if (mine) {
            found.unit = from.load(unit);
            found.finite = from.header(Header::values) - found.unit.nan - found.unit.inf;
            doubtful = found.unit.argmax == kDoubtful;
        }
        for (unsigned open = __ballot_sync(kFullWarp, doubtful); open != 0; open &= open - 1) {
            const int asking = __ffs(static_cast<int>(open)) - 1;
            const Part again = look_again(job, __shfl_sync(kFullWarp, unit, asking, kWarp),
                                          __shfl_sync(kFullWarp, split, asking, kWarp), lane);
            if (lane == asking) found = again;
        }
        if (mine) part = joined(part, found);
    }
    part = join_lanes(part, job.lanes);
    std::int64_t active = 0;
    __syncwarp();  // the flags that other lanes have set while looking again
    if (inside && job.active != nullptr)
        active = take_flags(job.active + unit, job.state.units, job.view.examples, helper, job.lanes);
    active = sum_lanes(active, job.lanes);
    if (!inside || helper != 0) return;
    // Without flags, each place is an example.
    part.unit.active_examples = job.active != nullptr ? active : part.unit.nonzero;
    const Unit before = job.state.load(unit);
    job.state.store(unit, combine(before, job.snapshot[0] - before.nan - before.inf, part.unit, part.finite));
}

// One warp writes the header; the others have read what they need of it from the snapshot.
__device__ void fold_header(const Fold& job, int lane) {
    std::int64_t values = 0, examples = 0;
    for (std::int64_t split = lane; split < job.splits; split += kWarp)
        values += job.parts[split * job.part_words + static_cast<int>(Header::values)];
    if (job.seen != nullptr) examples = take_flags(job.seen, 1, job.view.examples, lane, kWarp);
    values = sum_lanes(values, kWarp);
    examples = sum_lanes(examples, kWarp);
    if (lane != 0) return;
    job.state.header(Header::values) += values;
    job.state.header(Header::examples) += job.seen != nullptr ? examples
                                          : job.splits > 0    ? job.view.examples
                                                              : 0;
    std::int64_t& next = job.state.header(Header::next_example);
    const std::int64_t end = (job.first_example >= 0 ? job.first_example : next) + job.view.examples;
    if (end > next) next = end;
}

__global__ void __launch_bounds__(kThreads) fold(const __grid_constant__ Fold job) {
    if (disabled(job.enabled)) return;
    if (job.splits > 0) {
        const std::int64_t thread = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
        fold_unit(job, thread / job.lanes);
    }
    if (job.bins != nullptr) {
        for_grid(kHistogramSize, [&](std::int64_t bin) {
            job.state.histogram()[bin] += static_cast<std::int64_t>(job.bins[bin]);
            job.bins[bin] = 0;
        });
    }
    if (blockIdx.x == 0 && threadIdx.x < kWarp) fold_header(job, static_cast<int>(threadIdx.x));
}

__global__ void __launch_bounds__(kThreads) reset_state(const __grid_constant__ StateView state) {
    for_grid(state.units, [&](std::int64_t unit) { state.store(unit, identity()); });
    for_grid(kHeaderWords, [&](std::int64_t word) { state.words[word] = 0; });
    if (state.has_histogram) for_grid(kHistogramSize, [&](std::int64_t bin) { state.histogram()[bin] = 0; });
}

__global__ void __launch_bounds__(kThreads) merge_units(const __grid_constant__ Merge job) {
    const std::int64_t into = job.into.header(Header::values), from = job.from.header(Header::values);
    for_grid(job.into.units, [&](std::int64_t unit) {
        const Unit a = job.into.load(unit), b = job.from.load(unit);
        job.into.store(unit, combine(a, into - a.nan - a.inf, b, from - b.nan - b.inf));
    });
    if (job.into.has_histogram)
        for_grid(kHistogramSize,
                 [&](std::int64_t bin) { job.into.histogram()[bin] += job.from.histogram()[bin]; });
}

// After all units: they read the header.
__global__ void merge_header(const __grid_constant__ Merge job) {
    job.into.header(Header::examples) += job.from.header(Header::examples);
    job.into.header(Header::values) += job.from.header(Header::values);
    std::int64_t& next = job.into.header(Header::next_example);
    if (job.from.header(Header::next_example) > next) next = job.from.header(Header::next_example);
}

}  // namespace

void (*const kFold)(Fold) = fold;
void (*const kReset)(StateView) = reset_state;
void (*const kMergeUnits)(Merge) = merge_units;
void (*const kMergeHeader)(Merge) = merge_header;

}  // namespace neurocensus::cuda
