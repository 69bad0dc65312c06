// The emulator that the other tests of kernels rely on: what CUDA promises holds, what it forbids is found.
#include <cuda_runtime.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using emulated::Order;

// Every test finds the emulator as at the start, and leaves it so.
struct Fresh {
    Fresh() { emulated::reset(); }
    ~Fresh() { emulated::reset(); }
};

template <class Args>
cudaError_t launch(void (*kernel)(Args), dim3 grid, dim3 block, const Args& args, std::size_t shared = 0) {
    return nc_launch(kernel, grid, block, shared, nullptr, args);
}

// Runs body(schedule) under every one.
template <class Body>
void under_all_schedules(const Body& body) {
    int number = 0;
    for (const emulated::Schedule& schedule : emulated::schedules()) {
        const check::Note note("schedule", number++);
        emulated::set_schedule(schedule);
        body();
    }
}

struct None {};

// The message of the error that one block of the kernel ends with; empty if it works.
template <class Args>
std::string error_of(void (*kernel)(Args), dim3 block, const Args& args) {
    try {
        launch(kernel, 1, block, args);
    } catch (const emulated::Error& error) {
        return error.what();
    }
    return "";
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

#define CHECK_CONTAINS(text, part)               \
    (contains(text, part) ? static_cast<void>(0) \
                          : check::fail(__FILE__, __LINE__, "no '" part "' in: " + (text)))

// --- Threads and blocks ---

struct Visits {
    unsigned* count;  // one per thread of the grid
    int* order;       // when each came
    int* now;
};

__global__ void visit(const __grid_constant__ Visits args) {
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const unsigned i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
    ++args.count[i];
    __syncthreads();
    args.order[i] = (*args.now)++;
}

std::vector<int> visited(dim3 grid, dim3 block) {
    const std::size_t size = std::size_t{grid.x} * grid.y * grid.z * block.x * block.y * block.z;
    std::vector<unsigned> count(size);
    std::vector<int> order(size);
    int now = 0;
    CHECK_EQUAL(launch(visit, grid, block, Visits{count.data(), order.data(), &now}), cudaSuccess);
    CHECK(std::all_of(count.begin(), count.end(), [](unsigned n) { return n == 1; }));
    return order;
}

TEST(every_thread_runs_once) {
    const Fresh fresh;
    under_all_schedules([] {
        for (const dim3 block : {dim3(1), dim3(33), dim3(1024), dim3(4, 5, 6), dim3(16, 1, 64)})
            visited(dim3(3, 2, 2), block);
    });
}

TEST(the_schedule_orders_threads_and_blocks) {
    const Fresh fresh;
    const auto under = [](Order threads, Order blocks, std::uint64_t seed) {
        emulated::set_schedule({threads, blocks, seed});
        return visited(4, 96);
    };
    const auto forward = under(Order::kForward, Order::kForward, 1);
    for (int i = 0; i < 4 * 96; ++i) CHECK_EQUAL(forward[static_cast<std::size_t>(i)], i);
    const auto reverse = under(Order::kReverse, Order::kReverse, 1);
    for (int i = 0; i < 4 * 96; ++i) CHECK_EQUAL(reverse[static_cast<std::size_t>(i)], 4 * 96 - 1 - i);

    const auto threads = under(Order::kShuffled, Order::kForward, 1);
    CHECK(!std::is_sorted(threads.begin(), threads.begin() + 32));
    CHECK(*std::max_element(threads.begin(), threads.begin() + 96) == 95);
    const auto blocks = under(Order::kForward, Order::kShuffled, 1);
    CHECK(blocks != forward);
    for (std::size_t i = 0; i < 4 * 96; ++i) CHECK_EQUAL(blocks[i] % 96, static_cast<int>(i % 96));

    const auto shuffled = under(Order::kShuffled, Order::kShuffled, 1);
    CHECK(std::set<int>(shuffled.begin(), shuffled.end()).size() == 4 * 96);
    CHECK(shuffled == under(Order::kShuffled, Order::kShuffled, 1));
    CHECK(shuffled != under(Order::kShuffled, Order::kShuffled, 2));
}

// --- Barriers ---

struct Sum {
    const float* values;  // one per thread of the grid
    float* sums;          // one per block
    bool with_barrier;
};

__global__ void __launch_bounds__(256) sum_blocks(const __grid_constant__ Sum args) {
    auto* const shared = reinterpret_cast<float*>(nc_shared_memory());
    shared[threadIdx.x] = args.values[blockIdx.x * blockDim.x + threadIdx.x];
    for (unsigned step = blockDim.x / 2; step > 0; step /= 2) {
        if (args.with_barrier) __syncthreads();
        if (threadIdx.x < step) shared[threadIdx.x] += shared[threadIdx.x + step];
    }
    if (threadIdx.x == 0) args.sums[blockIdx.x] = shared[0];
}

constexpr unsigned kBlocks = 5, kThreads = 256;

std::vector<float> sums_of_blocks(const std::vector<float>& values, bool with_barrier) {
    std::vector<float> sums(kBlocks);
    CHECK_EQUAL(launch(sum_blocks, kBlocks, kThreads, Sum{values.data(), sums.data(), with_barrier},
                       kThreads * sizeof(float)),
                cudaSuccess);
    return sums;
}

TEST(a_tree_of_barriers_sums_under_every_schedule) {
    const Fresh fresh;
    std::vector<float> values(kBlocks * kThreads), wanted(kBlocks);
    std::iota(values.begin(), values.end(), 1.f);
    for (std::size_t i = 0; i < values.size(); ++i) wanted[i / kThreads] += values[i];
    under_all_schedules([&] { CHECK(sums_of_blocks(values, true) == wanted); });
}

TEST(a_missing_barrier_shows) {
    const Fresh fresh;
    std::vector<float> values(kBlocks * kThreads);
    std::iota(values.begin(), values.end(), 1.f);
    std::set<std::vector<float>> results;
    under_all_schedules([&] { results.insert(sums_of_blocks(values, false)); });
    CHECK(results.size() > 1);
}

struct Rotate {
    int* out;
    bool with_barrier;
};

__global__ void rotate_warp(Rotate args) {
    auto* const shared = reinterpret_cast<int*>(nc_shared_memory());
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    if (args.with_barrier) __syncwarp();
    args.out[threadIdx.x] = shared[(threadIdx.x & ~31u) + (threadIdx.x + 1) % 32];
}

TEST(a_missing_barrier_of_a_warp_shows) {
    const Fresh fresh;
    for (const bool with_barrier : {true, false}) {
        std::set<std::vector<int>> results;
        under_all_schedules([&] {
            std::vector<int> out(64);
            launch(rotate_warp, 1, 64, Rotate{out.data(), with_barrier}, 64 * sizeof(int));
            results.insert(out);
        });
        CHECK_EQUAL(results.size() == 1, with_barrier);
    }
}

__global__ void leave_early(int* out) {
    if (threadIdx.x % 3 == 0) return;
    __syncthreads();
    if (threadIdx.x % 3 == 1) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

TEST(ended_threads_count_as_arrived) {
    const Fresh fresh;
    under_all_schedules([] {
        std::vector<int> out(100);
        CHECK_EQUAL(launch(leave_early, 1, 100, out.data()), cudaSuccess);
        for (std::size_t i = 0; i < out.size(); ++i) CHECK_EQUAL(out[i], i % 3 == 2);
    });
}

__global__ void find_or(int* out) {
    int found = 0;
    for (unsigned round = 0; round < 4; ++round)
        found |= (__syncthreads_or(round % 2 == 1 && threadIdx.x == 7 * round) ? 1 : 0) << round;
    out[threadIdx.x] = found;
}

TEST(a_barrier_can_ask) {
    const Fresh fresh;
    under_all_schedules([] {
        std::vector<int> out(64);
        CHECK_EQUAL(launch(find_or, 1, 64, out.data()), cudaSuccess);
        CHECK(out == std::vector<int>(64, 0b1010));
    });
}

__global__ void count_unpoisoned(int* out) {
    unsigned char* const shared = nc_shared_memory();
    *out += shared[threadIdx.x] != 0xA5;
    *out += reinterpret_cast<std::uintptr_t>(shared) % 16 != 0;
    __syncthreads();
    shared[threadIdx.x] = 1;
}

TEST(shared_memory_is_poisoned_for_every_block) {
    const Fresh fresh;
    int unpoisoned = 0;
    CHECK_EQUAL(launch(count_unpoisoned, 3, 100, &unpoisoned, 100), cudaSuccess);
    CHECK_EQUAL(unpoisoned, 0);
}

// --- A warp's exchange ---

template <class T>
struct Shuffles {
    T* out;  // [3][lanes]: shfl, xor, down
    int argument, width;
};

template <class T>
T value_of(unsigned lane) {
    return static_cast<T>(T(1000) / T(7) * static_cast<T>(lane + 1) - T(3));
}

template <class T>
__global__ void shuffle_all(Shuffles<T> args) {
    const T mine = value_of<T>(threadIdx.x);
    T* const out = args.out + threadIdx.x;
    out[0] = __shfl_sync(0xffffffff, mine, args.argument, args.width);
    out[32] = __shfl_xor_sync(0xffffffff, mine, args.argument, args.width);
    out[64] = __shfl_down_sync(0xffffffff, mine, static_cast<unsigned>(args.argument), args.width);
}

template <class T>
void check_shuffles() {
    for (int width = 1; width <= 32; width *= 2) {
        for (int argument = 0; argument < 32; ++argument) {
            const check::Note note("width", width, "argument", argument);
            std::vector<T> out(96);
            launch(shuffle_all<T>, 1, 32, Shuffles<T>{out.data(), argument, width});
            for (int i = 0; i < 32; ++i) {
                const int first = i - i % width, end = first + width;
                const auto wanted = [&](int source) { return value_of<T>(static_cast<unsigned>(source)); };
                const auto got = [&](int which) { return out[static_cast<std::size_t>(which * 32 + i)]; };
                CHECK_EQUAL(got(0), wanted(first + argument % width));
                CHECK_EQUAL(got(1), wanted((i ^ argument) < end ? i ^ argument : i));
                CHECK_EQUAL(got(2), wanted(i + argument < end ? i + argument : i));
            }
        }
    }
}

TEST(shuffles_exchange) {
    const Fresh fresh;
    check_shuffles<int>();
    check_shuffles<unsigned>();
    check_shuffles<long>();
    check_shuffles<unsigned long>();
    check_shuffles<long long>();
    check_shuffles<unsigned long long>();
    check_shuffles<float>();
    check_shuffles<double>();
    emulated::set_schedule({Order::kShuffled, Order::kForward, 5});
    check_shuffles<double>();
}

struct Votes {
    unsigned groups[32];  // the mask of each lane: these meet, while others meet at the same line
    unsigned values[32];
    unsigned* out;  // [7][32]
};

__global__ void vote_all(const __grid_constant__ Votes args) {
    const unsigned mask = args.groups[threadIdx.x], value = args.values[threadIdx.x];
    const int odd = value & 1, signed_value = static_cast<int>(value);
    unsigned* const out = args.out + threadIdx.x;
    out[0] = __ballot_sync(mask, odd);
    out[32] = __any_sync(mask, odd) != 0;
    out[64] = __all_sync(mask, odd) != 0;
    out[96] = __reduce_add_sync(mask, value);
    out[128] = static_cast<unsigned>(__reduce_add_sync(mask, signed_value));
    out[160] = __reduce_max_sync(mask, value);
    out[192] = static_cast<unsigned>(__reduce_max_sync(mask, signed_value));
}

TEST(votes_and_reductions_are_those_of_the_mask) {
    const Fresh fresh;
    std::uint32_t random = 1;
    const auto next = [&random] { return random = random * 1664525u + 1013904223u; };
    under_all_schedules([&] {
        for (int round = 0; round < 50; ++round) {
            // Three groups by chance; values large, so that sums wrap, and of both signs.
            unsigned masks[3] = {};
            std::array<unsigned, 224> out{};
            Votes votes{{}, {}, out.data()};
            unsigned group[32];
            for (unsigned i = 0; i < 32; ++i) {
                group[i] = (next() >> 16) % 3;
                masks[group[i]] |= 1u << i;
                votes.values[i] = round % 5 == 0 ? next() | 1 : next() >> 3 << 3 | (next() >> 28 == 0);
            }
            for (unsigned i = 0; i < 32; ++i) votes.groups[i] = masks[group[i]];
            CHECK_EQUAL(launch(vote_all, 1, 32, votes), cudaSuccess);
            for (unsigned i = 0; i < 32; ++i) {
                unsigned ballot = 0, sum = 0, most = 0;
                int signed_most = std::numeric_limits<int>::min();
                for (unsigned j = 0; j < 32; ++j) {
                    if (group[j] != group[i]) continue;
                    ballot |= (votes.values[j] & 1) << j;
                    sum += votes.values[j];
                    most = std::max(most, votes.values[j]);
                    signed_most = std::max(signed_most, static_cast<int>(votes.values[j]));
                }
                CHECK_EQUAL(out[i], ballot);
                CHECK_EQUAL(out[32 + i], ballot != 0);
                CHECK_EQUAL(out[64 + i], ballot == votes.groups[i]);
                CHECK_EQUAL(out[96 + i], sum);
                CHECK_EQUAL(out[128 + i], sum);
                CHECK_EQUAL(out[160 + i], most);
                CHECK_EQUAL(out[192 + i], static_cast<unsigned>(signed_most));
            }
        }
    });
}

__global__ void hand_on(int* out) {
    // Pairs that overlap: lane i waits for the one before it, then for the one behind.
    int sum = static_cast<int>(threadIdx.x);
    for (unsigned i = 0; i < 31; ++i) {
        if (threadIdx.x != i && threadIdx.x != i + 1) continue;
        const int before = __shfl_sync(3u << i, sum, static_cast<int>(i));
        if (threadIdx.x == i + 1) sum += before;
    }
    out[threadIdx.x] = sum;
}

TEST(masks_may_overlap) {
    const Fresh fresh;
    under_all_schedules([] {
        std::vector<int> out(32);
        CHECK_EQUAL(launch(hand_on, 1, 32, out.data()), cudaSuccess);
        for (int i = 0; i < 32; ++i) CHECK_EQUAL(out[static_cast<std::size_t>(i)], i * (i + 1) / 2);
    });
}

// --- What is forbidden ---

__global__ void wait_apart(None) {
    if (threadIdx.x >= 64) return;
    if (threadIdx.x >= 32 && threadIdx.x < 63) __shfl_sync(0xffffffff, 1, 0);
    __syncthreads();
}

__global__ void disagree_about_the_mask(None) { __syncwarp(threadIdx.x < 16 ? 0x1ffff : 0xffffffff); }

TEST(deadlocks_are_described) {
    const Fresh fresh;
    under_all_schedules([] {
        std::string error = error_of(wait_apart, 70, None{});
        CHECK_CONTAINS(error, "block (0,0,0): deadlock");
        CHECK_CONTAINS(error, " 0-31, 63 wait at __syncthreads() at ");
        CHECK_CONTAINS(error, " 32-62 wait at __shfl_sync(mask 0xffffffff) at ");
        CHECK_CONTAINS(error, "test_emulated.cpp:");
        CHECK_CONTAINS(error, " ended: 64-69");

        error = error_of(disagree_about_the_mask, 32, None{});
        CHECK_CONTAINS(error, " 0-15 wait at __syncwarp(mask 0x0001ffff) at ");
        CHECK_CONTAINS(error, " 16-31 wait at __syncwarp(mask 0xffffffff) at ");
        CHECK_CONTAINS(error, " ended: none");
    });
}

enum Mistake {
    kNotInItsMask,
    kEnds,
    kNeverWas,
    kOtherIntrinsic,
    kOtherLine,
    kOtherBarrier,
    kOtherBarrierLine,
    kForeignSource,
    kWidth,
    kDelta,
    kLaneMask,
    kNoLanes,
};

__global__ void make_mistake(Mistake mistake) {
    const unsigned lane = threadIdx.x, all = 0xffffffff;
    switch (mistake) {
        case kNotInItsMask: __ballot_sync(lane == 3 ? all & ~8u : all, 1); break;
        case kEnds:
            if (lane != 31) __any_sync(all, 1);
            break;
        case kNeverWas: __syncwarp(1u << lane | 1u << 31); break;
        case kOtherIntrinsic: lane == 3 ? __all_sync(all, 1) : __any_sync(all, 1); break;
        case kOtherLine:
            if (lane == 3)
                __syncwarp();
            else
                __syncwarp();
            break;
        case kOtherBarrier: lane == 3 ? __syncthreads() : static_cast<void>(__syncthreads_or(1)); break;
        case kOtherBarrierLine:
            if (lane == 3)
                __syncthreads();
            else
                __syncthreads();
            break;
        case kForeignSource: __shfl_sync(lane < 16 ? 0xffff : 0xffff0000, 1.f, 5); break;
        case kWidth: __shfl_sync(all, 1.f, 0, 24); break;
        case kDelta: __shfl_down_sync(all, 1.f, 32); break;
        case kLaneMask: __shfl_xor_sync(all, 1.f, -1); break;
        case kNoLanes: __syncwarp(0); break;
    }
}

TEST(mistakes_are_found) {
    const Fresh fresh;
    under_all_schedules([] {
        const auto error = [](Mistake mistake, unsigned threads = 32) {
            return error_of(make_mistake, threads, mistake);
        };
        CHECK_CONTAINS(error(kNotInItsMask), "thread (3,0,0): __ballot_sync(mask 0xfffffff7) at ");
        CHECK_CONTAINS(error(kNotInItsMask), ": the mask does not name the calling lane, 3");
        // Who comes first decides whether a lane waits for one that ends or comes when it has.
        const std::string ended = error(kEnds);
        CHECK(contains(ended, "lane 31 has ended while others wait") ||
              contains(ended, "the mask names lanes that have ended or never were: 0x80000000"));
        CHECK_CONTAINS(error(kNeverWas, 31), "lanes that have ended or never were: 0x80000000");
        CHECK_CONTAINS(error(kOtherIntrinsic), " is at another call: __a");
        CHECK_CONTAINS(error(kOtherLine), " is at another call: __syncwarp at ");
        CHECK_CONTAINS(error(kOtherBarrier), "are at another barrier: __syncthreads");
        CHECK_CONTAINS(error(kOtherBarrierLine), "are at another barrier: __syncthreads at ");
        CHECK_CONTAINS(error(kForeignSource), "reads from lane 5, which the mask does not name");
        CHECK_CONTAINS(error(kWidth), "the width is 24");
        CHECK_CONTAINS(error(kDelta), "the delta is 32");
        CHECK_CONTAINS(error(kLaneMask), "the lane mask is -1");
        CHECK_CONTAINS(error(kNoLanes), "the mask does not name the calling lane");
        // What was left in the middle of all these does not come back, nor what had yet to run.
        visited(3, 96);
        CHECK(error(kNoLanes, 64) != "");
        visited(3, 33);
    });
}

TEST(intrinsics_are_for_kernels) {
    const Fresh fresh;
    CHECK_THROWS(emulated::Error, __syncthreads());
    CHECK_THROWS(emulated::Error, __syncwarp());
    CHECK_THROWS(emulated::Error, __shfl_sync(0xffffffff, 1, 0));
    CHECK_THROWS(emulated::Error, __shfl_sync(0xffffffff, 1, 0, 3));
    CHECK_THROWS(emulated::Error, nc_shared_memory());
    visited(1, 32);
    CHECK_THROWS(emulated::Error, __syncthreads());
}

// --- Atomics, bits, numbers ---

struct Counts {
    unsigned u, inc, bits;
    int i, int_bits;
    unsigned long long ull, most, least, long_bits;
    long long signed_most, signed_least;
    float f;
};

__global__ void count_all(Counts* out) {
    const unsigned t = threadIdx.x + blockIdx.x * blockDim.x;
    const long long centred = static_cast<long long>(t) - 150;
    atomicAdd(&out->u, t);
    atomicAdd(&out->i, -static_cast<int>(t));
    atomicAdd(&out->ull, static_cast<unsigned long long>(t) << 40);
    atomicAdd(&out->f, static_cast<float>(t));
    atomicInc(&out->inc, 6);
    atomicOr(&out->bits, 1u << (t % 32));
    atomicOr(&out->int_bits, 1 << (t % 8));
    atomicOr(&out->long_bits, 1ull << (t % 64));
    atomicMax(&out->most, t * 3ull);
    atomicMin(&out->least, t * 3ull + 1);
    atomicMax(&out->signed_most, centred);
    atomicMin(&out->signed_least, centred);
}

TEST(atomics_count) {
    const Fresh fresh;
    under_all_schedules([] {
        Counts out{};
        out.least = ~0ull;
        CHECK_EQUAL(launch(count_all, 3, 100, &out), cudaSuccess);
        CHECK_EQUAL(out.u, 44850u);
        CHECK_EQUAL(out.i, -44850);
        CHECK_EQUAL(out.ull, 44850ull << 40);
        CHECK_EQUAL(out.f, 44850.f);
        CHECK_EQUAL(out.inc, 300u % 7);
        CHECK_EQUAL(out.bits, ~0u);
        CHECK_EQUAL(out.int_bits, 255);
        CHECK_EQUAL(out.long_bits, ~0ull);
        CHECK_EQUAL(out.most, 897ull);
        CHECK_EQUAL(out.least, 1ull);
        CHECK_EQUAL(out.signed_most, 149);
        CHECK_EQUAL(out.signed_least, -150);
    });
}

TEST(atomics_return_what_was_and_wrap) {
    int i = std::numeric_limits<int>::max();
    CHECK_EQUAL(atomicAdd(&i, 1), std::numeric_limits<int>::max());
    CHECK_EQUAL(i, std::numeric_limits<int>::min());
    unsigned u = 9;
    CHECK_EQUAL(atomicInc(&u, 5), 9u);
    CHECK_EQUAL(u, 0u);
    CHECK_EQUAL(atomicOr(&u, 6u), 0u);
    CHECK_EQUAL(atomicOr(&u, 1u), 6u);
    long long l = -5;
    CHECK_EQUAL(atomicMax(&l, -7ll), -5);
    CHECK_EQUAL(atomicMin(&l, -7ll), -5);
    CHECK_EQUAL(l, -7);
}

TEST(bits_and_numbers_are_cudas) {
    CHECK_EQUAL(__popc(0xf0f0f0f0u), 16);
    CHECK_EQUAL(__popcll(~0ull), 64);
    CHECK_EQUAL(__ffs(0), 0);
    CHECK_EQUAL(__ffs(8), 4);
    CHECK_EQUAL(__clz(0), 32);
    CHECK_EQUAL(__clz(1), 31);
    CHECK_EQUAL(__clz(-1), 0);
    CHECK_EQUAL(__float_as_uint(-2.f), 0xc0000000u);
    CHECK_EQUAL(__uint_as_float(0x3f800000u), 1.f);
    CHECK_EQUAL(__double_as_longlong(1.), 0x3ff0000000000000ll);
    CHECK_EQUAL(__longlong_as_double(0x4000000000000000ll), 2.);
    const float third = 1.f / 3;
    CHECK_EQUAL(__fmaf_rn(third, 3.f, -1.f), static_cast<float>(double{third} * 3 - 1));
    CHECK(__fmaf_rn(third, 3.f, -1.f) != 0);
    CHECK_EQUAL(max(NAN, 2.f), 2.f);
    CHECK_EQUAL(min(-3, 2), -3);
    CHECK_EQUAL(max(3ull, 2ull), 3ull);
    const float4 loaded = __ldg(std::vector<float4>{make_float4(1, 2, 3, 4)}.data());
    CHECK_EQUAL(loaded.x + loaded.y + loaded.z + loaded.w, 10.f);
    CHECK_EQUAL(alignof(uint2) + alignof(ushort4), 16u);
    CHECK_EQUAL(alignof(float4) + alignof(double2) + alignof(uint4) + alignof(int4), 64u);
    CHECK_EQUAL(warpSize, 32);
}

// --- The host's side ---

__global__ void count_threads(int* out) { ++*out; }

TEST(limits_are_cudas) {
    const Fresh fresh;
    int runs = 0;
    const auto status = [&](dim3 grid, dim3 block, std::size_t shared = 0) {
        return launch(count_threads, grid, block, &runs, shared);
    };
    for (const dim3 bad : {dim3(0), dim3(1025), dim3(32, 33), dim3(1, 0), dim3(1, 1, 65), dim3(1u << 31, 2)})
        CHECK_EQUAL(status(1, bad), cudaErrorInvalidConfiguration);
    for (const dim3 bad :
         {dim3(0), dim3(1, 0), dim3(1, 1, 0), dim3(1u << 31), dim3(1, 65536), dim3(1, 1, 65536)})
        CHECK_EQUAL(status(bad, 1), cudaErrorInvalidConfiguration);
    CHECK_EQUAL(status(1, 1, 48 * 1024 + 1), cudaErrorInvalidValue);
    CHECK_EQUAL(runs, 0);

    const auto set = [](int bytes) {
        return cudaFuncSetAttribute(count_threads, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    };
    CHECK_EQUAL(set(227 * 1024 + 1), cudaErrorInvalidValue);
    CHECK_EQUAL(set(64 * 1024), cudaSuccess);
    CHECK_EQUAL(status(1, 1, 64 * 1024), cudaSuccess);
    CHECK_EQUAL(status(1, 1, 64 * 1024 + 1), cudaErrorInvalidValue);
    CHECK_EQUAL(launch(leave_early, 1, 1, &runs, 64 * 1024), cudaErrorInvalidValue);
    CHECK_EQUAL(status(dim3(1, 65535), 1), cudaSuccess);
    CHECK_EQUAL(status(1, dim3(8, 2, 64)), cudaSuccess);
    CHECK_EQUAL(runs, 1 + 65535 + 1024);

    cudaFuncAttributes attributes;
    CHECK_EQUAL(cudaFuncGetAttributes(&attributes, count_threads), cudaSuccess);
    CHECK_EQUAL(attributes.maxDynamicSharedSizeBytes, 64 * 1024);
    CHECK_EQUAL(attributes.maxThreadsPerBlock, 1024);
}

TEST(errors_are_remembered_once) {
    const Fresh fresh;
    int runs = 0;
    CHECK_EQUAL(cudaGetLastError(), cudaSuccess);
    CHECK_EQUAL(launch(count_threads, 0, 1, &runs), cudaErrorInvalidConfiguration);
    CHECK_EQUAL(launch(count_threads, 1, 1, &runs), cudaSuccess);
    CHECK_EQUAL(cudaStreamSynchronize(nullptr), cudaSuccess);
    CHECK_EQUAL(cudaPeekAtLastError(), cudaErrorInvalidConfiguration);
    CHECK_EQUAL(cudaGetLastError(), cudaErrorInvalidConfiguration);
    CHECK_EQUAL(cudaGetLastError(), cudaSuccess);
    CHECK_EQUAL(std::string(cudaGetErrorName(cudaErrorNoDevice)), "cudaErrorNoDevice");
    CHECK_EQUAL(std::string(cudaGetErrorString(cudaErrorInvalidValue)), "invalid argument");
    CHECK_EQUAL(std::string(cudaGetErrorString(static_cast<cudaError_t>(35))).substr(0, 19),
                "CUDA driver version");
    CHECK_EQUAL(std::string(cudaGetErrorName(static_cast<cudaError_t>(5))), "unrecognized error code");
}

TEST(failures_come_when_asked_for) {
    const Fresh fresh;
    int runs = 0;
    emulated::fail_next(cudaErrorLaunchFailure);
    CHECK_EQUAL(launch(count_threads, 1, 1, &runs), cudaErrorLaunchFailure);
    CHECK_EQUAL(cudaGetLastError(), cudaErrorLaunchFailure);
    CHECK_EQUAL(launch(count_threads, 1, 1, &runs), cudaSuccess);
    CHECK_EQUAL(runs, 1);

    int word = 1;
    emulated::fail_next(cudaErrorIllegalAddress, 2);
    CHECK_EQUAL(launch(count_threads, 1, 1, &runs), cudaSuccess);
    CHECK_EQUAL(cudaMemcpyAsync(&word, &runs, sizeof word, cudaMemcpyDefault), cudaSuccess);
    CHECK_EQUAL(cudaMemsetAsync(&word, 0, sizeof word), cudaErrorIllegalAddress);
    CHECK_EQUAL(word, 2);
    CHECK_EQUAL(cudaMemsetAsync(&word, 0, sizeof word), cudaSuccess);
    CHECK_EQUAL(word, 0);
}

TEST(memory_is_checked) {
    const Fresh fresh;
    int word = 1;
    CHECK_EQUAL(cudaMemsetAsync(nullptr, 0, 0), cudaSuccess);
    CHECK_EQUAL(cudaMemsetAsync(nullptr, 0, 1), cudaErrorInvalidValue);
    CHECK_EQUAL(cudaMemcpyAsync(&word, nullptr, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
    CHECK_EQUAL(cudaStreamSynchronize(nullptr), cudaSuccess);
    CHECK_EQUAL(word, 1);
}

TEST(the_device_is_what_a_test_wants) {
    const Fresh fresh;
    const auto attribute = [](cudaDeviceAttr which, int device = 0) {
        int value = -1;
        const cudaError_t error = cudaDeviceGetAttribute(&value, which, device);
        return error == cudaSuccess ? value : -static_cast<int>(error);
    };
    CHECK_EQUAL(attribute(cudaDevAttrMultiProcessorCount), 3);
    CHECK_EQUAL(attribute(cudaDevAttrMaxThreadsPerMultiProcessor), 2048);
    CHECK_EQUAL(attribute(cudaDevAttrMultiProcessorCount, 1), -static_cast<int>(cudaErrorInvalidDevice));
    emulated::device().multiprocessors = 108;
    emulated::device().major = 8;
    emulated::device().count = 2;
    CHECK_EQUAL(attribute(cudaDevAttrMultiProcessorCount, 1), 108);
    CHECK_EQUAL(attribute(cudaDevAttrComputeCapabilityMajor), 8);
    CHECK_EQUAL(attribute(cudaDevAttrComputeCapabilityMinor), 0);

    int value = -1;
    CHECK_EQUAL(cudaGetDeviceCount(&value), cudaSuccess);
    CHECK_EQUAL(value, 2);
    CHECK_EQUAL(cudaSetDevice(2), cudaErrorInvalidDevice);
    CHECK_EQUAL(cudaSetDevice(1), cudaSuccess);
    CHECK_EQUAL(cudaGetDevice(&value), cudaSuccess);
    CHECK_EQUAL(value, 1);
    CHECK_EQUAL(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, count_threads, 256, 0), cudaSuccess);
    CHECK_EQUAL(value, 2);

    int runs = 0;
    cudaFuncAttributes attributes;
    emulated::device().has_image = false;
    CHECK_EQUAL(launch(count_threads, 1, 1, &runs), cudaErrorNoKernelImageForDevice);
    CHECK_EQUAL(cudaFuncGetAttributes(&attributes, count_threads), cudaErrorNoKernelImageForDevice);
    emulated::device().count = 0;
    CHECK_EQUAL(cudaGetDeviceCount(&value), cudaErrorNoDevice);
    CHECK_EQUAL(value, 0);
    CHECK_EQUAL(launch(count_threads, 1, 1, &runs), cudaErrorNoDevice);
    emulated::device().driver_version = 12040;
    CHECK_EQUAL(cudaGetDeviceCount(&value), cudaErrorInsufficientDriver);
    CHECK_EQUAL(cudaDriverGetVersion(&value), cudaSuccess);
    CHECK_EQUAL(value, 12040);
    CHECK_EQUAL(cudaRuntimeGetVersion(&value), cudaSuccess);
    CHECK_EQUAL(value, 13000);
    CHECK_EQUAL(runs, 0);
}

// --- Cost ---

#if defined(__has_feature)
#define NC_HAS_FEATURE(name) __has_feature(name)
#else
#define NC_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || NC_HAS_FEATURE(thread_sanitizer)
constexpr int kLaunches = 500;  // its switches are slow
#else
constexpr int kLaunches = 10000;
#endif

__global__ void meet_often(int* out) {
    for (int i = 0; i < 3; ++i) __syncthreads();
    const int sum = __shfl_xor_sync(0xffffffff, 1, 1) + __shfl_xor_sync(0xffffffff, 1, 2);
    if (threadIdx.x == 0) *out += sum;
}

TEST(launches_are_cheap) {
    const Fresh fresh;
    int sum = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kLaunches; ++i) launch(meet_often, 1, 256, &sum);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK_EQUAL(sum, 2 * kLaunches);
    CHECK(took.count() < 10);
}

}  // namespace
