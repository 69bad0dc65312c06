#define NC_ISA avx512
#define NC_VECTOR_BYTES 64
#define NC_ROW_UNROLL 4
#include "kernels-inl.hpp"

namespace neurocensus {
const Kernels kKernelsAvx512 = {"avx512", for_dtype<ScanRows>, for_dtype<ScanColumns>, merge_units, plain_max};
}  // namespace neurocensus
