// Runs of stored values, widened to the compute type.
#pragma once

#include <cstdint>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "neurocensus/source.hpp"

namespace neurocensus {
inline namespace NC_ISA {

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
