// Threads for one call: torch's where it is loaded, else a pool that sleeps between calls.
#pragma once

#include <cstdint>
#include <functional>

namespace neurocensus {

// Runs task(0) ... task(tasks - 1) on up to `threads` threads, the caller among them, and returns when
// all are done. Which thread runs which task is left to chance: tasks must not depend on it. Safe from
// several threads at once, and after fork(). A call made while another one runs does all its tasks
// itself. A task must not call this.
void run_tasks(std::int64_t tasks, int threads, const std::function<void(std::int64_t)>& task);

}  // namespace neurocensus
