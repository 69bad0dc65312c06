// Stored values, widened to the compute type: one, a vector, a run.
#pragma once

#include <cstdint>
#include <type_traits>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "neurocensus/source.hpp"
#include "simd-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

// Kernels read buffers of D where they lie, and runs that were gathered and widened before: T is either.
template <DType D, class T>
inline typename Source<D>::Compute widen_one(const T* p) {
    if constexpr (std::is_same_v<T, typename Source<D>::Compute>) {
        return *p;
    } else {
        return Source<D>::widen(*p);
    }
}

inline Vec<float> load_float16(const std::uint16_t* p) {
#if NC_VECTOR_BYTES == 64
    // Masked: GCC 12 takes the plain one for use of something uninitialized.
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return (Vec<float>)_mm512_maskz_cvtph_ps(0xffff, halves);
#elif defined(__F16C__)
    return (Vec<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
    float wide[kLanes<float>];
    for (int lane = 0; lane < kLanes<float>; ++lane) wide[lane] = Source<DType::float16>::widen(p[lane]);
    return load<float>(wide);
#endif
}

inline Vec<float> load_bfloat16(const std::uint16_t* p) {
#if NC_VECTOR_BYTES == 64  // what GCC 12 makes of the other takes more
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return (Vec<float>)_mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, halves), 16);
#else
    typedef std::uint16_t Halves
        __attribute__((vector_size(kLanes<float> * sizeof(std::uint16_t)), aligned(2), may_alias));
    const auto wide = __builtin_convertvector(*reinterpret_cast<const Halves*>(p), Int<float>);
    return reinterpret_cast<Vec<float> >(wide << 16);
#endif
}

template <DType D, class T>
inline Vec<typename Source<D>::Compute> load_wide(const T* p) {
    if constexpr (std::is_same_v<T, typename Source<D>::Compute>) {
        return load(p);
    } else if constexpr (D == DType::float16) {
        return load_float16(p);
    } else {
        return load_bfloat16(p);
    }
}

// The last `count` values of a run, fewer than a vector holds, the free lanes filled with the last value;
// `used` marks the others.
template <DType D, class T>
inline Vec<typename Source<D>::Compute> load_tail(const T* p, std::int64_t count,
                                                  Int<typename Source<D>::Compute>& used) {
    using C = typename Source<D>::Compute;
    constexpr int L = kLanes<C>;
    C padded[L];
    for (int lane = 0; lane < L; ++lane) padded[lane] = widen_one<D>(p + (lane < count ? lane : count - 1));
    used = iota<C>() < static_cast<typename Simd<C>::Bits>(count);
    return load<C>(padded);
}

// `count` values, `stride` apart, into contiguous ones.
template <DType D>
inline void widen_run(const typename Source<D>::Stored* __restrict in, std::int64_t stride,
                      std::int64_t count, typename Source<D>::Compute* __restrict out) {
    std::int64_t i = 0;
    if (stride == 1) {
        if constexpr (D == DType::float16) {
#if defined(__F16C__)
            for (; i + 8 <= count; i += 8) {
                const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
                _mm256_storeu_ps(out + i, _mm256_cvtph_ps(half));
            }
#endif
        }
        for (; i < count; ++i) out[i] = Source<D>::widen(in[i]);
    } else {
        for (; i < count; ++i) out[i] = Source<D>::widen(in[i * stride]);
    }
}

// Walks the positions of one example in order.
class Positions {
   public:
    Positions(const View& view, std::int64_t start) : view_(view) {
        for (int axis = view.position_axes - 1; axis >= 0; --axis) {
            index_[axis] = start % view.position_size[axis];
            start /= view.position_size[axis];
            offset_ += index_[axis] * view.position_stride[axis];
        }
    }
    std::int64_t offset() const { return offset_; }
    // Positions from here to the end of the innermost axis.
    std::int64_t run() const {
        const int last = view_.position_axes - 1;
        return last < 0 ? 1 : view_.position_size[last] - index_[last];
    }
    void advance(std::int64_t steps) {  // at most run()
        int axis = view_.position_axes - 1;
        if (axis < 0) return;
        index_[axis] += steps;
        offset_ += steps * view_.position_stride[axis];
        while (axis > 0 && index_[axis] == view_.position_size[axis]) {
            offset_ -= index_[axis] * view_.position_stride[axis];
            index_[axis] = 0;
            --axis;
            ++index_[axis];
            offset_ += view_.position_stride[axis];
        }
    }

   private:
    const View& view_;
    std::int64_t index_[kMaxPositionAxes] = {};
    std::int64_t offset_ = 0;
};

inline bool keeps(const Mask& mask, std::int64_t example, std::int64_t position) {
    return mask.data == nullptr ||
           mask.data[example * mask.example_stride + position * mask.position_stride] != 0;
}

}  // namespace NC_ISA
}  // namespace neurocensus
