#include "fiber.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#define NC_ASAN
#elif defined(__SANITIZE_THREAD__)
#define NC_TSAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NC_ASAN
#elif __has_feature(thread_sanitizer)
#define NC_TSAN
#endif
#endif

#if defined(NC_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(NC_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if !defined(NEUROCENSUS_EMULATED_UCONTEXT)
// Saves what a callee must keep (the floating-point modes aside: no kernel changes them) on the stack and
// that stack's top in *from; then the same backwards from `to`.
extern "C" void nc_emulated_switch(void** from, void* to);

#if defined(__x86_64__)
asm(R"(
    .text
    .p2align 4
    .hidden nc_emulated_switch
    .globl nc_emulated_switch
    .type nc_emulated_switch, @function
nc_emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size nc_emulated_switch, . - nc_emulated_switch
)");
constexpr int kSavedWords = 8;  // with the address that ret goes to, and one to align what it calls
constexpr int kReturnWord = 6;
#else
asm(R"(
    .text
    .p2align 4
    .hidden nc_emulated_switch
    .globl nc_emulated_switch
    .type nc_emulated_switch, %function
nc_emulated_switch:
    stp x19, x20, [sp, #-160]!
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x19, x20, [sp], #160
    ret
    .size nc_emulated_switch, . - nc_emulated_switch
)");
constexpr int kSavedWords = 20;
constexpr int kReturnWord = 11;  // x30
#endif
#endif

namespace emulated {
namespace {

// Not a power of two: the tops of all stacks, which every switch touches, would share a few cache lines.
constexpr std::size_t kStackBytes = 64 * 1024 + 320;

// Who switched last and to whom, for the side that arrives.
Fiber* leaving = nullptr;
Fiber* arriving = nullptr;

}  // namespace

Fiber::~Fiber() {
#if defined(NC_TSAN)
    if (stack_ && known_as_.thread != nullptr) __tsan_destroy_fiber(known_as_.thread);
#endif
}

void Fiber::start(void (*entry)()) {
    if (!stack_) {
        stack_.reset(new unsigned char[kStackBytes]);
        known_as_.bottom = stack_.get();
        known_as_.size = kStackBytes;
#if defined(NC_TSAN)
        known_as_.thread = __tsan_create_fiber(0);
#endif
    }
#if defined(NC_ASAN)
    // The frames that were left here never took their red zones away.
    __asan_unpoison_memory_region(stack_.get(), kStackBytes);
#endif
    known_as_.fake_stack = nullptr;
    entry_ = entry;
#if defined(NEUROCENSUS_EMULATED_UCONTEXT)
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_.get();
    context_.uc_stack.ss_size = kStackBytes;
    context_.uc_link = nullptr;
    makecontext(&context_, first, 0);
#else
    const auto end = reinterpret_cast<std::uintptr_t>(stack_.get() + kStackBytes) & ~std::uintptr_t{15};
    void** const top = reinterpret_cast<void**>(end) - kSavedWords;
    std::memset(top, 0, kSavedWords * sizeof *top);
    top[kReturnWord] = reinterpret_cast<void*>(&first);
    top_ = top;
#endif
}

void Fiber::first() {
    arriving->arrived();
    arriving->entry_();
    std::abort();
}

void Fiber::arrived() {
#if defined(NC_ASAN)
    // Tells the bounds of the stack that was left; for the first one of a thread nothing else does.
    __sanitizer_finish_switch_fiber(known_as_.fake_stack, &leaving->known_as_.bottom,
                                    &leaving->known_as_.size);
#endif
}

void Fiber::switch_to(Fiber& to) {
    leaving = this;
    arriving = &to;
#if defined(NC_ASAN)
    __sanitizer_start_switch_fiber(&known_as_.fake_stack, to.known_as_.bottom, to.known_as_.size);
#elif defined(NC_TSAN)
    if (!stack_) known_as_.thread = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to.known_as_.thread, 0);
#endif
#if defined(NEUROCENSUS_EMULATED_UCONTEXT)
    swapcontext(&context_, &to.context_);
#else
    nc_emulated_switch(&top_, to.top_);
#endif
    arrived();
}

}  // namespace emulated
