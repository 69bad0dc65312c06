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
    return by_dtype(dtype, [=](auto d) { return kernel<decltype(d)::value>(vector, bins); });
}

int columns_shared(DType dtype, bool vector) {
    return by_dtype(dtype, [=](auto d) {
        constexpr DType D = decltype(d)::value;
        return vector ? ColumnScan<D, kPerVector<D>, false>::kTallyBytes
                      : ColumnScan<D, 1, false>::kTallyBytes;
    });
}

}  // namespace neurocensus::cuda
