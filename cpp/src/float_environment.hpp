// Denormals are not zero: while this lives, the thread neither flushes them nor reads them as zero,
// whatever its caller set (torch.set_flush_denormal).
#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include <cstdint>

namespace neurocensus {

class KeepDenormals {
   public:
#if defined(__SSE2__)
    KeepDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ & ~0x8040u); }  // FTZ and DAZ
    ~KeepDenormals() { _mm_setcsr(saved_); }

   private:
    unsigned saved_;
#elif defined(__aarch64__)
    KeepDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(saved_));
        asm volatile("msr fpcr, %0" : : "r"(saved_ & ~(std::uint64_t{1} << 24)));  // FZ
    }
    ~KeepDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

   private:
    std::uint64_t saved_;
#else
    KeepDenormals() = default;
#endif
   public:
    KeepDenormals(const KeepDenormals&) = delete;
    KeepDenormals& operator=(const KeepDenormals&) = delete;
};

}  // namespace neurocensus
