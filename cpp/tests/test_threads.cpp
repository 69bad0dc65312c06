// The pool: every task once, from several callers, and on both sides of a fork.
#include <atomic>
#include <thread>
#include <vector>

#include "check.hpp"
#include "child.hpp"
#include "threads.hpp"

namespace neurocensus {
namespace {

bool runs_each_once(std::int64_t tasks, int threads) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
    run_tasks(tasks, threads, [&](std::int64_t task) { ++runs[static_cast<std::size_t>(task)]; });
    for (const auto& count : runs)
        if (count != 1) return false;
    return true;
}

TEST(every_task_runs_once) {
    for (const std::int64_t tasks : {0, 1, 2, 3, 100, 10000})
        for (const int threads : {1, 2, 3, 8}) {
            const check::Note note(tasks, " tasks ", threads, " threads");
            CHECK(runs_each_once(tasks, threads));
        }
}

// A worker that sleeps through a round must not take part in the next one twice, or never.
TEST(many_short_rounds) {
    bool all = true;
    for (int round = 0; round < 3000; ++round) all &= runs_each_once(1 + round % 5, 1 + round % 4);
    CHECK(all);
}

TEST(several_callers_at_once) {
    std::atomic<bool> all{true};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([&all] {
            for (int round = 0; round < 300; ++round)
                if (!runs_each_once(17, 3)) all = false;
        });
    for (std::thread& caller : callers) caller.join();
    CHECK(all);
}

TEST(a_child_has_threads_of_its_own) {
    CHECK(runs_each_once(100, 3));  // the pool exists
    CHECK(holds_in_child(
        [] { return runs_each_once(100, 3) && holds_in_child([] { return runs_each_once(100, 2); }); }));
    CHECK(runs_each_once(100, 3));  // and the parent's still works
}

TEST(a_child_forked_in_the_middle_of_a_call) {
    std::atomic<bool> inside{false}, leave{false};
    std::thread caller([&] {
        run_tasks(2, 2, [&](std::int64_t) {
            inside = true;
            while (!leave) std::this_thread::yield();
        });
    });
    while (!inside) std::this_thread::yield();
    CHECK(holds_in_child([] { return runs_each_once(100, 3) && runs_each_once(100, 3); }));
    leave = true;
    caller.join();
    CHECK(runs_each_once(100, 3));
}

}  // namespace
}  // namespace neurocensus
