// The histogram of an update: every bin from every instruction set, and more values than small counters hold.
#include <vector>

#include "check.hpp"
#include "neurocensus/census.hpp"

namespace neurocensus {
namespace {

// Bins of `values`, as one unit of many positions or as one example of many units.
template <class C>
std::vector<std::int64_t> counted(const std::vector<C>& values, bool rows) {
    View view;
    view.data = values.data();
    view.dtype = sizeof(C) == 4 ? DType::float32 : DType::float64;
    const auto count = static_cast<std::int64_t>(values.size());
    view.examples = 1;
    view.example_stride = count;
    view.units = rows ? 1 : count;
    view.unit_stride = rows ? count : 1;
    view.positions = rows ? count : 1;
    view.position_axes = rows ? 1 : 0;
    view.position_size[0] = count;
    view.position_stride[0] = 1;
    std::vector<std::int64_t> words(static_cast<std::size_t>(state_words(view.units, true)));
    const StateView state{words.data(), view.units, true};
    reset(state);
    update(state, view, {}, {});
    return {state.histogram(), state.histogram() + kHistogramSize};
}

template <class C>
std::vector<std::int64_t> wanted(const std::vector<C>& values) {
    std::vector<std::int64_t> out(kHistogramSize);
    for (const C value : values)
        if (std::isfinite(value)) ++out[static_cast<std::size_t>(bin_index(value))];
    return out;
}

// Every exponent with several mantissas, both signs, zeros, NaN, infinities; doubles beyond float32's range
// too.
template <class C>
std::vector<C> of_every_size() {
    std::vector<C> out = {C(0), C(-0.0), C(NAN), C(INFINITY), C(-INFINITY)};
    const int low = sizeof(C) == 4 ? -149 : -1074, high = sizeof(C) == 4 ? 127 : 1023;
    for (int exponent = low; exponent <= high; ++exponent) {
        for (const double mantissa : {1.0, 1.124, 1.126, 1.5, 1.99}) {
            const C value = static_cast<C>(std::ldexp(mantissa, exponent));
            if (std::isfinite(value)) out.insert(out.end(), {value, -value, C(0)});
        }
    }
    return out;
}

template <class Check>
void for_each_instruction_set(Check check) {
    for (const auto& name : instruction_sets()) {
        set_instruction_set(name);
        const check::Note note(name);
        for (const bool rows : {true, false}) check(rows);
    }
    set_instruction_set("auto");
}

template <class C>
void compare(const std::vector<C>& values, bool rows) {
    const auto found = counted(values, rows), expected = wanted(values);
    for (std::size_t bin = 0; bin < found.size(); ++bin) {
        const check::Note note(rows ? "rows" : "columns", "of bytes", sizeof(C), "bin", bin);
        CHECK_EQUAL(found[bin], expected[bin]);
    }
}

TEST(values_of_every_size) {
    for_each_instruction_set([](bool rows) {
        compare(of_every_size<float>(), rows);
        compare(of_every_size<double>(), rows);
    });
}

TEST(few_values) {
    for (const std::size_t count : {1u, 3u, 17u, 300u, 1023u, 1025u}) {
        auto values = of_every_size<float>();
        values.resize(count);
        for_each_instruction_set([&](bool rows) { compare(values, rows); });
    }
}

// Counters near the values have 16 bits.
TEST(many_equal_values) {
    for_each_instruction_set([](bool rows) {
        compare(std::vector<float>(600'001, 1.5f), rows);
        compare(std::vector<double>(600'001, -3e-30), rows);
        compare(std::vector<float>(600'001, 0.0f), rows);
        compare(std::vector<float>(600'001, NAN), rows);
    });
}

}  // namespace
}  // namespace neurocensus
