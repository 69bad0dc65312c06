// What the core does, for the bindings and the C++ tests. Callers have validated their arguments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "neurocensus/state.hpp"
#include "neurocensus/view.hpp"

namespace neurocensus {

struct Options {
    std::int64_t first_example = 0;  // index of the view's first example
    double threshold = 0.0;          // finite, not negative: a value is zero when abs(value) <= threshold
    int threads = 1;                 // at least 1
};

// Writes the empty state.
void reset(StateView state);

// Reads every value of the view once and folds it into the state. Counts, extrema and bins do not
// depend on the number of threads; moments do, to rounding, where examples are split over threads.
void update(StateView state, const View& view, const Mask& mask, const Options& options);

// A state to be merged. Its example i is example first_example + i of the whole.
struct Shard {
    StateView state;  // only read
    std::int64_t first_example = 0;
};

// Folds the shards into `into`, in their order: same units, all with a histogram or all without. Each is
// read once. A shard may be `into` itself. The result is the same for any number of threads.
void merge(StateView into, const std::vector<Shard>& shards, int threads = 1);
inline void merge(StateView into, StateView from) { merge(into, {Shard{from, 0}}); }

// The largest float32 of a contiguous buffer, by the same instruction set and threads: the plain
// read beside which benchmarks put `update`.
float plain_max(const float* data, std::int64_t count, int threads);

// Instruction sets: compiled in and runnable on this CPU and OS, worst first; the one in use.
std::vector<std::string> instruction_sets();
std::string instruction_set();
// "auto" or a name of the list; throws std::invalid_argument for any other, naming the choices.
void set_instruction_set(const std::string& name);

}  // namespace neurocensus
