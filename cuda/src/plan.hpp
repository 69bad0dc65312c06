// How a call is cut up: which kernel, how many blocks, how much scratch. Host only, and the same for the same
// view and device, so that results are.
#pragma once

#include <cstddef>

#include "census.hpp"
#include "scan.hpp"

namespace neurocensus::cuda {

// What a plan needs to know of a device.
struct Device {
    int processors = 1;           // streaming multiprocessors
    int shared_bytes = 48 << 10;  // that one block can have
};

struct Plan {
    bool rows = false;
    bool vector = false;  // 16 bytes at a time
    bool bins = false;
    bool masked = false;
    int lanes = 1;  // of Scan
    int run = 0;
    int bin_tables = 1;
    std::int64_t places = 0;
    std::int64_t tile_places = 0;
    std::int64_t tiles = 0;
    std::int64_t splits = 0;
    std::int64_t part_words = 0;
    std::int64_t scan_blocks = 0;
    int shared_bytes = 0;
    int fold_lanes = 1;
    std::int64_t fold_blocks = 0;
    // Where things lie in Scratch.zeros, in bytes; absent ones are empty.
    std::int64_t seen_at = 0;
    std::int64_t active_at = 0;
    Needs needs;
};

// `view` is simplified.
Plan plan_for(const View& view, bool histogram, bool masked, const Device& device);

}  // namespace neurocensus::cuda
