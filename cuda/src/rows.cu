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
    return by_dtype(dtype, [=](auto d) { return kernel<decltype(d)::value>(vector, bins); });
}

}  // namespace neurocensus::cuda
