#include "plan.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace neurocensus::cuda {
namespace {

constexpr std::int64_t kRowsFrom = 16;           // positions: below, lanes hold units and not positions
constexpr std::int64_t kBlocksPerProcessor = 2;  // that a processor holds at once, by their registers
constexpr std::int64_t kWarpsPerProcessor = 32;  // of rows, so that all of them have work
constexpr std::int64_t kLeastRun = 16;           // places of columns to a thread, where there are as many
constexpr std::int64_t kMostPerBlock = std::int64_t{1} << 31;  // values: a block's bins are 32 bits wide

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

int power_of_two_from(std::int64_t value, int least, int most) {
    int out = least;
    while (out < most && out < value) out *= 2;
    return out;
}

int size_of(DType dtype) { return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2; }

bool aligned(const View& view, std::int64_t per_vector) {
    return reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0 && view.example_stride % per_vector == 0;
}

bool is_rows(const View& view) {
    if (view.position_axes == 0 || (view.units > 1 && view.unit_stride == 1)) return false;
    return view.position_stride[view.position_axes - 1] == 1 && view.positions >= kRowsFrom;
}

// Values that a thread reads at a time, as the kernels have it.
int chunk_of_rows(DType dtype) { return dtype == DType::float64 ? 8 : 16; }
int chunk_of_columns(DType dtype, bool vector) {
    return dtype == DType::float64 || (vector && size_of(dtype) == 2) ? 4 : 8;
}

// Places that a thread reads of a tile: enough threads first, then long runs.
int run_for(std::int64_t places_per_thread, int chunk) {
    const std::int64_t turns =
        std::max<std::int64_t>(1, ceil_div(places_per_thread, kMostRun));  // tiles of a split
    const std::int64_t run = ceil_div(ceil_div(places_per_thread, turns), chunk) * chunk;
    return static_cast<int>(std::clamp<std::int64_t>(run, chunk, kMostRun));
}

void plan_rows(Plan& plan, const View& view, const Device& device) {
    const int per_vector = 16 / size_of(view.dtype);
    plan.rows = true;
    plan.vector = aligned(view, per_vector) && view.unit_stride % per_vector == 0 &&
                  view.position_axes == 1 && view.positions % per_vector == 0;
    const int chunk = chunk_of_rows(view.dtype);
    plan.lanes = power_of_two_from(ceil_div(view.positions, chunk), 1, kWarp);
    const std::int64_t warps = kWarpsPerProcessor * device.processors;
    const std::int64_t threads = std::max<std::int64_t>(1, warps / view.units) * kWarp;  // for one unit
    plan.run = run_for(ceil_div(plan.places, threads), chunk);
    plan.tile_places = static_cast<std::int64_t>(plan.run) * kWarp;
    plan.tiles = ceil_div(plan.places, plan.tile_places);
    plan.splits = std::min(plan.tiles, std::max<std::int64_t>(1, warps / view.units));
    const std::int64_t blocks = ceil_div(view.units * plan.splits, kThreads / kWarp);
    const std::int64_t least = ceil_div(view.units * plan.places, kMostPerBlock);
    plan.scan_blocks = std::min(blocks, std::max(least, kBlocksPerProcessor * 4 * device.processors));
}

void plan_columns(Plan& plan, const View& view, const Device& device) {
    const int per_vector = 16 / size_of(view.dtype);
    plan.vector = aligned(view, per_vector) && view.unit_stride == 1 && view.units % per_vector == 0 &&
                  view.position_axes <= 1 &&
                  (view.position_axes == 0 || view.position_stride[0] % per_vector == 0);
    const int width = plan.vector ? per_vector : 1;
    plan.lanes = power_of_two_from(ceil_div(view.units, width), std::max(1, 8 / width), kWarp);
    const std::int64_t down = kThreads / plan.lanes;
    const std::int64_t slabs = ceil_div(view.units, static_cast<std::int64_t>(plan.lanes) * width);
    const std::int64_t wanted = std::max<std::int64_t>(1, kBlocksPerProcessor * device.processors / slabs);
    // Shorter runs than kLeastRun would spend more on being joined, and on their parts, than on reading.
    const std::int64_t share = std::max(ceil_div(plan.places, wanted * down), kLeastRun);
    plan.run =
        run_for(std::min(share, ceil_div(plan.places, down)), chunk_of_columns(view.dtype, plan.vector));
    plan.tile_places = plan.run * down;
    plan.tiles = ceil_div(plan.places, plan.tile_places);
    const std::int64_t least = ceil_div(plan.places * plan.lanes * width, kMostPerBlock);
    plan.splits = std::min(plan.tiles, std::max(wanted, least));
    plan.scan_blocks = slabs * plan.splits;
    plan.shared_bytes = columns_shared(view.dtype, plan.vector);
}

}  // namespace

Plan plan_for(const View& view, bool histogram, bool masked, const Device& device) {
    Plan plan;
    plan.bins = histogram;
    plan.masked = masked;
    plan.places = view.examples * view.positions;
    if (plan.places > 0) {
        if (is_rows(view)) {
            plan_rows(plan, view, device);
        } else {
            plan_columns(plan, view, device);
        }
    }
    if (histogram) {
        plan.bin_tables = 4;
        while (plan.bin_tables > 1 &&
               plan.shared_bytes + plan.bin_tables * kBinTableBytes > device.shared_bytes)
            plan.bin_tables /= 2;
        plan.shared_bytes += plan.bin_tables * kBinTableBytes;
    }
    // Eight lanes to a unit read whole sectors of 32 bytes of the parts; few units need more lanes to be
    // quick.
    plan.fold_lanes = power_of_two_from(plan.splits, 1, view.units >= 512 ? 8 : kWarp);
    plan.fold_blocks = ceil_div(view.units * plan.fold_lanes, kThreads);
    plan.part_words = state_words(view.units, false);
    plan.seen_at = histogram ? kHistogramSize * 8 : 0;
    plan.active_at = plan.seen_at + (masked ? view.examples : 0);
    plan.needs.zeros_bytes =
        static_cast<std::size_t>(plan.active_at + (view.positions > 1 ? view.examples * view.units : 0));
    plan.needs.parts_bytes =
        static_cast<std::size_t>((2 + plan.splits * plan.part_words) * 8);  // 2: snapshot
    return plan;
}

}  // namespace neurocensus::cuda
