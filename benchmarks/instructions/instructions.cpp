// The calls whose instructions are counted: update() and merge() by one thread on a fixed set of small
// buffers, by every instruction set that valgrind can run. What is counted is checked against plain loops.
//
// The names of tests given as arguments choose some of them (see check.cpp).
#include <cstdlib>
#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

#include "buffers.hpp"
#include "count.hpp"

namespace neurocensus {
namespace {

constexpr int kCallsBefore = 3;  // of a streaming one: new maxima are rare by then
constexpr bool kHistogram[] = {false, true};

int statistics(bool histogram) { return kFields + histogram; }

// Four parts, whatever the case: instruction set, buffer, dtype, and what is called.
std::string case_name(const std::string& buffer, const char* dtype, const char* call, bool histogram) {
    return instruction_set() + " / " + buffer + " / " + dtype + " / " + call +
           (histogram ? ", histogram" : "");
}

void count_update(const Arrangement& arrangement, DType dtype) {
    const Buffer buffer(arrangement, dtype);
    const View& view = buffer.view();
    const Mask mask = buffer.mask();
    const std::int64_t values = view.examples * view.units * view.positions;
    const auto named = [&](const char* call, bool histogram) {
        return case_name(arrangement.name, name_of(dtype), call, histogram);
    };
    const auto options_of = [&](int call) { return Options{call * view.examples, 0.0, 1}; };

    Naive after_first(view.units), after_all(view.units);
    after_first.update(view, mask, options_of(0));
    for (int i = 0; i <= kCallsBefore; ++i) after_all.update(view, mask, options_of(i));

    for_every_instruction_set([&] {
        for (const bool histogram : kHistogram) {
            const check::Note note(arrangement.name, ' ', name_of(dtype));
            const State state(view.units, histogram);
            const auto call = [&](int i) { update(state.view(), view, mask, options_of(i)); };
            count(named("first call", histogram), values, statistics(histogram), [&] { call(0); });
            after_first.check(state);
            for (int i = 1; i < kCallsBefore; ++i) call(i);
            count(named("streaming", histogram), values, statistics(histogram), [&] { call(kCallsBefore); });
            after_all.check(state);
        }
    });
}

void count_update(const Arrangement& arrangement) {
    for (const DType dtype : kDTypes) count_update(arrangement, dtype);
}

TEST(rows) { count_update({"rows", as_rows({2, 8, 5000})}); }
TEST(short_rows) { count_update({"short rows", as_rows({32, 32, 49})}); }
TEST(columns) { count_update({"columns", as_columns({512, 600, 1})}); }
TEST(single_example) { count_update({"single example", as_columns({1, 512, 1})}); }
TEST(channels_last) { count_update({"channels_last", as_columns({8, 160, 196})}); }
TEST(short_channels_last) { count_update({"short channels_last", as_columns({32, 160, 16})}); }
TEST(sequences) { count_update({"sequences", as_columns({2, 96, 600})}); }
TEST(strided) { count_update({"strided", as_strided(4, 24, 20)}); }
TEST(masked_rows) { count_update({"masked rows", as_rows({4, 16, 1000}), true}); }
TEST(masked_sequences) { count_update({"masked sequences", as_columns({4, 96, 600}), true}); }
TEST(rows_with_nan) { count_update({"rows with NaN", as_rows({2, 8, 5000}), false, true}, DType::float32); }
TEST(columns_with_nan) {
    count_update({"columns with NaN", as_columns({512, 160, 1}), false, true}, DType::float32);
}

// The states of consecutive parts of the data into the first of them. What counts as a value here is one unit
// of one state.
TEST(merging) {
    constexpr int kStates = 8;
    const Buffer buffer({"", as_columns({4, 2500, 1})}, DType::float32);
    const View& view = buffer.view();
    Naive whole(view.units);
    for (int i = 0; i < kStates; ++i) whole.update(view, {}, {i * view.examples, 0.0, 1});

    for_every_instruction_set([&] {
        for (const bool histogram : kHistogram) {
            std::vector<State> states(kStates, State(view.units, histogram));
            std::vector<Shard> shards;
            for (const State& state : states) {
                update(state.view(), view, {}, {});
                shards.push_back({state.view(), view.examples * static_cast<std::int64_t>(shards.size())});
            }
            shards.erase(shards.begin());
            count(case_name("merging 8 states", "float64", "streaming", histogram),
                  view.units * (kStates - 1), statistics(histogram),
                  [&] { merge(states.front().view(), shards, 1); });
            whole.check(states.front());
        }
    });
}

const char* c_library() {
#if defined(__GLIBC__)
    return gnu_get_libc_version();
#else
    return "unknown";
#endif
}

// Before any test: what the counts hold for.
[[maybe_unused]] const bool tools_are_said = [] {
    std::printf("tool\tcompiler\t%s\n", NEUROCENSUS_COMPILER);
    std::printf("tool\tflags\t%s\n", NEUROCENSUS_FLAGS);
    std::printf("tool\tarchitecture\t%s\n", NEUROCENSUS_ARCHITECTURE);
    std::printf("tool\tC library\t%s\n", c_library());
    return true;
}();

}  // namespace
}  // namespace neurocensus
