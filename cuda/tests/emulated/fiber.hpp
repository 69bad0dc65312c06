// A stack of its own that code can be switched to and from: in a few instructions on x86-64 and aarch64,
// by ucontext elsewhere. The sanitizers are told of every switch.
#pragma once

#include <cstddef>
#include <memory>

#if !defined(NEUROCENSUS_EMULATED_UCONTEXT) && \
    !(defined(__linux__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__)))
#define NEUROCENSUS_EMULATED_UCONTEXT
#endif
#if defined(NEUROCENSUS_EMULATED_UCONTEXT)
#include <ucontext.h>
#endif

namespace emulated {

class Fiber {
   public:
    // A fiber without a stack of its own: what is running now, as something to come back to.
    Fiber() = default;
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // The next switch to this fiber calls `entry`, which must not return. What ran here is forgotten, and
    // not unwound.
    void start(void (*entry)());

    // Goes on where `to` stopped; returns when something switches back to this one.
    void switch_to(Fiber& to);

   private:
    static void first();
    void arrived();

    std::unique_ptr<unsigned char[]> stack_;
    void (*entry_)() = nullptr;
#if defined(NEUROCENSUS_EMULATED_UCONTEXT)
    ucontext_t context_;
#else
    void* top_ = nullptr;
#endif
    // What the sanitizers know it by; the stack's bounds are the running one's where it has none of its own.
    struct {
        void* fake_stack = nullptr;
        const void* bottom = nullptr;
        std::size_t size = 0;
        void* thread = nullptr;
    } known_as_;
};

}  // namespace emulated
