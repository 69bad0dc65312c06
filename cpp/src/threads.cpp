#include "threads.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include <unistd.h>

namespace neurocensus {
namespace {

// Lives as long as the process: never destroyed, so its threads sleep until the end.
class Pool {
   public:
    void run(std::int64_t tasks, int helpers, const std::function<void(std::int64_t)>& task) {
        {
            std::lock_guard lock(mutex_);
            while (static_cast<int>(workers_.size()) < helpers) {
                const int index = static_cast<int>(workers_.size());
                // Started before the round is announced, so that it does not take part in an older one.
                workers_.emplace_back([this, index, round = round_] { work(index, round); });
            }
            task_ = &task;
            tasks_ = tasks;
            next_.store(0, std::memory_order_relaxed);
            helpers_ = helpers;
            busy_ = helpers;
            ++round_;
        }
        wake_.notify_all();
        take_tasks();
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
        task_ = nullptr;
    }

   private:
    void take_tasks() {
        for (std::int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) (*task_)(i);
    }

    void work(int index, std::uint64_t seen) {
        std::unique_lock lock(mutex_);
        while (true) {
            wake_.wait(lock, [&] { return round_ != seen; });
            seen = round_;
            if (index >= helpers_) continue;
            lock.unlock();
            take_tasks();
            lock.lock();
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_, done_;
    std::vector<std::thread> workers_;
    const std::function<void(std::int64_t)>* task_ = nullptr;
    std::int64_t tasks_ = 0;
    std::atomic<std::int64_t> next_{0};
    int helpers_ = 0, busy_ = 0;
    std::uint64_t round_ = 0;
};

struct PoolOfProcess {
    pid_t process = 0;
    Pool* pool = nullptr;
};

std::mutex& callers() {
    static auto* mutex = new std::mutex;
    return *mutex;
}

}  // namespace

void run_tasks(std::int64_t tasks, int threads, const std::function<void(std::int64_t)>& task) {
    const std::int64_t wanted = threads < tasks ? threads : tasks;
    std::unique_lock only_one(callers(), std::defer_lock);
    if (wanted <= 1 || !only_one.try_lock()) {
        for (std::int64_t i = 0; i < tasks; ++i) task(i);
        return;
    }
    // Threads do not survive fork(): a child starts its own, and the parent's pool is left as it is.
    static PoolOfProcess current;
    if (current.process != getpid()) current = {getpid(), new Pool};
    current.pool->run(tasks, static_cast<int>(wanted) - 1, task);
}

}  // namespace neurocensus
