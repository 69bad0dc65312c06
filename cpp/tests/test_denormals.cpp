// Denormals are not zero (pitfall 19), whatever floating-point environment the caller is in.
#include <cstdint>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "naive.hpp"

namespace neurocensus {
namespace {

// The caller's environment: denormals flushed and read as zero, as torch.set_flush_denormal(True) has it.
class FlushDenormals {
   public:
#if defined(__SSE2__)
    FlushDenormals() { _mm_setcsr(before_ | kFlags); }
    ~FlushDenormals() { _mm_setcsr(before_); }
    static bool on() { return (_mm_getcsr() & kFlags) == kFlags; }

   private:
    static constexpr unsigned kFlags = 0x8040;
    unsigned before_ = _mm_getcsr();
#elif defined(__aarch64__)
    FlushDenormals() { set(before_ | kFlags); }
    ~FlushDenormals() { set(before_); }
    static bool on() { return (get() & kFlags) == kFlags; }

   private:
    static constexpr std::uint64_t kFlags = std::uint64_t{1} << 24;
    static std::uint64_t get() {
        std::uint64_t out;
        asm volatile("mrs %0, fpcr" : "=r"(out));
        return out;
    }
    static void set(std::uint64_t value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
    std::uint64_t before_ = get();
#else
    static bool on() { return true; }
#endif
   public:
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;
};

// Zeros of both signs; in the second half every fifth value is the smallest denormal. It comes last
// because a comparison that takes it for zero would still let an earlier one win, as a tie.
std::vector<char> denormals(DType dtype, std::int64_t count) {
    const double tiny = dtype == DType::float64   ? std::numeric_limits<double>::denorm_min()
                        : dtype == DType::float16 ? std::ldexp(1.0, -24)
                        : dtype == DType::float32 ? std::numeric_limits<float>::denorm_min()
                                                  : std::ldexp(1.0, -133);
    std::vector<char> out(static_cast<std::size_t>(count * size_of(dtype)));
    for (std::int64_t i = 0; i < count; ++i)
        write(out.data(), dtype, i, i % 5 == 2 && i > count / 2 ? tiny : i % 2 == 0 ? 0.0 : -0.0);
    return out;
}

View view_of(const std::vector<char>& bytes, DType dtype, std::int64_t examples, std::int64_t units,
             std::int64_t positions, bool rows) {
    View view;
    view.data = bytes.data();
    view.dtype = dtype;
    view.examples = examples;
    view.example_stride = units * positions;
    view.units = units;
    view.unit_stride = rows ? positions : 1;
    view.position_axes = 1;
    view.position_size[0] = view.positions = positions;
    view.position_stride[0] = rows ? 1 : units;
    return view;
}

// Extrema and counts only: the spread of such values is beneath any budget.
void check_counted(const State& state, const View& view) {
    Naive wanted(view.units);
    wanted.update(view, {}, {});
    for (std::int64_t u = 0; u < view.units; ++u) {
        const Unit got = state.view().load(u), want = wanted.unit(u);
        CHECK_EQUAL(got.nonzero, want.nonzero);
        CHECK_EQUAL(got.active_examples, want.active_examples);
        CHECK_EQUAL(got.max, want.max);
        CHECK_EQUAL(got.min, want.min);
        CHECK_EQUAL(got.argmax, want.argmax);
    }
}

TEST(denormals_count_whatever_the_caller_set) {
    for_every_instruction_set([] {
        for (const DType dtype : kDTypes)
            for (const bool rows : {true, false})
                for (const int threads : {1, 2}) {
                    const check::Note note(name_of(dtype), rows ? " rows " : " columns ", threads,
                                           " threads");
                    // Many examples and few units, so that threads join states of their own.
                    const std::vector<char> bytes = denormals(dtype, 80 * 9 * 101);
                    const View view = view_of(bytes, dtype, 80, 9, 101, rows);
                    const State state(9);
                    {
                        const FlushDenormals environment;
                        update(state.view(), view, {}, {0, 0.0, threads});
                        CHECK(FlushDenormals::on());  // given back as it was
                    }
                    check_counted(state, view);
                }
    });
}

TEST(merging_keeps_denormals_whatever_the_caller_set) {
    const std::vector<char> zeros(4 * 3 * 20 * 8), bytes = denormals(DType::float64, 4 * 3 * 20);
    const State into(3), from(3);
    update(into.view(), view_of(zeros, DType::float64, 4, 3, 20, true), {}, {});
    update(from.view(), view_of(bytes, DType::float64, 4, 3, 20, true), {}, {4, 0.0, 1});
    {
        const FlushDenormals environment;
        merge(into.view(), from.view());
        CHECK(FlushDenormals::on());
    }
    for (std::int64_t u = 0; u < 3; ++u) {
        const Unit got = into.view().load(u), wanted = from.view().load(u);
        CHECK(wanted.max > 0);
        CHECK_EQUAL(got.max, wanted.max);
        CHECK_EQUAL(got.argmax, wanted.argmax);
    }
}

}  // namespace
}  // namespace neurocensus
