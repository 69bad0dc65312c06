#include <stdexcept>

#include "columns.cuh"

namespace neurocensus::cuda {
namespace {

template <DType D>
ScanKernel kernel(bool vector, bool bins) {
    constexpr int V = kPerVector<D>;
    if (vector) return bins ? scan_columns<D, V, true> : scan_columns<D, V, false>;
    return bins ? scan_columns<D, 1, true> : scan_columns<D, 1, false>;
}

}  // namespace

ScanKernel columns_kernel(DType dtype, bool vector, bool bins) {
    switch (dtype) {
        case DType::float32: return kernel<DType::float32>(vector, bins);
        case DType::float64: return kernel<DType::float64>(vector, bins);
        case DType::float16: return kernel<DType::float16>(vector, bins);
        case DType::bfloat16: return kernel<DType::bfloat16>(vector, bins);
    }
    throw std::invalid_argument("dtype: no kernel for it");
}

int columns_shared(DType dtype, bool vector) {
    switch (dtype) {
        case DType::float32: return ColumnScan<DType::float32, 1, false>::kTallyBytes * (vector ? 4 : 1);
        case DType::float64: return ColumnScan<DType::float64, 1, false>::kTallyBytes * (vector ? 2 : 1);
        case DType::float16:
        case DType::bfloat16: return ColumnScan<DType::bfloat16, 1, false>::kTallyBytes * (vector ? 8 : 1);
    }
    return 0;
}

}  // namespace neurocensus::cuda
