// One call of update: count what the mask keeps, choose kernel and split, run, and join the parts.
#include <algorithm>
#include <functional>
#include <memory>

#include "dispatch.hpp"
#include "float_environment.hpp"
#include "neurocensus/census.hpp"
#include "threads.hpp"

namespace neurocensus {
namespace {

constexpr std::int64_t kSerialBelow = 1 << 18;   // values; waking a thread costs about as much
constexpr std::int64_t kUnitCost = 32;           // values that a unit's state costs as much as
constexpr std::int64_t kRowsFrom = 16;           // positions: below, lanes hold units and not positions
constexpr std::int64_t kLeastRowsPerPart = 512;  // values per unit: merging a part costs as much as some
constexpr std::int64_t kWholeLines = 64;         // units of columns: slices begin at multiples
constexpr std::int64_t kLeastUnits = 256;        // of columns in a slice: fewer read too little of every row
constexpr std::int64_t kTasksPerThread = 4;      // so that a thread that was held up gets fewer

struct Kept {
    std::int64_t examples = 0;  // with at least one value
    std::int64_t values = 0;    // per unit
};

Kept count_kept(const View& view, const Mask& mask, std::int64_t begin, std::int64_t end) {
    if (view.positions == 0) return {};
    if (mask.data == nullptr) return {end - begin, (end - begin) * view.positions};
    Kept out;
    for (std::int64_t example = begin; example < end; ++example) {
        const std::uint8_t* row = mask.data + example * mask.example_stride;
        std::int64_t kept = 0;
        for (std::int64_t p = 0; p < view.positions; ++p) kept += row[p * mask.position_stride] != 0;
        out.values += kept;
        out.examples += kept > 0;
    }
    return out;
}

void count_in(StateView state, const Kept& kept, std::int64_t next_example) {
    state.header(Header::examples) += kept.examples;
    state.header(Header::values) += kept.values;
    std::int64_t& next = state.header(Header::next_example);
    next = std::max(next, next_example);
}

bool is_rows(const View& view) {
    if (view.position_axes == 0) return false;
    const int last = view.position_axes - 1;
    if (view.units > 1 && view.unit_stride == 1) return false;
    return view.position_stride[last] == 1 && view.positions >= kRowsFrom;
}

// One call's work, cut into boxes. Boxes of units share nothing and write the state in place, so their
// results do not depend on the cut. Boxes of examples each fill a state of their own, merged in order.
class Call {
   public:
    Call(StateView state, const View& view, const Mask& mask, const Options& options)
        : state_(state), view_(simplified(view)), mask_(mask), options_(options), rows_(is_rows(view_)) {}

    void run() {
        const Kernels& now = kernels();  // first: it may throw, and then nothing is half done
        scan_ = rows_ ? now.scan_rows : now.scan_columns;
        const std::int64_t work = view_.units * (view_.examples * view_.positions + kUnitCost);
        const std::int64_t threads = work < kSerialBelow ? 1 : options_.threads;
        const std::int64_t narrowest = rows_ ? 1 : view_.unit_stride == 1 ? kLeastUnits : kWholeLines;
        const std::int64_t worth = view_.examples * view_.positions / kLeastRowsPerPart;
        if (threads > 1 && view_.units < threads * narrowest && std::min(view_.examples, worth) >= threads) {
            by_examples(threads, worth);
        } else {
            by_units(threads, narrowest);
        }
    }

   private:
    Job job(std::int64_t* words, std::int64_t values_before) const {
        Job job{};
        job.view = view_;
        job.mask = mask_;
        job.words = words;
        job.values_before = values_before;
        job.example_end = view_.examples;
        job.unit_end = view_.units;
        job.first_example = options_.first_example;
        job.threshold = options_.threshold;
        return job;
    }

    void by_units(std::int64_t threads, std::int64_t narrowest) {
        const std::int64_t multiple = rows_ ? 1 : kWholeLines;
        const std::int64_t blocks = (view_.units + multiple - 1) / multiple;
        const std::int64_t most = std::max(view_.units / narrowest, std::min(blocks, threads));
        const std::int64_t tasks = threads == 1 ? 1 : std::min(most, threads * kTasksPerThread);
        std::vector<std::int64_t> bins(state_.has_histogram && tasks > 1 ? tasks * kHistogramSize : 0);
        std::vector<std::uint8_t> active(view_.units);
        const Job whole = job(state_.words, state_.header(Header::values));
        run_tasks(tasks, static_cast<int>(threads), [&](std::int64_t task) {
            const KeepDenormals guard;
            Job part = whole;
            part.unit_begin = std::min(blocks * task / tasks * multiple, view_.units);
            part.unit_end = std::min(blocks * (task + 1) / tasks * multiple, view_.units);
            part.active = active.data();
            part.histogram = bins.empty() ? state_.histogram() : bins.data() + task * kHistogramSize;
            scan_(part);
        });
        for (auto own = bins.begin(); own != bins.end(); own += kHistogramSize)
            std::transform(own, own + kHistogramSize, state_.histogram(), state_.histogram(), std::plus<>());
        count_in(state_, count_kept(view_, mask_, 0, view_.examples),
                 options_.first_example + view_.examples);
    }

    void by_examples(std::int64_t threads, std::int64_t worth) {
        const std::int64_t tasks = std::min({view_.examples, threads * kTasksPerThread, worth});
        const std::int64_t words = state_words(view_.units, state_.has_histogram);
        const std::unique_ptr<std::int64_t[]> parts(new std::int64_t[words * tasks]);
        std::vector<std::uint8_t> active(view_.units * tasks);
        run_tasks(tasks, static_cast<int>(threads), [&](std::int64_t task) {
            const KeepDenormals guard;
            const StateView own{parts.get() + task * words, view_.units, state_.has_histogram};
            reset(own);
            Job part = job(own.words, 0);
            part.example_begin = view_.examples * task / tasks;
            part.example_end = view_.examples * (task + 1) / tasks;
            part.active = active.data() + task * view_.units;
            part.histogram = own.histogram();
            scan_(part);
            count_in(own, count_kept(view_, mask_, part.example_begin, part.example_end),
                     options_.first_example + part.example_end);
        });
        std::vector<Shard> shards;
        for (std::int64_t task = 0; task < tasks; ++task)
            shards.push_back({{parts.get() + task * words, view_.units, state_.has_histogram}});
        merge(state_, shards);
    }

    StateView state_;
    View view_;
    Mask mask_;
    Options options_;
    bool rows_;
    void (*scan_)(const Job&) = nullptr;
};

}  // namespace

void update(StateView state, const View& view, const Mask& mask, const Options& options) {
    Call(state, view, mask, options).run();
}

float plain_max(const float* data, std::int64_t count, int threads) {
    const auto scan = kernels().plain_max;
    const std::int64_t tasks = threads * kTasksPerThread;
    std::vector<float> parts(tasks);
    run_tasks(tasks, threads, [&](std::int64_t task) {
        const std::int64_t begin = count * task / tasks, end = count * (task + 1) / tasks;
        parts[task] = scan(data + begin, end - begin);
    });
    return *std::max_element(parts.begin(), parts.end());
}

}  // namespace neurocensus
