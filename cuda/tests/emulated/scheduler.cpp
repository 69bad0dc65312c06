#include "scheduler.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <string>

#include "fiber.hpp"

namespace emulated {

uint3 thread_index{0, 0, 0}, block_index{0, 0, 0};
dim3 block_size, grid_size;

namespace {

constexpr unsigned kMaxThreads = 1024, kLanes = 32, kWarps = kMaxThreads / kLanes;
constexpr int kShownCalls = 8;  // of a deadlock: the first tell enough
constexpr int kPoison = 0xA5;   // of shared memory: as float32 -2.9e-16, as a number large

struct Thread {
    Fiber fiber;
    bool started = false;  // its fiber waits for a next kernel, or within one
    uint3 index{0, 0, 0};
    Call call;  // the last it waited at
};

struct Warp {
    unsigned alive = 0, waiting = 0;  // bits of lanes; waiting for other lanes
};

// Never more than one launch at a time, of whatever thread of the host.
struct Machine {
    std::mutex busy;
    Schedule schedule;
    std::uint64_t random = 0;

    // Of the launch.
    void (*body)(const void*) = nullptr;
    const void* argument = nullptr;
    unsigned char* shared = nullptr;
    std::size_t shared_bytes = 0;
    unsigned threads_in_block = 0;
    std::string failure;

    // Of the block.
    std::array<Thread, kMaxThreads> threads;
    std::array<Lane, kMaxThreads> lanes;
    std::array<Warp, kWarps> warps;
    std::array<std::uint64_t, kMaxThreads / 64> ready{};
    unsigned alive = 0, arrived = 0;  // threads that have not ended; of these, at the block's barrier
    Call barrier;                     // the block's, if any arrived
    bool brought = false, agreed = false;

