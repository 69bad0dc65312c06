// What the CUDA core does, for the bindings and the tests: what census.hpp says, on a device, in a stream.
// Callers have validated their arguments. Every pointer is to memory that the device can read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "neurocensus/census.hpp"

namespace neurocensus::cuda {

// Where work is launched. Nothing here waits for it.
struct Place {
    int device = 0;
    void* stream = nullptr;  // cudaStream_t
};

// Device memory that calls in one stream may share. `zeros` holds zeros before and after every call.
struct Scratch {
    void* zeros = nullptr;
    std::size_t zeros_bytes = 0;
    void* parts = nullptr;
    std::size_t parts_bytes = 0;
};

struct Needs {
    std::size_t zeros_bytes = 0;
    std::size_t parts_bytes = 0;
};

// Options.first_example that means: the state's own next_example, as it is when the kernel runs.
constexpr std::int64_t kNextExample = -1;

// All of these throw std::runtime_error, with the kernel, the shape and CUDA's own words, where CUDA refuses.
// The state is then as it was: only the last launch of a call writes it. Scratch is not to be used again.

void reset(StateView state, const Place& place);

// Folds the view into the state, and returns what scratch that takes. With less than that, nothing is done.
// `enabled`: null, or one byte on the device; zero means that the kernels leave the state as it is.
Needs update(StateView state, const View& view, const Mask& mask, const Options& options,
             const std::uint8_t* enabled, const Scratch& scratch, const Place& place);

// Folds `from` into `into`, both on the device.
void merge(StateView into, StateView from, const Place& place);

// What was compiled in: kernel names, and "7.5, 8.0, 9.0 and newer": the devices they run on.
std::vector<std::string> kernel_names();
std::string architectures();

// CUDA versions as 13000 for 13.0; 0 for the driver's where there is none.
int runtime_version();
int driver_version();
// Number of devices; where there is none that can be used, 0 with the reason.
int device_count(std::string& reason);

}  // namespace neurocensus::cuda
