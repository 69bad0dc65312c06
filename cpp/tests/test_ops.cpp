// The laws of ops.hpp.
#include <algorithm>
#include <random>
#include <vector>

#include "check.hpp"
#include "neurocensus/ops.hpp"

namespace neurocensus {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A unit together with the number of its finite values, which combine() takes apart from it.
struct Part {
    Unit unit;
    std::int64_t finite;
};

Part join(const Part& a, const Part& b) {
    return {combine(a.unit, a.finite, b.unit, b.finite), a.finite + b.finite};
}

Part nothing() { return {identity(), 0}; }

// One pass, in long double: what any tree of combine() must come to.
Part of_values(const std::vector<double>& values, std::int64_t first_example = 0) {
    Part out = nothing();
    long double sum = 0, sum_abs = 0, m2 = 0;
    std::int64_t example = first_example;
    for (const double value : values) {
        if (std::isnan(value)) {
            ++out.unit.nan;
        } else if (std::isinf(value)) {
            ++out.unit.inf;
        } else {
            ++out.finite;
            sum += value;
            sum_abs += std::fabs(value);
            out.unit.nonzero += value != 0;
            out.unit.active_examples += value != 0;
            if (value > out.unit.max) {
                out.unit.max = value;
                out.unit.argmax = example;
            }
            out.unit.min = std::min(out.unit.min, value);
        }
        ++example;
    }
    if (out.finite == 0) return out;
    const long double mean = sum / static_cast<long double>(out.finite);
    for (const double value : values)
        if (std::isfinite(value)) m2 += (value - mean) * (value - mean);
    out.unit.mean = static_cast<double>(mean);
    out.unit.mean_abs = static_cast<double>(sum_abs / static_cast<long double>(out.finite));
    out.unit.m2 = static_cast<double>(m2);
    return out;
}

void check_counts(const Part& got, const Part& wanted) {
    CHECK_EQUAL(got.finite, wanted.finite);
    CHECK_EQUAL(got.unit.nonzero, wanted.unit.nonzero);
    CHECK_EQUAL(got.unit.active_examples, wanted.unit.active_examples);
    CHECK_EQUAL(got.unit.max, wanted.unit.max);
    CHECK_EQUAL(got.unit.min, wanted.unit.min);
    CHECK_EQUAL(got.unit.argmax, wanted.unit.argmax);
    CHECK_EQUAL(got.unit.nan, wanted.unit.nan);
    CHECK_EQUAL(got.unit.inf, wanted.unit.inf);
}

void check_moments(const Part& got, const Part& wanted) {
    constexpr double kRounding = 1e-12;
    const double n = static_cast<double>(std::max<std::int64_t>(wanted.finite, 1));
    const double size = wanted.unit.mean_abs + std::sqrt(wanted.unit.m2 / n);
    CHECK(std::fabs(got.unit.mean - wanted.unit.mean) <= kRounding * size);
    CHECK(std::fabs(got.unit.mean_abs - wanted.unit.mean_abs) <= kRounding * size);
    // What the means' own rounding leaves in a sum of n squares.
    const double floor = n * (1e-15 * size) * (1e-15 * size);
    CHECK(std::fabs(got.unit.m2 - wanted.unit.m2) <= kRounding * wanted.unit.m2 + floor);
}

void check_same(const Part& got, const Part& wanted) {
    check_counts(got, wanted);
    CHECK_EQUAL(got.unit.mean, wanted.unit.mean);
    CHECK_EQUAL(got.unit.mean_abs, wanted.unit.mean_abs);
    CHECK_EQUAL(got.unit.m2, wanted.unit.m2);
}

// Parts that differ in size, in centre and in what they hold, some of them empty.
std::vector<double> any_values(std::mt19937_64& random) {
    std::vector<double> out(random() % 4 == 0 ? 0 : 1 + random() % 40);
    const double centre = std::vector<double>{0.0, 1.0, -3.0, 1e4}[random() % 4];
    const bool whole = random() % 2 == 0;  // for ties of the maximum
    for (double& value : out) {
        value = centre + std::normal_distribution<double>()(random);
        if (whole) value = std::round(value) + 0.0;
        if (random() % 16 == 0) value = std::vector<double>{NAN, kInfinity, -kInfinity, 0.0}[random() % 4];
    }
    return out;
}

Part any_part(std::mt19937_64& random) {
    const auto first = static_cast<std::int64_t>(random() % 100);
    return of_values(any_values(random), first);
}

TEST(combining_with_nothing_changes_nothing) {
    std::mt19937_64 random(1);
    check_same(join(nothing(), nothing()), nothing());
    for (int round = 0; round < 2000; ++round) {
        const Part part = any_part(random);
        check_same(join(part, nothing()), part);
        check_same(join(nothing(), part), part);
    }
}

TEST(combining_commutes) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 2000; ++round) {
        const Part a = any_part(random), b = any_part(random);
        check_counts(join(a, b), join(b, a));
        check_moments(join(a, b), join(b, a));
    }
}

