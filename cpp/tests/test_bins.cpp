// The histogram's bins: from the bits, the same from float32 and float64, mirrored, ascending.
#include <vector>

#include "check.hpp"
#include "neurocensus/ops.hpp"

namespace neurocensus {
namespace {

float from_bits(std::uint32_t bits) {
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
}

// Every exponent with mantissas around each edge of an eighth of an octave, ascending, without zero.
std::vector<float> magnitudes() {
    std::vector<float> out;
    for (std::uint32_t exponent = 0; exponent < 255; ++exponent) {
        for (std::uint32_t eighth = 0; eighth < 8; ++eighth) {
            const std::uint32_t edge = (exponent << 23) | (eighth << 20);
            for (const std::uint32_t step : {0u, 1u, 0x7ffffu, 0xfffffu})
                if (edge + step > 0) out.push_back(from_bits(edge + step));
        }
    }
    return out;
}

// By arithmetic instead of bits, as reference.py has it.
int bin_by_definition(double value) {
    if (value == 0) return kZeroBin;
    int exponent = 0;
    const double mantissa = std::frexp(std::fabs(value), &exponent);
    const double eighth = std::floor((2 * mantissa - 1) * kBinsPerOctave);
    const int index = (exponent - 1 - kExponentLow) * kBinsPerOctave + static_cast<int>(eighth);
    const int offset = 2 + (index < -1 ? -1 : index > kBinsPerSign ? kBinsPerSign : index);
    return value < 0 ? kZeroBin - offset : kZeroBin + offset;
}

TEST(bins_are_as_defined) {
    for (const float value : magnitudes()) {
        CHECK_EQUAL(bin_index(value), bin_by_definition(value));
        CHECK_EQUAL(bin_index(-value), bin_by_definition(-value));
    }
}

TEST(bins_do_not_depend_on_the_type) {
    for (const float value : magnitudes()) {
        CHECK_EQUAL(bin_index(static_cast<double>(value)), bin_index(value));
        CHECK_EQUAL(bin_index(static_cast<double>(-value)), bin_index(-value));
    }
}

TEST(bins_mirror) {
    for (const float value : magnitudes())
        CHECK_EQUAL(bin_index(-value), kHistogramSize - 1 - bin_index(value));
}

TEST(bins_ascend_and_leave_none_out) {
    int before = kZeroBin;
    for (const float value : magnitudes()) {
        const int now = bin_index(value);
        CHECK(now == before || now == before + 1);
        before = now;
    }
    CHECK_EQUAL(before, kHistogramSize - 1);
}

TEST(bins_at_the_edges_of_the_window) {
    const float low = std::ldexp(1.0f, kExponentLow), high = std::ldexp(1.0f, kExponentHigh);
    CHECK_EQUAL(bin_index(std::nextafter(low, 0.0f)), kZeroBin + 1);
    CHECK_EQUAL(bin_index(low), kZeroBin + 2);
    CHECK_EQUAL(bin_index(std::nextafter(high, 0.0f)), kHistogramSize - 2);
    CHECK_EQUAL(bin_index(high), kHistogramSize - 1);
    CHECK_EQUAL(bin_index(std::numeric_limits<float>::max()), kHistogramSize - 1);
    CHECK_EQUAL(bin_index(std::numeric_limits<double>::max()), kHistogramSize - 1);
    CHECK_EQUAL(bin_index(std::numeric_limits<double>::lowest()), 0);
}

TEST(zero_has_a_bin_of_its_own) {
    CHECK_EQUAL(bin_index(0.0f), kZeroBin);
    CHECK_EQUAL(bin_index(-0.0f), kZeroBin);
    CHECK_EQUAL(bin_index(0.0), kZeroBin);
    CHECK_EQUAL(bin_index(-0.0), kZeroBin);
    // Denormals are not zero.
    CHECK_EQUAL(bin_index(std::numeric_limits<float>::denorm_min()), kZeroBin + 1);
    CHECK_EQUAL(bin_index(-std::numeric_limits<float>::denorm_min()), kZeroBin - 1);
    CHECK_EQUAL(bin_index(std::numeric_limits<double>::denorm_min()), kZeroBin + 1);
    CHECK_EQUAL(bin_index(-std::numeric_limits<double>::denorm_min()), kZeroBin - 1);
}

TEST(a_bin_is_at_most_an_eighth_of_its_value_wide) {
    const std::vector<float> values = magnitudes();
    for (std::size_t i = 1; i < values.size(); ++i) {
        const bool inside =
            values[i - 1] >= std::ldexp(1.0f, kExponentLow) && values[i] < std::ldexp(1.0f, kExponentHigh);
        if (inside && bin_index(values[i]) == bin_index(values[i - 1]))
            CHECK((values[i] - values[i - 1]) / values[i - 1] <= 0.125f);
    }
}

}  // namespace
}  // namespace neurocensus
