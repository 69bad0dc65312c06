#define NC_ISA avx2
#define NC_VECTOR_BYTES 32
#define NC_ROW_UNROLL 2
#include "kernels-inl.hpp"

namespace neurocensus {
const Kernels kKernelsAvx2 = {"avx2", for_dtype<ScanRows>, for_dtype<ScanColumns>, merge_units, plain_max};
}  // namespace neurocensus
