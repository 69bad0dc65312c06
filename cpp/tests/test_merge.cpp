// merge of many states at once: as combine() one by one, by every instruction set and any number of threads.
#include <algorithm>

#include "layouts.hpp"

namespace neurocensus {
namespace {

// Around vectors and around tiles, which have 1024 units.
constexpr std::int64_t kUnits[] = {1, 7, 8, 9, 1023, 1024, 1025, 2500};

// States of unlike parts of the data, some of them empty, each counted from example 0 on.
struct Shards {
    Shards(std::int64_t units, int count, std::mt19937_64& random) {
        for (int i = 0; i < count; ++i) {
            const Kind kind = kKinds[random() % 5];
            const Shape shape{static_cast<std::int64_t>(random() % 4), units, 2};
            const Tensor tensor(shape, DType::float64, Layout::columns, kind, random);
            states.emplace_back(units);
            update(states.back().view(), tensor.view(), {}, {});
            list.push_back({states.back().view(), next});
            next += shape.examples;
        }
    }
    std::vector<State> states;
    std::vector<Shard> list;
    std::int64_t next = 0;
};

// What merge() is: combine(), unit by unit, shard by shard.
State one_by_one(const State& into, const std::vector<Shard>& shards) {
    State out = into;
    const StateView sum = out.view();
    for (const Shard& shard : shards) {
        const auto values = [](StateView state) { return state.header(Header::values); };
        for (std::int64_t u = 0; u < sum.units; ++u) {
            const Unit a = sum.load(u);
            Unit b = shard.state.load(u);
            if (b.argmax >= 0) b.argmax += shard.first_example;
            sum.store(u, combine(a, values(sum) - a.nan - a.inf, b, values(shard.state) - b.nan - b.inf));
        }
        const std::int64_t next = shard.state.header(Header::next_example);
        if (next > 0)
            sum.header(Header::next_example) =
                std::max(sum.header(Header::next_example), next + shard.first_example);
        sum.header(Header::examples) += shard.state.header(Header::examples);
        sum.header(Header::values) += shard.state.header(Header::values);
        for (int bin = 0; bin < kHistogramSize; ++bin) sum.histogram()[bin] += shard.state.histogram()[bin];
    }
    return out;
}

// Moments to rounding, as fused operations round once and others twice; all else exactly.
void check_same(const State& got, const State& wanted) {
    const StateView a = got.view(), b = wanted.view();
    const auto near = [](double x, double y, double scale) {
        return (std::isnan(x) && std::isnan(y)) || x == y || std::fabs(x - y) <= 1e-13 * scale;
    };
    for (std::int64_t u = 0; u < a.units; ++u) {
        const check::Note note("unit ", u);
        Unit mine = a.load(u), its = b.load(u);
        CHECK(near(mine.mean, its.mean, its.mean_abs + std::fabs(its.mean)));
        CHECK(near(mine.mean_abs, its.mean_abs, its.mean_abs));
        CHECK(near(mine.m2, its.m2, its.m2));
        mine.mean = its.mean, mine.mean_abs = its.mean_abs, mine.m2 = its.m2;
        CHECK(std::memcmp(&mine, &its, sizeof mine) == 0);
    }
    CHECK(std::equal(a.words, a.words + kHeaderWords, b.words));
    CHECK(std::equal(a.histogram(), a.histogram() + kHistogramSize, b.histogram()));
}

TEST(many_at_once_are_the_same_as_one_by_one) {
    for_every_instruction_set([] {
        std::mt19937_64 random(1);
        for (const std::int64_t units : kUnits)
            for (const int count : {0, 1, 2, 7}) {
                const check::Note note(units, " units, ", count, " shards");
                const Shards shards(units, count, random), before(units, 1, random);
                const State into = before.states.front();
                const State wanted = one_by_one(into, shards.list);
                merge(into.view(), shards.list);
                check_same(into, wanted);
            }
    });
}

TEST(shards_counted_from_zero_are_the_whole) {
    for_every_instruction_set([] {
        std::mt19937_64 random(2);
        const std::int64_t units = 40;
        for (const Kind kind : kKinds) {
            const check::Note note(name_of(kind));
            const Tensor tensor({30, units, 3}, DType::float32, Layout::columns, kind, random);
            std::vector<State> states;
            std::vector<Shard> shards;
            for (const std::int64_t begin : {0, 4, 5, 17}) {
                View part = tensor.view();
                part.examples = (begin == 0 ? 4 : begin == 4 ? 1 : begin == 5 ? 12 : 13);
                part.data = static_cast<const float*>(part.data) + begin * part.example_stride;
                states.emplace_back(units);
                update(states.back().view(), part, {}, {});
                shards.push_back({states.back().view(), begin});
            }
            std::shuffle(shards.begin(), shards.end(), random);  // ties go to the lowest index all the same
            Naive wanted(units);
            wanted.update(tensor.view(), {}, {});
            const State into(units);
            merge(into.view(), shards);
            wanted.check(into);
        }
    });
}

TEST(threads_leave_no_trace) {
    for_every_instruction_set([] {
        std::mt19937_64 random(3);
        const Shards shards(9000, 6, random);
        const State one(9000);
        merge(one.view(), shards.list, 1);
        for (const int threads : {2, 3, 8}) {
            const check::Note note(threads, " threads");
            const State many(9000);
            merge(many.view(), shards.list, threads);
            CHECK(many.words() == one.words());
        }
    });
}

TEST(empty_shards_leave_no_trace) {
    std::mt19937_64 random(4);
    const Shards shards(1500, 1, random);
    const State empty(1500), into = shards.states.front();
    const std::vector<std::int64_t> before = into.words();
    merge(into.view(), {{empty.view(), 1000}, {empty.view(), 0}});
    CHECK(into.words() == before);
    const State fresh(1500);
    merge(fresh.view(), {{empty.view(), 5}, {into.view(), 0}, {empty.view(), 7}});
    CHECK(fresh.words() == before);  // bit for bit, moments too
}

TEST(a_state_may_be_merged_into_itself) {
    std::mt19937_64 random(5);
    const Tensor tensor({3, 1100, 2}, DType::float32, Layout::columns, Kind::holes, random);
    const State state(1100);
    update(state.view(), tensor.view(), {}, {});
    const State twin = state, wanted = one_by_one(state, {{twin.view(), 3}, {twin.view(), 6}});
    merge(state.view(), {{state.view(), 3}, {state.view(), 6}}, 2);
    check_same(state, wanted);
}

// Squares that overflow are infinite, and never NaN where one side has no values.
TEST(the_ends_of_the_range) {
    for_every_instruction_set([] {
        // One value of each unit; NaN was counted apart.
        const auto state_of = [](double value) {
            const State out(16);
            out.view().header(Header::examples) = out.view().header(Header::values) = 1;
            out.view().header(Header::next_example) = 1;
            for (std::int64_t u = 0; u < 16; ++u) {
                Unit unit = identity();
                unit.nan = std::isnan(value);
                if (!unit.nan) unit = {1, 1, value, value, 0, value, 0.0, value, 0, 0};
                out.view().store(u, unit);
            }
            return out;
        };
        const State a = state_of(1e300), b = state_of(5e-324), c = state_of(NAN);
        for (const State* first : {&a, &b, &c})
            for (const State* second : {&a, &b, &c}) {
                const std::vector<Shard> shards{{first->view(), 0}, {second->view(), 1}};
                const State into(16);
                merge(into.view(), shards);
                check_same(into, one_by_one(State(16), shards));
                CHECK(!std::isnan(into.view().load(0).m2));
            }
        const State low(16);
        merge(low.view(), {{b.view(), 0}, {c.view(), 1}});
        CHECK(low.view().load(0).max == 5e-324);
    });
}

}  // namespace
}  // namespace neurocensus
