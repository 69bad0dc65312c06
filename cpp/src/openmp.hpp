// The OpenMP runtime that torch brought into this process. After each of its operations torch's threads
// spin for a while before they sleep: a pool of our own would have to fight them for the CPUs, and wake
// from sleep, while they stand ready.
#pragma once

namespace neurocensus {

// GOMP_parallel: runs work(data) on a team of at most `threads` threads, the caller among them.
using RunTeam = void (*)(void (*work)(void*), void* data, unsigned threads, unsigned flags);

// Null where torch, or an OpenMP runtime that it uses, is not loaded (yet). Cheap to ask again.
RunTeam team_of_torch();

}  // namespace neurocensus
