// What update() must come to: plain loops over a view, one value at a time, everything in long double.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "neurocensus/census.hpp"

namespace neurocensus {

constexpr DType kDTypes[] = {DType::float32, DType::float64, DType::float16, DType::bfloat16};

inline const char* name_of(DType dtype) {
    constexpr const char* names[] = {"float32", "float64", "float16", "bfloat16"};
    return names[static_cast<int>(dtype)];
}
inline std::int64_t size_of(DType dtype) {
    return dtype == DType::float64 ? 8 : dtype == DType::float32 ? 4 : 2;
}

inline double decode_half(std::uint16_t bits) {
    const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                             : exponent == 31 ? (mantissa == 0 ? INFINITY : NAN)
                                              : std::ldexp(1024 + mantissa, exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}
inline std::uint16_t encode_half(double value) {
    const int sign = std::signbit(value) ? 0x8000 : 0;
    const double magnitude = std::fabs(value);
    if (std::isnan(value)) return 0x7e00;
    if (magnitude >= 65520) return static_cast<std::uint16_t>(sign | 0x7c00);
    if (magnitude == 0) return static_cast<std::uint16_t>(sign);
    const int exponent = std::ilogb(magnitude) < -14 ? -14 : std::ilogb(magnitude);
    // A mantissa rounded up to 2048 carries into the exponent by itself; below 1024 it is a denormal.
    const int mantissa = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
    return static_cast<std::uint16_t>(sign | ((exponent + 14) * 1024 + mantissa));
}

inline double read(const void* data, DType dtype, std::int64_t offset) {
    const char* at = static_cast<const char*>(data) + offset * size_of(dtype);
    double wide = 0;
    float single = 0;
    std::uint16_t half = 0;
    switch (dtype) {
        case DType::float64: std::memcpy(&wide, at, 8); return wide;
        case DType::float32: std::memcpy(&single, at, 4); return single;
        case DType::float16: std::memcpy(&half, at, 2); return decode_half(half);
        case DType::bfloat16: std::memcpy(reinterpret_cast<char*>(&single) + 2, at, 2); return single;
    }
    return NAN;
}
// Rounded to the type (bfloat16: towards zero).
inline void write(void* data, DType dtype, std::int64_t offset, double value) {
    char* at = static_cast<char*>(data) + offset * size_of(dtype);
    const float single = static_cast<float>(value);
    const std::uint16_t half = encode_half(value);
    switch (dtype) {
        case DType::float64: std::memcpy(at, &value, 8); break;
        case DType::float32: std::memcpy(at, &single, 4); break;
        case DType::float16: std::memcpy(at, &half, 2); break;
        case DType::bfloat16: std::memcpy(at, reinterpret_cast<const char*>(&single) + 2, 2); break;
    }
}

// A state with memory of its own.
class State {
   public:
    explicit State(std::int64_t units, bool histogram = true)
        : words_(static_cast<std::size_t>(state_words(units, histogram))),
          units_(units),
          histogram_(histogram) {
        reset(view());
    }
    StateView view() const { return {words_.data(), units_, histogram_}; }
    const std::vector<std::int64_t>& words() const { return words_; }

   private:
    mutable std::vector<std::int64_t> words_;
    std::int64_t units_;
    bool histogram_;
};

class Naive {
   public:
    explicit Naive(std::int64_t units)
        : unit_(static_cast<std::size_t>(units), identity()),
          finite_(static_cast<std::size_t>(units)),
          histogram_(kHistogramSize) {}

    void update(const View& view, const Mask& mask, const Options& options) {
        for (std::int64_t example = 0; example < view.examples; ++example) {
            std::int64_t kept = 0;
            for (std::int64_t p = 0; p < view.positions; ++p) kept += keeps(mask, example, p);
            examples_ += kept > 0;
            values_ += kept;
            for (std::int64_t u = 0; u < view.units; ++u) {
                bool active = false;
                for (std::int64_t p = 0; p < view.positions; ++p) {
                    if (!keeps(mask, example, p)) continue;
                    const std::int64_t offset = example * view.example_stride + u * view.unit_stride;
                    const double value = read(view.data, view.dtype, offset + position_offset(view, p));
                    active |= take(u, value, options.first_example + example, options.threshold);
                }
                unit_[static_cast<std::size_t>(u)].active_examples += active;
            }
        }
        const std::int64_t next = options.first_example + view.examples;
        if (next > next_example_) next_example_ = next;
    }

    const Unit& unit(std::int64_t u) const { return unit_[static_cast<std::size_t>(u)]; }  // less moments

    // Moments within the budget of tests/parity/budget.py, all else exactly.
    void check(const State& state) const {
        const StateView view = state.view();
        CHECK_EQUAL(view.header(Header::examples), examples_);
        CHECK_EQUAL(view.header(Header::values), values_);
        CHECK_EQUAL(view.header(Header::next_example), next_example_);
        for (std::size_t u = 0; u < unit_.size(); ++u) {
            const check::Note note("unit ", u);
            check_unit(view.load(static_cast<std::int64_t>(u)), unit_[u], finite_[u]);
        }
        for (std::size_t bin = 0; view.has_histogram && bin < histogram_.size(); ++bin) {
            const check::Note note("bin ", bin);
            CHECK_EQUAL(view.histogram()[bin], histogram_[bin]);
        }
    }

   private:
    static bool keeps(const Mask& mask, std::int64_t example, std::int64_t p) {
        return mask.data == nullptr ||
               mask.data[example * mask.example_stride + p * mask.position_stride] != 0;
    }

    static std::int64_t position_offset(const View& view, std::int64_t position) {
        std::int64_t offset = 0;
        for (int axis = view.position_axes - 1; axis >= 0; --axis) {
            offset += position % view.position_size[axis] * view.position_stride[axis];
            position /= view.position_size[axis];
        }
        return offset;
    }

    bool take(std::int64_t u, double value, std::int64_t example, double threshold) {
        Unit& unit = unit_[static_cast<std::size_t>(u)];
        if (std::isnan(value)) return ++unit.nan, false;
        if (std::isinf(value)) return ++unit.inf, false;
        const bool active = std::fabs(value) > threshold;
        unit.nonzero += active;
        if (value > unit.max) {
            unit.max = value + 0.0;
            unit.argmax = example;
        } else if (value == unit.max && example < unit.argmax) {
            unit.argmax = example;
        }
        if (value < unit.min) unit.min = value + 0.0;
        finite_[static_cast<std::size_t>(u)].push_back(value);
        ++histogram_[static_cast<std::size_t>(bin_index(value))];
        return active;
    }

    static void check_unit(const Unit& got, const Unit& wanted, const std::vector<double>& finite) {
        CHECK_EQUAL(got.nonzero, wanted.nonzero);
        CHECK_EQUAL(got.active_examples, wanted.active_examples);
        CHECK_EQUAL(got.max, wanted.max);
        CHECK_EQUAL(got.min, wanted.min);
        CHECK_EQUAL(std::signbit(got.max), std::signbit(wanted.max));
        CHECK_EQUAL(std::signbit(got.min), std::signbit(wanted.min));
        CHECK_EQUAL(got.argmax, wanted.argmax);
        CHECK_EQUAL(got.nan, wanted.nan);
        CHECK_EQUAL(got.inf, wanted.inf);

        const long double n = static_cast<long double>(finite.empty() ? 1 : finite.size());
        long double mean = 0, mean_abs = 0, m2 = 0;
        for (const double value : finite) mean += value / n;
        for (const double value : finite) mean_abs += std::fabs(value) / n;
        for (const double value : finite) m2 += (value - mean) * (value - mean);
        const long double floor = n * (mean_abs * 1e-15L) * (mean_abs * 1e-15L);
        CHECK(std::fabs(got.mean - mean) <= 5e-6L * (mean_abs + std::sqrt(m2 / n)));
        CHECK(std::fabs(got.mean_abs - mean_abs) <= 1e-5L * mean_abs);
        CHECK(std::fabs(got.m2 - m2) <= 3e-5L * m2 + floor);
    }

    std::vector<Unit> unit_;
    std::vector<std::vector<double>> finite_;
    std::vector<std::int64_t> histogram_;
    std::int64_t examples_ = 0, values_ = 0, next_example_ = 0;
};

template <class Body>
void for_every_instruction_set(const Body& body) {
    for (const std::string& name : instruction_sets()) {
        set_instruction_set(name);
        const check::Note note(name);
        body();
    }
    set_instruction_set("auto");
}

}  // namespace neurocensus
