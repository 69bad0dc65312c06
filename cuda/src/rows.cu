#include <stdexcept>

#include "rows.cuh"

namespace neurocensus::cuda {
namespace {

template <DType D>
ScanKernel kernel(bool vector, bool bins) {
    if (vector) return bins ? scan_rows<D, true, true> : scan_rows<D, true, false>;
    return bins ? scan_rows<D, false, true> : scan_rows<D, false, false>;
}

}  // namespace

ScanKernel rows_kernel(DType dtype, bool vector, bool bins) {
    switch (dtype) {
        case DType::float32: return kernel<DType::float32>(vector, bins);
        case DType::float64: return kernel<DType::float64>(vector, bins);
        case DType::float16: return kernel<DType::float16>(vector, bins);
        case DType::bfloat16: return kernel<DType::bfloat16>(vector, bins);
    }
    throw std::invalid_argument("dtype: no kernel for it");
}

}  // namespace neurocensus::cuda
