// What the host tells the kernels: plain data, passed by value.
#pragma once

#include <cstdint>

#include "neurocensus/state.hpp"
#include "neurocensus/view.hpp"

namespace neurocensus::cuda {

constexpr int kThreads = 256;  // of every block
constexpr int kWarp = 32;
// Places that a thread is given of a tile; where rows are short, it may read up to twice as many values. So
// few are summed in the compute type before they go to float64.
constexpr int kMostRun = 512;

// The first kernel: reads the values, leaves partial states ("parts"), and only reads the state.
// A "place" is an (example, position); its number is example * positions + position.
struct Scan {
    View view;
    Mask mask;
    double threshold;            // rounded down to the compute type
    std::int64_t first_example;  // of the view, or kNextExample
    const std::int64_t* state;
    const std::uint8_t* enabled;  // null, or zero for: leave at once

    std::int64_t* snapshot;    // written: values and first example before this call
    std::int64_t* parts;       // written: `splits` states, `part_words` apart
    unsigned long long* bins;  // null, or zeros to count in
    std::uint8_t* seen;        // null, or zeros: set for examples with a value that the mask keeps
    std::uint8_t* active;      // null, or zeros: set for (example, unit) with a nonzero value

    std::int64_t places;
    std::int64_t tiles;   // shared out over the splits in turn
    std::int64_t splits;  // each makes a part
    std::int64_t part_words;
    int run;    // places that one thread reads of a tile
    int lanes;  // columns: threads side by side along the units; rows: along the positions
    int bin_tables;
};

// The second kernel: joins the parts in order, folds them into the state, and leaves zeros where there were
// some.
struct Fold {
    StateView state;
    View view;  // for values that must be looked at again
    Mask mask;
    double threshold;
    const std::uint8_t* enabled;
    const std::int64_t* snapshot;
    std::int64_t* parts;
    unsigned long long* bins;
    std::uint8_t* seen;
    std::uint8_t* active;
    std::int64_t splits;
    std::int64_t part_words;
    std::int64_t tile_places;
    std::int64_t first_example;
    int lanes;  // threads that share a unit
};

struct Merge {
    StateView into;
    StateView from;
};

using ScanKernel = void (*)(Scan);
ScanKernel columns_kernel(DType dtype, bool vector, bool bins);
ScanKernel rows_kernel(DType dtype, bool vector, bool bins);

extern void (*const kFold)(Fold);
extern void (*const kReset)(StateView);
extern void (*const kMergeUnits)(Merge);
extern void (*const kMergeHeader)(Merge);

// Bytes of shared memory that a block of columns wants, without the tables of the histogram.
int columns_shared(DType dtype, bool vector);
constexpr int kBinTableBytes = kHistogramSize * static_cast<int>(sizeof(unsigned));

}  // namespace neurocensus::cuda
