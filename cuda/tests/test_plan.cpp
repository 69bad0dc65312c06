// Laws of a plan, for views of many shapes on devices of many sizes.
#include "plan.hpp"

#include <random>

#include "layouts.hpp"

namespace neurocensus {
namespace {

struct Where {
    Shape shape;
    DType dtype;
    bool rows, histogram, masked;
};

View contiguous(const Where& where) {
    View view;
    view.data = reinterpret_cast<const void*>(std::uintptr_t{4096});  // never read
    view.dtype = where.dtype;
    view.examples = where.shape.examples;
    view.units = where.shape.units;
    view.positions = view.position_size[0] = where.shape.positions;
    view.position_axes = where.shape.positions > 1 ? 1 : 0;
    view.example_stride = where.shape.units * where.shape.positions;
    view.unit_stride = where.rows ? where.shape.positions : 1;
    view.position_stride[0] = view.position_axes == 0 ? 0 : where.rows ? 1 : where.shape.units;
    return view;
}

std::int64_t any_size(std::mt19937_64& random, int most_bits) {
    return std::int64_t{1} + static_cast<std::int64_t>(random() >> (64 - 1 - random() % most_bits));
}

Where any_case(std::mt19937_64& random) {
    return {{any_size(random, 16), any_size(random, 16), any_size(random, 16)},
            kDTypes[random() % 4],
            random() % 2 == 0,
            random() % 2 == 0,
            random() % 2 == 0};
}

template <class Body>
void for_many(const Body& body) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
        const Where where = any_case(random);
        const cuda::Device device{static_cast<int>(1 + random() % 200),
                                  random() % 2 == 0 ? 64 << 10 : 227 << 10};
        const check::Note note(name_of(where.dtype), where.rows ? " rows " : " columns ",
                               where.shape.examples, 'x', where.shape.units, 'x', where.shape.positions,
                               " on ", device.processors);
        const View view = contiguous(where);
        body(where, view, device, cuda::plan_for(view, where.histogram, where.masked, device));
    }
}

TEST(tiles_cover_every_place_once) {
    for_many([](const Where& where, const View& view, const cuda::Device&, const cuda::Plan& plan) {
        CHECK_EQUAL(plan.places, where.shape.examples * where.shape.positions);
        CHECK(plan.tiles * plan.tile_places >= plan.places);
        CHECK((plan.tiles - 1) * plan.tile_places < plan.places);
        CHECK(plan.splits >= 1 && plan.splits <= plan.tiles);
        CHECK(plan.run >= 1 && plan.run <= cuda::kMostRun);
        if (plan.rows) {
            CHECK_EQUAL(plan.tile_places, std::int64_t{plan.run} * cuda::kWarp);
        } else {
            const std::int64_t down = cuda::kThreads / plan.lanes;
            const std::int64_t width = plan.lanes * (plan.vector ? 16 / size_of(where.dtype) : 1);
            CHECK_EQUAL(plan.tile_places, plan.run * down);
            CHECK_EQUAL(plan.scan_blocks, (view.units + width - 1) / width * plan.splits);
        }
    });
}

TEST(lanes_are_what_shuffles_allow) {
    for_many([](const Where& where, const View&, const cuda::Device&, const cuda::Plan& plan) {
        for (const int lanes : {plan.lanes, plan.fold_lanes})
            CHECK(lanes >= 1 && lanes <= cuda::kWarp && (lanes & (lanes - 1)) == 0);
        if (plan.rows) return;
        const int helpers =
            cuda::kThreads / plan.lanes / (plan.vector ? 16 / static_cast<int>(size_of(where.dtype)) : 1);
        CHECK(helpers >= 1 && helpers <= cuda::kWarp);
    });
}

TEST(it_fits_the_device) {
    for_many([](const Where& where, const View& view, const cuda::Device& device, const cuda::Plan& plan) {
        CHECK(plan.shared_bytes <= device.shared_bytes);
        // The bins of a block are 32 bits wide.
        const std::int64_t per_block = plan.places / plan.splits + plan.tile_places;
        if (!plan.rows) CHECK(per_block < std::int64_t{1} << 31);
        CHECK_EQUAL(plan.needs.parts_bytes,
                    static_cast<std::size_t>(8 * (2 + plan.splits * state_words(view.units, false))));
        const std::int64_t flags = where.shape.positions > 1 ? view.examples * view.units : 0;
        const std::int64_t bins = where.histogram ? 8 * kHistogramSize : 0;
        CHECK_EQUAL(plan.needs.zeros_bytes,
                    static_cast<std::size_t>(bins + (where.masked ? view.examples : 0) + flags));
    });
}

// All processors get work as soon as there are a few thousand values for each.
TEST(large_calls_fill_the_device) {
    for_many([](const Where&, const View& view, const cuda::Device& device, const cuda::Plan& plan) {
        if (plan.places * view.units < std::int64_t{device.processors} << 17) return;
        CHECK(plan.scan_blocks >= device.processors);
    });
}

TEST(sixteen_bytes_where_everything_is_a_multiple) {
    const cuda::Device device{132, 227 << 10};
    const auto vector = [&](Where where, std::int64_t shift) {
        View view = contiguous(where);
        view.data = static_cast<const char*>(view.data) + shift;
        return cuda::plan_for(view, false, false, device).vector;
    };
    for (const bool rows : {true, false}) {
        CHECK(vector({{8, 64, 64}, DType::bfloat16, rows, false, false}, 0));
        CHECK(!vector({{8, 64, 64}, DType::bfloat16, rows, false, false}, 2));
        CHECK(!vector({{8, 61, 49}, DType::float32, rows, false, false}, 0));
    }
    CHECK(vector({{8, 64, 1}, DType::float32, false, false, false}, 0));
    CHECK(!vector({{8, 62, 1}, DType::float32, false, false, false}, 0));
}

}  // namespace
}  // namespace neurocensus