TEST(combining_associates) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 2000; ++round) {
        const Part a = any_part(random), b = any_part(random), c = any_part(random);
        check_counts(join(join(a, b), c), join(a, join(b, c)));
        check_moments(join(join(a, b), c), join(a, join(b, c)));
    }
}

// Pitfall 17: a merge that is right for parts that are alike, and only for them.
TEST(combined_parts_are_the_whole) {
    std::mt19937_64 random(4);
    for (int round = 0; round < 2000; ++round) {
        std::vector<double> all;
        Part parts = nothing();
        for (std::uint64_t part = 0, count = random() % 6; part < count; ++part) {
            const std::vector<double> values = any_values(random);
            parts = join(parts, of_values(values, static_cast<std::int64_t>(all.size())));
            all.insert(all.end(), values.begin(), values.end());
        }
        check_counts(parts, of_values(all));
        check_moments(parts, of_values(all));
    }
}

// Pitfall 16: far from zero, sums of squares cancel.
TEST(spread_survives_a_large_mean) {
    std::mt19937_64 random(5);
    std::vector<double> all;
    Part parts = nothing();
    for (int part = 0; part < 50; ++part) {
        std::vector<double> values(1 + random() % 200);
        for (double& value : values) value = 1e8 + std::normal_distribution<double>()(random);
        parts = join(parts, of_values(values, static_cast<std::int64_t>(all.size())));
        all.insert(all.end(), values.begin(), values.end());
    }
    const double variance = parts.unit.m2 / static_cast<double>(parts.finite);
    CHECK(variance > 0.9 && variance < 1.1);
    CHECK(std::fabs(parts.unit.m2 / of_values(all).unit.m2 - 1) < 1e-9);
}

// Pitfall 18: extrema begin at the infinities, which are then no values either.
TEST(extrema_of_nothing_are_infinite) {
    for (const Part& part : {nothing(), of_values({kInfinity, -kInfinity, NAN})}) {
        CHECK_EQUAL(part.unit.max, -kInfinity);
        CHECK_EQUAL(part.unit.min, kInfinity);
        CHECK_EQUAL(part.unit.argmax, std::int64_t{-1});
    }
    const Part lowest = of_values({-std::numeric_limits<double>::max()}, 7);
    CHECK_EQUAL(join(nothing(), lowest).unit.max, -std::numeric_limits<double>::max());
    CHECK_EQUAL(join(nothing(), lowest).unit.argmax, std::int64_t{7});
}

TEST(ties_go_to_the_lowest_example) {
    const Part late = of_values({2.0}, 9), early = of_values({2.0}, 3);
    CHECK_EQUAL(join(late, early).unit.argmax, std::int64_t{3});
    CHECK_EQUAL(join(early, late).unit.argmax, std::int64_t{3});
    CHECK_EQUAL(join(join(nothing(), late), join(early, nothing())).unit.argmax, std::int64_t{3});
    CHECK(!exceeds(-kInfinity, -1, -kInfinity, -1));
    CHECK(!exceeds(-kInfinity, -1, 0.0, 0));
}

}  // namespace
}  // namespace neurocensus
