// States: empty, merged, in any split of the data.
#include "layouts.hpp"

namespace neurocensus {
namespace {

TEST(a_state_has_its_length) {
    CHECK_EQUAL(state_words(1, false), std::int64_t{kHeaderWords + kFields});
    CHECK_EQUAL(state_words(7, true), std::int64_t{kHeaderWords + 7 * kFields + kHistogramSize});
    CHECK_EQUAL(state_words(std::int64_t{1} << 33, false), kHeaderWords + kFields * (std::int64_t{1} << 33));
}

TEST(reset_forgets_everything) {
    std::mt19937_64 random(1);
    const Tensor tensor({4, 5, 20}, DType::float32, Layout::rows, Kind::holes, random);
    const State state(5), fresh(5);
    update(state.view(), tensor.view(), {}, {});
    CHECK(state.words() != fresh.words());
    reset(state.view());
    CHECK(state.words() == fresh.words());
    Naive(5).check(state);
}

TEST(an_empty_state_merges_without_a_trace) {
    std::mt19937_64 random(2);
    const Tensor tensor({4, 5, 20}, DType::float32, Layout::columns, Kind::holes, random);
    const State seen(5), empty(5);
    update(seen.view(), tensor.view(), {}, {3, 0.0, 1});
    const std::vector<std::int64_t> before = seen.words();
    merge(seen.view(), empty.view());
    CHECK(seen.words() == before);
    merge(empty.view(), seen.view());
    CHECK(empty.words() == before);
}

// Examples in parts of unequal size, some of them empty, merged in an order of chance (pitfall 17).
TEST(any_split_comes_to_the_same) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 200; ++round) {
        const auto up_to = [&](std::uint64_t n) { return static_cast<std::int64_t>(1 + random() % n); };
        const Shape shape{up_to(30), 5, up_to(2) == 1 ? 1 : up_to(40)};
        const Kind kind = kKinds[random() % 5];
        const Tensor tensor(shape, DType::float32, random() % 2 ? Layout::rows : Layout::columns, kind,
                            random);
        const check::Note note(name_of(kind), ' ', shape.examples, 'x', shape.positions);
        std::vector<State> parts;
        for (std::int64_t begin = 0; begin < shape.examples;) {
            View part = tensor.view();
            const auto left = static_cast<std::uint64_t>(shape.examples - begin);
            part.examples = static_cast<std::int64_t>(random() % (left + 1));
            part.data = static_cast<const float*>(part.data) + begin * part.example_stride;
            parts.emplace_back(shape.units);
            update(parts.back().view(), part, {}, {begin, 0.0, 1});
            begin += part.examples;
        }
        while (parts.size() > 1) {
            const std::size_t into = random() % parts.size();
            std::swap(parts[into], parts.back());
            const State last = parts.back();
            parts.pop_back();
            merge(parts[random() % parts.size()].view(), last.view());
        }
        Naive wanted(shape.units);
        wanted.update(tensor.view(), {}, {});
        wanted.check(parts.front());
    }
}

}  // namespace
}  // namespace neurocensus
