#include "threads.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <unistd.h>

#include "openmp.hpp"

namespace neurocensus {
namespace {

// The tasks of one call. A helper that wakes late finds none left and never looks at `task`, which may be
// gone: the caller waits for tasks, not for helpers, who may wait long for a CPU that others keep busy.
struct Round {
    const std::function<void(std::int64_t)>* task;
    std::int64_t tasks;
    std::atomic<std::int64_t> next{0};
    std::atomic<std::int64_t> done{0};

    // Returns whether this thread finished the last task.
    bool take_tasks() {
        bool last = false;
        for (std::int64_t i; (i = next.fetch_add(1)) < tasks;) {
            (*task)(i);
            last = done.fetch_add(1) + 1 == tasks;
        }
        return last;
    }
};

// Lives as long as the process: never destroyed, so its threads sleep until the end.
class Pool {
   public:
    void run(std::int64_t tasks, int helpers, const std::function<void(std::int64_t)>& task) {
        const auto round = std::make_shared<Round>();
        round->task = &task;
        round->tasks = tasks;
        {
            std::lock_guard lock(mutex_);
            while (static_cast<int>(workers_.size()) < helpers) {
                const int index = static_cast<int>(workers_.size());
                workers_.emplace_back([this, index] { work(index); });
            }
            round_ = round;
            helpers_ = helpers;
        }
        wake_.notify_all();
        round->take_tasks();
        std::unique_lock lock(mutex_);
        done_.wait(lock, [&] { return round->done.load() == tasks; });
        round_ = nullptr;
    }

   private:
    void work(int index) {
        std::shared_ptr<Round> last;
        std::unique_lock lock(mutex_);
        while (true) {
            wake_.wait(lock, [&] { return round_ != nullptr && round_ != last && index < helpers_; });
            last = round_;
            lock.unlock();
            const bool finished = last->take_tasks();
            lock.lock();
            if (finished) done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> workers_;
    std::shared_ptr<Round> round_;
    int helpers_ = 0;
};

const pid_t process_at_load = getpid();

std::mutex& callers() {
    static auto* mutex = new std::mutex;
    return *mutex;
}

void run_on_team(RunTeam team, std::int64_t tasks, std::int64_t threads,
                 const std::function<void(std::int64_t)>& task) {
    Round round;
    round.task = &task;
    round.tasks = tasks;
    const auto work = [](void* data) { static_cast<Round*>(data)->take_tasks(); };
    team(work, &round, static_cast<unsigned>(threads), 0);  // returns when the whole team is done
}

}  // namespace

void run_tasks(std::int64_t tasks, int threads, const std::function<void(std::int64_t)>& task) {
    const std::int64_t wanted = threads < tasks ? threads : tasks;
    std::unique_lock only_one(callers(), std::defer_lock);
    if (wanted <= 1 || !only_one.try_lock()) {
        for (std::int64_t i = 0; i < tasks; ++i) task(i);
        return;
    }
    // Threads do not survive fork(), torch's neither: a child makes a pool of its own and leaves the
    // parent's.
    const bool forked = getpid() != process_at_load;
    const RunTeam team = forked ? nullptr : team_of_torch();
    if (team != nullptr) {
        only_one.unlock();  // each calling thread has a team of its own
        run_on_team(team, tasks, wanted, task);
        return;
    }
    static Pool* pool = nullptr;
    static pid_t owner = 0;
    if (pool == nullptr || owner != getpid()) {
        pool = new Pool;
        owner = getpid();
    }
    pool->run(tasks, static_cast<int>(wanted) - 1, task);
}

}  // namespace neurocensus
