// The kernels, written once. A file kernels_<isa>.cpp sets NC_ISA, NC_ISA_NAME, NC_VECTOR_BYTES,
// and NC_ROW_UNROLL, includes this, and is compiled with that instruction set's flags.
#pragma once

#include "columns-inl.hpp"
#include "kernels.hpp"
#include "merge-inl.hpp"
#include "rows-inl.hpp"

namespace neurocensus {
inline namespace NC_ISA {

template <DType D>
struct ScanRows {
    static void run(const Job& job) {
        scan_rows<D>(job, round_down<typename Source<D>::Compute>(job.threshold));
    }
};

template <DType D>
struct ScanColumns {
    static void run(const Job& job) {
        scan_columns<D>(job, round_down<typename Source<D>::Compute>(job.threshold));
    }
};

template <template <DType> class Scan>
void for_dtype(const Job& job) {
    switch (job.view.dtype) {
        case DType::float32: return Scan<DType::float32>::run(job);
        case DType::float64: return Scan<DType::float64>::run(job);
        case DType::float16: return Scan<DType::float16>::run(job);
        case DType::bfloat16: return Scan<DType::bfloat16>::run(job);
    }
}

inline float plain_max(const float* x, std::int64_t count) {
    constexpr int L = kLanes<float>, U = 8;
    Vec<float> max[U];
    for (auto& m : max) m = broadcast<float>(-std::numeric_limits<float>::infinity());
    std::int64_t i = 0;
    for (; i + U * L <= count; i += U * L) {
#pragma GCC unroll 8
        for (int k = 0; k < U; ++k) {
            const Vec<float> value = load<float>(x + i + k * L);
            max[k] = value > max[k] ? value : max[k];
        }
    }
    float out = -std::numeric_limits<float>::infinity();
    for (const auto& m : max)
        for (int lane = 0; lane < L; ++lane) out = m[lane] > out ? m[lane] : out;
    for (; i < count; ++i) out = x[i] > out ? x[i] : out;
    return out;
}

}  // namespace NC_ISA
}  // namespace neurocensus
