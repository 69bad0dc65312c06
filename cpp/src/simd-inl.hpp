// Vectors of the width of the instruction set that the including file is compiled for, by the vector
// extensions of GCC and Clang. NC_VECTOR_BYTES and NC_ISA are set by that file.
#pragma once

#include <cstdint>
#include <limits>

#if NC_VECTOR_BYTES == 64
#include <immintrin.h>
#endif

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
inline Int<C> load_bits(const typename Simd<C>::Bits* p) {
    return *reinterpret_cast<const typename Simd<C>::UnalignedI*>(p);
}
template <class C>
inline Vec<C> broadcast(C value) {
    return value - Vec<C>{};
}
template <class C>
inline Vec<C> magnitude(Vec<C> v) {
    return reinterpret_cast<Vec<C>>(reinterpret_cast<Int<C>>(v) & Simd<C>::kMagnitude);
}
// As many values of T, narrower or not, as a vector has doubles; and those as doubles.
template <class T>
using Lanes __attribute__((vector_size(kLanes<double> * sizeof(T)), aligned(sizeof(T)), may_alias)) = T;
template <class T>
inline Lanes<T> load_lanes(const T* p) {
    return *reinterpret_cast<const Lanes<T>*>(p);
}
template <class T>
inline Vec<double> widen_lanes(const T* p) {
    return __builtin_convertvector(load_lanes(p), Vec<double>);
}

// count + 1 in the lanes where value > bound. Without intrinsics AVX-512 takes one instruction more.
template <class C>
inline Int<C> count_above(Int<C> count, Vec<C> value, C bound) {
#if NC_VECTOR_BYTES == 64
    if constexpr (sizeof(C) == 4) {
        const __mmask16 above = _mm512_cmp_ps_mask((__m512)value, _mm512_set1_ps(bound), _CMP_GT_OQ);
        const __m512i old = (__m512i)count;
        return (Int<C>)_mm512_mask_add_epi32(old, above, old, _mm512_set1_epi32(1));
    } else {
        const __mmask8 above = _mm512_cmp_pd_mask((__m512d)value, _mm512_set1_pd(bound), _CMP_GT_OQ);
        const __m512i old = (__m512i)count;
        return (Int<C>)_mm512_mask_add_epi64(old, above, old, _mm512_set1_epi64(1));
    }
#else
    return count - reinterpret_cast<Int<C>>(value > bound);
#endif
}

// Is any bit of any lane set?
template <class C>
inline bool any_bit(Int<C> bits) {
#if NC_VECTOR_BYTES == 64
    return _mm512_test_epi32_mask((__m512i)bits, (__m512i)bits) != 0;
#else
    typedef std::uint64_t Words __attribute__((vector_size(NC_VECTOR_BYTES)));
    const auto words = reinterpret_cast<Words>(bits);
    std::uint64_t any = 0;
    for (int word = 0; word < NC_VECTOR_BYTES / 8; ++word) any |= words[word];
    return any != 0;
#endif
}

// Not std::min: an inline function of the standard library, compiled here, could be the copy that the
// linker keeps for code that must run on lesser CPUs.
inline std::int64_t least(std::int64_t a, std::int64_t b) { return b < a ? b : a; }
inline float magnitude(float value) { return __builtin_fabsf(value); }
inline double magnitude(double value) { return __builtin_fabs(value); }

// The neighbour of a finite or infinite value, towards minus infinity.
template <class C>
inline C next_down(C value) {
    typename Simd<C>::Bits bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    if (value == 0) {
        bits = ~Simd<C>::kMagnitude + 1;  // the smallest negative number
    } else if (value > 0) {
        --bits;
    } else if (value > -std::numeric_limits<C>::infinity()) {
        ++bits;
    }
    __builtin_memcpy(&value, &bits, sizeof bits);
    return value;
}
// The largest C that is at most `value`: a C exceeds the one exactly when it exceeds the other.
template <class C>
inline C round_down(double value) {
    const C out = static_cast<C>(value);
    return static_cast<double>(out) > value ? next_down(out) : out;
}

// 0, 1, 2, ... in the lanes
template <class C>
inline Int<C> iota() {
    Int<C> out{};
    for (int lane = 0; lane < kLanes<C>; ++lane) out[lane] = lane;
    return out;
}

}  // namespace NC_ISA
}  // namespace neurocensus
