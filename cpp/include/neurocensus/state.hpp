// The state of one layer as a flat run of 8-byte words, so that a NumPy array, a torch tensor or device
// memory can hold it: a header, one column of `units` words per field, and perhaps the histogram.
#pragma once

#include <cstdint>
#include <cstring>

#include "neurocensus/ops.hpp"

namespace neurocensus {

constexpr int kStateFormat = 1;

enum class Header : int { examples, values, next_example };
constexpr int kHeaderWords = 3;

enum class Field : int { nonzero, active_examples, max, min, argmax, mean, m2, mean_abs, nan, inf };
constexpr int kFields = 10;

constexpr std::int64_t state_words(std::int64_t units, bool histogram) {
    return kHeaderWords + kFields * units + (histogram ? kHistogramSize : 0);
}

inline namespace NC_ISA {

struct StateView {
    std::int64_t* words = nullptr;
    std::int64_t units = 0;
    bool has_histogram = false;

    NC_HD std::int64_t& header(Header field) const { return words[static_cast<int>(field)]; }
    NC_HD std::int64_t* counts(Field field) const {
        return words + kHeaderWords + static_cast<int>(field) * units;
    }
    // Real fields live in the same words; double and int64_t are both 8 bytes wide.
    NC_HD double* reals(Field field) const { return reinterpret_cast<double*>(counts(field)); }
    NC_HD std::int64_t* histogram() const {
        return has_histogram ? words + kHeaderWords + kFields * units : nullptr;
    }

    NC_HD Unit load(std::int64_t unit) const {
        return {counts(Field::nonzero)[unit], counts(Field::active_examples)[unit], reals(Field::max)[unit],
                reals(Field::min)[unit],      counts(Field::argmax)[unit],          reals(Field::mean)[unit],
                reals(Field::m2)[unit],       reals(Field::mean_abs)[unit],         counts(Field::nan)[unit],
                counts(Field::inf)[unit]};
    }
    NC_HD void store(std::int64_t unit, const Unit& value) const {
        counts(Field::nonzero)[unit] = value.nonzero;
        counts(Field::active_examples)[unit] = value.active_examples;
        reals(Field::max)[unit] = value.max;
        reals(Field::min)[unit] = value.min;
        counts(Field::argmax)[unit] = value.argmax;
        reals(Field::mean)[unit] = value.mean;
        reals(Field::m2)[unit] = value.m2;
        reals(Field::mean_abs)[unit] = value.mean_abs;
        counts(Field::nan)[unit] = value.nan;
        counts(Field::inf)[unit] = value.inf;
    }
};

}  // namespace NC_ISA
}  // namespace neurocensus
