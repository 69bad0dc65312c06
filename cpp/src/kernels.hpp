// The seam between the portable code and the files compiled once per instruction set: plain data in,
// one table of functions out. No inline functions here (see NC_ISA in ops.hpp).
#pragma once

#include <cstdint>

#include "neurocensus/view.hpp"

namespace neurocensus {

// One thread's share of a call: a box of examples and units, folded into the state behind `words`.
struct Job {
    View view;
    Mask mask;
    std::int64_t* words;         // state of view.units units (state.hpp)
    std::int64_t* histogram;     // int64 counters of this thread, or null
    std::uint8_t* active;        // scratch: view.units zero bytes, left zero
    std::int64_t values_before;  // values per unit that the state holds already
    std::int64_t example_begin, example_end;
    std::int64_t unit_begin, unit_end;
    std::int64_t first_example;  // index of the view's example 0
    double threshold;
};

// A state to be merged: its words, the values per unit it holds, and where its example indices begin.
struct MergePart {
    const std::int64_t* words;
    std::int64_t values;
    std::int64_t first_example;
};

constexpr std::int64_t kMergeTile = 1024;  // units that are merged at a time

// One thread's share of a merge: some units of all states. Shares begin at multiples of kMergeTile.
struct MergeJob {
    std::int64_t* words;  // of the state that is merged into; its header is left to the caller
    std::int64_t units;   // of all states
    std::int64_t values;  // per unit that it holds already
    const MergePart* parts;
    std::int64_t count;  // of parts
    std::int64_t unit_begin, unit_end;
};

struct Kernels {
    const char* name;
    void (*scan_rows)(const Job&);     // units apart, positions side by side: NCHW
    void (*scan_columns)(const Job&);  // units side by side, and every other stride
    void (*merge)(const MergeJob&);
    float (*plain_max)(const float* data, std::int64_t count);
};

extern const Kernels kKernelsBaseline;
extern const Kernels kKernelsAvx2;
extern const Kernels kKernelsAvx512;
extern const Kernels kKernelsNeon;

}  // namespace neurocensus
