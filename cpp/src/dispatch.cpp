#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#if defined(NEUROCENSUS_X86)
#include <cpuid.h>
#endif

#include "neurocensus/census.hpp"

namespace neurocensus {
namespace {

std::atomic<const Kernels*> chosen{nullptr};

#if defined(NEUROCENSUS_X86)
// Clang 14 does not know "f16c" in __builtin_cpu_supports. The OS part is avx2's.
bool has_f16c() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

// Compiled in and runnable here, worst first. __builtin_cpu_supports asks CPUID and, by XGETBV, whether
// the operating system saves the wide registers.
std::vector<const Kernels*> usable() {
    std::vector<const Kernels*> out{&kKernelsBaseline};
#if defined(NEUROCENSUS_X86)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    if (avx2) out.push_back(&kKernelsAvx2);
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        out.push_back(&kKernelsAvx512);
#elif defined(NEUROCENSUS_ARM)
    out.push_back(&kKernelsNeon);
#endif
    return out;
}

const Kernels* find(const std::string& name, const char* source) {
    std::string choices = "auto";
    const auto all = usable();
    for (const Kernels* kernels : all) {
        if (name == kernels->name) return kernels;
        choices += std::string(", ") + kernels->name;
    }
    if (name.empty() || name == "auto") return all.back();
    throw std::invalid_argument(std::string(source) + ": expected one of the instruction sets that this " +
                                "CPU can run (" + choices + "), got '" + name + "'; set another or none");
}

}  // namespace

const Kernels& kernels() {
    const Kernels* now = chosen.load(std::memory_order_acquire);
    if (now == nullptr) {
        const char* wanted = std::getenv("NEUROCENSUS_SIMD");
        now = find(wanted == nullptr ? "" : wanted, "NEUROCENSUS_SIMD");
        chosen.store(now, std::memory_order_release);
    }
    return *now;
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> out;
    for (const Kernels* kernels : usable()) out.emplace_back(kernels->name);
    return out;
}

std::string instruction_set() { return kernels().name; }

void set_instruction_set(const std::string& name) {
    chosen.store(find(name, "name"), std::memory_order_release);
}

}  // namespace neurocensus
