// One call of merge: cut the units over threads, and add up what is not per unit.
#include <algorithm>

#include "dispatch.hpp"
#include "float_environment.hpp"
#include "neurocensus/census.hpp"
#include "threads.hpp"

namespace neurocensus {
namespace {

constexpr std::int64_t kSerialBelow = 1 << 17;  // words read; waking a thread costs about as much
constexpr std::int64_t kTasksPerThread = 4;     // so that a thread that was held up gets fewer

void merge_headers(StateView into, const std::vector<Shard>& shards) {
    std::int64_t examples = into.header(Header::examples), values = into.header(Header::values);
    std::int64_t next = into.header(Header::next_example);
    for (const Shard& shard : shards) {  // read before anything is written: one of them may be `into`
        examples += shard.state.header(Header::examples);
        values += shard.state.header(Header::values);
        const std::int64_t own = shard.state.header(Header::next_example);
        if (own > 0) next = std::max(next, own + shard.first_example);
    }
    into.header(Header::examples) = examples;
    into.header(Header::values) = values;
    into.header(Header::next_example) = next;
}

void merge_histograms(StateView into, const std::vector<Shard>& shards) {
    if (!into.has_histogram) return;
    for (int bin = 0; bin < kHistogramSize; ++bin) {
        std::int64_t count = into.histogram()[bin];
        for (const Shard& shard : shards) count += shard.state.histogram()[bin];
        into.histogram()[bin] = count;
    }
}

}  // namespace

void merge(StateView into, const std::vector<Shard>& shards, int threads) {
    const auto merge_units = kernels().merge;  // first: it may throw, and then nothing is half done
    std::vector<MergePart> parts;
    for (const Shard& shard : shards)
        parts.push_back({shard.state.words, shard.state.header(Header::values), shard.first_example});
    const auto count = static_cast<std::int64_t>(parts.size());
    const std::int64_t tiles = (into.units + kMergeTile - 1) / kMergeTile;
    const bool serial = kFields * into.units * count < kSerialBelow;
    const std::int64_t tasks = serial || threads == 1 ? 1 : std::min(tiles, threads * kTasksPerThread);
    run_tasks(tasks, threads, [&](std::int64_t task) {
        const KeepDenormals guard;
        const auto edge = [&](std::int64_t i) {
            return std::min(tiles * i / tasks * kMergeTile, into.units);
        };
        merge_units({into.words, into.units, into.header(Header::values), parts.data(), count, edge(task),
                     edge(task + 1)});
    });
    merge_histograms(into, shards);
    merge_headers(into, shards);
}

}  // namespace neurocensus
