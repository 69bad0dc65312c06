// Which instruction set runs: the best by itself, another by name, an error for what cannot run.
#include <cstdlib>
#include <stdexcept>

#include "child.hpp"
#include "naive.hpp"

namespace neurocensus {
namespace {

// In a child of its own each: the choice is made once per process. These tests come first for that reason.
template <class Body>
bool with_environment(const char* value, const Body& body) {
    return holds_in_child([&] {
        if (value == nullptr) {
            unsetenv("NEUROCENSUS_SIMD");
        } else {
            setenv("NEUROCENSUS_SIMD", value, 1);
        }
        return body();
    });
}

TEST(the_best_by_default) {
    for (const char* value : {static_cast<const char*>(nullptr), "", "auto"})
        CHECK(with_environment(value, [] { return instruction_set() == instruction_sets().back(); }));
}

TEST(any_usable_one_by_the_environment) {
    for (const std::string& name : instruction_sets())
        CHECK(with_environment(name.c_str(), [&] { return instruction_set() == name; }));
}

// Pitfall 19: an override that the CPU lacks raises. The message says what there is.
TEST(an_unknown_one_in_the_environment_is_an_error) {
    CHECK(with_environment("avx9", [] {
        try {
            instruction_set();
        } catch (const std::invalid_argument& error) {
            const std::string message = error.what();
            bool complete = message.find("NEUROCENSUS_SIMD") == 0;
            complete = complete && message.find("avx9") != std::string::npos;
            for (const std::string& name : instruction_sets())
                complete = complete && message.find(name) != std::string::npos;
            return complete;
        }
        return false;
    }));
}

TEST(an_unknown_one_in_the_environment_leaves_the_state_alone) {
    CHECK(with_environment("avx9", [] {
        const float values[] = {1, 2, 3, 4};
        View view;
        view.data = values;
        view.examples = 2;
        view.example_stride = 2;
        view.units = 2;
        view.unit_stride = 1;
        const State state(2);
        const std::vector<std::int64_t> before = state.words();
        try {
            update(state.view(), view, {}, {});
        } catch (const std::invalid_argument&) {
            return state.words() == before;
        }
        return false;
    }));
}

TEST(the_baseline_is_always_there) { CHECK_EQUAL(instruction_sets().front(), std::string("baseline")); }

TEST(any_usable_one_by_name) {
    for (const std::string& name : instruction_sets()) {
        set_instruction_set(name);
        CHECK_EQUAL(instruction_set(), name);
    }
    set_instruction_set("auto");
    CHECK_EQUAL(instruction_set(), instruction_sets().back());
}

TEST(an_unknown_name_changes_nothing) {
    set_instruction_set("baseline");
    CHECK_THROWS(std::invalid_argument, set_instruction_set("avx9"));
    CHECK_THROWS(std::invalid_argument, set_instruction_set("AVX2"));
    CHECK_EQUAL(instruction_set(), std::string("baseline"));
    set_instruction_set("auto");
}

}  // namespace
}  // namespace neurocensus
