#define NC_ISA baseline
#define NC_VECTOR_BYTES 16
#define NC_ROW_UNROLL 2
#include "kernels-inl.hpp"

namespace neurocensus {
const Kernels kKernelsBaseline = {"baseline", for_dtype<ScanRows>, for_dtype<ScanColumns>, merge_units, plain_max};
}  // namespace neurocensus
