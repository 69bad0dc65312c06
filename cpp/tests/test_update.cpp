// update() against plain loops: instruction set x dtype x layout x sizes around the vector widths.
#include <algorithm>
#include <iterator>

#include "layouts.hpp"

namespace neurocensus {
namespace {

constexpr std::int64_t kAround[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129};

// Two chunks into one state, the second one with examples that come before the first one's.
void check_update(Shape shape, DType dtype, Layout layout, Kind kind, int threads, bool masked,
                  double threshold, std::mt19937_64& random) {
    const check::Note note(name_of(dtype), ' ', name_of(layout), ' ', name_of(kind), ' ', shape.examples, 'x',
                           shape.units, 'x', shape.positions, masked ? " masked " : " ", threads, " threads");
    State state(shape.units);
    Naive wanted(shape.units);
    for (const std::int64_t first : {shape.examples, std::int64_t{0}}) {
        const Tensor tensor(shape, dtype, layout, kind, random);
        std::vector<std::uint8_t> keep(static_cast<std::size_t>(shape.examples * shape.positions + 1));
        for (std::uint8_t& byte : keep) byte = random() % 3 != 0;
        Mask mask;
        if (masked) mask = {keep.data(), shape.positions, 1};
        const Options options{first, threshold, threads};
        update(state.view(), tensor.view(), mask, options);
        wanted.update(tensor.view(), mask, options);
    }
    wanted.check(state);
}

void check_everywhere(Shape shape, int threads, std::mt19937_64& random) {
    for (const DType dtype : kDTypes)
        for (const Layout layout : kLayouts)
            for (const Kind kind : kKinds) {
                const bool masked = random() % 3 == 0;
                const double threshold = random() % 4 == 0 ? 0.3 : 0.0;
                check_update(shape, dtype, layout, kind, threads, masked, threshold, random);
            }
}

TEST(positions_around_the_vector_widths) {
    for_every_instruction_set([] {
        std::mt19937_64 random(1);
        for (const std::int64_t positions : kAround) check_everywhere({3, 2, positions}, 1, random);
    });
}

TEST(units_around_the_vector_widths) {
    for_every_instruction_set([] {
        std::mt19937_64 random(2);
        for (const std::int64_t units : kAround)
            if (units > 0) check_everywhere({3, units, 2}, 1, random);
    });
}

TEST(examples_around_the_tile) {
    for_every_instruction_set([] {
        std::mt19937_64 random(3);
        for (const std::int64_t examples : {0, 1, 7, 8, 9, 33, 255, 256, 257})
            check_everywhere({examples, 5, 1}, 1, random);
    });
}

TEST(more_than_one_tile_and_panel) {
    for_every_instruction_set([] {
        std::mt19937_64 random(4);
        check_everywhere({2, 1, 4097}, 1, random);
        check_everywhere({2, 1030, 3}, 1, random);
        check_everywhere({2, 3, 300}, 1, random);
    });
}

TEST(threads_change_nothing) {
    std::mt19937_64 random(5);
    // Few units and many examples, and the other way round: the two ways to cut a call.
    for (const Shape& shape : {Shape{70, 3, 400}, Shape{3, 700, 40}, Shape{3, 8200, 3}})
        for (const DType dtype : kDTypes)
            for (const Layout layout : kLayouts) {
                const Kind kind = kKinds[random() % std::size(kKinds)];
                const int threads = static_cast<int>(2 + random() % 3);
                check_update(shape, dtype, layout, kind, threads, random() % 3 == 0, 0.0, random);
            }
}

TEST(without_a_histogram) {
    std::mt19937_64 random(6);
    for (const Layout layout : {Layout::rows, Layout::columns}) {
        const Tensor tensor({70, 3, 400}, DType::float32, layout, Kind::relu, random);
        for (const int threads : {1, 2}) {
            State state(3, false);
            Naive wanted(3);
            update(state.view(), tensor.view(), {}, {0, 0.0, threads});
            wanted.update(tensor.view(), {}, {0, 0.0, threads});
            wanted.check(state);
        }
    }
}

TEST(masks_of_any_stride) {
    std::mt19937_64 random(7);
    const Shape shape{5, 4, 40};
    std::vector<std::uint8_t> keep(5 * 40 * 2);
    for (std::uint8_t& byte : keep) byte = static_cast<std::uint8_t>(random() % 3);  // 2 is true as well
    const Mask masks[] = {{keep.data(), 1, 0},                                       // one for each example
                          {keep.data(), 80, 2},                                      // spaced
                          {keep.data(), 0, 1},                        // the same for every example
                          {keep.data() + keep.size() - 1, -40, -1}};  // mirrored
    for (const Mask& mask : masks) {
        for (const Layout layout : {Layout::rows, Layout::columns}) {
            const Tensor tensor(shape, DType::float32, layout, Kind::holes, random);
            State state(shape.units);
            Naive wanted(shape.units);
            update(state.view(), tensor.view(), mask, {});
            wanted.update(tensor.view(), mask, {});
            wanted.check(state);
        }
    }
}

// One unit for each bit pattern, then all of them as positions of one unit.
TEST(all_half_precision_values) {
    for_every_instruction_set([] {
        for (const DType dtype : {DType::float16, DType::bfloat16}) {
            const check::Note note(name_of(dtype));
            std::vector<std::uint16_t> patterns(1 << 16);
            for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
            View side_by_side;
            side_by_side.data = patterns.data();
            side_by_side.dtype = dtype;
            side_by_side.examples = 1;
            side_by_side.units = 1 << 16;
            side_by_side.unit_stride = 1;
            View in_one_row = side_by_side;
            in_one_row.units = 1;
            in_one_row.position_axes = 1;
            in_one_row.position_size[0] = in_one_row.positions = 1 << 16;
            in_one_row.position_stride[0] = 1;
            for (const View& view : {side_by_side, in_one_row}) {
                State state(view.units);
                Naive wanted(view.units);
                update(state.view(), view, {}, {});
                wanted.update(view, {}, {});
                wanted.check(state);
            }
        }
    });
}

TEST(plain_max_is_the_maximum) {
    for_every_instruction_set([] {
        std::mt19937_64 random(8);
        for (const std::int64_t count : {1, 3, 4, 7, 8, 17, 33, 64, 65, 129, 1000, 100003}) {
            std::vector<float> values(static_cast<std::size_t>(count));
            for (float& value : values) value = std::normal_distribution<float>(-5)(random);
            for (const int threads : {1, 2})
                CHECK_EQUAL(plain_max(values.data(), count, threads),
                            *std::max_element(values.begin(), values.end()));
        }
    });
}

}  // namespace
}  // namespace neurocensus
