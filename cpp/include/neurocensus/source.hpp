// From stored values to the compute type: float32 for everything but float64. All conversions are exact.
#pragma once

#include <cstdint>
#include <cstring>

#include "neurocensus/ops.hpp"
#include "neurocensus/view.hpp"

namespace neurocensus {
inline namespace NC_ISA {

template <DType>
struct Source;

template <>
struct Source<DType::float32> {
    using Stored = float;
    using Compute = float;
    NC_HD static Compute widen(Stored value) { return value; }
};

template <>
struct Source<DType::float64> {
    using Stored = double;
    using Compute = double;
    NC_HD static Compute widen(Stored value) { return value; }
};

template <>
struct Source<DType::bfloat16> {
    using Stored = std::uint16_t;
    using Compute = float;
    NC_HD static Compute widen(Stored value) {
        const std::uint32_t bits = static_cast<std::uint32_t>(value) << 16;
        float out;
        std::memcpy(&out, &bits, sizeof out);
        return out;
    }
};

template <>
struct Source<DType::float16> {
    using Stored = std::uint16_t;
    using Compute = float;
    // Without branches, so that loops over it can be vectorized.
    NC_HD static Compute widen(Stored value) {
#if defined(__CUDA_ARCH__)
        float widened;
        asm("cvt.f32.f16 %0, %1;" : "=f"(widened) : "h"(value));
        return widened;
#else
        const std::uint32_t magnitude = (value & 0x7fffu) << 13;
        const std::uint32_t exponent = magnitude & 0x0f800000u;
        const std::uint32_t normal = magnitude + (exponent == 0x0f800000u ? 0x70000000u : 0x38000000u);
        // Denormals: 2^-14 * (1 + m) - 2^-14, exact in float32.
        const std::uint32_t raised = magnitude + 0x38800000u;
        float lifted, base;
        const std::uint32_t base_bits = 0x38800000u;
        std::memcpy(&lifted, &raised, sizeof lifted);
        std::memcpy(&base, &base_bits, sizeof base);
        const float difference = lifted - base;
        std::uint32_t denormal;
        std::memcpy(&denormal, &difference, sizeof denormal);
        const std::uint32_t bits =
            (exponent == 0 ? denormal : normal) | (static_cast<std::uint32_t>(value & 0x8000u) << 16);
        float out;
        std::memcpy(&out, &bits, sizeof out);
        return out;
#endif
    }
};

template <DType D>
constexpr bool kStoredAsComputed = D == DType::float32 || D == DType::float64;

}  // namespace NC_ISA
}  // namespace neurocensus
