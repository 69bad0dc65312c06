#include "float_environment.hpp"
#include "neurocensus/census.hpp"

namespace neurocensus {

void reset(StateView state) {
    for (int field = 0; field < kHeaderWords; ++field) state.words[field] = 0;
    for (std::int64_t unit = 0; unit < state.units; ++unit) state.store(unit, identity());
    if (state.has_histogram)
        for (int bin = 0; bin < kHistogramSize; ++bin) state.histogram()[bin] = 0;
}

void merge(StateView into, StateView from) {
    const KeepDenormals guard;
    const std::int64_t values_into = into.header(Header::values), values_from = from.header(Header::values);
    for (std::int64_t unit = 0; unit < into.units; ++unit) {
        const Unit a = into.load(unit), b = from.load(unit);
        into.store(unit, combine(a, values_into - a.nan - a.inf, b, values_from - b.nan - b.inf));
    }
    into.header(Header::examples) += from.header(Header::examples);
    into.header(Header::values) = values_into + values_from;
    if (from.header(Header::next_example) > into.header(Header::next_example))
        into.header(Header::next_example) = from.header(Header::next_example);
    if (into.has_histogram)
        for (int bin = 0; bin < kHistogramSize; ++bin) into.histogram()[bin] += from.histogram()[bin];
}

}  // namespace neurocensus
