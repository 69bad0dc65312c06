// Runs a kernel's blocks one after another and a block's threads as fibers, each until it waits for others
// or ends. What may run in any order runs in the order that a test asks for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "types.hpp"

namespace emulated {

// A kernel broke a rule of CUDA's. Thrown out of nc_launch; what the block's threads held is not destroyed.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

enum class Order { kForward, kReverse, kShuffled };

struct Schedule {
    Order threads = Order::kForward;  // of the threads that can go on: the first, the last, any
    Order blocks = Order::kForward;
    std::uint64_t seed = 1;  // of what is shuffled, anew in every launch
};

void set_schedule(const Schedule& schedule);
// Forward, reverse and `shuffles` shuffled ones: a right kernel's results are the same under all.
std::vector<Schedule> schedules(int shuffles = 4);

// A place in the source; as a default argument, the caller's.
struct Where {
    const char* file = nullptr;
    int line = 0;
    static constexpr Where here(const char* file_ = __builtin_FILE(), int line_ = __builtin_LINE()) {
        return {file_, line_};
    }
};

// An intrinsic at which threads wait for others.
struct Call {
    const char* name = "";
    Where where;
    unsigned mask = 0;  // the lanes that meet; of no meaning for a block's barrier
};

// A thread's part in a warp's intrinsic.
struct Lane {
    std::uint64_t value = 0;  // what it brings
    unsigned source = 0;      // whose value it wants, for those that exchange
    std::uint64_t result = 0;
};

// --- What the intrinsics are made of, called by a kernel's thread ---

// Waits for all lanes of the mask. The last to come has `combine` set the results of these from what all
// have brought.
std::uint64_t meet_warp(const Call& call, std::uint64_t value, unsigned source,
                        void (*combine)(Lane* lanes, unsigned mask));
// Waits for all threads of the block that have not ended. True if any of them brought true.
bool meet_block(const Call& call, bool value);
unsigned lane(const Call& call);
unsigned char* shared_memory(const Call& call);
// Ends the launch: `format` and what follows as printf has them.
[[noreturn]] void fail(const Call& call, const char* format, ...) __attribute__((format(printf, 2, 3)));

// What threadIdx and the others refer to.
extern uint3 thread_index, block_index;
extern dim3 block_size, grid_size;

// --- What nc_launch is made of ---

// Has every thread of the grid call body(argument).
void run_grid(dim3 grid, dim3 block, std::size_t shared_bytes, void (*body)(const void*),
              const void* argument);

}  // namespace emulated
