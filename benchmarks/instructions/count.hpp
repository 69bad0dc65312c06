// Marks what callgrind counts, and says what it was: one line of standard output for each case.
#pragma once

#include <valgrind/callgrind.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace neurocensus {

constexpr std::int64_t kStackAlignment = 4096;

// Callgrind counts the instructions of call() alone, and writes them under the name of the case; without
// valgrind it is just called. `values` and `statistics` are what the instructions are put beside.
template <class Call>
__attribute__((noinline)) void count(const std::string& name, std::int64_t values, int statistics,
                                     const Call& call) {
    // The environment and the program's path lie above the stack and move it. From here down it always lies
    // the same, as memset and memcpy take other ways for other alignments.
    alignas(kStackAlignment) volatile char anchor = 0;
    static_cast<void>(anchor);
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_TOGGLE_COLLECT;
    call();
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_STOP_INSTRUMENTATION;
    CALLGRIND_DUMP_STATS_AT(name.c_str());
    std::printf("case\t%s\t%lld\t%d\n", name.c_str(), static_cast<long long>(values), statistics);
}

}  // namespace neurocensus
