#include "neurocensus/census.hpp"

namespace neurocensus {

void reset(StateView state) {
    for (int field = 0; field < kHeaderWords; ++field) state.words[field] = 0;
    for (std::int64_t unit = 0; unit < state.units; ++unit) state.store(unit, identity());
    if (state.has_histogram)
        for (int bin = 0; bin < kHistogramSize; ++bin) state.histogram()[bin] = 0;
}

}  // namespace neurocensus
