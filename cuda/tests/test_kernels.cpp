// The CUDA kernels, run by the emulator, against plain loops: dtype x layout x sizes around their chunks,
// under several orders of threads and blocks, which must not show.
#include <cuda_runtime.h>

#include <iterator>

#include "layouts.hpp"
#include "on_device.hpp"

namespace neurocensus {
namespace {

constexpr std::int64_t kAround[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 129};

struct Case {
    Shape shape;
    DType dtype;
    Layout layout;
    Kind kind;
    bool masked = false;
    double threshold = 0.0;
};

// Two chunks into one state, the second one with examples that come before the first one's.
void check_update(const Case& c, std::mt19937_64& random) {
    const check::Note note(name_of(c.dtype), ' ', name_of(c.layout), ' ', name_of(c.kind), ' ',
                           c.shape.examples, 'x', c.shape.units, 'x', c.shape.positions,
                           c.masked ? " masked" : "");
    State state(c.shape.units);
    Naive wanted(c.shape.units);
    OnDevice device;
    for (const std::int64_t first : {c.shape.examples, std::int64_t{0}}) {
        const Tensor tensor(c.shape, c.dtype, c.layout, c.kind, random);
        std::vector<std::uint8_t> keep(static_cast<std::size_t>(c.shape.examples * c.shape.positions + 1));
        for (std::uint8_t& byte : keep) byte = random() % 3 != 0;
        Mask mask;
        if (c.masked) mask = {keep.data(), c.shape.positions, 1};
        const Options options{first, c.threshold, 1};
        device.update(state.view(), tensor.view(), mask, options);
        wanted.update(tensor.view(), mask, options);
    }
    wanted.check(state);
}

void check_everywhere(Shape shape, std::mt19937_64& random) {
    for (const DType dtype : kDTypes)
        for (const Layout layout : kLayouts) {
            const Kind kind = kKinds[random() % std::size(kKinds)];
            check_update({shape, dtype, layout, kind, random() % 3 == 0, random() % 4 == 0 ? 0.3 : 0.0},
                         random);
        }
}

TEST(positions_around_the_chunks) {
    std::mt19937_64 random(1);
    for (const std::int64_t positions : kAround) check_everywhere({3, 2, positions}, random);
}

TEST(units_around_the_vectors) {
    std::mt19937_64 random(2);
    for (const std::int64_t units : kAround)
        if (units > 0) check_everywhere({3, units, 2}, random);
}

TEST(examples_around_the_chunks) {
    std::mt19937_64 random(3);
    for (const std::int64_t examples : {0, 1, 3, 4, 5, 8, 9, 33, 257})
        check_everywhere({examples, 8, 1}, random);
}

TEST(every_kind_of_values) {
    std::mt19937_64 random(4);
    for (const Kind kind : kKinds)
        for (const DType dtype : kDTypes)
            for (const Layout layout : {Layout::rows, Layout::columns})
                check_update({{5, 16, 64}, dtype, layout, kind}, random);
}

// Many runs to a thread, many tiles to a split, many splits to a unit.
TEST(large_enough_for_several_tiles) {
    std::mt19937_64 random(5);
    for (const int processors : {1, 3}) {
        emulated::device().multiprocessors = processors;
        for (const DType dtype : kDTypes) {
            check_update({{1, 1, 70000}, dtype, Layout::rows, Kind::relu}, random);
            check_update({{40, 3, 700}, dtype, Layout::rows, Kind::ties, true}, random);
            check_update({{40000, 8, 1}, dtype, Layout::columns, Kind::ties}, random);
            check_update({{9, 8, 5000}, dtype, Layout::columns, Kind::holes}, random);
            check_update({{3, 700, 9}, dtype, Layout::columns, Kind::offset, true}, random);
        }
    }
    emulated::device().multiprocessors = 1;
    for (const Kind kind : {Kind::relu, Kind::holes}) {
        check_update({{4, 34, 9000}, DType::float32, Layout::rows, kind}, random);
        check_update({{9000, 70, 1}, DType::float32, Layout::columns, kind}, random);
    }
    emulated::reset();
}

// 16 bytes at a time need every address to be a multiple of 16; one value further nothing is.
TEST(aligned_and_not) {
    std::mt19937_64 random(6);
    for (const DType dtype : kDTypes)
        for (const std::int64_t shift : {0, 1})
            for (const bool rows : {true, false}) {
                const check::Note note(name_of(dtype), rows ? " rows " : " columns ", shift);
                const Shape shape{4, 32, 64};
                std::vector<double> memory(4 * 32 * 64 + 1);  // aligned for any of the types
                for (std::int64_t i = 0; i < 4 * 32 * 64 + shift; ++i)
                    write(memory.data(), dtype, i, any_value(Kind::relu, random));
                View view;
                view.data = reinterpret_cast<const char*>(memory.data()) + shift * size_of(dtype);
                view.dtype = dtype;
                view.examples = shape.examples;
                view.units = shape.units;
                view.positions = view.position_size[0] = shape.positions;
                view.position_axes = 1;
                view.example_stride = 32 * 64;
                view.unit_stride = rows ? 64 : 1;
                view.position_stride[0] = rows ? 1 : 32;
                State state(shape.units);
                Naive wanted(shape.units);
                OnDevice().update(state.view(), view, {}, {});
                wanted.update(view, {}, {});
                wanted.check(state);
            }
}

TEST(without_a_histogram) {
    std::mt19937_64 random(7);
    for (const Layout layout : {Layout::rows, Layout::columns})
        for (const Kind kind : {Kind::relu, Kind::holes}) {
            const Tensor tensor({70, 3, 40}, DType::float32, layout, kind, random);
            State state(3, false);
            Naive wanted(3);
            OnDevice().update(state.view(), tensor.view(), {}, {});
            wanted.update(tensor.view(), {}, {});
            wanted.check(state);
        }
}

TEST(masks_of_any_stride) {
    std::mt19937_64 random(8);
    const Shape shape{5, 4, 40};
    std::vector<std::uint8_t> keep(5 * 40 * 2);
    for (std::uint8_t& byte : keep) byte = static_cast<std::uint8_t>(random() % 3);  // 2 is true as well
    const Mask masks[] = {{keep.data(), 1, 0},                                       // one for each example
                          {keep.data(), 80, 2},                                      // spaced
                          {keep.data(), 0, 1},                        // the same for every example
                          {keep.data() + keep.size() - 1, -40, -1}};  // mirrored
    for (const Mask& mask : masks)
        for (const Layout layout : {Layout::rows, Layout::columns}) {
            const Tensor tensor(shape, DType::float32, layout, Kind::holes, random);
            State state(shape.units);
            Naive wanted(shape.units);
            OnDevice().update(state.view(), tensor.view(), mask, {});
            wanted.update(tensor.view(), mask, {});
            wanted.check(state);
        }
}

// One unit for each bit pattern, then all of them as positions of one unit.
TEST(all_half_precision_values) {
    std::vector<std::uint16_t> patterns(1 << 16);
    for (std::size_t i = 0; i < patterns.size(); ++i) patterns[i] = static_cast<std::uint16_t>(i);
    for (const DType dtype : {DType::float16, DType::bfloat16}) {
        const check::Note note(name_of(dtype));
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
            OnDevice().update(state.view(), view, {}, {});
            wanted.update(view, {}, {});
            wanted.check(state);
        }
    }
}

// A level that steps after the first values: the shift is far off, and the sums are not to be trusted.
TEST(a_level_that_steps) {
    std::vector<float> values(4 * 8 * 600);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = (i % 600 < 40 ? 0.0f : 1000.0f) + static_cast<float>(i * 7 % 13) / 13.0f;
    View view;
    view.data = values.data();
    view.examples = 4;
    view.units = 8;
    view.example_stride = 8 * 600;
    view.positions = view.position_size[0] = 600;
    view.position_axes = 1;
    for (const bool rows : {true, false}) {
        view.unit_stride = rows ? 600 : 1;
        view.position_stride[0] = rows ? 1 : 8;
        State state(8);
        Naive wanted(8);
        OnDevice().update(state.view(), view, {}, {});
        wanted.update(view, {}, {});
        wanted.check(state);
    }
}

TEST(the_order_of_threads_and_blocks_leaves_no_trace) {
    std::mt19937_64 random(9);
    for (const DType dtype : {DType::float32, DType::bfloat16})
        for (const Layout layout : {Layout::rows, Layout::columns, Layout::padded})
            for (const Kind kind : {Kind::relu, Kind::holes}) {
                const check::Note note(name_of(dtype), ' ', name_of(layout), ' ', name_of(kind));
                const Tensor tensor({6, 24, 300}, dtype, layout, kind, random);
                std::vector<std::int64_t> first;
                for (const emulated::Schedule& schedule : emulated::schedules()) {
                    emulated::set_schedule(schedule);
                    State state(24);
                    OnDevice().update(state.view(), tensor.view(), {}, {});
                    if (first.empty()) first = state.words();
                    CHECK(state.words() == first);
                }
                emulated::reset();
            }
}

TEST(the_next_example_is_read_where_the_kernel_runs) {
    std::mt19937_64 random(10);
    const Tensor tensor({3, 4, 20}, DType::float32, Layout::rows, Kind::ties, random);
    State state(4);
    Naive wanted(4);
    OnDevice device;
    for (const std::int64_t first : {0, 3, 6}) {
        device.update(state.view(), tensor.view(), {}, {cuda::kNextExample, 0.0, 1});
        wanted.update(tensor.view(), {}, {first, 0.0, 1});
    }
    wanted.check(state);
}

TEST(disabled_reads_and_writes_nothing) {
    std::mt19937_64 random(11);
    const Tensor tensor({3, 4, 20}, DType::float32, Layout::rows, Kind::ties, random);
    State state(4);
    const State untouched(4);
    OnDevice device;
    std::uint8_t enabled = 0;
    device.update(state.view(), tensor.view(), {}, {}, &enabled);
    CHECK(state.words() == untouched.words());
    enabled = 1;
    device.update(state.view(), tensor.view(), {}, {}, &enabled);
    CHECK(state.words() != untouched.words());
}

TEST(reset_and_merge) {
    std::mt19937_64 random(12);
    for (const std::int64_t units : {1, 7, 700}) {
        State host(units), device(units), a(units), b(units);
        std::fill_n(device.view().words, device.words().size(), -7);
        cuda::reset(device.view(), {});
        CHECK(device.words() == host.words());
        const Tensor first({3, units, 5}, DType::float64, Layout::rows, Kind::holes, random);
        const Tensor second({2, units, 5}, DType::float64, Layout::rows, Kind::ties, random);
        update(a.view(), first.view(), {}, {});
        update(b.view(), second.view(), {}, {3, 0.0, 1});
        for (const State* part : {&b, &a}) cuda::merge(device.view(), part->view(), {});
        Naive wanted(units);
        wanted.update(first.view(), {}, {});
        wanted.update(second.view(), {}, {3, 0.0, 1});
        wanted.check(device);
    }
}

// What CUDA says reaches the caller, with what was asked; the state is as it was.
TEST(refusals) {
    std::mt19937_64 random(13);
    const Tensor tensor({3, 4, 20}, DType::bfloat16, Layout::rows, Kind::ties, random);
    State state(4);
    const State untouched(4);
    OnDevice device;
    std::uint8_t off = 0;
    device.update(state.view(), tensor.view(), {}, {}, &off);  // scratch is there now
    const auto message = [&](cudaError_t error) -> std::string {
        emulated::fail_next(error);
        try {
            device.update(state.view(), tensor.view(), {}, {});
        } catch (const std::runtime_error& refused) {
            return refused.what();
        }
        return "";
    };
    const auto has = [](const std::string& text, const char* part) {
        return text.find(part) != std::string::npos;
    };
    const std::string image = message(cudaErrorNoKernelImageForDevice);
    CHECK(has(image, "scan_rows") && has(image, "bfloat16") && has(image, "(3, 4, 20)"));
    CHECK(has(image, "cudaErrorNoKernelImageForDevice") && has(image, "CMAKE_CUDA_ARCHITECTURES"));
    CHECK(has(message(cudaErrorInvalidConfiguration), "cudaErrorInvalidConfiguration"));
    CHECK(state.words() == untouched.words());
}

}  // namespace
}  // namespace neurocensus
