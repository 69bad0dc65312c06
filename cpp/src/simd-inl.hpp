// Vectors of the width of the instruction set that the including file is compiled for, by the vector
// extensions of GCC and Clang. NC_VECTOR_BYTES and NC_ISA are set by that file.
#pragma once

#include <cstdint>
#include <limits>

namespace neurocensus {
inline namespace NC_ISA {

constexpr int kVectorBytes = NC_VECTOR_BYTES;

template <class C>
struct Simd;

template <>
struct Simd<float> {
    using Bits = std::int32_t;
    static constexpr Bits kMagnitude = 0x7fffffff;
    typedef float V __attribute__((vector_size(NC_VECTOR_BYTES)));
    typedef std::int32_t I __attribute__((vector_size(NC_VECTOR_BYTES)));
    typedef float Unaligned __attribute__((vector_size(NC_VECTOR_BYTES), aligned(4), may_alias));
    typedef std::int32_t UnalignedI __attribute__((vector_size(NC_VECTOR_BYTES), aligned(4), may_alias));
};

template <>
struct Simd<double> {
    using Bits = std::int64_t;
    static constexpr Bits kMagnitude = 0x7fffffffffffffff;
    typedef double V __attribute__((vector_size(NC_VECTOR_BYTES)));
    typedef std::int64_t I __attribute__((vector_size(NC_VECTOR_BYTES)));
    typedef double Unaligned __attribute__((vector_size(NC_VECTOR_BYTES), aligned(8), may_alias));
    typedef std::int64_t UnalignedI __attribute__((vector_size(NC_VECTOR_BYTES), aligned(8), may_alias));
};

template <class C>
using Vec = typename Simd<C>::V;
template <class C>
using Int = typename Simd<C>::I;
template <class C>
constexpr int kLanes = NC_VECTOR_BYTES / static_cast<int>(sizeof(C));

template <class C>
inline Vec<C> load(const C* p) {
    return *reinterpret_cast<const typename Simd<C>::Unaligned*>(p);
}
template <class C>
inline void store(C* p, Vec<C> v) {
    *reinterpret_cast<typename Simd<C>::Unaligned*>(p) = v;
}
template <class C>
inline void store_bits(typename Simd<C>::Bits* p, Int<C> v) {
    *reinterpret_cast<typename Simd<C>::UnalignedI*>(p) = v;
}
template <class C>
inline Vec<C> broadcast(C value) {
    return value - Vec<C>{};
}
template <class C>
inline Vec<C> magnitude(Vec<C> v) {
    return reinterpret_cast<Vec<C>>(reinterpret_cast<Int<C>>(v) & Simd<C>::kMagnitude);
}
// Not std::min: an inline function of the standard library, compiled here, could be the copy that the
// linker keeps for code that must run on lesser CPUs.
inline std::int64_t least(std::int64_t a, std::int64_t b) { return b < a ? b : a; }
inline float magnitude(float value) { return __builtin_fabsf(value); }
inline double magnitude(double value) { return __builtin_fabs(value); }

// 0, 1, 2, ... in the lanes
template <class C>
inline Int<C> iota() {
    Int<C> out{};
    for (int lane = 0; lane < kLanes<C>; ++lane) out[lane] = lane;
    return out;
}

}  // namespace NC_ISA
}  // namespace neurocensus
