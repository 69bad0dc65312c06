// The kernels in use: chosen once, by the CPU or by NEUROCENSUS_SIMD.
#pragma once

#include "kernels.hpp"

namespace neurocensus {

// Throws std::invalid_argument where NEUROCENSUS_SIMD names what this CPU cannot run.
const Kernels& kernels();

}  // namespace neurocensus