    Fiber host;
    Thread* current = nullptr;
};

Machine machine;

std::uint64_t next_random(std::uint64_t& state) {
    state += 0x9e3779b97f4a7c15u;  // splitmix64: any seed will do
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

unsigned number(const Thread& thread) { return static_cast<unsigned>(&thread - machine.threads.data()); }

bool same_place(const Call& a, const Call& b) {
    return a.where.line == b.where.line && std::strcmp(a.name, b.name) == 0 &&
           std::strcmp(a.where.file, b.where.file) == 0;
}

bool is_warps(const Call& call) { return call.mask != 0; }

std::string text(const Call& call) {
    char mask[32] = "";
    if (is_warps(call)) std::snprintf(mask, sizeof mask, "mask 0x%08x", call.mask);
    return std::string(call.name) + "(" + mask + ") at " + call.where.file + ":" +
           std::to_string(call.where.line);
}

std::string text(const uint3& index) {
    return "(" + std::to_string(index.x) + "," + std::to_string(index.y) + "," + std::to_string(index.z) +
           ")";
}

// The numbers of those threads that are wanted: "0-31, 40".
template <class Wanted>
std::string numbers(const Wanted& wanted) {
    std::string out;
    const unsigned count = machine.threads_in_block;
    for (unsigned first = 0; first < count; ++first) {
        if (!wanted(first)) continue;
        unsigned last = first;
        while (last + 1 < count && wanted(last + 1)) ++last;
        out += (out.empty() ? "" : ", ") + std::to_string(first);
        if (last > first) out += "-" + std::to_string(last);
        first = last;
    }
    return out;
}

bool is_alive(unsigned thread) {
    return (machine.warps[thread / kLanes].alive >> (thread % kLanes) & 1) != 0;
}

// Who waits where, when nobody can go on.
std::string describe_deadlock() {
    const Machine& m = machine;
    std::string out = "deadlock, threads counted through the block:";
    std::array<bool, kMaxThreads> told{};
    int calls = 0;
    for (unsigned i = 0; i < m.threads_in_block; ++i) {
        if (told[i] || !is_alive(i)) continue;
        if (++calls > kShownCalls) {
            out += " ...;";
            break;
        }
        const Call& call = m.threads[i].call;
        const auto here = [&](unsigned j) {
            const Call& other = m.threads[j].call;
            return is_alive(j) && other.mask == call.mask && same_place(other, call);
        };
        for (unsigned j = i; j < m.threads_in_block; ++j) told[j] |= here(j);
        out += " " + numbers(here) + " wait at " + text(call) + ";";
    }
    const std::string ended = numbers([](unsigned j) { return !is_alive(j); });
    return out + " ended: " + (ended.empty() ? "none" : ended);
}

void make_ready(unsigned warp, unsigned lanes) {
    machine.ready[warp / 2] |= std::uint64_t{lanes} << (warp % 2 * kLanes);
}

// The number of a thread that can go on, chosen by the schedule; -1 if there is none.
int choose() {
    Machine& m = machine;
    const unsigned words = (m.threads_in_block + 63) / 64;
    switch (m.schedule.threads) {
        case Order::kForward:
            for (unsigned w = 0; w < words; ++w)
                if (m.ready[w] != 0) return static_cast<int>(w * 64) + __builtin_ctzll(m.ready[w]);
            return -1;
        case Order::kReverse:
            for (unsigned w = words; w-- > 0;)
                if (m.ready[w] != 0) return static_cast<int>(w * 64) + 63 - __builtin_clzll(m.ready[w]);
            return -1;
        case Order::kShuffled: break;
    }
    // The first from a place that is drawn: not all are equally likely, but every order can happen.
    const auto from = static_cast<unsigned>(next_random(m.random) % (words * 64));
    const unsigned low = from / 64;
    const std::uint64_t above = ~std::uint64_t{0} << (from % 64);
    for (unsigned step = 0; step <= words; ++step) {
        const unsigned w = (low + step) % words;
        const std::uint64_t looked_at = step == 0 ? above : step == words ? ~above : ~std::uint64_t{0};
        const std::uint64_t here = m.ready[w] & looked_at;
        if (here != 0) return static_cast<int>(w * 64) + __builtin_ctzll(here);
    }
    return -1;
}

Thread& current(const Call& call) {
    Thread* const thread = machine.current;
    if (thread == nullptr) throw Error(text(call) + ": called outside of a kernel");
    return *thread;
}

void yield(Thread& thread) { thread.fiber.switch_to(machine.host); }

void open_barrier() {
    Machine& m = machine;
    m.arrived = 0;
    m.agreed = m.brought;
    for (unsigned w = 0; w * kLanes < m.threads_in_block; ++w) make_ready(w, m.warps[w].alive);
}

void end(Thread& thread) {
    Machine& m = machine;
    const unsigned me = number(thread), first = me / kLanes * kLanes, bit = 1u << (me % kLanes);
    Warp& warp = m.warps[me / kLanes];
    warp.alive &= ~bit;
    --m.alive;
    for (unsigned lanes = warp.waiting; lanes != 0; lanes &= lanes - 1) {
        const Call& call = m.threads[first + static_cast<unsigned>(__builtin_ctz(lanes))].call;
        if ((call.mask & bit) != 0) fail(call, "lane %u has ended while others wait for it", me % kLanes);
    }
    if (m.arrived > 0 && m.arrived == m.alive) open_barrier();  // those that ended count as arrived
}

// Every fiber stays in here, kernel after kernel, so that starting a block costs no more than going on.
void live() {
    for (;;) {
        Machine& m = machine;
        m.body(m.argument);
        end(*m.current);
        yield(*m.current);
    }
}

void resume(Thread& thread) {
    Machine& m = machine;
    if (!thread.started) thread.fiber.start(live);
    thread.started = true;
    thread_index = thread.index;
    m.current = &thread;
    m.host.switch_to(thread.fiber);
    m.current = nullptr;
}

void run_block() {
    Machine& m = machine;
    m.alive = m.threads_in_block;
    m.arrived = 0;
    if (m.shared_bytes > 0) std::memset(m.shared, kPoison, m.shared_bytes);
    for (unsigned w = 0; w * kLanes < m.threads_in_block; ++w) {
        const unsigned left = m.threads_in_block - w * kLanes;
        m.warps[w] = {left >= kLanes ? ~0u : (1u << left) - 1, 0};
        make_ready(w, m.warps[w].alive);
    }
    while (m.alive > 0) {
        const int next = choose();
        if (next < 0) {
            m.failure = "emulated kernel, block " + text(block_index) + ": " + describe_deadlock();
            return;
        }
        m.ready[static_cast<unsigned>(next) / 64] &= ~(std::uint64_t{1} << (next % 64));
        resume(m.threads[static_cast<unsigned>(next)]);
        if (!m.failure.empty()) return;
    }
}

void number_threads(dim3 block) {
    Machine& m = machine;
    m.threads_in_block = block.x * block.y * block.z;
    unsigned i = 0;
    for (unsigned z = 0; z < block.z; ++z)
        for (unsigned y = 0; y < block.y; ++y)
            for (unsigned x = 0; x < block.x; ++x) m.threads[i++].index = {x, y, z};
}

std::vector<std::uint64_t> shuffled(std::uint64_t count, std::uint64_t& random) {
    std::vector<std::uint64_t> out(count);
    std::iota(out.begin(), out.end(), std::uint64_t{0});
    for (std::uint64_t i = count; i > 1; --i) std::swap(out[i - 1], out[next_random(random) % i]);
    return out;
}

void run_blocks() {
    Machine& m = machine;
    const std::uint64_t row = grid_size.x, plane = row * grid_size.y, count = plane * grid_size.z;
    std::vector<std::uint64_t> order;
    if (m.schedule.blocks == Order::kShuffled) order = shuffled(count, m.random);
    for (std::uint64_t i = 0; i < count && m.failure.empty(); ++i) {
        const std::uint64_t b = !order.empty()                         ? order[i]
                                : m.schedule.blocks == Order::kReverse ? count - 1 - i
                                                                       : i;
        block_index = {static_cast<unsigned>(b % row), static_cast<unsigned>(b / row % grid_size.y),
                       static_cast<unsigned>(b / plane)};
        run_block();
    }
}

}  // namespace

void set_schedule(const Schedule& schedule) {
    const std::lock_guard<std::mutex> lock(machine.busy);
    machine.schedule = schedule;
}

std::vector<Schedule> schedules(int shuffles) {
    std::vector<Schedule> out{{Order::kForward, Order::kForward, 1}, {Order::kReverse, Order::kReverse, 1}};
    for (int i = 1; i <= shuffles; ++i)
        out.push_back({Order::kShuffled, Order::kShuffled, static_cast<std::uint64_t>(i)});
    return out;
}

std::uint64_t meet_warp(const Call& call, std::uint64_t value, unsigned source,
                        void (*combine)(Lane* lanes, unsigned mask)) {
    Machine& m = machine;
    Thread& thread = current(call);
    const unsigned me = number(thread), first = me / kLanes * kLanes, bit = 1u << (me % kLanes);
    Warp& warp = m.warps[me / kLanes];
    if ((call.mask & bit) == 0) fail(call, "the mask does not name the calling lane, %u", me % kLanes);
    if ((call.mask & ~warp.alive) != 0)
        fail(call, "the mask names lanes that have ended or never were: 0x%08x", call.mask & ~warp.alive);
    thread.call = call;
    m.lanes[me].value = value;
    m.lanes[me].source = source;
    warp.waiting |= bit;

    // Some may wait for others, with another mask, and come here later: then the last of them finds all.
    bool all_here = (warp.waiting & call.mask) == call.mask;
    for (unsigned lanes = call.mask; all_here && lanes != 0; lanes &= lanes - 1) {
        const Call& other = m.threads[first + static_cast<unsigned>(__builtin_ctz(lanes))].call;
        all_here = other.mask == call.mask;
        if (all_here && !same_place(other, call))
            fail(call, "lane %d of the mask is at another call: %s at %s:%d", __builtin_ctz(lanes),
                 other.name, other.where.file, other.where.line);
    }
    if (all_here) {
        combine(&m.lanes[first], call.mask);
        warp.waiting &= ~call.mask;
        make_ready(me / kLanes, call.mask);
    }
    yield(thread);
    return m.lanes[me].result;
}

bool meet_block(const Call& call, bool value) {
    Machine& m = machine;
    Thread& thread = current(call);
    if (m.arrived == 0) {
        m.barrier = call;
        m.brought = false;
    } else if (!same_place(m.barrier, call)) {
        fail(call, "other threads of the block are at another barrier: %s at %s:%d", m.barrier.name,
             m.barrier.where.file, m.barrier.where.line);
    }
    thread.call = call;
    m.brought |= value;
    if (++m.arrived == m.alive) open_barrier();
    yield(thread);
    return m.agreed;  // until all have come to the next barrier
}

unsigned lane(const Call& call) { return number(current(call)) % kLanes; }

unsigned char* shared_memory(const Call& call) {
    current(call);
    return machine.shared;
}

// No string may live in here: this frame is left for good.
void fail(const Call& call, const char* format, ...) {
    Machine& m = machine;
    char message[512], prefix[160];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (m.current == nullptr) throw Error(text(call) + ": " + message);
    std::snprintf(prefix, sizeof prefix,
                  "emulated kernel, block (%u,%u,%u), thread (%u,%u,%u): ", block_index.x, block_index.y,
                  block_index.z, thread_index.x, thread_index.y, thread_index.z);
    (m.failure = prefix).append(text(call)).append(": ").append(message);
    yield(*m.current);
    std::abort();
}

void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(const void*),
              const void* argument) {
    Machine& m = machine;
    const std::lock_guard<std::mutex> lock(m.busy);
    const std::unique_ptr<void, void (*)(void*)> shared(std::malloc(shared_bytes), std::free);
    if (shared_bytes > 0 && !shared) throw std::bad_alloc();
    m.shared = static_cast<unsigned char*>(shared.get());
    m.shared_bytes = shared_bytes;
    m.body = body;
    m.argument = argument;
    m.random = m.schedule.seed;
    m.failure.clear();
    number_threads(block);
    grid_size = grid;
    block_size = block;
    run_blocks();
    m.shared = nullptr;
    if (m.failure.empty()) return;
    // What waits in the middle of this kernel must not wake up in the next.
    for (Thread& thread : m.threads) thread.started = false;
    m.ready.fill(0);
    throw Error(m.failure);
}

}  // namespace emulated

extern const int warpSize;
const int warpSize = 32;
